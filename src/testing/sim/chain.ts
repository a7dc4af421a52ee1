/**
 * A log as checkers see it: of every entry its term, and a hash over it and all before it.
 *
 * @module
 */
import { type Configuration, EntryType, type IndexedConfiguration, type LogIndex, type Term } from "../../types.ts";
import { decodeConfiguration } from "../../wire/configuration.ts";
import { getU32 } from "../../wire/integers.ts";
import type { Records } from "../../wire/record.ts";
import { decodeRestoreEntry, type RestoreEntry } from "../../wire/restore_codec.ts";

/** A configuration as it is in a log. Decoded when somebody asks for it: logs are read often, and these hardly ever. */
class WrittenConfiguration implements IndexedConfiguration {
  readonly index: LogIndex;
  readonly #bytes: Uint8Array;
  #decoded: Configuration | undefined;

  constructor(index: LogIndex, bytes: Uint8Array) {
    this.index = index;
    this.#bytes = bytes.slice();
  }

  get configuration(): Configuration {
    return this.#decoded ??= decodeConfiguration(this.#bytes);
  }
}

/**
 * Terms and chained hashes: two logs with the same hash at an index are the same up to it. What a log has let go, as a
 * snapshot holds it, stays known here.
 */
export class ChainLog {
  /** Index before its first entry: 0, but where the cluster goes on from a snapshot that all of it began with. */
  #base: LogIndex = 0;
  #terms: Term[] = [];
  #hashes: number[] = [];
  /** Every configuration in it, ascending. */
  #configurations: IndexedConfiguration[] = [];
  /** What it says of restores, by index. What is committed is known without it. */
  #restores = new Map<LogIndex, RestoreEntry>();

  /** Index of the first entry, or where that is going to be. */
  get first(): LogIndex {
    return this.#base + 1;
  }

  /** Index of the last entry. */
  get last(): LogIndex {
    return this.#base + this.#terms.length;
  }

  /** Every configuration in the log. */
  get configurations(): readonly IndexedConfiguration[] {
    return this.#configurations;
  }

  /** What the entry at this index is of a restore; undefined when it is something else, or known to be committed. */
  restoreAt(index: LogIndex): RestoreEntry | undefined {
    return this.#restores.get(index);
  }

  /** Term of an entry; 0 at index 0, -1 before the first entry and beyond the end. */
  termAt(index: LogIndex): Term {
    return index === 0 ? 0 : this.#terms[index - this.#base - 1] ?? -1;
  }

  /** Hash of an entry and all before it; 0 at index 0, -1 before the first entry and beyond the end. */
  hashAt(index: LogIndex): number {
    return index === 0 ? 0 : this.#hashes[index - this.#base - 1] ?? -1;
  }

  /** Term of the last entry, 0 without one. */
  get lastTerm(): Term {
    return this.termAt(this.last);
  }

  /** Whether the logs are the same up to and including this index. */
  agrees(other: ChainLog, index: LogIndex): boolean {
    return index <= this.last && index <= other.last && this.hashAt(index) === other.hashAt(index);
  }

  /** Adds entries; those that are there already (by index) are skipped. */
  append(records: Records): void {
    const offsets = records.offsets;
    for (let index = Math.max(records.from, this.last + 1); index < records.end; index++) {
      // The header's checksum covers all of the header, and so the payload's checksum.
      this.add(records.term(index), getU32(records.bytes, offsets[index - records.from]!));
      if (records.type(index) === EntryType.configuration) {
        this.#configurations.push(new WrittenConfiguration(index, records.payload(index)));
      } else if (records.type(index) === EntryType.restore) {
        const entry = decodeRestoreEntry(records.payload(index));
        if (entry !== undefined) this.restore(index, { ...entry, bytes: entry.bytes.slice() });
      }
    }
  }

  /** Adds the entries before `end` as another log has them, whatever comes before, or as unknown ones. */
  fill(other: ChainLog, end: LogIndex): void {
    this.#beginAs(other, end);
    for (let index = this.last + 1; index < end; index++) {
      this.#terms.push(other.termAt(index));
      this.#hashes.push(other.hashAt(index));
      const configuration = other.#configurations.find((it) => it.index === index);
      if (configuration !== undefined) this.#configurations.push(configuration);
      this.#copyRestore(other, index);
    }
  }

  /** Adds the entries before `end` as another log has them, which agrees with this one so far. */
  appendFrom(other: ChainLog, end: LogIndex): void {
    this.#beginAs(other, end);
    const from = this.last;
    const [start, stop] = [from - other.#base, end - 1 - other.#base];
    this.#terms.push(...other.#terms.slice(start, stop));
    this.#hashes.push(...other.#hashes.slice(start, stop));
    this.#configurations.push(...other.#configurations.filter(({ index }) => index > from && index < end));
    for (const index of other.#restores.keys()) if (index > from && index < end) this.#copyRestore(other, index);
  }

  /** Adds one entry by its term and anything that tells it from others. */
  add(term: Term, content: number): void {
    this.#hashes.push(ChainLog.link(this.hashAt(this.last), term, content));
    this.#terms.push(term);
  }

  /** Notes that the entry at this index, the last one, holds a configuration. */
  configure(index: LogIndex, configuration: Configuration): void {
    this.#configurations.push({ index, configuration });
  }

  /** Notes that the entry at this index, the last one, is one of a restore. */
  restore(index: LogIndex, entry: RestoreEntry): void {
    this.#restores.set(index, entry);
  }

  /** A log with nothing in it begins where the one does from which it is to have the entries before `end`. */
  #beginAs(other: ChainLog, end: LogIndex): void {
    if (this.#terms.length === 0 && end > other.first) this.#base = other.#base;
  }

  #copyRestore(other: ChainLog, index: LogIndex): void {
    const entry = other.#restores.get(index);
    if (entry !== undefined) this.#restores.set(index, entry);
  }

  /** The hash of an entry after one with the hash `before`. */
  static link(before: number, term: Term, content: number): number {
    const mixed = Math.imul(before ^ content, 0x85ebca6b) ^ Math.imul(term, 0x27d4eb2f);
    return (Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) ^ before >>> 7) >>> 0;
  }

  /** A log with just these entries after `base`, whose hashes are known: what a snapshot stands for. */
  static of(
    entries: readonly {
      readonly term: Term;
      readonly hash: number;
      readonly configuration?: Configuration | undefined;
    }[],
    base: LogIndex = 0,
  ): ChainLog {
    const log = new ChainLog();
    log.#base = base;
    for (const [i, { configuration }] of entries.entries()) {
      if (configuration !== undefined) log.#configurations.push({ index: base + i + 1, configuration });
    }
    log.#terms = entries.map(({ term }) => term);
    log.#hashes = entries.map(({ hash }) => hash);
    return log;
  }

  /** Removes the entry at this index and all after it. */
  truncateFrom(index: LogIndex): void {
    if (index > this.last) return;
    this.#terms.length = index - this.#base - 1;
    this.#hashes.length = index - this.#base - 1;
    for (const at of this.#restores.keys()) if (at >= index) this.#restores.delete(at);
    if ((this.#configurations.at(-1)?.index ?? 0) < index) return;
    this.#configurations = this.#configurations.filter((at) => at.index < index);
  }

  /** An independent copy. */
  clone(): ChainLog {
    const copy = new ChainLog();
    copy.#base = this.#base;
    copy.#terms = this.#terms.slice();
    copy.#hashes = this.#hashes.slice();
    copy.#configurations = this.#configurations.slice();
    copy.#restores = new Map(this.#restores);
    return copy;
  }
}
