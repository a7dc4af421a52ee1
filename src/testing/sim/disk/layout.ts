/**
 * Where the batches of a write-ahead log are in its files: a second, simpler reading of them than recovery's, for whoever
 * checks recovery or damages what it reads.
 *
 * @module
 */
import {
  decodeSegmentHeader,
  seedOf,
  SEGMENT_HEADER_BYTES,
  sequenceOfName,
} from "../../../store/wal/segment_header.ts";
import {
  BATCH_HEAD_BYTES_MAX,
  type DecodedBatchHead,
  findBatchHead,
  isFilledUp,
  SECTOR_BYTES,
} from "../../../wire/batch.ts";
import { decodeRecords, type Records } from "../../../wire/record.ts";
import type { GrowingBytes } from "../../growing_bytes.ts";
import type { Inode } from "../../memory_file.ts";
import type { Disk } from "../../../types.ts";

/** A batch of which the head can be read, and where it is in its file. */
export interface PlacedHead {
  readonly head: DecodedBatchHead;
  /** Views of the file's bytes, good until the next change; undefined when they are damaged. */
  readonly records?: Records;
  readonly offset: number;
  readonly end: number;
}

/** One that is whole. */
export interface PlacedBatch extends PlacedHead {
  readonly records: Records;
}

/** A segment that has a name and a whole header. */
export interface PlacedSegment {
  readonly name: string;
  readonly sequence: number;
  readonly seed: number;
  readonly size: number;
  /** Whether its name says that its first batch is durable. */
  readonly hasBatch: boolean;
  /** Those that belong to the log: what a start has taken over, or what never was whole, is not among them. */
  readonly batches: readonly PlacedBatch[];
  /** The same and those of which the entries are damaged: what else they say counts. */
  readonly heads: readonly PlacedHead[];
}

/** What a batch says but for its entries, and where the next one begins; undefined when there is none, or not whole. */
export function headAt(bytes: GrowingBytes, offset: number, seed: number): PlacedHead | undefined {
  const start = bytes.view(offset, offset + BATCH_HEAD_BYTES_MAX);
  try {
    const head = findBatchHead(start, 0, seed);
    return head && { head, offset, end: offset + head.byteLength };
  } catch {
    return undefined;
  }
}

/** The batch at this offset; undefined when there is none whose records are whole. */
export function batchAt(bytes: GrowingBytes, offset: number, seed: number): PlacedBatch | undefined {
  const found = headAt(bytes, offset, seed);
  return found && wholeOf(bytes, found);
}

/** The whole batch; undefined when its records are damaged. */
function wholeOf(bytes: GrowingBytes, placed: PlacedHead): PlacedBatch | undefined {
  const { head, offset } = placed;
  try {
    const from = offset + head.headBytes + head.repaired.reduce((sum, range) => sum + range.bytes, 0);
    // What fills the batch up may be damaged: nothing is lost with it.
    const records = decodeRecords(bytes.view(from, offset + head.headBytes + head.recordBytes), head.from);
    const count = head.recordCount - head.repaired.reduce((sum, range) => sum + range.count, 0);
    return records.count === count ? { ...placed, records } : undefined;
  } catch {
    return undefined;
  }
}

/** The batch at this offset, if it is the one after `sequence`; where a segment begins a later one too, as those between may be lost. */
function headInPlace(bytes: GrowingBytes, offset: number, seed: number, sequence: number): PlacedHead | undefined {
  const found = headAt(bytes, offset, seed);
  const isNext = offset === SEGMENT_HEADER_BYTES || found?.head.sequence === sequence + 1;
  return found !== undefined && isNext && found.head.sequence > sequence ? found : undefined;
}

/** The first one in the order of writing that follows this batch: where something is damaged, copies may lie anywhere. */
function headAfter(bytes: GrowingBytes, seed: number, sequence: number): PlacedHead | undefined {
  let first: PlacedHead | undefined;
  for (let at = SEGMENT_HEADER_BYTES; at < bytes.size; at += SECTOR_BYTES) {
    const found = headAt(bytes, at, seed);
    if (found === undefined || found.head.sequence <= sequence) continue;
    const isBetter = first === undefined || found.head.sequence < first.head.sequence ||
      found.head.sequence === first.head.sequence && wholeOf(bytes, first) === undefined;
    if (isBetter) first = found;
  }
  return first;
}

/** Seed and sequence of a file that begins like a segment, or as others do that have this salt. */
export function segmentStart(
  bytes: GrowingBytes,
  name: string,
  salt?: string,
): Pick<PlacedSegment, "sequence" | "seed" | "hasBatch"> | undefined {
  const decoded = decodeSegmentHeader(bytes.view(0, SEGMENT_HEADER_BYTES));
  if ("header" in decoded) {
    const { sequence, hasBatch } = decoded.header;
    return { sequence, hasBatch, seed: seedOf(decoded.header) };
  }
  const sequence = sequenceOfName(name)!;
  // A start supposes a first batch only where nothing is left of the header: see found_segments.ts.
  const header = bytes.view(0, SEGMENT_HEADER_BYTES);
  const hasBatch = header.length < SEGMENT_HEADER_BYTES || header.every((byte) => byte === 0);
  return salt === undefined ? undefined : { sequence, hasBatch, seed: seedOf({ salt, sequence }) };
}

