import { assertEquals } from "@std/assert";
import type { VoteRequest } from "../../src/message.ts";
import { test } from "../harness.ts";
import {
  announces,
  campaigning,
  coreOf,
  following,
  type Given,
  leaderOf,
  persists,
  receive,
  sends,
  take,
  voteRequest,
  voteResponse,
} from "./states.ts";

/** A voter of term 2 whose log ends with entry 3 of term 2. */
const voter: Given = { terms: [1, 1, 2], term: 2 };

/** A request that this voter grants. */
const fits: Partial<VoteRequest> = { term: 2, lastIndex: 3, lastTerm: 2 };

/** Whether a request is granted, be it at once or when the vote is durable. */
function isGranted(given: Given, about: Partial<VoteRequest>, now = 0): boolean {
  const core = coreOf(given);
  const effects = core.step({ type: "message-received", from: "b", message: voteRequest(about) }, now);
  effects.push(...core.step({ type: "vote-persisted", sequence: core.state.voteAsked }, now));
  return effects.some((it) => it.type === "send" && it.message.type === "vote-response" && it.message.granted);
}

test("vote-request: granted, the answer waits until the vote is durable (BE05)", () => {
  const core = coreOf(voter);
  const answer = voteResponse();
  assertEquals(receive(core, "b", voteRequest(fits), 5), {
    effects: [persists(1, 2, "b")],
    changes: { votedFor: "b", voteAsked: 1, electionAt: 1005, withheld: [{ to: "b", message: answer }] },
  });
  assertEquals(take(core, { type: "vote-persisted", sequence: 1 }), {
    effects: [sends("b", answer)],
    changes: { votePersisted: 1, withheld: [] },
  });
});

test("vote-request: a later term is entered and voted in by one step, durable together", () => {
  const core = coreOf(voter);
  assertEquals(receive(core, "b", voteRequest({ ...fits, term: 3 })).effects, [
    persists(1, 3, undefined),
    announces("follower", 3, undefined, "higher-term"),
    persists(2, 3, "b"),
  ]);
  assertEquals(core.step({ type: "vote-persisted", sequence: 1 }, 0), []);
  assertEquals(core.step({ type: "vote-persisted", sequence: 2 }, 0), [
    sends("b", voteResponse({ term: 3, campaign: 3 })),
  ]);
});

test("vote-request: of the term before is refused with ours, at once", () => {
  assertEquals(receive(coreOf(voter), "b", voteRequest({ ...fits, term: 1 })), {
    effects: [sends("b", voteResponse({ campaign: 1, granted: false }))],
    changes: {},
  });
});

test("vote-request: a second candidate is refused, the first one is told again without a write (E2)", () => {
  const core = coreOf({ ...voter, votedFor: "b" });
  assertEquals(receive(core, "c", voteRequest(fits)), {
    effects: [sends("c", voteResponse({ granted: false }))],
    changes: {},
  });
  assertEquals(receive(core, "b", voteRequest(fits), 3), {
    effects: [sends("b", voteResponse())],
    changes: { electionAt: 1003 },
  });
});

for (
  const [lastIndex, lastTerm, granted] of [
    [3, 2, true],
    [4, 2, true],
    [2, 2, false],
    [1, 3, true],
    [9, 1, false],
    [0, 0, false],
  ] as const
) {
  test(`vote-request: a log that ends at ${lastIndex} of term ${lastTerm} is ${granted ? "" : "not "}up to date`, () => {
    assertEquals(isGranted(voter, { ...fits, lastIndex, lastTerm }), granted);
    assertEquals(isGranted(voter, { ...fits, term: 3, lastIndex, lastTerm }), granted);
    assertEquals(isGranted(voter, { ...fits, term: 3, lastIndex, lastTerm, pre: true }), granted);
  });
}

test("vote-request: an empty log grants to any", () => {
  assertEquals(isGranted({ terms: [], term: 0 }, { term: 1, lastIndex: 0, lastTerm: 0 }), true);
});

test("vote-request: a refused later term is entered all the same, when no leader is heard", () => {
  const core = coreOf({ ...voter, votedFor: "a" });
  const { changes, effects } = receive(core, "b", voteRequest({ ...fits, term: 3, lastIndex: 2 }));
  const answer = { to: "b", message: voteResponse({ term: 3, campaign: 3, granted: false }) };
  assertEquals(changes, { term: 3, votedFor: undefined, voteAsked: 1, withheld: [answer] });
  assertEquals(effects, [persists(1, 3, undefined), announces("follower", 3, undefined, "higher-term")]);
});

test("vote-request: whoever heard the leader within the shortest election timeout refuses and keeps its term", () => {
  const given = { ...voter, state: following("c", { leaderHeardAt: 500 }) };
  assertEquals(isGranted(given, { ...fits, term: 3 }, 1499), false);
  assertEquals(isGranted(given, { ...fits, term: 3 }, 1500), true);
  assertEquals(receive(coreOf(given), "b", voteRequest({ ...fits, term: 3 }), 1499), {
    effects: [sends("b", voteResponse({ campaign: 3, granted: false }))],
    changes: {},
  });
});

