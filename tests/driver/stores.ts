/**
 * A store whose disk a test holds in its hand.
 *
 * @module
 */
import { memoryStore } from "../../src/store/memory.ts";
import type { Store, StoreState, StoreWrite } from "../../src/store/store.ts";
import type { LogIndex } from "../../src/types.ts";
import { EntryType } from "../../src/types.ts";
import { encodeRecords, type Records } from "../../src/wire/record.ts";

/** A promise with its two ends. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** Makes one. */
export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => [resolve, reject] = [yes, no]);
  return { promise, resolve, reject };
}

/** Over a memory store; does what its fields say. */
export class ManualStore implements Store {
  readonly isDurable = false;
  readonly inner: Store;
  /** Every write asked for. */
  readonly writes: StoreWrite[] = [];
  /** Writes under way: resolve one to make it durable. */
  readonly writing: Deferred<void>[] = [];
  /** Reads asked for, as `[from, end, bytesMax]`. */
  readonly reads: [LogIndex, LogIndex, number][] = [];
  /** Reads under way. */
  readonly reading: Deferred<void>[] = [];
  marks = 0;
  closes = 0;
  /** Whether writes wait to be resolved by hand. */
  slowWrites = false;
  slowReads = false;
  /** Set to fail the next writes, reads or marks. */
  writeError: unknown;
  readError: unknown;
  markError: unknown;

  constructor(inner: Store = memoryStore()) {
    this.inner = inner;
  }

  open(serverId: string): Promise<StoreState> {
    return this.inner.open(serverId);
  }

  write(write: StoreWrite): Promise<void> | undefined {
    this.writes.push(write);
    if (this.writeError !== undefined) return Promise.reject(this.writeError);
    if (!this.slowWrites) return this.inner.write(write);
    const done = deferred();
    this.writing.push(done);
    return done.promise.then(() => this.inner.write(write));
  }

  read(from: LogIndex, end: LogIndex, bytesMax: number): Promise<Records[]> | Records[] {
    this.reads.push([from, end, bytesMax]);
    if (this.readError !== undefined) return Promise.reject(this.readError);
    if (!this.slowReads) return this.inner.read(from, end, bytesMax);
    const done = deferred();
    this.reading.push(done);
    return done.promise.then(() => this.inner.read(from, end, bytesMax));
  }

  mark(): Promise<void> | undefined {
    this.marks++;
    return this.markError === undefined ? undefined : Promise.reject(this.markError);
  }

  close(): Promise<void> {
    this.closes++;
    return this.inner.close();
  }
}

/** Entries `[from, from + values.length)` of a term: commands of one byte each. */
export function entries(from: LogIndex, term: number, ...values: number[]): Records {
  return encodeRecords(
    from,
    term,
    0,
    values.map((value) => ({ type: EntryType.command, flags: 1, payload: Uint8Array.of(value) })),
  );
}
