/**
 * What the batches of a log say, taken together: grows batch by batch at recovery.
 *
 * @module
 */
import type { IndexedConfiguration, LogIndex, LogStart, Term, TermRun, Vote } from "../../types.ts";
import type { BatchHead } from "../../wire/batch.ts";
import { configurationsOf, type Records, termRunsOf } from "../../wire/record.ts";

/** The log without payloads. */
export class LogState {
  vote: Vote = { term: 0, votedFor: undefined };
  clusterId = "";
  starts = 0;
  firstIndex: LogIndex = 1;
  /** Term of the entry before the first. */
  prevTerm: Term = 0;
  lastIndex: LogIndex = 0;
  /** The entries before this one were in segments that are no more: they must turn out to be compacted. */
  absentEnd: LogIndex = 1;
  readonly terms: TermRun[] = [];
  readonly configurations: IndexedConfiguration[] = [];

  /** What is wrong with this batch coming next, for the end of a sentence; undefined when nothing is. */
  problemOf(head: BatchHead, records: Records): string | undefined {
    const { truncateFrom, compactTo, base } = head;
    if (base !== undefined && base.nextIndex !== this.lastIndex + 1) {
      return `the segment goes on at entry ${base.nextIndex}, but the log before it ends at ${this.lastIndex}`;
    }
    if (base !== undefined && (base.firstIndex !== this.firstIndex || base.prevTerm !== this.prevTerm)) {
      return `the segment says that the log begins at entry ${base.firstIndex}, but it begins at ${this.firstIndex}`;
    }
    if (truncateFrom !== undefined && !(truncateFrom >= this.firstIndex && truncateFrom <= this.lastIndex + 1)) {
      return `it truncates from entry ${truncateFrom} of ${this.firstIndex} to ${this.lastIndex}`;
    }
    if (compactTo !== undefined && compactTo.firstIndex < this.firstIndex) {
      return `it compacts to entry ${compactTo.firstIndex} a log that begins at ${this.firstIndex}`;
    }
    const next = Math.max(truncateFrom ?? this.lastIndex + 1, compactTo?.firstIndex ?? 0);
    if (records.count > 0 && records.from !== next) return `its entries begin at ${records.from} instead of ${next}`;
    return undefined;
  }

  /**
   * Adds a batch.
   *
   * @throws {ProtocolError} When a configuration in it can't be decoded.
   */
  apply(head: BatchHead, records: Records): void {
    if (head.identity !== undefined) ({ clusterId: this.clusterId, starts: this.starts } = head.identity);
    if (head.vote !== undefined) this.vote = head.vote;
    if (head.truncateFrom !== undefined) this.#truncateFrom(head.truncateFrom);
    if (head.compactTo !== undefined) this.#compactTo(head.compactTo);
    for (const run of termRunsOf(records)) if (this.terms.at(-1)?.term !== run.term) this.terms.push(run);
    this.configurations.push(...configurationsOf(records));
    if (records.count > 0) this.lastIndex = records.end - 1;
  }

  #truncateFrom(index: LogIndex): void {
    while (this.terms.length > 0 && this.terms.at(-1)!.from >= index) this.terms.pop();
    while (this.configurations.length > 0 && this.configurations.at(-1)!.index >= index) this.configurations.pop();
    this.lastIndex = index - 1;
    this.absentEnd = Math.min(this.absentEnd, index);
  }

  #compactTo({ firstIndex, prevTerm }: LogStart): void {
    const { terms, configurations } = this;
    while (terms.length > 0 && (terms[1]?.from ?? this.lastIndex + 1) <= firstIndex) terms.shift();
    if (terms.length > 0 && terms[0].from < firstIndex) terms[0] = { term: terms[0].term, from: firstIndex };
    while (configurations.length > 0 && configurations[0].index < firstIndex) configurations.shift();
    this.firstIndex = firstIndex;
    this.prevTerm = prevTerm;
    this.lastIndex = Math.max(this.lastIndex, firstIndex - 1);
  }
}
