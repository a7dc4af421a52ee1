/**
 * What every store checks before it writes.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";
import type { LogIndex } from "../types.ts";
import type { StoreWrite } from "./store.ts";

/**
 * The log's last index after this write.
 *
 * @throws {InvariantError} When the truncation is outside of the log or the records leave a gap: the caller is wrong, and
 *   must learn it before anything is on disk.
 */
export function lastIndexAfter(write: StoreWrite, firstIndex: LogIndex, lastIndex: LogIndex): LogIndex {
  const { truncateFrom, records } = write;
  let last = lastIndex;
  if (truncateFrom !== undefined) {
    if (!(truncateFrom >= firstIndex && truncateFrom <= lastIndex + 1)) {
      throw new InvariantError(`Cannot truncate from ${truncateFrom}: the log holds ${firstIndex} to ${lastIndex}`);
    }
    last = truncateFrom - 1;
  }
  for (const part of records) {
    if (part.from !== last + 1) {
      throw new InvariantError(`Cannot write entries from ${part.from} on: the log ends at ${last}`);
    }
    last = part.end - 1;
  }
  return last;
}
