import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { configuration, leaderOf } from "../core/states.ts";
import { test } from "../harness.ts";
import { type Bounds, boundsOf, defaults, optionsText, UsageError } from "./bounds.ts";
import { faults } from "./broken.ts";
import { cloneState } from "./clone.ts";
import { Encoder, renamings } from "./encode.ts";
import { explore, type Report } from "./explorer.ts";
import { plan } from "./plan.ts";
import { run } from "./run.ts";
import { replay } from "./trace.ts";

const smallest: Bounds = { ...defaults, terms: 1, timeouts: 3, entries: 0, crashes: 0, duplicates: 0, slowDisks: true };

function exhaust(bounds: Partial<Bounds>): Report {
  // Bounds that turn out to hold more than that would not end before the test does.
  const all = { ...smallest, states: 1_000_000, ...bounds };
  const report = explore({ ...all, timeouts: bounds.timeouts ?? all.terms });
  assertEquals(report.violation, undefined);
  assertEquals(report.ending, "exhausted");
  return report;
}

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

test("explorer: three servers, two elections, any message any number of times: no invariant breaks", () => {
  const { states, space } = exhaust({ terms: 2, crashes: 1, duplicates: Infinity, slowDisks: false });
  assert(states > 30_000, `${states}`);
  assertEquals(space.reached(), { entries: 3, committed: 3, term: 3 });
}, { timeoutMs: 120_000 });

test("explorer: one server", () => {
  const { space } = exhaust({ servers: 1, terms: 3, entries: 2, crashes: 2 });
  assertEquals(space.reached().committed, 6);
});

/** All servers that were seen, each under the smallest of its names, but for those that would say a thing twice. */
function serversOf({ space }: Report): Set<string> {
  const names = renamings(space.bounds.servers);
  const encoder = new Encoder(names[0]!);
  const once = space.locals.items.filter(({ core: { withheld } }) =>
    new Set(withheld.map((it) => JSON.stringify(it))).size === withheld.length
  );
  return new Set(once.map((local) => {
    const rows = names.map((renaming) => {
      encoder.begin(renaming);
      // A silent leader may be met with any message that asks for a vote, also with one that is forgotten.
      encoder.local({ ...local, core: { ...local.core, leaderHeardAt: 0 } });
      return encoder.key();
    });
    return rows.sort()[0]!;
  }));
}

test("explorer: three servers, one election, one command, one crash, one duplicate: no invariant breaks", () => {
  const bounds = { entries: 1, crashes: 1 };
  const twice = exhaust({ ...bounds, duplicates: 1 });
  assert(twice.states > 100_000, `${twice.states}`);
  assertEquals(twice.space.reached(), { entries: 3, committed: 3, term: 2 });
  // If messages may come any number of times there are fewer states, and those servers are among the many that there are.
  const often = exhaust({ ...bounds, duplicates: Infinity });
  assert(often.states < twice.states, `${often.states}`);
  const servers = serversOf(often);
  const missing = [...serversOf(twice)].filter((server) => !servers.has(server));
  assertEquals(missing, []);
}, { timeoutMs: 120_000 });

test("explorer: without symmetry and without forgetting messages it sees more states and the same servers", () => {
  const some: Partial<Bounds>[] = [
    { entries: 1, crashes: 1 },
    { crashes: 1, duplicates: 1 },
    { duplicates: Infinity, slowDisks: false },
    { servers: 2, terms: 2 },
  ];
  for (const bounds of some) {
    const quick = exhaust(bounds);
    const full = exhaust({ ...bounds, symmetry: false, prune: false });
    assert(full.states > 1.5 * quick.states, `${full.states} ${quick.states}`);
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

function rowOf(value: unknown): string {
  const [same] = renamings(3);
  const encoder = new Encoder(same!);
  encoder.begin(same!);
  encoder.value(value);
  return encoder.key();
}

/** Every path to a number, text, truth or nothing in a state. */
function pathsOf(value: unknown, path: readonly string[] = []): string[][] {
  if (value instanceof Map) return [...value].flatMap(([key, item]) => pathsOf(item, [...path, key]));
  if (typeof value !== "object" || value === null) return [[...path]];
  return Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...path, key]));
}

function change(value: unknown, [key = "", ...rest]: readonly string[]): void {
  const inner = value instanceof Map ? value.get(key) : (value as Record<string, unknown>)[key];
  if (rest.length > 0) return change(inner, rest);
  const other = typeof inner === "number" ? (Number.isFinite(inner) ? inner + 1 : 1) : inner === "b" ? "c" : "b";
  if (value instanceof Map) value.set(key, other);
  else (value as Record<string, unknown>)[key] = other;
}

