/**
 * Reads that wait: for an index that is safe to read at, then for the machine to reach it.
 *
 * @module
 */
import { EntryAwaitedError, type LeaderHint, NotLeaderError } from "../errors.ts";
import { mark } from "../marks.ts";
import type { LogIndex, ServerId } from "../types.ts";
import type { Environment } from "./environment.ts";
import { shutdownError } from "./outcomes.ts";

/** One caller's question. */
export interface Read {
  /** When it came, in the driver's milliseconds. */
  readonly startedAt: number;
  /** Answers it, in the turn in which the machine has reached the index. Must not throw. */
  answer(index: LogIndex): void;
  /** Says why there is no answer. */
  reject(error: unknown): void;
  /** Whether the caller stopped waiting. */
  readonly isSettled: boolean;
  /** Whether a lease of the leader will do; not by default. */
  readonly isLease?: boolean;
}

/** Reads that share one index. */
interface Batch {
  readonly reads: readonly Read[];
  /** The server that was asked; undefined for our own core. */
  readonly from: ServerId | undefined;
  /** When it is asked again; Infinity for our own core, which always answers. */
  readonly askAgainAt: number;
}

/** Reads that wait for the machine. */
interface Due {
  readonly index: LogIndex;
  readonly reads: readonly Read[];
  /** Set where no leader vouches for the index. */
  readonly giveUpAt?: number;
}

/** All reads of one server that have no answer yet. A read changes nothing, so it is asked again when its leader falls. */
export class Reads {
  readonly #environment: Environment;
  readonly #leaderWaitMs: number;
  #queue: Read[] = [];
  readonly #asked = new Map<number, Batch>();
  /** Reads whose index the machine has not reached, by index. */
  #due: Due[] = [];
  /** Begins anywhere, so that what is said to a server's last start is not taken for an answer to this one (BR03). */
  #nextId: number;
  #closed: unknown;

  /** Reads asked for since the start. */
  count = 0;

  /** Takes the clock and how long a read may wait for a leader. */
  constructor(environment: Environment, leaderWaitMs: number) {
    this.#environment = environment;
    this.#leaderWaitMs = leaderWaitMs;
    this.#nextId = 1 + environment.randomSeed() % 2 ** 31;
  }

  /** Whether reads wait to be asked for an index. */
  get hasQueued(): boolean {
    return this.#queue.length > 0;
  }

  /** Whether among them are some that a lease will do for, or that it will not. */
  hasQueuedFor(isLease: boolean): boolean {
    return this.#queue.some((read) => (read.isLease === true) === isLease);
  }

