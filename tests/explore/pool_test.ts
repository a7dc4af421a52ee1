import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { test } from "../harness.ts";
import { type Bounds, boundsOf, defaults, optionsText } from "./bounds.ts";
import { faults } from "./broken.ts";
import { Encoder, renamings } from "./encode.ts";
import { full } from "./plan.ts";
import { explorePools, type PoolReport } from "./pools.ts";
import { Renamer } from "./rename.ts";
import { run } from "./run.ts";
import { Space, type State } from "./space.ts";
import { realStep } from "./stepper.ts";

const smallest: Bounds = {
  ...defaults,
  terms: 1,
  timeouts: 1,
  entries: 0,
  crashes: 0,
  duplicates: Infinity,
  pool: true,
  states: 100_000,
};

/** Every state that is real, one after the other. */
function* statesOf(space: Space): Generator<State> {
  const seen = new Set<string>();
  const waiting = [space.first()];
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    const key = [...state.locals, state.ghost, state.spent, ...state.packets].join();
    if (seen.has(key)) continue;
    seen.add(key);
    yield state;
    for (const action of space.orderedActions(state)) {
      const next = space.after(state, action);
      if (next !== undefined) waiting.push(next);
    }
  }
}

/** The servers, what is remembered and what is spent, under the smallest of all names. */
function combinationOf(space: Space, { locals, ghost, spent }: State): string {
  const encoder = new Encoder(space.renamings[0]!);
  const rows = renamings(space.bounds.servers).map((renaming) => {
    const rowOf = (write: () => void) => {
      encoder.begin(renaming);
      write();
      return encoder.key();
    };
    const servers = locals.map((id) => rowOf(() => encoder.local(space.locals.items[id]!))).sort();
    return [...servers, rowOf(() => encoder.ghost(space.ghosts.items[ghost]!)), spent].join("/");
  });
  return rows.sort()[0]!;
}

async function exhaust(bounds: Bounds, jobs = 1): Promise<PoolReport> {
  const report = await explorePools(bounds, { jobs });
  assertEquals(report.suspicion, undefined);
  assertEquals(report.ending, "exhausted");
  return report;
}

test("pools: hold every combination of servers that real states have, and here no other", async () => {
  const some: Partial<Bounds>[] = [
    { entries: 1 },
    { crashes: 1 },
    { servers: 2, terms: 2, timeouts: 2, entries: 1, crashes: 1 },
    { servers: 2, entries: 1, crashes: 1, slowDisks: true },
    { servers: 2, heartbeats: 1, stepDowns: 1 },
  ];
  for (const few of some) {
    const bounds = { ...smallest, ...few };
    // Real states are looked at one by one, without pools, and whatever their names.
    const space = new Space({ ...bounds, pool: false, symmetry: false }, realStep);
    const combinations = new Set<string>();
    let states = 0;
    for (const state of statesOf(space)) {
      states++;
      combinations.add(combinationOf(space, state));
    }
    const { pools } = await exhaust(bounds);
    assertEquals(pools, combinations.size, JSON.stringify(few));
    assert(pools < states, `${pools} ${states}`);
  }
}, { timeoutMs: 240_000 });

test("pools: without symmetry, and without forgetting messages, there are the same servers", async () => {
  const bounds = { ...smallest, entries: 1 };
  const { pools, reached } = await exhaust(bounds);
  assertEquals(reached, { entries: 3, committed: 3, term: 2 });
  assertEquals((await exhaust({ ...bounds, prune: false })).pools, pools);
  const apart = await exhaust({ ...bounds, symmetry: false });
  assert(apart.pools > 4 * pools && apart.pools < 6 * pools, `${apart.pools} ${pools}`);
  assertEquals(apart.reached, reached);
}, { timeoutMs: 240_000 });

test("pools: as many pools, transitions and steps to the farthest, however many workers", async () => {
  const bounds = { ...smallest, entries: 1, crashes: 1 };
  const { pools, transitions, depth, visits, reached } = await exhaust(bounds);
  // What leads to a pool is mostly known when it is gone through.
  assert(visits < 1.5 * pools, `${visits} ${pools}`);
  for (const jobs of [2, 3]) {
    const other = await exhaust(bounds, jobs);
    const figures = { pools: other.pools, transitions: other.transitions, depth: other.depth, reached: other.reached };
    assertEquals(figures, { pools, transitions, depth, reached });
  }
}, { timeoutMs: 240_000 });

