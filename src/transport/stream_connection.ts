/**
 * An established connection over a stream, watched for silence.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import { type Frame, FRAME_HEADER_BYTES, FrameKind } from "../wire/frame.ts";
import { byteLengthOf } from "../wire/bytes.ts";
import type { Clock } from "./clock.ts";
import type { FramedStream, StreamEnd } from "./framed_stream.ts";
import type { Link } from "./link.ts";
import type { Connection } from "./peer.ts";
import type { Channel, RemoteServer } from "./transport.ts";

/** Bounds of a connection. */
export interface ConnectionLimits {
  readonly sendQueueBytesMax: number;
  /** After so long without sending, a ping goes out. */
  readonly pingMs: number;
  /** After so long without a byte from the other side, or without it taking one, the connection is given up. */
  readonly silenceMs: number;
  /** After so long without data, a connection that nobody wants to keep is closed. */
  readonly idleMs: number;
}

/** What a connection needs to be made. */
export interface ConnectionParts {
  readonly framed: FramedStream;
  readonly link: Link;
  readonly peer: RemoteServer;
  readonly channel: Channel;
  readonly nonce: number;
  readonly dialledByUs: boolean;
  readonly clock: Clock;
  readonly limits: ConnectionLimits;
  /** It ended, by whomever. */
  onEnd(connection: StreamConnection, end: StreamEnd | undefined): void;
}

/** A frame that has been open this long must have come in faster than {@linkcode SLOWEST_BYTES_PER_MS}. */
const OPEN_FRAME_MS = 5_000;
const SLOWEST_BYTES_PER_MS = 1;

/** See the module. */
export class StreamConnection implements Connection {
  readonly peer: RemoteServer;
  readonly channel: Channel;
  readonly nonce: number;
  readonly dialledByUs: boolean;
  readonly link: Link;
  readonly #framed: FramedStream;
  readonly #parts: ConnectionParts;
  #dataAt: number;
  /** When the frame that is open was first seen so. */
  #openSince: number | undefined;
  #handedOver = { bytes: 0, at: 0 };
  #ended = false;

  constructor(parts: ConnectionParts) {
    this.peer = parts.peer;
    this.channel = parts.channel;
    this.nonce = parts.nonce;
    this.dialledByUs = parts.dialledByUs;
    this.link = parts.link;
    this.#framed = parts.framed;
    this.#parts = parts;
    this.#dataAt = parts.clock.now();
    this.#handedOver = { bytes: 0, at: this.#dataAt };
    parts.framed.handler = {
      onFrame: (frame) => this.#take(frame),
      onEnd: (end) => this.#finish(end),
    };
  }

  get remoteAddress(): string {
    return this.#framed.remoteAddress;
  }

  send(parts: readonly Uint8Array[], checkedBytes?: number): boolean {
    if (this.#ended) return false;
    const { queuedBytes } = this.#framed;
    const bytes = FRAME_HEADER_BYTES + byteLengthOf(parts);
    // What is larger than the whole queue could otherwise never be sent.
    if (queuedBytes > 0 && queuedBytes + bytes > this.#parts.limits.sendQueueBytesMax) return false;
    this.#framed.send(FrameKind.data, this.link.local.group, parts, checkedBytes);
    this.#dataAt = this.#framed.sentAt;
    return true;
  }

  close(): void {
    if (this.#ended) return;
    this.#framed.close();
    this.#finish(undefined);
  }

  /** Looks after the connection; called a few times per second. */
  watch(now: number): void {
    const { pingMs, silenceMs, idleMs } = this.#parts.limits;
    const framed = this.#framed;
    if (now - framed.receivedAt >= silenceMs) return this.#giveUp(`silent for ${silenceMs} ms`);
    if (!this.#isTaking(now)) return this.#giveUp(`takes nothing for ${silenceMs} ms`);
    if (this.#isTooSlow(now)) {
      const reason = `Cannot wait for a frame that comes in at less than ${SLOWEST_BYTES_PER_MS} byte per ms`;
      return framed.end({ reason, isProtocolError: true });
    }
    const isKept = this.channel === "consensus" && this.link.wants(this.peer.serverId);
    if (!isKept && now - this.#dataAt >= idleMs) return this.#giveUp("idle");
    if (now - framed.sentAt >= pingMs) framed.send(FrameKind.ping, this.link.local.group, []);
  }

  /** Forgives the silence of a time in which this process slept and could not listen. */
  forgive(now: number): void {
    this.#framed.receivedAt = now;
    this.#handedOver.at = now;
    if (this.#openSince !== undefined) this.#openSince = now;
  }

  #take({ kind, group, body }: Frame): void {
    this.#openSince = undefined;
    if (group !== this.link.local.group) {
      throw new ProtocolError(`Cannot take a frame of group ${group} on a connection of ${this.link.local.group}`);
    }
    if (kind === FrameKind.data) {
      this.#dataAt = this.#framed.receivedAt;
      return this.link.received(this, body);
    }
    if (kind !== FrameKind.ping) throw new ProtocolError("Cannot take a second handshake");
    if (body.length > 0) throw new ProtocolError("Cannot take a ping with a body");
  }

  #isTaking(now: number): boolean {
    const bytes = this.#framed.handedOverBytes;
    if (this.#framed.queuedBytes === 0 || bytes !== this.#handedOver.bytes) this.#handedOver = { bytes, at: now };
    return now - this.#handedOver.at < this.#parts.limits.silenceMs;
  }

  #isTooSlow(now: number): boolean {
    const { openBytes } = this.#framed;
    if (openBytes === 0) {
      this.#openSince = undefined;
      return false;
    }
    this.#openSince ??= now;
    const openMs = now - this.#openSince;
    return openMs >= OPEN_FRAME_MS && openBytes < openMs * SLOWEST_BYTES_PER_MS;
  }

  #giveUp(reason: string): void {
    this.#framed.end({ reason, isProtocolError: false });
  }

  #finish(end: StreamEnd | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.onEnd(this, end);
  }
}
