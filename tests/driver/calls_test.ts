import { assertEquals, assertThrows } from "@std/assert";
import { Calls, type CallsHost } from "../../src/driver/calls.ts";
import type { Item } from "../../src/driver/item.ts";
import { Peers } from "../../src/driver/peers.ts";
import { Proposal } from "../../src/driver/proposal.ts";
import { ProtocolError, ShutdownError } from "../../src/errors.ts";
import type { ForwardResponse } from "../../src/message.ts";
import { EntryType } from "../../src/types.ts";
import { decodeMessage } from "../../src/wire/message_codec.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

const remote = (serverId: string) => (
  { serverId, clusterId: "test", incarnation: `disk of ${serverId}`, starts: 1, address: `${serverId}:1`, protocol: 1 }
);

interface FakeState {
  leader: string | undefined;
  term: number;
  commitIndex: number;
  voteAsked: number;
  votePersisted: number;
}

/** The calls of server `a` with peers `b` and `c`, whose core is a record of fields. */
function setUp(inFlightCountMax = 100) {
  const environment = new VirtualEnvironment();
  const state: FakeState = { leader: "b", term: 4, commitIndex: 0, voteAsked: 1, votePersisted: 1 };
  const sent: { to: string; message: ReturnType<typeof decodeMessage>; checkedBytes: number | undefined }[] = [];
  const link = { taken: true, throws: false };
  const peers = new Peers("a");
  peers.link = {
    send: (to, _address, _channel, parts, checkedBytes) => {
      if (link.throws) throw new Error("broken link");
      const message = decodeMessage(new Uint8Array(parts.flatMap((part) => [...part])));
      if (link.taken) sent.push({ to, message, checkedBytes });
      return link.taken;
    },
    setPeers: () => {},
    close: () => Promise.resolve(),
  };
  const servers = ["a", "b", "c"].map((id) => ({ id, address: `${id}:1`, suffrage: "voter" as const }));
  peers.configure({ servers }, []);
  for (const id of ["b", "c"]) peers.connect(remote(id));
  const [taken, enqueued]: [Item[], Item[]] = [[], []];
  const turns = { count: 0, gathered: 0 };
  const host = {
    id: "a",
    environment,
    peers,
    state,
    appliedIndex: () => 0,
    take: (item: Item) => void taken.push(item),
    enqueue: (item: Item) => void enqueued.push(item),
    schedule: () => void turns.count++,
    scheduleGathered: () => void turns.gathered++,
  };
  const bytes = { inFlightBytesMax: 1e6, appendBytesMax: 100, commandBytesMax: 500 };
  const limits = { inFlightCountMax, leaderWaitMs: 1_000, electionMaxMs: 1_000, ...bytes };
  const calls = new Calls(host as unknown as CallsHost, limits);
  const told: string[] = [];
  const propose = (bytes = 10, name = "command") => {
    const entry = { type: EntryType.command, flags: 0, payload: new Uint8Array(bytes) };
    const reject = (error: unknown) => {
      const { code, outcome } = error as { code: string; outcome: string };
      told.push(`${name}: ${code} ${outcome}`);
    };
    const proposal = new Proposal(entry, environment.now(), ({ index }) => told.push(`${name}: ${index}`), reject);
    calls.propose(proposal);
    return proposal;
  };
  const answer = (from: string, over: Partial<ForwardResponse>) => {
    const asked = sent.findLast(({ message }) => message.message.type === "forward-request")!.message.message;
    if (asked.type !== "forward-request") throw new Error("nothing was forwarded");
    calls.onForwardResponse(from, {
      type: "forward-response",
      term: 4,
      id: asked.id,
      from: 5,
      entryTerm: 4,
      refusal: undefined,
      leader: undefined,
      ...over,
    });
  };
  return { environment, state, sent, link, peers, taken, enqueued, turns, host, calls, told, propose, answer };
}

const refused = { from: 0, entryTerm: 0, refusal: "not-leader" } as const;

test("Calls.propose() asks for a turn, or one with others when some are under way; dispatch() hands all that came to our own core when it leads", () => {
  const { calls, propose, state, taken, turns } = setUp();
  state.leader = "a";
  propose();
  propose();
  assertEquals(turns, { count: 1, gathered: 1 });
  calls.dispatch();
  assertEquals(taken.map(({ event }) => event), [{ type: "proposed", count: 2 }]);
});

