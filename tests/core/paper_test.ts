/**
 * The claims of the Raft paper (extended version), one test each, in its order. Where this implementation does something
 * else, or more, the test's name says so after "here".
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "../harness.ts";
import { Cluster } from "./cluster.ts";
import { diskOf } from "./disk.ts";
import {
  accepted,
  announces,
  append,
  campaigning,
  coreOf,
  deadline,
  drained,
  following,
  leaderOf,
  persists,
  receive,
  rejected,
  sends,
  take,
  voteRequest,
  voteResponse,
} from "./states.ts";

const classic = { preVote: false };

// §5.1 Raft basics

test("§5.1 a server starts as a follower and issues no request of its own", () => {
  const { core } = new Cluster().of("a");
  assertEquals([core.state.role, core.state.leader], ["follower", undefined]);
});

test("§5.1 terms are numbered with consecutive integers: a candidate adds one", () => {
  const core = coreOf({ term: 6, settings: classic });
  take(core, deadline, 1000);
  assertEquals(core.state.term, 7);
});

test("§5.1 a term may end without a leader when the vote is split; a new one begins", () => {
  const cluster = new Cluster({ servers: "a b", settings: classic });
  for (const id of ["a", "b"]) cluster.tick(id);
  cluster.settle();
  assertEquals([cluster.leaders, cluster.of("a").core.state.term], [[], 2]);
  cluster.elect("a");
  assertEquals(cluster.of("a").core.state.term, 3);
});

test("§5.1 a server whose term is smaller takes over the larger one", () => {
  const core = coreOf({ term: 2 });
  receive(core, "b", append({ term: 5 }));
  assertEquals(core.state.term, 5);
});

for (
  const [role, core] of [
    ["candidate", () => coreOf({ term: 2, votedFor: "a", state: campaigning(2) })],
    ["leader", () => leaderOf({ terms: [1, 2] })],
  ] as const
) {
  test(`§5.1 a ${role} that finds its term out of date is a follower at once`, () => {
    const it = core();
    receive(it, "b", accepted({ term: 3 }));
    assertEquals([it.state.role, it.state.term], ["follower", 3]);
  });
}

test("§5.1 a request with a stale term is rejected, with the current one", () => {
  const core = coreOf({ term: 4 });
  assertEquals(receive(core, "b", append({ term: 3, sequence: 8, terms: [3] })).effects, [
    sends("b", accepted({ term: 4, sequence: 0 })),
  ]);
  assertEquals(receive(core, "b", voteRequest({ term: 3 })).effects, [
    sends("b", voteResponse({ term: 4, campaign: 3, granted: false })),
  ]);
});

// §5.2 Leader election

test("§5.2 a follower stays one as long as it receives valid requests from a leader", () => {
  const core = coreOf({ state: { electionAt: 1000 } });
  for (let now = 900; now < 9000; now += 900) {
    receive(core, "b", append(), now);
    assertEquals(take(core, deadline, now + 899).effects, []);
  }
});

test("§5.2 a leader sends heartbeats without entries to all followers", () => {
  const core = leaderOf({ terms: [1, 2] });
  take(core, deadline, 50);
  const beats = take(core, drained, 50).effects.map((it) => it.type === "replicate" && [it.to, it.end - it.from]);
  assertEquals(beats, [["b", 0], ["c", 0]]);
});

test("§5.2 a follower that hears nothing for an election timeout begins an election; here it asks first (pre-vote)", () => {
  assertEquals(take(coreOf({ settings: classic }), deadline, 1000).changes["role"], "candidate");
  assertEquals(take(coreOf(), deadline, 1000).changes["role"], "pre-candidate");
});

test("§5.2 to begin it increments its term, votes for itself and asks all others in parallel; here once that is durable", () => {
  const core = coreOf({ settings: classic });
  assertEquals(take(core, deadline, 1000).effects[0], persists(1, 2, "a"));
  const requests = ["b", "c"].map((id) => sends(id, voteRequest({ term: 2 })));
  assertEquals(take(core, { type: "vote-persisted", sequence: 1 }, 1000).effects, requests);
});

test("§5.2 it wins with votes of a majority of the full cluster for the same term", () => {
  const core = coreOf({ servers: "a b c d e", term: 2, votedFor: "a", state: campaigning(2) });
  receive(core, "b", voteResponse());
  receive(core, "c", voteResponse({ campaign: 1 }));
  assertEquals(core.state.role, "candidate");
  receive(core, "c", voteResponse());
  assertEquals(core.state.role, "leader");
});

test("§5.2 a server votes for at most one candidate in a term, first come first served", () => {
  const core = coreOf({ term: 2 });
  receive(core, "b", voteRequest());
  receive(core, "c", voteRequest());
  take(core, { type: "vote-persisted", sequence: 1 });
  assertEquals(core.state.votedFor, "b");
});

test("§5.2 the winner becomes leader and speaks to all, to establish its authority", () => {
  const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  assertEquals(receive(core, "c", voteResponse()).effects[0], announces("leader", 2, "a", "election-won"));
  assertEquals(take(core, drained).effects.map((it) => it.type === "replicate" && it.to), ["b", "c"]);
});

for (const [term, follows] of [[1, false], [2, true], [3, true]] as const) {
  test(`§5.2 a candidate of term 2 ${follows ? "follows" : "rejects"} a leader of term ${term}`, () => {
    const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
    receive(core, "b", append({ term }));
    assertEquals(core.state.role, follows ? "follower" : "candidate");
  });
}

test("§5.2 a candidate that neither wins nor loses times out and tries again; here it asks first and keeps its term", () => {
  const again = (preVote: boolean) => {
    const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2), settings: { preVote } });
    take(core, deadline, 1000);
    return [core.state.role, core.state.term];
  };
  assertEquals([again(false), again(true)], [["candidate", 3], ["pre-candidate", 2]]);
});

test("§5.2 election timeouts are random and drawn anew for each election", () => {
  const core = coreOf({ settings: { ...classic, electionMaxMs: 1500 }, state: { electionAt: 0 } });
  const waits = [0, 5000, 10_000].map((now) => {
    take(core, deadline, now);
    take(core, { type: "vote-persisted", sequence: core.state.voteAsked }, now);
    return core.deadline - now;
  });
  assert(waits.every((wait) => wait >= 1000 && wait < 1500) && new Set(waits).size === 3, waits.join());
});

// §5.3 Log replication

test("§5.3 the leader appends a command as a new entry and sends it to all others in parallel", () => {
  const core = leaderOf({ terms: [1, 2] });
  const { effects } = take(core, { type: "proposed", count: 1 });
  assertEquals(effects, [{ type: "append", source: "proposals", from: 3, end: 4, term: 2, epoch: 0 }]);
  assertEquals(take(core, drained).effects.map((it) => it.type === "replicate" && [it.to, it.from, it.end]), [
    ["b", 3, 4],
    ["c", 3, 4],
  ]);
});

test("§5.3 an entry is applied once it is safely replicated, on a majority", () => {
  const core = leaderOf({ terms: [1, 2] });
  assertEquals(receive(core, "b", accepted({ term: 2, matchIndex: 2 })).effects, [{ type: "apply", upTo: 2 }]);
});

test("§5.3 the leader retries for ever while followers are slow, crash or lose packets, even after it has answered", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  cluster.propose("a");
  for (let i = 0; i < 30; i++) {
    cluster.settle(["a", "b"]);
    cluster.tick("a");
  }
  cluster.restart("c");
  cluster.settle();
  assertEquals([cluster.terms("c"), cluster.of("c").core.state.commitIndex], [[1, 2, 2], 3]);
});

test("§5.3 committing an entry commits all before it, those of earlier leaders too", () => {
  const core = leaderOf({ terms: [1, 1, 2, 4], servers: "a b" });
  assertEquals(receive(core, "b", accepted({ term: 4, matchIndex: 4 })).effects, [{ type: "apply", upTo: 4 }]);
});

test("§5.3 the leader tells the highest index it knows to be committed, in heartbeats too", () => {
  const core = leaderOf({ terms: [1, 2], state: { commitIndex: 2 }, progress: { b: { heartbeatDue: true } } });
  const [effect] = take(core, drained).effects;
  assertEquals(effect?.type === "replicate" && effect.commitIndex, 2);
});

test("§5.3 a follower applies what it learns to be committed; here only as far as it was verified", () => {
  const core = coreOf({ terms: [1, 1, 1], state: following("b") });
  assertEquals(receive(core, "b", append({ prevIndex: 2, commitIndex: 3 })).effects[0], { type: "apply", upTo: 2 });
});

test("§5.3 a leader creates at most one entry of an index and term, and never moves one", () => {
  const core = leaderOf({ terms: [1, 2] });
  const made = [3, 1, 2].flatMap((count) => take(core, { type: "proposed", count }).effects);
  assertEquals(made.map((it) => it.type === "append" && [it.from, it.end]), [[3, 6], [6, 7], [7, 9]]);
});

for (const [prevIndex, prevTerm, fits] of [[2, 2, true], [2, 1, false], [2, 3, false], [3, 2, false]] as const) {
  test(`§5.3 an append after entry ${prevIndex} of term ${prevTerm} ${fits ? "fits" : "is refused by"} a log of terms 1 2`, () => {
    const core = coreOf({ terms: [1, 2], term: 3, state: following("b") });
    receive(core, "b", append({ term: 3, prevIndex, prevTerm, terms: [3] }));
    assertEquals(core.state.log.lastIndex, fits ? 3 : 2);
  });
}

test("§5.3 follower deletes conflicting entries and everything after them", () => {
  const core = coreOf({ terms: [1, 1, 2, 2, 2], term: 3, state: following("b") });
  const { effects } = receive(core, "b", append({ term: 3, prevIndex: 2, terms: [3] }));
  assertEquals(effects[0], { type: "truncate", from: 3 });
  assertEquals(core.state.log.lastIndex, 3);
});

test("§5.3 follower appends only entries not already in the log, and deletes nothing without a conflict", () => {
  const core = coreOf({ terms: [1, 1, 2], term: 2, state: following("b") });
  receive(core, "b", append({ term: 2, prevIndex: 1, terms: [1] }));
  assertEquals(core.state.log.lastIndex, 3);
  const { effects } = receive(core, "b", append({ term: 2, prevIndex: 1, terms: [1, 2, 2] }));
  assertEquals(effects, [{ type: "append", source: "message", from: 4, end: 5, term: 2, epoch: 0 }]);
});

test("§5.3 a new leader sets every nextIndex just after its last entry", () => {
  const core = coreOf({ terms: [1, 1, 1], term: 2, votedFor: "a", state: campaigning(2) });
  receive(core, "b", voteResponse());
  assertEquals([...core.state.leading!.progress.values()].map(({ nextIndex }) => nextIndex), [4, 4]);
});

test("§5.3 after a refusal the leader tries an earlier entry; here one per conflicting term, not one per entry", () => {
  const terms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8];
  const progress = { b: { state: "probe" as const, nextIndex: 12, heartbeatDue: true } };
  const core = leaderOf({ terms, servers: "a b", progress });
  // The follower (f) of figure 7: terms 1 1 1 2 2 2 3 3 3 3 3.
  receive(core, "b", rejected(11, 11, 3, { term: 8, sequence: 9 }));
  assertEquals(core.state.leading!.progress.get("b")!.nextIndex, 4);
});

/** The followers of figure 7, by their terms. */
const figure7 = {
  a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
  b: [1, 1, 1, 4],
  c: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  d: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  e: [1, 1, 1, 4, 4, 4, 4],
  f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
};

