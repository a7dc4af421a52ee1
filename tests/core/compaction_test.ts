import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { compactTerms, openTermIndex, resetTerms, termAt } from "../../src/core/term_index.ts";
import { Core, type CoreStart } from "../../src/core/core.ts";
import { configurationAt } from "../../src/core/membership.ts";
import { InvariantError } from "../../src/errors.ts";
import type { AppendResponse } from "../../src/message.ts";
import { test } from "../harness.ts";
import {
  accepted,
  append,
  configuration,
  coreOf,
  deadline,
  following,
  type Given,
  leaderOf,
  receive,
  runsOf,
  settings,
  take,
} from "./states.ts";

const persisted = (index: number, term: number) => ({ type: "snapshot-persisted", index, term }) as const;

/** A follower with eight entries of term 1, the first six of them applied, all durable. */
const follower = (about: Given = {}) =>
  coreOf({
    terms: [1, 1, 1, 1, 1, 1, 1, 1],
    ...about,
    state: { ...following("b"), commitIndex: 6, appliedIndex: 6, ...about.state },
  });

test("compactTerms() keeps the terms of what is left, and the one before", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 12 }), fc.nat(12), (some, cut) => {
    const terms = some.sort((a, b) => a - b);
    const firstIndex = Math.min(cut, terms.length) + 1;
    const log = openTermIndex(1, terms.length, runsOf(terms));
    compactTerms(log, firstIndex);
    assertEquals(
      log,
      openTermIndex(firstIndex, terms.length, runsOf(terms.slice(cut), firstIndex), terms[firstIndex - 2]),
    );
    for (let index = firstIndex - 1; index <= terms.length; index++) {
      assertEquals(termAt(log, index), terms[index - 1] ?? 0);
    }
  }));
});

test("compactTerms() does not go beyond the end of the log, nor back", () => {
  const log = openTermIndex(3, 4, runsOf([2, 2], 3), 1);
  for (const firstIndex of [2, 6]) assertThrows(() => compactTerms(log, firstIndex), InvariantError);
  compactTerms(log, 5);
  assertEquals(log, openTermIndex(5, 4, [], 2));
});

test("resetTerms() leaves nothing but where it goes on", () => {
  const log = openTermIndex(1, 2, runsOf([1, 2]));
  resetTerms(log, 9, 4);
  assertEquals(log, openTermIndex(10, 9, [], 4));
});

test("compaction: a durable snapshot lets the log begin after it", () => {
  const { effects, changes } = take(follower(), persisted(5, 1));
  assertEquals(effects, [{ type: "compact", firstIndex: 6, prevTerm: 1 }]);
  assertEquals(changes, {
    "log.firstIndex": 6,
    "log.prevTerm": 1,
    "log.runs": [{ term: 1, from: 6 }],
    snapshot: { index: 5, term: 1 },
    compactionTarget: 5,
  });
});

test("compaction: entries trail, counted from the end of the log", () => {
  const trailing = (trailingLogs: number) => take(follower({ settings: { trailingLogs } }), persisted(5, 1)).effects;
  assertEquals(trailing(3), [{ type: "compact", firstIndex: 6, prevTerm: 1 }]);
  assertEquals(trailing(4), [{ type: "compact", firstIndex: 5, prevTerm: 1 }]);
  assertEquals(trailing(7), [{ type: "compact", firstIndex: 2, prevTerm: 1 }]);
  assertEquals(trailing(8), []);
  assertEquals(trailing(10_240), []);
});

test("S4: nothing is removed beyond what the machine has applied; the rest follows when it has", () => {
  const core = follower({ state: { appliedIndex: 3 } });
  assertEquals(take(core, persisted(5, 1)).effects, []);
  assertEquals(take(core, { type: "applied", upTo: 4 }).effects, []);
  assertEquals(take(core, { type: "applied", upTo: 5 }).effects, [{ type: "compact", firstIndex: 6, prevTerm: 1 }]);
});

test("S4: nothing is removed that our own disk does not have yet", () => {
  const core = follower({ state: { persistedIndex: 2 } });
  assertEquals(take(core, persisted(5, 1)).effects, []);
  assertEquals(take(core, { type: "entries-persisted", end: 5, epoch: 0 }).effects.at(-1)?.type, undefined);
  const { effects } = take(core, { type: "entries-persisted", end: 9, epoch: 0 });
  assertEquals(effects, [{ type: "compact", firstIndex: 6, prevTerm: 1 }]);
});

test("S4: a large part of what may go is not kept waiting for a small one", () => {
  const terms = new Array<number>(1100).fill(1);
  const state = { commitIndex: 1100, persistedIndex: 1024 };
  const core = coreOf({ terms, state: { ...following("b"), ...state, appliedIndex: 1100 } });
  assertEquals(take(core, persisted(1100, 1)).effects, []);
  const [first] = take(core, { type: "entries-persisted", end: 1026, epoch: 0 }).effects;
  assertEquals(first, { type: "compact", firstIndex: 1026, prevTerm: 1 });
});

