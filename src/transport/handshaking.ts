/**
 * Shaking hands over a stream: from bytes to a connection, or to a reason why not.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import { type Frame, FrameKind } from "../wire/frame.ts";
import {
  decodeHello,
  decodeReply,
  encodeHello,
  encodeReply,
  HANDSHAKE_BYTES_MAX,
  type HandshakeReply,
  type Hello,
  type Refusal,
} from "../wire/handshake_codec.ts";
import type { Clock } from "./clock.ts";
import type { MutableCounters } from "./counters.ts";
import { FramedStream, type StreamEnd } from "./framed_stream.ts";
import { firstEntryOf, judgeWelcome, negotiateProtocol, PROTOCOL_MAX, PROTOCOL_MIN } from "./handshake.ts";
import type { DialAttempt, Link } from "./link.ts";
import type { Stream } from "./stream_layer.ts";
import type { LocalServer, RemoteServer } from "./transport.ts";

/** What a handshake needs to know. */
export interface HandshakeContext {
  readonly clock: Clock;
  readonly counters: MutableCounters;
  /** Where this server can be dialled. */
  readonly address: string;
  readonly handshakeTimeoutMs: number;
}

/** A handshake under way. */
export interface Handshake {
  /** Where its stream leads. */
  readonly remoteAddress: string;
  /** Ends it; nothing is reported any more. */
  cancel(): void;
}

/** What became of a handshake; one of these is called, once. */
export interface DialOutcome {
  /** The other side welcomed us: the stream is the caller's. */
  welcomed(framed: FramedStream, peer: RemoteServer): void;
  refused(refusal: Refusal): void;
  broken(end: StreamEnd): void;
}

/** Says hello on a stream that was dialled. */
export function shakeAsDialler(
  stream: Stream,
  local: LocalServer,
  attempt: DialAttempt,
  context: HandshakeContext,
  outcome: DialOutcome,
): Handshake {
  const hello: Hello = {
    protocolMin: PROTOCOL_MIN,
    protocolMax: PROTOCOL_MAX,
    clusterId: local.clusterId(),
    from: local.serverId,
    to: attempt.to,
    channel: attempt.channel,
    incarnation: local.incarnation,
    starts: local.starts,
    address: context.address,
    nonce: attempt.nonce,
    lastNonce: attempt.lastNonce,
    firstEntry: firstEntryOf(local),
  };
  const onFrame = (frame: Frame) => {
    if (frame.kind !== FrameKind.reply || frame.group !== local.group) {
      throw new ProtocolError("Cannot shake hands: the first frame is no reply");
    }
    const { welcome, refusal } = decodeReply(frame.body);
    timer.stop();
    const objection = refusal ?? judgeWelcome(welcome, hello) ?? judgeIdentity(framed, attempt.to);
    if (welcome === undefined || objection !== undefined) {
      framed.close();
      return outcome.refused(objection!);
    }
    outcome.welcomed(framed, welcome);
  };
  const framed = newFramedStream(stream, context, onFrame, (end) => {
    timer.stop();
    outcome.broken(end);
  });
  const timer = startTimer(framed, context, () => false);
  framed.send(FrameKind.hello, local.group, [encodeHello(hello)]);
  return cancellable(framed, timer);
}

/** What becomes of a stream that came in; `welcome` or `ended` is called, once. */
export interface AcceptOutcome {
  /** The group the other side asks for. */
  linkOf(group: number): Link | undefined;
  /** The hello is fine and answered: the stream is the caller's. */
  welcomed(framed: FramedStream, link: Link, hello: Hello): void;
  /** The hello was answered with a refusal; `ended` follows once the other side has had time to read it. */
  refused(refusal: Refusal, link: Link | undefined, hello: Hello): void;
  /** The stream is closed; by us because of a protocol error when one is given. */
  ended(error: StreamEnd | undefined): void;
}

/** Waits for a hello on a stream that came in. */
export function shakeAsDialled(stream: Stream, context: HandshakeContext, outcome: AcceptOutcome): Handshake {
  let state: "silent" | "greeted" | "refused" = "silent";
  const onFrame = (frame: Frame) => {
    if (frame.kind !== FrameKind.hello || state !== "silent") {
      throw new ProtocolError("Cannot shake hands: one hello and nothing more is to come first");
    }
    const hello = decodeHello(frame.body);
    state = "greeted";
    const link = outcome.linkOf(frame.group);
    if (link === undefined) answer(hello, frame.group, link);
    else link.whenJudgeable(hello, () => answer(hello, frame.group, link));
  };
  const answer = (hello: Hello, group: number, link: Link | undefined) => {
    if (framed.isEnded) return;
    const refusal = link === undefined
      ? { code: "group", reason: `group ${group} is not served (yet) by the dialled process` } as const
      : judgeIdentity(framed, hello.from) ?? link.judge(hello);
    if (link === undefined || refusal !== undefined) {
      state = "refused";
      reply(group, { refusal: refusal! });
      // The dialling side closes when it has read this; the timer does otherwise.
      framed.ignoreInput();
      return outcome.refused(refusal!, link, hello);
    }
    timer.stop();
    const { serverId, incarnation, starts, clusterId } = link.local;
    const protocol = negotiateProtocol(hello)!;
    const { address } = context;
    const firstEntry = firstEntryOf(link.local);
    reply(group, { welcome: { protocol, clusterId: clusterId(), serverId, incarnation, starts, address, firstEntry } });
    outcome.welcomed(framed, link, hello);
  };
  const reply = (group: number, content: HandshakeReply) => {
    framed.send(FrameKind.reply, group, [encodeReply(content)]);
  };
  const framed = newFramedStream(stream, context, onFrame, (end) => {
    timer.stop();
    // Whoever dials may think better of it, most often because a dial of ours crossed with theirs.
    outcome.ended(end.isProtocolError ? end : undefined);
  });
  const timer = startTimer(framed, context, () => state === "silent");
  return cancellable(framed, timer);
}

function newFramedStream(
  stream: Stream,
  { clock, counters }: HandshakeContext,
  onFrame: (frame: Frame) => void,
  onEnd: (end: StreamEnd) => void,
): FramedStream {
  return new FramedStream(stream, { onFrame, onEnd }, { clock, counters, frameBytesMax: HANDSHAKE_BYTES_MAX });
}

/** Whoever has a certificate may only speak for the server it names. */
function judgeIdentity({ peerIdentity }: FramedStream, serverId: string): Refusal | undefined {
  if (peerIdentity === undefined || peerIdentity === serverId) return undefined;
  return { code: "identity", reason: `the certificate of "${serverId}" belongs to ${JSON.stringify(peerIdentity)}` };
}

function startTimer(
  framed: FramedStream,
  { clock, handshakeTimeoutMs }: HandshakeContext,
  isProtocolError: () => boolean,
): { stop(): void } {
  const handle = clock.setTimeout(() => {
    framed.end({ reason: `no handshake within ${handshakeTimeoutMs} ms`, isProtocolError: isProtocolError() });
  }, handshakeTimeoutMs);
  return { stop: () => clock.clearTimeout(handle) };
}

function cancellable(framed: FramedStream, timer: { stop(): void }): Handshake {
  return {
    remoteAddress: framed.remoteAddress,
    cancel: () => {
      timer.stop();
      framed.close();
    },
  };
}
