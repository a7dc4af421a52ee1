/**
 * One signal per request that ends the waiting for its answer.
 *
 * @module
 */
import { RequestTimeoutError } from "./answers.ts";

/** Ends after some time. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(timeoutMs: number) {
    this.#timer = setTimeout(() => this.#controller.abort(new RequestTimeoutError(timeoutMs)), timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the other promise gives, unless the deadline comes first. */
  async race<T>(other: Promise<T>): Promise<T> {
    let onAbort = () => {};
    const ended = new Promise<never>((_, reject) => {
      onAbort = () => reject(this.signal.reason);
      this.signal.addEventListener("abort", onAbort);
    });
    try {
      return await Promise.race([other, ended]);
    } finally {
      this.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Call it when the answer is there, so that no timer is left behind. */
  clear(): void {
    clearTimeout(this.#timer);
  }
}