/** A leader with eight entries that sends b a snapshot up to the third. */
function sending() {
  const terms = [1, 1, 1, 1, 1, 1, 1, 1];
  const b = { state: "snapshot", snapshotAsked: true } as const;
  const core = leaderOf({ terms, state: { commitIndex: 8, appliedIndex: 8 }, progress: { b } });
  take(core, { type: "snapshot-sending", to: "b", term: 1, index: 3 });
  return core;
}

const compacted = { type: "compact", firstIndex: 8, prevTerm: 1 } as const;

test("P10: what must follow a snapshot stays while it is sent, and while the peer catches up from it", () => {
  const core = sending();
  assertEquals(take(core, persisted(7, 1)).effects, []);
  assertEquals(take(core, { type: "snapshot-sent", to: "b", term: 1, index: 3 }, 10).effects, []);
  receive(core, "b", accepted({ sequence: 0, matchIndex: 6 }), 20);
  assertEquals(take(core, deadline, 50).effects, []);
  receive(core, "b", accepted({ sequence: 0, matchIndex: 7 }), 60);
  assertEquals(take(core, deadline, 100).effects, [compacted]);
});

test("P10: a peer that got a snapshot and then acknowledges nothing new is not waited for any longer", () => {
  const core = sending();
  take(core, persisted(7, 1));
  take(core, { type: "snapshot-sent", to: "b", term: 1, index: 3 }, 10);
  receive(core, "b", accepted({ sequence: 0, matchIndex: 4 }), 1000);
  const stays = (now: number) => {
    receive(core, "c", accepted({ sequence: 0, matchIndex: 0 }), now);
    return take(core, deadline, now).effects;
  };
  assertEquals(stays(3000), []);
  assertEquals(stays(3051), [compacted]);
});

test("S4: a transfer that failed holds nothing back", () => {
  const core = sending();
  take(core, persisted(7, 1));
  assertEquals(take(core, { type: "snapshot-failed", to: "b", term: 1 }).effects, [compacted]);
});

test("BS12: an older snapshot, or the same again, changes nothing", () => {
  const core = follower();
  take(core, persisted(5, 1));
  for (const index of [4, 5]) assertEquals(take(core, persisted(index, 1)), { effects: [], changes: {} });
  assertEquals(take(core, persisted(6, 1)).effects.length, 1);
});

test("BL20: the log may be compacted to its very end, and goes on", () => {
  const core = coreOf({ terms: [1, 1, 2], state: { ...following("b"), commitIndex: 3, appliedIndex: 3 } });
  assertEquals(take(core, persisted(3, 2)).effects, [{ type: "compact", firstIndex: 4, prevTerm: 2 }]);
  assertEquals([core.state.log.firstIndex, core.state.log.lastIndex, core.state.log.runs], [4, 3, []]);
  const { effects } = receive(core, "b", append({ term: 2, prevIndex: 3, prevTerm: 2, terms: [2] }));
  assertEquals(effects[0]!.type, "append");
  assertEquals(core.state.log.runs, [{ term: 2, from: 4 }]);
});

test("M1: configurations before the snapshot's go, that one stays whatever is truncated", () => {
  const [old, kept, newer] = ["a b", "a b c", "a b c d"].map(configuration);
  const configurations = [
    { index: 1, configuration: old! },
    { index: 3, configuration: kept! },
    { index: 8, configuration: newer! },
  ];
  const core = follower({ state: { configurations } });
  assertEquals([0, 1, 2, 3, 7, 8].map((index) => configurationAt(core.state, index)?.index), [
    undefined,
    1,
    1,
    3,
    3,
    8,
  ]);
  take(core, persisted(5, 1));
  assertEquals(core.state.configurations, configurations.slice(1));
  receive(core, "b", append({ term: 2, prevIndex: 7, prevTerm: 1, terms: [2] }));
  assertEquals(core.state.configurations, configurations.slice(1, 2));
});

const start: CoreStart = {
  ...{ id: "a", settings, seed: 1, now: 0, vote: { term: 3, votedFor: undefined } },
  ...{ firstIndex: 6, prevTerm: 1, lastIndex: 8, terms: runsOf([1, 2, 2], 6) },
  configurations: [{ index: 7, configuration: configuration("a b c") }],
  damaged: [],
  snapshot: { index: 6, term: 1, configuration: configuration("a b"), configurationIndex: 4 },
};

test("BS22: a core that starts from a snapshot knows that all of it is committed and applied", () => {
  const { core, effects } = Core.start(start);
  const { commitIndex, appliedIndex, snapshot, log } = core.state;
  assertEquals([commitIndex, appliedIndex, snapshot], [6, 6, { index: 6, term: 1 }]);
  assertEquals([termAt(log, 5), termAt(log, 6), termAt(log, 7)], [1, 1, 2]);
  assertEquals(effects[0], { type: "announce-configuration", index: 7, configuration: configuration("a b c") });
});

test("M1: a core that starts from a snapshot has its configuration under those of the entries after it", () => {
  const indexesOf = (about: Partial<CoreStart>) =>
    Core.start({ ...start, ...about }).core.state.configurations.map(({ index }) => index);
  assertEquals(indexesOf({}), [4, 7]);
  assertEquals(indexesOf({ configurations: [] }), [4]);
  assertEquals(indexesOf({ snapshot: { ...start.snapshot!, index: 7, term: 2, configurationIndex: 7 } }), [7]);
});

