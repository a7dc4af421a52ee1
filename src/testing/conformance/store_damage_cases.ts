/**
 * What every store must do with entries that its disk does not give back: name them, keep all others, and take them anew.
 *
 * @module
 */
import { DamagedEntryError, EntryNotFoundError } from "../../errors.ts";
import type { Store, StoreState, StoreWrite } from "../../store/store.ts";
import { EntryType, type LogIndex } from "../../types.ts";
import type { Records } from "../../wire/record.ts";
import { check, equal, equalBytes, rejection } from "../case_checks.ts";
import { commandsOf, type StoreCase, type StoreHarness } from "../store_cases.ts";
import type { StoreModel } from "./store_model.ts";
import { checkKept, configurations, manyCommands, opened, sizedCommands } from "./store_support.ts";

/** Three terms, entries of several sizes, a vote. */
const mixed: readonly StoreWrite[] = [
  { records: [commandsOf(1, 1, "a", "b"), configurations(3, 1, ["a"])] },
  { records: [sizedCommands(4, 2, 100_000, 7, 200_000)] },
  { records: [commandsOf(7, 3, "g")] },
  { records: [commandsOf(8, 3, "h")], vote: { term: 4, votedFor: "b" } },
];

/** Opens the store whose entries were damaged, checks what it says of them, and that all others are what they were. */
async function openDamaged(
  harness: StoreHarness,
  model: StoreModel,
  indexes: readonly LogIndex[],
): Promise<{ readonly store: Store; readonly state: StoreState }> {
  const { store, state } = await opened(harness);
  const isNamed = (index: LogIndex) => state.damaged.some(({ from, end }) => from <= index && index < end);
  const { firstIndex, prevTerm, lastIndex } = model;
  equal([state.firstIndex, state.prevTerm, state.lastIndex], [firstIndex, prevTerm, lastIndex], "the log's bounds");
  equal([state.vote, state.identity.clusterId], [model.vote, model.clusterId], "vote and cluster");
  for (const index of indexes) check(isNamed(index), `entry ${index} is damaged, and not named`);
  for (const { from, end, file, detail } of state.damaged) {
    check(from >= firstIndex && from < end && end <= lastIndex + 1, `${from} to ${end} are named, and not in the log`);
    check(file.length > 0 && detail.length > 0, `it isn't said where ${from} to ${end} are damaged, and how`);
  }
  checkTerms(state, model);
  const others = model.entries.filter(({ index }) => !isNamed(index));
  const told = state.configurations.map(({ index }) => index);
  equal(told, configurationsAmong(others.map(({ record }) => record)), "the configurations that can be read");
  await checkReads(store, model, isNamed);
  return { store, state };
}

function checkTerms(state: StoreState, { entries, lastIndex }: StoreModel): void {
  const termOf = (index: LogIndex) => state.terms.findLast(({ from }) => from <= index)?.term;
  for (const { index, record } of entries) {
    const range = state.damaged.find(({ from, end }) => from <= index && index < end);
    const isKnown = range === undefined || range.isTermKnown || index === range.end - 1;
    const [found, term] = [termOf(index), record.term(index)];
    check(isKnown ? found === term : found! >= term, `entry ${index} is of term ${term}, and said to be of ${found}`);
  }
  equal(state.terms[0]?.from, lastIndex < state.firstIndex ? undefined : state.firstIndex, "where terms begin");
}

function configurationsAmong(records: readonly Records[]): LogIndex[] {
  return records.filter((record) => record.type(record.from) === EntryType.configuration).map(({ from }) => from);
}

/** Every entry by itself, and as many as there are in one go. */
async function checkReads(store: Store, model: StoreModel, isNamed: (index: LogIndex) => boolean): Promise<void> {
  for (const { index, record } of model.entries) {
    const read = () => store.read(index, model.lastIndex + 1, 10_000_000);
    if (isNamed(index)) {
      const error = await rejection(async () => await read());
      check(error instanceof DamagedEntryError && error.index === index, `entry ${index} is named, but read: ${error}`);
      continue;
    }
    const [first] = await read();
    equalBytes(first.slice(index, index + 1).bytes, record.bytes, `entry ${index}`);
    for (let next = first.from; next < first.end; next++) {
      check(!isNamed(next), `read() gives the damaged entry ${next}`);
    }
  }
}

/** Harms what a closed store holds. */
async function damage(harness: StoreHarness, indexes: readonly LogIndex[]): Promise<void> {
  for (const index of indexes) await harness.damage!(index);
}

