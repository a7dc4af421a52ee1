/**
 * A disk's contents as checkers see them: kept up write by write, or read back from a store.
 *
 * @module
 */
import type { Store, StoreState, StoreWrite } from "../../store/store.ts";
import type { LogIndex } from "../../types.ts";
import type { Records } from "../../wire/record.ts";
import { ChainLog } from "./chain.ts";
import type { DiskView } from "./view.ts";

/** A write as it is on the disk. */
export type DurableWrite = Pick<StoreWrite, "records" | "vote" | "truncateFrom" | "compactTo">;

/** The view of a disk with nothing on it. */
export function emptyView(): DiskView {
  return { term: 0, votedFor: undefined, log: new ChainLog(), snapshot: 0 };
}

/** An independent copy. */
export function cloneView(view: DiskView): DiskView {
  return { ...view, log: view.log.clone() };
}

/** Whether two disks hold the same. */
export function isSameView(a: DiskView, b: DiskView): boolean {
  return a.snapshot === b.snapshot && isSameLog(a, b);
}

/** Whether two disks hold the same vote and log, whatever snapshots they have. */
export function isSameLog(a: DiskView, b: DiskView): boolean {
  return a.term === b.term && a.votedFor === b.votedFor && a.log.last === b.log.last && a.log.agrees(b.log, a.log.last);
}

/** The committed entries up to this one. */
export type Prefix = (index: LogIndex) => ChainLog;

/** Where nothing is committed. */
export const nobody: Prefix = () => new ChainLog();

/**
 * What a disk holds after one more write.
 *
 * @param prefix What a snapshot stands for, that takes the log's place.
 */
export function applyWrite(
  disk: DiskView,
  { vote, truncateFrom, compactTo, records }: DurableWrite,
  prefix: Prefix = nobody,
): void {
  if (truncateFrom !== undefined) disk.log.truncateFrom(truncateFrom);
  if (compactTo !== undefined && compactTo.firstIndex > disk.log.last + 1) disk.log = prefix(compactTo.firstIndex - 1);
  for (const run of records) disk.log.append(run);
  if (vote === undefined) return;
  disk.term = vote.term;
  disk.votedFor = vote.votedFor;
}

/**
 * Reads all that an open store holds; what came before is in a snapshot.
 *
 * @param said What the entries were that the store says are damaged, where it goes on without them.
 */
export async function viewOf(
  store: Store,
  { vote, firstIndex, lastIndex, damaged }: StoreState,
  prefix: Prefix = nobody,
  said?: ChainLog,
): Promise<DiskView> {
  const log = prefix(firstIndex - 1);
  let next: LogIndex = firstIndex;
  while (next <= lastIndex) {
    const range = said === undefined ? undefined : damaged.find(({ end }) => end > next);
    if (range !== undefined && range.from <= next && log.hashAt(next - 1) === said!.hashAt(next - 1)) {
      log.appendFrom(said!, Math.min(range.end, said!.last + 1));
      if (log.last < next) break;
      next = log.last + 1;
      continue;
    }
    const runs: readonly Records[] = await store.read(next, range?.from ?? lastIndex + 1, 1 << 20);
    for (const records of runs) {
      log.append(records);
      next = records.end;
    }
  }
  const lost = new Set(damaged.flatMap(({ from, end }) => Array.from({ length: end - from }, (_, i) => from + i)));
  return { term: vote.term, votedFor: vote.votedFor, log, snapshot: 0, damaged: lost };
}