test("explorer: a state's row shows every field that a core has, its copy shares none", () => {
  const { state } = leaderOf();
  state.campaign = { pre: false, term: 2, transfer: false, votes: new Map([["a", true]]) };
  state.withheld.push({ to: "b", message: { type: "timeout-now", term: 2 } });
  const row = rowOf(state);
  const untouched = cloneState(state);
  assertEquals(untouched, state);
  let changed = 0;
  for (const path of pathsOf(state)) {
    if (["settings", "random"].includes(path[0]!)) continue;
    const copy = cloneState(state);
    // A configuration and a message are never changed in place, so that they are shared.
    if (path.includes("configuration") || path.includes("message")) continue;
    change(copy, path);
    assert(rowOf(copy) !== row, `the row does not show ${path.join(".")}`);
    assertEquals(state, untouched, `the copy shares ${path.join(".")}`);
    changed++;
  }
  assert(changed > 50, `${changed}`);
  // Nor does a field go unnoticed that cores do not have yet.
  assert(rowOf({ ...state, colour: undefined }) !== row);
  assertThrows(() => rowOf({ ...state, colour: null }), TypeError);
  assertThrows(() => rowOf({ ...state, colours: new Map([["red", 1]]) }), TypeError);
});

/** The same state, made by servers with other names. */
function underNames(value: unknown, to: readonly number[]): unknown {
  const renamed = (id: string) => "abc".includes(id) && id.length === 1 ? "abc"[to["abc".indexOf(id)]!]! : id;
  if (typeof value === "string") return renamed(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Map) return new Map([...value].map(([id, it]) => [renamed(id), underNames(it, to)]));
  if (Array.isArray(value)) return value.map((it) => underNames(it, to));
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, underNames(it, to)]));
}

test("explorer: a state under new names has the row of the state that servers of those names would be in", () => {
  const { state } = leaderOf();
  const servers = configuration("a b c").servers.map((server) => ({ ...server, address: "anywhere" }));
  state.configurations = [{ index: 1, configuration: { servers } }];
  state.withheld = ["b", "c"].map((to) => ({ to, message: { type: "timeout-now", term: 2 } }));
  const rows = new Set<string>();
  for (const names of renamings(3)) {
    const encoder = new Encoder(names);
    encoder.begin(names);
    encoder.value(state);
    rows.add(encoder.key());
    assertEquals(encoder.key(), rowOf(underNames(state, names.to)));
  }
  // Three servers could lead, and the other two are alike.
  assertEquals(rows.size, 3);
});

async function ran(...args: string[]): Promise<{ readonly status: number; readonly said: string }> {
  const lines: string[] = [];
  const status = await run(args, (line) => lines.push(line));
  return { status, said: lines.join("\n") };
}

test("explore: prints bounds, states, depth and how it ended", async () => {
  const { status, said } = await ran("--servers=2", "--terms=1", "--entries=0", "--crashes=0");
  assertEquals(status, 0);
  assertStringIncludes(said, "bounds: --servers 2 --terms 1 --entries 0 --crashes 0 --duplicates any --heartbeats 0");
  assertMatch(said, /\nstates \d+, transitions \d+, depth \d+, \d/);
  assertStringIncludes(said, "\nexhausted: every state within the bounds was looked at, and no invariant broke");
});

test("explore: a budget that ends it is told, in the exit status too", async () => {
  const { status, said } = await ran("--states", "100");
  assertEquals(status, 3);
  assertStringIncludes(said, "NOT exhausted: the budget of states ended it");
});

test("explore: shows the steps of a trace, and refuses one that there is not", async () => {
  const { status, said } = await ran("--replay", "0.0.0");
  assertEquals(status, 0);
  assertMatch(said, /^1\. timeout a\n {5}a candidate term=2 .*\n/);
  assertStringIncludes(said, "no invariant broke");
  assertEquals(await ran("--replay", "0.99"), { status: 2, said: "step 2 has no action 99" });
  assertEquals(await ran("--replay", "x"), { status: 2, said: '--replay takes numbers like 0.4.2, not "x"' });
  assertEquals((await ran("--servers", "9")).status, 2);
});

test("explore: the plan has three servers, two elections, two commands, a crash, doubled messages, a transfer", () => {
  for (const { bounds } of plan) {
    assertEquals(bounds.servers, 3);
    assertEquals(boundsOf(optionsText(bounds).split(" ")), bounds);
  }
  const most = (key: keyof Bounds) => Math.max(...plan.map(({ bounds }) => Number(bounds[key])));
  const keys = ["terms", "entries", "crashes", "duplicates", "transfers", "slowDisks"] as const;
  assertEquals(keys.map(most), [2, 2, 1, Infinity, 1, 1]);
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
    ["--duplicates some", '--duplicates takes a whole number from 0 to 7 or "any", not "some"'],
    ["--duplicates 8", '--duplicates takes a whole number from 0 to 7 or "any", not "8"'],
    ["--colour red", 'unknown option "--colour"'],
    ["--pool on --duplicates 1", "--pool on takes --duplicates any"],
    ["terms 3", 'unknown option "terms"'],
  ] as const
) {
  test(`boundsOf() refuses "${args}"`, () => {
    assertStringIncludes(assertThrows(() => boundsOf(args.split(" ")), UsageError).message, complaint);
  });
}
