/**
 * Appends batches to the current segment, goes on to the next one, and removes those that hold nothing any more.
 *
 * @module
 */
import { StorageFullError } from "../../errors.ts";
import type { LogIndex, LogStart, Term, Vote } from "../../types.ts";
import { BATCH_HEAD_BYTES_MAX, type BatchHead, encodeBatch, type EncodedBatch } from "../../wire/batch.ts";
import type { Records } from "../../wire/record.ts";
import type { FileHandle, Files } from "../files.ts";
import { LogState } from "./log_state.ts";
import { place } from "./places.ts";
import { Reaper } from "./reaper.ts";
import type { Recovered } from "./recovery.ts";
import { RepairTable } from "./repair_table.ts";
import { withFile } from "./scanner.ts";
import { Segment } from "./segment.ts";
import { isFull, makeStartSegment, Preparation, type SegmentFile } from "./segment_file.ts";
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from "./segment_header.ts";
import { planStart } from "./start.ts";

/** What one batch says. */
export interface BatchContent {
  readonly clusterId?: string | undefined;
  readonly vote?: Vote | undefined;
  readonly truncateFrom?: LogIndex | undefined;
  readonly compactTo?: LogStart | undefined;
  readonly records?: readonly Records[];
  readonly repairs?: readonly Records[];
}

/** How it writes. */
export interface LogWriterOptions {
  readonly segmentBytes: number;
  readonly now: () => number;
  readonly onSync: ((ms: number) => void) | undefined;
}

/** The first segment of a start is short, as most starts follow a clean stop and write little. */
const START_SEGMENT_BYTES = 1 << 20;

/** Entries of at most so many bytes are written once more at a start, to save segments; fewer when segments are small. */
const MERGED_BYTES_MAX = 256 << 10;

/** A segment may grow to so many times its size when the next one isn't ready. */
const OVERSIZE_FACTOR = 4;

/** Room in a segment that is left to votes and marks when the disk is full; less when segments are small. */
const RESERVE_BYTES = 64 << 10;

/** The end of a log. One append at a time. */
export class LogWriter {
  readonly #files: Files;
  readonly #options: LogWriterOptions;
  readonly #header: Pick<SegmentHeader, "serverId" | "incarnation" | "salt">;
  readonly #reaper: Reaper;
  readonly #reserveBytes: number;
  /** The current segment's. */
  #file: FileHandle | undefined;
  #preparation: Preparation | undefined;
  /** Whether there was no room for the next segment. */
  #isFull = false;
  /** Sequence and checksum of the latest durable batch. */
  #sequence = 0;
  #chain = 0;
  /** Sequence of the latest batch that removes entries: once a later one is durable, that one is beyond doubt. */
  #removedAt = 0;

  /** What is in the log. */
  state: LogState = new LogState();
  /** Where repaired entries are. */
  repairs: RepairTable = new RepairTable();
  /** Where the others are. The current segment is the last one. */
  segments: Segment[] = [];
  /** Whether the latest batch is nothing but a mark. */
  isMarked = false;

  /** Nothing is touched before `start`. */
  constructor(
    files: Files,
    options: LogWriterOptions,
    header: Pick<SegmentHeader, "serverId" | "incarnation" | "salt">,
  ) {
    this.#files = files;
    this.#options = options;
    this.#header = header;
    this.#reaper = new Reaper(files);
    this.#reserveBytes = Math.min(RESERVE_BYTES, options.segmentBytes / 4);
  }

  /** Begins a segment that says again what the last batch of all said, and that this is durable: see start.ts. */
  async start(recovered: Recovered): Promise<void> {
    const { segmentBytes } = this.#options;
    const plan = await planStart(this.#files, recovered, Math.min(MERGED_BYTES_MAX, segmentBytes / 16));
    const { kept, merged, obsolete, records, repairs, head } = plan;
    this.state = recovered.state;
    this.state.starts = head.starts;
    this.state.truncations = head.before.truncations + (head.truncateFrom === undefined ? 0 : 1);
    this.repairs = recovered.repairs;
    for (const segment of merged) this.repairs.forget(segment);
    const segment = new Segment(head.segment, head.before.nextIndex);
    this.segments = [...kept, segment];
    this.#sequence = head.sequence - 1;
    let first: EncodedBatch;
    const made = await this.#makeStartSegment(head.segment, (seed) => {
      first = encodeBatch(head, records, seed, repairs);
      return first.parts;
    }, (seed) => {
      segment.seed = seed;
      this.#place(segment, head, first, records, repairs, false);
      const mark = this.#headOf({});
      const batch = encodeBatch(mark, [], seed);
      this.#place(segment, mark, batch, [], []);
      return batch.parts;
    });
    this.#use(segment, made);
    this.isMarked = true;
    // The last one first, and each durably, so that a crash leaves no hole.
    for (const name of obsolete.toReversed()) {
      await this.#files.remove(name);
      await this.#files.syncDirectory();
    }
    await shorten(this.#files, kept.at(-1));
  }

