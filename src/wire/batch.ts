/**
 * Batches: what one write puts on a disk, whole or not at all.
 *
 * A batch is a header of 72 bytes, little-endian, then the sections that the flags name, then records, then zeros up to
 * a multiple of 512, so that a torn write never touches a sector that holds an earlier batch:
 *
 * | at | | |
 * |---|---|---|
 * | 0 | u32 | CRC32C of header bytes 4 to 72 and the sections, seeded with the segment's |
 * | 4 | u32 | magic |
 * | 8 | u64 | sequence of the segment |
 * | 16 | u64 | sequence of the batch, counted along all segments from 1 |
 * | 24 | u64 | durable mark: the latest batch that was known to be durable when this one was written |
 * | 32 | u32 | checksum of the batch before; 0 for the first of all |
 * | 36 | u32 | group |
 * | 40 | u32 | flags |
 * | 44 | u32 | bytes of the sections |
 * | 48 | u32 | number of records |
 * | 52 | u32 | bytes of the records |
 * | 56 | u64 | index of the first record; 0 without records |
 * | 64 | u32 | digest of the records: CRC32C of their header checksums |
 * | 68 | u32 | 0 |
 *
 * The records carry checksums of their own; the digest ties just these to this batch without another pass over their
 * bytes. The seed keeps a payload that looks like a batch, or a batch left over in a used file, from being taken for one.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type { LogIndex, LogStart, Vote } from "../types.ts";
import { crc32c } from "./crc32c.ts";
import { getU32, getU64, setU32, setU64 } from "./integers.ts";
import { decodeRecords, type Records } from "./record.ts";

/** Batches start and end at multiples of this: the unit that a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;

/** Bytes of a batch's header without the sections. */
export const BATCH_HEADER_BYTES = 72;

/** The most bytes that header and sections take together. */
export const BATCH_HEAD_BYTES_MAX = 1_024;

const MAGIC = 0x48435442; // "BTCH"

/** What follows the header, in this order. Written to disk: never renumber. */
const Flag = { base: 1, identity: 2, vote: 4, truncation: 8, compaction: 16 } as const;
const KNOWN_FLAGS = Flag.base | Flag.identity | Flag.vote | Flag.truncation | Flag.compaction;

const EMPTY = new Uint8Array(0);
const ZEROS = new Uint8Array(SECTOR_BYTES);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

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
  /** Bounds of the log before this batch: what the first batch of a segment says, see `walStore`. */
  readonly base?: (LogStart & { readonly nextIndex: LogIndex }) | undefined;
  /** Cluster and start counter from here on. The cluster id has at most 255 bytes. */
  readonly identity?: { readonly clusterId: string; readonly starts: number } | undefined;
  /** The vote from here on. */
  readonly vote?: Vote | undefined;
  /** Entries from here on are removed, before the records are appended. */
  readonly truncateFrom?: LogIndex | undefined;
  /** Entries before this one are gone, after the truncation and before the records: a snapshot holds them. */
  readonly compactTo?: LogStart | undefined;
}

