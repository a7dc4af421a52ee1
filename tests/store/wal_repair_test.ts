/**
 * Damage below the durable mark: entries are missing, and known to be; nothing else is lost, and nothing is made up (BD03).
 */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { isDamaged } from "../../src/damage.ts";
import { CorruptionError, DamagedEntryError } from "../../src/errors.ts";
import type { Store, StoreState } from "../../src/store/store.ts";
import { loseAll, MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import type { Records } from "../../src/wire/record.ts";
import { test } from "../harness.ts";
import {
  after,
  type Content,
  contentOf,
  NOTHING,
  pseudoRandom,
  randomSteps,
  runHistory,
  smallStore,
  type Step,
} from "./scenario.ts";

const FIRST = "0000000000000001.wal";

/** Short, so that each byte can be tried. */
const steps: readonly Step[] = [
  // Not so little that a start would merge it with what comes next.
  { records: [commandsOf(1, 1, "one", "two".repeat(70))], vote: { term: 1, votedFor: "a" }, clusterId: "cluster" },
  { records: [commandsOf(3, 1, "three")] },
  "reopen",
  { truncateFrom: 3, records: [commandsOf(3, 2, "THREE")], vote: { term: 2, votedFor: "b" } },
  { records: [commandsOf(4, 2, "four"), commandsOf(5, 3, "five", "x".repeat(600)), commandsOf(7, 4, "seven")] },
  { records: [], vote: { term: 5, votedFor: "c" } },
];

/** The log's entries after these steps, each by itself. */
function entriesOf(steps: readonly Step[]): Map<number, Records> {
  const entries = new Map<number, Records>();
  for (const step of steps) {
    if (typeof step === "string") continue;
    const from = step.truncateFrom ?? Infinity;
    for (const index of [...entries.keys()]) {
      if (index >= from || index < (step.compactTo?.firstIndex ?? 0)) entries.delete(index);
    }
    for (const part of step.records) {
      for (let index = part.from; index < part.end; index++) entries.set(index, part.slice(index, index + 1));
    }
  }
  return entries;
}

/** A disk with these steps on it, closed (which writes a mark) or killed. */
async function written(steps: readonly Step[], end: "close" | "kill" = "close"): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  let store = smallStore(files);
  await store.open("a");
  for (const step of steps) {
    if (step === "mark") await store.mark!();
    else if (step === "reopen") {
      await store.close();
      store = smallStore(files);
      await store.open("a");
    } else await store.write(step);
  }
  if (end === "close") await store.close();
  else files.crash(loseAll);
  return files;
}

function flip(files: MemoryFiles, name: string, at: number): MemoryFiles {
  const damaged = files.clone();
  const bytes = damaged.image(name);
  bytes[at]! ^= 1 << at % 8;
  damaged.setImage(name, bytes);
  return damaged;
}

function usedBytes(image: Uint8Array): number {
  return Math.ceil((image.findLastIndex((byte) => byte !== 0) + 1) / 512) * 512;
}

/** Checks each entry by itself: damaged, and refused; or what it was. */
async function assertHonest(
  store: Store,
  state: StoreState,
  entries: Map<number, Records>,
  where: string,
): Promise<void> {
  const runs = state.terms;
  for (let index = state.firstIndex; index <= state.lastIndex; index++) {
    const term = runs.findLast(({ from }) => from <= index)!.term;
    const entry = entries.get(index)!;
    const range = state.damaged.find(({ from, end }) => from <= index && index < end);
    if (range === undefined) {
      assertEquals(textsOf(await store.read(index, index + 1, 0)), textsOf([entry]), where);
      assertEquals(term, entry.term(index), where);
    } else {
      await assertRejects(async () => await store.read(index, index + 1, 0), DamagedEntryError, `entry ${index} `);
      if (range.isTermKnown || index === range.end - 1) assertEquals(term, entry.term(index), where);
      else assert(term >= entry.term(index), where);
    }
  }
}

