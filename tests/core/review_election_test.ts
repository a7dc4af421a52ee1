import { assert, assertEquals, assertThrows } from "@std/assert";
import { Core } from "../../src/core/core.ts";
import { InvariantError } from "../../src/errors.ts";
import { Cluster } from "./cluster.ts";
import { numbered, review } from "./review.ts";
import {
  accepted,
  append,
  campaigning,
  configuration,
  coreOf,
  deadline,
  drained,
  following,
  leaderOf,
  persists,
  receive,
  take,
  voteRequest,
  voteResponse,
} from "./states.ts";

const { entry, complete } = review("BE", numbered("BE", 32), {
  BE13: "snapshot_install_test.ts",
});

const kinds = (effects: readonly { readonly type: string }[]) => effects.map(({ type }) => type);

entry("BE01", "the vote stays when the leader changes or falls silent, as long as the term is the same", () => {
  const core = coreOf({ term: 2, votedFor: "c", state: { electionAt: 1000 } });
  receive(core, "b", append({ term: 2 }));
  take(core, deadline, 1000);
  assertEquals([core.state.leader, core.state.votedFor, core.state.term], [undefined, "c", 2]);
});

entry("BE02", "a candidate that finds the leader of its term keeps the vote for itself", () => {
  const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  receive(core, "b", append({ term: 2 }));
  assertEquals([core.state.role, core.state.votedFor], ["follower", "a"]);
  receive(core, "c", voteRequest({ term: 2, transfer: true }));
  assertEquals(core.state.votedFor, "a");
});

entry("BE03", "neither a leader nor who follows it votes for another in that term, and following is no vote", () => {
  const request = voteRequest({ term: 2, transfer: true, lastIndex: 9, lastTerm: 2 });
  for (const core of [leaderOf({ terms: [1, 2] }), coreOf({ term: 2, state: following("b") })]) {
    const { votedFor } = core.state;
    assertEquals(receive(core, "c", request).effects[0]!.type, "send");
    assertEquals(core.state.votedFor, votedFor);
  }
});

entry("BE04", "term and vote are one record, and after a crash at any write nobody votes twice", () => {
  const write = persists(1, 2, "a");
  assertEquals(take(coreOf({ settings: { preVote: false } }), deadline, 1000).effects[0], write);
  for (const written of [0, 1, 2]) {
    const cluster = new Cluster({ persistence: "delayed", settings: { preVote: false } });
    cluster.now = 2000;
    cluster.hand({ from: "b", to: "a", message: voteRequest(), entries: [] });
    cluster.persist("a", written);
    cluster.restart("a");
    cluster.hand({ from: "c", to: "a", message: voteRequest(), entries: [] });
    cluster.persist("a");
    assertEquals(cluster.of("a").disk.vote, { term: 2, votedFor: written === 2 ? "b" : "c" });
  }
});

entry("BE05", "a vote that is not on disk is not given", () => {
  const cluster = new Cluster({ persistence: "delayed" });
  cluster.now = 2000;
  cluster.hand({ from: "b", to: "a", message: voteRequest(), entries: [] });
  assertEquals(cluster.between("a", "b"), []);
  cluster.persist("a");
  assertEquals(cluster.between("a", "b").length, 1);
});

entry("BE06", "no request for a vote leaves before the own vote is durable", () => {
  const cluster = new Cluster({ persistence: "delayed", settings: { preVote: false } });
  cluster.tick("a");
  assertEquals(cluster.network, []);
  cluster.persist("a");
  assertEquals(cluster.network.map(({ message }) => message.type), ["vote-request", "vote-request"]);
});

entry("BE07", "votes of an older campaign don't count", () => {
  const cluster = new Cluster({ servers: "a b c d e", settings: { preVote: false } });
  cluster.tick("a");
  cluster.deliver("a", "b");
  const [late] = cluster.drop(({ from }) => from === "b");
  cluster.drop(() => true);
  cluster.tick("a");
  cluster.deliver("a", "c");
  cluster.deliver("c", "a");
  cluster.hand(late!);
  assertEquals([cluster.of("a").core.state.term, cluster.leaders], [3, []]);
});

entry("BE08", "a later term in a refusal is entered without a vote", () => {
  const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  receive(core, "b", voteResponse({ term: 5, granted: false }));
  assertEquals([core.state.term, core.state.votedFor], [5, undefined]);
});

