/**
 * A clock that only moves when it is told to.
 *
 * @module
 */
import type { Clock } from "../../src/transport/clock.ts";

/** More turns than any chain of promises in a transport takes. */
const MICROTASKS = 30;

/** See the module. */
export class VirtualClock implements Clock {
  #now = 1_000;
  #sequence = 0;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, ms: number): number {
    this.#sequence += 1;
    this.#timers.set(this.#sequence, { at: this.#now + Math.max(0, ms), callback });
    return this.#sequence;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as number);
  }

  /** Timers that wait. */
  get pendingCount(): number {
    return this.#timers.size;
  }

  /** When the next timer fires, counted from now. */
  get nextMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.at - this.#now;
  }

  /** Moves on, firing what is due in order and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(next.id);
      next.callback();
      await settle();
    }
    this.#now = end;
  }

  /** The process sleeps: time passes, and nothing fires until it has passed. */
  async sleep(ms: number): Promise<void> {
    this.#now += ms;
    await this.advance(0);
  }

  #next(): { id: number; at: number; callback: () => void } | undefined {
    let first: { id: number; at: number; callback: () => void } | undefined;
    for (const [id, timer] of this.#timers) {
      if (first === undefined || timer.at < first.at) first = { id, ...timer };
    }
    return first;
  }
}

/** Lets promises and microtasks settle. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < MICROTASKS; turn++) await null;
}
