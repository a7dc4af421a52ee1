/**
 * The SnapshotStore port: where whole states of the machine are kept, so that the log before them may go.
 *
 * @module
 */
import type { SnapshotOrigin } from "../wire/snapshot.ts";

export type { SnapshotOrigin } from "../wire/snapshot.ts";

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

/** A snapshot that can't be used. */
export interface DamagedSnapshot {
  /** Its name in the store. */
  readonly id: string;
  /** What is wrong, for the end of a sentence. */
  readonly problem: string;
}

/** A snapshot being written. Nobody sees it before `close`. Calls are never concurrent. */
export interface SnapshotSink {
  /** The name that it will have. */
  readonly id: string;
  /** Bytes that were written so far. */
  readonly bytes: number;
  /**
   * Appends bytes, which are not kept; done when more may come.
   *
   * @throws {StorageError} When the disk fails or is full. The sink takes nothing more: `abort` it.
   */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Makes it durable and visible in one step, and lets go of those that are no longer to be retained. Called again it
   * gives the same.
   *
   * @param expected When given, what the whole must be: a container that was received is checked against what its
   * sender announced.
   * @throws {ProtocolError} When it is not; the snapshot is gone then.
   * @throws {StorageError} When the disk fails. The snapshot is gone then, unless it was whole already: the next start
   * may find it.
   */
  close(expected?: { readonly bytes: number; readonly checksum: number }): Promise<SnapshotMeta>;
  /** Leaves nothing behind. Idempotent; does nothing after `close`. */
  abort(): Promise<void>;
}

/** Keeps whole snapshots as opaque bytes (see src/wire/snapshot.ts for what is in them). */
export interface SnapshotStore {
  /** Whether snapshots survive a power cut once `close` of their sink has resolved. */
  readonly isDurable: boolean;
  /** Snapshots that were found to be damaged since `open`. They are removed when a newer one is complete. */
  readonly damaged: readonly DamagedSnapshot[];
  /**
   * Opens the store: removes what a crash left unfinished. Must be called once, before all else. A store that keeps its
   * content in memory may be opened again after `close`.
   *
   * @throws {StoreLockedError} When another process has it open.
   * @throws {StorageError} When the disk fails, or holds snapshots of a newer version.
   */
  open(): Promise<void>;
  /**
   * Begins a snapshot.
   *
   * @throws {InvariantError} When the origin is none: an index of 0, for instance.
   */
  create(origin: SnapshotOrigin): Promise<SnapshotSink>;
  /** All complete snapshots that are not known to be damaged, the newest first. */
  list(): Promise<readonly SnapshotMeta[]>;
  /**
   * Bytes of a snapshot, from `offset` on, at most `bytesMax`, maybe fewer; empty at the end only. The bytes are the
   * caller's.
   *
   * @throws {SnapshotNotFoundError} When it is gone.
   * @throws {StorageError} When it can't be read.
   * @throws {RangeError} When the offset is negative, or no byte is asked for.
   */
  read(id: string, offset: number, bytesMax: number): Promise<Uint8Array>;
  /**
   * Reads all of a snapshot: whether it is still what `close` made durable. To be called before one is used. From then on
   * a damaged one is named in `damaged` and not listed, so that the one before takes its place.
   *
   * @throws {SnapshotNotFoundError} When it is gone.
   */
  verify(id: string): Promise<boolean>;
  /**
   * Keeps a snapshot from being let go while it is read; `remove` removes it nevertheless.
   *
   * @returns What ends that.
   * @throws {SnapshotNotFoundError} When it is gone.
   */
  hold(id: string): () => void;
  /** Removes one, durably. Idempotent. */
  remove(id: string): Promise<void>;
  /** Releases what it holds, and aborts what is being written. Idempotent. */
  close(): Promise<void>;
}

/** Makes a snapshot store: nothing is touched before `open`. */
export interface SnapshotStoreFactory {
  /** Makes the store, which the caller must open and close. */
  open(): Promise<SnapshotStore>;
}
