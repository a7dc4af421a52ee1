/**
 * Entries that the disk can't give any more (BD03, D2): what a server does that has some, and how they come again.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Core } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { DamagedRange } from "../../src/damage.ts";
import { InvariantError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import { accepted, append, configuration, coreOf, leaderOf, receive, rejected, take, voteRequest } from "./states.ts";

const known = (from: number, end = from + 1): DamagedRange => ({ from, end, isTermKnown: true });
const unknown = (from: number, end: number): DamagedRange => ({ from, end, isTermKnown: false });

/** Follower `a` of term 3 with entries of terms 1 1 2 2 3, of which some are damaged. */
function follower(...damaged: DamagedRange[]): Core {
  return coreOf({ terms: [1, 1, 2, 2, 3], term: 3, state: { damaged, leader: "b", termLeader: "b" } });
}

const repairs = (core: Core, about: Parameters<typeof append>[0]) =>
  receive(core, "b", append({ term: 3, ...about })).effects.filter(({ type }) => type !== "announce-damage");

test("damage: an append after a damaged entry is rejected, with the entry before it as the hint", () => {
  for (const prevIndex of [3, 4, 5, 9]) {
    const core = follower(known(3));
    const { effects } = receive(core, "b", append({ term: 3, prevIndex, prevTerm: 2, sequence: 7 }));
    const expected = rejected(prevIndex, 2, 1, { term: 3, sequence: 7 });
    const message = { ...expected, rejected: { ...expected.rejected!, isDamaged: true } };
    assertEquals(effects, [{ type: "send", to: "b", message }]);
    assertEquals([core.state.verifiedIndex, core.state.commitIndex], [0, 0]);
  }
});

test("damage: an append with equal terms repairs, and nothing from there on is acknowledged before it is durable", () => {
  const core = follower(known(3), known(5));
  const effects = repairs(core, { prevIndex: 2, prevTerm: 1, terms: [2, 2, 3], commitIndex: 5 });
  assertEquals(effects, [
    { type: "repair", from: 3, end: 4, sequence: 1 },
    { type: "repair", from: 5, end: 6, sequence: 2 },
    { type: "apply", upTo: 2 },
  ]);
  assertEquals([core.state.damaged, core.state.commitIndex, core.state.verifiedIndex], [[], 2, 5]);
  // A heartbeat is answered with what is whole, no more.
  const beat = receive(
    core,
    "b",
    append({ term: 3, prevIndex: 5, prevTerm: 3, sequence: 2, commitIndex: 5, round: 1 }),
  );
  assertEquals(beat.effects, [
    { type: "send", to: "b", message: accepted({ term: 3, sequence: 2, round: 1, matchIndex: 2 }) },
  ]);
  const later = take(core, { type: "entries-repaired", sequence: 2 }).effects;
  assertEquals(later.filter(({ type }) => type === "send"), [
    { type: "send", to: "b", message: accepted({ term: 3, sequence: 2, round: 1, matchIndex: 2 }) },
  ]);
  const first = take(core, { type: "entries-repaired", sequence: 1 }).effects;
  assertEquals(first.filter(({ type }) => type === "send"), [
    { type: "send", to: "b", message: accepted({ term: 3, sequence: 2, round: 1, matchIndex: 5 }) },
  ]);
  assertEquals(take(core, { type: "entries-repaired", sequence: 1 }).effects, []);
  const committed = receive(core, "b", append({ term: 3, prevIndex: 5, prevTerm: 3, sequence: 3, commitIndex: 5 }));
  assertEquals(committed.effects.filter(({ type }) => type === "apply"), [{ type: "apply", upTo: 5 }]);
});

test("damage: an append with another term truncates, and damage after that is gone with the entries", () => {
  const core = follower(known(3), known(5));
  const effects = repairs(core, { prevIndex: 2, prevTerm: 1, terms: [3] });
  assertEquals(effects.map((effect) => [effect.type, "from" in effect ? effect.from : 0]), [["truncate", 3], [
    "append",
    3,
  ]]);
  assertEquals(core.state.damaged, []);
  const partly = follower(known(3), known(5));
  assertEquals(repairs(partly, { prevIndex: 2, prevTerm: 1, terms: [2, 3] }).map(({ type }) => type), [
    "repair",
    "truncate",
    "append",
  ]);
  assertEquals([partly.state.damaged.length, partly.state.repairing.length, partly.state.log.lastIndex], [0, 1, 4]);
});

