/**
 * Batches: what one write puts on a disk, whole or not at all.
 *
 * A batch is a header of 136 bytes, little-endian, then the candidate that was voted for (one byte for its length, 0 for
 * none), then the sections that the flags name, then records, then zeros up to a multiple of 512, so that a torn write
 * never touches a sector that holds an earlier batch:
 *
 * | at | | |
 * |---|---|---|
 * | 0 | u32 | CRC32C of header bytes 4 to 136, candidate and sections, seeded with the segment's |
 * | 4 | u32 | magic |
 * | 8 | u64 | sequence of the segment |
 * | 16 | u64 | sequence of the batch, counted along all segments from 1 |
 * | 24 | u64 | durable mark: the latest batch that was known to be durable when this one was written |
 * | 32 | u32 | checksum of the batch before; 0 for the first of all |
 * | 36 | u32 | group |
 * | 40 | u32 | flags |
 * | 44 | u32 | bytes of candidate and sections |
 * | 48 | u32 | number of records |
 * | 52 | u32 | bytes of the records |
 * | 56 | u64 | index of the first record that is not a repair; 0 when there is none |
 * | 64 | u32 | digest of the records: CRC32C of their header checksums |
 * | 68 | u32 | 0 |
 * | 72 | u64 | how often the server was started |
 * | 80 | u64 | before this batch: index of the log's first entry |
 * | 88 | u64 | term of the entry before that one |
 * | 96 | u64 | index after the last entry |
 * | 104 | u64 | term of the last entry, or of the one before the first when there is none |
 * | 112 | u64 | truncations so far |
 * | 120 | u64 | the lowest index that this segment's and the last segment's batches truncated from so far; 0 for none |
 * | 128 | u64 | term of the vote, with this batch |
 *
 * What was before a batch, and the vote, are in every batch, so that nothing but entries is lost with one that is damaged.
 * The records carry checksums of their own; the digest ties just these to this batch without another pass over their
 * bytes. The seed keeps a payload that looks like a batch, or a batch left over in a used file, from being taken for one.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type { LogIndex, LogStart, Term, Vote } from "../types.ts";
import { crc32c } from "./crc32c.ts";
import { getU32, getU64, setU32, setU64 } from "./integers.ts";
import { decodeRecords, type Records } from "./record.ts";
import { setShortText, shortTextAt } from "./short_text.ts";

/** Batches start and end at multiples of this: the unit that a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;

/** Bytes of a batch's header without candidate and sections. */
export const BATCH_HEADER_BYTES = 136;

/** The most bytes that header and sections take together. */
export const BATCH_HEAD_BYTES_MAX = 1_024;

/** The most ranges of entries that one batch can repair, so that its head has room for them. */
export const REPAIRS_MAX = 16;

const MAGIC = 0x48435442; // "BTCH"

/** What follows the candidate, in this order. Written to disk: never renumber. */
const Flag = { cluster: 1, truncation: 2, compaction: 4, repairs: 8 } as const;
const KNOWN_FLAGS = Flag.cluster | Flag.truncation | Flag.compaction | Flag.repairs;

const ZEROS = new Uint8Array(SECTOR_BYTES);

/** The log as a batch finds it. */
export interface LogBefore extends LogStart {
  /** Index after the last entry. */
  readonly nextIndex: LogIndex;
  /** Term of the last entry; `prevTerm` when there is none. */
  readonly lastTerm: Term;
  /** How often entries were truncated. */
  readonly truncations: number;
  /** The lowest index from which batches of this segment and the one before have truncated; 0 for none. */
  readonly truncatedFrom: LogIndex;
}

/** A batch without its records. */
export interface BatchHead {
  /** Sequence of the segment it is in. */
  readonly segment: number;
  /** Its own sequence, from 1. */
  readonly sequence: number;
  /** The latest batch known to be durable before. */
  readonly mark: number;
  /** Checksum of the batch before. */
  readonly chain: number;
  /** The group it belongs to; 0 unless several share a log. */
  readonly group: number;
  /** How often the server was started. */
  readonly starts: number;
  /** The log before this batch. */
  readonly before: LogBefore;
  /** The vote from here on. */
  readonly vote: Vote;
  /** The cluster from here on; at most 255 bytes. */
  readonly clusterId?: string | undefined;
  /** Entries from here on are removed, before the records are appended. */
  readonly truncateFrom?: LogIndex | undefined;
  /** Term of the entry before that one. */
  readonly truncateTerm?: Term | undefined;
  /** Entries before this one are gone, after the truncation and before the records: a snapshot holds them. */
  readonly compactTo?: LogStart | undefined;
}

