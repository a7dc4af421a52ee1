/**
 * The log as the driver has it: encoded once, kept in memory, on its way to the disk.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import type { LogCache } from "../store/log_cache.ts";
import type { LogIndex, LogStart } from "../types.ts";
import type { Encoder } from "./encoder.ts";
import type { Item } from "./item.ts";
import type { Writer } from "./writer.ts";

type Asked<T extends Effect["type"]> = Extract<Effect, { type: T }>;

/** Memory and disk, changed together and in the same order. */
export class Log {
  readonly #encoder: Encoder;
  readonly #cache: LogCache;
  readonly #writer: Writer;

  /** Takes where entries are kept. */
  constructor(encoder: Encoder, cache: LogCache, writer: Writer) {
    this.#encoder = encoder;
    this.#cache = cache;
    this.#writer = writer;
  }

  /** Entries of a leader's message, or new ones. */
  append(effect: Asked<"append">, { records: received, origin }: Item): void {
    const records = this.#encoder.recordsOf(effect, received, origin);
    this.#cache.append(records);
    this.#writer.append(records, effect.epoch);
  }

  /** Entries of a leader's message, which are in the log but not on disk any more. */
  repair({ from, end, sequence }: Asked<"repair">, { records }: Item): void {
    const repaired = records!.slice(from, end);
    this.#encoder.advance(repaired.timeMs(end - 1));
    this.#writer.repair(repaired, sequence);
  }

  /** Without the entries from this one on. */
  truncate(from: LogIndex): void {
    this.#cache.truncateFrom(from);
    this.#writer.truncate(from);
  }

  /** Without the entries before this one. */
  compact({ firstIndex, prevTerm }: LogStart): void {
    this.#cache.compactTo(firstIndex);
    this.#writer.compact({ firstIndex, prevTerm });
  }

  /** Without any, and on after a snapshot whose last entry is of this time. */
  install({ index, term, truncateFrom, epoch }: Asked<"install-snapshot">, timeMs: number): void {
    this.#cache.reset(index + 1);
    this.#writer.install({ firstIndex: index + 1, prevTerm: term }, truncateFrom, epoch);
    this.#encoder.advance(timeMs);
  }
}
