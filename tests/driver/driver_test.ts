import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import type { Event } from "../../src/core/event.ts";
import { InvariantError, ProtocolError } from "../../src/errors.ts";
import type { Message } from "../../src/message.ts";
import { EntryType } from "../../src/types.ts";
import { encodeCommands } from "../../src/wire/command_codec.ts";
import { encodeMessage } from "../../src/wire/message_codec.ts";
import { test } from "../harness.ts";
import { watch } from "../virtual_cluster.ts";
import { drain } from "../virtual_environment.ts";
import { remote, setUp } from "./played_peers.ts";

const of = (sent: readonly { to: string; message: Message }[], type: Message["type"]) =>
  sent.filter(({ message }) => message.type === type);

test("Driver does not take entries for durable that replaced others while those were written (BL06)", async () => {
  const { store, append, machine, raft, stop } = await setUp({ logCacheBytesMax: 0 });
  await append("b", {});
  store.slowWrites = true;
  await append("b", { sequence: 2 }, 10, 11);
  await append("c", { term: 3 }, 20, 21);
  // The write of 10 and 11 is done; 20 and 21 are committed elsewhere, and not yet on our disk.
  store.writing[0]!.resolve();
  await drain();
  await append("c", { term: 3, sequence: 2, prevIndex: 3, prevTerm: 3, commitIndex: 3 });
  assertEquals(machine.values, [Uint8Array.of(20), Uint8Array.of(21)]);
  assertEquals(raft.status.durableIndex < 3, true);
  // Only the entry that was there at the start is not in memory.
  assertEquals(store.reads.filter(([from]) => from > 1), []);
  store.writing[1]!.resolve();
  await drain();
  assertEquals(raft.status.durableIndex, 3);
  await stop();
});

test("Driver acknowledges entries when they are durable, and not before", async () => {
  const { store, append, sent, stop } = await setUp();
  await append("b", {});
  store.slowWrites = true;
  sent.length = 0;
  await append("b", { sequence: 2 }, 10, 11);
  const matches = () =>
    of(sent, "append-response").map(({ message }) => (message as { matchIndex: number }).matchIndex);
  assertEquals(matches().every((index) => index === 1), true);
  store.writing[0]!.resolve();
  await drain();
  assertEquals(matches().at(-1), 3);
  await stop();
});

test("Driver sends no vote before it is durable (BE06)", async () => {
  const { store, sent, receive, stop } = await setUp();
  store.slowWrites = true;
  receive("b", {
    type: "vote-request",
    term: 5,
    pre: false,
    lastIndex: 1,
    lastTerm: 1,
    transfer: false,
  });
  await drain();
  assertEquals(sent, []);
  store.writing[0]!.resolve();
  await drain();
  assertEquals(sent.map(({ to, message }) => [to, message as unknown]), [
    ["b", { type: "vote-response", term: 5, pre: false, campaign: 5, granted: true }],
  ]);
  await stop();
});

test("Driver takes an append whole: no other event comes between its term and its entries (P1, BA01)", async () => {
  const { observed, append, receive, store, stop } = await setUp();
  store.slowWrites = true;
  // A later leader's heartbeat right behind an earlier leader's entries, in one turn.
  void append("b", {}, 10);
  void append("c", { term: 3, prevIndex: 1 }, 20);
  receive("b", { type: "append-response", term: 2, sequence: 1, round: 1, matchIndex: 2, rejected: undefined });
  await drain();
  const { log, term, role } = observed.core!.state;
  assertEquals([term, role, log.lastIndex, log.runs.at(-1)], [3, "follower", 2, { term: 3, from: 2 }]);
  for (let i = 0; i < 3; i++) {
    store.writing[i]?.resolve();
    await drain();
  }
  const [records] = await store.inner.read(2, 3, 1e6);
  assertEquals([records!.term(2), records!.payload(2)], [3, Uint8Array.of(20)]);
  await stop();
});

test("Driver adopts a later term at once when a follower's answer brings it (P19)", async () => {
  const { lead, receive, raft, stop } = await setUp();
  await lead();
  receive("c", { type: "append-response", term: 7, sequence: 1, round: 1, matchIndex: 0, rejected: undefined });
  await drain();
  assertEquals([raft.state, raft.currentTerm, raft.leader], ["follower", 7, undefined]);
  await stop();
});