/** A batch's head as found on disk, with what its records must be. */
export interface DecodedBatchHead extends BatchHead {
  /** Its own checksum, which the next batch repeats. */
  readonly checksum: number;
  /** Bytes before the records. */
  readonly headBytes: number;
  /** Bytes of the records. */
  readonly recordBytes: number;
  /** How many records there are. */
  readonly recordCount: number;
  /** Index of the first record; 0 without records. */
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

/** Encodes a batch. The records, which follow one another without a gap, are not copied. */
export function encodeBatch(head: BatchHead, records: readonly Records[], seed: number): EncodedBatch {
  const bytes = new Uint8Array(BATCH_HEAD_BYTES_MAX);
  const headBytes = setSections(bytes, head);
  let count = 0;
  let recordBytes = 0;
  let digest = 0;
  for (const part of records) {
    count += part.count;
    recordBytes += part.byteLength;
    digest = part.digest(digest);
  }
  const byteLength = padded(headBytes + recordBytes);
  if (byteLength > 0x7fff_ffff) {
    throw new RangeError(`Cannot write ${recordBytes} bytes in one batch: the limit is 2 GiB`);
  }
  setU32(bytes, 4, MAGIC);
  setU64(bytes, 8, head.segment);
  setU64(bytes, 16, head.sequence);
  setU64(bytes, 24, head.mark);
  setU32(bytes, 32, head.chain);
  setU32(bytes, 36, head.group);
  setU32(bytes, 44, headBytes - BATCH_HEADER_BYTES);
  setU32(bytes, 48, count);
  setU32(bytes, 52, recordBytes);
  setU64(bytes, 56, count === 0 ? 0 : records[0].from);
  setU32(bytes, 64, digest);
  const checksum = crc32c(bytes, 4, headBytes, seed);
  setU32(bytes, 0, checksum);
  const parts: Uint8Array[] = [bytes.subarray(0, headBytes)];
  for (const part of records) parts.push(part.bytes);
  if (byteLength > headBytes + recordBytes) parts.push(ZEROS.subarray(0, byteLength - headBytes - recordBytes));
  return { parts, byteLength, checksum, headBytes };
}

/** Writes flags and sections, and returns where they end. */
function setSections(bytes: Uint8Array, head: BatchHead): number {
  const { base, identity, vote, truncateFrom, compactTo } = head;
  let at = BATCH_HEADER_BYTES;
  let flags = 0;
  if (base !== undefined) {
    flags |= Flag.base;
    setU64(bytes, at, base.firstIndex);
    setU64(bytes, at + 8, base.nextIndex);
    setU64(bytes, at + 16, base.prevTerm);
    at += 24;
  }
  if (identity !== undefined) {
    flags |= Flag.identity;
    setU64(bytes, at, identity.starts);
    at = setText(bytes, at + 8, identity.clusterId);
  }
  if (vote !== undefined) {
    flags |= Flag.vote;
    setU64(bytes, at, vote.term);
    at = setText(bytes, at + 8, vote.votedFor ?? "");
  }
  if (truncateFrom !== undefined) {
    flags |= Flag.truncation;
    setU64(bytes, at, truncateFrom);
    at += 8;
  }
  if (compactTo !== undefined) {
    flags |= Flag.compaction;
    setU64(bytes, at, compactTo.firstIndex);
    setU64(bytes, at + 8, compactTo.prevTerm);
    at += 16;
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
  if (!isBatchHead(bytes, at, seed)) refuse("there is none, or its checksum is wrong");
  const headBytes = BATCH_HEADER_BYTES + getU32(bytes, at + 44);
  const flags = getU32(bytes, at + 40);
  if ((flags & ~KNOWN_FLAGS) !== 0 || getU32(bytes, at + 68) !== 0) refuse(`its flags ${flags} are unknown`);
  const recordBytes = getU32(bytes, at + 52);
  return {
    checksum: getU32(bytes, at),
    headBytes,
    recordBytes,
    segment: integerAt(bytes, at + 8),
    sequence: integerAt(bytes, at + 16),
    mark: integerAt(bytes, at + 24),
    chain: getU32(bytes, at + 32),
    group: getU32(bytes, at + 36),
    recordCount: getU32(bytes, at + 48),
    from: integerAt(bytes, at + 56),
    digest: getU32(bytes, at + 64),
    byteLength: padded(headBytes + recordBytes),
    ...sectionsAt(bytes, at + BATCH_HEADER_BYTES, at + headBytes, flags),
  };
}

function sectionsAt(bytes: Uint8Array, from: number, end: number, flags: number): Partial<BatchHead> {
  const sections: { -readonly [K in keyof BatchHead]?: BatchHead[K] } = {};
  let at = from;
  if ((flags & Flag.base) !== 0) {
    sections.base = {
      firstIndex: integerAt(bytes, at),
      nextIndex: integerAt(bytes, at + 8),
      prevTerm: integerAt(bytes, at + 16),
    };
    at += 24;
  }
  if ((flags & Flag.identity) !== 0) {
    sections.identity = { starts: integerAt(bytes, at), clusterId: textAt(bytes, at + 8) };
    at += 9 + bytes[at + 8];
  }
  if ((flags & Flag.vote) !== 0) {
    const votedFor = textAt(bytes, at + 8);
    sections.vote = { term: integerAt(bytes, at), votedFor: votedFor === "" ? undefined : votedFor };
    at += 9 + bytes[at + 8];
  }
  if ((flags & Flag.truncation) !== 0) {
    sections.truncateFrom = integerAt(bytes, at);
    at += 8;
  }
  if ((flags & Flag.compaction) !== 0) {
    sections.compactTo = { firstIndex: integerAt(bytes, at), prevTerm: integerAt(bytes, at + 8) };
    at += 16;
  }
  if (at !== end) refuse("its sections do not fill it");
  return sections;
}

/**
 * Decodes and verifies the records of the batch at this offset, and that zeros fill it up. The records are views.
 *
 * @throws {ProtocolError} When they aren't those that were written with this head.
 */
export function decodeBatchRecords(head: DecodedBatchHead, bytes: Uint8Array, at: number): Records {
  const from = at + head.headBytes;
  const end = from + head.recordBytes;
  if (at + head.byteLength > bytes.length) refuse("its records are cut off");
  const records = decodeRecords(head.recordBytes === 0 ? EMPTY : bytes.subarray(from, end), head.from);
  if (records.count !== head.recordCount || records.digest(0) !== head.digest) refuse("its records are not its own");
  if (!isFilledUp(head, bytes, at)) refuse("it is not filled up with zeros");
  return records;
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

function setText(bytes: Uint8Array, at: number, text: string): number {
  const { written, read } = encoder.encodeInto(text, bytes.subarray(at + 1, at + 256));
  if (read < text.length) throw new RangeError(`Cannot write a text of more than 255 bytes: "${text.slice(0, 80)}…"`);
  bytes[at] = written;
  return at + 1 + written;
}

function textAt(bytes: Uint8Array, at: number): string {
  try {
    return decoder.decode(bytes.subarray(at + 1, at + 1 + bytes[at]));
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
