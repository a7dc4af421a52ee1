/**
 * What the batches of a log say, taken together: grows batch by batch at recovery, and with each write after it.
 *
 * @module
 */
import { addDamage, removeDamage, replaceRuns } from "../../damage.ts";
import type { IndexedConfiguration, LogIndex, LogStart, Term, TermRun, Vote } from "../../types.ts";
import type { BatchHead, BatchRecords, LogBefore } from "../../wire/batch.ts";
import { configurationsOf, type Records, termRunsOf } from "../../wire/record.ts";
import type { Damage, DamagePlace } from "../store.ts";

/** The log without payloads. */
export class LogState {
  vote: Vote = { term: 0, votedFor: undefined };
  clusterId = "";
  starts = 0;
  firstIndex: LogIndex = 1;
  /** Term of the entry before the first. */
  prevTerm: Term = 0;
  lastIndex: LogIndex = 0;
  /** How often entries were truncated. */
  truncations = 0;
  terms: TermRun[] = [];
  /** Those that could be read; only recovery needs them. */
  configurations: IndexedConfiguration[] = [];
  damaged: Damage[] = [];

  /** Term of the last entry, or of the one before the first. */
  get lastTerm(): Term {
    return this.terms.length === 0 ? this.prevTerm : this.terms[this.terms.length - 1].term;
  }

  /** Term of an entry, or of the one before the first; 0 for others. */
  termAt(index: LogIndex): Term {
    if (index < this.firstIndex) return index === this.firstIndex - 1 ? this.prevTerm : 0;
    return this.terms.findLast(({ from }) => from <= index)?.term ?? 0;
  }

  /** What the next batch says that was before it. */
  before(truncatedFrom: LogIndex): LogBefore {
    const { firstIndex, prevTerm, lastIndex, lastTerm, truncations } = this;
    return { firstIndex, prevTerm, nextIndex: lastIndex + 1, lastTerm, truncations, truncatedFrom };
  }

  /** Takes what a batch says was before it, when nothing else is known of that: its entries are damaged. */
  begin(before: LogBefore, place: DamagePlace): void {
    this.firstIndex = before.firstIndex;
    this.prevTerm = before.prevTerm;
    this.lastIndex = before.firstIndex - 1;
    this.truncations = before.truncations;
    this.#lose(before.nextIndex, before.lastTerm, place);
  }

  /**
   * Batches are lost, up to one that says this was before it: what it says of the log beyond this one is damaged, and so
   * is what a truncation among them may have replaced. Returns up to where nothing changed, or what is wrong.
   */
  reconcile(before: LogBefore, place: DamagePlace): LogIndex | string {
    if (before.truncations < this.truncations) return "it was written when fewer entries had been truncated";
    let kept = this.lastIndex + 1;
    if (before.truncations > this.truncations) {
      kept = Math.max(Math.min(kept, before.truncatedFrom), this.firstIndex);
      this.#truncateFrom(kept);
      this.truncations = before.truncations;
    }
    if (before.firstIndex > this.firstIndex) this.#compactTo(before);
    // What is unknown and was cut may have had a lower term than its last entry.
    this.settle(before.lastTerm);
    if (before.nextIndex > this.lastIndex + 1 && before.lastTerm < this.lastTerm) {
      return `it follows an entry of term ${before.lastTerm}, but there is one of term ${this.lastTerm} before`;
    }
    this.#lose(before.nextIndex, before.lastTerm, place);
    return kept;
  }

  /** Takes what a batch says of the last entry's term, when that isn't known as a truncation left unknown ones at the end. */
  settle(lastTerm: Term): void {
    const range = this.damaged[this.damaged.length - 1];
    if (range === undefined || range.isTermKnown || range.end <= this.lastIndex || lastTerm >= this.lastTerm) return;
    this.terms = replaceRuns(this.terms, this.lastIndex, [{ term: lastTerm, from: range.from }], range.from, range.end);
  }

  /** What is wrong with this batch coming next, for the end of a sentence; undefined when nothing is. */
  problemOf(head: BatchHead, { records, repairs }: BatchRecords): string | undefined {
    const { truncateFrom, compactTo, before } = head;
    if (before.nextIndex !== this.lastIndex + 1 || before.lastTerm !== this.lastTerm) {
      const { lastIndex, lastTerm } = this;
      return `it follows entry ${before.nextIndex - 1} of term ${before.lastTerm}, but the log before it ends at ` +
        `${lastIndex} of term ${lastTerm}`;
    }
    if (before.firstIndex !== this.firstIndex || before.prevTerm !== this.prevTerm) {
      return `it says that the log begins at entry ${before.firstIndex}, but it begins at ${this.firstIndex}`;
    }
    if (before.truncations !== this.truncations) return "it was written after another number of truncations";
    if (truncateFrom !== undefined && !(truncateFrom >= this.firstIndex && truncateFrom <= this.lastIndex + 1)) {
      return `it truncates from entry ${truncateFrom} of ${this.firstIndex} to ${this.lastIndex}`;
    }
    if (compactTo !== undefined && compactTo.firstIndex < this.firstIndex) {
      return `it compacts to entry ${compactTo.firstIndex} a log that begins at ${this.firstIndex}`;
    }
    const next = Math.max(truncateFrom ?? this.lastIndex + 1, compactTo?.firstIndex ?? 0);
    if (records.count > 0 && records.from !== next) return `its entries begin at ${records.from} instead of ${next}`;
    const outside = repairs.find(({ from, end }) => !(from >= this.firstIndex && end <= next));
    if (outside !== undefined) return `it repairs entry ${outside.from}, which the log does not hold`;
    return undefined;
  }

