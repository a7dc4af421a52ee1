/**
 * What this server was told by who leads it, and when: how old what it shows may be.
 *
 * @module
 */
import type { CoreState } from "../core/state.ts";
import type { Event } from "../core/event.ts";
import type { LogIndex } from "../types.ts";
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
  /** Whether this server has led since, and leads no more: what it knew as leader does not count. */
  readonly hasLed: boolean;
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
  /** Whether this server has led since then. */
  #hasLed = false;

  /** Takes who looks at the clocks in every turn. */
  constructor(clocks: Pick<ClockWatch, "toldMs" | "sleptMs">) {
    this.#clocks = clocks;
  }

  /** The core has taken a step: only a message that it takes for its leader's says anything. */
  onStep(event: Event, { role, leader, term }: Pick<CoreState, "role" | "leader" | "term">): void {
    // What a leader hears of itself somebody has handed back to it.
    if (role === "leader") {
      this.#hasLed = true;
      return;
    }
    if (event.type !== "message-received") return;
    const { from, message } = event;
    const { type } = message;
    if ((type !== "append-request" && type !== "snapshot-request") || message.term !== term || leader !== from) return;
    this.#sleptMs = this.#clocks.toldMs;
    this.#hasLed = false;
    const told = type === "append-request" ? message.commitIndex : message.index;
    if (told > this.#toldIndex) this.#toldIndex = told;
  }

  /** At this moment. */
  heard(
    { role, commitIndex, leaderHeardAt }: Pick<CoreState, "role" | "commitIndex" | "leaderHeardAt">,
    now: number,
  ): Heard {
    const isLeader = role === "leader";
    return {
      index: Math.max(commitIndex, this.#toldIndex),
      heardAt: isLeader ? now + this.#clocks.toldMs : leaderHeardAt + this.#sleptMs,
      hasLed: this.#hasLed && !isLeader,
      now: now + this.#clocks.sleptMs(now),
    };
  }
}
