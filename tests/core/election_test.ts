import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import {
  announces,
  campaigning,
  coreOf,
  deadline,
  drained,
  following,
  leaderOf,
  persists,
  receive,
  sends,
  take,
  voteRequest,
  voteResponse,
} from "./states.ts";

const nothing = { effects: [], changes: {} };

const votes = (...ids: string[]) => new Map(ids.map((id) => [id, true]));

test("election: a deadline makes a follower ask first, and changes nothing that is persistent", () => {
  const question = voteRequest({ term: 2, pre: true });
  assertEquals(take(coreOf({ state: following("b") }), deadline, 1000), {
    effects: [
      announces("pre-candidate", 1, undefined, "election-timeout"),
      sends("b", question),
      sends("c", question),
    ],
    changes: {
      role: "pre-candidate",
      leader: undefined,
      electionAt: 2000,
      campaign: { pre: true, term: 2, transfer: false, votes: votes("a") },
    },
  });
});

test("election: one millisecond before the deadline nothing happens", () => {
  assertEquals(take(coreOf(), deadline, 999), nothing);
});

test("election: without pre-vote a deadline enters the next term and votes for itself, asking nobody yet", () => {
  assertEquals(take(coreOf({ settings: { preVote: false } }), deadline, 1000), {
    effects: [persists(1, 2, "a"), announces("candidate", 2, undefined, "election-timeout")],
    changes: {
      role: "candidate",
      term: 2,
      votedFor: "a",
      voteAsked: 1,
      electionAt: 2000,
      campaign: { pre: false, term: 2, transfer: false, votes: new Map() },
    },
  });
});

test("election: others are asked when the own vote is durable, not at the write before it (BE06)", () => {
  const core = coreOf({ state: { voteAsked: 4, votePersisted: 3 }, settings: { preVote: false } });
  core.step(deadline, 1000);
  assertEquals(take(core, { type: "vote-persisted", sequence: 4 }, 1001), {
    effects: [],
    changes: { votePersisted: 4 },
  });
  const request = voteRequest({ term: 2 });
  assertEquals(take(core, { type: "vote-persisted", sequence: 5 }, 1001), {
    effects: [sends("b", request), sends("c", request)],
    changes: { votePersisted: 5, campaign: { pre: false, term: 2, transfer: false, votes: votes("a") } },
  });
});

test("election: a candidate whose own vote is still being written burns no second term (BE15)", () => {
  const core = coreOf({ settings: { preVote: false } });
  core.step(deadline, 1000);
  assertEquals(take(core, deadline, 2000), { effects: [], changes: { electionAt: 3000 } });
});

test("election: a candidate that wins nothing asks anew in the same term", () => {
  const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  const { effects, changes } = take(core, deadline, 1000);
  assertEquals(changes["role"], "pre-candidate");
  assertEquals([changes["term"], core.state.campaign!.term], [undefined, 3]);
  assertEquals(effects[1], sends("b", voteRequest({ term: 3, pre: true })));
});

for (const servers of ["a! b c", "~a b c", "+a b c", "b c"]) {
  test(`election: "a" of "${servers}" never campaigns, but knows that its leader fell silent (BE24)`, () => {
    assertEquals(take(coreOf({ servers }), deadline, 1000), { effects: [], changes: { electionAt: 2000 } });
    assertEquals(take(coreOf({ servers, state: following("b") }), deadline, 1000), {
      effects: [announces("follower", 1, undefined, "election-timeout")],
      changes: { electionAt: 2000, leader: undefined },
    });
  });
}

test("election: a single voter leads as soon as its vote is durable, not before", () => {
  const core = coreOf({ servers: "a ~b" });
  const campaign = core.step(deadline, 1000);
  assertEquals(campaign.map(({ type }) => type), ["announce-role", "persist-vote", "announce-role"]);
  assertEquals(core.state.role, "candidate");
  assertEquals(core.step({ type: "vote-persisted", sequence: 1 }, 1000), [
    announces("leader", 2, "a", "election-won"),
    { type: "append", source: "noop", from: 2, end: 3, term: 2, epoch: 0 },
  ]);
});

for (
  const { servers, needed } of [
    { servers: "a b", needed: 2 },
    { servers: "a b c", needed: 2 },
    { servers: "a b c d", needed: 3 },
    { servers: "a b c d e", needed: 3 },
    { servers: "a b c ~d ~e", needed: 2 },
  ]
) {
  test(`election: of "${servers}" ${needed} votes win, one less does not`, () => {
    const core = coreOf({ servers, term: 2, votedFor: "a", state: campaigning(2) });
    for (const voter of ["b", "c", "d", "e"].slice(0, needed - 2)) {
      assertEquals(receive(core, voter, voteResponse()).effects, []);
    }
    assertEquals(core.state.role, "candidate");
    receive(core, ["b", "c", "d", "e"][needed - 2]!, voteResponse());
    assertEquals(core.state.role, "leader");
  });
}

test("election: lost as soon as a majority can't be reached, not one refusal earlier", () => {
  const core = coreOf({ servers: "a b c d", term: 2, votedFor: "a", state: campaigning(2) });
  const no = voteResponse({ granted: false });
  assertEquals(receive(core, "b", no).effects, []);
  assertEquals(receive(core, "c", no), {
    effects: [announces("follower", 2, undefined, "election-lost")],
    changes: { role: "follower", campaign: undefined },
  });
});

