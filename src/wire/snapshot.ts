/**
 * The container of a snapshot: what is kept, sent and installed as one piece.
 *
 * A container is a header, then sections, then an end mark, all little-endian. The header, 48 bytes:
 *
 * | at | | |
 * |---|---|---|
 * | 0 | u32 | CRC32C of header bytes 4 to 48 |
 * | 4 | u32 | magic |
 * | 8 | u32 | version of the form |
 * | 12 | u32 | 0 |
 * | 16 | u64 | index of the last entry that is included |
 * | 24 | u64 | that entry's term |
 * | 32 | u64 | index of the configuration |
 * | 40 | u64 | time stamp of the last entry, milliseconds since 1970 |
 *
 * A section is a head of 16 bytes { u32 checksum, u32 type, u32 flags, u32 0 }, then chunks { u32 length, u32 checksum,
 * bytes }, each of 256 KiB but the last, and an empty one. The configuration is the first section; the one
 * that the cluster began with, and sessions, when there are any, come before the user's bytes. A section of unknown type is skipped when its flags call it optional, else the container
 * is refused. The end mark is a head { u32 checksum, u32 0, u64 bytes of the container }.
 *
 * Each checksum is the CRC32C of its part, seeded with the checksum before it. So a chunk that was moved, left out or
 * taken from elsewhere is found at once, and that of the end mark is one over all.
 *
 * The bytes depend on the content alone, not on how the user's stream is cut: two servers with equal state write equal
 * snapshots.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";
import type { Configuration, LogIndex, Term } from "../types.ts";
import { encodeConfiguration, problemOf } from "./configuration.ts";
import { crc32c } from "./crc32c.ts";
import { setU32, setU64 } from "./integers.ts";

/** The version of the form that is written. */
export const SNAPSHOT_VERSION = 1;

/** Bytes of the header. */
export const SNAPSHOT_HEADER_BYTES = 48;

/** The most bytes of a chunk, without its own 8 bytes of length and checksum. */
export const SNAPSHOT_CHUNK_BYTES_MAX: number = 256 << 10;

/** Types of sections. They are written to disk and wire: never renumber. */
export const SnapshotSection = { end: 0, configuration: 1, sessions: 2, user: 3, beginning: 4 } as const;

/** Bits of a section's flags. */
export const SectionFlag = {
  /** Whoever doesn't know the type may skip it. */
  optional: 1,
} as const;

/** Every container begins with a checksum and this. */
export const SNAPSHOT_MAGIC = 0x504e5352; // "RSNP"

/** Bytes of a section's head. */
export const SECTION_HEAD_BYTES = 16;

/** Bytes before a chunk's own. */
export const CHUNK_HEAD_BYTES = 8;

/** What a snapshot holds, known before its bytes are. */
export interface SnapshotOrigin {
  /** The last entry that it includes (Raft §7). From 1. */
  readonly index: LogIndex;
  /** That entry's term. */
  readonly term: Term;
  /** The configuration in force at that entry. */
  readonly configuration: Configuration;
  /** The entry that holds the configuration. */
  readonly configurationIndex: LogIndex;
  /** The time stamp of the last entry that it includes, milliseconds since 1970. */
  readonly timeMs: number;
}

/** What {@linkcode encodeSnapshot} makes a container of. */
export interface SnapshotContent {
  /** What it holds. */
  readonly origin: SnapshotOrigin;
  /** The configuration that the cluster began with; undefined when it is not known. */
  readonly beginning?: Configuration | undefined;
  /** The sessions, if there are any. */
  readonly sessions?: Uint8Array | undefined;
  /** The machine's bytes, in pieces of any size. */
  readonly user: ReadableStream<Uint8Array>;
}

/**
 * Encodes a snapshot, piece by piece: the user's stream is read no faster than the pieces are taken, and cancelled when
 * the consumer stops early. The pieces belong to the consumer.
 *
 * @throws {InvariantError} When no server could decode it again.
 * @throws {TypeError} When the stream gives anything but `Uint8Array`. An error of the stream is passed on as it is.
 */
