/**
 * Writes to the store: one at a time, each with all that came meanwhile (group commit). No timer adds latency.
 *
 * @module
 */
import type { Event } from "../core/event.ts";
import { StorageFullError } from "../errors.ts";
import { mark } from "../marks.ts";
import type { Buggify } from "../points.ts";
import type { Store, StoreWrite } from "../store/store.ts";
import type { LogIndex, LogStart, Vote } from "../types.ts";
import type { Records } from "../wire/record.ts";
import type { Environment } from "./environment.ts";

/** What the next write holds, and what to tell the core when it is durable. */
interface Batch {
  records: Records[];
  repairs: Records[];
  /** What `entries-repaired` will name. */
  repairSequences: number[];
  vote: Vote | undefined;
  truncateFrom: LogIndex | undefined;
  compactTo: LogStart | undefined;
  clusterId: string | undefined;
  voteSequence: number | undefined;
  entries: { readonly end: LogIndex; readonly epoch: number } | undefined;
}

/** What a writer tells. */
export interface WriterOutput {
  /** Something is durable. */
  onPersisted(event: Extract<Event, { type: "vote-persisted" | "entries-persisted" | "entries-repaired" }>): void;
  /** There is no room on the disk, or some again. What was to be written waits; votes don't. */
  onFull(isFull: boolean): void;
  /** A write failed: nothing that was asked for since the last success may be trusted. */
  onFailure(error: unknown): void;
}

/** A quiet time after which the store notes that all is durable, milliseconds. */
const idleMs = 100;

/** One store's only writer. */
export class Writer {
  readonly #store: Store;
  readonly #environment: Environment;
  readonly #output: WriterOutput;
  #next: Batch = emptyBatch();
  #busy: Promise<void> | undefined;
  /** What there was no room for: it goes first, when there is some. */
  #waiting: Batch | undefined;
  #retryTimer: unknown;
  #isFull = false;
  #failed = false;
  #closed = false;
  #idleTimer: unknown;
  #lastWriteAt = 0;

  /** Takes an open store. */
  constructor(store: Store, environment: Environment, output: WriterOutput) {
    this.#store = store;
    this.#environment = environment;
    this.#output = output;
  }

  /** Entries that follow the last ones; `entries-persisted` will name this end and epoch. */
  append(records: Records, epoch: number): void {
    this.#next.records.push(records);
    this.#next.entries = { end: records.end, epoch };
  }

  /** Entries of the log that are damaged on disk, written anew; `entries-repaired` will name the sequence. */
  repair(records: Records, sequence: number): void {
    this.#next.repairs.push(records);
    this.#next.repairSequences.push(sequence);
  }

  /** Removes all entries from the index on. */
  truncate(from: LogIndex): void {
    const { records, truncateFrom } = this.#next;
    this.#keepRepairs(0, from);
    const firstUnwritten = records[0]?.from ?? Infinity;
    // What is not written yet is cut here; the store cuts the rest, before it takes what this batch holds.
    while (records.length > 0 && records[records.length - 1]!.from >= from) records.pop();
    const last = records[records.length - 1];
    if (last !== undefined && last.end > from) records[records.length - 1] = last.slice(last.from, from);
    if (from < firstUnwritten) this.#next.truncateFrom = Math.min(truncateFrom ?? Infinity, from);
    this.#next.entries = undefined;
  }

  /** Removes all entries before `start.firstIndex`; those of them that are not written yet are never written. */
  compact(start: LogStart): void {
    const { records } = this.#next;
    this.#keepRepairs(start.firstIndex, Infinity);
    while (records.length > 0 && records[0]!.end <= start.firstIndex) records.shift();
    const first = records[0];
    if (first !== undefined && first.from < start.firstIndex) records[0] = first.slice(start.firstIndex, first.end);
    this.#next.compactTo = start;
  }

  /**
   * Lets the log go on after a snapshot, with no entry; `entries-persisted` will name the snapshot's end and this epoch.
   *
   * @param truncateFrom Where the log conflicts with the snapshot, if it does.
   */
  install(start: LogStart, truncateFrom: LogIndex | undefined, epoch: number): void {
    if (truncateFrom !== undefined) this.truncate(truncateFrom);
    this.compact(start);
    this.#next.entries = { end: start.firstIndex, epoch };
  }

