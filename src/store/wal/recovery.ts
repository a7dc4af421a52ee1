/**
 * Finds out what is in a directory of segments, without changing any file.
 *
 * What is true on disk is the longest chain of whole batches. Two rules tell a torn write (which nobody was told of)
 * from damage (to what somebody may count on):
 *
 * - Each batch says up to which batch all was durable when it was written. Where the chain breaks although a later batch
 *   says that the missing one was durable, there is damage, and the store refuses to open. Otherwise the rest is a torn
 *   write, and not there.
 * - The first batch of a segment says where the segment before ends. What comes after in that one is void: a tail that
 *   an earlier start has taken over, or garbage.
 *
 * The last batch of all has no successor to say that it was durable: it may be in the operating system's cache only. So
 * every start writes what that batch said once more, as the first batch of a segment: see start.ts. The header of such a
 * segment says that this batch was durable before the file got its name, so it is never a torn write. It may take the
 * place of the latest segments when there is little in them, which is why it says how often the server was started:
 * segments that say less than the one before them are left over.
 *
 * @module
 */
import { CorruptionError, ProtocolError, StorageError } from "../../errors.ts";
import { mark } from "../../marks.ts";
import type { LogIndex, LogStart } from "../../types.ts";
import type { DecodedBatchHead } from "../../wire/batch.ts";
import type { Files } from "../files.ts";
import { LogState } from "./log_state.ts";
import { readFully, type ScannedBatch, SegmentScanner, withFile } from "./scanner.ts";
import { compactSegments, Segment, truncateSegments } from "./segment.ts";
import {
  decodeSegmentHeader,
  FORMAT_VERSION,
  seedOf,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  sequenceOfName,
} from "./segment_header.ts";

/** What was found. */
export interface Recovered {
  /** With the last batch. */
  readonly state: LogState;
  /** The segments that hold batches, in order. */
  readonly walked: readonly WalkedSegment[];
  /** The last batch; undefined when there is none. */
  readonly last: ScannedBatch | undefined;
  /** The log's bounds before that batch. */
  readonly before: LogStart & { readonly nextIndex: LogIndex };
  /** The header of one of them, if there is any. */
  readonly header: SegmentHeader | undefined;
  /** All segments' sequences, those without a batch and those that are left over included. */
  readonly sequences: readonly number[];
}

/** A segment with what is in it. */
export interface WalkedSegment {
  readonly segment: Segment;
  readonly first: DecodedBatchHead;
  /** The lowest index from which a batch of it truncates. */
  truncateFrom: LogIndex | undefined;
}

interface FoundSegment {
  readonly segment: Segment;
  /** How errors name its file. */
  readonly location: string;
  readonly header: SegmentHeader;
  /** The first batch, or what is wrong there. */
  readonly first: DecodedBatchHead | string;
  /** How often the server was started when it was begun, when that can be read. */
  readonly starts: number | undefined;
}

/**
 * Reads all segments.
 *
 * @throws {CorruptionError} When what was acknowledged can't be read.
 * @throws {StorageError} When it is another server's log or of a newer format.
 */
export async function recover(files: Files, serverId: string): Promise<Recovered> {
  const sequences = (await files.list()).map(sequenceOfName).filter((sequence) => sequence !== undefined);
  sequences.sort((a, b) => a - b);
  const found: FoundSegment[] = [];
  for (const sequence of sequences) found.push(await look(files, sequence));
  const current = withoutLeftOver(found);
  for (let i = 0; i < current.length; i++) checkHeader(files, current[i], current[i - 1], serverId);
  return await new Recovery(files, current, sequences).run();
}

/** A start takes the place of segments by taking the first one's; a crash may leave the others. */
function withoutLeftOver(found: readonly FoundSegment[]): readonly FoundSegment[] {
  let latest = 0;
  for (let i = 0; i < found.length; i++) {
    const { starts = latest } = found[i];
    if (starts < latest) return found.slice(0, i);
    latest = starts;
  }
  return found;
}