test("Driver lets no answer to a message of an earlier leadership count (BA10, L9)", async () => {
  const { lead, receive, raft, stop } = await setUp();
  await lead();
  const call = watch(raft.apply(Uint8Array.of(1)));
  await drain();
  receive("b", { type: "append-response", term: 1, sequence: 1, round: 9, matchIndex: 3, rejected: undefined });
  await drain();
  assertEquals(raft.commitIndex < 3, true);
  receive("b", { type: "append-response", term: 2, sequence: 1, round: 0, matchIndex: 3, rejected: undefined });
  assertEquals((await call).text, "1");
  await stop();
});

for (const bytes of [[], [0], [1, 0], [255, 255, 1], [1, 0, 0xc1], [2, 0, 0x91, 99], Array(300).fill(7)]) {
  test(`Driver.onFrame() of the bytes [${bytes.slice(0, 4)}…] throws a ProtocolError and changes nothing (P14)`, async () => {
    const { handler, observed, raft, stop } = await setUp();
    await drain();
    const { random: _, ...before } = structuredClone(observed.core!.state) as unknown as Record<string, unknown>;
    assertThrows(() => handler().onFrame(remote("b"), "consensus", Uint8Array.from(bytes)), ProtocolError);
    await drain();
    const { random: __, ...after } = structuredClone(observed.core!.state) as unknown as Record<string, unknown>;
    assertEquals([after, raft.state], [before, "follower"]);
    await stop();
  });
}

test("Driver.onFrame() of a forward-request without commands is a ProtocolError, and the leader goes on", async () => {
  const { lead, receive, raft, stop } = await setUp();
  await lead();
  assertThrows(() => receive("c", { type: "forward-request", term: 2, id: 1, count: 0 }), ProtocolError);
  await drain();
  assertEquals([raft.state, raft.lastIndex], ["leader", 2]);
  await stop();
});

test("Driver answers a forward at once, and the leader's log holds the bytes", async () => {
  const { lead, receive, sent, store, stop } = await setUp();
  await lead();
  const entry = { type: EntryType.command, flags: 1, payload: Uint8Array.of(5, 6) };
  receive("c", { type: "forward-request", term: 2, id: 77, count: 1 }, encodeCommands([entry]));
  await drain();
  assertEquals(of(sent, "forward-response"), [{
    to: "c",
    message: {
      type: "forward-response",
      term: 2,
      id: 77,
      from: 3,
      entryTerm: 2,
      refusal: undefined,
      leader: undefined,
    } as Message,
  }]);
  const [records] = await store.inner.read(3, 4, 1e6);
  assertEquals(records!.payload(3), Uint8Array.of(5, 6));
  await stop();
});

test("Driver stops at a broken invariant: commands that were being proposed are settled, nothing is sent (BA05, P5)", async () => {
  const { lead, observed, raft, sent, store, closed } = await setUp();
  await lead();
  const { core } = observed;
  const step = core!.step.bind(core!);
  core!.step = (event: Event, now: number) => {
    if (event.type === "proposed") throw new InvariantError("a term must only grow");
    return step(event, now);
  };
  const calls = [raft.apply(Uint8Array.of(1)), raft.apply(Uint8Array.of(2)), raft.read(() => 0)].map(watch);
  const frames = sent.length;
  const writes = store.writes.length;
  assertInstanceOf(await raft.closed, InvariantError);
  const texts = (await Promise.all(calls)).map(({ text }) => text);
  assertEquals(texts, ["shutdown unknown", "shutdown unknown", "shutdown not-applied"]);
  assertEquals([sent.length, store.writes.length, closed.link], [frames, writes, 1]);
});

test("Driver performs no effect that follows the one that ended it (BA16, V8)", async () => {
  const { append, raft, sent, machine } = await setUp();
  await append("b", { commitIndex: 1 });
  sent.length = 0;
  machine.apply = () => {
    throw new InvariantError("the books don't balance");
  };
  // The core asks to append, to apply, and then to answer.
  await append("b", { sequence: 2, commitIndex: 2, round: 2 }, 10);
  assertInstanceOf(await raft.closed, InvariantError);
  assertEquals(sent, []);
});

