import { assert, assertEquals } from "@std/assert";
import type { Effect } from "../../src/core/effect.ts";
import { newProgress, type Progress } from "../../src/core/progress.ts";
import { test } from "../harness.ts";
import {
  accepted,
  announces,
  deadline,
  drained,
  type GivenLeader,
  leaderOf,
  receive,
  rejected,
  take,
} from "./states.ts";

const sends: Effect = { type: "send-snapshot", to: "b", term: 3 };
const sent = (index: number) => ({ type: "snapshot-sent", to: "b", term: 3, index }) as const;
const failed = { type: "snapshot-failed", to: "b", term: 3 } as const;

/** A leader in term 3 with the entries 6 to 8 and a snapshot up to 6, whose peer b is as given. */
function leader(b: Partial<Progress>, about: GivenLeader = {}) {
  const log = { firstIndex: 6, lastIndex: 8, prevTerm: 2, runs: [{ term: 3, from: 6 }] };
  return leaderOf({
    terms: [1, 1, 1, 1, 2, 3, 3, 3],
    ...about,
    progress: { b, c: { nextIndex: 9, commitSent: 8 } },
    state: { log, snapshot: { index: 6, term: 3 }, commitIndex: 8, appliedIndex: 8, ...about.state },
  });
}

const b = (core: ReturnType<typeof leader>): Progress => core.state.leading!.progress.get("b")!;

/** A peer that waits for a snapshot. */
const waiting: Partial<Progress> = { state: "snapshot", nextIndex: 6, snapshotAsked: true, stateSequence: 10 };

test("snapshot: a peer that needs what is no longer in the log gets one, asked for once", () => {
  const core = leader({ nextIndex: 5 });
  assertEquals(take(core, drained).effects, [sends]);
  assertEquals([b(core).state, b(core).nextIndex], ["snapshot", 6]);
  assertEquals(take(core, drained).effects, []);
});

test("snapshot: one entry later and none is needed", () => {
  const core = leader({ nextIndex: 6 });
  assertEquals(take(core, drained).effects.map(({ type }) => type), ["replicate"]);
});

test("BS08: a peer that nothing is known of gets one when the log is compacted to its end", () => {
  const log = { firstIndex: 9, lastIndex: 8, prevTerm: 3, runs: [] };
  const core = leader({ ...newProgress(9, 0), heartbeatDue: false }, { state: { log } });
  take(core, drained);
  take(core, { type: "sent", to: "b", term: 3, sequence: 1, end: 9, bytes: 0 });
  receive(core, "b", rejected(8, 0, 0, { term: 3, sequence: 1 }));
  assertEquals(take(core, drained).effects, [sends]);
});

test("BS08: a rejection that goes back before the log's beginning asks for a snapshot, one that does not for entries", () => {
  const core = leader({ state: "probe", nextIndex: 8, sequence: 10, stateSequence: 5 });
  receive(core, "b", rejected(7, 3, 1, { term: 3, sequence: 9 }));
  assertEquals(take(core, drained).effects, [sends]);
  const near = leader({ state: "probe", nextIndex: 8, sequence: 10, stateSequence: 5 });
  receive(near, "b", rejected(7, 5, 2, { term: 3, sequence: 9 }));
  assertEquals(take(near, drained).effects.map(({ type }) => type), ["replicate"]);
});

test("snapshot: heartbeats go on meanwhile, without entries, from where the log begins", () => {
  const core = leader(waiting);
  take(core, deadline, 50);
  const [heartbeat] = take(core, drained, 50).effects;
  assert(heartbeat?.type === "replicate" && heartbeat.to === "b");
  assertEquals([heartbeat.from, heartbeat.end, heartbeat.prevTerm], [6, 6, 2]);
});

test("snapshot: a peer that waits for one counts as heard when it answers heartbeats, if by rejecting", () => {
  const core = leader({ ...waiting, sequence: 12 });
  core.state.leading!.round = 2;
  receive(core, "b", rejected(5, 2, 1, { term: 3, sequence: 11, round: 2 }), 700);
  assertEquals([b(core).heardAt, b(core).ackedRound, b(core).state], [700, 2, "snapshot"]);
});

test("snapshot: when it was sent, what follows it is", () => {
  const core = leader(waiting);
  take(core, sent(6));
  assertEquals([b(core).state, b(core).nextIndex, b(core).snapshotAsked], ["probe", 7, false]);
  const [probe] = take(core, drained).effects;
  assert(probe?.type === "replicate");
  assertEquals([probe.from, probe.end, probe.prevTerm], [7, 9, 3]);
});

test("P10: a snapshot that ends before the log begins is followed by another one", () => {
  const core = leader(waiting);
  take(core, sent(4));
  assertEquals([b(core).state, b(core).snapshotAsked], ["snapshot", false]);
  assertEquals(take(core, drained).effects, [sends]);
  // Right before it, the log goes on.
  const near = leader(waiting);
  take(near, sent(5));
  assertEquals([b(near).state, b(near).nextIndex], ["probe", 6]);
});