/** The entries that are named, as they were. */
function repairsOf({ damaged }: StoreState, model: StoreModel): Records[] {
  const { entries } = model;
  return entries.filter(({ index }) => damaged.some(({ from, end }) => from <= index && index < end))
    .map(({ record }) => record);
}

/** Closes the store and checks that the next one is whole. */
async function checkWhole(harness: StoreHarness, store: Store, model: StoreModel): Promise<void> {
  await model.checkEntries(store, "afterwards");
  await store.close();
  const again = await opened(harness);
  await model.checkAll(again.store, again.state, "opened again");
  await again.store.close();
}

const placeCases: readonly StoreCase[] = [[1], [3], [4], [6], [8], [2, 3, 5], [4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8]]
  .map((indexes) => ({
    name: `open() with damage to ${
      indexes.join(", ")
    } of 8: they are named, all else is there, and repairs are durable`,
    needs: "damage",
    async run(harness) {
      const model = await checkKept(harness, mixed);
      await damage(harness, indexes);
      const { store, state } = await openDamaged(harness, model, indexes);
      const repairs = repairsOf(state, model);
      await store.write({ records: [], repairs: repairs.slice(0, 1) });
      await store.write({ records: [commandsOf(9, 5, "i")], repairs: repairs.slice(1) });
      await checkWhole(harness, store, model.after({ records: [commandsOf(9, 5, "i")] }));
    },
  }));

const otherCases: readonly StoreCase[] = [
  {
    name: "open() with damage again and again: what was repaired may be damaged once more, and what wasn't stays named",
    needs: "damage",
    async run(harness) {
      const model = await checkKept(harness, mixed);
      await damage(harness, [2, 5]);
      let { store, state } = await openDamaged(harness, model, [2, 5]);
      const [first] = repairsOf(state, model);
      await store.write({ records: [], repairs: [first] });
      await store.close();
      ({ store, state } = await openDamaged(harness, model, [5]));
      check(!state.damaged.some(({ from }) => from === first.from), `entry ${first.from} was repaired, and is named`);
      await store.close();
      await damage(harness, [2]);
      ({ store, state } = await openDamaged(harness, model, [2, 5]));
      await store.write({ records: [], repairs: repairsOf(state, model) });
      await checkWhole(harness, store, model);
    },
  },
  {
    name: "write() that truncates takes damage with it, and entries in its place are whole",
    needs: "damage",
    async run(harness) {
      const model = await checkKept(harness, mixed);
      await damage(harness, [5, 7]);
      const { store, state } = await openDamaged(harness, model, [5, 7]);
      const kept = repairsOf(state, model).filter(({ from }) => from < 5);
      await store.write({ records: [], repairs: kept });
      const write = { truncateFrom: 5, records: [commandsOf(5, 6, "E", "F")] };
      await store.write(write);
      await checkWhole(harness, store, model.after(write));
    },
  },
  {
    name: "write() that compacts takes damage with it, and what is beyond stays named",
    needs: "damage",
    async run(harness) {
      const model = await checkKept(harness, mixed);
      await damage(harness, [2, 7]);
      const { store } = await openDamaged(harness, model, [2, 7]);
      const write: StoreWrite = { compactTo: { firstIndex: 5, prevTerm: 2 }, records: [] };
      await store.write(write);
      const gone = await rejection(async () => await store.read(2, 3, 100));
      check(gone instanceof EntryNotFoundError, `entry 2 is compacted away, and read() says ${gone}`);
      await store.close();
      const after = model.after(write);
      const again = await openDamaged(harness, after, [7]);
      await again.store.write({ records: [], repairs: repairsOf(again.state, after) });
      await checkWhole(harness, again.store, after);
    },
  },
  {
    name: "write() repairs 50 entries that are damaged among 1,000, each by itself, in one go",
    needs: "damage",
    async run(harness) {
      const model = await checkKept(harness, [{ records: [manyCommands(1, 1, 1_000)] }]);
      const indexes = Array.from({ length: 50 }, (_, i) => 20 * i + 7);
      await damage(harness, indexes);
      const { store, state } = await openDamaged(harness, model, indexes);
      await store.write({ records: [], repairs: repairsOf(state, model) });
      await checkWhole(harness, store, model);
    },
  },
];

/** All cases. */
export const storeDamageCases: readonly StoreCase[] = [...placeCases, ...otherCases];