  /** Adds a batch; `damaged` names entries of it whose payload is. */
  apply(
    head: BatchHead,
    records: readonly Records[],
    repairs: readonly Records[],
    damaged: readonly Damage[] = [],
  ): void {
    if (head.clusterId !== undefined) this.clusterId = head.clusterId;
    this.starts = head.starts;
    this.vote = head.vote;
    if (head.truncateFrom !== undefined) {
      this.#truncateFrom(head.truncateFrom);
      this.settle(head.truncateTerm ?? 0);
      this.truncations++;
    }
    if (head.compactTo !== undefined) this.#compactTo(head.compactTo);
    for (const part of repairs) this.#repair(part);
    for (const part of records) this.#append(part);
    for (const range of damaged) this.damaged = addDamage(this.damaged, range);
  }

  #append(records: Records): void {
    for (const run of termRunsOf(records)) if (this.terms.at(-1)?.term !== run.term) this.terms.push(run);
    if (records.count > 0) this.lastIndex = records.end - 1;
  }

  /**
   * Takes the configurations of a batch, at recovery.
   *
   * @throws {ProtocolError} When one can't be decoded.
   */
  configure({ records, repairs }: BatchRecords, damaged: readonly Damage[]): void {
    for (const part of [...repairs, records]) {
      for (let from = part.from; from < part.end;) {
        const hole = damaged.find(({ end }) => end > from);
        const end = Math.min(part.end, Math.max(from, hole?.from ?? part.end));
        const found = configurationsOf(part.slice(from, end));
        const others = this.configurations.filter(({ index }) => index < from || index >= end);
        const isSame = found.length === 0 && others.length === this.configurations.length;
        if (!isSame) this.configurations = [...others, ...found].sort((a, b) => a.index - b.index);
        from = hole === undefined || hole.from >= part.end ? part.end : hole.end;
      }
    }
  }

  #truncateFrom(index: LogIndex): void {
    while (this.terms.length > 0 && this.terms.at(-1)!.from >= index) this.terms.pop();
    while (this.configurations.length > 0 && this.configurations.at(-1)!.index >= index) this.configurations.pop();
    this.lastIndex = index - 1;
    this.damaged = removeDamage(this.damaged, index, Infinity);
  }

  #compactTo({ firstIndex, prevTerm }: LogStart): void {
    const { terms, configurations } = this;
    while (terms.length > 0 && (terms[1]?.from ?? this.lastIndex + 1) <= firstIndex) terms.shift();
    if (terms.length > 0 && terms[0].from < firstIndex) terms[0] = { term: terms[0].term, from: firstIndex };
    while (configurations.length > 0 && configurations[0].index < firstIndex) configurations.shift();
    this.firstIndex = firstIndex;
    this.prevTerm = prevTerm;
    this.lastIndex = Math.max(this.lastIndex, firstIndex - 1);
    this.damaged = removeDamage(this.damaged, 0, firstIndex);
  }

  #repair(records: Records): void {
    const { from, end } = records;
    this.terms = replaceRuns(this.terms, this.lastIndex, termRunsOf(records), from, end);
    // Damage is repaired from its first entry on, so what was whole before this one then is lost since. What that leaves has
    // no last entry of which the term is known, unless this one stays with it.
    const split = this.damaged.find((range) => !range.isTermKnown && range.from < from && from < range.end);
    this.damaged = removeDamage(this.damaged, split === undefined ? from : from + 1, end);
    if (split === undefined) return;
    const known = [{ term: this.termAt(from), from: split.from }];
    this.terms = replaceRuns(this.terms, this.lastIndex, known, split.from, from);
  }

  /** The log reaches this far, but nobody knows with what. */
  #lose(nextIndex: LogIndex, lastTerm: Term, place: DamagePlace): void {
    const from = this.lastIndex + 1;
    if (nextIndex <= from) return;
    // What is unknown right before may have been cut: then the term of its last entry isn't known either.
    const last = this.damaged[this.damaged.length - 1];
    const isTermKnown = this.lastTerm === lastTerm && !(last?.isTermKnown === false && last.end === from);
    if (this.terms.at(-1)?.term !== lastTerm) this.terms.push({ term: lastTerm, from });
    this.lastIndex = nextIndex - 1;
    this.damaged = addDamage(this.damaged, { ...place, from, end: nextIndex, isTermKnown });
  }
}
