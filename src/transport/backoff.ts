/**
 * How long to wait before dialling again.
 *
 * @module
 */

/** Bounds of a {@linkcode Backoff}. */
export interface BackoffOptions {
  /** The first wait, before jitter. */
  readonly minMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

/** Waits that double up to a bound, each shortened by up to a half at random, so that servers don't dial in step. */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  /** Starts at the shortest wait. */
  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Whether the next wait is the first. */
  get isFresh(): boolean {
    return this.#attempts === 0;
  }

  /** The next wait in milliseconds. */
  next(): number {
    const { minMs, maxMs, random } = this.#options;
    const fullMs = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return fullMs * (0.5 + random() / 2);
  }

  /** Makes the next wait the shortest again. */
  reset(): void {
    this.#attempts = 0;
  }
}