  /**
   * Writes a batch; durable when done.
   *
   * @throws {StorageFullError} When there is no room; it may be tried again.
   */
  async append(content: BatchContent): Promise<void> {
    const { records = [], repairs = [] } = content;
    const bytes = BATCH_HEAD_BYTES_MAX + bytesOf(records) + bytesOf(repairs);
    const isSmall = records.length === 0 && repairs.length === 0;
    this.isMarked = false;
    let start = this.#options.now();
    try {
      await this.#makeRoom(bytes, isSmall);
      start = this.#options.now();
      await this.#write(content);
    } catch (cause) {
      if (cause instanceof StorageFullError) throw cause;
      if (isFull(cause)) {
        this.#isFull = true;
        throw new StorageFullError(this.#files.location);
      }
      await this.#writeAnew(content);
    }
    this.#options.onSync?.(this.#options.now() - start);
    this.#removeEmptied();
  }

  /** Ends; what was written stays. */
  async close(isWhole: boolean): Promise<void> {
    await this.#reaper.settle();
    await this.#preparation?.stop().catch(() => {});
    await this.#file?.close().catch(() => {});
    if (isWhole) await shorten(this.#files, this.segments.at(-1)).catch(() => {});
  }

  async #write(content: BatchContent): Promise<void> {
    const { records = [], repairs = [] } = content;
    const segment = this.#current();
    const head = this.#headOf(content);
    const batch = encodeBatch(head, records, segment.seed, repairs);
    await this.#file!.write(batch.parts, segment.end);
    this.#place(segment, head, batch, records, repairs);
  }

  /**
   * A write has failed. Whatever the disk did with it, a later sync of that file proves nothing about it, as the pages may
   * count as clean: it is written from memory, to a new file, once.
   */
  async #writeAnew(content: BatchContent): Promise<void> {
    const { records = [], repairs = [] } = content;
    await this.#preparation?.stop();
    this.#preparation = undefined;
    const old = this.#file;
    const segment = new Segment(this.#current().sequence + 1, this.state.lastIndex + 1);
    const head = this.#headOf(content, segment);
    let batch: EncodedBatch;
    const made = await this.#makeStartSegment(segment.sequence, (seed) => {
      segment.seed = seed;
      batch = encodeBatch(head, records, seed, repairs);
      return batch.parts;
    });
    this.segments.push(segment);
    this.#place(segment, head, batch!, records, repairs);
    this.#use(segment, made);
    await old?.close().catch(() => {});
  }

  /** Makes a segment with batches in it; smaller than usual when there is no room. */
  async #makeStartSegment(
    sequence: number,
    ...batches: readonly ((seed: number) => readonly Uint8Array[])[]
  ): Promise<SegmentFile> {
    const header = this.#headerOf(sequence);
    let parts: Uint8Array[] = [];
    const make = (capacity: number): Promise<SegmentFile> =>
      makeStartSegment(this.#files, header, capacity, (seed) => {
        if (parts.length === 0) parts = batches.flatMap((batch) => [...batch(seed)]);
        return parts;
      });
    try {
      return await make(Math.min(START_SEGMENT_BYTES, this.#options.segmentBytes));
    } catch (cause) {
      if (!isFull(cause)) throw cause;
      this.#isFull = true;
      return await make(0);
    }
  }

  #use(segment: Segment, { file, capacity }: SegmentFile): void {
    this.#file = file;
    segment.capacity = capacity;
  }

  #headOf(content: BatchContent, segment: Segment = this.#current()): BatchHead {
    const { state } = this;
    const { clusterId, vote = state.vote, truncateFrom, compactTo, repairs = [] } = content;
    const isFirst = segment.end === SEGMENT_HEADER_BYTES;
    const previous = this.segments.findLast(({ sequence }) => sequence < segment.sequence);
    const truncatedFrom = Math.min(segment.truncatedFrom, previous?.truncatedFrom ?? Infinity);
    return {
      segment: segment.sequence,
      sequence: this.#sequence + 1,
      mark: this.#sequence,
      chain: this.#chain,
      group: 0,
      starts: state.starts,
      before: state.before(truncatedFrom === Infinity ? 0 : truncatedFrom),
      vote,
      clusterId: isFirst ? clusterId ?? state.clusterId : clusterId,
      truncateFrom,
      truncateTerm: truncateFrom === undefined ? undefined : termAfter(state, repairs, truncateFrom - 1),
      compactTo,
    };
  }

  /** Notes what a batch says, and where its entries are. */
  #place(
    segment: Segment,
    head: BatchHead,
    batch: EncodedBatch,
    records: readonly Records[],
    repairs: readonly Records[],
    isNews = true,
  ): void {
    if (isNews) this.state.apply(head, records, repairs);
    const repaired = repairs.map(({ from, byteLength }) => ({ from, bytes: byteLength }));
    place(
      { ...head, headBytes: batch.headBytes, repaired },
      records,
      repairs,
      segment.end,
      this.segments,
      this.repairs,
    );
    segment.end += batch.byteLength;
    this.#sequence = head.sequence;
    this.#chain = batch.checksum;
    if (head.truncateFrom !== undefined || head.compactTo !== undefined) this.#removedAt = head.sequence;
  }

  /** Removes the first segments when none of their entries is left, and damage to the last batch can't bring them back. */
  #removeEmptied(): void {
    if (this.#removedAt >= this.#sequence) return;
    const { segments, state, repairs } = this;
    let count = 0;
    while (
      count < segments.length - 1 && segments[count].entries.end <= state.firstIndex &&
      repairs.in(segments[count]).length === 0
    ) count++;
    if (count > 0) this.#reaper.remove(segments.splice(0, count));
  }

  /**
   * Goes on to the next segment when this one is full and the next is ready, or must be.
   *
   * @throws {StorageFullError} When there is no room for a next one, and what is left in this one is for votes.
   */
  async #makeRoom(bytes: number, isSmall: boolean): Promise<void> {
    const { end, capacity, sequence } = this.#current();
    if (!this.#isFull && isFull(this.#preparation?.failure?.cause)) {
      // Known before this one is full: what is left of it can still be kept for votes.
      this.#isFull = true;
      this.#preparation = undefined;
    }
    if (end > capacity / 2 && !this.#isFull) this.#prepare(sequence + 1);
    const reserved = isSmall || !this.#isFull ? 0 : this.#reserveBytes;
    if (end + bytes + reserved <= capacity || (end === SEGMENT_HEADER_BYTES && !this.#isFull)) return;
    const preparation = this.#prepare(sequence + 1);
    if (this.#isFull || end + bytes > this.#options.segmentBytes * OVERSIZE_FACTOR) await preparation.settled;
    if (preparation.failure !== undefined) {
      this.#preparation = undefined;
      throw preparation.failure.cause;
    }
    const { ready } = preparation;
    if (ready === undefined) return;
    this.#preparation = undefined;
    this.#isFull = false;
    await this.#file!.close();
    const segment = new Segment(ready.sequence, this.state.lastIndex + 1);
    segment.seed = ready.seed;
    this.segments.push(segment);
    this.#use(segment, ready);
  }

  #prepare(sequence: number): Preparation {
    return this.#preparation ??= new Preparation(
      this.#files,
      this.#headerOf(sequence),
      this.#options.segmentBytes,
    );
  }

  #headerOf(sequence: number): Omit<SegmentHeader, "hasBatch"> {
    return { ...this.#header, sequence, clusterId: this.state.clusterId };
  }

  #current(): Segment {
    return this.segments[this.segments.length - 1];
  }
}

/** The term of an entry once it is repaired: before that, only the most that it may be known. */
function termAfter(state: LogState, repairs: readonly Records[], index: LogIndex): Term {
  const repair = repairs.find(({ from, end }) => from <= index && index < end);
  return repair === undefined ? state.termAt(index) : repair.term(index);
}

function bytesOf(records: readonly Records[]): number {
  return records.reduce((sum, part) => sum + part.byteLength, 0);
}

/** Gives back the room that a segment never used. Nobody needs that to be durable. */
async function shorten(files: Files, segment: Segment | undefined): Promise<void> {
  if (segment === undefined) return;
  await withFile(files, segment.name, async (file) => {
    if (await file.size() > segment.end) await file.truncate(segment.end);
  });
}
