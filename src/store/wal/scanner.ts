/**
 * Reads the batches of a segment, at recovery.
 *
 * @module
 */
import { CorruptionError, ProtocolError } from "../../errors.ts";
import {
  BATCH_HEAD_BYTES_MAX,
  decodeBatchHead,
  decodeBatchRecords,
  type DecodedBatchHead,
  isBatchHead,
  isFilledUp,
  SECTOR_BYTES,
} from "../../wire/batch.ts";
import { digestOfWhole, type Records } from "../../wire/record.ts";
import type { FileHandle, Files } from "../files.ts";

/** A batch as it was read, verified. */
export interface ScannedBatch {
  readonly head: DecodedBatchHead;
  readonly records: Records;
  /** Where it is in the file. */
  readonly offset: number;
}

const WINDOW_BYTES = 1 << 20;

/** Reads one segment from its open file, in large steps. */
export class SegmentScanner {
  readonly #file: FileHandle;
  readonly #location: string;
  readonly #seed: number;
  #size: number | undefined;
  #windowStart = 0;
  #window: Uint8Array = new Uint8Array(0);

  /** The file stays the caller's. `location` is how errors name it. */
  constructor(file: FileHandle, location: string, seed: number) {
    this.#file = file;
    this.#location = location;
    this.#seed = seed;
  }

  /**
   * The batch at this offset, or what is wrong there: a torn write, damage, or nothing was ever written.
   *
   * @throws {CorruptionError} When a batch is whole, but says what this version can't read: that is never a torn write.
   */
  async batchAt(offset: number): Promise<ScannedBatch | string> {
    const start = await this.#bytes(offset, BATCH_HEAD_BYTES_MAX);
    if (!isBatchHead(start, 0, this.#seed)) return "there is no batch, or its checksum is wrong";
    const head = this.#headOf(start, 0, offset);
    const bytes = await this.#bytes(offset, head.byteLength);
    if (!isFilledUp(head, bytes, 0)) return "the batch is cut off, or is not filled up with zeros";
    try {
      return { head, offset, records: decodeBatchRecords(head, bytes, 0) };
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const records = bytes.subarray(head.headBytes, head.headBytes + head.recordBytes);
      if (digestOfWhole(records) === head.digest) throw new CorruptionError(this.#location, offset, error.message);
      return error.message;
    }
  }

  /** The head of the batch at this offset, whatever its records are; undefined when there is none. */
  async headAt(offset: number): Promise<DecodedBatchHead | undefined> {
    const start = await this.#bytes(offset, BATCH_HEAD_BYTES_MAX);
    return isBatchHead(start, 0, this.#seed) ? this.#headOf(start, 0, offset) : undefined;
  }

  /**
   * Looks for a batch beyond this offset that was written when the batch `sequence` was durable already: the proof that
   * `sequence` was not torn. Returns its offset.
   */
  async proofAfter(offset: number, sequence: number): Promise<number | undefined> {
    for (let start = offset;;) {
      const bytes = await this.#bytes(start, WINDOW_BYTES);
      const isLast = bytes.length < WINDOW_BYTES;
      // A head that the window cuts off is looked at in the next one.
      const end = isLast ? bytes.length : bytes.length - BATCH_HEAD_BYTES_MAX;
      for (let at = 0; at < end; at += SECTOR_BYTES) {
        if (isBatchHead(bytes, at, this.#seed) && this.#headOf(bytes, at, start).mark >= sequence) return start + at;
      }
      if (isLast) return undefined;
      start += end;
    }
  }

  #headOf(bytes: Uint8Array, at: number, windowStart: number): DecodedBatchHead {
    try {
      return decodeBatchHead(bytes, at, this.#seed);
    } catch (error) {
      throw new CorruptionError(this.#location, windowStart + at, (error as Error).message);
    }
  }

  /** A view of so many bytes, or of fewer at the end of the file. Windows are not written to again: views stay good. */
  async #bytes(offset: number, length: number): Promise<Uint8Array> {
    const from = offset - this.#windowStart;
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from, from + length);
    const size = this.#size ??= await this.#file.size();
    const window = new Uint8Array(Math.max(0, Math.min(Math.max(length, WINDOW_BYTES), size - offset)));
    const read = await readFully(this.#file, window, offset);
    this.#window = window.subarray(0, read);
    this.#windowStart = offset;
    return this.#window.subarray(0, Math.min(read, length));
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