test("Calls.dispatch() forwards to a leader elsewhere, cut into frames; a larger command travels alone", () => {
  const { calls, propose, sent } = setUp();
  for (const bytes of [60, 40, 1, 500, 50]) propose(bytes);
  calls.dispatch();
  assertEquals(sent.map(({ to, message }) => [to, message.commands!.map(({ payload }) => payload.length)]), [
    ["b", [60, 40]],
    ["b", [1]],
    ["b", [500]],
    ["b", [50]],
  ]);
});

test("Calls.dispatch() claims no term that is not durable (E4)", () => {
  const { calls, propose, state, sent } = setUp();
  calls.dispatch();
  Object.assign(state, { term: 5, voteAsked: 2 });
  propose();
  calls.dispatch();
  Object.assign(state, { votePersisted: 2 });
  propose();
  calls.dispatch();
  assertEquals(sent.map(({ message }) => message.message.term), [4, 5]);
});

test("Calls.dispatch() waits for a leader, and for a connection to it", () => {
  const { calls, propose, state, sent, peers, taken } = setUp();
  state.leader = undefined;
  propose();
  calls.dispatch();
  state.leader = "b";
  peers.disconnect("b");
  calls.dispatch();
  assertEquals([sent.length, taken.length], [0, 0]);
  peers.connect(remote("b"));
  calls.dispatch();
  assertEquals(sent.length, 1);
});

test("Calls keeps a command that could not be sent, and sends it later", () => {
  const { calls, propose, sent, link, told } = setUp();
  link.taken = false;
  propose();
  calls.dispatch();
  link.taken = true;
  calls.dispatch();
  assertEquals([sent.length, told.length, calls.pending.count], [1, 0, 1]);
});

test("Calls.onForwardResponse() that refuses: the command goes to the next leader, not to this one at once (BK09)", () => {
  const { calls, propose, state, sent, answer } = setUp();
  propose();
  calls.dispatch();
  answer("b", refused);
  calls.dispatch();
  assertEquals(sent.map(({ to }) => to), ["b"]);
  state.leader = "c";
  calls.onLeaderChanged(true);
  calls.dispatch();
  assertEquals(sent.map(({ to }) => to), ["b", "c"]);
});

test("Calls asks a server that refused again after a while, and gives up after leaderWaitMs (K4)", async () => {
  const { calls, propose, sent, answer, environment, told, host } = setUp();
  host.schedule = () => {
    calls.dispatch();
    calls.armSweep();
  };
  propose();
  for (let at = 0; at < 1_200; at += 50) {
    if (told.length === 0) answer("b", refused);
    await environment.advance(50);
  }
  assertEquals(sent.length > 10 && sent.length < 30, true, `asked ${sent.length} times`);
  assertEquals(told, ["command: not-leader not-applied"]);
  assertEquals([calls.pending.count, environment.timerCount], [0, 0]);
});

test("Calls.onForwardResponse() of a leadership that is over: the command is given up when its entry never comes", () => {
  for (const over of [{ leader: "c" }, { leader: undefined }, { term: 5 }]) {
    const { calls, propose, state, answer, environment, told } = setUp();
    propose();
    calls.dispatch();
    Object.assign(state, over);
    calls.onLeaderChanged(true);
    answer("b", {});
    environment.now = () => 1_000;
    calls.pending.sweep();
    assertEquals(told, ["command: leadership-lost unknown"]);
  }
});

test("Calls.onForwardResponse() of the leader that is followed: the command waits for its entry, however long", () => {
  const { calls, propose, answer, environment, told } = setUp();
  propose();
  calls.dispatch();
  answer("b", {});
  environment.now = () => 1e9;
  calls.pending.sweep();
  assertEquals(told, []);
  calls.pending.onApplied(5, 4, { ok: true, value: 0 });
  assertEquals(told, ["command: 5"]);
});

test("Calls.onPeerLost() says unknown: whether the forward arrived nobody knows (BK02)", () => {
  const { calls, propose, told, sent } = setUp();
  propose();
  calls.dispatch();
  calls.onPeerLost("b");
  calls.dispatch();
  assertEquals(told, ["command: leadership-lost unknown"]);
  assertEquals(sent.length, 1);
});

test("Calls.onPeerLost() asks again what that server was asked to read", () => {
  const { calls, state, sent, environment } = setUp();
  const answers: unknown[] = [];
  const read = {
    startedAt: environment.now(),
    isSettled: false,
    answer: (index: number) => void answers.push(index),
    reject: (error: unknown) => void answers.push(error),
  };
  calls.read(read, undefined);
  calls.dispatch();
  calls.onPeerLost("b");
  state.leader = "c";
  calls.onLeaderChanged(false);
  calls.dispatch();
  assertEquals(sent.map(({ to, message }) => [to, message.message.type]), [["b", "read-request"], [
    "c",
    "read-request",
  ]]);
  assertEquals(answers, []);
});

