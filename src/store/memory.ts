/**
 * A store in memory: for tests, and for clusters that may lose everything when too many servers stop at once.
 *
 * @module
 */
import { checkFunction } from "../checks.ts";
import { EntryNotFoundError, StorageError } from "../errors.ts";
import type { Identity, IndexedConfiguration, LogIndex, Term, TermRun, Vote } from "../types.ts";
import { configurationsOf, type Records, termRunsOf } from "../wire/record.ts";
import { LogCache } from "./log_cache.ts";
import { memorySnapshotStore } from "./memory_snapshots.ts";
import type { SnapshotStore } from "./snapshot_store.ts";
import type { Store, StoreState, StoreWrite } from "./store.ts";
import { boundsAfter, checkCluster } from "./write_check.ts";

/** What {@linkcode memoryStore} takes. */
export interface MemoryStoreOptions {
  /** Makes the incarnation. @default {crypto.randomUUID} */
  readonly random?: () => string;
}

/**
 * A store in memory. Writes are done when `write` returns. It outlives `close`: opened again, it holds what it held, as
 * a disk would. It brings snapshots in memory with it.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkFunction("make a store", "random", options.random);
  return new MemoryStore(options.random ?? (() => crypto.randomUUID()));
}

class MemoryStore implements Store {
  readonly isDurable = false;
  readonly snapshots: SnapshotStore = memorySnapshotStore();
  readonly #random: () => string;
  readonly #log = new LogCache(Infinity);
  #vote: Vote = { term: 0, votedFor: undefined };
  /** Term of the entry before the first. */
  #prevTerm: Term = 0;
  #identity: Identity | undefined;
  #open = false;

  constructor(random: () => string) {
    this.#random = random;
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async open(serverId: string): Promise<StoreState> {
    if (this.#open) {
      throw new StorageError("Cannot open the memory store as it is open already: close it first", "open");
    }
    const before = this.#identity ?? { clusterId: "", serverId, incarnation: this.#random(), starts: 0 };
    if (before.serverId !== serverId) {
      throw new StorageError(
        `Cannot open the memory store for server "${serverId}" as it belongs to server "${before.serverId}": use another`,
        "open",
      );
    }
    this.#identity = { ...before, starts: before.starts + 1 };
    this.#open = true;
    return this.#state(this.#identity);
  }

  write(write: StoreWrite): undefined {
    this.#checkOpen("write");
    const { firstIndex, end } = this.#log;
    const after = boundsAfter(write, { firstIndex, prevTerm: this.#prevTerm, lastIndex: end - 1 });
    checkCluster(write, this.#identity!.clusterId);
    this.#prevTerm = after.prevTerm;
    if (write.truncateFrom !== undefined) this.#log.truncateFrom(write.truncateFrom);
    if (write.compactTo !== undefined) this.#log.compactTo(write.compactTo.firstIndex);
    for (const records of write.records) this.#log.append(records);
    this.#log.durableEnd = this.#log.end;
    if (write.vote !== undefined) this.#vote = write.vote;
    if (write.clusterId !== undefined) this.#identity = { ...this.#identity!, clusterId: write.clusterId };
  }

  read(from: LogIndex, end: LogIndex, bytesMax: number): Records[] {
    this.#checkOpen("read");
    const found = this.#log.read(from, end, Infinity, bytesMax);
    if (found === undefined) throw new EntryNotFoundError(from, this.#log.firstIndex, this.#log.end - 1);
    return found;
  }

  close(): Promise<void> {
    this.#open = false;
    return this.snapshots.close();
  }

  #state(identity: Identity): StoreState {
    const log = this.#log;
    const terms: TermRun[] = [];
    const configurations: IndexedConfiguration[] = [];
    let lastTimeMs = 0;
    for (let index = log.firstIndex; index < log.end;) {
      const records = log.records(index)!;
      for (const run of termRunsOf(records)) if (terms.at(-1)?.term !== run.term) terms.push(run);
      configurations.push(...configurationsOf(records));
      lastTimeMs = records.timeMs(records.end - 1);
      index = records.end;
    }
    const bounds = { firstIndex: log.firstIndex, prevTerm: this.#prevTerm, lastIndex: log.end - 1 };
    return { vote: this.#vote, ...bounds, terms, configurations, damaged: [], lastTimeMs, identity };
  }

  #checkOpen(operation: string): void {
    if (!this.#open) throw new StorageError(`Cannot ${operation} as the memory store is not open`, operation);
  }
}
