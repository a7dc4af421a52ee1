import { assert, assertEquals, assertLess, assertLessOrEqual, assertRejects } from "@std/assert";
import { CorruptionError, EntryNotFoundError } from "../../src/errors.ts";
import { keepAll, loseAll, MemoryFiles } from "../../src/testing/memory_files.ts";
import type { StoreWrite } from "../../src/store/store.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import { after, type Content, contentOf, NOTHING, runHistory, smallStore, type Step } from "./scenario.ts";

const large = "L".repeat(1_500);

/** Steps that fill several segments of 4 KiB. */
function fill(count: number): readonly Step[] {
  return Array.from({ length: count }, (_, i) => ({ records: [commandsOf(i + 1, 1, large)] }));
}

const filling = fill(12);

function compaction(firstIndex: number): Step {
  return { compactTo: { firstIndex, prevTerm: 1 }, records: [] };
}

/** Runs these steps and waits until the background is done. */
async function written(steps: readonly Step[], files = new MemoryFiles()): Promise<MemoryFiles> {
  assert((await runHistory(files, steps)).isComplete);
  return files;
}

test("walStore removes segments whose entries are all compacted away, once a later batch is durable", async () => {
  const before = (await written(filling)).names();
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  for (const step of filling) if (typeof step !== "string") await store.write(step);
  await store.write({ compactTo: { firstIndex: 9, prevTerm: 1 }, records: [] });
  // Were its batch damaged, a start would take it for a torn write, and find entries missing that it says are there.
  assert(files.names().includes(before[0]));
  await store.mark!();
  await store.close();
  const left = files.names();
  assertLess(left.length, before.length);
  assert(!left.includes(before[0]));
  assertEquals(left, before.slice(-left.length));
  const { content } = await contentOf(files);
  assertEquals([content.firstIndex, content.entries.length], [9, 4]);
});

test("walStore removes nothing that still has an entry", async () => {
  const files = await written([...filling, compaction(2), "mark"]);
  assertEquals((await contentOf(files)).content.entries.length, 11);
  assert(files.names()[0].startsWith("0000000000000001"));
});

test("walStore crashes while it removes segments: each time it opens, finds the same and removes the rest", async () => {
  const steps = [...filling, compaction(11), "mark" as const, { records: [commandsOf(13, 2, "end")] }];
  const whole: Content = steps.reduce(after, NOTHING);
  const lengths = new Set<number>();
  for (let halt = 0;; halt++) {
    const files = new MemoryFiles();
    files.haltAfter(halt);
    const { isComplete, acknowledged } = await runHistory(files, steps);
    if (acknowledged.firstIndex === 11) {
      for (const choose of [loseAll, keepAll]) {
        const image = files.clone();
        image.crash(choose);
        lengths.add(image.names().length);
        const { content } = await contentOf(image);
        assertEquals([content.firstIndex, content.entries[0]], [11, whole.entries[0]], `halted after ${halt}`);
        await contentOf(image, "close");
        await contentOf(image, "close");
        assertLessOrEqual(image.names().length, 4);
      }
    }
    if (isComplete && files.operationCount <= halt) break;
  }
  assertLess(2, lengths.size);
});

test("walStore opens a log whose first segment holds nothing but a write that has failed and is in the next one", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, large)] });
  const segments = () => files.names().filter((name) => name.endsWith(".wal"));
  // The last batch of this segment: the next one is made meanwhile.
  await store.write({ compactTo: { firstIndex: 2, prevTerm: 1 }, records: [] });
  for (let i = 0; i < 100; i++) await Promise.resolve();
  const [first, second] = segments();
  files.fault = ({ kind, name }) => {
    return name === second && ["write", "remove"].includes(kind) ? new Error("EIO: i/o error") : undefined;
  };
  const vote = { term: 2, votedFor: "b" };
  await store.write({ records: [], vote });
  await store.close();
  assert(!files.names().includes(first) && files.names().includes(second), files.names().join());
  files.fault = () => undefined;
  files.crash(keepAll);
  const { content } = await contentOf(files);
  assertEquals([content.firstIndex, content.entries, content.vote], [2, [], vote]);
  const again = smallStore(files);
  await again.open("a");
  await again.write({ records: [], vote: { term: 3, votedFor: "b" } });
  await again.close();
  assert(!files.names().includes(second), files.names().join());
});

