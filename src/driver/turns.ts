/**
 * Turns of the event loop: what comes before one is taken in it, together.
 *
 * @module
 */
import type { Environment } from "./environment.ts";
import type { Item } from "./item.ts";

/** One driver's. */
export class Turns {
  readonly #environment: Environment;
  readonly #run: () => void;
  #inbox: Item[] = [];
  #isScheduled = false;
  #isRunning = false;
  #isOver = false;

  /** Calls back for each turn, which takes what has come. */
  constructor(environment: Environment, run: () => void) {
    this.#environment = environment;
    this.#run = run;
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
    this.#environment.defer(() => {
      this.#isScheduled = false;
      this.#isRunning = true;
      this.#run();
      this.#isRunning = false;
    });
  }

  /** None follows, and what has come is dropped. */
  end(): void {
    this.#isOver = true;
    this.#inbox = [];
  }
}
