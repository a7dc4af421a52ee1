/**
 * Whether the machine may have slept while the monotonic clock stood still.
 *
 * @module
 */
import { CLOCK_TOLERANCE_MS } from "../core/lease.ts";
import type { Environment } from "./environment.ts";

/** Looks at both clocks of one server. */
export class ClockWatch {
  readonly #environment: Pick<Environment, "wallNow">;
  /** How far the wall clock was ahead of the monotonic one, when it was last taken for right. */
  aheadMs: number;

  /** Takes the clocks. */
  constructor(environment: Pick<Environment, "now" | "wallNow">) {
    this.#environment = environment;
    this.aheadMs = this.#ahead(environment.now());
  }

  /**
   * Whether the wall clock has run ahead since the last look. Someone may have set it, too, so that this says nothing for
   * certain. Steps that are smaller than the tolerance add up until they are not.
   *
   * @param now What the monotonic clock shows.
   */
  hasSlept(now: number): boolean {
    const aheadMs = this.#ahead(now);
    const isAhead = aheadMs > this.aheadMs + CLOCK_TOLERANCE_MS;
    if (isAhead || aheadMs < this.aheadMs) this.aheadMs = aheadMs;
    return isAhead;
  }

  /** By how much the wall clock has run ahead since it was ahead by so much; 0 where that is within the tolerance. */
  sleptMs(now: number, sinceMs: number): number {
    const sleptMs = this.#ahead(now) - sinceMs;
    return sleptMs > CLOCK_TOLERANCE_MS ? sleptMs : 0;
  }

  #ahead(now: number): number {
    return this.#environment.wallNow() - now;
  }
}