test("Driver sends nothing after its end, also when a read of the disk comes back (BA16)", async () => {
  const { lead, raft, sent, store, receive, environment } = await setUp({
    logCacheBytesMax: 0,
    shutdownTransferMs: 0,
  });
  await lead();
  store.slowReads = store.slowWrites = true;
  void watch(raft.apply(Uint8Array.of(1)));
  const rejected = { prevIndex: 1, hintIndex: 0, hintTerm: 0, isDamaged: false };
  receive("c", { type: "append-response", term: 2, sequence: 1, round: 0, matchIndex: 0, rejected });
  await drain();
  assertEquals(store.reading.length > 0, true);
  const shutdown = raft.shutdown();
  await environment.advance(0);
  assertEquals(raft.state, "shutdown");
  const frames = sent.length;
  for (const read of store.reading) read.resolve();
  await environment.advance(1_000);
  assertEquals(sent.slice(frames), []);
  for (const write of store.writing) write.resolve();
  await shutdown;
});

test("Driver voids what it believes of time when a turn comes later than half a lease, and not before", async () => {
  for (const [lateMs, expected] of [[249, 0], [251, 1]] as const) {
    const { lead, observed, environment, stop } = await setUp();
    await lead();
    const events: string[] = [];
    const { core } = observed;
    const step = core!.step.bind(core!);
    core!.step = (event: Event, now: number) => (events.push(event.type), step(event, now));
    await environment.jump(core!.deadline - environment.now() + lateMs);
    assertEquals(events.filter((type) => type === "clock-jumped").length, expected, `${lateMs} ms late`);
    assertEquals(events.includes("deadline-reached"), true);
    await stop();
  }
});

test("Driver doubts the lease when the wall clock runs ahead, before it takes a read that counts on it, and no other", async () => {
  for (const [aheadMs, expected] of [[5, []], [6, ["clock-doubted"]]] as const) {
    const { lead, observed, environment, raft, stop } = await setUp();
    await lead();
    const events: string[] = [];
    const { core } = observed;
    const step = core!.step.bind(core!);
    core!.step = (event: Event, now: number) => (events.push(event.type), step(event, now));
    environment.wallOffsetMs += aheadMs;
    watch(raft.read(() => 0, { consistency: "lease" }));
    await drain();
    assertEquals(events.filter((type) => type !== "drained"), [...expected, "read-requested"]);
    // The machine may sleep in the middle of a turn as well, and what was too short to tell counts together with that.
    events.length = 0;
    watch(raft.read(() => (environment.wallOffsetMs += aheadMs, watch(raft.read(() => 0, { consistency: "lease" }))), {
      consistency: "stale",
    }));
    await drain();
    assertEquals(events.filter((type) => type !== "drained"), ["clock-doubted", "read-requested"]);
    await stop();
  }
});

test("Driver hears a heartbeat that waited while the process slept before it campaigns", async () => {
  const { append, raft, environment, receive, stop } = await setUp();
  await append("b", {});
  const message = { type: "append-request", term: 2, sequence: 2, prevIndex: 1, prevTerm: 1, end: 2 } as const;
  const beat = { ...message, runs: [], configurations: [], commitIndex: 1, round: 2, isLeased: false };
  // The timer is due first, the frame comes in the turn after it.
  environment.setTimeout(() => environment.setTimeout(() => receive("b", beat), 0), 400);
  const { now } = environment;
  let skew = 0;
  environment.now = () => now.call(environment) + skew;
  await environment.advance(399);
  skew = 5_000;
  await environment.advance(1);
  assertEquals([raft.state, raft.leader?.id, raft.currentTerm], ["follower", "b", 2]);
  await stop();
});

test("Driver counts a send that was not taken, a broken peer, and keeps going", async () => {
  const { handler, raft, stop } = await setUp();
  const events = raft.events({ filter: ({ type }) => type === "peer-trouble" });
  handler().onTrouble({ kind: "protocol-error", peer: "b", address: "b", reason: "bad checksum" });
  handler().onTrouble({ kind: "handshake-refused", peer: undefined, address: undefined, reason: "wrong cluster" });
  handler().onTrouble({ kind: "dial-failed", peer: "c", address: "c", reason: "ECONNREFUSED" });
  assertEquals(raft.metrics().protocolErrors, 2);
  assertEquals((await events.next()).value, {
    type: "peer-trouble",
    peer: "b",
    kind: "protocol-error",
    reason: "bad checksum",
  });
  await stop();
});