/** Opens, checks that nothing but entries is lost, repairs them, and finds everything, now and after a crash. */
async function assertRepairable(
  files: MemoryFiles,
  whole: Content,
  entries: Map<number, Records>,
  where: string,
): Promise<number> {
  const store = smallStore(files);
  const state = await store.open("a");
  const { vote, firstIndex, prevTerm, lastIndex, identity } = state;
  const found = { vote, firstIndex, prevTerm, count: lastIndex - firstIndex + 1, clusterId: identity.clusterId };
  const { entries: all, ...rest } = whole;
  // The cluster is told by the next leader.
  assert([whole.clusterId, ""].includes(identity.clusterId), where);
  assertEquals(found, { ...rest, count: all.length, clusterId: identity.clusterId }, where);
  await assertHonest(store, state, entries, where);
  const count = state.damaged.reduce((sum, { from, end }) => sum + end - from, 0);
  files.crash(loseAll);
  const again = smallStore(files);
  assertEquals(
    (await again.open("a")).damaged.map(({ from, end }) => [from, end]),
    state.damaged.map(({ from, end }) => [from, end]),
    where,
  );
  for (const { from, end } of state.damaged) {
    const repairs = Array.from({ length: end - from }, (_, i) => entries.get(from + i)!);
    await again.write({ records: [], repairs, clusterId: whole.clusterId });
  }
  if (state.damaged.length === 0) await again.write({ records: [], vote, clusterId: whole.clusterId });
  files.crash(loseAll);
  assertEquals((await contentOf(files, "close")).content, whole, where);
  assertEquals((await contentOf(files)).content, whole, where);
  return count;
}

const whole: Content = steps.reduce(after, NOTHING);

test(
  "walStore finds every flipped bit at or below the mark, loses only entries to it, and they can be repaired",
  async () => {
    const files = await written(steps);
    const entries = entriesOf(steps);
    let damaged = 0;
    for (const name of files.names()) {
      const end = usedBytes(files.image(name));
      for (let at = 0; at < end; at++) {
        damaged += await assertRepairable(flip(files, name, at), whole, entries, `${name} at ${at}`);
      }
    }
    assertGreater(damaged, 400);
  },
  { timeoutMs: 240_000 },
);

test("walStore damages no more entries than it must: a payload costs one, a record's header those after it in the batch", async () => {
  const files = await written(steps);
  const [, name] = files.names();
  const image = files.image(name!);
  const text = new TextDecoder("latin1").decode(image);
  for (
    const [at, from, end, known] of [
      [text.indexOf("four"), 4, 5, true],
      [text.indexOf("x".repeat(99)), 6, 7, true],
      [text.indexOf("seven"), 7, 8, true],
      [text.indexOf("five") - 20, 5, 8, false],
      [text.indexOf("seven") - 20, 7, 8, false],
      // The head of their batch.
      [text.indexOf("four") - 100, 4, 8, false],
    ] as const
  ) {
    const { damaged } = await smallStore(flip(files, name!, at)).open("a");
    assertEquals(damaged.map(({ from, end, isTermKnown }) => [from, end, isTermKnown]), [[from, end, known]], `${at}`);
    assertEquals(damaged[0]!.file, `memory/${name}`);
    assert(damaged[0]!.offset <= at && damaged[0]!.offset > at - 1_024, `${damaged[0]!.offset} for ${at}`);
  }
});

test("walStore cuts a flipped bit in the last write when nothing says that it was durable, and no other", async () => {
  const some = steps.slice(0, -1).filter((step) => step !== "reopen");
  const files = await written(some, "kill");
  const [name] = files.names();
  const end = usedBytes(files.image(name!));
  const lastBytes = 1_024;
  const [kept, cut] = [some, some.slice(0, -1)].map((steps) => steps.reduce(after, NOTHING));
  for (let at = 512; at < end; at += 3) {
    const damaged = flip(files, name!, at);
    if (at < end - lastBytes) await assertRepairable(damaged, kept!, entriesOf(some), `at ${at}`);
    else assertEquals((await contentOf(damaged)).content, cut, `at ${at}`);
  }
  // Whose disk it is, nobody else can say.
  await assertRejects(() => contentOf(flip(files, name!, 100)), CorruptionError, name);
}, { timeoutMs: 240_000 });

