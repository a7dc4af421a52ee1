import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../src/errors.ts";
import type { AppendRequest } from "../../src/message.ts";
import { test } from "../harness.ts";
import {
  accepted,
  announces,
  append,
  campaigning,
  configuration,
  coreOf,
  following,
  type Given,
  leaderOf,
  persists,
  receive,
  rejected,
  sends,
  take,
} from "./states.ts";

/** A follower of "b" in term 3 with entries of terms 1 1 2, none of which this leader has verified. */
const follower: Given = { terms: [1, 1, 2], term: 3, state: following("b", { electionAt: 1000 }) };

const at = (about: Parameters<typeof append>[0]) => append({ term: 3, prevIndex: 3, prevTerm: 2, ...about });

test("append: a heartbeat that fits is answered at once, and the election is put off", () => {
  assertEquals(receive(coreOf(follower), "b", at({ sequence: 7, round: 4 }), 30), {
    effects: [sends("b", accepted({ term: 3, sequence: 7, round: 4, matchIndex: 3 }))],
    changes: { leaderHeardAt: 30, electionAt: 1030, verifiedIndex: 3, roundAnswered: 4 },
  });
});

test("append: of an earlier term is answered with ours alone, and puts nothing off", () => {
  assertEquals(receive(coreOf(follower), "b", at({ term: 2, sequence: 7, round: 4 }), 30), {
    effects: [sends("b", accepted({ term: 3, sequence: 0, round: 0, matchIndex: 0 }))],
    changes: {},
  });
});

test("append: of a later term is followed; the answer waits for the term to be durable (BE06)", () => {
  const core = coreOf(follower);
  const answer = accepted({ term: 4, matchIndex: 3 });
  const { effects, changes } = receive(core, "c", at({ term: 4 }), 30);
  assertEquals(effects, [persists(1, 4, undefined), announces("follower", 4, "c", "leader-heard")]);
  assertEquals([changes["leader"], changes["termLeader"], changes["withheld"]], ["c", "c", [{
    to: "c",
    message: answer,
  }]]);
  assertEquals(take(core, { type: "vote-persisted", sequence: 1 }, 31).effects, [sends("c", answer)]);
});

test("append: a term may jump far, but not by more than 2^40", () => {
  assertEquals(receive(coreOf(follower), "b", at({ term: 4 + 2 ** 40 })), { effects: [], changes: {} });
  assertEquals(receive(coreOf(follower), "b", at({ term: 3 + 2 ** 40 })).changes["term"], 3 + 2 ** 40);
});

for (const role of ["candidate", "pre-candidate"] as const) {
  test(`append: a ${role} follows the leader of its term`, () => {
    const state = campaigning(role === "candidate" ? 3 : 4, { pre: role === "pre-candidate" });
    const { effects, changes } = receive(coreOf({ ...follower, votedFor: "a", state }), "b", at({}), 30);
    assertEquals(effects, [
      announces("follower", 3, "b", "leader-heard"),
      sends("b", accepted({ term: 3, matchIndex: 3 })),
    ]);
    assertEquals([changes["role"], changes["campaign"], changes["electionAt"]], ["follower", undefined, 1030]);
  });
}

test("append: a second leader of a term stops the server (BE29)", () => {
  assertThrows(() => receive(coreOf(follower), "c", at({})), InvariantError, '"b" and "c" both claim it');
  const silent = coreOf({ ...follower, state: { termLeader: "b" } });
  assertThrows(() => receive(silent, "c", at({})), InvariantError);
  assertThrows(() => receive(leaderOf({ terms: [1, 3] }), "c", at({})), InvariantError, "one leader");
});