test("Driver knows who is connected, tells of it, and asks nobody else", async () => {
  const { handler, raft, append, sent, stop } = await setUp();
  const events = raft.events({ filter: ({ type }) => type.startsWith("peer-") });
  await append("b", {});
  assertEquals(raft.status.servers.map(({ connected }) => connected), [true, true, true]);
  handler().onDisconnect("b", "consensus", "closed by peer");
  assertEquals(raft.status.servers.map(({ connected }) => connected), [true, false, true]);
  assertEquals((await events.next()).value, { type: "peer-disconnected", peer: "b", reason: "closed by peer" });
  void watch(raft.apply(Uint8Array.of(1)));
  await drain();
  assertEquals(of(sent, "forward-request"), []);
  handler().onConnect(remote("b"), "consensus");
  await drain();
  assertEquals(of(sent, "forward-request").map(({ to }) => to), ["b"]);
  await stop();
});

test("Driver tells callers at once when the connection is lost over which their commands went", async () => {
  const { handler, raft, append, environment, stop } = await setUp();
  await append("b", {});
  const call = watch(raft.apply(Uint8Array.of(1)));
  await drain();
  const before = environment.now();
  handler().onDisconnect("b", "consensus", "closed by peer");
  assertEquals([(await call).text, environment.now()], ["leadership-lost unknown", before]);
  await stop();
});

test("Driver asks for votes soon when the leader's end closes the connection, and not when this end gave it up", async () => {
  for (const [isClosedByPeer, asks] of [[true, true], [false, false], [undefined, false]] as const) {
    const { handler, raft, append, environment, sent, stop } = await setUp({
      electionMinMs: 5_000,
      electionMaxMs: 5_001,
      reconnectWaitMs: 40,
    });
    await append("b", {});
    handler().onDisconnect("b", "consensus", "closed by peer", isClosedByPeer);
    await drain();
    await environment.advance(100);
    assertEquals([raft.state, of(sent, "vote-request").length > 0], [asks ? "pre-candidate" : "follower", asks]);
    await stop();
  }
});

test("Driver belongs to one cluster for ever, whatever a leader says", async () => {
  const { handler, raft, store, stop } = await setUp();
  const { clusterId } = raft.status;
  const message = { type: "append-request", term: 2, sequence: 1, prevIndex: 1, prevTerm: 1, end: 2 } as const;
  const about = { runs: [], configurations: [], commitIndex: 0, round: 1, isLeased: false };
  const frame = encodeMessage({ ...message, ...about })[0]!;
  handler().onFrame({ ...remote("b"), clusterId: "another" }, "consensus", frame);
  await drain();
  assertEquals([raft.status.clusterId, store.writes.some((write) => write.clusterId === "another")], [
    clusterId,
    false,
  ]);
  await stop();
});

test("Driver ignores the bulk channel's connections when it tells who is connected", async () => {
  const { handler, raft, stop } = await setUp();
  handler().onDisconnect("b", "bulk", "closed by peer");
  assertEquals(raft.status.servers.map(({ connected }) => connected), [true, true, true]);
  await stop();
});

test("Driver sends the next command of who has just got an answer together with the news of the commit", async () => {
  const { lead, receive, raft, sent, stop } = await setUp();
  await lead();
  const toB = () => sent.flatMap(({ to, message }) => to === "b" && message.type === "append-request" ? [message] : []);
  const acknowledge = async () => {
    const { sequence, end } = toB().at(-1)!;
    sent.length = 0;
    receive("b", { type: "append-response", term: 2, sequence, round: 0, matchIndex: end - 1, rejected: undefined });
    await drain();
  };
  const news = () => toB().map(({ prevIndex, end, commitIndex }) => [prevIndex, end, commitIndex]);
  await acknowledge();
  const calls = (async () => [await raft.apply(Uint8Array.of(1)), await raft.apply(Uint8Array.of(2))])();
  await drain();
  await acknowledge();
  assertEquals(news(), [[3, 5, 3]]);
  // Nobody has more: the news travels alone, and at once.
  await acknowledge();
  assertEquals(news(), [[4, 5, 4]]);
  assertEquals((await calls).length, 2);
  await stop();
});

test("Raft.metrics() counts each result once, with the time that it took", async () => {
  const { environment, lead, receive, raft, stop } = await setUp();
  await lead();
  const calls = [raft.apply(Uint8Array.of(1)), raft.apply(Uint8Array.of(2))];
  await environment.advance(30);
  receive("b", { type: "append-response", term: 2, sequence: 1, round: 0, matchIndex: 4, rejected: undefined });
  await Promise.all(calls);
  const { count, sumMs } = raft.metrics().commitMs;
  assertEquals([count, sumMs, raft.metrics().commitMs.count], [2, 60, 2]);
  await stop();
});
