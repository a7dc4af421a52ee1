/**
 * Waits that end early when something happens.
 *
 * @module
 */
import type { Environment } from "./environment.ts";

/** One waiter's alarm clock. */
export class Waker {
  readonly #environment: Environment;
  #timer: unknown;
  #resolve: (() => void) | undefined;
  /** Woken while nobody waited: the next wait is over at once. */
  #isPending = false;
  #closed = false;

  /** Takes the clock. */
  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** Done after so many milliseconds, or earlier: when woken. One wait at a time. */
  wait(ms: number): Promise<void> {
    if (this.#isPending || this.#closed) {
      this.#isPending = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#timer = this.#environment.setTimeout(() => this.#end(), ms);
    });
  }

  /** Ends the wait under way, or the next one. */
  wake(): void {
    if (this.#resolve === undefined) this.#isPending = true;
    else this.#end();
  }

  /** Ends all waits. */
  close(): void {
    this.#closed = true;
    this.#end();
  }

  #end(): void {
    this.#environment.clearTimeout(this.#timer);
    this.#timer = undefined;
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.();
  }
}

/** How long a long task may keep the event loop from everything else, milliseconds. */
const sliceMs = 5;

/** Lets everything else have its turn now and then during a long task, whose own waits may all be over at once. */
export class Pacer {
  readonly #environment: Environment;
  readonly #waker: Waker;
  #sliceStartedAt: number;

  /** Takes the clock. */
  constructor(environment: Environment) {
    this.#environment = environment;
    this.#waker = new Waker(environment);
    this.#sliceStartedAt = environment.now();
  }

  /** To be awaited between two pieces of the task. */
  async pause(): Promise<void> {
    if (this.#environment.now() - this.#sliceStartedAt < sliceMs) return;
    await this.#waker.wait(0);
    this.#sliceStartedAt = this.#environment.now();
  }

  /** Ends a pause under way. */
  close(): void {
    this.#waker.close();
  }
}