  /** Of what is to be repaired only these entries will be there. */
  #keepRepairs(from: LogIndex, end: LogIndex): void {
    this.#next.repairs = this.#next.repairs
      .filter((part) => part.from < end && part.end > from)
      .map((part) => part.slice(Math.max(part.from, from), Math.min(part.end, end)));
  }

  /** {term, votedFor}, one record; `vote-persisted` will name the sequence. */
  vote(vote: Vote, sequence: number): void {
    this.#next.vote = vote;
    this.#next.voteSequence = sequence;
  }

  /** The cluster that this disk belongs to from now on. */
  adoptCluster(clusterId: string): void {
    this.#next.clusterId = clusterId;
  }

  /** Begins a write if there is something to write and none is under way. */
  flush(): void {
    if (this.#busy !== undefined || this.#failed || this.#closed) return;
    if (this.#waiting !== undefined) return this.#writeVote();
    if (isEmpty(this.#next)) return;
    const batch = this.#next;
    this.#next = emptyBatch();
    if (this.#environment.buggify !== undefined) this.#putOff(batch, this.#environment.buggify);
    this.#write(batch);
  }

  /** For the simulator alone: all entries but the first few go into the next write. */
  #putOff(batch: Batch, buggify: Buggify): void {
    const { records, entries, vote } = batch;
    // With a vote all is durable that was asked for before it.
    if (records.length < 2 || entries === undefined || vote !== undefined || !buggify("small-write")) return;
    this.#next.records = records.splice(1);
    this.#next.entries = entries;
    batch.entries = { end: records[0]!.end, epoch: entries.epoch };
  }

  #write(batch: Batch): void {
    if (this.#store.mark !== undefined) this.#lastWriteAt = this.#environment.now();
    let done: Promise<void> | undefined;
    try {
      done = this.#store.write(toWrite(batch));
    } catch (error) {
      return this.#fail(error, batch);
    }
    if (done === undefined) return this.#onDurable(batch);
    this.#busy = done.then(() => {
      this.#busy = undefined;
      if (this.#failed) return;
      this.#onDurable(batch);
      this.flush();
    }, (error) => this.#fail(error, batch));
  }

  /** While entries wait for room, votes are written by themselves, past them. */
  #writeVote(): void {
    const { vote, voteSequence } = this.#next;
    if (vote === undefined) return;
    this.#next.vote = this.#next.voteSequence = undefined;
    this.#write({ ...emptyBatch(), vote, voteSequence });
  }

  #onFull(batch: Batch, retryAfterMs: number): void {
    if (batch.vote !== undefined) {
      // A later one has taken its place, or it is tried alone. Never again with what waits, or it might come after that.
      this.#next.vote ??= batch.vote;
      this.#next.voteSequence ??= batch.voteSequence;
      batch.vote = batch.voteSequence = undefined;
    }
    // A mark, which can be done without.
    if (isEmpty(batch) && this.#next.vote === undefined) return;
    const isVote = this.#waiting !== undefined || isEmpty(batch);
    this.#waiting ??= batch;
    if (this.#retryTimer === undefined && !this.#closed) {
      this.#retryTimer = this.#environment.setTimeout(() => this.#retry(), retryAfterMs);
    }
    this.#setFull(true);
    if (!isVote) this.flush();
  }

  #retry(): void {
    this.#retryTimer = undefined;
    if (this.#failed || this.#closed) return;
    if (this.#busy !== undefined) {
      this.#retryTimer = this.#environment.setTimeout(() => this.#retry(), idleMs);
      return;
    }
    const batch = this.#waiting!;
    this.#waiting = undefined;
    if (!isEmpty(batch)) this.#write(batch);
    this.flush();
  }

  /** Takes no more; done when the write under way is. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#environment.clearTimeout(this.#idleTimer);
    this.#environment.clearTimeout(this.#retryTimer);
    await this.#busy;
  }

  #onDurable(batch: Batch): void {
    if (this.#isFull && this.#waiting === undefined) this.#setFull(false);
    if (batch.voteSequence !== undefined) {
      this.#output.onPersisted({ type: "vote-persisted", sequence: batch.voteSequence });
    }
    for (const sequence of batch.repairSequences) this.#output.onPersisted({ type: "entries-repaired", sequence });
    if (batch.entries !== undefined) {
      this.#output.onPersisted({ type: "entries-persisted", end: batch.entries.end, epoch: batch.entries.epoch });
    }
    if (this.#idleTimer === undefined && this.#store.mark !== undefined && !this.#closed) this.#armIdle(idleMs);
  }

  #armIdle(ms: number): void {
    this.#idleTimer = this.#environment.setTimeout(() => this.#onIdle(), ms);
  }

  /** Quiet for a while: notes on disk that all is durable, so that later damage is not taken for a torn write. */
  #onIdle(): void {
    this.#idleTimer = undefined;
    if (this.#failed || this.#closed) return;
    if (this.#busy !== undefined || this.#waiting !== undefined) return this.#armIdle(idleMs);
    const quietMs = this.#environment.now() - this.#lastWriteAt;
    if (quietMs < idleMs) return this.#armIdle(Math.max(1, Math.ceil(idleMs - quietMs)));
    let done: Promise<void> | undefined;
    try {
      done = this.#store.mark!();
    } catch (error) {
      return this.#fail(error);
    }
    this.#busy = done?.then(() => {
      this.#busy = undefined;
      this.flush();
    }, (error) => this.#fail(error));
  }

  #setFull(isFull: boolean): void {
    if (this.#isFull === isFull) return;
    this.#isFull = isFull;
    this.#output.onFull(isFull);
  }

  #fail(error: unknown, batch: Batch = emptyBatch()): void {
    this.#busy = undefined;
    if (this.#failed) return;
    if (error instanceof StorageFullError) return this.#onFull(batch, error.retryAfterMs);
    this.#failed = true;
    this.#output.onFailure(error);
  }
}

function emptyBatch(): Batch {
  return {
    records: [],
    repairs: [],
    repairSequences: [],
    vote: undefined,
    truncateFrom: undefined,
    compactTo: undefined,
    clusterId: undefined,
    voteSequence: undefined,
    entries: undefined,
  };
}

function isEmpty(batch: Batch): boolean {
  return batch.records.length === 0 && batch.vote === undefined && batch.truncateFrom === undefined &&
    batch.compactTo === undefined && batch.clusterId === undefined && batch.repairSequences.length === 0;
}

function toWrite({ records, repairs, vote, truncateFrom, compactTo, clusterId }: Batch): StoreWrite {
  if (truncateFrom !== undefined && compactTo !== undefined) mark("truncated-and-compacted-at-once");
  const write: StoreWrite = { records, vote, truncateFrom, compactTo, clusterId };
  return repairs.length === 0 ? write : { ...write, repairs };
}
