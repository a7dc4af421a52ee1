import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, type Socket } from "node:net";
import { parseAddress } from "../../src/transport/address.ts";
import { encodeFrameHeader, FrameKind } from "../../src/wire/frame.ts";
import { encodeHello } from "../../src/wire/handshake_codec.ts";
import { test } from "../harness.ts";
import { join, type Party } from "../transport/party.ts";
import { HELLO } from "../transport/raw_peer.ts";
import { stacks, type Tcp, until } from "./stacks.ts";

const LOOPBACK = { listen: "127.0.0.1:0" };

/** Bytes that differ from place to place, so that none can be lost, doubled or moved unseen. */
function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >>> 8)) & 0xff;
  return bytes;
}

const isPattern = (bytes: Uint8Array) => bytes.every((byte, at) => byte === ((at * 31 + (at >>> 8)) & 0xff));

/** Connects two servers. */
async function pairOf(tcp: Tcp): Promise<readonly [Party, Party]> {
  const [a, b] = [await join(tcp(LOOPBACK), "a"), await join(tcp(LOOPBACK), "b")];
  a.want(["b", b.transport.address]);
  b.want(["a", a.transport.address]);
  await until("the connection", () => a.calls.length > 0 && b.calls.length > 0);
  return [a, b];
}

/** A plain socket to a server. */
function dialRaw(party: Party): Promise<Socket> {
  const { host, port } = parseAddress(party.transport.address);
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => resolve(socket));
    socket.on("error", () => {});
  });
}

