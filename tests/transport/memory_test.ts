import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { ProtocolError } from "../../src/errors.ts";
import { memoryNetwork, type MemoryNetworkOptions } from "../../src/transport/memory.ts";
import type { LocalServer } from "../../src/transport/transport.ts";
import { test } from "../harness.ts";
import { join, type Party } from "./party.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** A memory network on a virtual clock, with servers `a` and `b` at `a:1` and `b:1` that are connected. */
async function pairOf(options: MemoryNetworkOptions = {}, local: Partial<LocalServer> = {}) {
  const clock = new VirtualClock();
  const network = memoryNetwork({ clock, random: () => 0.5, ...options });
  const parties: Party[] = [];
  const open = async (id: string, changes: Partial<LocalServer> = {}) => {
    const party = await join(network.transport(`${id}:1`), id, changes);
    parties.push(party);
    return party;
  };
  const [a, b] = [await open("a"), await open("b", local)];
  a.want("b");
  b.want("a");
  await clock.advance(10);
  const close = async () => {
    for (const { transport } of parties) await transport.close();
    await clock.advance(0);
    assertEquals(clock.pendingCount, 0, "a timer outlives its transport");
  };
  return { clock, network, a, b, open, close };
}

test("memory: two servers that want one another are connected once", async () => {
  const { a, b, clock, close } = await pairOf();
  assertEquals([a.calls, b.calls], [["connect b consensus"], ["connect a consensus"]]);
  assertEquals(b.peers.get("a")?.address, "a:1");
  assert(a.say("b", [1]) && a.say("b", [2]) && b.say("a", [3]));
  assertEquals([a.heard, b.heard], [[], []], "never inside send()");
  await clock.advance(0);
  assertEquals([a.heard, b.heard], [[[3]], [[1], [2]]]);
  await close();
});

test("memory: one part is handed over as it is, several are joined", async () => {
  const { a, b, clock, close } = await pairOf();
  const part = Uint8Array.of(1, 2);
  a.link.send("b", "b:1", "consensus", [part]);
  a.link.send("b", "b:1", "consensus", [part, Uint8Array.of(3)]);
  await clock.advance(0);
  assertEquals(b.frames[0], part);
  assert(b.frames[0] === part);
  assertEquals([...b.frames[1]], [1, 2, 3]);
  await close();
});

test("memory: a cut is noticed by both sides, loses what is under way, and heals", async () => {
  const { a, b, clock, network, close } = await pairOf({ delayMs: 5 });
  await clock.advance(100);
  a.say("b", [1]);
  network.disconnect("b:1", "a:1");
  await clock.advance(10);
  assertEquals(b.heard, []);
  for (const { calls } of [a, b]) assert(calls[1].endsWith("connection lost"));
  assertEquals([a.closedBy, b.closedBy], [[], []], "nobody can know");
  await clock.advance(10_000);
  assertEquals(a.calls.length, 2);
  assert(!a.say("b", [2]));
  network.connect("a:1", "b:1");
  await clock.advance(20);
  assertEquals(a.calls[2], "connect b consensus");
  assert(a.say("b", [3]));
  await clock.advance(5);
  assertEquals(b.heard, [[3]]);
  await close();
});

test("memory: disconnectAll() isolates one server", async () => {
  const { a, b, clock, network, open, close } = await pairOf();
  const c = await open("c");
  c.want("a", "b");
  await clock.advance(10);
  network.disconnectAll("a:1");
  await clock.advance(10);
  assertEquals([a, b, c].map(({ calls }) => calls.filter((call) => call.startsWith("disconnect")).length), [2, 1, 1]);
  assert(c.say("b", [1]) && !c.say("a", [1]));
  await close();
});

test("memory: frames take their time and stay in order", async () => {
  let delayMs = 30;
  const { a, b, clock, close } = await pairOf({ delayMs: () => delayMs });
  await clock.advance(100);
  a.say("b", [1]);
  delayMs = 10;
  a.say("b", [2]);
  await clock.advance(29);
  assertEquals(b.heard, []);
  await clock.advance(1);
  assertEquals(b.heard, [[1], [2]]);
  await close();
});

test("memory: what was sent before a close arrives before its end", async () => {
  const { a, b, clock, close } = await pairOf();
  a.say("b", [1]);
  await a.transport.close();
  await clock.advance(0);
  assertEquals(b.heard, [[1]]);
  assertEquals(b.calls[1], "disconnect a consensus: closed by peer");
  assertEquals([a.closedBy, b.closedBy], [[], ["a"]]);
  await close();
});

test("memory: another cluster is refused, and both sides learn why", async () => {
  const { a, b, clock, close } = await pairOf({}, { clusterId: () => "other" });
  await clock.advance(100);
  assertEquals([a.calls, b.calls], [[], []]);
  for (const { troubles } of [a, b]) assert(troubles[0].reason.startsWith("wrong cluster id"));
  await close();
});

