/**
 * Time that stands still until a test moves it: an {@linkcode Environment} for servers, and a clock for the in-memory
 * network between them.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { type Environment, systemEnvironment } from "../src/driver/environment.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Lets everything happen that needs no time: promises, and what they lead to. */
export function drain(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A clock that only {@linkcode VirtualEnvironment.advance} moves. Timers of one moment fire in the order they were set. */
export class VirtualEnvironment implements Environment {
  readonly #timers = new Map<number, Timer>();
  #now: number;
  #order = 0;
  #seed: number;

  /** Milliseconds that the wall clock is ahead of the monotonic one. */
  wallOffsetMs = 1_700_000_000_000;

  /** See {@linkcode Environment}. */
  digest: Environment["digest"] = systemEnvironment.digest;
  /** See {@linkcode Environment}. */
  observe?: NonNullable<Environment["observe"]>;
  /** See {@linkcode Environment}. */
  buggify?: Environment["buggify"];

  /** @param now What the clock shows at first. @param seed Where {@linkcode VirtualEnvironment.randomSeed} begins. */
  constructor(now = 0, seed = 1) {
    this.#now = now;
    this.#seed = seed;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.wallOffsetMs + this.#now;
  }

  setTimeout(callback: () => void, ms: number): number {
    const order = ++this.#order;
    this.#timers.set(order, { at: this.#now + Math.max(0, ms), order, callback });
    return order;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as number);
  }

  defer(callback: () => void): void {
    queueMicrotask(callback);
  }

  randomSeed(): number {
    return this.#seed++;
  }

  /** Numbers in [0, 1), for a network; the same ones in every run. */
  readonly random = (): number => {
    this.#seed = (this.#seed * 48_271 + 11) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  };

  /** Timers that are set. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Moves the clock on, firing each timer at its time, with a drain after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await drain();
    while (await this.#fireNext(end));
    this.#now = end;
  }

  /** Moves the clock at once, as a process that slept would find it: the timers that are due fire late. */
  async jump(ms: number): Promise<void> {
    await drain();
    this.#now += ms;
    while (await this.#fireNext(this.#now));
  }

  /** Moves the clock on until the condition holds. */
  async until(condition: () => boolean, withinMs = 20_000): Promise<void> {
    const end = this.#now + withinMs;
    await drain();
    while (!condition()) {
      if (!(await this.#fireNext(end))) throw new Error(`it did not happen within ${withinMs} ms: ${condition}`);
    }
  }

  /** Moves the clock on until the promise is settled, and gives its value or throws its reason. */
  async settled<T>(promise: Promise<T>, withinMs = 20_000): Promise<T> {
    let isSettled = false;
    const mark = () => void (isSettled = true);
    promise.then(mark, mark);
    await this.until(() => isSettled, withinMs);
    return await promise;
  }

  async #fireNext(end: number): Promise<boolean> {
    let next: Timer | undefined;
    for (const timer of this.#timers.values()) {
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    }
    if (next === undefined || next.at > end) return false;
    this.#timers.delete(next.order);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    await drain();
    return true;
  }
}