for (
  const { prevIndex, prevTerm, hint } of [
    { prevIndex: 4, prevTerm: 2, hint: [3, 2] },
    { prevIndex: 9, prevTerm: 3, hint: [3, 2] },
    { prevIndex: 3, prevTerm: 3, hint: [3, 2] },
    { prevIndex: 3, prevTerm: 1, hint: [2, 1] },
    { prevIndex: 2, prevTerm: 2, hint: [2, 1] },
  ] as const
) {
  test(`append: after entry ${prevIndex} of term ${prevTerm} does not fit, and says to look at ${hint}`, () => {
    assertEquals(receive(coreOf(follower), "b", at({ sequence: 5, round: 1, prevIndex, prevTerm, terms: [3] }), 30), {
      effects: [sends("b", rejected(prevIndex, hint[0], hint[1], { term: 3, sequence: 5, round: 1 }))],
      changes: { leaderHeardAt: 30, electionAt: 1030 },
    });
  });
}

test("append: new entries are written, and answered when they are durable", () => {
  const core = coreOf(follower);
  const { effects, changes } = receive(core, "b", at({ sequence: 5, terms: [2, 3] }));
  assertEquals(effects, [{ type: "append", source: "message", from: 4, end: 6, term: 3, epoch: 0 }]);
  assertEquals(changes, {
    "log.lastIndex": 5,
    "log.runs": [{ term: 1, from: 1 }, { term: 2, from: 3 }, { term: 3, from: 5 }],
    verifiedIndex: 5,
    ackOwed: { sequence: 5, round: 0 },
  });
  assertEquals(take(core, { type: "entries-persisted", end: 6, epoch: 0 }), {
    effects: [sends("b", accepted({ term: 3, sequence: 5, matchIndex: 5 }))],
    changes: { persistedIndex: 5, ackOwed: undefined },
  });
});

test("append: what is partly durable is answered so far, the rest stays owed", () => {
  const core = coreOf(follower);
  receive(core, "b", at({ sequence: 5, terms: [3, 3] }));
  assertEquals(take(core, { type: "entries-persisted", end: 5, epoch: 0 }), {
    effects: [sends("b", accepted({ term: 3, sequence: 5, matchIndex: 4 }))],
    changes: { persistedIndex: 4 },
  });
  assertEquals(take(core, { type: "entries-persisted", end: 6, epoch: 0 }).changes["ackOwed"], undefined);
});

test("append: several requests that become durable together are answered once", () => {
  const core = coreOf(follower);
  receive(core, "b", at({ sequence: 5, terms: [3] }));
  receive(core, "b", at({ sequence: 6, prevIndex: 4, prevTerm: 3, terms: [3] }));
  assertEquals(take(core, { type: "entries-persisted", end: 6, epoch: 0 }).effects, [
    sends("b", accepted({ term: 3, sequence: 6, matchIndex: 5 })),
  ]);
});

test("append: a heartbeat or a new round is answered before entries are durable, with what is (BL03)", () => {
  const core = coreOf(follower);
  assertEquals(receive(core, "b", at({ sequence: 5, round: 1, terms: [3] })).effects.slice(1), [
    sends("b", accepted({ term: 3, sequence: 5, round: 1, matchIndex: 3 })),
  ]);
  assertEquals(
    receive(core, "b", at({ sequence: 6, round: 1, prevIndex: 4, prevTerm: 3, terms: [3] })).effects.length,
    1,
  );
  assertEquals(receive(core, "b", at({ sequence: 7, round: 1, prevIndex: 5, prevTerm: 3 })).effects, [
    sends("b", accepted({ term: 3, sequence: 7, round: 1, matchIndex: 3 })),
  ]);
});

test("append: only what this leader verified is acknowledged, however long the log is (L5, BL03)", () => {
  const answer = (about: Partial<AppendRequest>) => receive(coreOf(follower), "b", at(about)).effects[0];
  assertEquals(answer({ prevIndex: 1, prevTerm: 1 }), sends("b", accepted({ term: 3, matchIndex: 1 })));
  assertEquals(answer({ prevIndex: 2, prevTerm: 1 }), sends("b", accepted({ term: 3, matchIndex: 2 })));
});

