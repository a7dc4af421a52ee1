/**
 * The write-ahead log: a store on files that survives a crash at any moment.
 *
 * The log is a chain of batches (src/wire/batch.ts) in segments: files that are only ever appended to. A write is one
 * batch, written and synced in one operation; removing entries is a note in a batch. What is on disk is therefore never
 * changed, and recovery (recovery.ts) has only to find where the chain ends.
 *
 * @module
 */
import { EntryNotFoundError, InvariantError, RaftError, StorageError } from "../../errors.ts";
import type { Identity, LogIndex, Vote } from "../../types.ts";
import { BATCH_HEAD_BYTES_MAX, type BatchHead, encodeBatch, type EncodedBatch } from "../../wire/batch.ts";
import type { Records } from "../../wire/record.ts";
import type { FileHandle, Files } from "../files.ts";
import type { Store, StoreState, StoreWrite } from "../store.ts";
import { boundsAfter, type LogBounds } from "../write_check.ts";
import { recover, type Recovered } from "./recovery.ts";
import { withFile } from "./scanner.ts";
import { Reaper } from "./reaper.ts";
import { compactSegments, Segment, segmentOf, truncateSegments } from "./segment.ts";
import { makeStartSegment, Preparation, UNFINISHED_NAME } from "./segment_file.ts";
import { planStart } from "./start.ts";
import { readEntries } from "./segment_reader.ts";
import { SEGMENT_HEADER_BYTES, type SegmentHeader, sequenceOfName } from "./segment_header.ts";

/** What {@linkcode walStore} takes. */
export interface WalOptions {
  /**
   * Size of a segment, in bytes. The log is deleted by whole segments; each is filled with zeros before it is used.
   *
   * @default {67108864}
   */
  readonly segmentBytes?: number;
  /** Makes incarnation and salt; at most 64 characters that nobody can guess. @default {crypto.randomUUID} */
  readonly random?: () => string;
  /** Milliseconds of a clock that never goes back, for `onSync`. @default {performance.now} */
  readonly now?: () => number;
  /** Called with the duration in milliseconds of every write, sync included. */
  readonly onSync?: ((ms: number) => void) | undefined;
}

/** The first segment of a start is short, as most starts follow a clean stop and write little. */
const START_SEGMENT_BYTES = 1 << 20;

/** Entries of at most so many bytes are written once more at a start, to save segments; fewer when segments are small. */
const MERGED_BYTES_MAX = 256 << 10;

/** A segment may grow to so many times its size when the next one isn't ready. */
const OVERSIZE_FACTOR = 4;

const SEGMENT_BYTES_MIN = 4_096;

/** With the oversize and a batch of 2 GiB on top, offsets still fit into 32 bits. */
const SEGMENT_BYTES_MAX = 512 << 20;

/** A store over a directory of files, which it has for itself. Nothing is touched before `open`. */
export function walStore(files: Files, options: WalOptions = {}): Store {
  return new WalStore(files, options);
}

class WalStore implements Store {
  readonly #files: Files;
  readonly #segmentBytes: number;
  readonly #random: () => string;
  readonly #now: () => number;
  readonly #onSync: ((ms: number) => void) | undefined;
  #phase: "new" | "open" | "closed" = "new";
  #opening: Promise<StoreState> | undefined;
  #closing: Promise<void> | undefined;
  #lock: { release(): Promise<void> } | undefined;
  /** Why no write is taken any more. */
  #failure: StorageError | undefined;
  /** Settles when the write under way does; never rejects. */
  #busy: Promise<void> | undefined;

  /** The current segment is the last one, its file is `#file`. */
  #segments: Segment[] = [];
  #file: FileHandle | undefined;
  #preparation: Preparation | undefined;
  readonly #reaper: Reaper;

  #header: Omit<SegmentHeader, "sequence" | "clusterId" | "hasBatch"> = { serverId: "", incarnation: "", salt: "" };
  #clusterId = "";
  #starts = 0;
  #vote: Vote = { term: 0, votedFor: undefined };
  #bounds: LogBounds = { firstIndex: 1, prevTerm: 0, lastIndex: 0 };
  /** Sequence and checksum of the latest durable batch. */
  #sequence = 0;
  #chain = 0;
  /** Sequence of the latest batch that removes entries: once a later one is durable, that one is beyond doubt. */
  #removedAt = 0;
  /** Whether that batch is nothing but a mark. */
  #isMarked = false;