/** Entries that a batch holds anew, as their places are damaged. */
export interface RepairedRange {
  /** Index of the first one. */
  readonly from: LogIndex;
  /** How many. */
  readonly count: number;
  /** Bytes of their records. */
  readonly bytes: number;
}

/** A batch's head as found on disk, with what its records must be. */
export interface DecodedBatchHead extends BatchHead {
  /** Its own checksum, which the next batch repeats. */
  readonly checksum: number;
  /** Bytes before the records. */
  readonly headBytes: number;
  /** Bytes of the records, those of repairs included. */
  readonly recordBytes: number;
  /** How many records there are, repairs included. */
  readonly recordCount: number;
  /** The records that come first: of entries that are repaired. */
  readonly repaired: readonly RepairedRange[];
  /** Index of the first record that is not a repair; 0 when there is none. */
  readonly from: LogIndex;
  /** Digest of the records. */
  readonly digest: number;
  /** Bytes of the whole batch, padding included. */
  readonly byteLength: number;
}

/** A batch as it is to be written. */
export interface EncodedBatch {
  /** To be written one after the other. Those of the records are the records' own bytes. */
  readonly parts: readonly Uint8Array[];
  /** Their bytes; a multiple of {@linkcode SECTOR_BYTES}. */
  readonly byteLength: number;
  /** The batch's checksum, for the next one. */
  readonly checksum: number;
  /** Bytes before the first record. */
  readonly headBytes: number;
}

/**
 * Encodes a batch. Its records are those of the repairs, at most {@linkcode REPAIRS_MAX} ranges, then `records`, which follow
 * one another without a gap. None is copied.
 */
export function encodeBatch(
  head: BatchHead,
  records: readonly Records[],
  seed: number,
  repairs: readonly Records[] = [],
): EncodedBatch {
  const bytes = new Uint8Array(BATCH_HEAD_BYTES_MAX);
  const headBytes = setSections(bytes, head, repairs);
  let count = 0;
  let recordBytes = 0;
  let digest = 0;
  const all = repairs.length === 0 ? records : [...repairs, ...records];
  for (const part of all) {
    count += part.count;
    recordBytes += part.byteLength;
    digest = part.digest(digest);
  }
  const byteLength = padded(headBytes + recordBytes);
  if (byteLength > 0x7fff_ffff) {
    throw new RangeError(`Cannot write ${recordBytes} bytes in one batch: the limit is 2 GiB`);
  }
  setHeader(bytes, head);
  setU32(bytes, 44, headBytes - BATCH_HEADER_BYTES);
  setU32(bytes, 48, count);
  setU32(bytes, 52, recordBytes);
  setU64(bytes, 56, records.find((part) => part.count > 0)?.from ?? 0);
  setU32(bytes, 64, digest);
  const checksum = crc32c(bytes, 4, headBytes, seed);
  setU32(bytes, 0, checksum);
  const parts: Uint8Array[] = [bytes.subarray(0, headBytes)];
  for (const part of all) parts.push(part.bytes);
  if (byteLength > headBytes + recordBytes) parts.push(ZEROS.subarray(0, byteLength - headBytes - recordBytes));
  return { parts, byteLength, checksum, headBytes };
}

function setHeader(bytes: Uint8Array, head: BatchHead): void {
  const { before } = head;
  setU32(bytes, 4, MAGIC);
  setU64(bytes, 8, head.segment);
  setU64(bytes, 16, head.sequence);
  setU64(bytes, 24, head.mark);
  setU32(bytes, 32, head.chain);
  setU32(bytes, 36, head.group);
  setU64(bytes, 72, head.starts);
  setU64(bytes, 80, before.firstIndex);
  setU64(bytes, 88, before.prevTerm);
  setU64(bytes, 96, before.nextIndex);
  setU64(bytes, 104, before.lastTerm);
  setU64(bytes, 112, before.truncations);
  setU64(bytes, 120, before.truncatedFrom);
  setU64(bytes, 128, head.vote.term);
}

