/**
 * Frames: what a byte stream between servers is cut into. A frame is a header of 28 bytes, little-endian, and a body.
 *
 * | at | | |
 * |---|---|---|
 * | 0 | u8 | 0xc5, which starts neither a text protocol nor a TLS record |
 * | 1 | u8 | version of this layout, 1 |
 * | 2 | u8 | kind, see {@linkcode FrameKind} |
 * | 3 | u8 | flags, 0 |
 * | 4 | u32 | group |
 * | 8 | u32 | bytes of the body |
 * | 12 | u32 | sequence: 0 for the first frame of a direction of a connection, then one more each, modulo 2³² |
 * | 16 | u32 | bytes of the body that the checksum covers, from its start |
 * | 20 | u32 | CRC32C of those |
 * | 24 | u32 | CRC32C of header bytes 0 to 24 |
 *
 * The header has its own checksum, so that no length is believed that was damaged on the way. The rest of a body may
 * carry checksums of its own, as records do: they are verified anyway, and a second pass over an append of a megabyte
 * costs as much as all else that is done to send it.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import { crc32c } from "./crc32c.ts";
import { getU32, setU32 } from "./integers.ts";

/** Bytes of a frame's header. */
export const FRAME_HEADER_BYTES = 28;

/** What a frame is for. The numbers are written to the wire: never renumber. */
export const FrameKind = {
  /** First frame of the side that dialled. */
  hello: 1,
  /** First frame of the side that was dialled. */
  reply: 2,
  /** A message. */
  data: 3,
  /** Says that the sender lives; its body is empty. */
  ping: 4,
} as const;

/** One of the numbers of {@linkcode FrameKind}. */
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** A frame that came in. */
export interface Frame {
  readonly kind: FrameKind;
  readonly group: number;
  /** Belongs to the receiver. */
  readonly body: Uint8Array;
}

interface OpenFrame {
  readonly kind: FrameKind;
  readonly group: number;
  readonly length: number;
  readonly checkedBytes: number;
  readonly checksum: number;
}

const MAGIC = 0xc5;
const VERSION = 1;
const KIND_MAX = FrameKind.ping;

/** What a frame's first piece may take although fewer bytes of it are there. */
const SMALL_BYTES = 4_096;

/** Received bytes of a frame may be held in a buffer at most this many times as long. */
const GROWTH = 4;

/**
 * Makes the header of a frame whose body is these parts.
 *
 * @param sequence Number of frames sent before it in this direction of the connection.
 * @param checkedBytes How many leading bytes of the body the checksum covers; by default all.
 */
export function encodeFrameHeader(
  kind: FrameKind,
  group: number,
  sequence: number,
  parts: readonly Uint8Array[],
  checkedBytes: number = Infinity,
): Uint8Array {
  let length = 0;
  let checksum = 0;
  for (const part of parts) {
    const checked = Math.min(part.length, checkedBytes - length);
    if (checked > 0) checksum = crc32c(part, 0, checked, checksum);
    length += part.length;
  }
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  header[0] = MAGIC;
  header[1] = VERSION;
  header[2] = kind;
  setU32(header, 4, group);
  setU32(header, 8, length);
  setU32(header, 12, sequence >>> 0);
  setU32(header, 16, Math.min(checkedBytes, length));
  setU32(header, 20, checksum);
  setU32(header, 24, crc32c(header, 0, 24));
  return header;
}

/**
 * Cuts a stream into frames: bytes in by {@linkcode FrameDecoder.push}, frames out by the callback.
 *
 * A body that lies within one chunk is a view of it; any other is copied together once, into memory that grows with
 * the bytes received and never with a length that is only announced.
 */
export class FrameDecoder {
  /** Longest body that is taken; may be changed between frames. */
  frameBytesMax: number;
  readonly #onFrame: (frame: Frame) => void;
  readonly #header: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  /** The header of the open frame, once it is complete. */
  #open: OpenFrame | undefined;
  #body: Uint8Array | undefined;
  #bodyFilled = 0;
  #sequence = 0;
  #stopped = false;

  /** Frames go to `onFrame`, which may stop the decoder. What it throws comes out of `push`. */
  constructor(options: { readonly frameBytesMax: number; readonly onFrame: (frame: Frame) => void }) {
    this.frameBytesMax = options.frameBytesMax;
    this.#onFrame = options.onFrame;
  }

  /** Bytes of a frame that is not complete; 0 between frames. */
  get openBytes(): number {
    return this.#open === undefined ? this.#headerFilled : FRAME_HEADER_BYTES + this.#bodyFilled;
  }