  constructor(files: Files, options: WalOptions) {
    const { segmentBytes = 64 << 20 } = options;
    if (!(segmentBytes >= SEGMENT_BYTES_MIN && segmentBytes <= SEGMENT_BYTES_MAX)) {
      const range = `${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}`;
      throw new RangeError(`Cannot make segments of ${segmentBytes} bytes: use ${range}`);
    }
    this.#files = files;
    this.#reaper = new Reaper(files);
    this.#segmentBytes = segmentBytes;
    this.#random = options.random ?? (() => crypto.randomUUID());
    this.#now = options.now ?? (() => performance.now());
    this.#onSync = options.onSync;
  }

  open(serverId: string): Promise<StoreState> {
    if (this.#phase !== "new" || this.#opening !== undefined) {
      const error = new StorageError(`Cannot open "${this.#files.location}" twice: make another store`, "open");
      return Promise.reject(error);
    }
    return this.#opening = this.#open(serverId).catch(async (cause) => {
      this.#phase = "closed";
      await this.#file?.close().catch(() => {});
      await this.#lock?.release();
      if (cause instanceof RaftError) throw cause;
      throw new StorageError(`Cannot open "${this.#files.location}": ${messageOf(cause)}`, "open", cause);
    });
  }

  write(write: StoreWrite): Promise<void> {
    return this.#exclusively(async () => {
      const bounds = boundsAfter(write, this.#bounds);
      const { clusterId = this.#clusterId, vote, truncateFrom, compactTo, records } = write;
      if (clusterId !== this.#clusterId && this.#clusterId !== "") {
        throw new InvariantError(`Cannot move from cluster "${this.#clusterId}" to "${clusterId}"`);
      }
      const identity = write.clusterId === undefined ? undefined : { clusterId, starts: this.#starts };
      this.#isMarked = false;
      await this.#append({ identity, vote, truncateFrom, compactTo }, records);
      this.#clusterId = clusterId;
      this.#vote = vote ?? this.#vote;
      this.#bounds = bounds;
    });
  }

  mark(): Promise<void> | undefined {
    if (this.#isMarked || this.#failure !== undefined || this.#phase !== "open") return undefined;
    return this.#exclusively(async () => {
      if (this.#isMarked) return;
      await this.#append({}, []);
      this.#isMarked = true;
    });
  }

  async read(from: LogIndex, end: LogIndex, bytesMax: number): Promise<Records[]> {
    if (this.#phase !== "open") throw this.#notOpen("read");
    const { firstIndex, lastIndex } = this.#bounds;
    if (!(from >= firstIndex && from <= lastIndex && end > from)) {
      throw new EntryNotFoundError(from, firstIndex, lastIndex);
    }
    try {
      return [await readEntries(this.#files, segmentOf(this.#segments, from), from, end, bytesMax)];
    } catch (error) {
      // Its file may have been removed meanwhile.
      const { firstIndex, lastIndex } = this.#bounds;
      throw from < firstIndex ? new EntryNotFoundError(from, firstIndex, lastIndex) : error;
    }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #open(serverId: string): Promise<StoreState> {
    const files = this.#files;
    await files.ensure();
    await refuseForeign(files);
    this.#lock = await files.lock();
    // Again, now that nobody else changes it.
    await refuseForeign(files);
    const recovered = await recover(files, serverId);
    const { incarnation = this.#random(), salt = this.#random() } = recovered.header ?? {};
    this.#header = { serverId, incarnation, salt };
    await this.#start(recovered);
    this.#phase = "open";
    const { firstIndex, prevTerm, lastIndex, vote, terms, configurations, clusterId, starts } = recovered.state;
    const newest = lastIndex < firstIndex ? undefined : (await this.read(lastIndex, lastIndex + 1, 0))[0];
    const identity: Identity = { clusterId, serverId, incarnation, starts };
    const lastTimeMs = newest?.timeMs(lastIndex) ?? 0;
    return { vote, firstIndex, prevTerm, lastIndex, terms, configurations, lastTimeMs, identity };
  }

  /** Begins a segment that says again what the last batch of all said: see start.ts. */
  async #start(recovered: Recovered): Promise<void> {
    const { state } = recovered;
    const plan = await planStart(this.#files, recovered, Math.min(MERGED_BYTES_MAX, this.#segmentBytes / 16));
    const { kept, obsolete, records } = plan;
    state.starts++;
    this.#starts = state.starts;
    this.#clusterId = state.clusterId;
    this.#vote = state.vote;
    this.#bounds = { firstIndex: state.firstIndex, prevTerm: state.prevTerm, lastIndex: state.lastIndex };
    const head: BatchHead = { ...plan.head, identity: { clusterId: state.clusterId, starts: state.starts } };
    let batch: EncodedBatch | undefined;
    const capacity = Math.min(START_SEGMENT_BYTES, this.#segmentBytes);
    const made = await makeStartSegment(this.#files, this.#headerOf(head.segment), capacity, (seed) => {
      batch = encodeBatch(head, records, seed);
      return batch.parts;
    });
    this.#file = made.file;
    const { nextIndex } = plan.head.base;
    const segment = new Segment(head.segment, made.seed, SEGMENT_HEADER_BYTES, made.capacity, nextIndex);
    this.#segments = [...kept, segment];
    this.#sequence = head.sequence - 1;
    this.#advance(segment, batch!, head, records);
    // The last one first, and each durably, so that a crash leaves no hole.
    for (const name of obsolete.toReversed()) {
      await this.#files.remove(name);
      await this.#files.syncDirectory();
    }
    await shorten(this.#files, kept.at(-1));
  }

  /** Writes a batch; an error is the end of this store. */
  async #append(
    content: Pick<BatchHead, "identity" | "vote" | "truncateFrom" | "compactTo">,
    records: readonly Records[],
  ): Promise<void> {
    try {
      await this.#makeRoom(BATCH_HEAD_BYTES_MAX + records.reduce((sum, part) => sum + part.byteLength, 0));
    } catch (cause) {
      throw this.#fail("write", cause);
    }
    const segment = this.#current();
    const head: BatchHead = {
      segment: segment.sequence,
      sequence: this.#sequence + 1,
      mark: this.#sequence,
      chain: this.#chain,
      group: 0,
      ...content,
    };
    const batch = encodeBatch(
      segment.end > SEGMENT_HEADER_BYTES ? head : { ...head, ...this.#firstSections(content) },
      records,
      segment.seed,
    );
    const start = this.#now();
    try {
      await this.#file!.write(batch.parts, segment.end);
    } catch (cause) {
      throw this.#fail("write", cause);
    }
    this.#onSync?.(this.#now() - start);
    this.#advance(segment, batch, content, records);
    this.#removeEmptied();
  }

  /** Removes the first segments when none of their entries is left, and damage to the last batch can't bring them back. */
  #removeEmptied(): void {
    if (this.#removedAt >= this.#sequence) return;
    let count = 0;
    while (count < this.#segments.length - 1 && this.#segments[count].entries.end <= this.#bounds.firstIndex) count++;
    if (count > 0) this.#reaper.remove(this.#segments.splice(0, count));
  }

  /** What the first batch of a segment says besides, so that nothing but entries depends on the segments before. */
  #firstSections(content: Pick<BatchHead, "identity" | "vote">): Pick<BatchHead, "base" | "identity" | "vote"> {
    const { firstIndex, prevTerm, lastIndex } = this.#bounds;
    return {
      base: { firstIndex, prevTerm, nextIndex: lastIndex + 1 },
      identity: content.identity ?? { clusterId: this.#clusterId, starts: this.#starts },
      vote: content.vote ?? this.#vote,
    };
  }

  /** Notes that a batch is durable. */
  #advance(
    segment: Segment,
    batch: EncodedBatch,
    { truncateFrom, compactTo }: Pick<BatchHead, "truncateFrom" | "compactTo">,
    records: readonly Records[],
  ): void {
    if (truncateFrom !== undefined) truncateSegments(this.#segments, truncateFrom);
    if (compactTo !== undefined) {
      compactSegments(this.#segments, compactTo.firstIndex);
    }
    if (truncateFrom !== undefined || compactTo !== undefined) this.#removedAt = this.#sequence + 1;
    let offset = segment.end + batch.headBytes;
    for (const part of records) {
      segment.entries.append(part, offset);
      offset += part.byteLength;
    }
    segment.end += batch.byteLength;
    this.#sequence++;
    this.#chain = batch.checksum;
  }

  /** Goes on to the next segment when this one is full and the next is ready, or must be. */
  async #makeRoom(bytes: number): Promise<void> {
    const { end, capacity, sequence } = this.#current();
    if (end > capacity / 2) this.#prepare(sequence + 1);
    if (end + bytes <= capacity || end === SEGMENT_HEADER_BYTES) return;
    const preparation = this.#prepare(sequence + 1);
    if (end + bytes > this.#segmentBytes * OVERSIZE_FACTOR) await preparation.settled;
    if (preparation.failure !== undefined) throw preparation.failure.cause;
    const { ready } = preparation;
    if (ready === undefined) return;
    this.#preparation = undefined;
    await this.#file!.close();
    this.#file = ready.file;
    this.#segments.push(
      new Segment(ready.sequence, ready.seed, SEGMENT_HEADER_BYTES, ready.capacity, this.#bounds.lastIndex + 1),
    );
  }

  #prepare(sequence: number): Preparation {
    return this.#preparation ??= new Preparation(this.#files, this.#headerOf(sequence), this.#segmentBytes);
  }

  #headerOf(sequence: number): Omit<SegmentHeader, "hasBatch"> {
    return { ...this.#header, sequence, clusterId: this.#clusterId };
  }

  #current(): Segment {
    return this.#segments[this.#segments.length - 1];
  }

  /** Runs tasks that write one after the other, in the order of the calls. */
  async #exclusively(task: () => Promise<void>): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#phase !== "open") throw this.#notOpen("write");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#busy = promise;
    try {
      await task();
    } finally {
      this.#busy = undefined;
      resolve();
    }
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {});
    // A failing mark costs nothing but the mark.
    await this.mark()?.catch(() => {});
    while (this.#busy !== undefined) await this.#busy;
    if (this.#phase !== "open") return;
    this.#phase = "closed";
    await this.#reaper.settle();
    await this.#preparation?.stop().catch(() => {});
    await this.#file?.close().catch(() => {});
    if (this.#failure === undefined) await shorten(this.#files, this.#current()).catch(() => {});
    await this.#lock?.release();
  }

  /** Whatever the disk did with what failed, a later sync proves nothing about it: no further write is tried. */
  #fail(operation: string, cause: unknown): StorageError {
    const { location } = this.#files;
    const message = `Cannot ${operation} to "${location}": ${messageOf(cause)}: see to the disk, then restart`;
    return this.#failure ??= new StorageError(message, operation, cause);
  }

  #notOpen(operation: string): StorageError {
    return new StorageError(`Cannot ${operation} as "${this.#files.location}" is not open`, operation);
  }
}

/** Refuses a directory that holds something, but no log. */
async function refuseForeign(files: Files): Promise<void> {
  const names = await files.list();
  if (names.some((name) => sequenceOfName(name) !== undefined)) return;
  const foreign = names.find((name) => name !== UNFINISHED_NAME);
  if (foreign === undefined) return;
  throw new StorageError(
    `Cannot make a log in "${files.location}" as "${foreign}" is in it, but no log: use an empty directory`,
    "open",
  );
}

/** Gives back the room that a segment never used. Nobody needs that to be durable. */
async function shorten(files: Files, segment: Segment | undefined): Promise<void> {
  if (segment === undefined) return;
  await withFile(files, segment.name, async (file) => {
    if (await file.size() > segment.end) await file.truncate(segment.end);
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