test("walStore loses only entries to a sector that is zero, never written, or of another place", async () => {
  const files = await written(steps);
  const entries = entriesOf(steps);
  for (const name of files.names()) {
    const image = files.image(name);
    const end = usedBytes(image);
    for (let at = 512; at < end; at += 512) {
      for (const from of [undefined, 512, 1_024, end - 512]) {
        if (from === at) continue;
        const damaged = files.clone();
        const bytes = image.slice();
        if (from === undefined) bytes.fill(0, at, at + 512);
        else bytes.copyWithin(at, from, from + 512);
        damaged.setImage(name, bytes);
        try {
          await assertRepairable(damaged, whole, entries, `${name} at ${at} from ${from}`);
        } catch (error) {
          // A batch that is whole where another one begins may refuse to open; it never passes for that one.
          if (!(error instanceof CorruptionError && from !== undefined)) throw error;
        }
      }
    }
  }
}, { timeoutMs: 240_000 });

test("walStore loses only entries to a file in the middle that is missing or cut short", async () => {
  const large = "L".repeat(3_500);
  const long: Step[] = Array.from({ length: 24 }, (_, i) => ({ records: [commandsOf(i + 1, 1 + (i >> 3), large)] }));
  const files = await written([...long, { records: [], vote: { term: 4, votedFor: "b" } }]);
  const names = files.names();
  assertLess(3, names.length);
  const content = [...long, { records: [], vote: { term: 4, votedFor: "b" } }].reduce(after, NOTHING);
  for (const name of names.slice(0, -1)) {
    const missing = files.clone();
    missing.discard(name);
    assertGreater(await assertRepairable(missing, content, entriesOf(long), `${name} missing`), 0);
    for (const length of [0, 511, 512, 1_000, 3_000]) {
      const short = files.clone();
      short.setImage(name, files.image(name).slice(0, length));
      assertGreater(await assertRepairable(short, content, entriesOf(long), `${name} of ${length} bytes`), 0);
    }
  }
}, { timeoutMs: 120_000 });

test(
  "walStore is honest about any damage to any history: entries are what they were, or known to be damaged",
  async () => {
    let opened = 0;
    let damaged = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const choose = pseudoRandom(seed);
      const steps = randomSteps(NOTHING, 30, choose);
      const files = await written([...steps, "mark"]);
      const content = steps.reduce(after, NOTHING);
      const names = files.names();
      for (let count = 1 + choose(3, "count"); count > 0; count--) {
        const name = names[choose(names.length, "name")]!;
        const bytes = files.image(name);
        // What says that all before was durable stays.
        const end = name === names.at(-1) ? usedBytes(bytes) - 512 : bytes.length;
        if (end <= 512) continue;
        const at = 512 + choose(end - 512, "at");
        if (choose(2, "kind") === 0) bytes[at]! ^= 1 << choose(8, "bit");
        else bytes.fill(0, at - at % 512, Math.min(end, at - at % 512 + 512 * (1 + choose(4, "sectors"))));
        files.setImage(name, bytes);
      }
      try {
        damaged += await assertRepairable(files, content, entriesOf(steps), `seed ${seed}`);
        opened++;
      } catch (error) {
        if (!(error instanceof CorruptionError) || error instanceof DamagedEntryError) throw error;
      }
    }
    assertGreater(opened, 120);
    assertGreater(damaged, 50);
  },
  { timeoutMs: 240_000 },
);

