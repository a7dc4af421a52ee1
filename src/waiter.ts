/**
 * Callers who wait.
 *
 * @module
 */

/** A caller who waits. Settled once; the signal ends the waiting, never what was asked for. */
export class Waiter<T> {
  /** When it began to wait, in the driver's milliseconds. */
  readonly startedAt: number;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = () => this.reject(this.#signal!.reason);
  #settled = false;

  /** Takes the moment and the caller's ends. */
  constructor(
    startedAt: number,
    signal: AbortSignal | undefined,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.startedAt = startedAt;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Whether the caller has an answer, or stopped waiting. */
  get isSettled(): boolean {
    return this.#settled;
  }

  /** The answer. */
  resolve(value: T): void {
    if (this.#settle()) this.#resolve(value);
  }

  /** There is none. */
  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}
