/**
 * A read as the facade hands it to the driver.
 *
 * @module
 */
import type { Read } from "./driver/reads.ts";

/** A query and the caller who waits for its answer. */
export class QueryRead<T> implements Read {
  /** See {@linkcode Read.startedAt}. */
  readonly startedAt: number;
  readonly #query: () => T;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = () => this.reject(this.#signal!.reason);
  #settled = false;

  /** Takes the query, when it was asked, and the caller's ends. */
  constructor(
    query: () => T,
    startedAt: number,
    signal: AbortSignal | undefined,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.#query = query;
    this.startedAt = startedAt;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** See {@linkcode Read.isSettled}. */
  get isSettled(): boolean {
    return this.#settled;
  }

  /** See {@linkcode Read.answer}. */
  answer(): void {
    if (!this.#settle()) return;
    try {
      this.#resolve(this.#query());
    } catch (error) {
      this.#reject(error);
    }
  }

  /** See {@linkcode Read.reject}. */
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
