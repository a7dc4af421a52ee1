import { assert, assertEquals } from "@std/assert";
import { FrameKind } from "../../src/wire/frame.ts";
import { RawPeer } from "./raw_peer.ts";
import { worldTest } from "./world.ts";

worldTest("idle connections are kept alive by pings", async (world) => {
  const [a, b] = await world.pair();
  await world.clock.advance(120_000);
  assertEquals([a.calls.length, b.calls.length], [1, 1]);
  const { bytesSent, framesSent } = a.transport.counters!;
  assert(framesSent === 0 && bytesSent > 100 * 28 && bytesSent < 200 * 28);
});

worldTest("a half-open connection is given up after four seconds of silence", async (world) => {
  const [a, b] = await world.pair();
  for (const end of world.internet.pairs[0]) end.isDead = true;
  await world.clock.advance(3_900);
  assertEquals(a.calls.length, 1);
  await world.clock.advance(400);
  assertEquals(a.calls.slice(1, 2), ["disconnect b consensus: silent for 4000 ms"]);
  assertEquals(b.calls.slice(1, 2), ["disconnect a consensus: silent for 4000 ms"]);
  assertEquals([a.closedBy, b.closedBy], [[], []]);
  await world.clock.advance(100);
  assertEquals(a.calls[2], "connect b consensus");
});

worldTest("a connection that is dead in one direction is given up", async (world) => {
  const [a, b] = await world.pair();
  world.internet.pairs[0][1].isDead = true; // a hears nothing of b
  await world.clock.advance(4_300);
  assertEquals(a.calls[1], "disconnect b consensus: silent for 4000 ms");
  assertEquals(b.calls[1], "disconnect a consensus: closed by peer");
  assertEquals([a.closedBy, b.closedBy], [[], ["a"]]);
});

worldTest("a peer that never reads is given up, even if it still sends", async (world) => {
  const b = await world.join("b");
  const raw = new RawPeer(world.internet, "b");
  raw.hello();
  await world.clock.advance(0);
  raw.stream.twin!.isStalled = true;
  assert(b.say("raw", [1]));
  for (let second = 0; second < 5; second++) {
    raw.send(FrameKind.ping, new Uint8Array(0));
    await world.clock.advance(1_000);
  }
  assertEquals(b.calls[1], "disconnect raw consensus: takes nothing for 4000 ms");
});

worldTest("a process that slept doesn't blame its peers", async (world) => {
  const [a, b] = await world.pair();
  await world.clock.advance(500);
  await world.clock.sleep(60_000);
  await world.clock.advance(10_000);
  assertEquals([a.calls.length, b.calls.length], [1, 1]);
});

worldTest("a frame that comes in slowly is waited for, one that trickles in isn't", async (world) => {
  const b = await world.join("b");
  const raw = new RawPeer(world.internet, "b");
  raw.hello();
  const body = new Uint8Array(10_000);
  raw.raw(raw.header(FrameKind.data, body));
  for (let second = 0; second < 8; second++) {
    raw.raw(body.subarray(0, 1_250));
    await world.clock.advance(1_000);
  }
  assertEquals([b.frames.length, b.troubles.length], [1, 0]);
  raw.raw(raw.header(FrameKind.data, body));
  for (let second = 0; second < 6; second++) {
    raw.raw(body.subarray(0, 1));
    await world.clock.advance(1_000);
  }
  assertEquals(b.troubles.map(({ kind }) => kind), ["protocol-error"]);
  assert(raw.isEnded);
});

worldTest("idle bulk connections are closed", async (world) => {
  const [a, b] = await world.pair();
  a.say("b", [1], "bulk");
  await world.clock.advance(30_000);
  assert(a.say("b", [1], "bulk"));
  await world.clock.advance(59_000);
  assertEquals(a.calls.length, 2);
  await world.clock.advance(2_000);
  assert(a.calls[2].startsWith("disconnect b bulk: "));
  assertEquals(b.calls.length, 3);
  assert(a.say("b", [1]), "the consensus connection stays");
});

worldTest("connections to servers that are no peers end by themselves", async (world) => {
  const [a, b] = await world.pair();
  a.want();
  b.want();
  assert(a.say("b", [1]));
  await world.clock.advance(59_000);
  assertEquals(a.calls.length, 1);
  await world.clock.advance(2_000);
  assert(a.calls[1].startsWith("disconnect b consensus: "));
  await world.clock.advance(10_000);
  assertEquals(a.calls.length, 2);
});

worldTest("a lost connection is dialled again at once, then ever less often, with jitter", async (world) => {
  const [a, b] = await world.pair();
  await world.clock.advance(5_000);
  let count = world.internet.dialCount;
  await b.transport.close();
  await world.clock.advance(0);
  assertEquals(world.internet.dialCount, count + 1, "at once");
  count = world.internet.dialCount;
  const dials: number[] = [];
  for (let ms = 0; ms < 8_000; ms += 5) {
    await world.clock.advance(5);
    if (world.internet.dialCount > count) dials.push(ms + 5);
    count = world.internet.dialCount;
  }
  // Half of 50, 100, … 2000 ms, and another half at random (0.5 here).
  const waits = dials.map((at, index) => at - (dials[index - 1] ?? 0));
  assertEquals(waits.slice(0, 4), [75, 150, 300, 600]);
  assertEquals(new Set(waits.slice(5)), new Set([1_500]));
  assertEquals(a.troubles.map(({ kind }) => kind), ["dial-failed"]);
  assertEquals(a.transport.counters?.dialsFailed, 1 + dials.length);
});

worldTest("a peer that hangs up on every connection is not dialled in a tight loop", async (world) => {
  const a = await world.join("a");
  await world.join("b");
  a.want("b");
  for (let ms = 0; ms < 10_000; ms += 10) {
    await world.clock.advance(10);
    for (const [, dialled] of world.internet.pairs) dialled.close();
  }
  assert(world.internet.dialCount < 20);
});

worldTest("a dial into a black hole is under way once, and another address replaces it", async (world) => {
  const a = await world.join("a");
  await world.join("b");
  world.internet.blackHoles.add("old:1");
  a.want(["b", "old:1"]);
  a.say("b", [1], "consensus", "old:1");
  await world.clock.advance(1_000);
  assertEquals(world.internet.dialCount, 1);
  a.want(["b", "b:1"]);
  await world.clock.advance(0);
  assertEquals(a.calls, ["connect b consensus"]);
});

worldTest("a peer that is not wanted any more is not dialled any more", async (world) => {
  const a = await world.join("a");
  a.want("b");
  await world.clock.advance(1_000);
  a.want();
  const { dialCount } = world.internet;
  await world.clock.advance(60_000);
  assertEquals(world.internet.dialCount, dialCount);
  assertEquals(world.clock.pendingCount, 0);
});

worldTest("sending to a server that is down keeps to the waits between dials", async (world) => {
  const a = await world.join("a");
  for (let ms = 0; ms < 10_000; ms += 10) {
    a.say("b", [1]);
    await world.clock.advance(10);
  }
  assert(world.internet.dialCount > 5 && world.internet.dialCount < 20);
});