test("append: conflicting entries and all after them go, then the new ones come", () => {
  const core = coreOf(follower);
  const { effects, changes } = receive(core, "b", at({ sequence: 5, prevIndex: 1, prevTerm: 1, terms: [3, 3] }));
  assertEquals(effects, [
    { type: "truncate", from: 2 },
    { type: "append", source: "message", from: 2, end: 4, term: 3, epoch: 1 },
  ]);
  assertEquals(changes, {
    "log.runs": [{ term: 1, from: 1 }, { term: 3, from: 2 }],
    persistedIndex: 1,
    epoch: 1,
    verifiedIndex: 3,
    ackOwed: { sequence: 5, round: 0 },
  });
});

test("append: the entry before the conflict stays, with all that agrees", () => {
  const { effects } = receive(coreOf(follower), "b", at({ prevIndex: 1, prevTerm: 1, terms: [1, 3] }));
  assertEquals(effects[0], { type: "truncate", from: 3 });
});

test("append: a shorter or repeated request removes nothing (BL01)", () => {
  const request = at({ prevIndex: 1, prevTerm: 1, terms: [1] });
  for (const state of [follower.state!, { ...follower.state, verifiedIndex: 3 }]) {
    const { changes } = receive(coreOf({ ...follower, state }), "b", request);
    assertEquals(changes, state.verifiedIndex === 3 ? {} : { verifiedIndex: 2 });
  }
});

test("append: a write from before a truncation is not credited to what came after (BL05, BL06)", () => {
  const core = coreOf(follower);
  receive(core, "b", at({ terms: [2, 2] }));
  receive(core, "c", append({ term: 4, prevIndex: 3, prevTerm: 2, terms: [4, 4] }));
  assertEquals(take(core, { type: "entries-persisted", end: 6, epoch: 0 }), { effects: [], changes: {} });
  assertEquals(take(core, { type: "entries-persisted", end: 6, epoch: 1 }).changes["persistedIndex"], 5);
});

test("append: entries that are durable can't end beyond the log", () => {
  const core = coreOf({ ...follower, state: { persistedIndex: 1 } });
  assertThrows(() => take(core, { type: "entries-persisted", end: 5, epoch: 0 }), InvariantError);
  assertEquals(take(core, { type: "entries-persisted", end: 4, epoch: 0 }).changes, { persistedIndex: 3 });
  assertEquals(take(core, { type: "entries-persisted", end: 3, epoch: 0 }).changes, {});
});

for (
  const { commitIndex, end, applied } of [
    { commitIndex: 1, end: 2, applied: 1 },
    { commitIndex: 2, end: 2, applied: 1 },
    { commitIndex: 3, end: 3, applied: 2 },
    { commitIndex: 9, end: 4, applied: 3 },
  ]
) {
  test(`append: commit index ${commitIndex} counts up to what is verified, ${applied} (BC03)`, () => {
    const request = at({ prevIndex: end - 1, prevTerm: end === 4 ? 2 : 1, commitIndex });
    const { effects, changes } = receive(coreOf(follower), "b", request);
    assertEquals([effects[0], changes["commitIndex"]], [{ type: "apply", upTo: applied }, applied]);
  });
}

test("append: a commit index that is lower or the same is not applied again (BC09)", () => {
  const core = coreOf({ ...follower, state: { ...follower.state, commitIndex: 2 } });
  for (const commitIndex of [0, 1, 2]) {
    assertEquals(receive(core, "b", at({ commitIndex })).effects.map(({ type }) => type), ["send"]);
  }
  assertEquals(receive(core, "b", at({ commitIndex: 3 })).effects[0], { type: "apply", upTo: 3 });
});

test("append: a committed entry never changes: the server stops (P15, BL02)", () => {
  const holding = (about: Given["state"]) => coreOf({ ...follower, state: { ...follower.state, ...about } });
  const conflicting = at({ prevIndex: 1, prevTerm: 1, terms: [3] });
  assertThrows(() => receive(holding({ commitIndex: 2 }), "b", conflicting), InvariantError, "entry 2 must not change");
  assertEquals(receive(holding({ commitIndex: 1 }), "b", conflicting).effects[0], { type: "truncate", from: 2 });
  const other = at({ prevIndex: 2, prevTerm: 2 });
  assertThrows(() => receive(holding({ commitIndex: 2 }), "b", other), InvariantError, "entry 2 must not change");
  assertEquals(receive(holding({ commitIndex: 1 }), "b", other).effects.length, 1);
});

