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
  #aheadMs: number;
  #sleptMs = 0;
  /** For how long the machine seemed to have slept in all, as of the last {@linkcode ClockWatch.hasSlept}. */
  toldMs = 0;

  /** Takes the clocks. */
  constructor(environment: Pick<Environment, "now" | "wallNow">) {
    this.#environment = environment;
    this.#aheadMs = this.#ahead(environment.now());
  }

  /**
   * Whether the wall clock has run ahead since this was last asked. Someone may have set it, too, so that this says nothing
   * for certain.
   *
   * @param now What the monotonic clock shows.
   */
  hasSlept(now: number): boolean {
    const beforeMs = this.toldMs;
    this.toldMs = this.sleptMs(now);
    return this.toldMs > beforeMs;
  }

  /**
   * For how long the machine seems to have slept in all. It never decreases: a wall clock that is set back is taken for right
   * from there. Steps that are smaller than the tolerance add up until they are not.
   *
   * @param now What the monotonic clock shows.
   */
  sleptMs(now: number): number {
    const aheadMs = this.#ahead(now);
    const isAhead = aheadMs > this.#aheadMs + CLOCK_TOLERANCE_MS;
    if (isAhead) this.#sleptMs += aheadMs - this.#aheadMs;
    if (isAhead || aheadMs < this.#aheadMs) this.#aheadMs = aheadMs;
    return this.#sleptMs;
  }

  #ahead(now: number): number {
    return this.#environment.wallNow() - now;
  }
}
