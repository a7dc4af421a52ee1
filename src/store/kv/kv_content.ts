/**
 * What a log in a key-value database holds, without payloads: found by a start, and kept up to date with each write.
 *
 * @module
 */
import { addDamage, removeDamage, replaceRuns } from "../../damage.ts";
import { CorruptionError } from "../../errors.ts";
import type { IndexedConfiguration, LogIndex, Term, TermRun } from "../../types.ts";
import { configurationsOf, type Records, termRunsOf } from "../../wire/record.ts";
import type { Damage, StoreWrite } from "../store.ts";
import type { LogBounds } from "../write_check.ts";
import { inspected } from "./kv_entries.ts";
import type { KvMeta } from "./kv_meta.ts";

/** See {@linkcode StoreState}. */
export interface KvContent {
  readonly terms: readonly TermRun[];
  readonly damaged: readonly Damage[];
}

/** What the log holds after this write, which leads to these bounds. */
export function contentAfter({ terms, damaged }: KvContent, write: StoreWrite, bounds: LogBounds): KvContent {
  const { truncateFrom, compactTo, repairs = [], records } = write;
  const kept = bounds.lastIndex - records.reduce((sum, { count }) => sum + count, 0);
  if (truncateFrom !== undefined) {
    terms = terms.filter(({ from }) => from < truncateFrom);
    damaged = removeDamage(damaged, truncateFrom, Infinity);
  }
  if (compactTo !== undefined) {
    const { firstIndex } = compactTo;
    const isKept = (i: number) => (terms[i + 1]?.from ?? kept + 1) > firstIndex;
    const left = terms.filter((_, i) => isKept(i));
    terms = left.map(({ term, from }) => ({ term, from: Math.max(from, firstIndex) }));
    damaged = removeDamage(damaged, 0, firstIndex);
  }
  for (const part of repairs) {
    terms = replaceRuns(terms, kept, termRunsOf(part), part.from, part.end);
    damaged = removeDamage(damaged, part.from, part.end);
  }
  for (const part of records) {
    for (const run of termRunsOf(part)) if (terms[terms.length - 1]?.term !== run.term) terms = [...terms, run];
  }
  return { terms, damaged };
}

/**
 * Looks at all entries of a log, in order. The meta says which ones there are, so one that is missing was lost as much as
 * one with a wrong checksum.
 */
export class LogScan implements KvContent {
  readonly terms: TermRun[] = [];
  damaged: Damage[] = [];
  /** Those that can be read. */
  readonly configurations: IndexedConfiguration[] = [];
  /** The leader's time of the last entry that can be read. */
  lastTimeMs = 0;
  readonly #meta: KvMeta;
  readonly #file: string;
  #next: LogIndex;
  /** That of the entry before, or the least that it can have. */
  #term: Term;
  #detail = "it is missing";

  /** Takes the meta, and how errors name where the entries are. */
  constructor(meta: KvMeta, file: string) {
    this.#meta = meta;
    this.#file = file;
    this.#next = meta.firstIndex;
    this.#term = Math.max(1, meta.prevTerm);
  }

  /**
   * What is under the keys of an entry.
   *
   * @throws {CorruptionError} When it is whole, but of a form that this version does not know.
   */
  add(index: LogIndex, bytes: Uint8Array): void {
    const found = inspected(bytes, index, this.#file);
    const { term } = found;
    const least = this.terms[this.terms.length - 1]?.term ?? 0;
    if (term === undefined || term < least || term > (this.#meta.lastTerm ?? Infinity)) {
      this.#detail = found.detail ?? `its term ${term} can't be`;
      return;
    }
    this.#lose(index, term);
    if (this.terms[this.terms.length - 1]?.term !== term) this.terms.push({ term, from: index });
    if (found.records === undefined) this.#note(index, index + 1, true, found.detail);
    else this.#take(found.records);
    this.#next = index + 1;
    this.#term = term;
  }

  /**
   * There are no more.
   *
   * @throws {CorruptionError} When the last one is lost, and the meta is of a version that did not say of which term it is.
   */
  end(): void {
    const { lastIndex, lastTerm } = this.#meta;
    if (this.#next > lastIndex) return;
    if (lastTerm === undefined) throw new CorruptionError(this.#file, this.#next, this.#detail);
    this.#lose(lastIndex + 1, lastTerm);
  }

  #take(records: Records): void {
    this.configurations.push(...configurationsOf(records));
    this.lastTimeMs = records.timeMs(records.from);
  }

  /**
   * The entries up to this one, which is of this term, can't be read. Where their terms can't be told, it is counted among
   * them though it can: the last one's must be known.
   */
  #lose(end: LogIndex, term: Term): void {
    if (this.#next >= end) return;
    const isTermKnown = this.#term === term;
    if (this.terms[this.terms.length - 1]?.term !== term) this.terms.push({ term, from: this.#next });
    this.#note(this.#next, isTermKnown ? end : Math.min(end, this.#meta.lastIndex) + 1, isTermKnown, this.#detail);
    this.#detail = "it is missing";
  }

  #note(from: LogIndex, end: LogIndex, isTermKnown: boolean, detail: string): void {
    this.damaged = addDamage(this.damaged, { from, end, isTermKnown, file: this.#file, offset: from, detail });
  }
}
