/**
 * Applies committed entries in order: one at a time, or a few together when the machine takes them so.
 *
 * @module
 */
import { DamagedEntryError, InvariantError } from "../errors.ts";
import type { BatchedResult, Codec, StateMachine } from "../machine.ts";
import { mark } from "../marks.ts";
import type { LogCache } from "../store/log_cache.ts";
import type { Store } from "../store/store.ts";
import { EntryType, type LogIndex, type Term } from "../types.ts";
import { RecordFlag, type Records } from "../wire/record.ts";
import { batchOf, BatchSize, commandOf, contextOf, CopyRoom, outcomesOf } from "./command_batch.ts";
import type { Environment } from "./environment.ts";
import { Hasher, type Hashing } from "./hasher.ts";
import { LogReader } from "./log_reader.ts";
import { type LoggedRestore, restoreFrom, Restores } from "./restores.ts";
import { SessionTable } from "./session_table.ts";

/** How a command ended: what the machine returned, or threw. */
export type Applied = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

/** What an applier tells. */
export interface ApplierHost {
  /** An entry was applied (or skipped over, when it is none of the user's). */
  onApplied(index: LogIndex, term: Term, applied: Applied): void;
  /** The machine was restored from a snapshot that ends here: entries up to there are never applied one by one. */
  onInstalled(index: LogIndex): void;
  /** No entry is being applied now, and all up to here were. */
  onPause(upTo: LogIndex): void;
  /** The disk could not give an entry. */
  onDamage(error: DamagedEntryError): void;
  /** The log can't be read (`read`), or the machine reported that it must not go on. */
  onFailure(error: unknown, operation?: "read"): void;
}

/** A snapshot to restore the machine from. */
export interface Installation {
  /** The last entry that it includes. */
  readonly index: LogIndex;
  /** That entry's time stamp. */
  readonly timeMs: number;
  /** Gives the machine its bytes. */
  restore(): Promise<void>;
  /** Nobody restores it any more. */
  release(): void;
}

/** Where an applier begins. */
export interface AppliedState {
  /** The last entry that the machine has. */
  readonly index: LogIndex;
  /** That entry's time stamp, 0 when there is none. */
  readonly timeMs: number;
  /** The sessions up to there. */
  readonly sessions?: SessionTable | undefined;
  /** Whom the machine's hash is for; it is asked for by nobody by default. */
  readonly hashing?: Hashing | undefined;
}

/** Entries between two looks at the clock. */
const entriesPerLook = 32;
/** How long applying may keep the event loop from everything else, milliseconds. */
const sliceMs = 10;
/** How long, when only reads give everything else its turn: they do when they come from a disk, which nobody can be sure of. */
const readSlicesMs = 100;

const nothing: Applied = { ok: true, value: undefined };

/** One machine's only caller: never re-entered, not by reads either. */
export class Applier<Command, Result> {
  readonly #machine: StateMachine<Command, Result>;
  readonly #codec: Codec<Command>;
  readonly #log: LogReader;
  readonly #environment: Environment;
  readonly #host: ApplierHost;
  #appliedIndex: LogIndex;
  #upTo: LogIndex;
  /** Set while the machine or the disk has its turn, or everything else has. */
  #waiting: "no" | "machine" | "disk" | "turn" = "no";
  /** Since when the event loop may have had no turn. */
  #sliceStartedAt = 0;
  /** When it had its last turn for sure. */
  #turnedAt = 0;
  #closed = false;
  #timer: unknown;
  /** To be restored before anything else is applied. */
  #installation: Installation | undefined;
  /** Nothing is applied before a snapshot has taken the machine's place, or this is over. */
  #isHeld = false;
  /** Wants to know where that began; told once the machine is free. */
  #onHeld: ((index: LogIndex) => void) | undefined;
  /** Waits for an entry to be repaired, or for a snapshot: to be told so, as all are. */
  #onAdvance: () => void = () => {};
  /** Want to look at the machine between two entries. */
  #visitors: (() => void)[] = [];
  readonly #hasher: Hasher;
  #timeMs: number;
  #bytes = 0;
  /** Begun, and not counted in `#bytes`. */
  #begun: Records | undefined;
  readonly #batchSize = new BatchSize(entriesPerLook, sliceMs);
  readonly #copies = new CopyRoom();
  readonly #restores = new Restores();
  /** What clients' commands came of; changes with the machine. */
  readonly sessions: SessionTable;

