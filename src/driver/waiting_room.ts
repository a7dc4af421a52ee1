/**
 * Commands that wait until there is room for them.
 *
 * @module
 */
import type { Environment } from "./environment.ts";
import type { Proposal } from "./proposal.ts";

/** How much may wait. */
export interface WaitingLimits {
  readonly inFlightCountMax: number;
  readonly inFlightBytesMax: number;
}

/** What becomes of a command that has waited in vain. */
export type Refuse = (proposal: Proposal) => void;

/**
 * Fair between callers: they take turns, each with its oldest command, and none is overtaken by a smaller one that would
 * fit already. When the room is full, a caller with less than its share takes the place of the youngest command of the
 * caller with most. Who stops waiting leaves at once.
 */
export class WaitingRoom {
  readonly #environment: Environment;
  readonly #limits: WaitingLimits;
  readonly #refuse: Refuse;
  /** In the order of their turns. */
  readonly #callers = new Map<number, Set<Proposal>>();
  #count = 0;
  #bytes = 0;

  /** Takes the clock, the limits, which may change, and what to do with those that waited in vain. */
  constructor(environment: Environment, limits: WaitingLimits, refuse: Refuse) {
    this.#environment = environment;
    this.#limits = limits;
    this.#refuse = refuse;
  }

  /** Commands that wait. */
  get count(): number {
    return this.#count;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lets it wait for so long at the most; false when there is no place for it. */
  add(proposal: Proposal, waitMs: number): boolean {
    if (!this.#fits(proposal, undefined)) {
      const other = this.#toMakeWay(proposal);
      if (other === undefined) return false;
      other.onWaitingEnd!();
      this.#refuse(other);
    }
    const timer = this.#environment.setTimeout(() => {
      this.#leave(proposal);
      this.#refuse(proposal);
    }, waitMs);
    proposal.onWaitingEnd = () => {
      this.#environment.clearTimeout(timer);
      this.#leave(proposal);
    };
    const own = this.#callers.get(proposal.caller) ?? new Set();
    this.#callers.set(proposal.caller, own.add(proposal));
    this.#count++;
    this.#bytes += proposal.payload.length;
    return true;
  }

  /** The one whose turn it is leaves when it fits; undefined when it does not, or nobody waits. */
  next(fits: (proposal: Proposal) => boolean): Proposal | undefined {
    for (const [caller, own] of this.#callers) {
      for (const proposal of own) {
        if (!fits(proposal)) return undefined;
        proposal.onWaitingEnd!();
        if (own.size === 0) return proposal;
        // The others come before its next one.
        this.#callers.delete(caller);
        this.#callers.set(caller, own);
        return proposal;
      }
    }
    return undefined;
  }

  /** All leave, in no particular order. */
  clear(): Proposal[] {
    const all = [...this.#callers.values()].flatMap((own) => [...own]);
    for (const proposal of all) proposal.onWaitingEnd!();
    return all;
  }

  #fits({ payload }: Proposal, without: Proposal | undefined): boolean {
    const { inFlightCountMax, inFlightBytesMax } = this.#limits;
    const count = this.#count - (without === undefined ? 0 : 1);
    const bytes = this.#bytes - (without?.payload.length ?? 0) + payload.length;
    return count < inFlightCountMax && (count === 0 || bytes <= inFlightBytesMax);
  }

  /** The youngest command of the caller with most, when the newcomer's has less than its share and fits in its place. */
  #toMakeWay(newcomer: Proposal): Proposal | undefined {
    const own = this.#callers.get(newcomer.caller)?.size ?? 0;
    const callers = this.#callers.size + (own === 0 ? 1 : 0);
    if ((own + 1) * callers > this.#count) return undefined;
    let most: Set<Proposal> = new Set();
    for (const some of this.#callers.values()) if (some.size > most.size) most = some;
    const youngest = most.size > own + 1 ? [...most].at(-1) : undefined;
    return youngest !== undefined && this.#fits(newcomer, youngest) ? youngest : undefined;
  }

  #leave(proposal: Proposal): void {
    const own = this.#callers.get(proposal.caller);
    if (own?.delete(proposal) !== true) return;
    proposal.onWaitingEnd = undefined;
    if (own.size === 0) this.#callers.delete(proposal.caller);
    this.#count--;
    this.#bytes -= proposal.payload.length;
  }
}
