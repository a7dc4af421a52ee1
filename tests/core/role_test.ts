import { assert, assertEquals, assertThrows } from "@std/assert";
import type { CoreMessage } from "../../src/message.ts";
import { announceRole, armElection, becomeFollower, enterTerm, send } from "../../src/core/role.ts";
import type { Step } from "../../src/core/state.ts";
import { InvariantError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import {
  accepted,
  announces,
  append,
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

const stepOf = (given: Given, now = 0): Step => ({ state: coreOf(given).state, now, effects: [] });

test("enterTerm() only goes forward, and leaves nothing of the term before", () => {
  const old = { termLeader: "b", verifiedIndex: 1, ackOwed: { sequence: 3, round: 3 }, roundAnswered: 3 };
  const withheld = [{ to: "b", message: accepted() }];
  const step = stepOf({ votedFor: "b", state: { ...old, withheld } });
  for (const term of [0, 1]) assertThrows(() => enterTerm(step, term, undefined), InvariantError);
  enterTerm(step, 2, undefined);
  const { state } = step;
  assertEquals([state.term, state.votedFor, state.termLeader, state.withheld], [2, undefined, undefined, []]);
  assertEquals([state.verifiedIndex, state.ackOwed, state.roundAnswered], [0, undefined, 0]);
  assertEquals(step.effects, [persists(1, 2, undefined)]);
});

test("becomeFollower() of the same term keeps the vote (BE01, BE02)", () => {
  const step = stepOf({ term: 2, votedFor: "a", state: campaigning(2) });
  becomeFollower(step, 2, "b", "leader-heard");
  assertEquals([step.state.votedFor, step.state.term, step.state.leader], ["a", 2, "b"]);
  assertEquals(step.effects, [announces("follower", 2, "b", "leader-heard")]);
});

test("armElection() draws a time in [min, max) from now, another one each time (BE27)", () => {
  const step = stepOf({ settings: { electionMaxMs: 2000 } }, 70);
  const times = Array.from({ length: 50 }, () => {
    armElection(step);
    return step.state.electionAt;
  });
  assert(times.every((time) => time >= 1070 && time < 2070), times.join());
  assert(new Set(times).size > 40, times.join());
});

test("send() withholds what claims a term that is not durable, in order, and lets a pre-vote go (E4)", () => {
  const step = stepOf({ state: { voteAsked: 2, votePersisted: 1 } });
  const question = voteRequest({ pre: true });
  for (const message of [voteResponse(), question, accepted()]) send(step, "b", message);
  assertEquals(step.effects, [sends("b", question)]);
  assertEquals(step.state.withheld.map(({ message }) => message), [voteResponse(), accepted()]);
});

test("vote-persisted: lets go what waited when the latest is durable, in order, once", () => {
  const withheld = [{ to: "b", message: voteResponse() }, { to: "c", message: accepted() }];
  const core = coreOf({ state: { voteAsked: 2, votePersisted: 0, withheld } });
  assertEquals(take(core, { type: "vote-persisted", sequence: 1 }), { effects: [], changes: { votePersisted: 1 } });
  assertEquals(take(core, { type: "vote-persisted", sequence: 2 }), {
    effects: [sends("b", voteResponse()), sends("c", accepted())],
    changes: { votePersisted: 2, withheld: [] },
  });
  assertEquals(take(core, { type: "vote-persisted", sequence: 1 }), { effects: [], changes: {} });
});

test("announceRole() tells role, term and leader", () => {
  const step = stepOf({ state: following("c") });
  announceRole(step, "started");
  assertEquals(step.effects, [announces("follower", 1, "c", "started")]);
});

const later: Record<string, CoreMessage> = {
  "a vote request": voteRequest({ term: 3, lastIndex: 0, lastTerm: 0, transfer: true }),
  "a refused vote": voteResponse({ term: 3, granted: false }),
  "a refused pre-vote": voteResponse({ term: 3, granted: false, pre: true }),
  "an append": append({ term: 3 }),
  "an answer to an append": accepted({ term: 3 }),
};

for (const [name, message] of Object.entries(later)) {
  test(`role: ${name} of a later term makes a follower of any role, with an election to come (BE32)`, () => {
    const roles: (() => ReturnType<typeof coreOf>)[] = [
      () => coreOf({ term: 2, state: following("c", { electionAt: 1000 }) }),
      () => coreOf({ term: 2, state: { ...campaigning(3, { pre: true }), electionAt: 1000 } }),
      () => coreOf({ term: 2, votedFor: "a", state: { ...campaigning(2), electionAt: 1000 } }),
      () => leaderOf({ terms: [1, 2], state: { electionAt: -1 } }),
    ];
    for (const role of roles) {
      const core = role();
      receive(core, "b", message, 10);
      assertEquals([core.state.term, core.state.role, core.state.votedFor], [3, "follower", undefined]);
      assert(core.deadline >= 1000 && core.deadline <= 1010, `${core.deadline}`);
    }
  });
}

test("role: messages of an earlier term end no role", () => {
  for (const core of [leaderOf({ terms: [1, 2] }), coreOf({ term: 2, votedFor: "a", state: campaigning(2) })]) {
    const { role } = core.state;
    for (const message of Object.values(later)) receive(core, "b", { ...message, term: 1 }, 10);
    assertEquals([core.state.role, core.state.term], [role, 2]);
  }
});

test("send() withholds 256 messages and then drops the oldest, as a network might", () => {
  const step = stepOf({ state: { voteAsked: 1, votePersisted: 0 } });
  for (let sequence = 1; sequence <= 256; sequence++) send(step, "b", { ...accepted(), sequence });
  assertEquals(step.state.withheld.length, 256);
  send(step, "b", { ...accepted(), sequence: 257 });
  assertEquals(step.state.withheld.length, 256);
  const sequences = step.state.withheld.map(({ message }) => message.type === "append-response" && message.sequence);
  assertEquals([sequences[0], sequences[255]], [2, 257]);
});
