/**
 * Which snapshots are whole on a disk: a second, simpler reading of them than the store's, for whoever checks that or
 * damages them.
 *
 * @module
 */
import { isSnapshotId } from "../../../store/snapshot_meta.ts";
import { decodeMeta, META_NAME } from "../../../store/snapshot_meta_text.ts";
import type { LogIndex } from "../../../types.ts";
import { crc32c } from "../../../wire/crc32c.ts";
import type { DurableDirectory } from "../../memory_file.ts";

/** The directory of them, beside the log. */
export const SNAPSHOTS_NAME = "snapshots";

/** The bytes of one, in its own directory. */
export const CONTAINER_NAME = "container";

/** The name of a snapshot whose directory has this path; undefined when it is none that a store would take for one. */
export function snapshotOf(path: string): string | undefined {
  const [directory, name, ...more] = path.split("/");
  if (directory !== SNAPSHOTS_NAME || name === undefined || more.length > 0) return undefined;
  return isSnapshotId(name) ? name : undefined;
}

/** The last entry that the snapshot of this name includes; undefined when a power cut would leave no whole one. */
export function indexOfWhole(directory: DurableDirectory, id: string): LogIndex | undefined {
  const files = directory.durableFiles();
  const decoded = decodeMeta(files.get(META_NAME)?.durable.copy() ?? new Uint8Array(0), id);
  const container = files.get(CONTAINER_NAME)?.durable.copy();
  if (!("meta" in decoded) || container === undefined) return undefined;
  const { bytes, checksum, index } = decoded.meta;
  return container.length === bytes && crc32c(container) === checksum ? index : undefined;
}

/** All that are whole, by name, with the last entry that they include. */
export function wholeSnapshots(root: DurableDirectory): Map<string, LogIndex> {
  const found = new Map<string, LogIndex>();
  for (const [id, directory] of root.durableDirectories().get(SNAPSHOTS_NAME)?.durableDirectories() ?? []) {
    const index = isSnapshotId(id) ? indexOfWhole(directory, id) : undefined;
    if (index !== undefined) found.set(id, index);
  }
  return found;
}
