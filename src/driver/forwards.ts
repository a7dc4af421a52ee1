/**
 * Commands that were handed to another server and have no answer from it yet.
 *
 * @module
 */
import type { LogIndex, ServerId, Term } from "../types.ts";
import type { Applied } from "./applier.ts";
import type { Environment } from "./environment.ts";
import type { Proposal } from "./proposal.ts";

/** Commands that went together. */
export interface Forward {
  readonly to: ServerId;
  readonly proposals: readonly Proposal[];
  readonly giveUpAt: number;
}

/** The result of an entry that was applied while a forward had no answer: it may be that of one of its commands. */
export interface Unclaimed {
  readonly term: Term;
  readonly applied: Applied;
}

/** Results kept for forwards whose answer is overtaken by the commit. */
const unclaimedMax = 4096;

/** One server's. */
export class Forwards {
  readonly #open = new Map<number, Forward>();
  readonly #unclaimed = new Map<LogIndex, Unclaimed>();
  /** Begins anywhere, so that what is said to a server's last start is not taken for an answer to this one. */
  #nextId: number;

  /** Takes chance. */
  constructor(environment: Pick<Environment, "randomSeed">) {
    this.#nextId = 1 + environment.randomSeed() % 2 ** 31;
  }

  /** How many have no answer. */
  get count(): number {
    return this.#open.size;
  }

  /** These go to another server; the number identifies its answer. */
  begin(forward: Forward): number {
    const id = this.#nextId++;
    this.#open.set(id, forward);
    return id;
  }

  /** What that server was given under that number; undefined when it was nothing, or that is over. */
  of(id: number, to: ServerId): readonly Proposal[] | undefined {
    const forward = this.#open.get(id);
    return forward?.to === to ? forward.proposals : undefined;
  }

  /** That one is over; gives its commands. */
  end(id: number): readonly Proposal[] {
    const forward = this.#open.get(id);
    this.#open.delete(id);
    if (this.#open.size === 0) this.#unclaimed.clear();
    return forward?.proposals ?? [];
  }

  /** All with that server are over; gives their commands. */
  endOf(to: ServerId): readonly Proposal[] {
    return this.#endThose((forward) => forward.to === to).flatMap(({ proposals }) => proposals);
  }

  /** All that have waited long enough are over; gives them. */
  endDue(now: number): readonly Forward[] {
    return this.#endThose(({ giveUpAt }) => giveUpAt <= now);
  }

  /** All are over; gives their commands. */
  endAll(): readonly Proposal[] {
    return this.#endThose(() => true).flatMap(({ proposals }) => proposals);
  }

  #endThose(are: (forward: Forward) => boolean): readonly Forward[] {
    const those = [...this.#open].filter(([, forward]) => are(forward));
    for (const [id] of those) this.end(id);
    return those.map(([, forward]) => forward);
  }

  /** Nobody waits for this entry, as far as is known before the answers have come. */
  onApplied(index: LogIndex, term: Term, applied: Applied): void {
    if (this.#open.size === 0) return;
    this.#unclaimed.set(index, { term, applied });
    if (this.#unclaimed.size > unclaimedMax) this.#unclaimed.delete(this.#unclaimed.keys().next().value!);
  }

  /** What an answer that came after the commit says is the result's place; undefined when it was not kept. */
  resultAt(index: LogIndex): Unclaimed | undefined {
    return this.#unclaimed.get(index);
  }
}
