/**
 * Reads the container of a snapshot: see snapshot.ts for its form.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type { Configuration } from "../types.ts";
import { concatenate } from "./bytes.ts";
import { decodeConfiguration } from "./configuration.ts";
import { crc32c } from "./crc32c.ts";
import { getU32, getU64 } from "./integers.ts";
import {
  CHUNK_HEAD_BYTES,
  chunkChecksum,
  problemOfOrigin,
  SECTION_HEAD_BYTES,
  SectionFlag,
  SNAPSHOT_CHUNK_BYTES_MAX,
  SNAPSHOT_HEADER_BYTES,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
  type SnapshotOrigin,
  SnapshotSection,
} from "./snapshot.ts";

const CONFIGURATION_BYTES_MAX = 1 << 20;

/** How much is asked of a store at once: a whole chunk with what surrounds it. */
const READ_BYTES = SNAPSHOT_CHUNK_BYTES_MAX + CHUNK_HEAD_BYTES + SECTION_HEAD_BYTES;

/** Bytes of a container from an offset on, at most so many, fewer if need be; none at the end. */
export type SnapshotRead = (offset: number, bytesMax: number) => Promise<Uint8Array>;

/** A snapshot as it is read. */
export interface OpenedSnapshot {
  /** What it holds. */
  readonly origin: SnapshotOrigin;
  /** The configuration that the cluster began with; undefined when whoever made the snapshot did not know it. */
  readonly beginning: Configuration | undefined;
  /** The sessions, if there are any. */
  readonly sessions: Uint8Array<ArrayBuffer> | undefined;
  /**
   * The machine's bytes, read when they are asked for. Each piece is verified, and belongs to the consumer. The stream
   * ends only when the container was right up to its last byte; otherwise it fails with a {@linkcode ProtocolError}.
   */
  readonly user: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** What {@linkcode openSnapshot} takes. */
export interface SnapshotLimits {
  /** The most bytes of sessions, which are held in memory. @default {268435456} */
  readonly sessionsBytesMax?: number;
}

/**
 * Reads a snapshot, which may come from anybody: memory is bounded by the limits, whatever the bytes claim.
 *
 * @throws {ProtocolError} When it is none, or damaged before the user's bytes. What `read` throws is passed on.
 */
export async function openSnapshot(read: SnapshotRead, limits: SnapshotLimits = {}): Promise<OpenedSnapshot> {
  const parser = new ContainerReader(read);
  const origin = await parser.origin();
  let beginning: Configuration | undefined;
  let sessions: Uint8Array<ArrayBuffer> | undefined;
  for (;;) {
    const type = await parser.nextSection();
    if (type === SnapshotSection.user) break;
    if (type === SnapshotSection.beginning) beginning = await parser.configuration();
    if (type === SnapshotSection.sessions) sessions = await parser.wholeSection(limits.sessionsBytesMax ?? 256 << 20);
  }
  const user = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const chunk = await parser.nextChunk();
      if (chunk !== undefined) return controller.enqueue(chunk);
      await parser.finish();
      controller.close();
    },
  }, { highWaterMark: 0 });
  return { origin, beginning, sessions, user };
}

/** What {@linkcode verifySnapshot} found. */
export interface VerifiedSnapshot {
  /** What it holds. */
  readonly origin: SnapshotOrigin;
  /** Length of the container. */
  readonly bytes: number;
}

/**
 * Reads all of a snapshot and keeps nothing of it: to be sure of the last byte before the first one is used.
 *
 * @throws {ProtocolError} When anything is wrong.
 */
export async function verifySnapshot(read: SnapshotRead): Promise<VerifiedSnapshot> {
  let bytes = 0;
  const parser = new ContainerReader(async (offset, bytesMax) => {
    const piece = await read(offset, bytesMax);
    bytes += piece.length;
    return piece;
  });
  const origin = await parser.origin();
  for (let type; (type = await parser.nextSection()) !== SnapshotSection.user;) {
    if (type === SnapshotSection.beginning) await parser.configuration();
  }
  while (await parser.nextChunk() !== undefined);
  await parser.finish();
  return { origin, bytes };
}

/** Pulls a container apart, checking everything on the way. */
class ContainerReader {
  readonly #source: Source;
  readonly #seen = new Set<number>();
  #chain = 0;
  #inSection = false;
  /** Whether the chunk before was a short one, which only the last of a section may be. */
  #wasShort = false;

  constructor(read: SnapshotRead) {
    this.#source = new Source(read);
  }

