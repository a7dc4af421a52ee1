/**
 * Which files of a directory are segments of the log, by their headers and first batches.
 *
 * @module
 */
import { CorruptionError, StorageError } from "../../errors.ts";
import { BATCH_HEAD_BYTES_MAX, type DecodedBatchHead } from "../../wire/batch.ts";
import type { Files } from "../files.ts";
import { readFully, SegmentScanner, withFile } from "./scanner.ts";
import {
  decodeSegmentHeader,
  FORMAT_VERSION,
  seedOf,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  sequenceOfName,
} from "./segment_header.ts";

/** A segment's file. */
export interface FoundSegment {
  readonly sequence: number;
  readonly name: string;
  /** How errors name it. */
  readonly location: string;
  readonly header: SegmentHeader;
  readonly seed: number;
  /** The head of its first batch; undefined when there is none, or it can't be read. */
  readonly first: DecodedBatchHead | undefined;
}

/** All segments of a log, in order, those that a start has replaced among them, and those of the log. */
export interface FoundSegments {
  readonly sequences: readonly number[];
  readonly current: readonly FoundSegment[];
}

/**
 * Looks at all segments.
 *
 * @throws {CorruptionError} When their headers contradict one another, or none can be read.
 * @throws {StorageError} When it is another server's log or of a newer format.
 */
export async function findSegments(files: Files, serverId: string): Promise<FoundSegments> {
  const sequences = (await files.list()).map(sequenceOfName).filter((sequence) => sequence !== undefined);
  sequences.sort((a, b) => a - b);
  const sectors: FirstSector[] = [];
  for (const sequence of sequences) sectors.push(await firstSector(files, segmentName(sequence)));
  const headers = sectors.map((sector, i) => headerOf(files, segmentName(sequences[i]), sector));
  const known = headers.filter((header) => typeof header !== "string");
  const found: FoundSegment[] = [];
  for (let i = 0; i < sequences.length; i++) {
    const segment = await look(files, sequences[i], headers[i], sectors[i].bytes, known);
    checkHeader(files, segment, found[found.length - 1], serverId);
    found.push(segment);
  }
  return { sequences, current: withoutLeftOver(found) };
}

/** A start takes the place of segments by taking the first one's; a crash may leave the others. */
function withoutLeftOver(found: readonly FoundSegment[]): readonly FoundSegment[] {
  let latest = 0;
  for (let i = 0; i < found.length; i++) {
    const starts = found[i].first?.starts ?? latest;
    if (starts < latest) return found.slice(0, i);
    latest = starts;
  }
  return found;
}

/** What a segment's file begins with. */
interface FirstSector {
  readonly bytes: Uint8Array;
  readonly decoded: ReturnType<typeof decodeSegmentHeader>;
}

async function firstSector(files: Files, name: string): Promise<FirstSector> {
  return await withFile(files, name, async (file) => {
    const read = async (): Promise<FirstSector> => {
      const sector = new Uint8Array(SEGMENT_HEADER_BYTES);
      const bytes = sector.subarray(0, await readFully(file, sector, 0));
      return { bytes, decoded: decodeSegmentHeader(bytes) };
    };
    const sector = await read();
    // Nobody is to be turned away by what was read wrongly once.
    return "header" in sector.decoded ? sector : await read();
  });
}

/** The header in a sector, or what is wrong with it. */
function headerOf(files: Files, name: string, { decoded }: FirstSector): SegmentHeader | string {
  if ("newer" in decoded) {
    const formats = `its format version ${decoded.newer} is newer than ${FORMAT_VERSION}`;
    throw new StorageError(`Cannot open "${files.location}" as ${formats}: use a newer release`, "open");
  }
  if ("problem" in decoded) return decoded.problem;
  const { sequence } = decoded.header;
  if (segmentName(sequence) === name) return decoded.header;
  throw new CorruptionError(pathOf(files, name), 0, `it is segment ${sequence} by its header`);
}

/**
 * Reads a segment's first batch. A segment gets its name when its header is durable: without one it is damaged, never
 * unfinished, and has the header that the others let expect.
 */
async function look(
  files: Files,
  sequence: number,
  found: SegmentHeader | string,
  sector: Uint8Array,
  known: readonly SegmentHeader[],
): Promise<FoundSegment> {
  const name = segmentName(sequence);
  const location = pathOf(files, name);
  if (typeof found === "string" && known.length === 0) throw new CorruptionError(location, 0, found);
  // More is damaged than a header when nothing of that is left: there may have been batches, too.
  const isLost = sector.length < SEGMENT_HEADER_BYTES || sector.every((byte) => byte === 0);
  const header = typeof found === "string" ? { ...known[0], sequence, hasBatch: isLost } : found;
  const seed = seedOf(header);
  return await withFile(files, name, async (file) => {
    const first = await new SegmentScanner(file, location, seed, BATCH_HEAD_BYTES_MAX).headAt(SEGMENT_HEADER_BYTES);
    return { sequence, name, location, header, seed, first };
  });
}

/** Checks a segment's header against that of the one before. */
function checkHeader(
  files: Files,
  { header, location }: FoundSegment,
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
  if (before === undefined) return;
  if (header.incarnation !== before.header.incarnation || header.salt !== before.header.salt) {
    throw new CorruptionError(location, 0, `it comes from another disk than "${before.location}"`);
  }
}

/** How errors name a file. */
export function pathOf(files: Files, name: string): string {
  return `${files.location}/${name}`;
}
