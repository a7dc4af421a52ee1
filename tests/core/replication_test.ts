import { assertEquals } from "@std/assert";
import type { Effect } from "../../src/core/effect.ts";
import type { Progress } from "../../src/core/progress.ts";
import { test } from "../harness.ts";
import {
  accepted,
  announces,
  deadline,
  drained,
  type GivenLeader,
  leaderOf,
  persists,
  receive,
  rejected,
  take,
} from "./states.ts";

/** A leader of term 3 with six entries; of its two voters only "b" matters here. */
const leader = (b: Partial<Progress> = {}, about: GivenLeader = {}) =>
  leaderOf({ servers: "a b", terms: [1, 1, 2, 2, 3, 3], progress: { b }, ...about });

/** The ask for an append; what is not said is as for a heartbeat of that leader. */
const replicate = (about: Partial<Extract<Effect, { type: "replicate" }>> = {}): Effect => ({
  ...{ type: "replicate", to: "b", term: 3, sequence: 10, prevTerm: 3, from: 7, end: 7 },
  ...{ entriesMax: 4, bytesMax: 1000, commitIndex: 0, round: 0, isLeased: false },
  ...about,
});

const sent = (end: number, bytes = 100, sequence = 10) =>
  ({ type: "sent", to: "b", term: 3, sequence, end, bytes }) as const;

const asked = { sequence: 10, commitIndex: 0, round: 0 };

test("replication: a peer that is up to date is asked nothing", () => {
  assertEquals(take(leader(), drained), { effects: [], changes: {} });
});

test("replication: entries are asked for once; they are on their way when the sender says so", () => {
  const core = leader({ nextIndex: 4 });
  assertEquals(take(core, drained), {
    effects: [replicate({ prevTerm: 2, from: 4 })],
    changes: { "b.sequence": 11, "b.sending": asked },
  });
  assertEquals(take(core, drained), { effects: [], changes: {} });
  assertEquals(take(core, sent(6)), {
    effects: [],
    changes: {
      ...{ "b.sending": undefined, "b.nextIndex": 6 },
      ...{ "b.inFlight": [{ sequence: 10, end: 6, bytes: 100 }], "b.inFlightBytes": 100 },
    },
  });
  assertEquals(take(core, drained).effects, [replicate({ sequence: 11, from: 6, bytesMax: 1000 })]);
});

test("replication: what was sent under another sequence, term or name is not this", () => {
  const core = leader({ nextIndex: 4, sending: asked, sequence: 11 });
  for (const other of [{ sequence: 9 }, { sequence: 11 }, { term: 2 }, { term: 4 }, { to: "c" }]) {
    assertEquals(take(core, { ...sent(6), ...other }).changes, {});
  }
});

for (
  const { about, room } of [
    { about: { inFlightBytes: 1999 }, room: 1 },
    { about: { inFlightBytes: 2000 }, room: undefined },
    { about: { inFlightBytes: 1500 }, room: 500 },
    { about: { inFlight: Array(2).fill({ sequence: 5, end: 4, bytes: 0 }) }, room: 1000 },
    { about: { inFlight: Array(3).fill({ sequence: 5, end: 4, bytes: 0 }) }, room: undefined },
  ]
) {
  test(`replication: a window with ${JSON.stringify(about)} has room for ${room ?? "no"} bytes`, () => {
    const [effect] = take(leader({ nextIndex: 4, ...about }), drained).effects;
    assertEquals(effect?.type === "replicate" ? effect.bytesMax : undefined, room);
  });
}

test("replication: a full window does not hold up heartbeats (BV07)", () => {
  const full = { nextIndex: 4, inFlightBytes: 2000, heartbeatDue: true };
  assertEquals(take(leader(full), drained).effects, [replicate({ prevTerm: 2, from: 4, end: 4, bytesMax: 1 })]);
});

test("replication: a sender at work does not hold up heartbeats, whose end is not taken for its", () => {
  const core = leader({ nextIndex: 4, sending: asked, sequence: 11, heartbeatDue: true });
  assertEquals(take(core, drained), {
    effects: [replicate({ sequence: 11, prevTerm: 2, from: 4, end: 4 })],
    changes: { "b.sequence": 12, "b.heartbeatDue": false },
  });
  assertEquals(take(core, sent(4, 0, 11)).changes, {});
  assertEquals(take(core, sent(7)).changes["b.nextIndex"], 7);
});

test("replication: every heartbeat interval each peer is spoken to, in a new round; one millisecond earlier it is not", () => {
  const core = leader({ blocked: true });
  assertEquals(take(core, deadline, 49), { effects: [], changes: {} });
  assertEquals(take(core, deadline, 50), {
    effects: [],
    changes: {
      "leading.heartbeatAt": 100,
      "leading.round": 1,
      "b.heartbeatDue": true,
      "b.blocked": false,
    },
  });
  assertEquals(take(core, drained, 50).effects, [replicate({ round: 1 })]);
});