export async function* encodeSnapshot(content: SnapshotContent): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  const { origin, beginning, sessions, user } = content;
  const reader = user.getReader();
  let isOver = false;
  try {
    const writer = new ContainerWriter();
    yield writer.header(origin);
    yield* writer.bytesSection(SnapshotSection.configuration, encodeConfiguration(origin.configuration));
    if (beginning !== undefined) {
      const bytes = encodeConfiguration(beginning);
      yield* writer.bytesSection(SnapshotSection.beginning, bytes, SectionFlag.optional);
    }
    if (sessions !== undefined) yield* writer.bytesSection(SnapshotSection.sessions, sessions);
    yield writer.section(SnapshotSection.user);
    let chunk = new ChunkFiller();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!(value instanceof Uint8Array)) {
        throw new TypeError(`Cannot take the snapshot as its stream gave ${nameOf(value)}: let it give Uint8Array`);
      }
      for (let at = 0; at < value.length;) {
        at += chunk.take(value, at);
        if (!chunk.isFull) continue;
        yield writer.chunk(chunk);
        // More of such a large one comes, as a rule.
        chunk = new ChunkFiller(SNAPSHOT_CHUNK_BYTES_MAX);
      }
    }
    isOver = true;
    if (chunk.length > 0) yield writer.chunk(chunk);
    yield writer.chunk(new ChunkFiller());
    yield writer.end();
  } finally {
    // A stream that failed rejects this too; its own error is on its way already.
    if (!isOver) await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

/** Collects the bytes of one chunk, leaving room for its head. */
class ChunkFiller {
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;

  /** Has room for so many, and makes more when they come. */
  constructor(room = 0) {
    this.bytes = new Uint8Array(CHUNK_HEAD_BYTES + room);
  }

  get isFull(): boolean {
    return this.length === SNAPSHOT_CHUNK_BYTES_MAX;
  }

  /** Takes bytes from `at` on; returns how many. */
  take(source: Uint8Array, at: number): number {
    const count = Math.min(source.length - at, SNAPSHOT_CHUNK_BYTES_MAX - this.length);
    const end = CHUNK_HEAD_BYTES + this.length + count;
    if (end > this.bytes.length) {
      // Small snapshots need not pay for a whole chunk.
      const room = Math.min(CHUNK_HEAD_BYTES + SNAPSHOT_CHUNK_BYTES_MAX, Math.max(end, 2 * this.bytes.length));
      const larger = new Uint8Array(room);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes.set(source.subarray(at, at + count), CHUNK_HEAD_BYTES + this.length);
    this.length += count;
    return count;
  }
}

/** Makes the parts of a container, in order. */
class ContainerWriter {
  #chain = 0;
  #length = 0;

  header(origin: SnapshotOrigin): Uint8Array<ArrayBuffer> {
    const problem = problemOfOrigin(origin);
    if (problem !== undefined) throw new InvariantError(`Cannot encode the snapshot: ${problem}`);
    const bytes = new Uint8Array(SNAPSHOT_HEADER_BYTES);
    setU32(bytes, 4, SNAPSHOT_MAGIC);
    setU32(bytes, 8, SNAPSHOT_VERSION);
    setU64(bytes, 16, origin.index);
    setU64(bytes, 24, origin.term);
    setU64(bytes, 32, origin.configurationIndex);
    setU64(bytes, 40, origin.timeMs);
    this.#chain = crc32c(bytes, 4);
    setU32(bytes, 0, this.#chain);
    return this.#out(bytes);
  }

  *bytesSection(type: number, bytes: Uint8Array, flags = 0): Generator<Uint8Array<ArrayBuffer>, void, void> {
    yield this.section(type, flags);
    for (let at = 0; at < bytes.length;) {
      const chunk = new ChunkFiller();
      at += chunk.take(bytes, at);
      yield this.chunk(chunk);
    }
    yield this.chunk(new ChunkFiller());
  }

  section(type: number, flags = 0): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(SECTION_HEAD_BYTES);
    setU32(bytes, 4, type);
    setU32(bytes, 8, flags);
    return this.#out(this.#seal(bytes));
  }

  chunk({ bytes, length }: ChunkFiller): Uint8Array<ArrayBuffer> {
    const whole = bytes.subarray(0, CHUNK_HEAD_BYTES + length);
    setU32(whole, 0, length);
    this.#chain = chunkChecksum(whole, whole, CHUNK_HEAD_BYTES, this.#chain);
    setU32(whole, 4, this.#chain);
    return this.#out(whole);
  }

  end(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(SECTION_HEAD_BYTES);
    setU32(bytes, 4, SnapshotSection.end);
    setU64(bytes, 8, this.#length + SECTION_HEAD_BYTES);
    return this.#out(this.#seal(bytes));
  }

  #seal(head: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    this.#chain = crc32c(head, 4, head.length, this.#chain);
    setU32(head, 0, this.#chain);
    return head;
  }

  #out(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    this.#length += bytes.length;
    return bytes;
  }
}

/** The checksum of a chunk's length and its bytes, which need not be in one array. */
export function chunkChecksum(head: Uint8Array, body: Uint8Array, bodyFrom: number, seed: number): number {
  return crc32c(body, bodyFrom, body.length, crc32c(head, 0, 4, seed));
}

/** What is wrong with an origin, for the end of a sentence; undefined when nothing is. */
export function problemOfOrigin(
  { index, term, configuration, configurationIndex, timeMs }: SnapshotOrigin,
): string | undefined {
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (!isCount(index) || index < 1) return `its index is ${index}`;
  if (!isCount(term) || term < 1) return `its term is ${term}`;
  if (!isCount(configurationIndex) || configurationIndex > index) {
    return `its configuration is at ${configurationIndex}, but the snapshot ends at ${index}`;
  }
  return isCount(timeMs) ? problemOf(configuration) : `its time is ${timeMs}`;
}

function nameOf(value: unknown): string {
  return value === null ? "null" : typeof value === "object" ? value.constructor?.name ?? "an object" : typeof value;
}