  /** Begins after that entry. */
  constructor(
    machine: StateMachine<Command, Result>,
    codec: Codec<Command>,
    log: { readonly cache: LogCache; readonly store: Store },
    environment: Environment,
    host: ApplierHost,
    applied: AppliedState,
  ) {
    this.#machine = machine;
    this.#codec = codec;
    this.#log = new LogReader(log.cache, log.store);
    this.#environment = environment;
    this.#host = host;
    this.#appliedIndex = applied.index;
    this.#upTo = applied.index;
    this.#timeMs = applied.timeMs;
    this.sessions = applied.sessions ?? new SessionTable();
    this.#hasher = new Hasher(machine, applied.hashing);
  }

  /** Index of the last entry that was applied. */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /** The time stamp of the last entry that was applied. */
  get appliedTimeMs(): number {
    return this.#timeMs;
  }

  /** Bytes of the entries applied since the start. */
  get appliedBytes(): number {
    return this.#bytes;
  }

  /** Whether an entry is being applied or a snapshot restored, so that nobody may look at the machine. */
  get isBusy(): boolean {
    return this.#waiting === "machine";
  }

  /** Whether entries before this one are needed besides the machine's state: no snapshot may be taken here. */
  get isRestoring(): boolean {
    return this.#restores.isOpen;
  }

