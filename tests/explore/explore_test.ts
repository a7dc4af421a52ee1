import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { newProgress } from "../../src/core/progress.ts";
import { leaderOf } from "../core/states.ts";
import { test } from "../harness.ts";
import { type Bounds, boundsOf, defaults, optionsText, UsageError } from "./bounds.ts";
import { faults } from "./broken.ts";
import { cloneState } from "./clone.ts";
import { Encoder, renamings } from "./encode.ts";
import { explore, type Report } from "./explorer.ts";
import { replay } from "./trace.ts";

const smallest: Bounds = { ...defaults, terms: 1, timeouts: 3, entries: 0, crashes: 0, duplicates: 0, slowDisks: true };

function exhaust(bounds: Partial<Bounds>): Report {
  const all = { ...smallest, ...bounds };
  const report = explore({ ...all, timeouts: bounds.timeouts ?? all.terms });
  assertEquals(report.violation, undefined);
  assertEquals(report.ending, "exhausted");
  return report;
}

test("explorer: three servers, one election, one command, one crash, one duplicate: no invariant breaks", () => {
  const { states, space } = exhaust({ entries: 1, crashes: 1, duplicates: 1 });
  assert(states > 100_000, `${states}`);
  assertEquals(space.reached(), { entries: 3, committed: 3, term: 2 });
}, { timeoutMs: 120_000 });

test("explorer: three servers, two elections with slow disks: no invariant breaks", () => {
  const { space } = exhaust({ terms: 2 });
  assertEquals(space.reached(), { entries: 3, committed: 3, term: 3 });
}, { timeoutMs: 120_000 });

test("explorer: two servers, two elections, a command, a crash, a heartbeat, a step-down", () => {
  exhaust({ servers: 2, terms: 2, entries: 1, crashes: 1, heartbeats: 1, stepDowns: 1, slowDisks: false });
}, { timeoutMs: 120_000 });

test("explorer: two servers that ask before they campaign", () => {
  exhaust({ servers: 2, terms: 2, timeouts: 3, crashes: 1, preVote: true });
}, { timeoutMs: 120_000 });

test("explorer: one server", () => {
  const { space } = exhaust({ servers: 1, terms: 3, entries: 2, crashes: 2 });
  assertEquals(space.reached().committed, 6);
});

/** All servers that were seen, each under the smallest of its names. */
function serversOf({ space }: Report): Set<string> {
  const names = renamings(space.bounds.servers);
  const encoder = new Encoder(names[0]!);
  return new Set(space.locals.items.map((local) => {
    const rows = names.map((renaming) => {
      encoder.begin(renaming);
      encoder.local(local);
      return encoder.key();
    });
    return rows.sort()[0]!;
  }));
}

test("explorer: without symmetry and without forgetting messages it sees more states and the same servers", () => {
  const some: Partial<Bounds>[] = [
    { entries: 1, crashes: 1 },
    { crashes: 1, duplicates: 1 },
    { terms: 2, slowDisks: false },
  ];
  for (const bounds of some) {
    const quick = exhaust(bounds);
    const full = exhaust({ ...bounds, symmetry: false, prune: false });
    assert(full.states > 4 * quick.states, `${full.states} ${quick.states}`);
    assertEquals(serversOf(quick), serversOf(full));
  }
}, { timeoutMs: 120_000 });

for (const { name, step, bounds, invariant } of faults) {
  test(`explorer: finds that ${name}`, () => {
    const all: Bounds = { ...smallest, timeouts: bounds.terms ?? 1, ...bounds };
    const { violation, depth } = explore(all, { stepCore: step });
    assert(violation !== undefined, "nothing was found");
    assertMatch(violation.message, invariant);
    // The trace leads there again, step by step, and the real core takes no harm from it.
    assertEquals(violation.choices.length, depth);
    const { broken, lines } = replay(all, violation.choices, step);
    assertEquals(broken, violation.message);
    assertStringIncludes(lines[0]!, "1. timeout a");
  }, { timeoutMs: 120_000 });
}

test("explorer: a budget that ends it is no pass", () => {
  const { ending, states, violation } = explore({ ...defaults, states: 1000 });
  assertEquals({ ending, violation }, { ending: "states", violation: undefined });
  assertEquals(states, 1000);
});

test("explorer: a state's row and copy know every field that a core has", () => {
  const { state } = leaderOf();
  // A new field here must be encoded, or states that differ in it would be taken for one; then add it to the list.
  const known = "ackOwed appliedIndex campaign commitIndex configurations electionAt epoch id leader leaderHeardAt " +
    "leading log persistedIndex random removedAt role roundAnswered settings term termLeader verifiedIndex voteAsked " +
    "votePersisted votedFor withheld";
  assertEquals(Object.keys(state).sort().join(" "), known);
  const ofLeader = "creditedAt firstIndex heartbeatAt preferAt progress readRound readsWaiting " +
    "reconfigurations reconfigures round transfer";
  assertEquals(Object.keys(state.leading!).sort().join(" "), ofLeader);
  const ofPeer =
    "ackedRound blocked catchUp commitSent heardAt heartbeatDue inFlight inFlightBytes leaving matchIndex nextIndex " +
    "probe sending sequence state stateSequence";
  assertEquals(Object.keys(newProgress(1, 0)).sort().join(" "), ofPeer);
  const copy = cloneState(state);
  assertEquals(copy, state);
  copy.leading!.progress.get("b")!.matchIndex = 7;
  copy.log.runs.pop();
  assertEquals(state.leading!.progress.get("b")!.matchIndex, 0);
  assertEquals(state.log.runs.length, 1);
});

test("boundsOf() reads options, and says them again", () => {
  const bounds = boundsOf(["--terms", "3", "--entries=0", "--pre-vote", "on", "--timeouts", "4"]);
  assertEquals(bounds, { ...defaults, terms: 3, entries: 0, preVote: true, timeouts: 4 });
  assertEquals(boundsOf(optionsText(bounds).split(" ")), bounds);
  assertEquals(boundsOf(["--terms", "3"]).timeouts, 3);
});

for (
  const [args, complaint] of [
    ["--terms zero", '--terms takes a whole number from 1 to 7, not "zero"'],
    ["--terms 8", '--terms takes a whole number from 1 to 7, not "8"'],
    ["--terms", '--terms takes a whole number from 1 to 7, not ""'],
    ["--servers 2.5", '--servers takes a whole number from 1 to 5, not "2.5"'],
    ["--pre-vote maybe", '--pre-vote takes on or off, not "maybe"'],
    ["--colour red", 'unknown option "--colour"'],
    ["terms 3", 'unknown option "terms"'],
  ] as const
) {
  test(`boundsOf() refuses "${args}"`, () => {
    assertStringIncludes(assertThrows(() => boundsOf(args.split(" ")), UsageError).message, complaint);
  });
}