  /** Takes a read. */
  add(read: Read): void {
    if (this.#closed !== undefined) return read.reject(shutdownError("not-applied", this.#closed));
    this.count++;
    this.#queue.push(read);
  }

  /**
   * Takes a read that any state from this entry on will do for: it is answered as soon as the machine has reached it and
   * nobody else looks at it. An entry that does not come is waited for for a limited time.
   */
  addAt(read: Read, index: LogIndex, appliedIndex: LogIndex): void {
    if (this.#closed !== undefined) return read.reject(shutdownError("not-applied", this.#closed));
    const reads = [read];
    if (index <= appliedIndex) this.#due.push({ index: 0, reads });
    else this.#due.push({ index, reads, giveUpAt: this.#environment.now() + this.#leaderWaitMs });
  }

  /**
   * All reads that wait for an index become one question, to our own core or another server; gives its number. Those that a
   * lease will do for, or the others.
   */
  ask(from: ServerId | undefined, isLease = false): number {
    const id = this.#nextId++;
    const askAgainAt = from === undefined ? Infinity : this.#environment.now() + this.#leaderWaitMs / 4;
    const isMeant = (read: Read) => (read.isLease === true) === isLease;
    this.#asked.set(id, { reads: this.#queue.filter((read) => isMeant(read) && !read.isSettled), from, askAgainAt });
    this.#queue = this.#queue.filter((read) => !isMeant(read));
    return id;
  }

  /** The question has its answer. */
  onIndex(id: number, from: ServerId | undefined, index: LogIndex): void {
    const batch = this.#asked.get(id);
    if (batch === undefined || batch.from !== from) return;
    this.#asked.delete(id);
    this.#due.push({ index, reads: batch.reads });
  }

  /** The question can't be answered there: it is asked again. */
  onRefused(id: number, from: ServerId | undefined): void {
    const batch = this.#asked.get(id);
    if (batch === undefined || batch.from !== from) return;
    this.#asked.delete(id);
    this.requeue(batch.reads);
  }

  /** That server can't be talked to any more. */
  onPeerLost(server: ServerId): void {
    for (const [id, { from }] of [...this.#asked]) if (from === server) this.onRefused(id, from);
  }

  /**
   * The leader is none any more: what it was asked is asked again, and so is what waits for entries that it may never
   * send.
   *
   * @param commitIndex Up to here entries will be applied whatever happens.
   */
  onLeaderLost(commitIndex: LogIndex): void {
    for (const [id, { from }] of [...this.#asked]) if (from !== undefined) this.onRefused(id, from);
    const isUnsure = ({ index, giveUpAt }: Due) => index > commitIndex && giveUpAt === undefined;
    const unsure = this.#due.filter(isUnsure);
    if (unsure.length === 0) return;
    this.#due = this.#due.filter((due) => !isUnsure(due));
    for (const { reads } of unsure) this.requeue(reads);
  }

  /** Nobody can be asked now: all that is queued waits, for a limited time from its arrival. */
  waitForLeader(leader: LeaderHint | undefined): void {
    const queue = this.#queue;
    this.#queue = [];
    this.requeue(queue, leader);
  }

  /** Back into the queue, but for those that have waited long enough. */
  requeue(reads: readonly Read[], leader?: LeaderHint): void {
    const giveUpAt = this.#environment.now() - this.#leaderWaitMs;
    for (const read of reads) {
      if (read.isSettled) continue;
      if (read.startedAt <= giveUpAt) read.reject(new NotLeaderError(leader));
      else this.#queue.push(read);
    }
  }

  /** Whether {@linkcode Reads.sweep} has something to wait for. */
  get needsSweep(): boolean {
    return this.#queue.length > 0 || this.#asked.size > 0 || this.#due.some(({ giveUpAt }) => giveUpAt !== undefined);
  }

  /** Asks again what got no answer, gives up what has waited long enough. To be called now and then while needed. */
  sweep(leader?: LeaderHint): void {
    const now = this.#environment.now();
    for (const [id, batch] of [...this.#asked]) if (batch.askAgainAt <= now) this.onRefused(id, batch.from);
    this.waitForLeader(leader);
    const isOver = ({ giveUpAt = Infinity }: Due) => giveUpAt <= now;
    const over = this.#due.filter(isOver);
    if (over.length === 0) return;
    mark("read-awaited-in-vain");
    this.#due = this.#due.filter((due) => !isOver(due));
    for (const { index, reads } of over) for (const read of reads) read.reject(new EntryAwaitedError(index));
  }

  /** The machine has applied all up to here and nobody else looks at it: answers what that allows. */
  onApplied(upTo: LogIndex): void {
    if (this.#due.length === 0) return;
    const ready = this.#due.filter(({ index }) => index <= upTo);
    if (ready.length === 0) return;
    this.#due = this.#due.filter(({ index }) => index > upTo);
    for (const { index, reads } of ready) {
      for (const read of reads) if (!read.isSettled) read.answer(index);
    }
  }

  /** The end. */
  close(cause: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = cause;
    const batches = [{ reads: this.#queue }, ...this.#asked.values(), ...this.#due];
    for (const { reads } of batches) for (const read of reads) read.reject(shutdownError("not-applied", cause));
    this.#queue = [];
    this.#asked.clear();
    this.#due = [];
  }
}