function saltOf(bytes: GrowingBytes): string | undefined {
  const decoded = decodeSegmentHeader(bytes.view(0, SEGMENT_HEADER_BYTES));
  return "header" in decoded ? decoded.header.salt : undefined;
}

/** How often the server was started when this segment was begun; undefined when nothing says so. */
function startsOf(bytes: GrowingBytes, seed: number): number | undefined {
  const start = bytes.view(SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + BATCH_HEAD_BYTES_MAX);
  return findBatchHead(start, 0, seed)?.starts;
}

/** By which disk the next start makes itself known that finds these files durable; undefined when it makes a new one. */
export function identityIn(files: ReadonlyMap<string, Inode>): Disk | undefined {
  const last = layoutOf(files).findLast(({ batches }) => batches.length > 0);
  const decoded = last && decodeSegmentHeader(files.get(last.name)!.durable.view(0, SEGMENT_HEADER_BYTES));
  if (decoded === undefined || !("header" in decoded)) return undefined;
  return { incarnation: decoded.header.incarnation, starts: last!.batches.at(-1)!.head.starts + 1 };
}

/** The log in these files, as it is durable or as reads see it. */
export function layoutOf(files: ReadonlyMap<string, Inode>, content: "durable" | "live" = "durable"): PlacedSegment[] {
  const found = [...files].filter(([name]) => sequenceOfName(name) !== undefined).sort(([a], [b]) => a < b ? -1 : 1);
  const salt = found.map(([, inode]) => saltOf(inode[content])).find((salt) => salt !== undefined);
  const all = found.map(([name, inode]) => {
    const bytes = inode[content];
    const start = segmentStart(bytes, name, salt);
    const first = start && batchAt(bytes, SEGMENT_HEADER_BYTES, start.seed);
    return { name, bytes, start, first, starts: start && startsOf(bytes, start.seed) };
  });
  // A start takes the place of segments by taking the first one's; the others may be left over.
  let latest = 0;
  const leftOver = all.findIndex(({ starts = latest }) => starts < latest || (latest = starts, false));
  const starts = leftOver < 0 ? all : all.slice(0, leftOver);
  let sequence = 0;
  const segments: PlacedSegment[] = [];
  for (const [i, { name, bytes, start }] of starts.entries()) {
    if (start === undefined) continue;
    const batches: PlacedBatch[] = [];
    const heads: PlacedHead[] = [];
    // The next segment says again what the last batch said, under the same sequence.
    const stop = starts.slice(i + 1).find(({ first }) => first !== undefined)?.first?.head.sequence ?? Infinity;
    for (let at = SEGMENT_HEADER_BYTES;;) {
      const next = headInPlace(bytes, at, start.seed, sequence) ?? headAfter(bytes, start.seed, sequence);
      if (next === undefined || next.head.segment !== start.sequence || next.head.sequence >= stop) break;
      const batch = wholeOf(bytes, next);
      if (batch !== undefined) batches.push(batch);
      heads.push(batch ?? next);
      sequence = next.head.sequence;
      at = next.end;
    }
    segments.push({ name, ...start, size: bytes.size, batches, heads });
  }
  // What fills up the last one may be missing only where something comes after it: else it is a torn write.
  const last = segments.findLast(({ batches }) => batches.length > 0);
  const lastBatch = last?.batches.at(-1);
  const bytes = last && files.get(last.name)![content];
  if (lastBatch !== undefined && !isFilledUp(lastBatch.head, bytes!.view(lastBatch.offset, lastBatch.end), 0)) {
    const heads = last!.heads.filter(({ offset }) => offset !== lastBatch.offset);
    segments[segments.indexOf(last!)] = { ...last!, batches: last!.batches.slice(0, -1), heads };
  }
  return segments;
}

/** Whether a log is all there, one batch right after the other from its first entry on. */
export function isGapless(layout: readonly PlacedSegment[]): boolean {
  const segments = layout.slice(0, layout.findLastIndex(({ batches }) => batches.length > 0) + 1);
  const [first, last] = [segments[0]?.batches[0], segments.at(-1)?.batches.at(-1)];
  if (first === undefined || last === undefined) return false;
  const { before, compactTo } = last.head;
  if (first.head.before.nextIndex > (compactTo?.firstIndex ?? before.firstIndex)) return false;
  return segments.every(({ sequence, batches }, i) => {
    const previous = segments[i - 1];
    const isNext = previous === undefined || sequence === previous.sequence + 1;
    return isNext && batches.length > 0 && batches.every(({ offset, head }, at) => {
      if (at > 0) return offset === batches[at - 1]!.end;
      // A segment says again what was said last, under the same sequence.
      const said = previous?.batches.at(-1)?.head.sequence ?? head.sequence;
      return offset === SEGMENT_HEADER_BYTES && head.sequence <= said + 1;
    });
  });
}
