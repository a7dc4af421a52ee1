import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ProtocolError, TransportClosedError } from "../../src/errors.ts";
import { networkTransport } from "../../src/transport/network.ts";
import { test } from "../harness.ts";
import { FakeInternet } from "./fake_layer.ts";
import { join, localServer, Party } from "./party.ts";
import { worldTest } from "./world.ts";

worldTest("two servers that want one another share one connection in both directions", async (world) => {
  const [a, b] = await world.pair();
  assertEquals(world.internet.pairs.length, 1);
  assert(a.say("b", [1]) && b.say("a", [2]) && a.say("b", [3]));
  await world.clock.advance(0);
  assertEquals([a.heard, b.heard], [[[2]], [[1], [3]]]);
});

worldTest("a peer learns who and where the other one is", async (world) => {
  const a = await world.join("a", {}, { incarnation: "3f", starts: 7 });
  const b = await world.join("b", { advertise: "b.example.net:7001" }, { clusterId: () => "" });
  a.want("b");
  await world.clock.advance(0);
  const common = { protocol: 2, firstEntry: "" };
  assertEquals(b.peers.get("a"), {
    ...{ ...common, serverId: "a", clusterId: "cluster", incarnation: "3f", starts: 7, address: "a:1" },
  });
  assertEquals(a.peers.get("b"), {
    ...{ ...common, serverId: "b", clusterId: "", incarnation: "disk of b", starts: 1, address: "b.example.net:7001" },
  });
});

worldTest("send() dials when there is no connection, and takes nothing until there is one", async (world) => {
  const [a, b] = [await world.join("a"), await world.join("b")];
  assert(!a.say("b", [1]));
  assert(!a.say("b", [2]));
  assertEquals(world.internet.dialCount, 1);
  await world.clock.advance(0);
  assert(a.say("b", [3]));
  await world.clock.advance(0);
  assertEquals(b.heard, [[3]]);
  assertEquals([a.transport.counters?.framesUnconnected, a.transport.counters?.framesSent], [2, 1]);
});

worldTest("frames never arrive inside send()", async (world) => {
  const [a, b] = await world.pair();
  b.hook = () => b.say("a", [9]);
  a.say("b", [1]);
  assertEquals(b.heard, []);
  await world.clock.advance(0);
  assertEquals(a.heard, [[9]]);
});

worldTest("frames of one turn go out in one write", async (world) => {
  const [a, b] = await world.pair();
  const [dialling] = world.internet.pairs[0];
  const before = dialling.writeCount;
  for (let index = 0; index < 100; index++) a.say("b", [index]);
  await world.clock.advance(0);
  assertEquals(dialling.writeCount - before, 1);
  assertEquals(b.heard.length, 100);
});

worldTest("a frame arrives as one array, whatever parts it was made of", async (world) => {
  const [a, b] = await world.pair();
  const part = (...bytes: number[]) => Uint8Array.from(bytes);
  a.link.send("b", "b:1", "consensus", [part(1), part(), part(2, 3)]);
  a.link.send("b", "b:1", "consensus", []);
  a.link.send("b", "b:1", "consensus", [part(4), part(5)], 1);
  await world.clock.advance(0);
  assertEquals(b.heard, [[1, 2, 3], [], [4, 5]]);
});

worldTest("the bulk channel is a connection of its own, made when it is needed", async (world) => {
  const [a, b] = await world.pair();
  assert(!a.say("b", [1], "bulk"));
  await world.clock.advance(0);
  assert(a.say("b", [2], "bulk"));
  await world.clock.advance(0);
  assertEquals(b.calls, ["connect a consensus", "connect a bulk"]);
  assertEquals(b.heard, [[2]]);
  world.internet.pairs[1][0].close();
  await world.clock.advance(0);
  assertEquals(b.calls[2], "disconnect a bulk: closed by peer");
  assert(a.say("b", [3]));
});

worldTest("a full queue takes no more, without harm to other peers", async (world) => {
  const [a, b] = await world.pair({ sendQueueBytesMax: 1_000 });
  const c = await world.join("c");
  a.want("b", "c");
  await world.clock.advance(0);
  world.internet.pairs[0][0].isStalled = true;
  const frame = [new Uint8Array(300)];
  const results = [1, 2, 3, 4, 5].map(() => a.link.send("b", "b:1", "consensus", frame));
  assertEquals(results, [true, true, true, false, false]);
  assert(a.say("c", [1]));
  await world.clock.advance(0);
  assertEquals([b.heard.length, c.heard.length], [0, 1]);
  assertEquals(a.transport.counters?.framesRejected, 2);
  assertEquals(a.troubles.map(({ kind }) => kind), ["queue-full"]);
});

worldTest("a frame larger than the queue is taken when the queue is empty", async (world) => {
  const [a, b] = await world.pair({ sendQueueBytesMax: 1_000 });
  assert(a.link.send("b", "b:1", "consensus", [new Uint8Array(5_000)]));
  assert(!a.link.send("b", "b:1", "consensus", [new Uint8Array(5_000)]));
  await world.clock.advance(0);
  assertEquals(b.frames.map(({ length }) => length), [5_000]);
});