test("replication: nothing more is tried after a failure until a heartbeat or a connection (P20)", () => {
  const core = leader({ nextIndex: 4 });
  core.step(drained, 0);
  assertEquals(take(core, { type: "send-failed", to: "b", term: 3, sequence: 10 }).changes, {
    "b.blocked": true,
    "b.sending": undefined,
  });
  assertEquals(take(core, drained).effects, []);
  assertEquals(take(core, { type: "peer-connected", peer: "b" }).changes, {
    "b.blocked": false,
    "b.heartbeatDue": true,
  });
  assertEquals(take(core, drained).effects, [replicate({ sequence: 11, prevTerm: 2, from: 4 })]);
});

test("replication: a failure of another term or request takes back no ask", () => {
  const core = leader({ nextIndex: 4, sending: asked, sequence: 12 });
  assertEquals(take(core, { type: "send-failed", to: "b", term: 2, sequence: 10 }).changes, {});
  assertEquals(take(core, { type: "send-failed", to: "b", term: 3, sequence: 11 }).changes, { "b.blocked": true });
});

test("replication: a lost connection means to look anew behind what matches", () => {
  const core = leader({
    matchIndex: 3,
    sending: asked,
    inFlight: [{ sequence: 9, end: 7, bytes: 9 }],
    inFlightBytes: 9,
  });
  assertEquals(take(core, { type: "peer-disconnected", peer: "b" }).changes, {
    ...{ "b.state": "probe", "b.nextIndex": 4, "b.stateSequence": 10 },
    ...{ "b.sending": undefined, "b.inFlight": [], "b.inFlightBytes": 0 },
  });
  for (const type of ["peer-connected", "peer-disconnected"] as const) {
    assertEquals(take(core, { type, peer: "x" }), { effects: [], changes: {} });
  }
});

test("probe: one append at a time; a heartbeat asks the same without entries", () => {
  const core = leader({ state: "probe", nextIndex: 4 });
  assertEquals(take(core, drained).effects, [replicate({ prevTerm: 2, from: 4 })]);
  assertEquals(take(core, sent(7)).changes, {
    "b.sending": undefined,
    "b.probe": { sequence: 10, end: 7, bytes: 100 },
  });
  assertEquals(take(core, drained).effects, []);
  take(core, deadline, 50);
  assertEquals(take(core, drained, 50).effects, [replicate({ sequence: 11, prevTerm: 2, from: 4, end: 4, round: 1 })]);
});

test("probe: accepted as sent, durable or not, it opens the window behind itself", () => {
  const probe = { sequence: 9, end: 6, bytes: 200 };
  const core = leader({ state: "probe", nextIndex: 4, stateSequence: 9, probe });
  assertEquals(receive(core, "b", accepted({ term: 3, sequence: 9, matchIndex: 3 }), 8).changes, {
    ...{ "b.state": "replicate", "b.matchIndex": 3, "b.nextIndex": 6, "b.stateSequence": 10 },
    ...{ "b.probe": undefined, "b.heardAt": 8 },
  });
});

test("probe: an acceptance of what was asked before it counts as a match, and opens nothing (L9)", () => {
  const probe = { sequence: 9, end: 6, bytes: 200 };
  const core = leader({ state: "probe", nextIndex: 4, stateSequence: 9, probe });
  assertEquals(receive(core, "b", accepted({ term: 3, sequence: 8, matchIndex: 2 })).changes, { "b.matchIndex": 2 });
  assertEquals(receive(core, "b", accepted({ term: 3, sequence: 8, matchIndex: 5 })).changes, {
    ...{ "b.matchIndex": 5, "b.nextIndex": 6, commitIndex: 5 },
  });
});

test("probe: lost, its heartbeat finds where to go on", () => {
  const core = leader({ state: "probe", nextIndex: 4, probe: { sequence: 9, end: 7, bytes: 9 }, heartbeatDue: true });
  core.step(drained, 0);
  core.step(sent(4, 0), 0);
  const { changes } = receive(core, "b", accepted({ term: 3, sequence: 10, matchIndex: 3 }));
  assertEquals([changes["b.state"], core.state.leading!.progress.get("b")!.nextIndex], ["replicate", 4]);
  assertEquals(take(core, drained).effects, [replicate({ sequence: 11, prevTerm: 2, from: 4 })]);
});

