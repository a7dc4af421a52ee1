/**
 * A leader whose end closes the connection: it has most likely died, and an election need not wait for a timeout.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Core } from "../../src/core/core.ts";
import { seedRandom } from "../../src/core/random.ts";
import type { CoreSettings } from "../../src/core/state.ts";
import { test } from "../harness.ts";
import {
  announces,
  append,
  campaigning,
  coreOf,
  deadline,
  following,
  type Given,
  leaderOf,
  receive,
  sends,
  settings,
  take,
  voteRequest,
  voteResponse,
} from "./states.ts";

/** When the connection is closed. */
const closedAt = 600;

/** An election is due no sooner than this after that, and sooner than the other. */
const [waitMin, waitMax] = [20, 100];

const closed = (peer = "b", isClosedByPeer = true) => ({ type: "peer-disconnected", peer, isClosedByPeer }) as const;

const connected = (peer = "b", starts = 1) =>
  ({ type: "peer-connected", peer, disk: { incarnation: "disk", starts } }) as const;

/** The term of leader `b`, which was heard at 500 and has bound nobody. */
const heard = { ...following("b", { leaderHeardAt: 500 }), promisedUntil: -Infinity, electionAt: 1500 };

/** A follower of `b`, in the cluster a b c unless said otherwise. */
function follower(about: Given = {}, changes: Partial<CoreSettings> = {}): Core {
  return coreOf({
    terms: [1, 2],
    ...about,
    settings: { ...settings, reconnectWaitMs: waitMax, ...changes },
    state: { ...heard, peerDisks: new Map([["b", { incarnation: "disk", starts: 1 }]]), ...about.state },
  });
}

/** One that was told that its leader's end has closed the connection. */
function doubting(about: Given = {}, changes: Partial<CoreSettings> = {}): Core {
  const core = follower(about, changes);
  core.step(closed(), closedAt);
  return core;
}

/** Whether it would vote for `c` in the next term. */
function wouldVote(core: Core, now: number): boolean {
  const request = voteRequest({ term: 3, pre: true, lastIndex: 2, lastTerm: 2 });
  return receive(core, "c", request, now).effects.some((effect) =>
    effect.type === "send" && effect.message.type === "vote-response" && effect.message.granted
  );
}

test("leader closed: an election is due within the wait for its return, and not before a fifth of it", () => {
  const waits = Array.from({ length: 50 }, (_, i) => {
    const core = follower({ state: { random: seedRandom(i) } });
    const { effects, changes } = take(core, closed(), closedAt);
    assertEquals(effects, []);
    assertEquals(changes, { electionAt: core.deadline, leaderClosed: { electionAt: 1500, waitMs: 2 * waitMax } });
    return core.deadline - closedAt;
  });
  assert(waits.every((ms) => ms >= waitMin && ms < waitMax), `${waits}`);
  assert(new Set(waits).size > 10, "each is drawn anew");
});

test("leader closed: when the time is over the others are asked, as at an election timeout", () => {
  const core = doubting();
  assertEquals(core.step(deadline, core.deadline - 1), []);
  const request = voteRequest({ term: 3, pre: true, lastIndex: 2, lastTerm: 2 });
  assertEquals(core.step(deadline, core.deadline), [
    announces("pre-candidate", 2, undefined, "leader-closed"),
    sends("b", request),
    sends("c", request),
  ]);
  const { effects } = receive(core, "c", voteResponse({ term: 2, pre: true, campaign: 3 }), core.deadline);
  assertEquals(effects.at(-1), announces("candidate", 3, undefined, "pre-vote-won"));
});

test("leader closed: a campaign that crosses with another one is given up sooner than after an election timeout", () => {
  const core = doubting();
  const at = core.deadline;
  core.step(deadline, at);
  receive(core, "c", voteResponse({ term: 2, pre: true, campaign: 3 }), at);
  assertEquals(core.state.role, "candidate");
  assert(core.deadline > at && core.deadline < at + 4 * waitMax, `${core.deadline - at}`);
  core.step({ type: "vote-persisted", sequence: core.state.voteAsked }, at + 1);
  receive(core, "c", voteResponse({ term: 3, campaign: 3, granted: false }), at + 1);
  core.step(deadline, core.deadline);
  assertEquals([core.state.role, core.state.term], ["pre-candidate", 3]);
});

test("leader closed: an election that is due sooner is not put off", () => {
  assertEquals(doubting({ state: { electionAt: closedAt + waitMin - 1 } }).deadline, closedAt + waitMin - 1);
});

test("leader closed: changes nothing where this side gave the connection up, nor when it is another server's", () => {
  for (const event of [closed("b", false), { type: "peer-disconnected", peer: "b" } as const, closed("c")]) {
    assertEquals(take(follower(), event, closedAt), { effects: [], changes: {} });
  }
});

test("leader closed: changes nothing where it is turned off, or servers campaign without asking", () => {
  for (const changes of [{ reconnectWaitMs: 0 }, { preVote: false }]) {
    const core = follower({}, changes);
    assertEquals(take(core, closed(), closedAt), { effects: [], changes: {} });
    assertEquals(wouldVote(core, closedAt), false);
  }
  const { reconnectWaitMs: _, ...unset } = follower().state.settings;
  assertEquals(take(coreOf({ state: heard, settings: unset }), closed(), closedAt).changes, {});
});