test("memory: another first entry is refused, an unknown one is not", async () => {
  const { clock, open, close } = await pairOf();
  const c = await open("c", { firstEntry: () => "one" });
  for (const [id, firstEntry, isRefused] of [["d", "one", false], ["e", "", false], ["f", "two", true]] as const) {
    const other = await open(id, { firstEntry: () => firstEntry });
    c.want(id);
    await clock.advance(100);
    assertEquals([c.peers.has(id), other.calls.length], isRefused ? [false, 0] : [true, 1]);
    const reason =
      'the fingerprint of the dialling server\'s first configuration is "one", that of the dialled one\'s "two"';
    for (const { troubles } of [c, other]) {
      assertEquals(troubles.filter((trouble) => trouble.reason.includes(reason)).length, isRefused ? 1 : 0);
    }
  }
  await close();
});

test("memory: a server without a cluster is welcome", async () => {
  const { a, close } = await pairOf({}, { clusterId: () => "" });
  assertEquals(a.calls, ["connect b consensus"]);
  await close();
});

test("memory: a wrong target and an own id are refused", async () => {
  const { a, b, clock, close } = await pairOf();
  a.want("b", ["c", "b:1"]);
  b.want("a", ["x", "b:1"]);
  await clock.advance(100);
  assert(a.troubles[0].reason.includes('"c" was dialled'));
  assert(b.troubles.some(({ reason }) => reason.includes('both servers have the id "b"')));
  await close();
});

test("memory: a server that starts again replaces what is left of the one before", async () => {
  const { a, b, clock, open, close } = await pairOf();
  await b.transport.close();
  const again = await open("b", { starts: 2 });
  again.want("a");
  await clock.advance(100);
  assertEquals(a.calls.slice(1), ["disconnect b consensus: closed by peer", "connect b consensus"]);
  assertEquals(a.peers.get("b")?.starts, 2);
  await close();
});

test("memory: a full queue takes no more", async () => {
  const { a, b, clock, close } = await pairOf({ delayMs: 5, sendQueueBytesMax: 10 });
  await clock.advance(100);
  const frame = [1, 2, 3, 4];
  assertEquals([a.say("b", frame), a.say("b", frame), a.say("b", frame)], [true, true, false]);
  await clock.advance(5);
  assert(a.say("b", frame));
  await clock.advance(5);
  assertEquals(b.heard.length, 3);
  await close();
});

test("memory: a frame that the handler refuses ends the connection", async () => {
  const { a, b, clock, close } = await pairOf();
  b.hook = () => {
    throw new ProtocolError("Cannot decode a message");
  };
  a.say("b", [1]);
  await clock.advance(0);
  assertEquals(b.calls[1], "disconnect a consensus: Cannot decode a message");
  assertEquals(a.calls[1], "disconnect b consensus: closed by peer");
  assertEquals([a.closedBy, b.closedBy], [["b"], []]);
  assertEquals(b.troubles.map(({ kind }) => kind), ["protocol-error"]);
  await close();
});

test("memory: addresses are random, and taken by one at a time", async () => {
  const network = memoryNetwork();
  const factory = network.transport();
  assertNotEquals(factory.address, network.transport().address);
  const transport = await factory.open({});
  assertEquals(transport.address, factory.address);
  await assertRejects(() => factory.open({}), Error, "is open");
  await transport.close();
  await (await factory.open({})).close();
});

test("memory: a conversation without end lets timers fire", async () => {
  const network = memoryNetwork();
  const [a, b] = [await join(network.transport("a:1"), "a"), await join(network.transport("b:1"), "b")];
  a.want("b");
  while (b.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  a.hook = () => void (a.frames.length < 20_000 && a.say("b", [1]));
  b.hook = () => void b.say("a", [1]);
  a.say("b", [1]);
  let timerCount = 0;
  for (; a.frames.length < 20_000; timerCount++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert(timerCount > 1, "only the end of the conversation let a timer fire");
  for (const { transport } of [a, b]) await transport.close();
});

test("memory: a handler that takes parts is given them uncopied, and whole frames as ever", async () => {
  const { a, b, clock, close } = await pairOf();
  const taken: (readonly Uint8Array[])[] = [];
  Object.assign(b, {
    onFrameParts: (_from: unknown, _channel: unknown, parts: readonly Uint8Array[]) => taken.push(parts),
  });
  const parts = [Uint8Array.of(1, 2), Uint8Array.of(3)];
  a.link.send("b", "b:1", "consensus", parts);
  a.link.send("b", "b:1", "consensus", [parts[0]!]);
  await clock.advance(0);
  assertEquals(taken.length, 1);
  assert(taken[0]!.every((part, at) => part === parts[at]));
  assert(b.frames.length === 1 && b.frames[0] === parts[0]);
  await close();
});