  /** Header and configuration. */
  async origin(): Promise<SnapshotOrigin> {
    const bytes = await this.#source.take(SNAPSHOT_HEADER_BYTES);
    if (getU32(bytes, 4) !== SNAPSHOT_MAGIC) this.#refuse("it does not begin like one");
    const version = getU32(bytes, 8);
    if (version !== SNAPSHOT_VERSION) {
      this.#refuse(`its version is ${version}, but this server reads ${SNAPSHOT_VERSION} only: upgrade it`);
    }
    this.#chain = crc32c(bytes, 4, SNAPSHOT_HEADER_BYTES);
    if (getU32(bytes, 0) !== this.#chain) this.#refuse("the header's checksum is wrong");
    if (getU32(bytes, 12) !== 0) this.#refuse("reserved bytes are not zero");
    const [index, term, configurationIndex, timeMs] = [16, 24, 32, 40].map((at) => getU64(bytes, at));
    if (await this.nextSection() !== SnapshotSection.configuration) this.#refuse("the configuration is not first");
    const configuration = await this.configuration();
    const origin = { index, term, configuration, configurationIndex, timeMs };
    const problem = problemOfOrigin(origin);
    if (problem !== undefined) this.#refuse(problem);
    return origin;
  }

  /** A configuration, which is the whole section. */
  async configuration(): Promise<Configuration> {
    return decodeConfiguration(await this.wholeSection(CONFIGURATION_BYTES_MAX));
  }

  /** Goes to the next section of a known type, past what is left of this one; the end mark is not one. */
  async nextSection(): Promise<number> {
    const type = await this.#nextHead();
    if (type === SnapshotSection.end) this.#refuse("the machine's bytes are missing");
    return type;
  }

  /** The next chunk of the section, verified and the caller's; undefined at its end. */
  async nextChunk(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const head = await this.#source.take(CHUNK_HEAD_BYTES);
    const length = getU32(head, 0);
    const expected = getU32(head, 4);
    if (length > SNAPSHOT_CHUNK_BYTES_MAX) this.#refuse(`a chunk claims ${length} bytes`);
    // Also what keeps the memory for a section in proportion to its bytes.
    if (this.#wasShort && length > 0) this.#refuse("a short chunk is not the last one of its section");
    const bytes = length === 0 ? head.subarray(CHUNK_HEAD_BYTES) : await this.#source.take(length);
    this.#chain = chunkChecksum(head, bytes, 0, this.#chain);
    if (this.#chain !== expected) this.#refuse("a chunk's checksum is wrong");
    this.#wasShort = length > 0 && length < SNAPSHOT_CHUNK_BYTES_MAX;
    if (length > 0) return bytes;
    this.#inSection = false;
    return undefined;
  }

  /** All chunks of the section in one array. */
  async wholeSection(bytesMax: number): Promise<Uint8Array<ArrayBuffer>> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (let chunk = await this.nextChunk(); chunk !== undefined; chunk = await this.nextChunk()) {
      length += chunk.length;
      if (length > bytesMax) this.#refuse(`a section has more than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
    return concatenate(chunks);
  }

  /** What comes after the machine's bytes: nothing that must be known, the end mark, and then nothing at all. */
  async finish(): Promise<void> {
    const type = await this.#nextHead();
    if (type !== SnapshotSection.end) this.#refuse(`section ${type} comes after the machine's bytes`);
    if (!await this.#source.isAtEnd()) this.#refuse("something comes after its end");
  }

  async #nextHead(): Promise<number> {
    for (;;) {
      while (this.#inSection) await this.nextChunk();
      const head = await this.#source.take(SECTION_HEAD_BYTES);
      this.#chain = crc32c(head, 4, SECTION_HEAD_BYTES, this.#chain);
      if (getU32(head, 0) !== this.#chain) this.#refuse("a section's checksum is wrong");
      const type = getU32(head, 4);
      if (type === SnapshotSection.end) {
        if (getU64(head, 8) !== this.#source.offset) this.#refuse("its length is not what its end says");
        return type;
      }
      this.#inSection = true;
      if (this.#isKnown(type, getU32(head, 8), getU32(head, 12))) return type;
    }
  }

  /** Whether a section is to be read; false when it may be skipped. */
  #isKnown(type: number, flags: number, reserved: number): boolean {
    if ((flags & ~SectionFlag.optional) !== 0 || reserved !== 0) {
      this.#refuse(`section ${type} has unknown flags: upgrade this server`);
    }
    const isKnown = type <= SnapshotSection.beginning;
    if (!isKnown && (flags & SectionFlag.optional) === 0) {
      this.#refuse(`section ${type} is unknown: upgrade this server`);
    }
    if (!isKnown) return false;
    if (this.#seen.has(type)) this.#refuse(`section ${type} comes twice`);
    this.#seen.add(type);
    return true;
  }

  #refuse(detail: string): never {
    throw new ProtocolError(`Cannot read the snapshot near byte ${this.#source.offset}: ${detail}`);
  }
}

/** Exact numbers of bytes, out of pieces of any length. */
class Source {
  readonly #read: SnapshotRead;
  #piece: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Bytes that were taken so far. */
  offset = 0;

  constructor(read: SnapshotRead) {
    this.#read = read;
  }

  /** The next bytes, in an array of their own: what is handed out must not share memory with what is to be verified. */
  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      if (this.#at === this.#piece.length && !await this.#next()) {
        throw new ProtocolError(`Cannot read the snapshot as it is cut off at byte ${this.offset}`);
      }
      const part = this.#piece.subarray(this.#at, this.#at + length - filled);
      bytes.set(part, filled);
      filled += part.length;
      this.#at += part.length;
      this.offset += part.length;
    }
    return bytes;
  }

  /** Whether there is nothing left. */
  async isAtEnd(): Promise<boolean> {
    return this.#at === this.#piece.length && !await this.#next();
  }

  async #next(): Promise<boolean> {
    this.#piece = await this.#read(this.offset, READ_BYTES);
    this.#at = 0;
    return this.#piece.length > 0;
  }
}
