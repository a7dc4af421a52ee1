/**
 * The first sector of a segment: whose file this is, and in what format.
 *
 * @module
 */
import { crc32c } from "../../wire/crc32c.ts";
import { getU32, getU64, setU32, setU64 } from "../../wire/integers.ts";
import { setShortText, shortTextAt } from "../../wire/short_text.ts";

/** Bytes before the first batch. */
export const SEGMENT_HEADER_BYTES = 512;

/** The format this version writes, and the only one it reads. */
export const FORMAT_VERSION = 1;

const MAGIC = 0x4c415752; // "RWAL"

/** The only flag. */
const HAS_BATCH = 1;

const encoder = new TextEncoder();

/** What a segment says about itself. Each text has at most 255 bytes, all together at most 480. */
export interface SegmentHeader {
  /** Counted from 1. */
  readonly sequence: number;
  readonly serverId: string;
  readonly incarnation: string;
  /**
   * Random and never told to anybody: goes into the checksum of every batch, so that nobody can propose a command whose
   * payload would pass for a batch.
   */
  readonly salt: string;
  /** The cluster, as far as it was known when the segment was made. */
  readonly clusterId: string;
  /**
   * Whether the first batch was durable before the file got its name, as a start does it: then that batch is never torn,
   * and damaged when it can't be read.
   */
  readonly hasBatch: boolean;
}

/** Encodes the sector. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  setU32(bytes, 4, MAGIC);
  setU32(bytes, 8, FORMAT_VERSION);
  setU32(bytes, 12, header.hasBatch ? HAS_BATCH : 0);
  setU64(bytes, 16, header.sequence);
  let at = 24;
  for (const text of [header.serverId, header.incarnation, header.salt, header.clusterId]) {
    at = setShortText(bytes, at, text);
  }
  setU32(bytes, 0, crc32c(bytes, 4));
  return bytes;
}

/**
 * What the batches of a segment are seeded with. Depends on nothing that only its own header tells, so that damage to that
 * takes nothing else with it.
 */
export function seedOf({ salt, sequence }: Pick<SegmentHeader, "salt" | "sequence">): number {
  const bytes = new Uint8Array(8);
  setU64(bytes, 0, sequence);
  return crc32c(encoder.encode(salt), 0, undefined, crc32c(bytes));
}

/** Decodes the sector; or says what is wrong with it, or which newer format it is of. */
export function decodeSegmentHeader(
  sector: Uint8Array,
): { readonly header: SegmentHeader } | { readonly problem: string } | { readonly newer: number } {
  if (sector.length < SEGMENT_HEADER_BYTES) return { problem: "the segment's header is cut off" };
  if (getU32(sector, 4) !== MAGIC) return { problem: "it does not begin like a segment" };
  if (crc32c(sector, 4) !== getU32(sector, 0)) return { problem: "the checksum of the segment's header is wrong" };
  // Every future format keeps what was read so far: magic, checksum of the first 512 bytes and version.
  const version = getU32(sector, 8);
  if (version > FORMAT_VERSION) return { newer: version };
  if (version !== FORMAT_VERSION) return { problem: `its format version ${version} never was` };
  const flags = getU32(sector, 12);
  if ((flags & ~HAS_BATCH) !== 0) return { problem: `its flags ${flags} are unknown` };
  const texts: string[] = [];
  let at = 24;
  for (let i = 0; i < 4; i++) {
    texts.push(shortTextAt(sector, at));
    at += 1 + sector[at];
  }
  const [serverId, incarnation, salt, clusterId] = texts;
  const header = {
    sequence: getU64(sector, 16),
    serverId,
    incarnation,
    salt,
    clusterId,
    hasBatch: flags === HAS_BATCH,
  };
  return { header };
}

const NAME = /^(\d{16})\.wal$/;

/** The file's name. */
export function segmentName(sequence: number): string {
  return `${String(sequence).padStart(16, "0")}.wal`;
}

/** The sequence that a file's name says; undefined for other files. */
export function sequenceOfName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
