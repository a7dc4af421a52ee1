/**
 * What every store must do with entries that go: truncation at the end, compaction at the front, in any order.
 *
 * @module
 */
import type { StoreWrite } from "../../store/store.ts";
import { commandsOf, type StoreCase } from "../store_cases.ts";
import { randomWrite, seededChoice } from "./store_history.ts";
import { StoreModel } from "./store_model.ts";
import { checkKept, configurations, manyCommands, opened, sizedCommands } from "./store_support.ts";

const truncationCases: readonly StoreCase[] = [
  {
    name: "write() that truncates after the last entry removes nothing",
    async run(harness) {
      await checkKept(harness, [
        { truncateFrom: 1, records: [commandsOf(1, 1, "a", "b")] },
        { truncateFrom: 3, records: [] },
        { truncateFrom: 3, records: [commandsOf(3, 1, "c")] },
      ]);
    },
  },
  {
    name: "write() that truncates: what was removed never comes back, however short the new log is",
    async run(harness) {
      const model = await checkKept(harness, [
        { records: [manyCommands(1, 1, 10)] },
        { truncateFrom: 3, records: [] },
      ]);
      const { store } = await opened(harness);
      const write = { records: [commandsOf(3, 2, "new")] };
      await store.write(write);
      await store.close();
      const again = await opened(harness);
      await model.after(write).checkAll(again.store, again.state, "one entry more");
      await again.store.close();
    },
  },
  {
    name: "write() truncates 2,500 entries, and writes as many",
    async run(harness) {
      await checkKept(harness, [
        { records: [manyCommands(1, 1, 2_500)] },
        { truncateFrom: 2, records: [] },
        { records: [manyCommands(2, 2, 2_500)] },
        { truncateFrom: 3, records: [manyCommands(3, 3, 2_400)], vote: { term: 3, votedFor: "b" } },
      ]);
    },
  },
  {
    name: "write() puts small entries in the place of large ones, and the other way",
    async run(harness) {
      await checkKept(harness, [
        { records: [sizedCommands(1, 1, 200_000, 200_000, 200_000)] },
        { truncateFrom: 1, records: [sizedCommands(1, 2, 5, 100_000)] },
        { truncateFrom: 2, records: [sizedCommands(2, 3, 70_000, 3, 300_000)] },
        { truncateFrom: 4, records: [sizedCommands(4, 4, 1)] },
      ]);
    },
  },
  {
    name: "write() of a megabyte in the place of another keeps what comes before",
    async run(harness) {
      const megabyte = (from: number, term: number) => sizedCommands(from, term, 400_000, 400_000, 400_000, 10);
      await checkKept(harness, [
        { records: [commandsOf(1, 1, "a", "b"), megabyte(3, 1)] },
        { truncateFrom: 4, records: [megabyte(4, 2)], vote: { term: 2, votedFor: undefined } },
        { truncateFrom: 2, records: [megabyte(2, 3), commandsOf(6, 3, "end")] },
        { truncateFrom: 6, records: [commandsOf(6, 4, "END", "more")] },
      ]);
    },
  },
  {
    name: "write() truncates again and again at the same place",
    async run(harness) {
      const writes: StoreWrite[] = [{ records: [commandsOf(1, 1, "a", "b", "c")] }];
      for (let term = 2; term < 40; term++) {
        writes.push({ truncateFrom: 2, records: [commandsOf(2, term, `b${term}`, `c${term}`)] });
      }
      await checkKept(harness, writes);
    },
  },
];

const compactionCases: readonly StoreCase[] = [
  {
    name: "write() compacts entry by entry",
    async run(harness) {
      const writes: StoreWrite[] = [{ records: [manyCommands(1, 1, 30)] }];
      for (let firstIndex = 2; firstIndex <= 25; firstIndex++) {
        writes.push({ compactTo: { firstIndex, prevTerm: 1 }, records: [] });
      }
      await checkKept(harness, writes);
    },
  },
  {
    name: "write() compacts 2,500 entries away",
    async run(harness) {
      await checkKept(harness, [
        { records: [manyCommands(1, 1, 2_600)] },
        { compactTo: { firstIndex: 2_501, prevTerm: 1 }, records: [commandsOf(2_601, 2, "x")] },
      ]);
    },
  },
  {
    name: "write() truncates all that compaction left, and keeps where the log begins",
    async run(harness) {
      await checkKept(harness, [
        { records: [commandsOf(1, 1, "a", "b", "c", "d")] },
        { compactTo: { firstIndex: 3, prevTerm: 1 }, records: [] },
        { truncateFrom: 3, records: [] },
      ]);
    },
  },
  {
    name: "write() compacts to beyond the end, and goes on there at once",
    async run(harness) {
      await checkKept(harness, [
        { records: [commandsOf(1, 1, "a", "b"), configurations(3, 1, ["a"])] },
        { compactTo: { firstIndex: 1_000_000, prevTerm: 7 }, records: [commandsOf(1_000_000, 8, "x", "y")] },
        { compactTo: { firstIndex: 1_000_001, prevTerm: 8 }, records: [commandsOf(1_000_002, 8, "z")] },
      ]);
    },
  },
  {
    name: "write() of a snapshot in the place of a whole log: truncated, compacted and begun anew",
    async run(harness) {
      await checkKept(harness, [
        { records: [manyCommands(1, 1, 40)], vote: { term: 1, votedFor: "b" } },
        { truncateFrom: 20, compactTo: { firstIndex: 31, prevTerm: 4 }, records: [], vote: { term: 5, votedFor: "c" } },
        { records: [manyCommands(31, 5, 5)] },
      ]);
    },
  },
  {
    name: "write() compacts what was truncated before, large entries and small ones",
    async run(harness) {
      await checkKept(harness, [
        { records: [sizedCommands(1, 1, 100_000, 10, 900_000, 10, 100_000)] },
        { truncateFrom: 3, records: [sizedCommands(3, 2, 10, 900_000, 10)] },
        { compactTo: { firstIndex: 4, prevTerm: 2 }, records: [sizedCommands(6, 2, 70_000)] },
        { truncateFrom: 5, records: [sizedCommands(5, 3, 1_000_000, 1_000)] },
      ]);
    },
  },
];

/** A history that chance makes, the same each time; the store is closed and opened again now and then. */
function randomCase(seed: number): StoreCase {
  return {
    name: `write() of anything in any order keeps what a plain list would (history ${seed})`,
    async run(harness) {
      const choose = seededChoice(seed);
      let model = new StoreModel();
      let { store, state } = await opened(harness);
      for (let i = 0; i < 80; i++) {
        const write = randomWrite(model, choose);
        await store.write(write);
        model = model.after(write);
        if (choose(6) > 0) continue;
        await store.close();
        ({ store, state } = await opened(harness));
        await model.checkAll(store, state, `after ${i + 1} writes`);
      }
      await store.close();
    },
  };
}

/** Cases. */
export const storeRemovalCases: readonly StoreCase[] = [
  ...truncationCases,
  ...compactionCases,
  ...[1, 2, 3].map(randomCase),
];