for (const [name, terms] of Object.entries(figure7)) {
  test(`§5.3 the leader of figure 7 makes the log of follower (${name}) its own`, () => {
    const cluster = new Cluster({ servers: "a b c" });
    const first = cluster.of("a").disk.log[0]!;
    // Entries of one index and term are the same entry, whoever holds them.
    const logOf = (terms: readonly number[]) =>
      terms.map((term, i) => i === 0 ? first : { term, value: `${i} ${term}` });
    const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    for (const [id, log] of [["a", leader], ["b", terms], ["c", leader]] as const) {
      cluster.of(id).disk = diskOf({ term: 7, votedFor: undefined }, logOf(log));
      cluster.restart(id);
    }
    cluster.elect("a");
    assertEquals(cluster.terms("b"), [...leader, 8]);
    assertEquals(cluster.of("b").log, cluster.of("a").log);
  });
}

test("§5.3 a leader never overwrites or deletes entries of its own log", () => {
  const core = leaderOf({ terms: [1, 1, 2] });
  for (const hint of [0, 1, 2]) receive(core, "b", rejected(3, hint, 1, { term: 2, sequence: 9 }));
  receive(core, "b", append({ term: 1, prevIndex: 0, prevTerm: 0, terms: [1] }));
  assertEquals(core.state.log.runs, [{ term: 1, from: 1 }, { term: 2, from: 3 }]);
});