test("damage: what is committed is not truncated, damaged or not", () => {
  const core = follower(known(3));
  core.state.commitIndex = 4;
  assertThrows(() => receive(core, "b", append({ term: 3, prevIndex: 2, prevTerm: 1, terms: [3] })), InvariantError);
});

test("damage: entries of unknown terms take the leader's, as long as the last one is the leader's too", () => {
  // Entries 2 to 4 are of unknown terms, at most 2.
  const core = follower(unknown(2, 5));
  assertEquals(repairs(core, { prevIndex: 1, terms: [1] }).map(({ type }) => type), ["repair"]);
  assertEquals(core.state.damaged, [unknown(3, 5)]);
  assertEquals(repairs(core, { prevIndex: 2, terms: [2, 2, 3], sequence: 2 }).map(({ type }) => type), ["repair"]);
  assertEquals([core.state.damaged, core.state.log.runs], [[], [
    { term: 1, from: 1 },
    { term: 2, from: 3 },
    { term: 3, from: 5 },
  ]]);
  // Another last one: the logs part there.
  const other = follower(unknown(2, 5));
  assertEquals(
    repairs(other, { prevIndex: 1, terms: [1, 1, 1] }).map((
      effect,
    ) => [effect.type, "from" in effect ? effect.from : 0]),
    [["repair", 2], ["truncate", 4], ["append", 4]],
  );
  assertEquals([other.state.damaged, other.state.log.lastIndex], [[], 4]);
  // Beyond what any of them can be: they part at once.
  const beyond = follower(unknown(2, 5));
  assertEquals(repairs(beyond, { prevIndex: 1, terms: [3] }).map(({ type }) => type), ["truncate", "append"]);
});

test("damage: a configuration among repaired entries is in force again", () => {
  const core = follower(known(3));
  const configuration = { servers: [{ id: "a", address: "a:1", suffrage: "voter" as const }] };
  const message = append({
    term: 3,
    prevIndex: 2,
    prevTerm: 1,
    terms: [2],
    configurations: [{ index: 3, configuration }],
  });
  const { effects } = receive(core, "b", message);
  assert(effects.some((effect) => effect.type === "announce-configuration" && effect.index === 3));
  assertEquals(core.state.configurations.map(({ index }) => index), [1, 3]);
});

test("damage: a configuration among repaired entries is not taken up again where the snapshot's has taken its place", () => {
  for (const index of [3, 4]) {
    const ours = { index, configuration: configuration("a b c") };
    const core = coreOf({
      ...{ terms: [1, 1, 2, 2, 3], term: 3 },
      state: {
        ...{ damaged: [known(2, 5)], leader: "b", termLeader: "b" },
        ...{ snapshot: { index: 4, term: 2 }, configurations: [ours, { ...ours, index: 5 }] },
      },
    });
    const configurations = [2, index].map((index) => ({ index, configuration: configuration("a b c") }));
    receive(core, "b", append({ term: 3, prevTerm: 1, terms: [1, 2, 2], configurations }));
    assertEquals(core.state.damaged, []);
    assertEquals(core.state.configurations.map(({ index }) => index), [index, 5]);
  }
});

test("damage: who has some does not campaign, not when told to either, and judges candidates by its whole log", () => {
  for (const state of [{ damaged: [known(3)] }, { repairing: [{ from: 3, end: 4, sequence: 1 }] }]) {
    const core = coreOf({ terms: [1, 1, 2, 2, 3], term: 3, state: { ...state, leader: "b", termLeader: "b" } });
    const told = receive(core, "b", { type: "timeout-now", term: 3 });
    assertEquals(told.effects, []);
    take(core, { type: "deadline-reached" }, 2_000);
    assertEquals([core.state.role, core.state.term], ["follower", 3]);
    const short = receive(core, "c", voteRequest({ term: 4, lastIndex: 4, lastTerm: 3, transfer: true }), 3_000);
    assert(!short.effects.some((effect) => effect.type === "persist-vote" && effect.votedFor !== undefined));
    receive(core, "c", voteRequest({ term: 5, lastIndex: 5, lastTerm: 3, transfer: true }), 3_000);
    assertEquals(core.state.votedFor, "c");
  }
  // Without damage it would.
  const whole = follower();
  take(whole, { type: "deadline-reached" }, 2_000);
  assertEquals(whole.state.role, "pre-candidate");
});