for (const { name, tcp } of stacks) {
  test(`${name} tcp: frames of every size arrive whole, both ways, on both channels`, async () => {
    const [a, b] = await pairOf(tcp);
    const sizes = [0, 1, 27, 1_000, 16_384, 65_536, 65_537, 300_000, 1_048_576, 5_000_000];
    for (const channel of ["consensus", "bulk"] as const) {
      for (const [from, to] of [[a, b], [b, a]]) {
        const id = to === a ? "a" : "b";
        to.frames.length = 0;
        const sent = (bytes: Uint8Array) =>
          from.link.send(id, to.transport.address, channel, [bytes.subarray(0, 5), bytes.subarray(5)]);
        await until("the bulk connection", () => sent(new Uint8Array(0)));
        for (const size of sizes) assert(sent(pattern(size)));
        await until("all frames", () => to.frames.length === sizes.length + 1);
        assertEquals(to.frames.slice(1).map(({ length }) => length), sizes);
        assert(to.frames.slice(1).every(isPattern));
      }
    }
    for (const { calls } of [a, b]) assert(calls.every((call) => call.startsWith("connect")), calls.join(", "));
    for (const { transport } of [a, b]) await transport.close();
  });

  test(`${name} tcp: frames that were handed over never change afterwards`, async () => {
    const [a, b] = await pairOf(tcp);
    for (let round = 0; round < 50; round++) {
      for (let count = 0; count < 20; count++) a.say("b", Array(100).fill(round), "consensus", b.transport.address);
      await until("a round", () => b.frames.length === 20 * (round + 1));
    }
    b.frames.forEach((frame, index) => assert(frame.every((byte) => byte === Math.floor(index / 20))));
    for (const { transport } of [a, b]) await transport.close();
  });

  test(`${name} tcp: a peer that goes is noticed at once, and found again when it is back`, async () => {
    const [a, b] = await pairOf(tcp);
    const listen = b.transport.address;
    await b.transport.close();
    await until("the end", () => a.calls.length === 2);
    assert(a.calls[1].startsWith("disconnect b consensus: "));
    assertEquals([a.closedBy, b.closedBy], [["b"], []]);
    await until("a dial", () => a.troubles.length > 0);
    assertEquals(a.troubles[0].reason, "connection refused: nobody listens there");
    const again = await join(tcp({ listen }), "b", { starts: 2 });
    await until("the new connection", () => a.calls.length === 3);
    assertEquals(a.peers.get("b")?.starts, 2);
    for (const { transport } of [a, again]) await transport.close();
  });

  test(`${name} tcp: a port in use is an error that says so`, async () => {
    const transport = await tcp(LOOPBACK).open({});
    const { address } = transport;
    const message = `Cannot listen at "${address}" as the port is in use: stop the program that uses it`;
    await assertRejects(() => tcp({ listen: address }).open({}), Error, message);
    await transport.close();
    await (await tcp({ listen: address }).open({})).close();
  });

  test(`${name} tcp: an address that this machine lacks, or nobody can dial, is refused`, async () => {
    assertThrows(() => tcp({ listen: "nonsense" }), TypeError, "host:port");
    await assertRejects(() => tcp({ listen: "192.0.2.1:0" }).open({}), Error, "Cannot listen at");
    await assertRejects(() => tcp({ listen: "0.0.0.0:0" }).open({}), TypeError, "Cannot advertise");
    await assertRejects(() => tcp({ ...LOOPBACK, advertise: "[::]:1" }).open({}), TypeError, "Cannot advertise");
  });

  test(`${name} tcp: a name can be dialled, and one that doesn't exist is trouble`, async () => {
    const [a, b] = [await join(tcp(LOOPBACK), "a"), await join(tcp(LOOPBACK), "b")];
    const { port } = parseAddress(b.transport.address);
    a.want(["b", `localhost:${port}`], ["c", "does-not-exist.invalid:1"]);
    await until("the connection and the trouble", () => a.calls.length > 0 && a.troubles.length > 0);
    assertEquals([a.troubles[0].peer, a.troubles[0].kind], ["c", "dial-failed"]);
    for (const { transport } of [a, b]) await transport.close();
  });

  test(`${name} tcp: IPv6 addresses are written in brackets`, async () => {
    const [a, b] = [await join(tcp({ listen: "[::1]:0" }), "a"), await join(tcp({ listen: "[::1]:0" }), "b")];
    assert(/^\[::1\]:\d+$/.test(b.transport.address));
    a.want(["b", b.transport.address]);
    await until("the connection", () => a.calls.length > 0);
    for (const { transport } of [a, b]) await transport.close();
  });

  test(`${name} tcp: what is no Raft is hung up on, and the server goes on`, async () => {
    const [a, b] = await pairOf(tcp);
    await assertRejects(async () => await (await fetch(`http://${b.transport.address}/`)).text());
    const socket = await dialRaw(b);
    const hello = encodeHello({ ...HELLO, to: "b" });
    socket.write(encodeFrameHeader(FrameKind.hello, 0, 0, [hello]));
    socket.destroy();
    await until("the count", () => b.transport.counters!.protocolErrors === 1);
    assert(a.say("b", [1], "consensus", b.transport.address));
    await until("a frame", () => b.frames.length === 1);
    assert(b.troubles[0].reason.includes("HTTP"));
    for (const { transport } of [a, b]) await transport.close();
  });

  test(`${name} tcp: the queue to a peer that doesn't read is bounded`, async () => {
    const b = await join(tcp({ ...LOOPBACK, sendQueueBytesMax: 2 ** 20 }), "b");
    const socket = await dialRaw(b);
    socket.pause();
    const hello = encodeHello(HELLO);
    socket.write(encodeFrameHeader(FrameKind.hello, 0, 0, [hello]));
    socket.write(hello);
    await until("the connection", () => b.calls.length === 1);
    const frame = [pattern(64 * 1024)];
    let taken = 0;
    await until("a full queue", () => {
      while (b.link.send("raw", "raw:1", "consensus", frame)) taken += 1;
      // The system's own buffers take some megabytes, and then nothing more.
      return b.transport.counters!.framesRejected > 100;
    });
    assert(taken >= 15 && taken < 1_000, `${taken} frames of 64 KiB were taken`);
    socket.destroy();
    await until("the end", () => b.calls.length === 2);
    await b.transport.close();
  });

  test(`${name} tcp: a dial that is given up leaves nothing behind`, async () => {
    const [a, b] = [await join(tcp(LOOPBACK), "a"), await join(tcp(LOOPBACK), "b")];
    for (let round = 0; round < 20; round++) {
      a.want(["b", b.transport.address]);
      if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      a.want();
    }
    await a.transport.close();
    await b.transport.close();
  });
}
