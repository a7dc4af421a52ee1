/**
 * Damage below the durable mark: entries are missing, and known to be; nothing else is lost, and nothing is made up (BD03).
 */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { isDamaged } from "../../src/damage.ts";
import { CorruptionError, DamagedEntryError } from "../../src/errors.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import { assertRepairable, entriesOf, FIRST, flip, usedBytes, written } from "./damaged_wal.ts";
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
