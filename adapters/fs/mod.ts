/**
 * Stores in the file system, for Deno, Bun and Node.
 *
 * @example
 * ```ts
 * import { fileSnapshotStore, fileStore } from "@securecollc/raft/fs";
 *
 * const store = fileStore("./data/a"); // nothing is touched before createRaft opens it
 * const snapshots = fileSnapshotStore("./data/a"); // in ./data/a/snapshots
 * ```
 *
 * @module
 */
import { join } from "node:path";
import { fileSnapshots } from "../../src/store/snapshot_files.ts";
import type { SnapshotStoreFactory } from "../../src/store/snapshot_store.ts";
import type { StoreFactory } from "../../src/store/store.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import { directoryFiles } from "./files.ts";
import { peersFile } from "./peers_file.ts";

export { directoryFiles, type DirectoryOptions } from "./files.ts";
export type { FileHandle, Files, OpenOptions } from "../../src/store/files.ts";

/** What {@linkcode fileStore} takes. */
export interface FileStoreOptions {
  /**
   * Size of a file of the log, in bytes; 4096 at least, 512 MiB at most. Each is filled with zeros before it is used, in
   * the background, which makes a write about a third faster.
   *
   * @default {67108864}
   */
  readonly segmentBytes?: number;
  /**
   * Whether the directory is locked against other processes, by sockets in it. Switch it off only on a file system that
   * has none, and then see to it yourself that two processes never use the same directory.
   *
   * @default {true}
   */
  readonly lock?: boolean;
}

/**
 * A log and a vote in files of one directory, which is made when it is missing. A write is done when it is on the disk.
 * Snapshots are kept beside them, as a {@linkcode fileSnapshotStore} of the same directory does.
 *
 * The directory belongs to one server for all time. One that holds other things, another server's log or a newer
 * version's is refused and left as it is.
 *
 * Deno asks for read and write access to the directory (and to the one above while it is missing), and for net access,
 * which its sockets take although nothing leaves the machine.
 */
export function fileStore(directory: string, options: FileStoreOptions = {}): StoreFactory {
  return {
    recovery: peersFile(directory),
    snapshots: fileSnapshotStore(directory, options.lock === undefined ? {} : { lock: options.lock }),
    open({ onSync }) {
      const files = directoryFiles(directory, options);
      return Promise.resolve(walStore(files, { ...options, onSync }));
    },
  };
}

/** What {@linkcode fileSnapshotStore} takes. */
export interface FileSnapshotStoreOptions {
  /**
   * How many snapshots are kept; the older ones are there for the case that the newest is damaged.
   *
   * @default {2}
   */
  readonly retain?: number;
  /**
   * Whether the directory is locked against other processes: see {@linkcode FileStoreOptions}.
   *
   * @default {true}
   */
  readonly lock?: boolean;
}

/**
 * Snapshots in `snapshots` in this directory, each in a directory of its own, with its bytes and a meta that a person can
 * read. The directory may be that of a {@linkcode fileStore}, which must then be opened first, as `createRaft` does.
 *
 * A snapshot is complete when its directory is there: it is written under another name, synced, and then renamed. What a
 * crash left of an unfinished one is removed at the next start; directories that it didn't make are left alone.
 */
export function fileSnapshotStore(directory: string, options: FileSnapshotStoreOptions = {}): SnapshotStoreFactory {
  const { retain, lock } = options;
  return {
    open() {
      const files = directoryFiles(join(directory, "snapshots"), lock === undefined ? {} : { lock });
      return Promise.resolve(fileSnapshots(files, retain === undefined ? {} : { retain }));
    },
  };
}