/** Reads a segment's header and first batch. */
async function look(files: Files, sequence: number): Promise<FoundSegment> {
  const name = segmentName(sequence);
  const location = pathOf(files, name);
  return await withFile(files, name, async (file) => {
    const sector = new Uint8Array(SEGMENT_HEADER_BYTES);
    const read = await readFully(file, sector, 0);
    const decoded = decodeSegmentHeader(sector.subarray(0, read));
    if ("newer" in decoded) {
      const formats = `its format version ${decoded.newer} is newer than ${FORMAT_VERSION}`;
      throw new StorageError(`Cannot open "${files.location}" as ${formats}: use a newer release`, "open");
    }
    // A segment gets its name when its header is durable: without one it is damaged, never unfinished.
    if ("problem" in decoded) throw new CorruptionError(location, 0, decoded.problem);
    const segment = new Segment(sequence, seedOf(sector), SEGMENT_HEADER_BYTES, 0, 0);
    const scanner = new SegmentScanner(file, location, segment.seed);
    const batch = await scanner.batchAt(SEGMENT_HEADER_BYTES);
    const first = typeof batch === "string" ? batch : batch.head;
    if (typeof first !== "string" && !(first.base && first.identity && first.vote)) {
      const detail = "the segment does not begin with base, identity and vote";
      throw new CorruptionError(location, SEGMENT_HEADER_BYTES, detail);
    }
    const starts = (await scanner.headAt(SEGMENT_HEADER_BYTES))?.identity?.starts;
    return { segment, location, header: decoded.header, first, starts };
  });
}

/** Checks a segment's header against that of the one before. */
function checkHeader(
  files: Files,
  { header, segment, location }: FoundSegment,
  before: FoundSegment | undefined,
  serverId: string,
): void {
  if (header.serverId !== serverId) {
    const owners = `it belongs to server "${header.serverId}"`;
    throw new StorageError(
      `Cannot open "${files.location}" for server "${serverId}" as ${owners}: use another directory`,
      "open",
    );
  }
  if (header.sequence !== segment.sequence) {
    throw new CorruptionError(location, 0, `it is segment ${header.sequence} by its header`);
  }
  if (before === undefined) return;
  if (header.incarnation !== before.header.incarnation || header.salt !== before.header.salt) {
    throw new CorruptionError(location, 0, `it comes from another disk than "${before.location}"`);
  }
  if (segment.sequence !== before.segment.sequence + 1) {
    const missing = segmentName(before.segment.sequence + 1);
    throw new CorruptionError(pathOf(files, missing), 0, "the file is missing");
  }
}

class Recovery {
  readonly #files: Files;
  readonly #found: readonly FoundSegment[];
  readonly #sequences: readonly number[];
  /** How many segments have a first batch; the others come after them. */
  readonly #usedCount: number;
  readonly #state = new LogState();
  readonly #segments: Segment[] = [];
  readonly #walked: WalkedSegment[] = [];
  /** The latest batch, which is not in the state yet. */
  #last: { readonly batch: ScannedBatch; readonly found: FoundSegment } | undefined;
  #sequence = 0;
  #chain = 0;

  constructor(files: Files, found: readonly FoundSegment[], sequences: readonly number[]) {
    this.#files = files;
    this.#found = found;
    this.#sequences = sequences;
    this.#usedCount = found.findLastIndex(({ first }) => typeof first !== "string") + 1;
  }