test("BS07: after a failure the next heartbeat tries again", () => {
  const core = leader(waiting);
  take(core, failed);
  assertEquals(take(core, drained).effects, []);
  take(core, deadline, 50);
  assertEquals(take(core, drained, 50).effects.find(({ type }) => type === "send-snapshot"), sends);
});

test("BS07: a peer that is back is noticed by a heartbeat alone, though nothing else arrived", () => {
  const core = leader({ ...waiting, sequence: 12 });
  receive(core, "b", accepted({ term: 3, sequence: 11, matchIndex: 3 }));
  assertEquals([b(core).state, b(core).nextIndex, b(core).matchIndex], ["replicate", 6, 3]);
});

test("snapshot: a peer's own acknowledgement of an install brings it back at once", () => {
  const core = leader(waiting);
  receive(core, "b", accepted({ term: 3, sequence: 0, matchIndex: 6 }));
  assertEquals([b(core).state, b(core).nextIndex, b(core).matchIndex], ["replicate", 7, 6]);
});

test("L9: answers to what was sent before it needed a snapshot do not bring it back", () => {
  const core = leader({ ...waiting, sequence: 12 });
  receive(core, "b", accepted({ term: 3, sequence: 9, matchIndex: 4 }));
  assertEquals([b(core).state, b(core).nextIndex, b(core).matchIndex], ["snapshot", 6, 4]);
  receive(core, "b", rejected(8, 7, 3, { term: 3, sequence: 11 }));
  assertEquals(b(core).state, "snapshot");
});

test("snapshot: a lost connection ends nothing: the transfer goes on, and is not asked for twice", () => {
  const core = leader(waiting);
  take(core, { type: "peer-disconnected", peer: "b" });
  assertEquals(take(core, drained).effects, []);
  assertEquals([b(core).state, b(core).snapshotAsked], ["snapshot", true]);
});

test("snapshot: a log that is compacted further while the peer waits is probed where it begins now", () => {
  const core = leader({ ...waiting, sequence: 12 });
  take(core, { type: "snapshot-persisted", index: 7, term: 3 });
  assertEquals(core.state.log.firstIndex, 8);
  take(core, drained);
  assertEquals([b(core).nextIndex, b(core).stateSequence], [8, 12]);
  // The answer to a heartbeat from where it began before.
  receive(core, "b", accepted({ term: 3, sequence: 11, matchIndex: 3 }));
  assertEquals(b(core).state, "snapshot");
});

test("snapshot: what is said of another term, of a stranger or to a follower is not heard", () => {
  const core = leader(waiting);
  for (const event of [sent(6), failed, { type: "snapshot-sending", to: "b", term: 3, index: 6 } as const]) {
    assertEquals(take(core, { ...event, term: 2 }), { effects: [], changes: {} });
    assertEquals(take(core, { ...event, to: "z" }), { effects: [], changes: {} });
  }
});

test("P19: a later term in an answer ends the leadership, an earlier or equal one does nothing", () => {
  const answer = (term: number) => ({ type: "snapshot-response", term, id: 1, status: "refused", offset: 0 }) as const;
  const core = leader(waiting);
  for (const term of [0, 2, 3, 2 ** 50]) assertEquals(receive(core, "b", answer(term)), { effects: [], changes: {} });
  assertEquals(receive(core, "b", answer(4)).effects.at(-1), announces("follower", 4, undefined, "higher-term"));
});

const asked = (beyond: number, peer = "b") => ({ type: "snapshot-asked", peer, beyond }) as const;

test("snapshot: a peer whose machine is to begin anew gets one that goes beyond what it has applied, asked for once", () => {
  const core = leader({ nextIndex: 9, matchIndex: 8 });
  assertEquals(take(core, asked(7)).effects, [{ ...sends, beyond: 7 }]);
  // Its log is as good as any.
  assertEquals(b(core).state, "replicate");
  assertEquals(take(core, asked(7)).effects, []);
  take(core, sent(8));
  assertEquals(take(core, asked(7)).effects, [{ ...sends, beyond: 7 }]);
});

test("snapshot: when it has applied all that there is, there is one entry more first", () => {
  const core = leader({ nextIndex: 9, matchIndex: 8 });
  assertEquals(take(core, asked(8)).effects, [
    { type: "append", source: "noop", from: 9, end: 10, term: 3, epoch: 0 },
    { ...sends, beyond: 8 },
  ]);
  // Nobody can have applied what is in no log.
  assertEquals(take(leader({}), asked(9)).effects, []);
});

test("snapshot: nobody gets one from who does not lead, hands over, or does not know him", () => {
  const follower = leader({}, { state: { role: "follower", leading: undefined } });
  assertEquals(take(follower, asked(7)).effects, []);
  const leading = leader({});
  leading.state.leading!.transfer = { to: "c", isNamed: true, deadline: 500, told: false };
  assertEquals(take(leading, asked(7)).effects, []);
  assertEquals(take(leader({}), asked(7, "z")).effects, []);
});