test("read() of an entry that was damaged since says so, and gives those before it; repaired, it is there", async () => {
  // Not so little that the start would merge it: the file that is damaged is not the one that is written.
  const records = commandsOf(1, 1, "one", "two".repeat(100), "three");
  const files = await written([{ records: [records] }]);
  const store = smallStore(files);
  await store.open("a");
  const name = files.names()[0]!;
  const image = files.image(name);
  const at = new TextDecoder("latin1").decode(image).indexOf("two");
  image[at]! ^= 1;
  files.setImage(name, image);
  assertEquals(textsOf(await store.read(1, 4, 1_000)), ["one"]);
  const error = await assertRejects(async () => await store.read(2, 4, 1_000), DamagedEntryError, name);
  assertEquals([error.index, error.offset, error.file], [2, at - 48, `memory/${name}`]);
  assertEquals(textsOf(await store.read(3, 4, 1_000)), ["three"]);
  await store.write({ records: [], repairs: [records.slice(2, 3)] });
  assertEquals(textsOf(await store.read(2, 3, 1_000)), ["two".repeat(100)]);
  await store.close();
  assertEquals((await contentOf(files)).content.entries, ["1:one", `1:${"two".repeat(100)}`, "1:three"]);
});

test("read() takes a sector that the disk can't read for damage to the entries in it", async () => {
  let fails = false;
  const files = new MemoryFiles();
  files.fault = ({ kind }) =>
    kind === "read" && fails ? Object.assign(new Error("EIO: i/o error"), { code: "EIO" }) : undefined;
  const store = smallStore(files);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, "one", "two")] });
  fails = true;
  await assertRejects(async () => await store.read(1, 3, 1_000), DamagedEntryError, "EIO");
  fails = false;
  // The other one wasn't tried.
  assertEquals(textsOf(await store.read(2, 3, 1_000)), ["two"]);
  await assertRejects(async () => await store.read(1, 2, 1_000), DamagedEntryError);
});

test("a repair that is damaged itself repairs nothing, and a newer one counts", async () => {
  const log: Step[] = [{ records: [commandsOf(1, 1, "one", "two".repeat(200), "three")] }, "reopen"];
  const files = await written(log);
  const entries = entriesOf(log);
  const name = files.names()[0]!;
  const broken = flip(files, name, new TextDecoder("latin1").decode(files.image(name)).indexOf("twotwo"));
  const store = smallStore(broken);
  assertEquals((await store.open("a")).damaged.length, 1);
  await store.write({ records: [], repairs: [entries.get(2)!] });
  await store.write({ records: [commandsOf(4, 1, "four")] });
  await store.close();
  const last = broken.names().at(-1)!;
  const twice = flip(broken, last, new TextDecoder("latin1").decode(broken.image(last)).indexOf("twotwo"));
  const again = smallStore(twice);
  const state = await again.open("a");
  assert(isDamaged(state.damaged, 2) && !isDamaged(state.damaged, 3) && state.lastIndex === 4);
  await again.write({ records: [], repairs: [entries.get(2)!] });
  await again.close();
  assertEquals((await contentOf(twice)).content.entries.length, 4);
  assertEquals((await runHistory(twice, ["reopen", "reopen"])).isComplete, true);
});

/** Zeros the sectors in which these bytes are, wherever they are last. */
function loseBatch(files: MemoryFiles, text: string): void {
  const latin = new TextDecoder("latin1");
  const name = files.names().findLast((name) => latin.decode(files.image(name)).includes(text))!;
  const image = files.image(name);
  const at = latin.decode(image).lastIndexOf(text);
  image.fill(0, at - at % 512, at - at % 512 + 512);
  files.setImage(name, image);
}