  /** Memory held for it, in bytes. */
  get heldBytes(): number {
    return FRAME_HEADER_BYTES + (this.#body?.length ?? 0);
  }

  /** Ignores everything from now on, the rest of the chunk in hand too. */
  stop(): void {
    this.#stopped = true;
    this.#body = undefined;
  }

  /**
   * Takes the next bytes. The chunk is kept: it must not be changed afterwards.
   *
   * @throws {ProtocolError} If they are no frames; the decoder is then stopped, as nobody can say where the next one
   * starts.
   */
  push(chunk: Uint8Array): void {
    try {
      let at = 0;
      while (!this.#stopped) {
        if (this.#open === undefined) {
          at = this.#takeHeader(chunk, at);
          if (this.#open === undefined) return;
        }
        const taken = this.#takeBody(chunk, at);
        if (taken < 0) return;
        at = taken;
        if (at === chunk.length) return;
      }
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Returns where the header ends in the chunk. */
  #takeHeader(chunk: Uint8Array, from: number): number {
    if (this.#headerFilled === 0 && chunk.length - from >= FRAME_HEADER_BYTES) {
      this.#openFrame(chunk, from);
      return from + FRAME_HEADER_BYTES;
    }
    const end = Math.min(chunk.length, from + FRAME_HEADER_BYTES - this.#headerFilled);
    this.#header.set(chunk.subarray(from, end), this.#headerFilled);
    this.#headerFilled += end - from;
    // Not only when it is complete: a stranger with another protocol may never send that much.
    if (this.#headerFilled > 0) checkMagic(this.#header[0]);
    if (this.#headerFilled === FRAME_HEADER_BYTES) {
      this.#headerFilled = 0;
      this.#openFrame(this.#header, 0);
    }
    return end;
  }

  #openFrame(bytes: Uint8Array, at: number): void {
    checkMagic(bytes[at]);
    if (bytes[at + 1] !== VERSION) {
      throw new ProtocolError(`Cannot read a frame of version ${bytes[at + 1]}: only ${VERSION} is known`);
    }
    if (crc32c(bytes, at, at + 24) !== getU32(bytes, at + 24)) {
      throw new ProtocolError("Cannot read a frame: its header's checksum is wrong");
    }
    const kind = bytes[at + 2];
    if (kind < 1 || kind > KIND_MAX) throw new ProtocolError(`Cannot read a frame: its kind ${kind} is unknown`);
    if (bytes[at + 3] !== 0) throw new ProtocolError(`Cannot read a frame: its flags ${bytes[at + 3]} are unknown`);
    const length = getU32(bytes, at + 8);
    if (length > this.frameBytesMax) {
      throw new ProtocolError(`Cannot read a frame of ${length} bytes: at most ${this.frameBytesMax} are allowed here`);
    }
    const checkedBytes = getU32(bytes, at + 16);
    if (checkedBytes > length) throw new ProtocolError("Cannot read a frame: its checksum covers more than there is");
    const sequence = getU32(bytes, at + 12);
    if (sequence !== this.#sequence) {
      throw new ProtocolError(`Cannot read frame ${sequence}: ${this.#sequence} is the next one`);
    }
    this.#sequence = (sequence + 1) >>> 0;
    const group = getU32(bytes, at + 4);
    this.#open = { kind: kind as FrameKind, group, length, checkedBytes, checksum: getU32(bytes, at + 20) };
  }

  /** Returns where the body ends in the chunk, or -1 when it is not complete. */
  #takeBody(chunk: Uint8Array, from: number): number {
    const { kind, group, length, checkedBytes, checksum } = this.#open!;
    const end = Math.min(chunk.length, from + length - this.#bodyFilled);
    if (end === from && length > 0) return -1;
    let body: Uint8Array;
    if (this.#bodyFilled === 0 && end - from === length) {
      body = chunk.subarray(from, end);
    } else {
      body = this.#append(chunk.subarray(from, end), length);
      if (this.#bodyFilled < length) return -1;
    }
    if (crc32c(body, 0, checkedBytes) !== checksum) {
      throw new ProtocolError("Cannot read a frame: its body's checksum is wrong");
    }
    this.#open = undefined;
    this.#body = undefined;
    this.#bodyFilled = 0;
    this.#onFrame({ kind, group, body });
    return end;
  }

  #append(piece: Uint8Array, length: number): Uint8Array {
    const filled = this.#bodyFilled + piece.length;
    let body = this.#body;
    if (body === undefined || body.length < filled) {
      body = new Uint8Array(Math.min(length, Math.max(filled * GROWTH, SMALL_BYTES)));
      if (this.#body !== undefined) body.set(this.#body.subarray(0, this.#bodyFilled));
      this.#body = body;
    }
    body.set(piece, this.#bodyFilled);
    this.#bodyFilled = filled;
    return body;
  }
}

function checkMagic(byte: number): void {
  if (byte === MAGIC) return;
  const hex = `0x${byte.toString(16).padStart(2, "0")}`;
  throw new ProtocolError(`Cannot read a frame: it starts with ${hex}${guessOf(byte)}`);
}

/** What a wrong first byte most often means, for whoever reads the log. */
function guessOf(byte: number): string {
  if (byte === 0x16) return ", as TLS does: is TLS switched on at one end only?";
  if (byte >= 0x41 && byte <= 0x5a) return ", as HTTP does: is this port meant for Raft?";
  return "";
}
