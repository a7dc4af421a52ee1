/**
 * Makes segments' files, so that a file with a segment's name always has a whole header: it is filled under another
 * name, synced, and then renamed.
 *
 * @module
 */
import { byteLengthOf } from "../../wire/bytes.ts";
import type { FileHandle, Files } from "../files.ts";
import {
  encodeSegmentHeader,
  seedOf,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from "./segment_header.ts";

/** What a segment is called until it is whole. A crash may leave it; the next segment is made over it. */
export const UNFINISHED_NAME = "segment.tmp";

/** The most bytes that are filled at once: what the disk is busy with when a write comes. */
const CHUNK_BYTES = 1 << 20;

const ZEROS = new Uint8Array(CHUNK_BYTES);

/** Whether an error of the disk says that there is no room. */
export function isFull(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT";
}

/** A segment's file, open for durable writes. */
export interface SegmentFile {
  readonly sequence: number;
  readonly seed: number;
  readonly capacity: number;
  readonly file: FileHandle;
}

/**
 * Makes a segment with a first batch (which needs the header's seed) in one go, over an existing one if need be. Durable
 * when done.
 */
export async function makeStartSegment(
  files: Files,
  header: Omit<SegmentHeader, "hasBatch">,
  capacity: number,
  firstBatch: (seed: number) => readonly Uint8Array[],
): Promise<SegmentFile> {
  const sector = encodeSegmentHeader({ ...header, hasBatch: true });
  const parts = [sector, ...firstBatch(seedOf(header))];
  const used = byteLengthOf(parts);
  for (let at = used; at < capacity; at += CHUNK_BYTES) {
    parts.push(ZEROS.subarray(0, Math.min(CHUNK_BYTES, capacity - at)));
  }
  await withUnfinished(files, async (file) => {
    await file.write(parts, 0);
    await file.sync();
  });
  return await publish(files, header.sequence, seedOf(header), Math.max(used, capacity));
}

/**
 * Makes an empty segment in the background and fills it with zeros, so that writing to it needs no new blocks: that
 * makes a sync about a third faster.
 */
export class Preparation {
  readonly sequence: number;
  readonly #files: Files;
  /** Done, or stopped, or failed; never rejects. */
  readonly settled: Promise<void>;
  #ready: SegmentFile | undefined;
  #failure: { readonly cause: unknown } | undefined;
  #stopping = false;

  /** Begins. */
  constructor(files: Files, header: Omit<SegmentHeader, "hasBatch">, capacity: number) {
    this.#files = files;
    this.sequence = header.sequence;
    this.settled = this.#run(files, header, capacity).catch(async (cause) => {
      this.#failure = { cause };
      // What was filled so far takes room that others may need.
      if (isFull(cause)) await files.remove(UNFINISHED_NAME).catch(() => {});
    });
  }

  /** The segment, once it is ready. */
  get ready(): SegmentFile | undefined {
    return this.#ready;
  }

  /** Why it never will be ready. */
  get failure(): { readonly cause: unknown } | undefined {
    return this.#failure;
  }

  /** Gives up as soon as the chunk under way is written; what is there goes away. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.settled;
    if (this.#ready === undefined) return;
    await this.#ready.file.close();
    await this.#files.remove(segmentName(this.sequence));
  }

  async #run(files: Files, header: Omit<SegmentHeader, "hasBatch">, capacity: number): Promise<void> {
    const sector = encodeSegmentHeader({ ...header, hasBatch: false });
    await withUnfinished(files, async (file) => {
      await file.write([sector], 0);
      // Each chunk is synced by itself: were all of them dirty at once, a write that comes now might wait for all.
      for (let at = SEGMENT_HEADER_BYTES; at < capacity && !this.#stopping; at += CHUNK_BYTES) {
        await file.write([ZEROS.subarray(0, Math.min(CHUNK_BYTES, capacity - at))], at);
        await file.sync();
      }
    });
    if (this.#stopping) return await files.remove(UNFINISHED_NAME);
    this.#ready = await publish(files, header.sequence, seedOf(header), capacity);
  }
}

async function withUnfinished(files: Files, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await files.open(UNFINISHED_NAME, { create: true, durable: false });
  try {
    await file.truncate(0);
    await fill(file);
  } finally {
    await file.close();
  }
}

async function publish(files: Files, sequence: number, seed: number, capacity: number): Promise<SegmentFile> {
  const name = segmentName(sequence);
  await files.rename(UNFINISHED_NAME, name);
  await files.syncDirectory();
  return { sequence, seed, capacity, file: await files.open(name, { create: false, durable: true }) };
}
