/**
 * What the cases of stores are made of.
 *
 * @module
 */
import { EntryNotFoundError } from "../../errors.ts";
import type { Store, StoreState, StoreWrite } from "../../store/store.ts";
import { EntryType } from "../../types.ts";
import { encodeConfiguration } from "../../wire/configuration.ts";
import { encodeRecords, type Records } from "../../wire/record.ts";
import { check, rejection, sampleBytes } from "../case_checks.ts";
import type { StoreHarness } from "../store_cases.ts";
import { StoreModel } from "./store_model.ts";

/** Whose disk it is in all cases. */
export const SERVER_ID = "a";

/** The next store of the harness, open. */
export async function opened(harness: StoreHarness): Promise<{ readonly store: Store; readonly state: StoreState }> {
  const store = await harness.next();
  return { store, state: await store.open(SERVER_ID) };
}

/** Runs writes, closes the store, opens the next one and compares all that it holds; in one go and entry by entry. */
export async function checkKept(harness: StoreHarness, writes: readonly StoreWrite[]): Promise<StoreModel> {
  let { store, state } = await opened(harness);
  let model = new StoreModel();
  for (const write of writes) {
    await store.write(write);
    model = model.after(write);
  }
  await model.checkEntries(store, "as written");
  await store.close();
  ({ store, state } = await opened(harness));
  await model.checkAll(store, state, "opened again");
  await model.checkEntries(store, "entry by entry", 1);
  await missing(store, model.firstIndex - 1);
  await missing(store, model.lastIndex + 1);
  await store.close();
  return model;
}

/** Fails unless the entry is reported as missing. */
export async function missing(store: Store, index: number): Promise<void> {
  const error = await rejection(async () => await store.read(index, index + 1, 100));
  check(error instanceof EntryNotFoundError && error.index === index, `entry ${index} is not reported missing`);
}

/** Commands with payloads of these sizes. */
export function sizedCommands(from: number, term: number, ...sizes: readonly number[]): Records {
  const entries = sizes.map((size, i) => ({ type: EntryType.command, payload: sampleBytes(size, from + i) }));
  return encodeRecords(from, term, 1_000 * term, entries);
}

/** So many commands of a few bytes. */
export function manyCommands(from: number, term: number, count: number): Records {
  return sizedCommands(from, term, ...new Array<number>(count).fill(5));
}

/** Entries that hold a configuration with these servers each. */
export function configurations(from: number, term: number, ...lists: readonly (readonly string[])[]): Records {
  const entries = lists.map((ids) => {
    const servers = ids.map((id) => ({ id, address: `${id}:1`, suffrage: "voter" as const }));
    return { type: EntryType.configuration, payload: encodeConfiguration({ servers }) };
  });
  return encodeRecords(from, term, 1_000 * term, entries);
}
