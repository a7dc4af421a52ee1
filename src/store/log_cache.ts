/**
 * The tail of the log in memory: what is being written, replicated and applied, so that none of it is read from disk.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";
import type { LogIndex } from "../types.ts";
import type { Records } from "../wire/record.ts";

/** What is held of the bytes that may be held once all of it is applied: only servers that lag will ask for that. */
const APPLIED_SHARE = 1 / 4;

/**
 * Holds the records of the entries `[firstIndex, end)` as they came, without copying. When they exceed a limit, it
 * forgets from the front what is durable; what isn't it must keep, for there is no other place to read it. What is applied
 * as well it forgets earlier, see {@linkcode LogCache.appliedEnd}.
 */
export class LogCache {
  readonly #bytesMax: number;
  readonly #entriesMax: number;
  /** In order, without gaps, none empty; those before `#head` are forgotten. */
  #chunks: (Records | undefined)[] = [];
  #head = 0;
  #byteLength = 0;
  #end: LogIndex;
  #durableEnd: LogIndex;
  #appliedEnd: LogIndex = 0;

  /** Starts empty, before the entry `end`: the log's last index + 1. */
  constructor(bytesMax: number, end: LogIndex = 1, entriesMax: number = Infinity) {
    this.#bytesMax = bytesMax;
    this.#entriesMax = entriesMax;
    this.#end = end;
    this.#durableEnd = end;
  }

  /** Index of the first entry held; `end` when there is none. */
  get firstIndex(): LogIndex {
    return this.#head < this.#chunks.length ? this.#chunk(this.#head).from : this.#end;
  }

  /** Index after the last entry. */
  get end(): LogIndex {
    return this.#end;
  }

  /** Bytes of the records held. The buffers they are views of may be larger. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Index after the last entry that is known to be on disk. */
  get durableEnd(): LogIndex {
    return this.#durableEnd;
  }

  /** Entries before this index are on disk and may be forgotten. Ignored when it isn't news. */
  set durableEnd(end: LogIndex) {
    if (end <= this.#durableEnd) return;
    this.#durableEnd = Math.min(end, this.#end);
    this.#evict();
  }

  /**
   * Entries before this index are applied: beyond a quarter of the bytes that may be held, they are forgotten too.
   * Ignored when it isn't news.
   */
  set appliedEnd(end: LogIndex) {
    if (end <= this.#appliedEnd) return;
    this.#appliedEnd = end;
    this.#evict();
  }

  /**
   * Adds entries at the end. The records are kept, not copied.
   *
   * @throws {InvariantError} When they don't follow the last entry.
   */
  append(records: Records): void {
    if (records.from !== this.#end) {
      throw new InvariantError(`Cannot append entries from ${records.from} on: the log ends before ${this.#end}`);
    }
    if (records.count === 0) return;
    this.#chunks.push(records);
    this.#end = records.end;
    this.#byteLength += records.byteLength;
    this.#evict();
  }

  /** Removes the entry at this index and all after it; none of them counts as durable any more. */
  truncateFrom(index: LogIndex): void {
    if (index >= this.#end) return;
    while (this.#chunks.length > this.#head && this.#chunk(this.#chunks.length - 1).from >= index) {
      this.#byteLength -= this.#chunks.pop()!.byteLength;
    }
    if (this.#chunks.length > this.#head) {
      const last = this.#chunk(this.#chunks.length - 1);
      const kept = last.slice(last.from, Math.min(index, last.end));
      this.#chunks[this.#chunks.length - 1] = kept;
      this.#byteLength -= last.byteLength - kept.byteLength;
    }
    this.#end = index;
    this.#durableEnd = Math.min(this.#durableEnd, index);
    // What is left of the last records may all be durable now.
    this.#evict();
  }

  /**
   * Removes the entries before this one. Beyond the end, none is left and the log goes on there. What was forgotten
   * already stays so.
   */
  compactTo(firstIndex: LogIndex): void {
    if (firstIndex >= this.#end) return this.reset(firstIndex);
    while (this.#head < this.#chunks.length && this.#chunk(this.#head).end <= firstIndex) this.#forgetFirst();
    const first = this.#chunks[this.#head];
    if (first !== undefined && first.from < firstIndex) {
      const kept = first.slice(firstIndex, first.end);
      this.#chunks[this.#head] = kept;
      this.#byteLength -= first.byteLength - kept.byteLength;
    }
    this.#durableEnd = Math.max(this.#durableEnd, firstIndex);
    this.#evict();
  }

  /** Forgets everything and goes on at `end`: a snapshot has taken the log's place. All before `end` is durable. */
  reset(end: LogIndex): void {
    this.#chunks = [];
    this.#head = 0;
    this.#byteLength = 0;
    this.#end = end;
    this.#durableEnd = end;
  }

  /**
   * Entries from `from` on, up to (not including) `end`, at most `entriesMax` of them and at most `bytesMax` bytes
   * unless a single one is larger; at least one. Views, never copies.
   *
   * @returns Undefined when the entry `from` isn't held.
   */
  read(from: LogIndex, end: LogIndex, entriesMax: number, bytesMax: number): Records[] | undefined {
    let at = this.#find(from);
    if (at === undefined || end <= from) return undefined;
    const found: Records[] = [];
    const stop = Math.min(end, this.#end, from + Math.max(1, entriesMax));
    for (let next = from, bytesLeft = bytesMax; next < stop; at++) {
      const chunk = this.#chunk(at);
      const wanted = chunk.slice(next, Math.min(stop, chunk.end));
      const fitting = wanted.byteLength <= bytesLeft ? wanted : wanted.slice(next, wanted.fit(wanted.count, bytesLeft));
      // fit() gives one entry even when it is too large, which is right for the first only.
      if (fitting.byteLength > bytesLeft && found.length > 0) break;
      found.push(fitting);
      if (fitting !== wanted) break;
      next = fitting.end;
      bytesLeft -= fitting.byteLength;
    }
    return found;
  }

  /** The records that were appended together with this entry, as far as they are left; undefined when it isn't held. */
  records(index: LogIndex): Records | undefined {
    const at = this.#find(index);
    return at === undefined ? undefined : this.#chunk(at);
  }

  /** Position of the chunk with this entry, by bisection; the last ones are tried first, as they are asked for most. */
  #find(index: LogIndex): number | undefined {
    if (!(index >= this.firstIndex && index < this.#end)) return undefined;
    let low = this.#head;
    let high = this.#chunks.length - 1;
    for (let tries = 0; tries < 3 && high > low; tries++, high--) if (this.#chunk(high).from <= index) return high;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#chunk(middle).from <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #chunk(at: number): Records {
    return this.#chunks[at]!;
  }

  #evict(): void {
    while (this.#head < this.#chunks.length) {
      const first = this.#chunk(this.#head);
      const bytesMax = first.end <= this.#appliedEnd ? this.#bytesMax * APPLIED_SHARE : this.#bytesMax;
      if (this.#byteLength <= bytesMax && this.#end - first.from <= this.#entriesMax) break;
      if (first.end > this.#durableEnd) break;
      this.#forgetFirst();
    }
    // Not shift(), which moves all others each time: half of the array at once, so that each chunk moves once on average.
    if (this.#head > 32 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
  }

  #forgetFirst(): void {
    this.#byteLength -= this.#chunk(this.#head).byteLength;
    this.#chunks[this.#head++] = undefined;
  }
}
