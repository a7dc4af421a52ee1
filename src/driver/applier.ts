/**
 * Applies committed entries in order, one at a time.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";
import type { Codec, StateMachine } from "../machine.ts";
import type { LogCache } from "../store/log_cache.ts";
import type { Store } from "../store/store.ts";
import { EntryType, type LogIndex, type Term } from "../types.ts";
import { RecordFlag, type Records } from "../wire/record.ts";
import type { Environment } from "./environment.ts";

/** How a command ended: what the machine returned, or threw. */
export type Applied = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

/** What an applier tells. */
export interface ApplierHost {
  /** An entry was applied (or skipped over, when it is none of the user's). */
  onApplied(index: LogIndex, term: Term, applied: Applied): void;
  /** No entry is being applied now, and all up to here were. */
  onPause(upTo: LogIndex): void;
  /** The log can't be read, or the machine reported that it must not go on. */
  onFailure(error: unknown): void;
}

/** Entries between two looks at the clock. */
const entriesPerLook = 32;
/** How long applying may keep the event loop from everything else, milliseconds. */
const sliceMs = 10;
/** Bytes read from disk at a time by an applier that lags behind the entries in memory. */
const readBytes = 1024 * 1024;

const nothing: Applied = { ok: true, value: undefined };

/** One machine's only caller: never re-entered, not by reads either. */
export class Applier<Command, Result> {
  readonly #machine: StateMachine<Command, Result>;
  readonly #codec: Codec<Command>;
  readonly #cache: LogCache;
  readonly #store: Store;
  readonly #environment: Environment;
  readonly #host: ApplierHost;
  #appliedIndex: LogIndex;
  #upTo: LogIndex;
  /** Set while the machine or the disk has its turn, or everything else has. */
  #waiting: "no" | "machine" | "turn" = "no";
  #closed = false;
  #timer: unknown;

  /** Begins after `appliedIndex`. */
  constructor(
    machine: StateMachine<Command, Result>,
    codec: Codec<Command>,
    log: { readonly cache: LogCache; readonly store: Store },
    environment: Environment,
    host: ApplierHost,
    appliedIndex: LogIndex,
  ) {
    this.#machine = machine;
    this.#codec = codec;
    this.#cache = log.cache;
    this.#store = log.store;
    this.#environment = environment;
    this.#host = host;
    this.#appliedIndex = appliedIndex;
    this.#upTo = appliedIndex;
  }

  /** Index of the last entry that was applied. */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /** Whether an entry is being applied, so that nobody may look at the machine. */
  get isBusy(): boolean {
    return this.#waiting === "machine";
  }

  /** All entries up to and including this one are committed. */
  advance(upTo: LogIndex): void {
    this.#upTo = Math.max(this.#upTo, upTo);
    if (this.#waiting === "no") this.#run();
  }

  /** Applies nothing more. */
  close(): void {
    this.#closed = true;
    this.#environment.clearTimeout(this.#timer);
  }

  #run(): void {
    try {
      this.#slice();
    } catch (error) {
      this.#host.onFailure(error);
    }
  }

  /** Applies until nothing is left, something must be waited for, or the event loop should have its turn. */
  #slice(): void {
    const startedAt = this.#environment.now();
    while (this.#appliedIndex < this.#upTo && !this.#closed) {
      const from = this.#appliedIndex + 1;
      const records = this.#cache.records(from);
      if (records === undefined) return this.#wait(this.#readAndApply(from));
      const pending = this.#applySome(
        records.slice(from, Math.min(records.end, this.#upTo + 1, from + entriesPerLook)),
      );
      if (pending !== undefined) return this.#wait(pending);
      if (this.#environment.now() - startedAt > sliceMs) return this.#yield();
    }
    if (!this.#closed) this.#host.onPause(this.#appliedIndex);
  }

  /** Applies in order; returns a promise when the machine did. */
  #applySome(records: Records): Promise<void> | undefined {
    for (let index = records.from; index < records.end; index++) {
      const pending = this.#applyOne(records, index);
      if (pending !== undefined) return pending.then(() => {});
      if (this.#closed) return;
    }
  }

  #applyOne(records: Records, index: LogIndex): Promise<void> | undefined {
    const term = records.term(index);
    if (records.type(index) !== EntryType.command) return this.#settle(index, term, nothing);
    let result: Result | Promise<Result>;
    try {
      // A copy, so that nothing the machine does or keeps can touch the log.
      const payload = records.payload(index).slice();
      const command = (records.flags(index) & RecordFlag.raw) === 0
        ? this.#codec.decode(payload)
        : payload as unknown as Command;
      result = this.#machine.apply(command, { index, term, timeMs: records.timeMs(index) });
    } catch (error) {
      return this.#settle(index, term, { ok: false, error });
    }
    if (!(result instanceof Promise)) return this.#settle(index, term, { ok: true, value: result });
    return result.then(
      (value) => this.#settle(index, term, { ok: true, value }),
      (error) => this.#settle(index, term, { ok: false, error }),
    );
  }

  #settle(index: LogIndex, term: Term, applied: Applied): undefined {
    // An invariant of the user's own that broke: going on would spread the damage.
    if (!applied.ok && applied.error instanceof InvariantError) throw applied.error;
    if (this.#closed) return;
    this.#appliedIndex = index;
    this.#host.onApplied(index, term, applied);
  }

  async #readAndApply(from: LogIndex): Promise<void> {
    const runs = await this.#store.read(from, this.#upTo + 1, readBytes);
    for (const records of runs) {
      for (let index = records.from; index < records.end && !this.#closed; index++) {
        await this.#applyOne(records, index);
      }
    }
  }

  #wait(pending: Promise<void>): void {
    this.#waiting = "machine";
    pending.then(() => {
      this.#waiting = "no";
      if (!this.#closed) this.#run();
    }, (error) => {
      this.#waiting = "no";
      if (!this.#closed) this.#host.onFailure(error);
    });
  }

  #yield(): void {
    this.#host.onPause(this.#appliedIndex);
    this.#waiting = "turn";
    this.#timer = this.#environment.setTimeout(() => {
      this.#waiting = "no";
      if (!this.#closed) this.#run();
    }, 0);
  }
}