test("walStore refuses a log whose first segments are missing though nothing compacted them", async () => {
  const files = await written([...filling, compaction(3), "mark"]);
  files.discard("0000000000000001.wal");
  await assertRejects(() => contentOf(files), CorruptionError, "are missing");
});

test("walStore opens a log whose first segments are missing when a truncation replaced their entries", async () => {
  const steps: Step[] = [
    ...filling.slice(0, 4),
    "mark",
    { truncateFrom: 1, records: [commandsOf(1, 2, large, large)] },
    { records: [commandsOf(3, 2, "x")] },
    "mark",
  ];
  const files = await written(steps);
  // As if somebody had removed the file: what it held is not part of the log.
  files.discard("0000000000000001.wal");
  assertEquals((await contentOf(files)).content, steps.reduce(after, NOTHING));
});

test("walStore started again and again adds no segment without entries, closed or killed", async () => {
  for (const end of ["close", "kill"] as const) {
    const files = await written([...filling, { records: [commandsOf(13, 2, "x")], vote: { term: 2, votedFor: "b" } }]);
    const before = await contentOf(files.clone());
    for (let start = 0; start < 30; start++) {
      const store = smallStore(files);
      await store.open("a");
      await store.write({ records: [], vote: { term: 3 + start, votedFor: "b" } });
      if (end === "close") await store.close();
      else files.crash(loseAll);
    }
    const { content, starts } = await contentOf(files);
    assertEquals(content.entries, before.content.entries);
    assertEquals([content.vote.term, starts], [32, before.starts + 30]);
    assertLessOrEqual(files.names().length, (await written(filling)).names().length + 2, end);
  }
});

test("walStore started again and again between small writes adds a segment only when there are entries for it", async () => {
  const files = new MemoryFiles();
  for (let index = 1; index <= 60; index++) {
    const store = smallStore(files);
    await store.open("a");
    await store.write({ records: [commandsOf(index, 1, "x".repeat(20))] });
    await store.close();
  }
  const bytes = 60 * 68;
  assertLessOrEqual(files.names().length, bytes / 128 + 1);
  assertEquals((await contentOf(files)).content.entries.length, 60);
});

test("walStore ignores segments that a start has merged, and removes them", async () => {
  const steps: Step[] = [...fill(60), { truncateFrom: 2, records: [commandsOf(2, 2, "x")] }, "mark"];
  const before = new MemoryFiles();
  const store = smallStore(before);
  await store.open("a");
  for (const step of steps) await (step === "mark" ? store.mark!() : store.write(step as StoreWrite));
  before.haltAfter(0);
  const files = before.clone();
  assertLess(4, before.names().length);
  await contentOf(files);
  // The first one is not so small as to be merged, all others are.
  assertEquals(files.names(), before.names().slice(0, 2));
  for (const name of before.names().slice(3)) files.setImage(name, before.image(name));
  assertEquals((await contentOf(files, "close")).content, steps.reduce(after, NOTHING));
  assertEquals(files.names(), before.names().slice(0, 2));
});

test("read() of an entry whose segment is removed meanwhile says that it is not there", async () => {
  let beforeRead: (() => Promise<void>) | undefined;
  const files = new MemoryFiles({ schedule: async ({ kind }) => kind === "read" ? await beforeRead?.() : undefined });
  const store = smallStore(files);
  await store.open("a");
  for (const step of filling) if (typeof step !== "string") await store.write(step);
  beforeRead = async () => {
    await store.write({ compactTo: { firstIndex: 9, prevTerm: 1 }, records: [] });
    throw new Error("ENOENT");
  };
  await assertRejects(async () => await store.read(1, 2, 100), EntryNotFoundError, "holds 9 to 12");
  beforeRead = undefined;
  assertEquals(textsOf(await store.read(12, 13, 0)), [large]);
  await store.close();
});
