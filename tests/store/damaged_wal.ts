/**
 * Logs on a disk that is damaged, and what must be found of them.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DamagedEntryError } from "../../src/errors.ts";
import type { Store, StoreState } from "../../src/store/store.ts";
import { loseAll, MemoryFiles } from "../../src/testing/memory_files.ts";
import { textsOf } from "../../src/testing/store_cases.ts";
import type { Records } from "../../src/wire/record.ts";
import { type Content, contentOf, smallStore, type Step, take } from "./scenario.ts";

export const FIRST = "0000000000000001.wal";

/** The log's entries after these steps, each by itself. */
export function entriesOf(steps: readonly Step[]): Map<number, Records> {
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
export async function written(steps: readonly Step[], end: "close" | "kill" = "close"): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  let store = smallStore(files);
  await store.open("a");
  for (const step of steps) store = await take(files, store, step);
  if (end === "close") await store.close();
  else files.crash(loseAll);
  return files;
}

export function flip(files: MemoryFiles, name: string, at: number): MemoryFiles {
  const damaged = files.clone();
  const bytes = damaged.image(name);
  bytes[at]! ^= 1 << at % 8;
  damaged.setImage(name, bytes);
  return damaged;
}

export function usedBytes(image: Uint8Array): number {
  return Math.ceil((image.findLastIndex((byte) => byte !== 0) + 1) / 512) * 512;
}

/** Checks each entry by itself: damaged, and refused; or what it was. */
export async function assertHonest(
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
export async function assertRepairable(
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

/** Zeros the sectors in which these bytes are, wherever they are last. */
export function loseBatch(files: MemoryFiles, text: string): void {
  const latin = new TextDecoder("latin1");
  const name = files.names().findLast((name) => latin.decode(files.image(name)).includes(text))!;
  const image = files.image(name);
  const at = latin.decode(image).lastIndexOf(text);
  image.fill(0, at - at % 512, at - at % 512 + 512);
  files.setImage(name, image);
}