test("leader closed: changes nothing for a server that leads, or is campaigning already", () => {
  const about = { ...settings, reconnectWaitMs: waitMax };
  assertEquals(leaderOf({ settings: about }).step(closed(), closedAt), []);
  for (const pre of [true, false]) {
    const core = coreOf({ settings: about, state: { ...campaigning(2, { pre }), electionAt: 1500 } });
    assertEquals(take(core, closed(), closedAt), { effects: [], changes: {} });
  }
});

test("leader closed: a second end of the connection starts no second wait", () => {
  const core = doubting();
  assertEquals(take(core, closed(), closedAt + 10), { effects: [], changes: {} });
});

// --- what others may ask ---

test("leader closed: whoever knows it would vote for another, whoever hears the leader would not", () => {
  assertEquals([wouldVote(doubting(), closedAt), wouldVote(follower(), closedAt)], [true, false]);
  const [core, hearing] = [doubting(), follower()];
  const request = voteRequest({ term: 3, lastIndex: 2, lastTerm: 2 });
  assertEquals(receive(core, "c", request, closedAt).changes["votedFor"], "c");
  assertEquals(receive(hearing, "c", request, closedAt).changes, {});
});

test("leader closed: who has no vote to win lets others win theirs, and waits for nothing", () => {
  const core = doubting({ servers: "a! b c" });
  assertEquals([core.deadline, wouldVote(core, closedAt)], [1500, true]);
});

test("leader closed: refused by those that hear the leader it asks again, ever less often, down to election timeouts", () => {
  const core = doubting();
  const refusal = voteResponse({ term: 2, pre: true, campaign: 3, granted: false });
  for (const longest of [200, 400, 800, settings.electionMinMs, settings.electionMinMs, settings.electionMinMs]) {
    const at = core.deadline;
    assertEquals(core.step(deadline, at).filter(({ type }) => type === "send").length, 2);
    const waitMs = core.deadline - at;
    assert(waitMs >= Math.min(longest / 5, settings.electionMinMs) && waitMs <= longest, `${waitMs} of ${longest}`);
    for (const voter of ["b", "c"]) receive(core, voter, refusal, at + 1);
    assertEquals([core.state.role, core.state.term, core.deadline], ["follower", 2, at + waitMs]);
  }
  for (let i = 0; i < 40; i++) core.step(deadline, core.deadline);
  const last = core.deadline;
  core.step(deadline, last);
  assertEquals(core.deadline, last + settings.electionMinMs, "for ever");
});

// --- the leader is back ---

test("leader closed: one that is heard again is followed as before", () => {
  for (const asks of [false, true]) {
    const core = doubting();
    if (asks) core.step(deadline, core.deadline);
    receive(core, "b", append({ term: 2, prevIndex: 2, prevTerm: 2 }), 700);
    const { role, leader, leaderClosed } = core.state;
    assertEquals([role, leader, leaderClosed, core.deadline], ["follower", "b", undefined, 1700]);
    assertEquals(wouldVote(core, 701), false);
  }
});

test("leader closed: the same process that connects again had not died, and is waited for as before", () => {
  const core = doubting();
  assertEquals(take(core, connected(), 610).changes, { leaderClosed: undefined, electionAt: 1500 });
  assertEquals([wouldVote(core, 1499), wouldVote(core, 1500)], [false, true]);
  core.step(closed(), 620);
  assert(core.deadline < 620 + waitMax, "and may be lost again");
});

test("leader closed: a process that was started anew, another server, or a candidacy under way change nothing", () => {
  for (const event of [connected("b", 2), connected("c")]) {
    const core = doubting();
    const before = core.deadline;
    core.step(event, 610);
    assertEquals([core.deadline, wouldVote(core, 611)], [before, true]);
  }
  const core = doubting();
  core.step(deadline, core.deadline);
  assertEquals(take(core, connected(), 710).changes, {});
});

// --- what was promised ---

test("leader closed: a promise that leases count on is kept, and the election is due when it is over", () => {
  const core = follower();
  receive(core, "b", append({ term: 2, prevIndex: 2, prevTerm: 2, isLeased: true }), 550);
  const promisedUntil = 550 + settings.electionMinMs;
  core.state.electionAt = 9000;
  core.step(closed(), closedAt);
  const dueAfter = core.deadline - promisedUntil;
  assert(dueAfter >= waitMin && dueAfter < waitMax, `${dueAfter}`);
  assertEquals([wouldVote(core, promisedUntil - 1), wouldVote(core, promisedUntil)], [false, true]);
});

test("leader closed: a promise outlives requests that ask for none", () => {
  const core = follower();
  const heartbeat = { term: 2, prevIndex: 2, prevTerm: 2 };
  receive(core, "b", append({ ...heartbeat, isLeased: true }), 550);
  receive(core, "b", append({ ...heartbeat, isLeased: false }), 560);
  core.step(closed(), closedAt);
  const promisedUntil = 550 + settings.electionMinMs;
  assertEquals([wouldVote(core, promisedUntil - 1), wouldVote(core, promisedUntil)], [false, true]);
});

test("leader closed: other settings do not put off the election that is due soon", () => {
  const core = doubting();
  const before = core.deadline;
  core.step({ type: "settings-changed", settings: { ...core.state.settings, heartbeatMs: 40 } }, closedAt + 5);
  assertEquals(core.deadline, before);
});
