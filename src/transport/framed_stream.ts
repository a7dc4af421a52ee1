/**
 * A stream that carries frames.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import { encodeFrameHeader, type Frame, FRAME_HEADER_BYTES, FrameDecoder, type FrameKind } from "../wire/frame.ts";
import { byteLengthOf } from "../wire/bytes.ts";
import type { Clock } from "./clock.ts";
import type { MutableCounters } from "./counters.ts";
import type { Stream } from "./stream_layer.ts";

/** Why a stream ended. */
export interface StreamEnd {
  readonly reason: string;
  /** Whether the other side sent what it must not. */
  readonly isProtocolError: boolean;
  /** Whether it was not this side that ended it; by default it was. */
  readonly isClosedByPeer?: boolean;
}

/** What happens on a {@linkcode FramedStream}. */
export interface FramedStreamHandler {
  /** A frame came in. A ProtocolError that it throws ends the stream. */
  onFrame(frame: Frame): void;
  /** The stream ended, but not by {@linkcode FramedStream.close}. Called once. */
  onEnd(end: StreamEnd): void;
}

/**
 * Cuts what comes in into frames, and gathers the frames that go out in one turn into one write: sixty-four bytes at a
 * time a socket carries a thirtieth of what it can.
 */
export class FramedStream {
  /** Who hears of it now: first the handshake, then the connection. */
  handler: FramedStreamHandler;
  /** When the last bytes came in. */
  receivedAt: number;
  /** When the last frame was queued. */
  sentAt: number;
  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #counters: MutableCounters;
  readonly #decoder: FrameDecoder;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #sequence = 0;
  #writtenBytes = 0;
  #ended = false;

  constructor(
    stream: Stream,
    handler: FramedStreamHandler,
    options: { readonly clock: Clock; readonly counters: MutableCounters; readonly frameBytesMax: number },
  ) {
    this.#stream = stream;
    this.handler = handler;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.receivedAt = this.sentAt = options.clock.now();
    this.#decoder = new FrameDecoder({
      frameBytesMax: options.frameBytesMax,
      onFrame: (frame) => this.handler.onFrame(frame),
    });
    stream.start((chunk, error) => this.#take(chunk, error));
  }

  /** Whether nothing can be sent or received any more. */
  get isEnded(): boolean {
    return this.#ended;
  }

  get remoteAddress(): string {
    return this.#stream.remoteAddress;
  }

  get peerIdentity(): string | undefined {
    return this.#stream.peerIdentity;
  }

  /** Bytes that are on their way to the system. */
  get queuedBytes(): number {
    return this.#pendingBytes + this.#stream.queuedBytes;
  }

  /** Bytes that the system has taken. */
  get handedOverBytes(): number {
    return this.#writtenBytes - this.#stream.queuedBytes;
  }

  /** Bytes of a frame that is not complete yet. */
  get openBytes(): number {
    return this.#decoder.openBytes;
  }

  /** Longest frame that is taken, from the next one on. */
  set frameBytesMax(value: number) {
    this.#decoder.frameBytesMax = value;
  }

  /** Queues a frame. The parts must not be changed afterwards. */
  send(kind: FrameKind, group: number, parts: readonly Uint8Array[], checkedBytes?: number): void {
    if (this.#ended) return;
    // Before anything is queued, so that the microtask is asked for once per turn.
    if (this.#pending.length === 0) queueMicrotask(() => this.#flush());
    this.#pending.push(encodeFrameHeader(kind, group, this.#sequence, parts, checkedBytes));
    this.#sequence = (this.#sequence + 1) >>> 0;
    for (const part of parts) this.#pending.push(part);
    this.#pendingBytes += FRAME_HEADER_BYTES + byteLengthOf(parts);
    this.sentAt = this.#clock.now();
  }

  /** Takes nothing more in, but still sends. */
  ignoreInput(): void {
    this.#decoder.stop();
  }

  /** Ends the stream; the handler hears nothing any more. Idempotent. */
  close(): void {
    if (this.#ended) return;
    this.#flush();
    this.#ended = true;
    this.#decoder.stop();
    this.#stream.close();
  }

  /** Ends the stream and tells the handler. */
  end(end: StreamEnd): void {
    if (this.#ended) return;
    this.close();
    this.handler.onEnd(end);
  }

  #flush(): void {
    if (this.#ended || this.#pending.length === 0) return;
    const parts = this.#pending;
    this.#pending = [];
    this.#writtenBytes += this.#pendingBytes;
    this.#counters.bytesSent += this.#pendingBytes;
    this.#pendingBytes = 0;
    this.#stream.write(parts);
  }

  #take(chunk: Uint8Array | null, error: string | undefined): void {
    if (this.#ended) return;
    if (chunk === null) {
      const where = this.openBytes > 0 ? " in the middle of a frame" : "";
      return this.end({ reason: error ?? `closed by peer${where}`, isProtocolError: false, isClosedByPeer: true });
    }
    this.receivedAt = this.#clock.now();
    this.#counters.bytesReceived += chunk.length;
    try {
      this.#decoder.push(chunk);
    } catch (thrown) {
      // Whatever a handler throws concerns this stream only: it must not reach the runtime's socket callback.
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.end({
        reason: thrown instanceof ProtocolError ? reason : `handler failed: ${reason}`,
        isProtocolError: thrown instanceof ProtocolError,
      });
    }
  }
}
