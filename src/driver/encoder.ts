/**
 * Makes the entries that a leader appends.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import { EntryType } from "../types.ts";
import { encodeConfiguration } from "../wire/configuration.ts";
import { encodeRecords, type EntryParts, recordRoom, type Records } from "../wire/record.ts";
import type { Environment } from "./environment.ts";
import type { Origin } from "./item.ts";

type Append = Extract<Effect, { type: "append" }>;

/** One log's clock and encoder: the time in it never decreases, whoever leads and whatever the wall clock does. */
export class Encoder {
  readonly #environment: Environment;
  readonly #room = recordRoom();
  #lastTimeMs: number;

  /** Goes on after an entry of this time. */
  constructor(environment: Environment, lastTimeMs: number) {
    this.#environment = environment;
    this.#lastTimeMs = lastTimeMs;
  }

  /** The log goes on after an entry of this time, which a snapshot includes. */
  advance(timeMs: number): void {
    this.#lastTimeMs = Math.max(this.#lastTimeMs, timeMs);
  }

  /** The records that the core wants appended: those of a leader's message, or new ones. */
  recordsOf(effect: Append, received: Records | undefined, origin: Origin | undefined): Records {
    const { source, from, end } = effect;
    const records = source === "message" ? received!.slice(from, end) : this.#encode(effect, origin);
    this.#lastTimeMs = records.timeMs(end - 1);
    return records;
  }

  #encode(effect: Append, origin: Origin | undefined): Records {
    const timeMs = Math.max(this.#lastTimeMs, Math.floor(this.#environment.wallNow()));
    return encodeRecords(effect.from, effect.term, timeMs, entriesOf(effect, origin), this.#room);
  }
}

/** What the entries to be appended are made of. */
function entriesOf(effect: Append, origin: Origin | undefined): readonly EntryParts[] {
  switch (effect.source) {
    case "proposals":
      return origin!.type === "own" ? origin!.proposals : origin!.entries;
    case "configuration":
      return [{ type: EntryType.configuration, payload: encodeConfiguration(effect.configuration!) }];
    default:
      return [{ type: EntryType.noop, payload: new Uint8Array() }];
  }
}
