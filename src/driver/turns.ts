/**
 * Turns of the event loop: what comes before one is taken in it, together.
 *
 * @module
 */
import type { Environment } from "./environment.ts";
import type { Item } from "./item.ts";

/** An answer comes by a promise, and often by that of a function or two around it, to who has more to ask for. */
const HOPS = 4;

/** One driver's. */
export class Turns {
  readonly #environment: Environment;
  readonly #run: () => void;
  #inbox: Item[] = [];
  #isScheduled = false;
  /** Whether someone waits for others to come. */
  #isGathering = false;
  #isRunning = false;
  #isOver = false;

  readonly #begin = (): void => {
    this.#isScheduled = this.#isGathering = false;
    this.#isRunning = true;
    this.#run();
    this.#isRunning = false;
  };

  /** Calls back for each turn, which takes what has come. */
  constructor(environment: Environment, run: () => void) {
    this.#environment = environment;
    this.#run = run;
  }

  /** Whether a turn is under way. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Whether something has come that no turn has taken. */
  get hasMore(): boolean {
    return this.#inbox.length > 0;
  }

  /** Something has come; a turn under way takes it by itself. */
  enqueue(item: Item): void {
    if (this.#isOver) return;
    this.#inbox.push(item);
    if (!this.#isRunning) this.schedule();
  }

  /** All that has come. */
  take(): readonly Item[] {
    const inbox = this.#inbox;
    this.#inbox = [];
    return inbox;
  }

  /** Asks for a turn. */
  schedule(): void {
    if (this.#isScheduled || this.#isOver) return;
    this.#isScheduled = true;
    this.#environment.defer(this.#begin);
  }

  /** Asks for a turn that comes when those who were just told something had the time to say more. */
  scheduleLate(): void {
    if (this.#isScheduled || this.#isOver) return;
    this.#isScheduled = true;
    this.#hop(HOPS);
  }

  /** Asks for a turn that comes when all that has come to the process was looked at; an earlier one will do. */
  scheduleGathered(): void {
    if (this.#environment.gather === undefined) return this.schedule();
    if (this.#isScheduled || this.#isGathering || this.#isOver) return;
    if (this.#environment.buggify?.("early-turn") === true) return this.schedule();
    this.#isGathering = true;
    this.#environment.gather(() => this.#isGathering && this.schedule());
  }

  #hop(hops: number): void {
    this.#environment.defer(() => hops > 1 ? this.#hop(hops - 1) : this.#begin());
  }

  /** None follows, and what has come is dropped. */
  end(): void {
    this.#isOver = true;
    this.#inbox = [];
  }
}