test("damage: a leader or candidate that finds some of its own makes way first of all", () => {
  const core = leaderOf({ terms: [1, 1, 2], term: 2 });
  const { effects } = take(core, { type: "damage-found", from: 2, end: 3 });
  assertEquals(effects[0], {
    type: "announce-role",
    role: "follower",
    term: 2,
    leader: undefined,
    reason: "disk-damaged",
  });
  assertEquals(effects.at(-1), { type: "announce-damage", damaged: [known(2)] });
  assertEquals([core.state.leading, core.state.damaged], [undefined, [known(2)]]);
  // Once is enough, and what the log hasn't is nobody's damage.
  assertEquals(take(core, { type: "damage-found", from: 4, end: 9 }).effects, []);
  const candidate = coreOf({ terms: [1, 1, 2], term: 2 });
  take(candidate, { type: "deadline-reached" }, 2_000);
  take(candidate, { type: "damage-found", from: 2, end: 3 }, 2_000);
  assertEquals([candidate.state.role, candidate.state.campaign], ["follower", undefined]);
});

test("damage: a leader that hears of it forgets what was acknowledged, and sends it again; a stale answer changes nothing", () => {
  const answer = rejected(5, 2, 1, { term: 3, sequence: 9 });
  const damaged = { ...answer, rejected: { ...answer.rejected!, isDamaged: true } };
  const progress = { b: { matchIndex: 5, nextIndex: 6, state: "replicate" as const } };
  const core = leaderOf({ terms: [1, 1, 2, 2, 3], term: 3, progress });
  const { changes } = receive(core, "b", damaged);
  assertEquals([changes["b.matchIndex"], changes["b.nextIndex"], changes["b.state"]], [2, 3, "probe"]);
  assertEquals(core.state.leading!.progress.get("c")!.matchIndex, 0);
  const before = leaderOf({ terms: [1, 1, 2, 2, 3], term: 3, progress: { b: { ...progress.b, stateSequence: 10 } } });
  assertEquals(receive(before, "b", damaged).changes["b.matchIndex"], undefined);
  const plain = leaderOf({ terms: [1, 1, 2, 2, 3], term: 3, progress });
  assertEquals(receive(plain, "b", answer).changes["b.matchIndex"], undefined);
});

test("damage: a snapshot makes up for it when it reaches our end, or joins what is whole after it; nothing is taken away", () => {
  const request = {
    type: "snapshot-request" as const,
    ...{ term: 3, id: 1, index: 4, lastTerm: 2, bytes: 1, checksum: 0, version: 1, timeMs: 0 },
    configuration: { servers: [] },
    configurationIndex: 1,
  };
  const offer = (index: number, lastTerm: number, damaged = known(3), state: Partial<Core["state"]> = {}) => {
    const core = follower(damaged);
    Object.assign(core.state, { persistedIndex: 5, ...state });
    return receive(core, "b", { ...request, index, lastTerm } as never).effects.map((effect) =>
      effect.type === "send" && effect.message.type === "snapshot-response" ? effect.message.status : effect.type
    );
  };
  for (const damaged of [known(3), known(3, 5), unknown(2, 5), unknown(2, 4)]) {
    assertEquals(offer(4, 2, damaged), ["receive-snapshot"]);
  }
  // What it does not cover stays; and where nobody knows what our last entry in it is, that may be its last.
  for (
    const [index, lastTerm, damaged] of [[4, 2, known(3, 6)], [3, 2, unknown(2, 5)], [3, 1, unknown(2, 5)]] as const
  ) {
    assertEquals(offer(index, lastTerm, damaged), ["receive-snapshot"]);
  }
  // It ends with another entry than ours: then what comes after ours was never committed.
  assertEquals([offer(4, 3, known(3)), offer(4, 3, known(3, 6))], [["receive-snapshot"], ["receive-snapshot"]]);
  assertEquals(offer(3, 3, unknown(2, 5)), ["receive-snapshot"]);
  assertEquals(offer(4, 2, known(3), { commitIndex: 5 }), ["receive-snapshot"]);
  // What is being repaired will soon be whole, and what our own snapshot holds will soon be gone.
  const repairing = [{ from: 2, end: 3, sequence: 1 }];
  assertEquals(offer(4, 2, known(5), { repairing }), ["refused"]);
  assertEquals(offer(4, 2, known(3), { snapshot: { index: 4, term: 2 }, commitIndex: 4 }), ["refused"]);
  assertEquals(offer(5, 3), ["receive-snapshot"]);
  assertEquals(offer(9, 3), ["receive-snapshot"]);
  // What is not damaged is as before.
  assertEquals(
    receive(follower(known(5)), "b", { ...request, index: 4, lastTerm: 2 } as never).effects.at(-1)?.type,
    "send",
  );
});