/** Writes flags, candidate and sections, and returns where they end. */
function setSections(bytes: Uint8Array, head: BatchHead, repairs: readonly Records[]): number {
  const { clusterId, vote, truncateFrom, compactTo } = head;
  let at = setShortText(bytes, BATCH_HEADER_BYTES, vote.votedFor ?? "");
  let flags = 0;
  if (clusterId !== undefined) {
    flags |= Flag.cluster;
    at = setShortText(bytes, at, clusterId);
  }
  if (truncateFrom !== undefined) {
    flags |= Flag.truncation;
    setU64(bytes, at, truncateFrom);
    setU64(bytes, at + 8, head.truncateTerm ?? 0);
    at += 16;
  }
  if (compactTo !== undefined) {
    flags |= Flag.compaction;
    setU64(bytes, at, compactTo.firstIndex);
    setU64(bytes, at + 8, compactTo.prevTerm);
    at += 16;
  }
  if (repairs.length > 0) {
    if (repairs.length > REPAIRS_MAX) throw new RangeError(`Cannot repair ${repairs.length} ranges in one batch`);
    flags |= Flag.repairs;
    setU32(bytes, at, repairs.length);
    at += 4;
    for (const { from, count, byteLength } of repairs) {
      setU64(bytes, at, from);
      setU32(bytes, at + 8, count);
      setU32(bytes, at + 12, byteLength);
      at += 16;
    }
  }
  setU32(bytes, 40, flags);
  return at;
}

/** Whether a batch with the right checksum is at this offset: then it isn't torn, whatever else is wrong with it. */
export function isBatchHead(bytes: Uint8Array, at: number, seed: number): boolean {
  if (at + BATCH_HEADER_BYTES > bytes.length || getU32(bytes, at + 4) !== MAGIC) return false;
  const headBytes = BATCH_HEADER_BYTES + getU32(bytes, at + 44);
  if (headBytes > BATCH_HEAD_BYTES_MAX || at + headBytes > bytes.length) return false;
  return crc32c(bytes, at + 4, at + headBytes, seed) === getU32(bytes, at);
}

/**
 * Decodes and verifies header and sections of the batch at this offset.
 *
 * @throws {ProtocolError} When there is none, it isn't whole or its checksum is wrong.
 */
export function decodeBatchHead(bytes: Uint8Array, at: number, seed: number): DecodedBatchHead {
  return findBatchHead(bytes, at, seed) ?? refuse("there is none, or its checksum is wrong");
}

/**
 * Decodes and verifies header and sections of the batch at this offset; undefined when there is none, it isn't whole or
 * its checksum is wrong.
 *
 * @throws {ProtocolError} When it is whole, but says what this version can't read.
 */
export function findBatchHead(bytes: Uint8Array, at: number, seed: number): DecodedBatchHead | undefined {
  if (!isBatchHead(bytes, at, seed)) return undefined;
  const headBytes = BATCH_HEADER_BYTES + getU32(bytes, at + 44);
  const flags = getU32(bytes, at + 40);
  if ((flags & ~KNOWN_FLAGS) !== 0 || getU32(bytes, at + 68) !== 0) refuse(`its flags ${flags} are unknown`);
  return {
    checksum: getU32(bytes, at),
    headBytes,
    recordBytes: getU32(bytes, at + 52),
    segment: integerAt(bytes, at + 8),
    sequence: integerAt(bytes, at + 16),
    mark: integerAt(bytes, at + 24),
    chain: getU32(bytes, at + 32),
    group: getU32(bytes, at + 36),
    recordCount: getU32(bytes, at + 48),
    from: integerAt(bytes, at + 56),
    digest: getU32(bytes, at + 64),
    byteLength: padded(headBytes + getU32(bytes, at + 52)),
    starts: integerAt(bytes, at + 72),
    before: {
      firstIndex: integerAt(bytes, at + 80),
      prevTerm: integerAt(bytes, at + 88),
      nextIndex: integerAt(bytes, at + 96),
      lastTerm: integerAt(bytes, at + 104),
      truncations: integerAt(bytes, at + 112),
      truncatedFrom: integerAt(bytes, at + 120),
    },
    ...sectionsAt(bytes, at, at + headBytes, flags),
  };
}

