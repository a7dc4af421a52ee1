import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../src/errors.ts";
import { Cluster } from "./cluster.ts";
import { diskOf } from "./disk.ts";
import { numbered, review } from "./review.ts";
import {
  accepted,
  append,
  coreOf,
  deadline,
  drained,
  following,
  leaderOf,
  receive,
  rejected,
  runsOf,
  sends,
  take,
} from "./states.ts";

const { entry, complete } = review("BL", numbered("BL", 25), {
  BL11: "snapshot_install_test.ts and compaction_test.ts",
  BL12: "reading is the sender's: sender_test.ts",
  BL16: "which snapshot fits which log is judged before a core starts: snapshot_start_test.ts",
  BL17: "a failed write is the driver's and the store's: writer_test.ts, wal_damage_test.ts",
  BL18: "the truncation mark on disk is the store's: wal_crash_test.ts",
  BL19: "a truncation that fails is the store's: wal_damage_test.ts",
  BL20: "compaction_test.ts",
});

const to4 = { term: 4, prevIndex: 2, prevTerm: 1 };

entry("BL01", "a delayed append does not erase what came after it", () => {
  const core = coreOf({ terms: [1, 1, 4, 4, 4], state: following("b", { verifiedIndex: 5 }) });
  const { effects } = receive(core, "b", append({ ...to4, terms: [4] }));
  assertEquals(effects, [sends("b", accepted({ term: 4, matchIndex: 5 }))]);
  assertEquals(core.state.log.lastIndex, 5);
});

entry("BL02", "an append of a new term removes nothing unless an entry conflicts", () => {
  const core = coreOf({ terms: [1, 1, 2, 2] });
  receive(core, "b", append({ term: 3, prevIndex: 1 }));
  receive(core, "b", append({ term: 3, prevIndex: 1, terms: [1, 2] }));
  assertEquals([core.state.log.lastIndex, core.state.epoch], [4, 0]);
});

entry("BL03", "an acknowledgement reaches as far as the append, not as the log", () => {
  const core = coreOf({ terms: [1, 1, 1, 1] });
  assertEquals(
    receive(core, "b", append({ prevIndex: 1, terms: [1] })).effects.at(-1),
    sends("b", accepted({ matchIndex: 2 })),
  );
});

entry("BL04", "what a new leader overwrote is not acknowledged before it is durable again", () => {
  const core = coreOf({ terms: [1, 1, 2, 2], term: 3 });
  const { effects } = receive(core, "b", append({ term: 3, prevIndex: 2, terms: [3, 3], round: 1 }));
  assertEquals(core.state.persistedIndex, 2);
  assertEquals(effects.at(-1), sends("b", accepted({ term: 3, round: 1, matchIndex: 2 })));
});

entry("BL05", "a write of an earlier term is not credited to the entries of a later one", () => {
  const core = coreOf({ terms: [1, 1] });
  receive(core, "b", append({ prevIndex: 2, terms: [1, 1] }));
  receive(core, "c", append({ term: 2, prevIndex: 2, terms: [2, 2] }));
  receive(core, "c", append({ term: 2, prevIndex: 4, prevTerm: 2 }));
  assertEquals(take(core, { type: "entries-persisted", end: 5, epoch: 0 }).effects, []);
  assertEquals(core.state.persistedIndex, 2);
});

entry("BL06", "an entry that was written, removed and written again counts from its second write (ABA)", () => {
  const core = coreOf({ terms: [1, 1], term: 2 });
  const fits = { prevIndex: 2, prevTerm: 1 };
  receive(core, "b", append({ ...fits, term: 2, terms: [2] }));
  receive(core, "c", append({ ...fits, term: 3, terms: [3] }));
  receive(core, "b", append({ ...fits, term: 4, terms: [2] }));
  take(core, { type: "vote-persisted", sequence: 2 });
  for (const epoch of [0, 1]) assertEquals(take(core, { type: "entries-persisted", end: 4, epoch }).changes, {});
  assertEquals(take(core, { type: "entries-persisted", end: 4, epoch: 2 }).effects, [
    sends("b", accepted({ term: 4, matchIndex: 3 })),
  ]);
});

entry("BL07", "writes that complete out of order leave the larger index", () => {
  const core = leaderOf({ servers: "a", terms: [1, 2, 2, 2], state: { persistedIndex: 1 } });
  take(core, { type: "entries-persisted", end: 5, epoch: 0 });
  take(core, { type: "entries-persisted", end: 3, epoch: 0 });
  assertEquals([core.state.persistedIndex, core.state.commitIndex], [4, 4]);
});

entry("BL08", "acknowledgements from before a removal don't count for the leader that caused it", () => {
  const core = leaderOf({ terms: [1, 4, 4] });
  assertEquals(receive(core, "b", accepted({ term: 3, matchIndex: 3 })).changes, {});
  assertEquals(receive(core, "b", accepted({ term: 4, matchIndex: 3 })).changes["b.matchIndex"], 3);
});

