/**
 * What is lost with the repairs of a damaged log, and with segments of which nothing is left.
 */
import { assertEquals } from "@std/assert";
import type { Store, StoreState } from "../../src/store/store.ts";
import { loseAll, type MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import {
  assertHonest,
  assertRepairable,
  entriesOf,
  FIRST,
  flip,
  loseBatch,
  usedBytes,
  written,
} from "./damaged_wal.ts";
import { after, NOTHING, smallStore, type Step } from "./scenario.ts";

/** Eight entries of terms 1, 1, 2, 3, 4, 5, 6 and 6, and a vote. */
const rising: readonly Exclude<Step, string>[] = [
  // More than a start would merge.
  { records: [commandsOf(1, 1, "two".repeat(200))] },
  ...[1, 2, 3, 4, 5, 6, 6].map((term, i) => ({ records: [commandsOf(i + 2, term, `entry ${i + 2}`)] })),
  { records: [], vote: { term: 7, votedFor: "b" }, clusterId: "cluster" },
];

const rangesOf = ({ damaged }: StoreState) => damaged.map(({ from, end, isTermKnown }) => [from, end, isTermKnown]);

/** A disk with these, of which 3 to 7 are damaged, and a store that is open on it. */
async function holed(): Promise<{ readonly files: MemoryFiles; readonly store: Store }> {
  const files = await written(rising);
  for (const index of [3, 4, 5, 6, 7]) loseBatch(files, `entry ${index}`);
  const store = smallStore(files);
  assertEquals(rangesOf(await store.open("a")), [[3, 8, false]]);
  return { files, store };
}

test("a repair that is lost leaves the next one's first entry damaged, whose term is the most that those before can have", async () => {
  const entries = entriesOf(rising);
  const { files, store } = await holed();
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
  await assertRepairable(files, rising.reduce(after, NOTHING), entries, "repaired once more");
});

test("a repair that is damaged itself leaves its term known where the same write cuts what comes after it", async () => {
  const entries = entriesOf(rising);
  const { files, store } = await holed();
  const repair = { records: [commandsOf(4, 5, "another 4")], repairs: [entries.get(3)!], truncateFrom: 4 };
  await store.write(repair);
  await store.write({ records: [], vote: { term: 7, votedFor: "b" } });
  files.crash(loseAll);
  const name = files.names().at(-1)!;
  const damaged = flip(files, name, new TextDecoder("latin1").decode(files.image(name)).lastIndexOf("entry 3"));
  const { damaged: left, terms } = await smallStore(damaged).open("a");
  assertEquals(left.map(({ from, end }) => [from, end]), [[3, 4]]);
  assertEquals(terms.map(({ term, from }) => [term, from]), [[1, 1], [2, 3], [5, 4]]);
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

test("a truncation that is lost within entries of unknown terms leaves them with no greater term than the entry after it", async () => {
  const { files, store } = await holed();
  await store.write({ records: [commandsOf(5, 5, "another 5")], truncateFrom: 5 });
  await store.write({ records: [commandsOf(6, 5, "another 6")] });
  await store.write({ records: [], vote: { term: 7, votedFor: "b" } });
  files.crash(loseAll);
  loseBatch(files, "another 5");
  const { terms, damaged, lastIndex } = await smallStore(files).open("a");
  assertEquals(damaged.map(({ from, end, isTermKnown }) => [from, end, isTermKnown]), [[3, 6, false]]);
  assertEquals([terms.map(({ term, from }) => [term, from]), lastIndex], [[[1, 1], [5, 3]], 6]);
});

/** Loses the mark that a start has written in this segment, and a bit of what fills up the batch before it. */
function loseMark(files: MemoryFiles, name: string): void {
  const image = files.image(name);
  image[1_023]! ^= 1;
  files.setImage(name, image.fill(0, 1_024, 1_536));
}

test("walStore opens a log whose first segment begins with what the next one says once more", async () => {
  const files = await written([{ records: [], vote: { term: 1, votedFor: "b" }, clusterId: "cluster" }, "reopen"]);
  loseMark(files, FIRST);
  await smallStore(files).open("a");
  files.crash(loseAll);
  assertEquals(files.names(), [FIRST, "0000000000000002.wal"]);
  const { vote, firstIndex, lastIndex, damaged, identity } = await smallStore(files).open("a");
  assertEquals([vote, firstIndex, lastIndex, damaged], [{ term: 1, votedFor: "b" }, 1, 0, []]);
  assertEquals(identity.clusterId, "cluster");
});

test("a copy in a wrong place is not taken for what was there, and takes nothing with it that is before it", async () => {
  const steps: readonly Step[] = ["one", "two", "three"].map((text, i) => ({ records: [commandsOf(i + 1, 1, text)] }));
  const whole = await written(steps);
  const copied = (from: number, to: number): MemoryFiles => {
    const files = whole.clone();
    const image = files.image(FIRST);
    image.copyWithin(to, from, from + 512);
    files.setImage(FIRST, image);
    return files;
  };
  // What a start writes takes two sectors, then there is an entry in each, then a mark.
  const [start, one, two, three, mark] = [512, 1_536, 2_048, 2_560, 3_072];
  assertEquals(usedBytes(whole.image(FIRST)), mark + 512);
  const inMark = flip(copied(start, mark), FIRST, two + 20);
  assertEquals(rangesOf(await smallStore(inMark.clone()).open("a")), [[2, 3, true]]);
  const inOne = copied(three, one);
  assertEquals(rangesOf(await smallStore(inOne.clone()).open("a")), [[1, 2, false]]);
  for (const files of [inMark, inOne]) {
    assertEquals(await assertRepairable(files, steps.reduce(after, NOTHING), entriesOf(steps), "copied"), 1);
  }
});

test("walStore opens a log time and again of which the sector is lost that a segment begins with, a truncation", async () => {
  const steps: readonly Step[] = [
    { records: [commandsOf(1, 1, "1", "2", "3".repeat(1_500))] },
    { records: [commandsOf(4, 1, "4", "5", "6")] },
    { records: [commandsOf(7, 1, "7")] },
    // A later leader has another entry 5: the first batch of the next segment, and the last one but for the mark.
    { truncateFrom: 5, records: [commandsOf(5, 2, "five")] },
  ];
  const whole = await written(steps);
  const second = "0000000000000002.wal";
  assertEquals(usedBytes(whole.image(second)), 3 * 512);
  whole.setImage(second, whole.image(second).fill(0, 512, 1_024));
  for (const isRepaired of [false, true]) {
    const files = whole.clone();
    const first = smallStore(files);
    assertEquals(rangesOf(await first.open("a")), [[5, 6, false]]);
    if (isRepaired) await first.write({ records: [commandsOf(6, 2, "six")], repairs: [commandsOf(5, 2, "five")] });
    await first.close();
    for (let start = 2; start <= 4; start++) {
      const store = smallStore(files);
      const state = await store.open("a");
      assertEquals([state.lastIndex, rangesOf(state)], isRepaired ? [6, []] : [5, [[5, 6, false]]], `start ${start}`);
      await assertHonest(store, state, entriesOf([...steps, { records: [commandsOf(6, 2, "six")] }]), `start ${start}`);
      await store.close();
    }
  }
});
