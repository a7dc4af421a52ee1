import { assert, assertEquals } from "@std/assert";
import { FrameKind } from "../../src/wire/frame.ts";
import { encodeHello, HANDSHAKE_BYTES_MAX } from "../../src/wire/handshake_codec.ts";
import type { Party } from "./party.ts";
import { HELLO, RawPeer } from "./raw_peer.ts";
import { type World, worldTest } from "./world.ts";

/** Two connected servers, and what must not change whatever strangers do to `b`. */
async function besieged(world: World): Promise<{ b: Party; assertUnharmed(): Promise<void> }> {
  const [a, b] = await world.pair({ handshakesPerHostMax: 64 });
  return {
    b,
    assertUnharmed: async () => {
      b.frames.length = 0;
      assert(a.say("b", [42]), "the peer is not affected");
      await world.clock.advance(0);
      assertEquals(b.heard, [[42]]);
      assertEquals(b.calls, ["connect a consensus"]);
    },
  };
}

worldTest("bytes that are no hello end the connection, count, and are told once", async (world) => {
  const { b, assertUnharmed } = await besieged(world);
  const hello = encodeHello(HELLO);
  const attacks: ((raw: RawPeer) => void)[] = [
    (raw) => raw.raw(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")),
    (raw) => raw.raw(new Uint8Array([0x16, 3, 1, 0, 200, 1])),
    (raw) => raw.raw(new Uint8Array([0])),
    (raw) => raw.raw(new Uint8Array(5_000).fill(0xc5)),
    (raw) => raw.send(FrameKind.data, new Uint8Array([1])),
    (raw) => raw.send(FrameKind.ping, new Uint8Array(0)),
    (raw) => raw.send(FrameKind.reply, hello),
    (raw) => raw.send(FrameKind.hello, new Uint8Array(0)),
    (raw) => raw.send(FrameKind.hello, new Uint8Array(HANDSHAKE_BYTES_MAX + 1)),
    (raw) => raw.send(FrameKind.hello, new Uint8Array(HANDSHAKE_BYTES_MAX).fill(0x91)),
    (raw) => raw.send(FrameKind.hello, hello.subarray(0, hello.length - 1)),
    (raw) => raw.raw(raw.header(FrameKind.hello, new Uint8Array(8 * 2 ** 20))),
  ];
  for (const [index, attack] of attacks.entries()) {
    const raw = new RawPeer(world.internet, "b");
    attack(raw);
    await world.clock.advance(0);
    assert(raw.isEnded, `attack ${index} is still connected`);
    assertEquals(b.transport.counters?.protocolErrors, index + 1);
  }
  assertEquals(b.troubles.map(({ kind, peer }) => [kind, peer]), [["protocol-error", undefined]]);
  assertEquals(world.lines, [], "who is told logs it");
  await assertUnharmed();
});

worldTest("a hello with any byte changed, or cut off anywhere, harms nobody", async (world) => {
  const { b, assertUnharmed } = await besieged(world);
  const probe = new RawPeer(world.internet, "b");
  const bytes = [...probe.header(FrameKind.hello, encodeHello(HELLO)), ...encodeHello(HELLO)];
  probe.stream.close();
  for (let at = 0; at < bytes.length; at++) {
    const changed = new RawPeer(world.internet, "b");
    changed.raw(Uint8Array.from(bytes, (byte, index) => index === at ? byte ^ 0x40 : byte));
    const cut = new RawPeer(world.internet, "b");
    cut.raw(Uint8Array.from(bytes.slice(0, at)));
    await world.clock.advance(0);
    assert(changed.isEnded && changed.reply === undefined, `byte ${at}`);
    cut.stream.close();
    await world.clock.advance(0);
  }
  assertEquals(b.transport.counters?.protocolErrors, bytes.length);
  await assertUnharmed();
});

worldTest("a hello byte by byte is a hello; one byte per second is none", async (world) => {
  const { b, assertUnharmed } = await besieged(world);
  const quick = new RawPeer(world.internet, "b");
  const body = encodeHello({ ...HELLO, from: "quick" });
  for (const byte of [...quick.header(FrameKind.hello, body), ...body]) quick.raw(new Uint8Array([byte]));
  await world.clock.advance(0);
  assert(quick.reply?.welcome !== undefined);
  quick.stream.close();
  await world.clock.advance(0);
  b.calls.splice(1);
  const slow = new RawPeer(world.internet, "b");
  for (const byte of [...slow.header(FrameKind.hello, body), ...body]) {
    if (slow.isEnded) break;
    slow.raw(new Uint8Array([byte]));
    await world.clock.advance(1_000);
  }
  assert(slow.isEnded);
  assertEquals(b.troubles.at(-1)?.reason, "no handshake within 3000 ms");
  await assertUnharmed();
});

worldTest("ten thousand silent connections cost no more than sixty-four", async (world) => {
  const { b, assertUnharmed } = await besieged(world);
  const raws: RawPeer[] = [];
  for (let index = 0; index < 10_000; index++) {
    raws.push(new RawPeer(world.internet, "b", `10.0.${index >> 8}.${index & 255}:1`));
    if (index % 100 === 0) await world.clock.advance(0);
  }
  await world.clock.advance(0);
  assertEquals(raws.filter(({ isEnded }) => !isEnded).length, 64);
  assertEquals(b.transport.counters?.connectionsRefused, 9_936);
  await assertUnharmed();
  await world.clock.advance(3_000);
  assert(raws.every(({ isEnded }) => isEnded));
  const late = new RawPeer(world.internet, "b");
  late.hello({ from: "late" });
  await world.clock.advance(0);
  assert(late.reply?.welcome !== undefined, "there is room again");
});

worldTest("one host can't take all the room", async (world) => {
  const b = await world.join("b");
  const crowd = Array.from({ length: 40 }, (_, index) => new RawPeer(world.internet, "b", `10.0.0.1:${index}`));
  await world.clock.advance(0);
  assertEquals(crowd.filter(({ isEnded }) => !isEnded).length, 16);
  const other = new RawPeer(world.internet, "b", "10.0.0.2:1");
  other.hello();
  await world.clock.advance(0);
  assertEquals(b.calls, ["connect raw consensus"]);
});

worldTest("a stranger that was refused can't stay, nor say more", async (world) => {
  const b = await world.join("b");
  const raw = new RawPeer(world.internet, "b");
  raw.hello({ clusterId: "other" });
  raw.hello();
  raw.send(FrameKind.data, new Uint8Array([1]));
  await world.clock.advance(0);
  assertEquals(raw.reply?.refusal?.code, "cluster-id");
  assertEquals([b.calls, b.frames], [[], []]);
  await world.clock.advance(3_000);
  assert(raw.isEnded);
});

worldTest("what a peer must not send ends its connection", async (world) => {
  const b = await world.join("b");
  const attacks: ((raw: RawPeer) => void)[] = [
    (raw) => raw.hello(),
    (raw) => raw.send(FrameKind.reply, new Uint8Array([0x90])),
    (raw) => raw.send(FrameKind.ping, new Uint8Array(1)),
    (raw) => raw.send(FrameKind.data, new Uint8Array(1), 1),
    (raw) => raw.raw(new Uint8Array(28)),
    (raw) => {
      raw.header(FrameKind.data, new Uint8Array(0)); // one that is never sent
      raw.send(FrameKind.data, new Uint8Array(0));
    },
  ];
  for (const [index, attack] of attacks.entries()) {
    const raw = new RawPeer(world.internet, "b");
    raw.hello({ from: `raw${index}` });
    raw.send(FrameKind.data, new Uint8Array([index]));
    await world.clock.advance(0);
    assertEquals(b.heard.at(-1), [index]);
    attack(raw);
    await world.clock.advance(0);
    assert(raw.isEnded, `attack ${index} is still connected`);
    assertEquals(b.transport.counters?.protocolErrors, index + 1);
    assertEquals(b.troubles.at(-1)?.peer, `raw${index}`);
    assert(b.calls.at(-1)!.startsWith(`disconnect raw${index} consensus: Cannot`), b.calls.at(-1));
  }
  assertEquals(b.heard.length, attacks.length);
});

worldTest("a connection that ends in the middle of a frame says so", async (world) => {
  const b = await world.join("b");
  const raw = new RawPeer(world.internet, "b");
  raw.hello();
  raw.raw(raw.header(FrameKind.data, new Uint8Array(10)));
  await world.clock.advance(0);
  raw.stream.close();
  await world.clock.advance(0);
  assertEquals(b.calls[1], "disconnect raw consensus: closed by peer in the middle of a frame");
});

worldTest("whoever dials learns that nobody shakes hands, or that it is no Raft server", async (world) => {
  const a = await world.join("a");
  const silent = await world.internet.layer("silent:1").listen((stream) => stream.start(() => {}));
  const web = await world.internet.layer("web:1").listen((stream) => {
    stream.start(() => {});
    stream.write([new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")]);
  });
  const hangingUp = await world.internet.layer("rude:1").listen((stream) => stream.close());
  a.want(["s", "silent:1"], ["w", "web:1"], ["r", "rude:1"]);
  await world.clock.advance(3_500);
  const reasons = new Map(a.troubles.map(({ peer, kind, reason }) => [peer, `${kind}: ${reason}`]));
  assertEquals(reasons.get("s"), "dial-failed: no handshake within 3000 ms, before it said welcome");
  assert(reasons.get("w")?.startsWith("protocol-error: Cannot read a frame: it starts with 0x48"));
  assertEquals(reasons.get("r"), "dial-failed: closed by peer, before it said welcome");
  for (const listener of [silent, web, hangingUp]) await listener.close();
});
