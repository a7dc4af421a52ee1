/**
 * What every store checks before it writes.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";
import type { LogIndex, LogStart } from "../types.ts";
import type { StoreWrite } from "./store.ts";

/** Which entries a log holds, and the term of the one before. */
export interface LogBounds extends LogStart {
  /** `firstIndex - 1` when there is no entry. */
  readonly lastIndex: LogIndex;
}

/**
 * The log's bounds after this write.
 *
 * @throws {InvariantError} When truncation or compaction are outside of the log or the records leave a gap: the caller is
 *   wrong, and must learn it before anything is on disk.
 */
export function boundsAfter(write: StoreWrite, bounds: LogBounds): LogBounds {
  const { truncateFrom, compactTo, records } = write;
  let { firstIndex, prevTerm, lastIndex } = bounds;
  if (truncateFrom !== undefined) {
    if (!(truncateFrom >= firstIndex && truncateFrom <= lastIndex + 1)) {
      throw new InvariantError(`Cannot truncate from ${truncateFrom}: the log holds ${firstIndex} to ${lastIndex}`);
    }
    lastIndex = truncateFrom - 1;
  }
  if (compactTo !== undefined) {
    if (
      !(compactTo.firstIndex >= firstIndex) || (compactTo.firstIndex === firstIndex && compactTo.prevTerm !== prevTerm)
    ) {
      throw new InvariantError(
        `Cannot compact to entry ${compactTo.firstIndex} after term ${compactTo.prevTerm}: ` +
          `the log begins at ${firstIndex} after term ${prevTerm}`,
      );
    }
    ({ firstIndex, prevTerm } = compactTo);
    lastIndex = Math.max(lastIndex, firstIndex - 1);
  }
  const kept = lastIndex;
  for (const part of records) {
    if (part.from !== lastIndex + 1) {
      throw new InvariantError(`Cannot write entries from ${part.from} on: the log ends at ${lastIndex}`);
    }
    lastIndex = part.end - 1;
  }
  const outside = write.repairs?.find(({ from, end }) => !(from >= firstIndex && from < end && end <= kept + 1));
  if (outside !== undefined) {
    throw new InvariantError(
      `Cannot repair entries ${outside.from} to ${outside.end - 1}: the log holds ${firstIndex} to ${kept}`,
    );
  }
  return { firstIndex, prevTerm, lastIndex };
}

/**
 * Checks the cluster that a write names: a disk belongs to one for all time.
 *
 * @throws {InvariantError} When it is another than before.
 */
export function checkCluster({ clusterId }: StoreWrite, before: string): void {
  if (clusterId === undefined || before === "" || clusterId === before) return;
  throw new InvariantError(`Cannot move from cluster "${before}" to "${clusterId}"`);
}