entry("BE09", "having voted for a candidate is no reason to skip the check of its log", () => {
  const core = coreOf({ terms: [1, 1], term: 2, votedFor: "b" });
  const granted = (lastIndex: number) =>
    receive(core, "b", voteRequest({ lastIndex })).effects.some((it) =>
      it.type === "send" && it.message.type === "vote-response" && it.message.granted
    );
  assertEquals([granted(1), granted(2)], [false, true]);
});

entry("BE10", "in a joint configuration a majority of each half must vote, not of their union", () => {
  const core = coreOf({ servers: "a b c / d e f", term: 2, votedFor: "a", state: campaigning(2) });
  for (const id of ["b", "c", "d"]) receive(core, id, voteResponse());
  assertEquals(core.state.role, "candidate");
  receive(core, "e", voteResponse());
  assertEquals(core.state.role, "leader");
});

const grown = [
  { index: 1, configuration: configuration("a") },
  { index: 2, configuration: configuration("a b c") },
];

entry("BE11", "after a restart the last configuration of the log counts, not the first", () => {
  const core = coreOf({ terms: [1, 1], state: { configurations: grown } });
  const { configurations, log } = core.state;
  const about = { id: "a", settings: core.state.settings, seed: 1, now: 0, vote: { term: 1, votedFor: undefined } };
  const restarted = Core.start({
    ...{ ...about, firstIndex: 1, lastIndex: 2, terms: log.runs, configurations, damaged: [] },
  }).core;
  assertEquals(restarted.deadline, 1000);
  take(restarted, deadline, 1000);
  assertEquals(restarted.state.role, "pre-candidate");
});

entry("BE12", "votes are counted with the last configuration appended, committed or not", () => {
  const state = { configurations: grown, ...campaigning(2) };
  const core = coreOf({ terms: [1, 1], term: 2, votedFor: "a", state });
  assertEquals([core.state.commitIndex, receive(core, "x", voteResponse()).effects], [0, []]);
  receive(core, "b", voteResponse());
  assertEquals(core.state.role, "leader");
});

entry("BE14", "a timer that fired before a vote was given does nothing after it", () => {
  const core = coreOf();
  receive(core, "b", voteRequest(), 1000);
  assertEquals(take(core, deadline, 1000), { effects: [], changes: {} });
});

entry("BE15", "no second term is entered while the vote of the first is being written", () => {
  const core = coreOf({ settings: { preVote: false } });
  for (const now of [1000, 2000, 3000]) take(core, deadline, now);
  assertEquals([core.state.term, core.state.voteAsked], [2, 1]);
});

entry("BE16", "promises that come when the server leads begin no election", () => {
  const core = leaderOf({ terms: [1, 2] });
  for (const campaign of [2, 3]) {
    const { effects, changes } = receive(core, "b", voteResponse({ term: 2, pre: true, campaign }));
    assertEquals([effects, changes], [[], {}]);
  }
});

entry("BE17", "whatever a leader is asked, it stays a whole leader", () => {
  const core = leaderOf({ terms: [1, 2] });
  receive(core, "b", { type: "timeout-now", term: 2 });
  receive(core, "b", voteRequest({ term: 3 }));
  take(core, { type: "transfer-requested", to: "a" });
  take(core, { type: "vote-persisted", sequence: 0 });
  assertEquals([core.state.role, core.state.term, core.state.campaign], ["leader", 2, undefined]);
});

entry("BE18", "a question before an election changes nothing in any role", () => {
  const question = voteRequest({ term: 9, pre: true });
  const pre = campaigning(2, { pre: true });
  const cores = [coreOf(), coreOf({ state: following("b") }), leaderOf(), coreOf({ state: pre })];
  for (const core of cores) assertEquals(receive(core, "c", question, 2000).changes, {});
});

entry("BE19", "a refusal of a later term lets a server of an earlier one catch up and win", () => {
  const cluster = new Cluster();
  // "c" has a later term (it campaigned alone), "b" is gone, and "a" has the longer log.
  cluster.elect("a", ["a", "b"]);
  cluster.of("c").disk.vote = { term: 7, votedFor: "c" };
  cluster.restart("c");
  cluster.restart("a");
  cluster.now += 2000;
  for (let i = 0; i < 3; i++) {
    cluster.tick("a");
    cluster.settle(["a", "c"]);
  }
  assertEquals([cluster.leaders, cluster.of("a").core.state.term], [["a"], 8]);
});

entry("BE20", "a voter behind the candidate's term promises in a way that counts", () => {
  const cluster = new Cluster();
  cluster.of("a").disk.vote = { term: 7, votedFor: "a" };
  cluster.restart("a");
  cluster.elect("a", ["a", "b"]);
  assertEquals(cluster.of("b").core.state.term, 8);
});

