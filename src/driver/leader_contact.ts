/**
 * What this server was told by who leads it, and when: how old what it shows may be.
 *
 * @module
 */
import type { CoreState } from "../core/state.ts";
import type { CoreMessage } from "../message.ts";
import type { LogIndex, ServerId } from "../types.ts";
import type { ClockWatch } from "./clock_watch.ts";

/** What a server knows by its leader's word. */
export interface Heard {
  /** All up to here is committed; it may not have come yet. */
  readonly index: LogIndex;
  /**
   * When the leader was heard, by a clock that goes on while the machine sleeps; -Infinity when never. A leader hears itself
   * in every turn: what it has slept since the last one counts.
   */
  readonly heardAt: number;
  /** What that clock shows now, milliseconds. */
  readonly now: number;
}

/** One server's. */
export class LeaderContact {
  readonly #clocks: Pick<ClockWatch, "toldMs" | "sleptMs">;
  /** Up to here entries are committed, as leaders have said. */
  #toldIndex: LogIndex = 0;
  /** For how long the machine had slept in all when a leader was heard last. */
  #sleptMs = 0;

  /** Takes who looks at the clocks in every turn. */
  constructor(clocks: Pick<ClockWatch, "toldMs" | "sleptMs">) {
    this.#clocks = clocks;
  }

  /** The core has taken a message: only what it takes for its leader's says anything. */
  onMessage(
    from: ServerId,
    message: CoreMessage,
    { role, leader, term }: Pick<CoreState, "role" | "leader" | "term">,
  ): void {
    const { type } = message;
    // What a leader hears of itself somebody has handed back to it.
    if (role === "leader") return;
    if ((type !== "append-request" && type !== "snapshot-request") || message.term !== term || leader !== from) return;
    this.#sleptMs = this.#clocks.toldMs;
    const told = type === "append-request" ? message.commitIndex : message.index;
    if (told > this.#toldIndex) this.#toldIndex = told;
  }

  /** At this moment. */
  heard(
    { role, commitIndex, leaderHeardAt }: Pick<CoreState, "role" | "commitIndex" | "leaderHeardAt">,
    now: number,
  ): Heard {
    const heardAt = role === "leader" ? now + this.#clocks.toldMs : leaderHeardAt + this.#sleptMs;
    return { index: Math.max(commitIndex, this.#toldIndex), heardAt, now: now + this.#clocks.sleptMs(now) };
  }
}