test("§5.3 one slow follower does not hold up a command", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  cluster.propose("a");
  cluster.settle(["a", "b"]);
  assertEquals(cluster.of("a").core.state.commitIndex, 3);
});

// §5.4 Safety

for (const [lastTerm, lastIndex, granted] of [[2, 3, true], [2, 2, false], [3, 1, true], [1, 9, false]] as const) {
  test(`§5.4.1 a voter with log 1 2 2 ${granted ? "votes" : "does not vote"} for one that ends with ${lastIndex} of term ${lastTerm}`, () => {
    const core = coreOf({ terms: [1, 2, 2], term: 3 });
    receive(core, "b", voteRequest({ term: 3, lastIndex, lastTerm }));
    assertEquals(core.state.votedFor, granted ? "b" : undefined);
  });
}

test("§5.4.1 the leader holds all committed entries from the moment of its election", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  cluster.propose("a");
  cluster.settle(["a", "b"]);
  assertThrows(() => cluster.elect("c", ["b", "c"]), Error, "not elected");
});

test("§5.4.2 a leader commits by counting only entries of its own term", () => {
  const core = leaderOf({ terms: [1, 2, 4], servers: "a b" });
  assertEquals(receive(core, "b", accepted({ term: 4, matchIndex: 2 })).effects, []);
  assertEquals(receive(core, "b", accepted({ term: 4, matchIndex: 3 })).effects, [{ type: "apply", upTo: 3 }]);
});