  async run(): Promise<Recovered> {
    const found = this.#found;
    for (let i = 0; i < this.#usedCount; i++) await this.#walk(found[i], found[i + 1]);
    for (const unused of found.slice(this.#usedCount)) await this.#checkUnused(unused);
    const last = this.#last?.batch;
    const state = this.#state;
    const before = { firstIndex: state.firstIndex, prevTerm: state.prevTerm, nextIndex: state.lastIndex + 1 };
    this.#applyLast();
    if (state.firstIndex < state.absentEnd) {
      const detail = `the segments with entries ${state.firstIndex} to ${state.absentEnd - 1} are missing`;
      throw new CorruptionError(found[0].location, SEGMENT_HEADER_BYTES, detail);
    }
    const [walked, sequences, header] = [this.#walked, this.#sequences, found.at(-1)?.header];
    return { state, walked, last, before, header, sequences };
  }

  /** Follows the batches of a segment, up to where the next one says that it ends. */
  async #walk(found: FoundSegment, next: FoundSegment | undefined): Promise<void> {
    const { first, location, segment } = found;
    if (typeof first === "string") throw new CorruptionError(location, SEGMENT_HEADER_BYTES, first);
    const stop = next === undefined || typeof next.first === "string" ? undefined : next.first.sequence;
    this.#begin(found, first);
    await withFile(this.#files, segment.name, async (file) => {
      const scanner = new SegmentScanner(file, location, segment.seed);
      let offset = SEGMENT_HEADER_BYTES;
      while (this.#sequence + 1 !== stop) {
        const batch = await scanner.batchAt(offset);
        const problem = typeof batch === "string" ? batch : this.#problemOf(batch.head, segment);
        if (typeof batch === "string" || problem !== undefined) {
          if (stop !== undefined) throw new CorruptionError(location, offset, problem!);
          return await this.#requireTorn(scanner, location, offset, problem!);
        }
        this.#add(found, batch);
        offset += batch.head.byteLength;
      }
      segment.end = offset;
    });
  }

  /** Checks how a segment begins. */
  #begin({ segment, location }: FoundSegment, first: DecodedBatchHead): void {
    const base = first.base!;
    if (this.#segments.length === 0) {
      // What was before it is gone for good, or was never there.
      this.#sequence = first.sequence - 1;
      this.#chain = first.chain;
      this.#state.firstIndex = base.firstIndex;
      this.#state.prevTerm = base.prevTerm;
      this.#state.lastIndex = base.nextIndex - 1;
      this.#state.absentEnd = base.nextIndex;
    }
    const problem = this.#problemOf(first, segment);
    if (problem !== undefined) throw new CorruptionError(location, SEGMENT_HEADER_BYTES, problem);
    // The batch before is not the last one, so it can go into the state before this segment's entries have a place.
    this.#applyLast();
    segment.entries.from = base.nextIndex;
    this.#segments.push(segment);
    this.#walked.push({ segment, first, truncateFrom: undefined });
  }

  /** Adds a batch whose place in the chain is right. */
  #add(found: FoundSegment, batch: ScannedBatch): void {
    this.#applyLast();
    const problem = this.#state.problemOf(batch.head, batch.records);
    // Whole and in its place: never a torn write.
    if (problem !== undefined) throw new CorruptionError(found.location, batch.offset, problem);
    this.#last = { batch, found };
    this.#sequence = batch.head.sequence;
    this.#chain = batch.head.checksum;
    found.segment.end = batch.offset;
  }

  #problemOf(head: DecodedBatchHead, segment: Segment): string | undefined {
    const sequence = this.#sequence + 1;
    if (head.sequence !== sequence) return `batch ${head.sequence} is in the place of batch ${sequence}`;
    if (head.segment !== segment.sequence) return `its batch is of segment ${head.segment}`;
    if (head.chain !== this.#chain) return `batch ${sequence} does not follow the batch before it`;
    // One write at a time: see walStore.
    if (head.mark !== sequence - 1) return `batch ${sequence} was written when only batch ${head.mark} was durable`;
    return undefined;
  }

  /** Takes the latest batch into the state. */
  #applyLast(): void {
    if (this.#last === undefined) return;
    const { batch: { head, records, offset }, found } = this.#last;
    this.#last = undefined;
    try {
      this.#state.apply(head, records);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      throw new CorruptionError(found.location, offset, error.message);
    }
    if (head.truncateFrom !== undefined) {
      truncateSegments(this.#segments, head.truncateFrom);
      const walked = this.#walked[this.#walked.length - 1];
      walked.truncateFrom = Math.min(walked.truncateFrom ?? Infinity, head.truncateFrom);
    }
    if (head.compactTo !== undefined) compactSegments(this.#segments, head.compactTo.firstIndex);
    found.segment.entries.append(records, offset + head.headBytes);
  }

  /** A segment without a first batch: prepared and never used, or its first write was torn. */
  async #checkUnused({ segment, location, header, first }: FoundSegment): Promise<void> {
    if (header.hasBatch) throw new CorruptionError(location, SEGMENT_HEADER_BYTES, `${first}`);
    await withFile(this.#files, segment.name, async (file) => {
      const scanner = new SegmentScanner(file, location, segment.seed);
      await this.#requireTorn(scanner, location, SEGMENT_HEADER_BYTES, `${first}`);
    });
  }

  /** Refuses to take what is wrong at this offset for a torn write when it is damage. */
  async #requireTorn(scanner: SegmentScanner, location: string, offset: number, problem: string): Promise<void> {
    const proof = await scanner.proofAfter(offset, this.#sequence + 1);
    if (proof !== undefined) {
      const detail = `${problem}, and a batch at offset ${proof} was written after it was durable`;
      throw new CorruptionError(location, offset, detail);
    }
    mark("torn-tail-dropped");
  }
}

/** How errors name a file. */
export function pathOf(files: Files, name: string): string {
  return `${files.location}/${name}`;
}