entry("BL09", "old and repeated answers move nothing back", () => {
  const core = leaderOf({ terms: [1, 2, 2], progress: { b: { matchIndex: 2 } } });
  for (const matchIndex of [0, 1, 2]) receive(core, "b", accepted({ term: 2, matchIndex }));
  const { matchIndex, nextIndex } = core.state.leading!.progress.get("b")!;
  assertEquals([matchIndex, nextIndex], [2, 4]);
});

entry("BL10", "stale rejections don't rewind", () => {
  const core = leaderOf({ terms: [1, 2, 2, 2], progress: { b: { matchIndex: 3, stateSequence: 5 } } });
  assertEquals(receive(core, "b", rejected(3, 1, 1, { term: 2, sequence: 9 })).changes, {});
  assertEquals(receive(core, "b", rejected(4, 1, 1, { term: 2, sequence: 4 })).changes, {});
});

entry("BL13", "each append begins where the one before was cut", () => {
  const core = leaderOf({ terms: [1, 2, 2, 2, 2], progress: { b: { nextIndex: 2 } }, servers: "a b" });
  const froms: number[] = [];
  for (const end of [3, 4, 6]) {
    const [effect] = take(core, drained).effects;
    if (effect?.type !== "replicate") break;
    froms.push(effect.from);
    take(core, { type: "sent", to: "b", term: 2, sequence: effect.sequence, end, bytes: 1 });
  }
  assertEquals([froms, take(core, drained).effects], [[2, 3, 4], []]);
});

const compacted = () => ({ firstIndex: 6, lastIndex: 7, prevTerm: 1, runs: runsOf([2, 2], 6) });

entry("BL14", "an append behind what was compacted fits: it was committed", () => {
  const core = coreOf({ term: 3, state: { log: compacted(), commitIndex: 5, persistedIndex: 7 } });
  const { effects } = receive(core, "b", append({ term: 3, prevIndex: 3, prevTerm: 1, terms: [1, 1, 2] }));
  assertEquals(effects.map(({ type }) => type), ["announce-role", "send"]);
  assertEquals(effects[1], sends("b", accepted({ term: 3, matchIndex: 6 })));
});

entry("BL15", "a heartbeat is sent after the entry before the next one, whatever is committed", () => {
  const core = leaderOf({ terms: [1, 1, 2], state: { commitIndex: 1 }, progress: { b: { heartbeatDue: true } } });
  const [effect] = take(core, drained).effects;
  assert(effect?.type === "replicate");
  assertEquals([effect.from, effect.prevTerm, effect.end], [4, 2, 4]);
});

entry("BL21", "a removal of the first entry, of the last one and of all but the committed ones", () => {
  for (const from of [2, 3, 4]) {
    const core = coreOf({ terms: [1, 2, 2, 2], state: { commitIndex: 1 } });
    const terms = [2, 2, 2].slice(0, from - 2);
    receive(core, "b", append({ term: 3, prevIndex: 1, terms: [...terms, 3] }));
    assertEquals([core.state.log.lastIndex, core.state.persistedIndex], [from, from - 1]);
  }
});

entry("BL22", "a refusal because of a conflict names an entry before it, not the last one", () => {
  const core = coreOf({ terms: [1, 1, 3, 3, 3, 3] });
  const { effects } = receive(core, "b", append({ term: 4, prevIndex: 4, prevTerm: 2 }));
  const { withheld } = core.state;
  assertEquals([effects.length, withheld[0]!.message], [2, rejected(4, 2, 1, { term: 4 })]);
});

entry("BL23", "a stale append that ends before all that is held does no harm", () => {
  const core = coreOf({ term: 3, state: { log: compacted(), commitIndex: 5, persistedIndex: 7 } });
  const { effects } = receive(core, "b", append({ term: 3, prevIndex: 0, prevTerm: 0, terms: [1, 1] }));
  assertEquals(effects[1], sends("b", accepted({ term: 3, matchIndex: 2 })));
});

entry("BL24", "logs that diverge for long are reconciled in as many refusals as they have terms (BV14)", () => {
  const cluster = new Cluster({ servers: "a b c", settings: { preVote: false } });
  const long = (terms: number[], of: string) => terms.map((term, i) => ({ term, value: `${of} ${i}` }));
  const [first] = cluster.of("a").disk.log;
  cluster.of("a").disk = diskOf({ term: 9, votedFor: undefined }, [
    first!,
    ...long(Array(40).fill(2), "a"),
    ...long(Array(40).fill(7), "a"),
  ]);
  cluster.of("b").disk = diskOf({ term: 9, votedFor: undefined }, [
    first!,
    ...long(Array(60).fill(3), "b"),
    ...long(Array(60).fill(6), "b"),
  ]);
  for (const id of ["a", "b"]) cluster.restart(id);
  cluster.elect("a");
  const refusals = cluster.of("b").trace.filter((it) =>
    it.type === "send" && it.message.type === "append-response" && it.message.rejected !== undefined
  );
  assertEquals(cluster.of("b").log, cluster.of("a").log);
  assert(refusals.length <= 4, `${refusals.length} refusals`);
});

