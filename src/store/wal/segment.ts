/**
 * What is known in memory about a segment: where its entries are.
 *
 * @module
 */
import type { LogIndex } from "../../types.ts";
import type { Records } from "../../wire/record.ts";
import { SEGMENT_HEADER_BYTES, segmentName } from "./segment_header.ts";

/** A segment. Its entries are those that weren't truncated since. */
export class Segment {
  /** Counted from 1. */
  readonly sequence: number;
  /** Its file. */
  readonly name: string;
  /** Seed of its batches' checksums. */
  seed = 0;
  /** Where the next batch goes. */
  end: number = SEGMENT_HEADER_BYTES;
  /** Up to here the file is filled with zeros, so that a write needs no new blocks. */
  capacity = 0;
  /** The lowest index that its batches truncated from; Infinity for none. */
  truncatedFrom: LogIndex = Infinity;
  /** Where its entries are. */
  readonly entries: EntryTable;

  /** Takes the index that the log goes on with. */
  constructor(sequence: number, nextIndex: LogIndex) {
    this.sequence = sequence;
    this.name = segmentName(sequence);
    this.entries = new EntryTable(nextIndex);
  }
}

/** File offsets and lengths of the entries `[from, end)`: eight bytes of memory each. */
export class EntryTable {
  /** Index of the first entry; where it would be when there is none. */
  from: LogIndex;
  #count = 0;
  #offsets = new Uint32Array(16);
  #lengths = new Uint32Array(16);

  /** Starts empty, before the entry `from`. */
  constructor(from: LogIndex) {
    this.from = from;
  }

  /** Index after the last entry. */
  get end(): LogIndex {
    return this.from + this.#count;
  }

  /** Offset of an entry's record in the file. */
  offset(index: LogIndex): number {
    return this.#offsets[index - this.from];
  }

  /** Bytes of an entry's record. */
  byteLength(index: LogIndex): number {
    return this.#lengths[index - this.from];
  }

  /** Bytes of the records of the entries `[from, end)`; a copy. */
  byteLengths(from: LogIndex, end: LogIndex): Uint32Array {
    return this.#lengths.slice(from - this.from, end - this.from);
  }

  /** Adds the entries that come next, whose records are in the file at this offset, one after the other. */
  append(records: Records, offset: number): void {
    if (records.count === 0) return;
    this.#reserve(this.#count + records.count);
    const starts = records.offsets;
    for (let i = 0; i < records.count; i++) {
      this.#offsets[this.#count] = offset + starts[i];
      this.#lengths[this.#count++] = starts[i + 1] - starts[i];
    }
  }

  /** Adds entries without a place, up to this one. */
  skipTo(index: LogIndex): void {
    const count = index - this.from;
    if (count <= this.#count) return;
    this.#reserve(count);
    this.#offsets.fill(0, this.#count, count);
    this.#lengths.fill(0, this.#count, count);
    this.#count = count;
  }

  /** Forgets the entry at this index and all after it. */
  truncateFrom(index: LogIndex): void {
    if (index >= this.end) return;
    this.#count = Math.max(0, index - this.from);
    this.from = Math.min(this.from, index);
  }

  /** Forgets the entries before this one when that are all: the table goes on there. */
  compactTo(index: LogIndex): void {
    if (index < this.end) return;
    this.#count = 0;
    this.from = index;
  }

  /** Bytes of the records of the entries from this one on. */
  bytesFrom(index: LogIndex): number {
    let bytes = 0;
    for (let i = Math.max(index, this.from); i < this.end; i++) bytes += this.byteLength(i);
    return bytes;
  }

  #reserve(count: number): void {
    if (count <= this.#offsets.length) return;
    const capacity = Math.max(count, this.#offsets.length * 2);
    this.#offsets = grown(this.#offsets, capacity);
    this.#lengths = grown(this.#lengths, capacity);
  }
}

/** The segment with this entry, among segments in order of which one must have it. By bisection. */
export function segmentOf(segments: readonly Segment[], index: LogIndex): Segment {
  let low = 0;
  let high = segments.length - 1;
  // Of several that begin at the same index all but the last are empty.
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (segments[middle].entries.from <= index) low = middle;
    else high = middle - 1;
  }
  return segments[low];
}

/** Forgets the entry at this index and all after it. */
export function truncateSegments(segments: readonly Segment[], index: LogIndex): void {
  for (let i = segments.length - 1; i >= 0 && segments[i].entries.end > index; i--) {
    segments[i].entries.truncateFrom(index);
  }
}

/** Forgets the entries before this one, as far as a segment has no others. */
export function compactSegments(segments: readonly Segment[], index: LogIndex): void {
  for (const { entries } of segments) {
    if (entries.end > index) break;
    entries.compactTo(index);
  }
}

function grown(array: Uint32Array<ArrayBuffer>, capacity: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(capacity);
  larger.set(array);
  return larger;
}
