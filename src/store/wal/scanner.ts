/**
 * Reads the batches of a segment, at recovery.
 *
 * @module
 */
import { CorruptionError, ProtocolError } from "../../errors.ts";
import {
  BATCH_HEAD_BYTES_MAX,
  type BatchRecords,
  decodeBatchRecords,
  type DecodedBatchHead,
  findBatchHead,
  isFilledUp,
  SECTOR_BYTES,
} from "../../wire/batch.ts";
import { decodeRecords, digestOfWhole, type Records } from "../../wire/record.ts";
import { salvageRecords } from "../../wire/salvage.ts";
import type { FileHandle, Files } from "../files.ts";
import type { Damage } from "../store.ts";

/** A batch as it was read. */
export interface ScannedBatch extends BatchRecords {
  readonly head: DecodedBatchHead;
  /** Where it is in the file. */
  readonly offset: number;
  /** What is wrong with its records; undefined when they are whole. */
  readonly problem: string | undefined;
  /** Entries among `records` whose payload is damaged. */
  readonly damaged: readonly Damage[];
  /** Whether `records` are all that were written: of those that come after a damaged header nothing is known. */
  readonly isComplete: boolean;
}

/** The head of a batch, and where it is in the file. */
export interface FoundHead {
  readonly head: DecodedBatchHead;
  readonly offset: number;
}

const WINDOW_BYTES = 1 << 20;

/** Reads one segment from its open file, in large steps. */
export class SegmentScanner {
  readonly #file: FileHandle;
  readonly #location: string;
  readonly #seed: number;
  readonly #windowBytes: number;
  #size: number | undefined;
  #windowStart = 0;
  #window: Uint8Array = new Uint8Array(0);

  /** The file stays the caller's. `location` is how errors name it; so many bytes are read at a time. */
  constructor(file: FileHandle, location: string, seed: number, windowBytes: number = WINDOW_BYTES) {
    this.#file = file;
    this.#location = location;
    this.#seed = seed;
    this.#windowBytes = windowBytes;
  }

  /**
   * The head of the batch at this offset, whatever its records are; undefined when there is none. At once when it is in what
   * was read already.
   *
   * @throws {CorruptionError} When it is whole, but says what this version can't read: that is never torn or damaged.
   */
  headAt(offset: number): DecodedBatchHead | Promise<DecodedBatchHead | undefined> {
    const start = this.#inWindow(offset, BATCH_HEAD_BYTES_MAX);
    return start && this.#headOf(start, 0, offset) || this.#readHead(offset);
  }

  async #readHead(offset: number): Promise<DecodedBatchHead | undefined> {
    const start = await this.#bytes(offset, BATCH_HEAD_BYTES_MAX);
    const head = this.#headOf(start, 0, offset);
    if (head !== undefined) return head;
    // The log's end, as a rule; but were it a disk that has read wrongly once, acknowledged entries would be cut off.
    const again = new Uint8Array(start.length);
    await readFully(this.#file, again, offset);
    const found = this.#headOf(again, 0, offset);
    if (found !== undefined) this.#forgetWindow();
    return found;
  }

  /**
   * The batch with this head; at once when it is in what was read already, and whole.
   *
   * @throws {CorruptionError} When it is whole, but says what this version can't read.
   */
  batchOf(head: DecodedBatchHead, offset: number): ScannedBatch | Promise<ScannedBatch> {
    const bytes = this.#inWindow(offset, head.byteLength);
    return bytes && wholeIn(bytes, head, offset) || this.#readBatch(head, offset);
  }