test("append: what this leader has verified it can't take back (L6)", () => {
  const core = (verifiedIndex: number) => coreOf({ ...follower, state: { ...follower.state, verifiedIndex } });
  const conflicting = at({ prevIndex: 1, prevTerm: 1, terms: [3] });
  assertThrows(() => receive(core(2), "b", conflicting), InvariantError);
  assertEquals(receive(core(1), "b", conflicting).effects[0], { type: "truncate", from: 2 });
});

test("append: a configuration is in force when it is appended, and its predecessor when it is removed", () => {
  const core = coreOf(follower);
  const next = configuration("a b c ~d");
  const request = at({ terms: [2], configurations: [{ index: 4, configuration: next }] });
  assertEquals(receive(core, "b", request).effects[0], {
    type: "announce-configuration",
    index: 4,
    configuration: next,
  });
  receive(core, "b", request);
  assertEquals(core.state.configurations.map(({ index }) => index), [1, 4]);
  const { effects } = receive(core, "c", append({ term: 4, prevIndex: 3, prevTerm: 2, terms: [4] }));
  const back = { type: "announce-configuration", index: 1, configuration: configuration("a b c") } as const;
  assertEquals(effects.slice(2, 4), [{ type: "truncate", from: 4 }, back]);
});

test("append: an empty log takes its first entry, and its configuration", () => {
  const core = coreOf({ terms: [], term: 0 });
  const first = configuration("a b c");
  const request = append({
    prevIndex: 0,
    prevTerm: 0,
    terms: [1],
    configurations: [{ index: 1, configuration: first }],
  });
  assertEquals(receive(core, "b", request).effects.map(({ type }) => type), [
    ...["persist-vote", "announce-role", "announce-configuration", "append"],
  ]);
});

test("append: entries that become durable while no leader is known are answered to nobody", () => {
  const core = coreOf(follower);
  receive(core, "b", at({ terms: [3] }));
  take(core, { type: "deadline-reached" }, 1000);
  assertEquals(take(core, { type: "entries-persisted", end: 5, epoch: 0 }).effects, []);
  const { effects } = receive(core, "b", at({ sequence: 2, prevIndex: 4, prevTerm: 3 }));
  assertEquals(effects[1], sends("b", accepted({ term: 3, sequence: 2, matchIndex: 4 })));
});

test("append: what is owed for several requests in any order is the latest sequence and round", () => {
  const core = coreOf({ ...follower, state: { ...follower.state, roundAnswered: 9 } });
  receive(core, "b", at({ sequence: 6, round: 4, terms: [3] }));
  receive(core, "b", at({ sequence: 5, round: 3, terms: [3] }));
  assertEquals(take(core, { type: "entries-persisted", end: 5, epoch: 0 }).effects, [
    sends("b", accepted({ term: 3, sequence: 6, round: 4, matchIndex: 4 })),
  ]);
});

test("append: a configuration that is in the log already does not come into force again", () => {
  const core = coreOf(follower);
  const configurations = [{ index: 4, configuration: configuration("a b c ~d") }];
  receive(core, "b", at({ terms: [2], configurations }));
  const { effects } = receive(core, "b", at({ terms: [2, 2], configurations }));
  assertEquals(effects.map(({ type }) => type), ["append"]);
  assertEquals(core.state.configurations.map(({ index }) => index), [1, 4]);
});

test("append: a leader that stepped down knows that the term was its own", () => {
  const core = coreOf({ term: 3, votedFor: "a", state: campaigning(3) });
  receive(core, "b", { type: "vote-response", term: 3, pre: false, campaign: 3, granted: true });
  take(core, { type: "deadline-reached" }, 900);
  assertEquals(core.state.role, "follower");
  assertThrows(() => receive(core, "c", at({ prevIndex: 1, prevTerm: 1 })), InvariantError, "one leader");
});