test("damage: a snapshot that conflicts with the log takes its place, and all that is damaged is gone with it", () => {
  const core = follower(known(3), known(5));
  Object.assign(core.state, { persistedIndex: 5, commitIndex: 1, appliedIndex: 1 });
  const about = { index: 4, term: 3, configuration: configuration("a b c"), configurationIndex: 1 };
  const { effects } = take(core, { type: "snapshot-received", ...about });
  assertEquals(effects[0], { type: "install-snapshot", index: 4, term: 3, truncateFrom: 2, epoch: 1 });
  assertEquals([core.state.log.lastIndex, core.state.damaged], [4, []]);
});

test("damage: a snapshot that joins the log takes the place of what is before its end, and the rest stays", () => {
  const core = follower(known(2, 4));
  Object.assign(core.state, { persistedIndex: 5, commitIndex: 1, appliedIndex: 1 });
  const about = { index: 4, term: 2, configuration: configuration("a b c d"), configurationIndex: 3 };
  const { effects } = take(core, { type: "snapshot-received", ...about });
  assertEquals(effects.map(({ type }) => type), [
    ...["announce-configuration", "restore-snapshot", "compact", "announce-damage", "send"],
  ]);
  assertEquals(effects.at(-1), {
    type: "send",
    to: "b",
    message: accepted({ term: 3, sequence: 0, matchIndex: 4 }),
  });
  const { log, commitIndex, damaged, snapshot, persistedIndex, installing } = core.state;
  assertEquals([log.lastIndex, commitIndex, damaged, persistedIndex, installing], [5, 4, [], 5, undefined]);
  assertEquals([snapshot, core.state.configurations.map(({ index }) => index)], [{ index: 4, term: 2 }, [3]]);
  assertEquals(effects[2], { type: "compact", firstIndex: 5, prevTerm: 2 });
  assertEquals(take(core, { type: "applied", upTo: 4 }).effects, []);
  assertEquals(receive(core, "b", append({ term: 3, prevIndex: 5, prevTerm: 3, commitIndex: 5 })).effects[0], {
    type: "apply",
    upTo: 5,
  });
});

test("damage: what the log took for later terms than it is says nothing any more when a snapshot has joined it", () => {
  // Entries 2 to 4 may be of term 1 or 2.
  const core = coreOf({
    terms: [1, 2, 2, 2, 3],
    term: 3,
    state: {
      damaged: [unknown(2, 5)],
      leader: "b",
      termLeader: "b",
      persistedIndex: 5,
      commitIndex: 1,
      appliedIndex: 1,
    },
  });
  const about = { index: 4, term: 2, configuration: configuration("a b c"), configurationIndex: 1 };
  take(core, { type: "snapshot-received", ...about });
  // Late, and from before the machine has begun anew; entry 3 is of term 1.
  for (const [prevIndex, terms] of [[2, [1, 2, 3]], [3, [2, 3]], [1, [1, 1, 2, 3]]] as const) {
    const { effects } = receive(core, "b", append({ term: 3, prevIndex, prevTerm: 1, terms: [...terms] }));
    assertEquals(effects, [{ type: "send", to: "b", message: accepted({ term: 3, sequence: 1, matchIndex: 5 }) }]);
  }
  assertEquals([core.state.log.firstIndex, core.state.log.lastIndex, core.state.appliedIndex], [5, 5, 1]);
});

/** What such a snapshot does to a log of terms 1 1 2 2 3. */
function received(core: Core, index: number, term: number) {
  const about = { index, term, configuration: configuration("a b c"), configurationIndex: 1 };
  return take(core, { type: "snapshot-received", ...about }).effects.filter(({ type }) =>
    type !== "announce-configuration" && type !== "announce-damage" && type !== "send"
  );
}

test("damage: what is damaged after a snapshot that joins the log stays so, and what the leader has there is taken (V2)", () => {
  for (const [damaged, term] of [[known(3, 6), 2], [unknown(3, 6), 2], [unknown(2, 6), 1]] as const) {
    const core = follower(damaged);
    Object.assign(core.state, { persistedIndex: 5, commitIndex: 1, appliedIndex: 1 });
    const restore: Effect = { type: "restore-snapshot", index: 4 };
    assertEquals(received(core, 4, term), [restore, { type: "compact", firstIndex: 5, prevTerm: term }]);
    const left = { from: 5, end: 6, isTermKnown: damaged.isTermKnown };
    assertEquals([core.state.damaged, core.state.log.prevTerm, core.state.log.lastIndex], [[left], term, 5]);
    const request = { prevIndex: 4, prevTerm: term, terms: [3], commitIndex: 5 };
    assertEquals(repairs(core, request)[0], { type: "repair", from: 5, end: 6, sequence: 1 });
    assertEquals(take(core, { type: "entries-repaired", sequence: 1 }).effects.at(-1), {
      ...{ type: "send", to: "b" },
      message: accepted({ term: 3, sequence: 1, matchIndex: 5 }),
    });
  }
});