test("Calls.dispatch() asks for reads that a lease will do for apart from the others, here and elsewhere", () => {
  for (const leader of ["a", "b"]) {
    const { calls, sent, state, taken, environment } = setUp();
    state.leader = leader;
    const read = (isLease: boolean) => {
      const rest = { startedAt: environment.now(), isSettled: false, answer: () => {}, reject: () => {} };
      calls.read({ ...rest, isLease }, undefined);
    };
    for (const isLease of [true, false, true]) read(isLease);
    calls.dispatch();
    calls.dispatch();
    const here = taken.map(({ event }) => event.type === "read-requested" && event.isLease === true);
    const there = sent.map(({ message: { message } }) => message.type === "read-request" && message.isLease);
    assertEquals([here, there], leader === "a" ? [[false, true], []] : [[], [false, true]]);
  }
});

test("ForwardedCalls.onReadRequest() passes on whether a lease will do", () => {
  const { calls, enqueued } = setUp();
  for (const isLease of [true, false]) {
    const message = { type: "read-request", term: 4, id: 1, isLease } as const;
    assertEquals(calls.onMessage("c", { message }), undefined);
  }
  assertEquals(enqueued.map(({ event }) => event.type === "read-requested" && event.isLease === true), [true, false]);
});

test("Calls.onProposalsRefused() while we hand over: the commands wait for the next leader (BA14)", () => {
  const { calls, propose, state, taken, told, sent } = setUp();
  state.leader = "a";
  propose();
  calls.dispatch();
  const effect = { type: "refuse-proposals", reason: "transferring", leader: "a" } as const;
  calls.onProposalsRefused(taken[0]!.origin!, effect);
  state.leader = "b";
  calls.onLeaderChanged(true);
  calls.dispatch();
  assertEquals([told.length, sent[0]!.to], [0, "b"]);
});

test("Calls answers a peer whose commands were appended, or refused", () => {
  const { calls, sent, enqueued } = setUp();
  calls.dispatch();
  calls.forwarded.onForwardRequest("c", 77, [{ type: EntryType.command, flags: 0, payload: new Uint8Array(1) }]);
  assertEquals(enqueued.map(({ event }) => event), [{ type: "proposed", count: 1 }]);
  const origin = enqueued[0]!.origin!;
  calls.onAppended(origin, 9, 4);
  calls.onProposalsRefused(origin, { type: "refuse-proposals", reason: "not-leader", leader: "b" });
  const common = { type: "forward-response", term: 4, id: 77 };
  assertEquals(sent.map(({ to, message }) => [to, message.message as unknown]), [
    ["c", { ...common, from: 9, entryTerm: 4, refusal: undefined, leader: undefined }],
    ["c", { ...common, from: 0, entryTerm: 0, refusal: "not-leader", leader: "b" }],
  ]);
});

const forwarded = (...bytes: number[]) =>
  bytes.map((length) => ({ type: EntryType.command, flags: 0, payload: new Uint8Array(length) }));

test("ForwardedCalls.onForwardRequest() takes a command of commandBytesMax, and refuses one byte more", () => {
  const { calls, sent, enqueued } = setUp();
  calls.dispatch();
  calls.forwarded.onForwardRequest("c", 1, forwarded(500));
  assertEquals([sent.length, enqueued.length], [0, 1]);
  calls.forwarded.onForwardRequest("c", 2, forwarded(1, 501));
  assertEquals(enqueued.length, 1);
  assertEquals(sent.map(({ to, message }) => [to, message.message as unknown]), [
    ["c", { ...refused, type: "forward-response", term: 4, id: 2, refusal: "too-large", leader: undefined }],
  ]);
});

test("Calls sends commands again one by one when the leader takes none as large as one of them", () => {
  const { calls, propose, sent, told, answer, turns } = setUp();
  propose(10, "small");
  propose(90, "large");
  calls.dispatch();
  const before = turns.count;
  answer("b", { ...refused, refusal: "too-large" });
  assertEquals([told, turns.count > before], [[], true]);
  calls.dispatch();
  const sizes = sent.map(({ message }) => message.commands!.map(({ payload }) => payload.length));
  assertEquals(sizes, [[10, 90], [10], [90]]);
  answer("b", { ...refused, refusal: "too-large" });
  assertEquals(told, ["large: undefined undefined"], "a RangeError, which has no code");
  assertEquals(calls.pending.count, 1);
});