function sectionsAt(
  bytes: Uint8Array,
  start: number,
  end: number,
  flags: number,
): Pick<DecodedBatchHead, "vote" | "clusterId" | "truncateFrom" | "truncateTerm" | "compactTo" | "repaired"> {
  const votedFor = textAt(bytes, start + BATCH_HEADER_BYTES);
  let at = start + BATCH_HEADER_BYTES + 1 + bytes[start + BATCH_HEADER_BYTES];
  const vote = { term: integerAt(bytes, start + 128), votedFor: votedFor === "" ? undefined : votedFor };
  const sections: { clusterId?: string; truncateFrom?: LogIndex; truncateTerm?: Term; compactTo?: LogStart } = {};
  const repaired: RepairedRange[] = [];
  if ((flags & Flag.cluster) !== 0) {
    sections.clusterId = textAt(bytes, at);
    at += 1 + bytes[at];
  }
  if ((flags & Flag.truncation) !== 0) {
    sections.truncateFrom = integerAt(bytes, at);
    sections.truncateTerm = integerAt(bytes, at + 8);
    at += 16;
  }
  if ((flags & Flag.compaction) !== 0) {
    sections.compactTo = { firstIndex: integerAt(bytes, at), prevTerm: integerAt(bytes, at + 8) };
    at += 16;
  }
  if ((flags & Flag.repairs) !== 0) {
    const count = getU32(bytes, at);
    at += 4;
    for (let i = 0; i < count && at < end; i++, at += 16) {
      repaired.push({ from: integerAt(bytes, at), count: getU32(bytes, at + 8), bytes: getU32(bytes, at + 12) });
    }
    if (repaired.length !== count) refuse("its sections do not fill it");
  }
  if (at !== end) refuse("its sections do not fill it");
  return { ...sections, vote, repaired };
}

/** The records of a batch. */
export interface BatchRecords {
  /** Of entries that are repaired. */
  readonly repairs: readonly Records[];
  /** Of the entries that come next. */
  readonly records: Records;
}

/**
 * Decodes and verifies the records of the batch at this offset, and that zeros fill it up. The records are views.
 *
 * @throws {ProtocolError} When they aren't those that were written with this head.
 */
export function decodeBatchRecords(head: DecodedBatchHead, bytes: Uint8Array, at: number): BatchRecords {
  if (at + head.byteLength > bytes.length) refuse("its records are cut off");
  let start = at + head.headBytes;
  let digest = 0;
  let count = 0;
  const take = (byteLength: number, from: LogIndex): Records => {
    const records = decodeRecords(bytes.subarray(start, start + byteLength), from);
    start += byteLength;
    digest = records.digest(digest);
    count += records.count;
    return records;
  };
  const end = start + head.recordBytes;
  const repairs = head.repaired.map((range) => {
    const records = take(Math.min(range.bytes, end - start), range.from);
    if (records.count !== range.count) refuse("its records are not its own");
    return records;
  });
  const records = take(end - start, head.from);
  if (count !== head.recordCount || digest !== head.digest) refuse("its records are not its own");
  if (!isFilledUp(head, bytes, at)) refuse("it is not filled up with zeros");
  return { repairs, records };
}

/** Whether the batch at this offset is all there, up to the zeros that fill it up. */
export function isFilledUp(head: DecodedBatchHead, bytes: Uint8Array, at: number): boolean {
  const end = at + head.byteLength;
  if (end > bytes.length) return false;
  for (let i = at + head.headBytes + head.recordBytes; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}

function textAt(bytes: Uint8Array, at: number): string {
  try {
    return shortTextAt(bytes, at);
  } catch {
    return refuse("a text in it is not UTF-8");
  }
}

function integerAt(bytes: Uint8Array, at: number): number {
  const value = getU64(bytes, at);
  return Number.isSafeInteger(value) ? value : refuse("a number in it is out of range");
}

function refuse(detail: string): never {
  throw new ProtocolError(`Cannot decode the batch: ${detail}`);
}
