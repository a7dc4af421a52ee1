/**
 * Gives whoever goes through the committed entries the next ones: from memory while they are there, else from the disk.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";
import type { LogCache } from "../store/log_cache.ts";
import type { Store } from "../store/store.ts";
import type { LogIndex } from "../types.ts";
import type { Records } from "../wire/record.ts";
import { PIECE_BYTES, ReadAhead } from "./read_ahead.ts";

/** One reader's. */
export class LogReader {
  readonly #cache: LogCache;
  readonly #store: Store;
  readonly #disk: ReadAhead;
  /** Read from disk and, from `#keptAt` on, not gone through. */
  #kept: readonly Records[] = [];
  #keptAt = 0;

  /** Takes memory and disk. */
  constructor(cache: LogCache, store: Store) {
    this.#cache = cache;
    this.#store = store;
    this.#disk = new ReadAhead(store);
  }

  /** See {@linkcode ReadAhead.hasWaited}. */
  get hasWaited(): boolean {
    return this.#disk.hasWaited;
  }

  /** Records with this entry; undefined when they must be read first. */
  records(index: LogIndex): Records | undefined {
    const cached = this.#cache.records(index);
    if (cached !== undefined) {
      this.forget();
      return cached;
    }
    while (this.#keptAt < this.#kept.length && this.#kept[this.#keptAt]!.end <= index) this.#keptAt++;
    return this.#kept[this.#keptAt];
  }

  /** Entries from this one on, before `end`, from the disk: for {@linkcode LogReader.keep}. */
  read(from: LogIndex, end: LogIndex): Promise<readonly Records[]> {
    // What memory holds may not be written yet: an entry that it has replaced would still be read (BA01).
    return this.#disk.read(from, Math.min(end, this.#cache.firstIndex));
  }

  /**
   * These were read.
   *
   * @throws {InvariantError} When they do not begin with the entry that was asked for.
   */
  keep(records: readonly Records[], from: LogIndex): void {
    this.#kept = records;
    this.#keptAt = 0;
    checkBegin(records[0], from);
  }

  /** What was read is not wanted any more. */
  forget(): void {
    this.#kept = [];
    this.#disk.forget();
  }

  /** Records with an entry that is somewhere before `end`, for who goes back to it. */
  async at(index: LogIndex, end: LogIndex): Promise<Records> {
    const cached = this.#cache.records(index);
    if (cached !== undefined) return cached;
    const [first] = await this.#store.read(index, Math.min(end, this.#cache.firstIndex), PIECE_BYTES);
    checkBegin(first, index);
    return first;
  }
}

function checkBegin(first: Records | undefined, index: LogIndex): asserts first is Records {
  if (first?.from !== index) throw new InvariantError(`the store must give entry ${index} when asked for it`);
}