for (
  const { hintIndex, hintTerm, nextIndex } of [
    { hintIndex: 2, hintTerm: 1, nextIndex: 3 },
    { hintIndex: 4, hintTerm: 2, nextIndex: 5 },
    { hintIndex: 5, hintTerm: 2, nextIndex: 5 },
    { hintIndex: 5, hintTerm: 1, nextIndex: 3 },
    { hintIndex: 0, hintTerm: 0, nextIndex: 1 },
    { hintIndex: 99, hintTerm: 99, nextIndex: 6 },
    { hintIndex: -5, hintTerm: 1, nextIndex: 1 },
  ]
) {
  test(`rejection: with entry ${hintIndex} of term ${hintTerm} as a hint the next to send is ${nextIndex}`, () => {
    const core = leader({ state: "probe", nextIndex: 7, probe: { sequence: 9, end: 7, bytes: 0 }, stateSequence: 9 });
    assertEquals(receive(core, "b", rejected(6, hintIndex, hintTerm, { term: 3, sequence: 9 })).changes, {
      ...{ "b.nextIndex": nextIndex, "b.stateSequence": 10, "b.probe": undefined },
    });
  });
}

test("rejection: of an append in a pipeline makes all that is on its way void (P7)", () => {
  const inFlight = [{ sequence: 8, end: 5, bytes: 9 }, { sequence: 9, end: 7, bytes: 9 }];
  const core = leader({ matchIndex: 2, inFlight, inFlightBytes: 18, sending: asked, sequence: 11 });
  assertEquals(receive(core, "b", rejected(4, 2, 1, { term: 3, sequence: 9 })).changes, {
    ...{ "b.state": "probe", "b.nextIndex": 3, "b.stateSequence": 11 },
    ...{ "b.sending": undefined, "b.inFlight": [], "b.inFlightBytes": 0 },
  });
});

test("rejection: of what matches by now, of an earlier state or of another probe is stale (BL10)", () => {
  const probe = { state: "probe", nextIndex: 6, matchIndex: 3, stateSequence: 8, sequence: 10 } as const;
  const after = (prevIndex: number, sequence: number) =>
    receive(leader(probe), "b", rejected(prevIndex, 1, 1, { term: 3, sequence })).changes["b.nextIndex"];
  assertEquals([after(5, 8), after(5, 9)], [4, 4]);
  assertEquals([after(5, 7), after(4, 8), after(6, 8), after(3, 8)], [undefined, undefined, undefined, undefined]);
});

test("response: of what was never sent, of another term or from a stranger is nobody's", () => {
  const core = leader({ sequence: 10 });
  for (const about of [{ sequence: 10 }, { sequence: 11 }, { term: 2 }]) {
    assertEquals(receive(core, "b", accepted({ term: 3, matchIndex: 5, ...about }), 9).changes, {});
  }
  assertEquals(receive(core, "x", accepted({ term: 3, matchIndex: 5 }), 9), { effects: [], changes: {} });
  assertEquals(receive(core, "b", accepted({ term: 3, sequence: 9, matchIndex: 5 }), 9).changes["b.matchIndex"], 5);
});

test("response: of a later term ends the leadership and is adopted at once (P19)", () => {
  const { effects, changes } = receive(leader(), "b", accepted({ term: 4 }), 9);
  assertEquals(effects, [persists(1, 4, undefined), announces("follower", 4, undefined, "higher-term")]);
  assertEquals([changes["term"], changes["role"], changes["electionAt"]], [4, "follower", 1009]);
});

test("response: a term may jump far, but not by more than 2^40", () => {
  assertEquals(receive(leader(), "b", accepted({ term: 4 + 2 ** 40 })).changes, {});
  assertEquals(receive(leader(), "b", accepted({ term: 3 + 2 ** 40 })).changes["term"], 3 + 2 ** 40);
});

test("response: acknowledgements out of order free the window once (BL09)", () => {
  const inFlight = [{ sequence: 7, end: 4, bytes: 1 }, { sequence: 8, end: 5, bytes: 2 }, {
    sequence: 9,
    end: 7,
    bytes: 4,
  }];
  const core = leader({ inFlight, inFlightBytes: 7 });
  const after = (matchIndex: number) => {
    receive(core, "b", accepted({ term: 3, sequence: 9, matchIndex }));
    const { inFlightBytes, inFlight, nextIndex } = core.state.leading!.progress.get("b")!;
    return [inFlightBytes, inFlight.length, nextIndex];
  };
  assertEquals([after(4), after(3), after(6), after(4)], [[4, 1, 7], [4, 1, 7], [0, 0, 7], [0, 0, 7]]);
});

test("response: before the sender has said what it sent frees nothing that is entered later", () => {
  const core = leader({ nextIndex: 4 });
  core.step(drained, 0);
  receive(core, "b", accepted({ term: 3, sequence: 10, matchIndex: 6 }));
  assertEquals(take(core, sent(7)).changes, { "b.sending": undefined });
  assertEquals(core.state.leading!.progress.get("b")!.nextIndex, 7);
});