test("ForwardedCalls.onForwardRequest() takes so many commands of all peers together, until they are applied or refused", () => {
  const { calls, sent, enqueued, state } = setUp(3);
  const isTaken = (peer: string, count: number) => {
    const before = [enqueued.length, sent.length];
    calls.forwarded.onForwardRequest(peer, 1, forwarded(...Array(count).fill(1)));
    const [taken, refused] = [enqueued.length - before[0]!, sent.length - before[1]!];
    assertEquals(taken + refused, 1);
    return taken === 1;
  };
  assertEquals([isTaken("b", 2), isTaken("c", 1), isTaken("c", 1)], [true, true, false]);
  calls.onAppended(enqueued[0]!.origin!, 7, 4);
  calls.onApplied(7);
  assertEquals(isTaken("c", 1), false);
  calls.onApplied(8);
  assertEquals([isTaken("c", 2), isTaken("c", 1)], [true, false]);
  calls.onProposalsRefused(enqueued[1]!.origin!, { type: "refuse-proposals", reason: "not-leader", leader: "b" });
  assertEquals([isTaken("c", 1), isTaken("c", 1)], [true, false]);
  // Of what is in the log another leader decides; the last command still waits for our own core.
  calls.onAppended(enqueued[2]!.origin!, 9, 4);
  state.leader = undefined;
  calls.onLeaderChanged(true);
  assertEquals([isTaken("c", 3), isTaken("c", 2), isTaken("c", 1)], [false, true, false]);
});

test("Calls forwards commands under the checksum of the whole frame: they carry none of their own", () => {
  const { calls, propose, sent } = setUp();
  propose();
  calls.dispatch();
  assertEquals(sent.map(({ checkedBytes }) => checkedBytes), [undefined]);
});

test("ForwardedCalls.onForwardRequest() without commands is a broken protocol, not an empty entry", () => {
  const { calls, enqueued } = setUp();
  assertThrows(() => calls.forwarded.onForwardRequest("c", 1, []), ProtocolError);
  assertEquals(enqueued, []);
});

test("Calls answers a peer's read with the index that our core gave, or none", () => {
  const { calls, sent, enqueued } = setUp();
  calls.dispatch();
  calls.forwarded.onReadRequest("c", 7);
  calls.forwarded.onReadRequest("b", 7);
  const ids = enqueued.map(({ event }) => event.type === "read-requested" ? event.id : 0);
  assertEquals(new Set(ids).size, 2);
  calls.onReadIndex(ids[1]!, undefined);
  calls.onReadIndex(ids[0]!, 12);
  assertEquals(sent.map(({ to, message }) => [to, message.message as unknown]), [
    ["b", { type: "read-response", term: 4, id: 7, index: undefined }],
    ["c", { type: "read-response", term: 4, id: 7, index: 12 }],
  ]);
});

test("Calls forgets what a peer asked when its connection is lost: its next start counts anew (BR03)", () => {
  const { calls, sent, enqueued } = setUp();
  calls.dispatch();
  calls.forwarded.onReadRequest("c", 7);
  calls.onPeerLost("c");
  const { event } = enqueued[0]!;
  calls.onReadIndex(event.type === "read-requested" ? event.id : 0, 12);
  assertEquals(sent, []);
});

test("Calls.close() settles commands that were being sent when something broke (P5)", () => {
  const { calls, propose, link, told } = setUp();
  for (let i = 0; i < 3; i++) propose(90, `${i}`);
  link.throws = true;
  assertThrows(() => calls.dispatch(), Error, "broken link");
  calls.close(new ShutdownError());
  assertEquals(told.sort(), ["0: shutdown unknown", "1: shutdown unknown", "2: shutdown unknown"]);
  assertEquals(calls.pending.count, 0);
});

test("Calls.close() settles commands that our own core choked on (P5)", () => {
  const { calls, propose, state, host, told, environment } = setUp();
  state.leader = "a";
  propose();
  host.take = () => {
    throw new Error("invariant");
  };
  calls.armSweep();
  assertThrows(() => calls.dispatch(), Error, "invariant");
  calls.close(new ShutdownError());
  assertEquals(told, ["command: shutdown unknown"]);
  assertEquals([calls.pending.count, environment.timerCount], [0, 0]);
});

test("Calls.armSweep() sets no timer while nothing waits", () => {
  const { calls, environment, propose } = setUp();
  calls.armSweep();
  assertEquals(environment.timerCount, 0);
  propose();
  calls.armSweep();
  calls.armSweep();
  assertEquals(environment.timerCount, 1);
  calls.close(new ShutdownError());
  assertEquals(environment.timerCount, 0);
});
