/**
 * The SnapshotStore port: where whole states of the machine are kept, so that the log before them may go.
 *
 * @module
 */
import type { Configuration, LogIndex, Term } from "../types.ts";

/** What a snapshot holds, known before its bytes are. */
export interface SnapshotOrigin {
  /** The last entry that it includes (Raft §7). */
  readonly index: LogIndex;
  /** That entry's term. */
  readonly term: Term;
  /** The configuration in force at that entry. */
  readonly configuration: Configuration;
  /** The entry that holds the configuration. */
  readonly configurationIndex: LogIndex;
  /** The time stamp of the last entry that it includes, milliseconds since 1970. */
  readonly timeMs: number;
}

/** One complete snapshot. */
export interface SnapshotMeta extends SnapshotOrigin {
  /** Its name in the store; made by the store, never taken from elsewhere. */
  readonly id: string;
  /** Version of the container's form. */
  readonly version: number;
  /** Length of the container in bytes. */
  readonly bytes: number;
  /** CRC32C of the whole container. */
  readonly checksum: number;
}

/** A snapshot being written. Nobody sees it before `close`. */
export interface SnapshotSink {
  /** The name that it will have. */
  readonly id: string;
  /** Bytes that were written so far. */
  readonly bytes: number;
  /** Appends bytes, which are not kept; done when more may come. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Makes it durable and visible in one step, and lets go of those that are no longer to be retained.
   *
   * @param expected When given, what the whole must be: a container that was received is checked against what its
   * sender announced.
   * @throws {ProtocolError} When it is not; the snapshot is gone then.
   */
  close(expected?: { readonly bytes: number; readonly checksum: number }): Promise<SnapshotMeta>;
  /** Leaves nothing behind. Idempotent; does nothing after `close`. */
  abort(): Promise<void>;
}

/** Keeps whole snapshots as opaque bytes (see src/wire/snapshot.ts for what is in them). */
export interface SnapshotStore {
  /** Whether snapshots survive a power cut once `close` of their sink has resolved. */
  readonly isDurable: boolean;
  /** Opens the store: removes what a crash left unfinished. Must be called once, before all else. */
  open(): Promise<void>;
  /** Begins a snapshot. */
  create(origin: SnapshotOrigin): Promise<SnapshotSink>;
  /** All complete snapshots, the newest first. Damaged metas are left out (and counted in `damaged`). */
  list(): Promise<readonly SnapshotMeta[]>;
  /**
   * Bytes of a snapshot, from `offset` on, at most `bytesMax`; empty at the end. The bytes are the caller's.
   *
   * @throws {EntryNotFoundError | StorageError} When it is gone or can't be read.
   */
  read(id: string, offset: number, bytesMax: number): Promise<Uint8Array>;
  /** Removes one, durably. Idempotent. */
  remove(id: string): Promise<void>;
  /** Releases what it holds. Idempotent. */
  close(): Promise<void>;
}

/** Makes a snapshot store: nothing is touched before `open`. */
export interface SnapshotStoreFactory {
  /** Makes the store, which the caller must open and close. */
  open(): Promise<SnapshotStore>;
}