test("proposed: a leader appends at once, anybody else says who leads", () => {
  assertEquals(take(leader(), { type: "proposed", count: 2 }), {
    effects: [{ type: "append", source: "proposals", from: 7, end: 9, term: 3, epoch: 0 }],
    changes: { "log.lastIndex": 8 },
  });
  const core = leader();
  receive(core, "b", accepted({ term: 4 }));
  assertEquals(take(core, { type: "proposed", count: 2 }), {
    effects: [{ type: "refuse-proposals", reason: "not-leader", leader: undefined }],
    changes: {},
  });
});

for (const { heard, leads } of [{ heard: 550, leads: true }, { heard: 549, leads: false }]) {
  test(`check-quorum: a leader that a quorum answered at ${heard} ${leads ? "leads" : "makes way"} at 1050 (BV02)`, () => {
    const core = leaderOf({ progress: { b: { heardAt: heard }, c: { heardAt: 0 } }, leading: { heartbeatAt: 1050 } });
    const { effects } = take(core, deadline, 1050);
    assertEquals(effects, leads ? [] : [announces("follower", 1, undefined, "quorum-lost")]);
    assertEquals(core.deadline, leads ? 1100 : 2050);
  });
}

test("check-quorum: nonvoters don't count, a single voter needs nobody", () => {
  const nonvoters = { d: { heardAt: 1000 }, e: { heardAt: 1000 } };
  const core = leaderOf({ servers: "a b c ~d +e", progress: nonvoters, leading: { heartbeatAt: 1000 } });
  take(core, deadline, 1000);
  assertEquals(core.state.role, "follower");
  const alone = leaderOf({ servers: "a ~b" });
  take(alone, deadline, 100_000);
  assertEquals(alone.state.role, "leader");
});

test("clock-jumped: a leader gives a quorum two heartbeats' time to answer anew, and asks at once", () => {
  const core = leader({ heardAt: 9000 });
  assertEquals(take(core, { type: "clock-jumped" }, 9000).changes, {
    "b.heardAt": 8600,
    "leading.creditedAt": 9000,
    "leading.heartbeatAt": 9000,
    "leading.leaseFrom": 9000,
  });
  for (const now of [9000, 9050, 9100]) take(core, deadline, now);
  assertEquals(core.state.role, "leader");
  take(core, deadline, 9150);
  assertEquals(core.state.role, "follower");
});

test("clock-jumped: again within a lease, a leader gives no more time", () => {
  const core = leader({ heardAt: 9000 });
  take(core, { type: "clock-jumped" }, 9000);
  assertEquals(take(core, { type: "clock-jumped" }, 9499).changes, {
    "leading.heartbeatAt": 9499,
    "leading.leaseFrom": 9499,
  });
  take(core, { type: "clock-jumped" }, 9500);
  assertEquals(core.state.leading!.progress.get("b")!.heardAt, 9100);
});

test("heartbeats: each one is answered at once even when it travels with entries and a disk is slow", () => {
  const core = leader();
  for (let now = 50; now <= 1000; now += 50) {
    core.step(deadline, now);
    core.step({ type: "proposed", count: 1 }, now);
    const [effect] = core.step(drained, now).filter(({ type }) => type === "replicate");
    const { round, sequence, end } = effect as Extract<Effect, { type: "replicate" }>;
    core.step(sent(end, 1, sequence), now);
    assertEquals(round, now / 50);
    receive(core, "b", accepted({ term: 3, sequence, round, matchIndex: end - 1 }), now);
  }
});

test("probe: a new commit index waits for the answer, or the next heartbeat", () => {
  const probe = { sequence: 9, end: 6, bytes: 200 };
  const core = leader({ state: "probe", nextIndex: 4, probe }, { state: { commitIndex: 5 } });
  assertEquals(take(core, drained).effects, []);
});

test("probe: an answer to its heartbeat does not vouch for the probe", () => {
  const probe = { sequence: 10, end: 7, bytes: 200 };
  const core = leader({ state: "probe", nextIndex: 4, stateSequence: 10, sequence: 12, probe });
  const { changes } = receive(core, "b", accepted({ term: 3, sequence: 11, matchIndex: 3 }));
  assertEquals([changes["b.state"], core.state.leading!.progress.get("b")!.nextIndex], ["replicate", 4]);
});

test("replication: what was compacted is not asked for but comes as a snapshot, the entry right behind it is", () => {
  const log = { firstIndex: 4, lastIndex: 6, prevTerm: 2, runs: [{ term: 3, from: 4 }] };
  const asks = (nextIndex: number) => take(leader({ nextIndex }, { state: { log } }), drained).effects;
  assertEquals([asks(3), asks(4)], [
    [{ type: "send-snapshot", to: "b", term: 3 }],
    [replicate({ prevTerm: 2, from: 4 })],
  ]);
});