entry("BL25", "a follower's hint never leads outside of the log or below what matches", () => {
  for (const hintIndex of [-1, 0, 3, 4, 99]) {
    for (const hintTerm of [-1, 0, 2, 99]) {
      const core = leaderOf({ terms: [1, 2, 2, 2], progress: { b: { matchIndex: 1 } } });
      receive(core, "b", rejected(4, hintIndex, hintTerm, { term: 2, sequence: 9 }));
      const { nextIndex } = core.state.leading!.progress.get("b")!;
      assert(nextIndex >= 2 && nextIndex <= 4, `${hintIndex} ${hintTerm}: ${nextIndex}`);
    }
  }
});

complete();

// The pitfalls of hashicorp/raft that concern the core.
const pitfalls = review("P", ["P1", "P3", "P7", "P9", "P14", "P15", "P19", "P20"], {});

pitfalls.entry(
  "P1",
  "a heartbeat of a later term ends the leadership in one step, with nothing of it half done",
  () => {
    const core = leaderOf({ terms: [1, 2], progress: { b: { heartbeatDue: true } }, leading: { readsWaiting: [4] } });
    receive(core, "c", append({ term: 3, prevIndex: 2, prevTerm: 2 }));
    assertEquals([core.state.role, core.state.leading, core.state.term, core.state.leader], [
      "follower",
      undefined,
      3,
      "c",
    ]);
    for (const event of [drained, { type: "proposed", count: 1 } as const]) {
      assert(!take(core, event).effects.some(({ type }) => type === "append" || type === "replicate"));
    }
  },
);

pitfalls.entry("P3", "answers to what was sent before a read was asked for don't prove leadership", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  cluster.tick("a");
  cluster.deliver("a", "b");
  const read = cluster.read("a");
  cluster.deliver("b", "a");
  assertEquals(cluster.of("a").reads.has(read), false);
  cluster.settle();
  assertEquals(cluster.of("a").reads.get(read), 2);
});

pitfalls.entry("P7", "one refusal does not wedge a pipeline", () => {
  const cluster = new Cluster({ settings: { appendEntriesMax: 1 } });
  cluster.elect("a");
  cluster.propose("a", 3);
  cluster.drop((packet) => packet === cluster.between("a", "b")[0]);
  cluster.settle();
  assertEquals(cluster.of("b").log, cluster.of("a").log);
});

pitfalls.entry("P9", "after a crash between term and vote the candidate's log is still looked at", () => {
  const cluster = new Cluster({ persistence: "delayed" });
  cluster.of("a").disk.vote = { term: 3, votedFor: undefined };
  cluster.restart("a");
  const stale = {
    ...append(),
    type: "vote-request",
    term: 3,
    pre: false,
    lastIndex: 0,
    lastTerm: 0,
    transfer: false,
  } as const;
  cluster.hand({ from: "b", to: "a", message: stale, entries: [] });
  assertEquals(cluster.of("a").core.state.votedFor, undefined);
});

pitfalls.entry("P14", "heartbeats take no other path than appends: one that is not credible is not heard", () => {
  const core = coreOf({ state: following("b", { electionAt: 1000 }) });
  assertEquals(receive(core, "c", append({ term: 2 + 2 ** 40 }), 900), { effects: [], changes: {} });
  assertEquals(take(core, deadline, 1000).effects.length, 3);
});

pitfalls.entry("P15", "an append that conflicts with a committed entry stops the server and removes nothing", () => {
  const core = coreOf({ terms: [1, 1, 1], state: following("b", { commitIndex: 3, appliedIndex: 3 }) });
  assertThrows(() => receive(core, "c", append({ term: 2, prevIndex: 1, terms: [2] })), InvariantError);
  assertEquals([core.state.log.lastIndex, core.state.appliedIndex], [3, 3]);
});

pitfalls.entry("P19", "a leader that is told of a later term adopts it at once", () => {
  const core = leaderOf({ terms: [1, 2] });
  receive(core, "b", accepted({ term: 7 }));
  assertEquals([core.state.term, core.state.role, core.state.votedFor], [7, "follower", undefined]);
});

pitfalls.entry(
  "P20",
  "a peer that comes back is sent entries at the next heartbeat or connection, however long it was away",
  () => {
    const core = leaderOf({ servers: "a b", terms: [1, 2], progress: { b: { nextIndex: 2, blocked: true } } });
    assertEquals(take(core, drained).effects, []);
    take(core, { type: "peer-connected", peer: "b" });
    const [effect] = take(core, drained).effects;
    assertEquals(effect?.type === "replicate" && [effect.from, effect.end], [2, 3]);
  },
);

pitfalls.complete();
