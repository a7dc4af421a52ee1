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
  decodeBatchHead,
  decodeBatchRecords,
  type DecodedBatchHead,
  isBatchHead,
} from "../../../wire/batch.ts";
import type { Records } from "../../../wire/record.ts";
import type { GrowingBytes } from "../../growing_bytes.ts";
import type { Inode } from "../../memory_file.ts";

/** A whole batch and where it is in its file. */
export interface PlacedBatch {
  readonly head: DecodedBatchHead;
  /** Views of the file's bytes, good until the next change. */
  readonly records: Records;
  readonly offset: number;
  readonly end: number;
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
}

/** The batch at this offset; undefined when there is none that is whole. */
export function batchAt(bytes: GrowingBytes, offset: number, seed: number): PlacedBatch | undefined {
  const start = bytes.view(offset, offset + BATCH_HEAD_BYTES_MAX);
  if (!isBatchHead(start, 0, seed)) return undefined;
  try {
    const head = decodeBatchHead(start, 0, seed);
    const end = offset + head.byteLength;
    return { head, records: decodeBatchRecords(head, bytes.view(offset, end), 0), offset, end };
  } catch {
    return undefined;
  }
}

/** Seed and sequence of a file that begins like a segment. */
export function segmentStart(
  bytes: GrowingBytes,
): Pick<PlacedSegment, "sequence" | "seed" | "hasBatch"> | undefined {
  const sector = bytes.view(0, SEGMENT_HEADER_BYTES);
  const decoded = decodeSegmentHeader(sector);
  if (!("header" in decoded)) return undefined;
  const { sequence, hasBatch } = decoded.header;
  return { sequence, hasBatch, seed: seedOf(sector) };
}

/** How often the server was started when this segment was begun; undefined when nothing says so. */
function startsOf(bytes: GrowingBytes, seed: number): number | undefined {
  const start = bytes.view(SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + BATCH_HEAD_BYTES_MAX);
  return isBatchHead(start, 0, seed) ? decodeBatchHead(start, 0, seed).identity?.starts : undefined;
}

/** The log in these files, as it is durable or as reads see it. */
export function layoutOf(files: ReadonlyMap<string, Inode>, content: "durable" | "live" = "durable"): PlacedSegment[] {
  const found = [...files].filter(([name]) => sequenceOfName(name) !== undefined).sort(([a], [b]) => a < b ? -1 : 1);
  const all = found.map(([name, inode]) => {
    const bytes = inode[content];
    const start = segmentStart(bytes);
    const first = start && batchAt(bytes, SEGMENT_HEADER_BYTES, start.seed);
    return { name, bytes, start, first, starts: start && startsOf(bytes, start.seed) };
  });
  // A start takes the place of segments by taking the first one's; the others may be left over.
  let latest = 0;
  const leftOver = all.findIndex(({ starts = latest }) => starts < latest || (latest = starts, false));
  const starts = leftOver < 0 ? all : all.slice(0, leftOver);
  let sequence: number | undefined;
  const segments: PlacedSegment[] = [];
  for (const [i, { name, bytes, start, first }] of starts.entries()) {
    if (start === undefined) continue;
    const batches: PlacedBatch[] = [];
    // The next segment says again what the last batch said, under the same sequence.
    const stop = starts.slice(i + 1).find(({ first }) => first !== undefined)?.first?.head.sequence ?? Infinity;
    sequence ??= first && first.head.sequence - 1;
    for (let batch = first; batch !== undefined; batch = batchAt(bytes, batch.end, start.seed)) {
      if (batch.head.segment !== start.sequence || batch.head.sequence !== sequence! + 1 || sequence! + 1 >= stop) {
        break;
      }
      batches.push(batch);
      sequence = batch.head.sequence;
    }
    segments.push({ name, ...start, size: bytes.size, batches });
  }
  return segments;
}