test("vote-request: a live leader is no reason to refuse when it asked for the election itself (BV11)", () => {
  const given = { ...voter, state: following("c") };
  assertEquals(isGranted(given, { ...fits, term: 3, transfer: true }), true);
  assertEquals(isGranted(given, { ...fits, term: 2, transfer: true }), false);
});

test("vote-request: a server that knows the leader of the term votes for nobody else in it (BE03)", () => {
  assertEquals(isGranted({ ...voter, state: { termLeader: "c" } }, fits), false);
  assertEquals(isGranted({ ...voter, state: { termLeader: "c" } }, { ...fits, term: 3 }), true);
});

test("vote-request: a leader refuses; when it asked for the election it makes way", () => {
  const leader = () => leaderOf({ terms: [1, 2] });
  const request = voteRequest({ term: 3, lastIndex: 2, lastTerm: 2 });
  assertEquals(receive(leader(), "b", request), {
    effects: [sends("b", voteResponse({ campaign: 3, granted: false }))],
    changes: {},
  });
  const { effects } = receive(leader(), "b", { ...request, transfer: true });
  assertEquals(effects, [
    persists(1, 3, undefined),
    announces("follower", 3, undefined, "higher-term"),
    persists(2, 3, "b"),
  ]);
});

test("vote-request: a candidate of the same term refuses, of an earlier one it gives up", () => {
  const core = () => coreOf({ ...voter, votedFor: "a", state: campaigning(2) });
  assertEquals(receive(core(), "b", voteRequest(fits)).changes, {});
  const later = receive(core(), "b", voteRequest({ ...fits, term: 3 })).changes;
  assertEquals([later["role"], later["campaign"], later["votedFor"]], ["follower", undefined, "b"]);
});

test("vote-request: a pre-candidate that grants its vote asks no further", () => {
  const core = coreOf({ ...voter, state: campaigning(3, { pre: true }) });
  assertEquals(receive(core, "b", voteRequest(fits)).effects, [
    announces("follower", 2, undefined, "election-lost"),
    persists(1, 2, "b"),
  ]);
});

test("vote-request: a term may jump far, but not by more than 2^40", () => {
  const jump = 2 ** 40;
  assertEquals(isGranted(voter, { ...fits, term: 2 + jump }), true);
  assertEquals(receive(coreOf(voter), "b", voteRequest({ ...fits, term: 3 + jump })), { effects: [], changes: {} });
});

test("vote-request: from itself is nobody's (BT06)", () => {
  assertEquals(receive(coreOf(voter), "a", voteRequest(fits)), { effects: [], changes: {} });
});

test("vote-request: from outside the configuration is judged by its log alone", () => {
  const core = coreOf(voter);
  assertEquals(receive(core, "x", voteRequest(fits)).effects, [persists(1, 2, "x")]);
});

for (
  const [about, granted] of [
    [{ term: 1 }, false],
    [{ term: 2 }, true],
    [{ term: 3 }, true],
    [{ term: 9 }, true],
    [{ term: 3, lastIndex: 2 }, false],
  ] as const
) {
  test(`pre-vote: ${JSON.stringify(about)} is ${granted ? "promised" : "refused"}, and changes nothing (BE18)`, () => {
    const question = voteRequest({ ...fits, pre: true, ...about });
    assertEquals(receive(coreOf(voter), "b", question), {
      effects: [sends("b", voteResponse({ pre: true, campaign: about.term, granted }))],
      changes: {},
    });
  });
}

test("pre-vote: of the own term is promised only as a vote would be granted", () => {
  const question = { ...fits, pre: true };
  assertEquals(isGranted({ ...voter, votedFor: "b" }, question), true);
  assertEquals(isGranted({ ...voter, votedFor: "c" }, question), false);
  assertEquals(isGranted({ ...voter, state: { termLeader: "c" } }, question), false);
  assertEquals(isGranted({ ...voter, votedFor: "b", state: { termLeader: "c" } }, question), false);
});

test("pre-vote: a live leader is a reason to refuse until it is silent for the shortest election timeout", () => {
  const given = { ...voter, state: following("c") };
  assertEquals(isGranted(given, { ...fits, term: 3, pre: true }, 999), false);
  assertEquals(isGranted(given, { ...fits, term: 3, pre: true }, 1000), true);
});

test("pre-vote: a pre-candidate and a candidate promise to others", () => {
  const question = { ...fits, term: 3, pre: true };
  assertEquals(isGranted({ ...voter, state: campaigning(3, { pre: true }) }, question), true);
  assertEquals(isGranted({ ...voter, votedFor: "a", state: campaigning(2) }, question), true);
});

test("pre-vote: an answer claims our term, so it waits until that is durable", () => {
  const core = coreOf({ ...voter, state: { voteAsked: 1, votePersisted: 0 } });
  assertEquals(receive(core, "b", voteRequest({ ...fits, pre: true })).effects, []);
  assertEquals(core.step({ type: "vote-persisted", sequence: 1 }, 0).length, 1);
});
