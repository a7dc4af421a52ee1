/**
 * Reads the log from disk for whoever goes through it: the next piece is on its way while this one is applied.
 *
 * @module
 */
import type { Store } from "../store/store.ts";
import type { LogIndex } from "../types.ts";
import type { Records } from "../wire/record.ts";

/** Bytes read at a time. Two such pieces are in memory. */
export const PIECE_BYTES: number = 1024 * 1024;

/** One reader's. Only entries that never change are asked for: what is committed, and on disk. */
export class ReadAhead {
  readonly #store: Store;
  /** What follows the piece that was given last; nothing when the disk could not give it. */
  #next: { readonly from: LogIndex; readonly records: Promise<readonly Records[]> } | undefined;
  #hasWaited = false;

  /** Takes an open store. */
  constructor(store: Store) {
    this.#store = store;
  }

  /** Whether the last piece came by a promise of the store: as a rule, everything else has had a turn meanwhile. */
  get hasWaited(): boolean {
    return this.#hasWaited;
  }

  /** Entries from this one on, before `end`; as {@linkcode Store.read}, whose errors it throws. */
  async read(from: LogIndex, end: LogIndex): Promise<readonly Records[]> {
    const next = this.#next;
    this.forget();
    let records = next?.from === from ? await next.records : [];
    this.#hasWaited = records.length > 0;
    if (records.length === 0) {
      const reading = this.#store.read(from, end, PIECE_BYTES);
      this.#hasWaited = !Array.isArray(reading);
      records = await reading;
    }
    const after = records.at(-1)?.end ?? end;
    if (after < end && this.#hasWaited) this.#begin(after, end);
    return records;
  }

  /** Nobody wants what comes next. */
  forget(): void {
    this.#next = undefined;
  }

  #begin(from: LogIndex, end: LogIndex): void {
    // Whoever needs it asks again, and hears then what is wrong: meanwhile it may be repaired, or gone.
    const records = Promise.resolve(this.#store.read(from, end, PIECE_BYTES)).catch(() => []);
    this.#next = { from, records };
  }
}
