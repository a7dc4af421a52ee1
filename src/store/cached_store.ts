/**
 * A store whose latest entries are read from memory.
 *
 * @module
 */
import { checkWhole } from "../checks.ts";
import type { LogIndex } from "../types.ts";
import type { Records } from "../wire/record.ts";
import { LogCache } from "./log_cache.ts";
import type { SnapshotStore } from "./snapshot_store.ts";
import type { Store, StoreContext, StoreFactory, StoreState, StoreWrite } from "./store.ts";

/** What a log cache may hold; see {@linkcode logCache}. */
export interface LogCacheOptions {
  /**
   * Entries at most.
   *
   * @default {262_144}
   */
  readonly entries?: number;
  /**
   * Bytes of entries at most.
   *
   * @default {67_108_864}
   */
  readonly bytes?: number;
}

/**
 * Keeps the latest entries of a store in memory, as hashicorp/raft's `NewLogCache` does: they are read from there, all others from
 * the store. Entries come in when the store has made them durable, so nothing is ever read that a crash could take, and leave, the
 * oldest first and as many as were written together, when there are more of them than `entries`, or more than `bytes`.
 *
 * A running server has such a cache of its own, bounded by `logCacheEntriesMax` and `logCacheBytesMax`, and needs no other. This one is
 * for programs that read a store themselves. The array that a record is a view of stays in memory with it.
 *
 * @param store An open or closed store, or what makes one, which is then given back likewise.
 * @throws {RangeError} When a bound is not a whole number, or less than 0; 0 keeps nothing.
 *
 * @example
 * ```ts
 * import { logCache, memoryStore } from "@securecollc/raft";
 * import { assertEquals } from "@std/assert";
 *
 * const store = logCache(memoryStore(), { entries: 512, bytes: 1 << 20 });
 * assertEquals((await store.open("a")).lastIndex, 0);
 * await store.close();
 * ```
 */
export function logCache(store: Store, options?: LogCacheOptions): Store;
/** The same for what makes a store. */
export function logCache(store: StoreFactory, options?: LogCacheOptions): StoreFactory;
export function logCache(store: Store | StoreFactory, options: LogCacheOptions = {}): Store | StoreFactory {
  const { entries = 262_144, bytes = 64 * 1024 * 1024 } = options;
  checkWhole("cache the log", "entries", entries);
  checkWhole("cache the log", "bytes", bytes);
  if ("write" in store) return new CachedStore(store, entries, bytes);
  const { recovery, snapshots } = store;
  return {
    ...recovery === undefined ? {} : { recovery },
    ...snapshots === undefined ? {} : { snapshots },
    open: async (context: StoreContext) => new CachedStore(await store.open(context), entries, bytes),
  };
}

class CachedStore implements Store {
  readonly isDurable?: boolean;
  readonly snapshots?: SnapshotStore;
  readonly mark?: () => Promise<void> | undefined;
  readonly #store: Store;
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  #cache: LogCache;
  /** The write under way; never rejects. */
  #writing: Promise<void> = Promise.resolve();

  constructor(store: Store, entriesMax: number, bytesMax: number) {
    this.#store = store;
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
    this.#cache = this.#empty(1);
    if (store.isDurable !== undefined) this.isDurable = store.isDurable;
    if (store.snapshots !== undefined) this.snapshots = store.snapshots;
    if (store.mark !== undefined) this.mark = () => store.mark!();
  }

  #empty(end: LogIndex): LogCache {
    return new LogCache(this.#bytesMax, end, this.#entriesMax);
  }

  async open(serverId: string): Promise<StoreState> {
    const state = await this.#store.open(serverId);
    this.#cache = this.#empty(state.lastIndex + 1);
    return state;
  }

  write(write: StoreWrite): Promise<void> | undefined {
    let pending: Promise<void> | undefined;
    try {
      pending = this.#store.write(write);
    } catch (error) {
      this.#forget();
      throw error;
    }
    if (pending === undefined) return this.#keep(write);
    const written = pending.then(() => this.#keep(write), (error) => {
      this.#forget();
      throw error;
    });
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Only what the store has: an entry that it refused would be found here until the next start, and then no more. */
  #keep({ truncateFrom, compactTo, records }: StoreWrite): undefined {
    const cache = this.#cache;
    if (truncateFrom !== undefined) cache.truncateFrom(truncateFrom);
    if (compactTo !== undefined) cache.compactTo(compactTo.firstIndex);
    for (const some of records) cache.append(some);
    cache.durableEnd = cache.end;
  }

  /** Nobody knows what of a failed write is there: what is read from now on, the store must answer for. */
  #forget(): void {
    this.#cache = this.#empty(this.#cache.end);
  }

  read(from: LogIndex, end: LogIndex, bytesMax: number): Promise<Records[]> | Records[] {
    return this.#cache.read(from, end, Infinity, bytesMax) ?? this.#store.read(from, end, bytesMax);
  }

  async close(): Promise<void> {
    await this.#store.close();
    await this.#writing;
    this.#cache = this.#empty(1);
  }
}
