/**
 * The point `reorder-completions`, see {@linkcode Buggify}: what is done is told late, and overtaken by what comes later.
 *
 * @module
 */
import type { Event } from "../core/event.ts";
import type { Buggify } from "../points.ts";
import type { Environment } from "./environment.ts";
import type { Item } from "./item.ts";

/**
 * Completions that may be told late, each in a lane: none overtakes another of its own lane. Durable entries and votes only
 * count upwards, and a snapshot holds nothing that was not said to be applied before it is.
 */
const lanes: Partial<Record<Event["type"], string>> = {
  "entries-persisted": "entries",
  "entries-repaired": "repairs",
  "vote-persisted": "vote",
  "applied": "machine",
  "snapshot-persisted": "machine",
};

/** How much later, milliseconds: as long as a disk or a network may well take. */
const lateMs = 2;

/** One driver's, in a simulation. */
export class LateCompletions {
  readonly #environment: Environment;
  readonly #buggify: Buggify;
  readonly #tell: (item: Item) => void;
  #late: Item[] = [];
  #timer: unknown;

  /** Takes what to do with those that are late in the end. */
  constructor(environment: Environment, buggify: Buggify, tell: (item: Item) => void) {
    this.#environment = environment;
    this.#buggify = buggify;
    this.#tell = tell;
  }

  /** Whether this one is told late; else the caller tells it now. */
  takes(item: Item): boolean {
    const lane = lanes[item.event.type];
    if (lane === undefined) return false;
    const isBehind = this.#late.some(({ event }) => lanes[event.type] === lane);
    if (!isBehind && !this.#buggify("reorder-completions")) return false;
    this.#late.push(item);
    if (this.#late.length === 1) this.#timer = this.#environment.setTimeout(() => this.#tellAll(), lateMs);
    return true;
  }

  #tellAll(): void {
    for (const item of this.#late.splice(0)) this.#tell(item);
  }

  /** Tells nothing more. */
  close(): void {
    this.#environment.clearTimeout(this.#timer);
    this.#late = [];
  }
}