// §5.6 Timing and availability

test("§5.6 safety does not depend on timing: a clock that jumps elects no second leader of a term", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  for (const id of ["b", "c", "a"]) {
    cluster.now += 1e9;
    cluster.step(id, { type: "clock-jumped" });
    cluster.tick(id);
  }
  cluster.settle();
  const terms = cluster.leaders.map((id) => cluster.of(id).core.state.term);
  assertEquals(new Set(terms).size, terms.length);
});

test("§5.6 heartbeats come often enough that no follower times out", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  const since = cluster.now;
  while (cluster.now < since + 5000) {
    cluster.tick("a");
    cluster.settle();
    for (const id of ["b", "c"]) assert(cluster.of(id).core.deadline > cluster.now);
  }
});

// §8 Client interaction

test("§8 a leader begins its term with a blank entry, and so learns what is committed", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  assertEquals(cluster.of("a").log[1]!.value.startsWith("noop"), true);
  assertEquals(cluster.of("a").core.state.commitIndex, 2);
});

test("§8 a read waits for that entry to be committed", () => {
  const core = leaderOf({ terms: [1, 2], servers: "a b" });
  take(core, { type: "read-requested", id: 1 });
  take(core, drained);
  assertEquals(core.state.leading!.readRound, undefined);
  receive(core, "b", accepted({ term: 2, matchIndex: 2 }));
  take(core, drained);
  assertEquals(core.state.leading!.readRound, { round: 1, index: 2, ids: [1] });
});

test("§8 a read is answered after a majority was heard: a deposed leader answers nothing", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  cluster.elect("b", ["b", "c"]);
  const read = cluster.read("a");
  assertEquals(cluster.of("a").reads.has(read), false);
  cluster.settle();
  assertEquals(cluster.of("a").reads.get(read), undefined);
});
