/**
 * Macrotasks ordered in bulk.
 *
 * @module
 */
import { nextTurn } from "../../transport/next_turn.ts";

/** Macrotasks that are ordered at once. */
const BULK = 32;

/**
 * Macrotasks, one at a time. A runtime runs what stands ready in one turn of its event loop, each with all microtasks that it
 * leads to, and what it does between two turns takes several times as long as a macrotask: so many are ordered at once, and
 * each takes what is wanted next.
 */
export class Turns {
  #ordered = 0;
  #next: (() => void) | undefined;
  readonly #take = (): void => {
    this.#ordered--;
    const next = this.#next;
    this.#next = undefined;
    next?.();
  };

  /** Calls back in a macrotask of its own, when no microtask is left. One at a time. */
  next(callback: () => void): void {
    if (this.#next !== undefined) throw new Error("Cannot order a turn while another one is awaited");
    this.#next = callback;
    if (this.#ordered > 0) return;
    for (; this.#ordered < BULK; this.#ordered++) nextTurn(this.#take);
  }
}