for (const { name, bounds, invariant } of faults) {
  test(`pools: an invariant breaks when ${name}`, async () => {
    // Slow disks as in the test of real states, see there.
    const all: Bounds = { ...smallest, slowDisks: true, timeouts: bounds.terms ?? 1, ...bounds, duplicates: Infinity };
    const { ending, suspicion } = await explorePools({ ...all, timeouts: bounds.timeouts ?? all.terms }, {
      fault: name,
    });
    assertEquals(ending, "suspect");
    assertMatch(suspicion!, invariant);
  }, { timeoutMs: 240_000 });
}

test("pools: what breaks in a pool of another worker is told as well", async () => {
  const { name, invariant } = faults.find(({ bounds }) => Object.keys(bounds).length === 0)!;
  const { ending, suspicion } = await explorePools({ ...smallest, slowDisks: true }, { jobs: 2, fault: name });
  assertEquals(ending, "suspect");
  assertMatch(suspicion!, invariant);
}, { timeoutMs: 240_000 });

test("pools: budgets that end it are told, and are no pass", async () => {
  assertEquals((await explorePools({ ...smallest, entries: 1, states: 100 })).ending, "states");
  assertEquals((await explorePools({ ...smallest, entries: 1, seconds: 0 })).ending, "seconds");
});

test("under other names servers, messages and memories have the rows that were foreseen for them", () => {
  const space = new Space({ ...smallest, entries: 1, pool: false }, realStep);
  for (const state of statesOf(space)) assertEquals(state.locals.length, 3);
  const [same, ...others] = renamings(3);
  for (const renaming of others) {
    const renamer = new Renamer(renaming);
    const there = new Encoder(renaming);
    const here = new Encoder(same!);
    const compare = (foreseen: (encoder: Encoder) => void, made: (encoder: Encoder) => void) => {
      there.begin(renaming);
      foreseen(there);
      here.begin(same!);
      made(here);
      assertEquals(here.key(), there.key());
    };
    for (const it of space.locals.items) compare((to) => to.local(it), (to) => to.local(renamer.local(it)));
    for (const it of space.packets.items) compare((to) => to.packet(it), (to) => to.packet(renamer.packet(it)));
    for (const it of space.ghosts.items) compare((to) => to.ghost(it), (to) => to.ghost(renamer.ghost(it)));
  }
}, { timeoutMs: 240_000 });

async function ran(
  args: readonly string[],
  fault?: string,
): Promise<{ readonly status: number; readonly said: string }> {
  const lines: string[] = [];
  const status = await run(args, (line) => lines.push(line), fault);
  return { status, said: lines.join("\n") };
}

test("explore --full: two elections, two commands, a crash and any duplicates, unless told otherwise", async () => {
  const { servers, terms, timeouts, entries, crashes, duplicates, pool } = full;
  assertEquals([servers, terms, timeouts, entries, crashes, duplicates, pool], [3, 2, 2, 2, 1, Infinity, true]);
  const small = ["--full", "--terms", "1", "--timeouts", "1", "--entries", "0", "--crashes", "0", "--jobs", "1"];
  const { status, said } = await ran(small);
  assertEquals(status, 0);
  const bounds = optionsText({ ...full, terms: 1, timeouts: 1, entries: 0, crashes: 0 });
  assertMatch(
    said,
    /\nexhausted: .*: states \d+ .*, transitions [\d,]+, visits \d+, depth \d+, bounds .*, \d+ s, jobs 1, /,
  );
  assertStringIncludes(said, `bounds ${bounds}, `);
  assertEquals(boundsOf(optionsText(full).split(" ")).pool, true);
  assertEquals((await ran([...small, "--states", "5"])).status, 3);
  assertEquals((await ran(["--full", "--jobs", "no"])).status, 2);
}, { timeoutMs: 240_000 });

test("explore: what breaks in a pool is looked for among real states, and is no pass if it is not found", async () => {
  // There are more states than pools before it breaks.
  const { name } = faults.find(({ name }) => name.includes("BC01"))!;
  const bounds = { ...smallest, terms: 2, timeouts: 2, entriesPerAppend: 1 };
  const args = (states: number) => [...optionsText(bounds).split(" "), "--states", `${states}`, "--jobs", "1"];
  const found = await ran(args(100_000), name);
  assertEquals(found.status, 1);
  assertMatch(found.said, /\nin a pool breaks C2: .*\nlooking for a state in which it does\n/);
  assertMatch(found.said, /\nbroken: C2: /);
  const { pools } = await explorePools(bounds, { fault: name });
  const lost = await ran(args(pools + 1), name);
  assertEquals(lost.status, 3);
  assertStringIncludes(
    lost.said,
    "NOT exhausted: an invariant breaks in a pool, and no state was found in which it does",
  );
}, { timeoutMs: 240_000 });