entry("BE21", "servers with and without pre-vote elect one another", () => {
  for (const [first, second, third] of ["abc", "acb", "bac", "bca", "cab", "cba"]) {
    const cluster = new Cluster();
    const { state } = cluster.of("b").core;
    cluster.of("b").core = Core.load({ ...state, settings: { ...state.settings, preVote: false } });
    cluster.elect(first!);
    cluster.elect(second!, [second!, third!]);
    assertEquals(cluster.of(second!).core.state.term, 3);
  }
});

entry("BE22", "a pre-candidate knows no leader and counts no vote from before", () => {
  const core = coreOf({ servers: "a b c d e", term: 2, votedFor: "a", state: campaigning(2, { yes: "a b" }) });
  take(core, deadline, 1000);
  assertEquals([core.state.leader, [...core.state.campaign!.votes.keys()]], [undefined, ["a"]]);
});

entry("BE23", "answering a question refreshes neither the leader's contact nor the timer", () => {
  const core = coreOf({ state: following("b", { electionAt: 1000 }) });
  receive(core, "c", voteRequest({ pre: true }), 999);
  assertEquals([core.state.leaderHeardAt, core.state.electionAt], [0, 1000]);
  assertEquals(take(core, deadline, 1000).effects.length, 3);
});

entry("BE24", "who does not vote or has priority 0 never campaigns, by no path", () => {
  for (const servers of ["~a b c", "+a b c", "a! b c"]) {
    const core = coreOf({ servers, settings: { preVote: false }, state: following("b") });
    receive(core, "b", { type: "timeout-now", term: 1 });
    for (const now of [1000, 2000]) take(core, deadline, now);
    assertEquals([core.state.role, core.state.term], ["follower", 1]);
  }
});

entry("BE25", "votes of servers outside the configuration don't count", () => {
  const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  for (const id of ["x", "y", "z"]) receive(core, id, voteResponse());
  assertEquals(core.state.role, "candidate");
});

entry("BE26", "a transfer waits until the target's log is whole and durable", () => {
  const cluster = new Cluster({ persistence: "delayed" });
  cluster.elect("a");
  cluster.propose("a");
  cluster.step("a", { type: "transfer-requested", to: "b" });
  cluster.deliver("a", "b");
  assertEquals(cluster.between("a", "b").filter(({ message }) => message.type === "timeout-now"), []);
  cluster.settle();
  assertEquals([cluster.leaders, cluster.of("b").log.length], [["b"], 4]);
});

entry("BE27", "servers with different seeds time out at different times", () => {
  const cluster = new Cluster({ servers: "a b c d e", settings: { electionMaxMs: 2000 } });
  const times = [...cluster.members.values()].map(({ core }) => core.deadline);
  assertEquals(new Set(times).size, 5);
});

entry("BE28", "a timer is armed from the moment of the contact by a chance of its own", () => {
  const core = coreOf({ settings: { electionMaxMs: 2000 } });
  const waits = [5, 10, 15, 20].map((now) => {
    receive(core, "b", append({}), now);
    return core.deadline - now;
  });
  assert(waits.every((wait) => wait >= 1000 && wait < 2000) && new Set(waits).size === 4, waits.join());
});

entry("BE29", "two leaders of a term stop the server", () => {
  assertThrows(() => receive(leaderOf({ terms: [1, 2] }), "b", append({ term: 2 })), InvariantError);
  assertThrows(() => receive(coreOf({ state: following("b") }), "c", append()), InvariantError);
});

entry("BE30", "a vote that is older than the log stops the start", () => {
  assertThrows(() => coreOf({ terms: [1, 4], term: 3 }), InvariantError, "last term 4");
});

entry("BE31", "nothing is replicated in a term that another leads, nor after the leadership", () => {
  const core = leaderOf({ terms: [1, 2], progress: { b: { heartbeatDue: true } } });
  receive(core, "c", accepted({ term: 3 }));
  assertEquals(kinds(take(core, drained).effects), []);
  assertEquals(take(core, { type: "sent", to: "b", term: 2, sequence: 9, end: 3, bytes: 0 }).changes, {});
});

entry("BE32", "two servers that time out together elect one in the end", () => {
  const cluster = new Cluster({ servers: "a b", settings: { electionMaxMs: 2000 }, seed: 3 });
  for (let i = 0; i < 20 && cluster.leaders.length === 0; i++) {
    cluster.now += 500;
    for (const [id, { core }] of cluster.members) if (core.deadline <= cluster.now) cluster.tick(id);
    cluster.settle();
  }
  assertEquals(cluster.leaders.length, 1);
});

complete();
