/**
 * The one timer of a driver.
 *
 * @module
 */
import type { Environment } from "./environment.ts";

/**
 * Fires when the core's deadline is reached. Deadlines mostly move away (each heartbeat does), so the timer is left to
 * fire early and then set anew, instead of being set anew with every message.
 */
export class Deadline {
  readonly #environment: Environment;
  readonly #onReached: (lateMs: number) => void;
  #handle: unknown;
  /** When the timer fires; Infinity when none is set. */
  #firesAt = Infinity;
  #deadline = Infinity;

  /** Calls back with how late the timer was. */
  constructor(environment: Environment, onReached: (lateMs: number) => void) {
    this.#environment = environment;
    this.#onReached = onReached;
  }

  /** Moves the deadline. */
  set(deadline: number): void {
    this.#deadline = deadline;
    if (deadline < this.#firesAt) this.#arm();
  }

  /** Never fires again. */
  stop(): void {
    this.#deadline = Infinity;
    this.#environment.clearTimeout(this.#handle);
    this.#firesAt = Infinity;
  }

  #arm(): void {
    this.#environment.clearTimeout(this.#handle);
    this.#firesAt = this.#deadline;
    // Timers fire up to a millisecond early on some runtimes: round up, or the turn would find nothing to do.
    const waitMs = Math.max(0, Math.ceil(this.#firesAt - this.#environment.now()));
    this.#handle = this.#environment.setTimeout(() => this.#onTimer(), waitMs);
  }

  #onTimer(): void {
    const lateMs = this.#environment.now() - this.#firesAt;
    // After a pause a runtime may deliver the timer before a heartbeat that has long arrived: one more turn lets it in.
    this.#handle = this.#environment.setTimeout(() => this.#onTurn(lateMs), 0);
  }

  #onTurn(lateMs: number): void {
    this.#firesAt = Infinity;
    if (this.#environment.now() >= this.#deadline) this.#onReached(lateMs);
    else if (this.#deadline < Infinity) this.#arm();
  }
}
