/**
 * A peer that writes its frames by hand, right or wrong.
 *
 * @module
 */
import { encodeFrameHeader, type Frame, FrameDecoder, FrameKind } from "../../src/wire/frame.ts";
import { decodeReply, encodeHello, type HandshakeReply, type Hello } from "../../src/wire/handshake_codec.ts";
import type { FakeInternet, FakeStream } from "./fake_layer.ts";

/** A hello that the server `b` of a test would welcome. */
export const HELLO: Hello = {
  protocolMin: 1,
  protocolMax: 1,
  clusterId: "cluster",
  from: "raw",
  to: "b",
  channel: "consensus",
  incarnation: "raw",
  starts: 1,
  address: "raw:1",
  nonce: 5,
  lastNonce: 0,
  firstEntry: "",
};

/** See the module. */
export class RawPeer {
  readonly stream: FakeStream;
  readonly frames: Frame[] = [];
  /** Whether the other side hung up. */
  isEnded = false;
  #sequence = 0;

  /** Connects to `to:1`. */
  constructor(internet: FakeInternet, to: string, from = "stranger:1") {
    this.stream = internet.stranger(`${to}:1`, from);
    const decoder = new FrameDecoder({ frameBytesMax: 10_000, onFrame: (frame) => this.frames.push(frame) });
    this.stream.start((chunk) => {
      if (chunk === null) this.isEnded = true;
      else decoder.push(chunk);
    });
  }

  /** Says hello. */
  hello(changes: Partial<Hello> = {}, group = 0): void {
    this.send(FrameKind.hello, encodeHello({ ...HELLO, ...changes }), group);
  }

  /** Sends a frame that is whole. */
  send(kind: FrameKind, body: Uint8Array, group = 0): void {
    this.raw(this.header(kind, body, group));
    this.raw(body);
  }

  /** The header of the next frame. */
  header(kind: FrameKind, body: Uint8Array, group = 0): Uint8Array {
    return encodeFrameHeader(kind, group, this.#sequence++, [body]);
  }

  /** Sends bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.stream.write([bytes]);
  }

  /** How the hello was answered. */
  get reply(): HandshakeReply | undefined {
    const frame = this.frames.find(({ kind }) => kind === FrameKind.reply);
    return frame === undefined ? undefined : decodeReply(frame.body);
  }
}