test("election: a voter counts once, whatever it says later (BE07)", () => {
  const core = coreOf({ servers: "a b c d e", term: 2, votedFor: "a", state: campaigning(2) });
  receive(core, "b", voteResponse());
  assertEquals(receive(core, "b", voteResponse()), nothing);
  assertEquals(receive(core, "b", voteResponse({ granted: false })), nothing);
});

test("election: votes of nonvoters and strangers don't count (BC05, BE25)", () => {
  const core = coreOf({ servers: "a b c ~d +e", term: 2, votedFor: "a", state: campaigning(2) });
  for (const id of ["d", "e", "x"]) assertEquals(receive(core, id, voteResponse()).effects, []);
  assertEquals(core.state.role, "candidate");
});

for (const campaign of [1, 3]) {
  test(`election: an answer to campaign ${campaign} does not count in campaign 2 (BE07)`, () => {
    const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
    assertEquals(receive(core, "b", voteResponse({ campaign })), nothing);
  });
}

test("election: promises don't count as votes, nor votes as promises (BE16)", () => {
  const candidate = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  assertEquals(receive(candidate, "b", voteResponse({ pre: true })), nothing);
  const asking = coreOf({ term: 1, state: campaigning(2, { pre: true }) });
  assertEquals(receive(asking, "b", voteResponse({ term: 1 })), nothing);
});

test("election: a promise is counted in whatever term the promiser is (BE20)", () => {
  const core = coreOf({ term: 1, state: campaigning(2, { pre: true }) });
  assertEquals(receive(core, "b", voteResponse({ term: 2, pre: true })).effects, [
    persists(1, 2, "a"),
    announces("candidate", 2, undefined, "pre-vote-won"),
  ]);
});

for (const pre of [true, false]) {
  test(`election: a refusal of a later term is believed (pre: ${pre}; BE19)`, () => {
    const core = coreOf({ term: 2, votedFor: "a", state: campaigning(pre ? 3 : 2, { pre }) });
    const refusal = voteResponse({ term: 5, pre, campaign: pre ? 3 : 2, granted: false });
    assertEquals(receive(core, "b", refusal), {
      effects: [persists(1, 5, undefined), announces("follower", 5, undefined, "higher-term")],
      changes: { role: "follower", term: 5, votedFor: undefined, voteAsked: 1, campaign: undefined },
    });
  });
}

test("election: the winner begins with an entry of its own, and speaks to all when the turn is over", () => {
  const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  assertEquals(receive(core, "b", voteResponse(), 7).effects, [
    announces("leader", 2, "a", "election-won"),
    { type: "append", source: "noop", from: 2, end: 3, term: 2, epoch: 0 },
  ]);
  const { leading, log, leader, campaign } = core.state;
  assertEquals([leading!.firstIndex, leading!.heartbeatAt, log.lastIndex, leader, campaign], [
    2,
    57,
    2,
    "a",
    undefined,
  ]);
  const replicates = core.step(drained, 7).map((effect) => effect.type === "replicate" && [effect.to, effect.from]);
  assertEquals(replicates, [["b", 2], ["c", 2]]);
});

test("timeout-now: the follower of that leader campaigns at once, saying why", () => {
  const { effects, changes } = receive(coreOf({ state: following("b") }), "b", { type: "timeout-now", term: 1 }, 9);
  assertEquals(effects, [persists(1, 2, "a"), announces("candidate", 2, undefined, "timeout-now")]);
  assertEquals(changes["campaign"], { pre: false, term: 2, transfer: true, votes: new Map() });
  assertEquals(changes["electionAt"], 1009);
});

test("timeout-now: counts for nothing of another sender or term, or where nobody may campaign (P13, BE24)", () => {
  const obeys = (servers: string, from: string, term: number, state = following("b")) =>
    receive(coreOf({ servers, term: 2, state }), from, { type: "timeout-now", term }).effects.length > 0;
  assertEquals(obeys("a b c", "b", 2), true);
  assertEquals([obeys("a b c", "c", 2), obeys("a b c", "b", 1), obeys("a b c", "b", 3)], [false, false, false]);
  assertEquals(["~a b c", "+a b c", "a! b c", "b c"].map((servers) => obeys(servers, "b", 2)), [
    false,
    false,
    false,
    false,
  ]);
  assertEquals(obeys("a b c", "b", 2, { leader: undefined }), false);
  assertEquals(obeys("a b c", "b", 2, campaigning(2)), false);
});

test("timeout-now: a leader does not depose itself (BE17)", () => {
  for (const from of ["b", "a"]) assertEquals(receive(leaderOf(), from, { type: "timeout-now", term: 1 }), nothing);
});

test("election: nobody can have voted before the own vote was durable", () => {
  const core = coreOf({ settings: { preVote: false } });
  core.step(deadline, 1000);
  assertEquals(receive(core, "b", voteResponse(), 1000), nothing);
});

test("election: a later term in an answer is not believed beyond 2^40", () => {
  const core = coreOf({ term: 2, votedFor: "a", state: campaigning(2) });
  const refusal = voteResponse({ granted: false, term: 3 + 2 ** 40 });
  assertEquals(receive(core, "b", refusal), nothing);
  assertEquals(receive(core, "b", { ...refusal, term: 2 + 2 ** 40 }).changes["term"], 2 + 2 ** 40);
});
