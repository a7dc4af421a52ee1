/**
 * One direction between two places of the in-memory network.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** Runs what arrives, in order, and never at once. */
export interface Line {
  /** Runs it when it has travelled. */
  later(run: () => void): void;
  /** Forgets all that is under way. */
  drop(): void;
}

/** A line that takes time, on any clock. */
export class TimedLine implements Line {
  readonly #clock: Clock;
  readonly #delayMs: () => number;
  readonly #timers = new Set<unknown>();
  #lastDue = 0;

  constructor(clock: Clock, delayMs: () => number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  later(run: () => void): void {
    const now = this.#clock.now();
    // What was sent later never arrives earlier.
    this.#lastDue = Math.max(this.#lastDue, now + this.#delayMs());
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, this.#lastDue - now);
    this.#timers.add(timer);
  }

  drop(): void {
    for (const timer of this.#timers) this.#clock.clearTimeout(timer);
    this.#timers.clear();
  }
}

/** Deliveries in microtasks let no timer fire; after this long they make room for the other events. */
const TURN_MS_MAX = 4;

/** Tells the lines of one network when they have to make room. */
export interface Turn {
  startedAt: number;
}

/** A line that takes no time: what it carries arrives in a microtask. */
export class QuickLine implements Line {
  readonly #clock: Clock;
  readonly #turn: Turn;
  readonly #queue: (() => void)[] = [];
  #channel: MessageChannel | undefined;
  #isScheduled = false;

  constructor(clock: Clock, turn: Turn) {
    this.#clock = clock;
    this.#turn = turn;
  }

  later(run: () => void): void {
    this.#queue.push(run);
    if (!this.#isScheduled) this.#schedule();
  }

  drop(): void {
    this.#queue.length = 0;
    // A delivery that was to come in a microtask still comes, with what is queued until then.
    if (this.#channel !== undefined) this.#isScheduled = false;
    this.#closeChannel();
  }

  #schedule(): void {
    this.#isScheduled = true;
    if (this.#clock.now() - this.#turn.startedAt <= TURN_MS_MAX) return queueMicrotask(() => this.#deliver());
    // A message event comes after the timers that are due, and without the millisecond that a timer of 0 takes.
    this.#channel = new MessageChannel();
    this.#channel.port1.onmessage = () => {
      this.#closeChannel();
      this.#turn.startedAt = this.#clock.now();
      this.#deliver();
    };
    this.#channel.port2.postMessage(0);
  }

  #closeChannel(): void {
    this.#channel?.port1.close();
    this.#channel?.port2.close();
    this.#channel = undefined;
  }

  #deliver(): void {
    this.#isScheduled = false;
    const arrived = this.#queue.splice(0);
    for (const run of arrived) run();
  }
}
