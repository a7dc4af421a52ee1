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
  /** Milliseconds since the leader was heard, those included that the machine has slept; 0 on the leader, undefined when never. */
  readonly agoMs: number | undefined;
}

/** One server's. */
export class LeaderContact {
  readonly #clocks: Pick<ClockWatch, "aheadMs" | "sleptMs">;
  /** Up to here entries are committed, as leaders have said. */
  #toldIndex: LogIndex = 0;
  /** How far the wall clock was ahead when a leader was heard last. */
  #aheadMs = 0;

  /** Takes who looks at the clocks in every turn. */
  constructor(clocks: Pick<ClockWatch, "aheadMs" | "sleptMs">) {
    this.#clocks = clocks;
  }

  /** The core has taken a message: only what it takes for its leader's says anything. */
  onMessage(from: ServerId, message: CoreMessage, { leader, term }: Pick<CoreState, "leader" | "term">): void {
    const { type } = message;
    if ((type !== "append-request" && type !== "snapshot-request") || message.term !== term || leader !== from) return;
    this.#aheadMs = this.#clocks.aheadMs;
    const told = type === "append-request" ? message.commitIndex : message.index;
    if (told > this.#toldIndex) this.#toldIndex = told;
  }

  /** At this moment. */
  heard(
    { role, commitIndex, leaderHeardAt }: Pick<CoreState, "role" | "commitIndex" | "leaderHeardAt">,
    now: number,
  ): Heard {
    const index = Math.max(commitIndex, this.#toldIndex);
    if (role === "leader") return { index, agoMs: 0 };
    if (leaderHeardAt === -Infinity) return { index, agoMs: undefined };
    return { index, agoMs: Math.max(0, now - leaderHeardAt) + this.#clocks.sleptMs(now, this.#aheadMs) };
  }
}