test("damage: a log whose entry can't be that of a snapshot goes, though nobody knows which it is", () => {
  const core = follower(unknown(2, 5));
  Object.assign(core.state, { persistedIndex: 5, commitIndex: 1, appliedIndex: 1 });
  assertEquals(received(core, 3, 3)[0], { type: "install-snapshot", index: 3, term: 3, truncateFrom: 2, epoch: 1 });
});

test("damage: a snapshot joins the log also where its end is known to be committed; the machine begins anew if it must (V2)", () => {
  for (const [appliedIndex, restored] of [[2, ["restore-snapshot"]], [4, []]] as const) {
    const core = follower(known(3));
    Object.assign(core.state, { persistedIndex: 5, commitIndex: 5, appliedIndex });
    const types = received(core, 4, 2).map(({ type }) => type);
    assertEquals(types, [...restored, ...appliedIndex === 4 ? ["compact"] : [], "apply"]);
    // A machine that was told to begin anew before may need what it has not done with.
    if (appliedIndex < 4) assertEquals(take(core, { type: "applied", upTo: 4 }).effects.at(0)?.type, "compact");
    assertEquals([core.state.log.firstIndex, core.state.damaged, core.state.commitIndex], [5, [], 5]);
  }
});

test("damage: a snapshot that was to join the log does so whatever was found or repaired meanwhile", () => {
  for (const trigger of ["found", "repairing"] as const) {
    const core = follower(...trigger === "found" ? [unknown(2, 4)] : [known(1), unknown(2, 4)]);
    Object.assign(core.state, { persistedIndex: 5, settings: { ...core.state.settings, trailingLogs: 4 } });
    take(core, { type: "snapshot-wanted", beyond: 0 });
    if (trigger === "found") take(core, { type: "damage-found", from: 4, end: 5 });
    else assertEquals(repairs(core, { prevIndex: 0, prevTerm: 0, terms: [1] }).at(0)?.type, "repair");
    const effects: Effect[] = [
      { type: "restore-snapshot", index: 3 },
      { type: "compact", firstIndex: 4, prevTerm: 2 },
    ];
    assertEquals(received(core, 3, 2), effects);
    assertEquals(core.state.repairing, []);
    // Late, from before: its entry 2 is of term 1, whatever our log took it for.
    receive(core, "b", append({ term: 3, prevIndex: 2, prevTerm: 1, terms: [2, 2, 3] }));
  }
});

test("damage: a snapshot that ends where the damaged log is committed to is acknowledged when it is durable", () => {
  const core = follower(known(3));
  core.state.commitIndex = 5;
  const about = { index: 5, term: 3, configuration: configuration("a b c"), configurationIndex: 1 };
  const { effects } = take(core, { type: "snapshot-received", ...about });
  assertEquals(effects[0], { type: "install-snapshot", index: 5, term: 3, truncateFrom: undefined, epoch: 1 });
  assertEquals([core.state.persistedIndex, core.state.installing, core.state.damaged], [4, 5, []]);
  const { effects: answers } = take(core, { type: "entries-persisted", end: 6, epoch: 1 });
  assertEquals(answers, [{ type: "send", to: "b", message: accepted({ term: 3, sequence: 0, matchIndex: 5 }) }]);
  assertEquals([core.state.persistedIndex, core.state.installing], [5, undefined]);
});

test("a full disk: a leader makes way, and nobody campaigns before there is room", () => {
  const core = leaderOf({ terms: [1, 1, 2], term: 2 });
  const { effects } = take(core, { type: "storage-filled", isFull: true });
  assertEquals(effects, [
    { type: "announce-role", role: "follower", term: 2, leader: undefined, reason: "disk-full" },
  ]);
  take(core, { type: "deadline-reached" }, 5_000);
  assertEquals(core.state.role, "follower");
  take(core, { type: "storage-filled", isFull: false }, 5_000);
  take(core, { type: "deadline-reached" }, 10_000);
  assertEquals(core.state.role, "pre-candidate");
});