  /** Nobody needs the entries up to here any more: what is applied, but for the parts of a restore that is not over. */
  get doneIndex(): LogIndex {
    return Math.min(this.#appliedIndex, (this.#restores.neededFrom ?? Infinity) - 1);
  }

  /** Calls back between two entries: now when the machine is free, else as soon as it is. */
  whenFree(visit: () => void): void {
    if (this.#waiting === "machine" || this.#installation !== undefined || this.#isHeld) this.#visitors.push(visit);
    else visit();
  }

  /**
   * Applies nothing more until a snapshot has taken the machine's place, or {@linkcode Applier.release}. Reads go on.
   *
   * @param onHeld Called with the last entry that is applied: now when the machine is free, else as soon as it is.
   */
  hold(onHeld: (index: LogIndex) => void): void {
    this.#isHeld = true;
    this.#onHeld = onHeld;
    if (this.#waiting !== "machine" && this.#installation === undefined) this.#tellHeld();
  }

  #tellHeld(): void {
    const tell = this.#onHeld;
    this.#onHeld = undefined;
    tell?.(this.#appliedIndex);
  }

  /** Goes on with the machine as it is. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#onHeld = undefined;
    if (this.#waiting === "no") this.#begin();
  }

  /** Whether a snapshot is about to take the machine's place, or does. */
  get isInstalling(): boolean {
    return this.#installation !== undefined;
  }

  /** A snapshot is ahead of the machine: restores it from there as soon as it is free, and goes on after it. */
  install(installation: Installation): void {
    if (installation.index <= (this.#installation?.index ?? this.#appliedIndex)) return installation.release();
    this.#installation?.release();
    this.#installation = installation;
    this.advance(installation.index);
  }

  /** All entries up to and including this one are committed. */
  advance(upTo: LogIndex): void {
    this.#upTo = Math.max(this.#upTo, upTo);
    this.#onAdvance();
    if (this.#waiting === "no") this.#begin();
  }

  /** Applies nothing more. */
  close(): void {
    this.#closed = true;
    this.#environment.clearTimeout(this.#timer);
  }

  #begin(): void {
    this.#waiting = "no";
    this.#sliceStartedAt = this.#turnedAt = this.#environment.now();
    this.#run();
  }

  #run(isResumed = false): void {
    if (this.#closed) return;
    try {
      // Whoever waits for an entry need not wait for the next one, which a busy machine always has.
      const hasNext = this.#installation === undefined && this.#appliedIndex < this.#upTo;
      if (isResumed && hasNext) this.#host.onPause(this.#appliedIndex);
      this.#slice(isResumed);
    } catch (error) {
      this.#host.onFailure(error);
    }
  }

  /** Applies until nothing is left, something must be waited for, or the event loop should have its turn. */
  #slice(isResumed: boolean): void {
    for (let isFresh = !isResumed;; isFresh = false) {
      this.#countBytes();
      if (this.#installation !== undefined) return this.#restore(this.#installation);
      this.#hasher.look(this.#appliedIndex);
      if (this.#isHeld) {
        this.#tellHeld();
        break;
      }
      for (const visit of this.#visitors.splice(0)) visit();
      if (this.#appliedIndex >= this.#upTo || this.#closed) break;
      if (!isFresh && this.#environment.now() - this.#sliceStartedAt > sliceMs) return this.#yield();
      const from = this.#appliedIndex + 1;
      const records = this.#log.records(from);
      if (records === undefined) return this.#wait("disk", this.#fetch(from));
      const isSlow = from < this.#upTo && this.#environment.buggify?.("slow-apply") === true;
      const countMax = this.#machine.applyBatch === undefined ? entriesPerLook : this.#batchSize.count;
      const count = isSlow ? 1 : countMax;
      const some = records.slice(
        from,
        Math.min(records.end, this.#upTo + 1, from + count, this.#hasher.next(from) + 1),
      );
      this.#begun = some;
      const pending = this.#applySome(some);
      if (pending !== undefined) return this.#wait("machine", pending);
      if (isSlow && !this.#closed) return this.#yield();
    }
    if (!this.#closed) this.#host.onPause(this.#appliedIndex);
  }

  /** Of what was begun, only what was applied: an async machine may be given the rest anew. */
  #countBytes(): void {
    const { from, end } = this.#begun ?? { from: 0, end: 0 };
    const until = Math.min(end, this.#appliedIndex + 1);
    if (from < until) this.#bytes += this.#begun!.slice(from, until).byteLength;
    this.#begun = undefined;
  }

  #restore(installation: Installation): void {
    const { index, timeMs } = installation;
    this.#log.forget();
    this.#restores.forget();
    const restored = installation.restore().then(() => {
      // A newer one may wait by now.
      if (this.#installation === installation) this.#installation = undefined;
      if (this.#closed) return;
      this.#appliedIndex = index;
      this.#timeMs = timeMs;
      // Whoever was not told yet wants a later one.
      if (this.#onHeld === undefined) this.#isHeld = false;
      this.#host.onInstalled(index);
    });
    this.#wait("machine", restored);
  }

  async #fetch(from: LogIndex): Promise<void> {
    let records: readonly Records[];
    try {
      records = await this.#log.read(from, this.#upTo + 1);
    } catch (error) {
      if (!(error instanceof DamagedEntryError)) throw error;
      // Goes on when it is told to: that will be when the entry is repaired.
      this.#log.forget();
      // Where a snapshot is about to take the machine's place nobody waits for it, but for what follows that.
      if (this.#installation === undefined) this.#upTo = this.#appliedIndex;
      return this.#host.onDamage(error);
    }
    const now = this.#environment.now();
    if (this.#log.hasWaited && now - this.#turnedAt < readSlicesMs) this.#sliceStartedAt = now;
    this.#log.keep(records, from);
  }

  /** Applies in order; returns a promise when the machine did. */
  #applySome(records: Records): Promise<void> | undefined {
    for (let index = records.from; index < records.end; index = this.#appliedIndex + 1) {
      const pending = this.#machine.applyBatch === undefined
        ? this.#applyOne(records, index)
        : this.#applyBatch(records, index);
      if (pending !== undefined) return pending;
      if (this.#closed) return;
    }
  }

  #applyOne(records: Records, index: LogIndex): Promise<void> | undefined {
    const term = records.term(index);
    this.#timeMs = records.timeMs(index);
    this.#restores.onTerm(term);
    const type = records.type(index);
    if (type === EntryType.restore) return this.#applyRestore(records, index, term);
    if (type !== EntryType.command) return this.#settle(index, term, nothing);
    const isClients = (records.flags(index) & RecordFlag.client) !== 0;
    const turn = isClients ? this.sessions.onRecord(records, index) : undefined;
    if (turn?.type === "answered") return this.#settle(index, term, turn.applied);
    return this.#runCommand(records, index, term, turn?.record);
  }

  /** As many of these as may come together; what a machine throws here says nothing of any one command, and is its end. */
  #applyBatch(records: Records, from: LogIndex): Promise<void> | undefined {
    const batch = batchOf(records, from, this.#codec, this.#copies);
    if (batch.length < 2) return this.#applyOne(records, from);
    const startedAt = this.#environment.now();
    const settle = (results: readonly BatchedResult<Result>[]) => {
      this.#batchSize.note(batch.length, this.#environment.now() - startedAt);
      const outcomes = outcomesOf(results, batch.length);
      for (const [at, { context: { index, term, timeMs } }] of batch.entries()) {
        this.#timeMs = timeMs;
        this.#restores.onTerm(term);
        this.#settle(index, term, outcomes[at]!);
      }
    };
    const results = this.#machine.applyBatch!(batch);
    if (isThenable(results)) return Promise.resolve(results).then(settle);
    settle(results as readonly BatchedResult<Result>[]);
  }

  #applyRestore(records: Records, index: LogIndex, term: Term): Promise<void> | undefined {
    const verdict = this.#restores.onEntry(records, index);
    if ("applied" in verdict) return this.#settle(index, term, verdict.applied);
    return this.#restoreLogged(verdict.restore, index).then((isRestored) => {
      this.#restores.onRestored();
      if (isRestored && !this.#closed) this.#settle(index, term, nothing);
    });
  }

  /** The machine forgets all that it was told, and so do the sessions. False when a snapshot comes instead. */
  async #restoreLogged(restore: LoggedRestore, end: LogIndex): Promise<boolean> {
    for (;;) {
      const repaired = new Promise<void>((resolve) => this.#onAdvance = resolve);
      let damage: DamagedEntryError | undefined;
      try {
        damage = await restoreFrom(this.#machine, restore, end, (index) => this.#log.at(index, end));
      } catch (error) {
        if (this.#installation === undefined) throw error;
      }
      // One that took the place of the log meanwhile, parts included, is next.
      if (this.#installation !== undefined) return false;
      if (damage === undefined) break;
      if (this.#closed) return false;
      this.#host.onDamage(damage);
      // Nobody looks at a machine that is restored by half.
      await repaired;
    }
    this.sessions.clear();
    mark("restore-applied");
    return true;
  }

  #runCommand(
    records: Records,
    index: LogIndex,
    term: Term,
    record: ((applied: Applied) => void) | undefined,
  ): Promise<void> | undefined {
    let result: Result | PromiseLike<Result>;
    let isAsync: boolean;
    try {
      const command = commandOf(records, index, this.#codec, this.#copies);
      result = this.#machine.apply(command, contextOf(records, index));
      isAsync = isThenable(result);
    } catch (error) {
      return this.#settle(index, term, { ok: false, error }, record);
    }
    if (!isAsync) return this.#settle(index, term, { ok: true, value: result }, record);
    return Promise.resolve(result).then(
      (value) => this.#settle(index, term, { ok: true, value }, record),
      (error) => this.#settle(index, term, { ok: false, error }, record),
    );
  }

  /** @param record Called with what came of a client's command, which may ask again. */
  #settle(index: LogIndex, term: Term, applied: Applied, record?: (applied: Applied) => void): undefined {
    // An invariant of the user's own that broke: going on would spread the damage.
    if (!applied.ok && applied.error instanceof InvariantError) throw applied.error;
    record?.(applied);
    if (this.#closed) return;
    this.#appliedIndex = index;
    this.#host.onApplied(index, term, applied);
  }

  #wait(what: "machine" | "disk", pending: Promise<void>): void {
    this.#waiting = what;
    pending.then(() => {
      this.#waiting = "no";
      this.#run(true);
    }, (error) => {
      this.#waiting = "no";
      if (this.#closed) return;
      // What was to be read may have gone with the log that a snapshot took the place of.
      if (what === "disk" && this.#installation !== undefined) return this.#run(true);
      this.#host.onFailure(error, what === "disk" ? "read" : undefined);
    });
  }

  #yield(): void {
    this.#waiting = "turn";
    this.#timer = this.#environment.setTimeout(() => this.#begin(), 0);
    this.#host.onPause(this.#appliedIndex);
  }
}

/** A promise of another library or realm is one too. */
function isThenable(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}