worldTest("a frame above the receiver's limit ends the connection, one at the limit doesn't", async (world) => {
  const [a, b] = await world.pair({ frameBytesMax: 500 });
  a.link.send("b", "b:1", "consensus", [new Uint8Array(500)]);
  await world.clock.advance(0);
  assertEquals(b.frames.length, 1);
  a.link.send("b", "b:1", "consensus", [new Uint8Array(501)]);
  await world.clock.advance(0);
  assertEquals(b.frames.length, 1);
  assertEquals(b.transport.counters?.protocolErrors, 1);
  assertEquals(b.troubles.map(({ kind, peer }) => [kind, peer]), [["protocol-error", "a"]]);
  assertEquals(b.calls[1], "disconnect a consensus: Cannot read a frame of 501 bytes: at most 500 are allowed here");
});

worldTest("a frame that the handler refuses ends its connection, and no other", async (world) => {
  const [a, b] = await world.pair();
  const c = await world.join("c");
  c.want("b");
  await world.clock.advance(0);
  b.hook = (from) => {
    if (from.serverId === "a") throw new ProtocolError("Cannot decode a message");
  };
  a.say("b", [1]);
  a.say("b", [2]);
  c.say("b", [3]);
  await world.clock.advance(0);
  assertEquals(b.heard, [[1], [3]]);
  assertEquals(b.troubles.map(({ kind, reason }) => [kind, reason]), [["protocol-error", "Cannot decode a message"]]);
  assertEquals(world.lines, [], "who is told logs it");
});

worldTest("a handler that fails doesn't reach the socket's callback", async (world) => {
  const [a, b] = await world.pair();
  b.hook = () => {
    throw new Error("boom");
  };
  a.say("b", [1]);
  await world.clock.advance(0);
  assertEquals(b.calls[1], "disconnect a consensus: handler failed: boom");
});

worldTest("several groups share one transport", async (world) => {
  const [a, b] = await world.pair();
  const [a1, b1] = [a, b].map(({ transport }, index) =>
    new Party(transport, localServer(`${"ab"[index]}1`, { group: 1, clusterId: () => "other" }))
  );
  a1.link.setPeers([{ id: "b1", address: "b:1" }]);
  await world.clock.advance(0);
  assert(a1.link.send("b1", "b:1", "consensus", [Uint8Array.of(7)]) && a.say("b", [8]));
  await world.clock.advance(0);
  assertEquals([b.heard, b1.heard], [[[8]], [[7]]]);
  assertThrows(() => new Party(a.transport, localServer("x", { group: 1 })), TypeError, "two servers of group 1");
  await a1.link.close();
  await world.clock.advance(0);
  assertEquals(b1.calls, ["connect a1 consensus", "disconnect a1 consensus: closed by peer"]);
  assert(a.say("b", [9]));
});

worldTest("a closed link is silent, and its group can be attached again", async (world) => {
  const [a, b] = await world.pair();
  await a.link.close();
  await a.link.close();
  assert(!a.say("b", [1]));
  a.want("b");
  await world.clock.advance(0);
  assertEquals(a.calls, ["connect b consensus"]);
  assertEquals(b.calls[1], "disconnect a consensus: closed by peer");
  const again = new Party(a.transport, localServer("a", { starts: 2 }));
  again.want("b");
  await world.clock.advance(1_000);
  assertEquals(again.calls, ["connect b consensus"]);
});

worldTest("a closed transport refuses links and is closed once", async (world) => {
  const [a, b] = await world.pair();
  const closing = a.transport.close();
  assertEquals(a.transport.close(), closing);
  await closing;
  await world.clock.advance(0);
  assertEquals(b.calls[1], "disconnect a consensus: closed by peer");
  assertThrows(() => a.transport.attach(localServer("a"), a), TransportClosedError);
});

worldTest("servers don't dial themselves", async (world) => {
  const a = await world.join("a");
  a.want("a");
  assert(!a.say("a", [1]));
  await world.clock.advance(5_000);
  assertEquals(world.internet.dialCount, 0);
});

test("open() refuses to advertise what nobody can dial", async () => {
  const internet = new FakeInternet();
  for (const address of ["0.0.0.0:7001", "[::]:7001", ":7001", "a:0"]) {
    const factory = networkTransport(internet.layer(address));
    await assertRejects(() => factory.open({}), TypeError, `Cannot advertise "${address}"`);
    const transport = await networkTransport(internet.layer(address), { advertise: "a.example.net:7001" }).open({});
    assertEquals(transport.address, "a.example.net:7001");
    await transport.close();
  }
  const wrong = networkTransport(internet.layer("a:1"), { advertise: "a.example.net" });
  await assertRejects(() => wrong.open({}), TypeError, "host:port");
});

test("options that are undefined have their defaults", async () => {
  const internet = new FakeInternet();
  const factory = networkTransport(internet.layer("a:1"), { frameBytesMax: undefined, clock: undefined });
  const a = await join(factory, "a");
  const b = await join(networkTransport(internet.layer("b:1")), "b");
  a.want("b");
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(a.calls, ["connect b consensus"]);
  await a.transport.close();
  await b.transport.close();
});
