/**
 * A disk's contents as checkers see them, kept up write by write.
 *
 * @module
 */
import type { StoreWrite } from "../../store/store.ts";
import type { DiskView } from "./view.ts";

/** What a disk holds after one more write. */
export function applyWrite(disk: DiskView, { vote, truncateFrom, records }: StoreWrite): void {
  if (truncateFrom !== undefined) disk.log.truncateFrom(truncateFrom);
  for (const run of records) disk.log.append(run);
  if (vote === undefined) return;
  disk.term = vote.term;
  disk.votedFor = vote.votedFor;
}