test("a repair that is lost leaves the next one's first entry damaged, whose term is the most that those before can have", async () => {
  const steps: readonly Exclude<Step, string>[] = [
    // More than a start would merge.
    { records: [commandsOf(1, 1, "two".repeat(200))] },
    ...[1, 2, 3, 4, 5, 6, 6].map((term, i) => ({ records: [commandsOf(i + 2, term, `entry ${i + 2}`)] })),
    { records: [], vote: { term: 7, votedFor: "b" }, clusterId: "cluster" },
  ];
  const entries = entriesOf(steps);
  const files = await written(steps);
  for (const index of [3, 4, 5, 6, 7]) loseBatch(files, `entry ${index}`);
  const store = smallStore(files);
  const state = await store.open("a");
  const rangesOf = ({ damaged }: StoreState) => damaged.map(({ from, end, isTermKnown }) => [from, end, isTermKnown]);
  assertEquals(rangesOf(state), [[3, 8, false]]);
  for (const index of [3, 4, 5]) await store.write({ records: [], repairs: [entries.get(index)!] });
  await store.write({ records: [], vote: { term: 7, votedFor: "b" } });
  files.crash(loseAll);
  loseBatch(files, "entry 4");
  const again = smallStore(files);
  const found = await again.open("a");
  assertEquals(rangesOf(found), [[4, 6, false], [6, 8, false]]);
  assertEquals(found.terms.map(({ term, from }) => [term, from]), [[1, 1], [2, 3], [4, 4], [6, 6]]);
  await assertHonest(again, found, entries, "while it is lost");
  files.crash(loseAll);
  await assertRepairable(files, steps.reduce(after, NOTHING), entries, "repaired once more");
});

test("walStore removes a segment of which nothing counts any more before those after it", async () => {
  const files = await written([
    { records: [commandsOf(1, 1, "one", "two".repeat(70), "three")], vote: { term: 1, votedFor: "a" } },
    { records: [], vote: { term: 2, votedFor: "b" } },
  ]);
  // All but the last batch.
  const image = files.image(FIRST);
  files.setImage(FIRST, image.fill(0, 512, usedBytes(image) - 512));
  let store = smallStore(files);
  assertEquals((await store.open("a")).damaged.map(({ from, end }) => [from, end]), [[1, 4]]);
  await store.close();
  // The segment that this start has begun says again what is left of the first one.
  store = smallStore(files);
  await store.open("a");
  await store.write({ records: [commandsOf(4, 2, "four")], compactTo: { firstIndex: 4, prevTerm: 1 } });
  for (let index = 5; index < 20; index++) {
    const compactTo = { firstIndex: index, prevTerm: 2 };
    await store.write({ records: [commandsOf(index, 2, "x".repeat(3_500))], compactTo });
  }
  await store.write({ records: [], vote: { term: 3, votedFor: "b" } });
  await store.close();
  assertEquals(files.names().includes(FIRST), false, files.names().join());
  const { firstIndex, lastIndex, damaged } = await smallStore(files).open("a");
  assertEquals([firstIndex, lastIndex, damaged], [19, 19, []]);
});

test("walStore does not put a truncation that is lost with the end of a segment down to the next one", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  await store.write({
    records: [commandsOf(1, 1, "one", "two".repeat(70), "three")],
    vote: { term: 1, votedFor: "a" },
  });
  const whole = files.image(FIRST).slice();
  await store.write({
    truncateFrom: 2,
    records: [commandsOf(2, 2, "TWO", "x".repeat(600))],
    vote: { term: 2, votedFor: "a" },
  });
  await store.write({ records: [commandsOf(4, 2, "four")] });
  await store.close();
  const later = smallStore(files);
  await later.open("a");
  await later.write({ records: [commandsOf(5, 2, "five")] });
  await later.close();
  // All that came after the first write, the truncation among it.
  const image = files.image(FIRST);
  const end = Math.ceil((whole.findLastIndex((byte) => byte !== 0) + 1) / 512) * 512;
  files.setImage(FIRST, image.map((byte, at) => at < end ? byte : 0));
  // The second start reads what the first one has made of it.
  for (let start = 1; start <= 2; start++) {
    const found = smallStore(files);
    const { lastIndex, damaged } = await found.open("a");
    assertEquals([lastIndex, damaged.map(({ from, end }) => [from, end])], [5, [[2, 5]]]);
    assertEquals(textsOf(await found.read(1, 2, 1 << 20)), ["one"]);
    assertEquals(textsOf(await found.read(5, 6, 1 << 20)), ["five"]);
    await found.close();
  }
});
