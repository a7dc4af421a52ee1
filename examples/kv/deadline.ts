/**
 * One signal per request that ends the waiting for its answer: when its time is up or its client has gone.
 *
 * @module
 */
import { RequestEndedError } from "./answers.ts";

/** Ends after some time, or with another signal. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #client: AbortSignal;

  constructor(timeoutMs: number, client: AbortSignal) {
    this.#client = client;
    this.#timer = setTimeout(() => this.#end(`Cannot say within ${timeoutMs} ms what became of it`), timeoutMs);
    client.addEventListener("abort", this.#onGone, { once: true });
    if (client.aborted) this.#onGone();
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
      if (this.signal.aborted) onAbort();
    });
    try {
      return await Promise.race([other, ended]);
    } finally {
      this.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Call it when the answer is there, so that nothing is left behind. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#client.removeEventListener("abort", this.#onGone);
  }

  readonly #onGone = (): void => this.#end("Cannot answer as the client has gone");

  #end(message: string): void {
    this.#controller.abort(new RequestEndedError(message));
  }
}
