/**
 * The Store port: one ordered stream of writes to a log and a vote.
 *
 * @module
 */
import type { DamagedRange } from "../damage.ts";
import type { Identity, IndexedConfiguration, LogIndex, LogStart, Term, TermRun, Vote } from "../types.ts";
import type { SnapshotStore, SnapshotStoreFactory } from "./snapshot_store.ts";
import type { Records } from "../wire/record.ts";

/**
 * One write: truncation first, then compaction, then the vote and the records. Durable as a whole or not at all. At least
 * one of them.
 */
export interface StoreWrite {
  /** Entries that follow the log's end without a gap (after truncation and compaction), in order. */
  readonly records: readonly Records[];
  /** The new vote, when it changed. */
  readonly vote?: Vote | undefined;
  /** Remove every entry from this index on, before the records are appended. */
  readonly truncateFrom?: LogIndex | undefined;
  /**
   * Entries before this one are gone, as a durable snapshot holds them. When it is beyond the log's end, no entry is left
   * and the log goes on there. `prevTerm` is the snapshot's term when it ends there, else that of the entry before.
   */
  readonly compactTo?: LogStart | undefined;
  /**
   * Entries of the log that are written anew, after truncation and compaction: their old places are damaged. They are
   * what the log had there.
   */
  readonly repairs?: readonly Records[] | undefined;
  /** The cluster this disk belongs to from now on; written once, when it was not known at `open`. */
  readonly clusterId?: string | undefined;
}

/** Where a disk is damaged, and how that was noticed. */
export interface DamagePlace {
  /** The file. */
  readonly file: string;
  /** Where in it, in bytes. */
  readonly offset: number;
  /** What is wrong there, for the end of a sentence. */
  readonly detail: string;
}

/** Entries that were durable and can't be read any more. */
export interface Damage extends DamagedRange, DamagePlace {}

/** What a store holds when it is opened: all that a core needs to start, and no payload. */
export interface StoreState {
  /** The last durable vote; term 0 on a fresh store. */
  readonly vote: Vote;
  /** Index of the first entry; 1 unless the log was compacted. */
  readonly firstIndex: LogIndex;
  /** Term of the entry before the first; 0 when that is index 0. */
  readonly prevTerm: Term;
  /** Index of the last entry; `firstIndex - 1` when there is none. */
  readonly lastIndex: LogIndex;
  /**
   * Terms of `[firstIndex, lastIndex]`, ascending, the first run at `firstIndex`; empty without entries. Damaged entries
   * whose terms are not known have that of the last one.
   */
  readonly terms: readonly TermRun[];
  /** Entries that can't be read, ascending; their places are written anew with `repairs`. */
  readonly damaged: readonly Damage[];
  /** Every configuration in the log that can be read, ascending; what was compacted away is in the snapshot. */
  readonly configurations: readonly IndexedConfiguration[];
  /**
   * The leader's time stamp of the last entry that can be read, milliseconds since 1970; 0 when there is none, whatever was
   * compacted away.
   */
  readonly lastTimeMs: number;
  /** Whose disk it is. `clusterId` is empty on a fresh store. */
  readonly identity: Identity;
}

/**
 * A durable log and vote. Calls of `write` are never concurrent: the next comes when the last is done.
 * `read` may run beside a write; it never sees entries of an unfinished one.
 */
export interface Store {
  /** False when a power cut takes what was written: then snapshots may be volatile, too. */
  readonly isDurable?: boolean;
  /** Where its server keeps snapshots unless another place is given; closed together with the store. */
  readonly snapshots?: SnapshotStore;
  /**
   * Opens (and on first use makes) the store for this server, recovering from a crash.
   *
   * @throws {StoreLockedError} When another process has it open.
   * @throws {CorruptionError} When more than entries is damaged, so that it can't be told what the log or the vote was;
   *   names file and offset.
   * @throws {StorageError} When the disk fails or belongs to another server.
   */
  open(serverId: string): Promise<StoreState>;
  /**
   * Writes; done (returned undefined, or the promise resolved) means durable. A rejection means that nothing of it may
   * be trusted to be there or not, and that the store takes no further write. The arrays are not changed and not kept
   * beyond the entries' life in the store.
   */
  write(write: StoreWrite): Promise<void> | undefined;
  /**
   * Entries from `from` on up to (not including) `end`, at least one, at most `bytesMax` bytes unless a single one is
   * larger. Every record's checksums are verified.
   *
   * @throws {EntryNotFoundError} When `from` is not in the log, or no longer.
   * @throws {DamagedEntryError} When the entry `from` can't be read any more; names file and offset.
   * @throws {StorageError} When the disk fails; names the file.
   */
  read(from: LogIndex, end: LogIndex, bytesMax: number): Promise<Records[]> | Records[];
  /**
   * Notes on disk that all that was written is durable, so that damage to it can be told from a torn write after a
   * crash. To be called when no write has come for a while; costs a write unless it is noted already. A write may follow
   * at once. Rejects as `write` does.
   */
  mark?(): Promise<void> | undefined;
  /** Releases files and locks; waits for a write in flight. Idempotent. */
  close(): Promise<void>;
}

/** What `createRaft` gives to the store that it opens. */
export interface StoreContext {
  /** Called with the duration of every sync that made a write durable. Must not throw. */
  readonly onSync?: ((ms: number) => void) | undefined;
}

/** Where an operator puts the servers to recover a cluster with that has lost its quorum. */
export interface RecoverySource {
  /** How messages name it. */
  readonly name: string;
  /** The servers, in either format of hashicorp/raft; undefined when nobody put any. Called when the store is open. */
  read(): Promise<string | undefined>;
  /** They were applied, durably, and must not be found again. */
  done(): Promise<void>;
}

/** Makes a store: what `fileStore(dir)` returns. Nothing is touched before `open`. */
export interface StoreFactory {
  /** Asked once at each start. */
  readonly recovery?: RecoverySource;
  /** Where its server keeps snapshots unless another place is given. */
  readonly snapshots?: SnapshotStoreFactory;
  /** Makes the store, which the caller must open and close. */
  open(context: StoreContext): Promise<Store>;
}
