/**
 * One direction between two places of the in-memory network.
 *
 * @module
 */
import { nextTurn } from "./next_turn.ts";
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

/** Deliveries in microtasks let nothing else happen; after this long they make room. */
const TURN_MS_MAX = 10;

/** Looking at the clock costs as much as a delivery: only so many come between two looks. */
const DELIVERIES_PER_LOOK = 16;

/** Tells the lines of one network when they have to make room. */
export interface Turn {
  startedAt: number;
  /** Deliveries since the last look at the clock. */
  deliveries: number;
}

/** A line that takes no time: what it carries arrives in a microtask. */
export class QuickLine implements Line {
  readonly #clock: Clock;
  readonly #turn: Turn;
  #queue: (() => void)[] = [];
  #isScheduled = false;

  constructor(clock: Clock, turn: Turn) {
    this.#clock = clock;
    this.#turn = turn;
  }

  later(run: () => void): void {
    this.#queue.push(run);
    if (!this.#isScheduled) this.#schedule();
  }

  /** A delivery that was to come still comes, with what is queued until then. */
  drop(): void {
    this.#queue = [];
  }

  #schedule(): void {
    this.#isScheduled = true;
    if (!this.#isTurnOver()) return queueMicrotask(this.#deliver);
    nextTurn(() => {
      this.#turn.startedAt = this.#clock.now();
      this.#turn.deliveries = 0;
      this.#deliver();
    });
  }

  #isTurnOver(): boolean {
    const turn = this.#turn;
    if (turn.deliveries++ < DELIVERIES_PER_LOOK) return false;
    // The count stays, so that all lines that have something to deliver end the turn.
    if (this.#clock.now() - turn.startedAt > TURN_MS_MAX) return true;
    turn.deliveries = 0;
    return false;
  }

  readonly #deliver = (): void => {
    this.#isScheduled = false;
    const arrived = this.#queue;
    this.#queue = [];
    for (const run of arrived) run();
  };
}