test("C3: a core does not start from a snapshot that ends outside of its log, or with another entry", () => {
  const startAt = (index: number, term: number) => () =>
    Core.start({ ...start, snapshot: { ...start.snapshot!, index, term } });
  for (const [index, term] of [[4, 1], [5, 2], [6, 2], [8, 1], [9, 2]] as const) {
    assertThrows(startAt(index, term), InvariantError);
  }
  for (const [index, term] of [[5, 1], [6, 1], [8, 2]] as const) startAt(index, term)();
});

test("E4: a core does not start with a vote from before its log, be that compacted", () => {
  const empty = { ...start, firstIndex: 9, lastIndex: 8, prevTerm: 2, terms: [], configurations: [] };
  const snapshot = { ...start.snapshot!, index: 8, term: 2 };
  assertThrows(() => Core.start({ ...empty, snapshot, vote: { term: 1, votedFor: undefined } }), InvariantError);
  assert(Core.start({ ...empty, snapshot, vote: { term: 2, votedFor: undefined } }).core.state.term === 2);
});

const damage = (index: number) => ({ from: index, end: index + 1, isTermKnown: true });

/** The first entry of the log, and what an append to its end is answered with. */
function accepts(core: Core): readonly [firstIndex: number, matchIndex: number, isDamaged: boolean | undefined] {
  const { effects } = receive(core, "b", append({ term: 1, prevIndex: 8, prevTerm: 1, sequence: 1, commitIndex: 6 }));
  const answer = effects.flatMap((effect) => effect.type === "send" ? [effect.message] : [])[0] as AppendResponse;
  return [core.state.log.firstIndex, answer.matchIndex, answer.rejected?.isDamaged];
}

/** What a leader that has lost the beginning of its log says. */
const offer = (index: number) => ({
  type: "snapshot-request" as const,
  ...{ term: 1, id: 1, index, lastTerm: 1, bytes: 1, checksum: 0, timeMs: 0 },
  ...{ configuration: configuration("a b c"), configurationIndex: 1 },
});

const answered = (core: Core, index: number) =>
  receive(core, "b", offer(index)).effects.map((effect) =>
    effect.type === "send" && effect.message.type === "snapshot-response" ? effect.message.status : effect.type
  );

test("damage in our own snapshot is in nobody's way when a leader has only a snapshot of it, too (V2)", () => {
  const core = follower({ settings: { trailingLogs: 5 }, state: { damaged: [damage(5)] } });
  take(core, persisted(6, 1));
  // Others may still have it, and an older snapshot may be needed.
  assertEquals([core.state.damaged, accepts(core)], [[damage(5)], [4, 0, true]]);
  assertEquals(answered(core, 6), ["compact", "done"]);
  assertEquals([core.state.damaged, accepts(core)], [[], [7, 8, undefined]]);
  const whole = follower({ settings: { trailingLogs: 5 } });
  take(whole, persisted(6, 1));
  assertEquals([answered(whole, 6), accepts(whole)], [["done"], [4, 8, undefined]], "nothing is in the way");
});

test("damage beyond our own snapshot stays, and none goes before the machine has applied it", () => {
  const range = { ...damage(4), end: 8 };
  const core = follower({ settings: { trailingLogs: 8 }, state: { damaged: [range] } });
  assertEquals([answered(core, 6), accepts(core)], [["receive-snapshot"], [1, 0, true]]);
  take(core, persisted(6, 1));
  assertEquals(answered(core, 6), ["compact", "done"]);
  assertEquals([core.state.damaged, accepts(core)], [[damage(7)], [7, 0, true]]);
  const late = follower({ settings: { trailingLogs: 8 }, state: { damaged: [damage(5)], appliedIndex: 3 } });
  take(late, persisted(6, 1));
  assertEquals([answered(late, 6), late.state.damaged], [["refused"], [damage(5)]]);
  // It is not forgotten that all up to 6 is to go when one comes after which more would trail.
  take(late, persisted(7, 1));
  take(late, { type: "applied", upTo: 6 });
  assertEquals([late.state.damaged, late.state.log.firstIndex], [[], 7]);
});

test("damage in our own snapshot keeps nobody from campaigning where there is no leader", () => {
  const settings = { trailingLogs: 8 };
  const state = { persistedIndex: 8, commitIndex: 8, appliedIndex: 8, snapshot: { index: 6, term: 1 } };
  for (const [index, role, firstIndex] of [[4, "pre-candidate", 7], [7, "follower", 1]] as const) {
    // The others have priority 0.
    const core = leaderOf({ id: "a", servers: "a b! c!", terms: [1, 1, 1, 1, 1, 1, 1, 1], term: 1, settings, state });
    take(core, { type: "damage-found", from: index, end: index + 1 });
    assertEquals([core.state.role, core.state.log.firstIndex], ["follower", 1]);
    take(core, { type: "deadline-reached" }, 10_000);
    assertEquals([core.state.role, core.state.log.firstIndex], [role, firstIndex]);
  }
});