  async #readBatch(head: DecodedBatchHead, offset: number): Promise<ScannedBatch> {
    const whole = wholeIn(await this.#bytes(offset, head.byteLength), head, offset);
    if (whole !== undefined) return whole;
    // Once more, from the file: what was read wrongly is not damaged.
    this.#forgetWindow();
    const bytes = await this.#bytes(offset, head.byteLength);
    try {
      return wholeOf(head, offset, bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const records = bytes.subarray(head.headBytes, head.headBytes + head.recordBytes);
      const isWhole = records.length === head.recordBytes && digestOfWhole(records) === head.digest;
      // Whole records in a batch that isn't filled up with zeros are what was written, all the same.
      if (!isWhole || !isFilledUp(head, bytes, 0)) return this.#salvage(head, offset, bytes, error.message);
      throw new CorruptionError(this.#location, offset, error.message);
    }
  }

  #forgetWindow(): void {
    this.#window = new Uint8Array(0);
  }

  /** Looks for the first batch at or after this offset. */
  async find(offset: number): Promise<FoundHead | undefined> {
    for await (const found of this.heads(offset)) return found;
    return undefined;
  }

  /** The heads of all batches at or after this offset, wherever they are. Each byte is read once, however many there are. */
  async *heads(offset: number): AsyncGenerator<FoundHead> {
    for (let start = offset;;) {
      const bytes = await this.#bytes(start, WINDOW_BYTES);
      const isLast = bytes.length < WINDOW_BYTES;
      // A head that the window cuts off is looked at in the next one.
      const end = isLast ? bytes.length : bytes.length - BATCH_HEAD_BYTES_MAX;
      for (let at = 0; at < end; at += SECTOR_BYTES) {
        const head = this.#headOf(bytes, at, start);
        if (head !== undefined) yield { head, offset: start + at };
      }
      if (isLast) return;
      start += end;
    }
  }

  #salvage(head: DecodedBatchHead, offset: number, bytes: Uint8Array, problem: string): ScannedBatch {
    let at = head.headBytes;
    const repairs: Records[] = [];
    for (const range of head.repaired) {
      const part = decoded(bytes.subarray(at, at + range.bytes), range.from);
      // A repair that is damaged itself repairs nothing.
      if (part?.count === range.count) repairs.push(part);
      at += range.bytes;
    }
    const count = head.recordCount - head.repaired.reduce((sum, range) => sum + range.count, 0);
    const end = head.headBytes + head.recordBytes;
    const { records, damaged } = salvageRecords(bytes.subarray(at, end), head.from, count);
    // Headers that are whole, but not those that were written: of none of them anything is known.
    const isOwn = records.count < count || head.repaired.length > 0 || records.digest(0) === head.digest;
    const places = damaged.map((from): Damage => {
      const place = offset + at + records.offsets[from - records.from];
      return { from, end: from + 1, isTermKnown: true, file: this.#location, offset: place, detail: problem };
    });
    const own = isOwn ? records : salvageRecords(bytes.subarray(at, at), head.from, 0).records;
    const isComplete = own.count === count;
    return { head, offset, repairs, records: own, problem, damaged: isOwn ? places : [], isComplete };
  }

  #headOf(bytes: Uint8Array, at: number, windowStart: number): DecodedBatchHead | undefined {
    try {
      return findBatchHead(bytes, at, this.#seed);
    } catch (error) {
      throw new CorruptionError(this.#location, windowStart + at, (error as Error).message);
    }
  }

  /** A view of so many bytes; undefined when not all of them were read yet, or the file ends before. */
  #inWindow(offset: number, length: number): Uint8Array | undefined {
    const from = offset - this.#windowStart;
    const isIn = from >= 0 && from + length <= this.#window.length;
    return isIn ? this.#window.subarray(from, from + length) : undefined;
  }

  /** A view of so many bytes, or of fewer at the end of the file. Windows are not written to again: views stay good. */
  async #bytes(offset: number, length: number): Promise<Uint8Array> {
    const known = this.#inWindow(offset, length);
    if (known !== undefined) return known;
    const size = this.#size ??= await this.#file.size();
    const window = new Uint8Array(Math.max(0, Math.min(Math.max(length, this.#windowBytes), size - offset)));
    const read = await readFully(this.#file, window, offset);
    this.#window = window.subarray(0, read);
    this.#windowStart = offset;
    return this.#window.subarray(0, Math.min(read, length));
  }
}

function wholeIn(bytes: Uint8Array, head: DecodedBatchHead, offset: number): ScannedBatch | undefined {
  try {
    return wholeOf(head, offset, bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function wholeOf(head: DecodedBatchHead, offset: number, bytes: Uint8Array): ScannedBatch {
  const whole = decodeBatchRecords(head, bytes, 0);
  return { head, offset, ...whole, problem: undefined, damaged: [], isComplete: true };
}

function decoded(bytes: Uint8Array, from: number): Records | undefined {
  try {
    return decodeRecords(bytes, from);
  } catch {
    return undefined;
  }
}

/** Runs a task with a file that is open for reading. */
export async function withFile<T>(files: Files, name: string, task: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await files.open(name, { create: false, durable: false });
  try {
    return await task(file);
  } finally {
    await file.close();
  }
}

/** Reads until the array is full or the file ends; returns how many bytes there were. */
export async function readFully(file: FileHandle, into: Uint8Array, offset: number): Promise<number> {
  let at = 0;
  while (at < into.length) {
    const read = await file.read(into.subarray(at), offset + at);
    if (read === 0) break;
    at += read;
  }
  return at;
}
