/**
 * Where repaired entries are: their old places are damaged, so they were written again, in whatever segment was current.
 *
 * @module
 */
import type { LogIndex } from "../../types.ts";
import type { Records } from "../../wire/record.ts";
import { EntryTable, type Segment } from "./segment.ts";

/** Entries that were written together. */
export interface RepairedEntries {
  readonly segment: Segment;
  readonly entries: EntryTable;
}

/** Few, as damage is rare: looked through from the newest to the oldest. */
export class RepairTable {
  #ranges: RepairedEntries[] = [];

  /** Adds entries that are in this segment, at this offset. They count more than any before. */
  add(segment: Segment, records: Records, offset: number): void {
    const entries = new EntryTable(records.from);
    entries.append(records, offset);
    // What is wholly replaced is never looked at again.
    this.#ranges = this.#ranges.filter(({ entries: { from, end } }) => from < entries.from || end > entries.end);
    this.#ranges.push({ segment, entries });
  }

  /** The newest place of this entry; undefined when it was never repaired. */
  find(index: LogIndex): RepairedEntries | undefined {
    return this.#ranges.findLast(({ entries }) => entries.from <= index && index < entries.end);
  }

  /** The first index after this one at which repaired entries begin; up to there all are in one place. */
  nextFrom(index: LogIndex): LogIndex {
    let next = Infinity;
    for (const { entries: { from } } of this.#ranges) if (from > index) next = Math.min(next, from);
    return next;
  }

  /** Entries in this segment, oldest first. */
  in(segment: Segment): readonly RepairedEntries[] {
    return this.#ranges.filter((range) => range.segment === segment);
  }

  /** Forgets what is in this segment, which goes away. */
  forget(segment: Segment): void {
    this.#ranges = this.#ranges.filter((range) => range.segment !== segment);
  }

  /** Forgets the entry at this index and all after it. */
  truncateFrom(index: LogIndex): void {
    for (const { entries } of this.#ranges) entries.truncateFrom(Math.max(index, entries.from));
    this.#ranges = this.#ranges.filter(({ entries }) => entries.from < entries.end);
  }

  /** Forgets the entries before this one, as far as a range has no others. */
  compactTo(index: LogIndex): void {
    this.#ranges = this.#ranges.filter(({ entries }) => entries.end > index);
  }
}
