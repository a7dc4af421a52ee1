/**
 * What is committed, as checkers know it: every entry since the first one that there can be.
 *
 * @module
 */
import { bootstrapTerm } from "../../bootstrap.ts";
import type { Configuration, LogIndex, ServerId, Term } from "../../types.ts";
import { ChainLog } from "./chain.ts";

/** An entry that some server knows to be committed. */
export interface CommittedEntry {
  readonly term: Term;
  readonly hash: number;
  /** Term of the leader that was first to commit it. */
  readonly committedIn: Term;
  /** The sets of voters, a majority of each of which held it. */
  readonly sets: readonly (readonly ServerId[])[];
  /** What it says, when it is a configuration. */
  readonly configuration?: Configuration | undefined;
}

/** What a cluster goes on from whose log does not begin with entry 1: a snapshot of nothing, which every founder has. */
export interface Founding {
  /** The last entry that it includes. */
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/** The committed entries in order. Where there is a {@linkcode Founding} its last entry is the first of them. */
export class Committed {
  /** Index before the first: no log has anything up to there. */
  readonly base: LogIndex;
  readonly #entries: CommittedEntry[] = [];

  /** Nothing is committed but what the cluster goes on from. */
  constructor(founding?: Founding) {
    this.base = founding === undefined ? 0 : founding.index - 1;
    if (founding === undefined) return;
    const hash = ChainLog.link(0, bootstrapTerm, 0);
    this.push({ term: bootstrapTerm, hash, committedIn: 0, sets: [], configuration: founding.configuration });
  }

  /** Index of the last entry; {@linkcode Committed.base} without one. */
  get last(): LogIndex {
    return this.base + this.#entries.length;
  }

  /** How many there are. */
  get count(): number {
    return this.#entries.length;
  }

  /** The entry at this index; undefined when it is not committed. */
  at(index: LogIndex): CommittedEntry | undefined {
    return this.#entries[index - this.base - 1];
  }

  /** Adds the next one. */
  push(entry: CommittedEntry): void {
    this.#entries.push(entry);
  }

  /** Index of the last configuration up to this entry; 0 without one. */
  configuredAt(index: LogIndex = this.last): LogIndex {
    let at = Math.min(index, this.last);
    while (at > this.base && this.at(at)!.configuration === undefined) at--;
    return at > this.base ? at : 0;
  }

  /** The log that ends with this entry, or with the last one before it; empty before the first. */
  upTo(index: LogIndex): ChainLog {
    return index <= this.base ? new ChainLog() : ChainLog.of(this.#entries.slice(0, index - this.base), this.base);
  }

  /** All of them, each with its index. */
  *[Symbol.iterator](): Generator<readonly [index: LogIndex, entry: CommittedEntry]> {
    for (const [i, entry] of this.#entries.entries()) yield [this.base + 1 + i, entry];
  }
}
