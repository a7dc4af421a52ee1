/**
 * What becomes of frames on a simulated network: carried, lost, repeated, forged, or refused where nobody knows of their
 * connection.
 *
 * @module
 */
import { ProtocolError } from "../../errors.ts";
import type { Message } from "../../message.ts";
import type { Channel } from "../../transport/transport.ts";
import { concatenate } from "../../wire/bytes.ts";
import { encodeConfiguration } from "../../wire/configuration.ts";
import { type DecodedMessage, decodeMessage, encodeMessage } from "../../wire/message_codec.ts";
import { garbled } from "./hostile.ts";
import type { Lines } from "./lines.ts";
import { type OldFrame, OldFrames } from "./old_frames.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { SimLink } from "./sim_link.ts";
import type { World } from "./world.ts";

/** What the network shows. */
export interface NetworkTap {
  /** A server sends a frame. */
  onSend(from: number, to: number, decoded: DecodedMessage): void;
  /** A server sends a frame that none of its peers can read; it goes nowhere. */
  onUnreadable(from: number, error: ProtocolError): void;
  /** A frame arrives over the connection over which it was sent then, virtual microseconds. */
  onArrive?(from: number, to: number, message: Message, channel: Channel, sentAt: number): void;
  /** A frame gets lost as its direction is cut. */
  onCut?(from: number, to: number, message: Message): void;
  /** A server learns that its connection is gone. */
  onEnd?(server: number, peer: number, channel: Channel, reason: string): void;
}

/** A connection between two servers. */
export interface Connection {
  readonly dialler: number;
  /** When the last frame in each direction arrives, by sender. */
  readonly lastArrival: Map<number, number>;
  /** When the last frame was sent over it, by either. */
  usedAt: number;
}

/** What somebody waits for. */
const answers: ReadonlySet<Message["type"]> = new Set(["append-response", "vote-response", "read-response"]);

/** Repeating these would repeat what a user asked for; the Transport port promises order and no repetition. */
const neverRepeated: ReadonlySet<Message["type"]> = new Set(["forward-request", "forward-response", "change-request"]);

/** What frames need of their network. */
export interface FramesHost {
  readonly channel: Channel;
  readonly world: World;
  readonly lines: Lines;
  readonly tap: NetworkTap;
  /** The server's life on the network, if it is up. */
  linkOf(server: number): SimLink | undefined;
  /** The connection to the peer that the server believes in. */
  connectionOf(server: number, peer: number): Connection | undefined;
  /** The chance of one direction. */
  randomOf(from: number, to: number): Random;
  /** The server learns that its connection is gone. */
  end(server: number, peer: number, reason: string, isClosedByPeer?: boolean): void;
}

/** All frames of one channel. */
export class Frames {
  readonly #host: FramesHost;
  readonly #old: OldFrames;
  /** How often each server's disk was replaced. */
  readonly #disks: number[];

  /** Nothing was sent yet, between so many servers. */
  constructor(count: number, host: FramesHost) {
    this.#host = host;
    this.#old = new OldFrames(count * count);
    this.#disks = new Array(count).fill(0);
  }

  /** A server's disk is another one: what it sent before comes over no connection of the new one. */
  forget(server: number): void {
    this.#disks[server]!++;
    for (let peer = 0; peer < this.#disks.length; peer++) this.#old.forget(this.#host.lines.at(server, peer));
  }

  /** A server sends a frame over its connection; false when it is none. */
  send(connection: Connection, from: number, to: number, frame: Uint8Array): boolean {
    const decoded = this.#read(from, frame);
    if (decoded === undefined) return false;
    connection.usedAt = this.#host.world.time;
    this.#host.tap.onSend(from, to, decoded);
    this.#transmit(connection, from, to, frame, decoded);
    return true;
  }

  #read(from: number, frame: Uint8Array): DecodedMessage | undefined {
    try {
      return decodeMessage(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#host.tap.onUnreadable(from, error);
      return undefined;
    }
  }

  #transmit(connection: Connection, from: number, to: number, frame: Uint8Array, decoded: DecodedMessage): void {
    const { lines } = this.#host;
    const random = this.#host.randomOf(from, to);
    const { loss, duplicate, replay, hostile = 0 } = lines.behaviour;
    const isRepeatable = !neverRepeated.has(decoded.message.type);
    const [isLost, isDoubled, isReplayed] = [random.chance(loss), random.chance(duplicate), random.chance(replay)];
    if (lines.isCut(from, to)) return this.#host.tap.onCut?.(from, to, decoded.message);
    if (!isLost) this.#carry(connection, from, to, frame, decoded);
    if (!isRepeatable) return;
    if (isDoubled) this.#carry(connection, from, to, frame, decoded);
    if (isReplayed) this.#again(from, to, this.#old.any(random, lines.at(from, to)));
    const answer = replay > 0 ? this.#old.answerTo(lines.at(to, from), decoded.message) : undefined;
    if (answer !== undefined && random.chance(0.5)) this.#again(to, from, answer);
    if (hostile > 0 && random.chance(hostile)) this.#forge(from, to, decoded.message, frame);
    if (replay > 0) this.#old.keep(random, lines.at(from, to), { frame, decoded });
  }

  #again(from: number, to: number, old: OldFrame | undefined): void {
    if (old !== undefined) this.#carry(undefined, from, to, old.frame, old.decoded);
  }

  /** Somebody makes something of a frame that its sender never said, or hands it back as if it had sent it to itself. */
  #forge(from: number, to: number, message: Message, frame: Uint8Array): void {
    const { channel, world, lines } = this.#host;
    const random = this.#host.randomOf(from, to);
    if (random.chance(0.1)) {
      const link = this.#host.linkOf(from);
      const remote = link?.sides[channel].peers.get(to);
      if (link === undefined || remote === undefined) return;
      return void world.schedule(from, Port.network, lines.behaviour.delayMin, `${from} hears itself`, () => {
        if (this.#host.linkOf(from) !== link) return;
        link.handler.onFrame({ ...remote, serverId: link.local.serverId }, channel, frame);
      });
    }
    const forged = garbled(random, message);
    if (forged === undefined) return;
    const parts = forged.type === "snapshot-request" ? [encodeConfiguration(forged.configuration)] : [];
    this.#carry(undefined, from, to, concatenate(encodeMessage(forged, parts)), { message: forged });
  }

  /** Lets a frame arrive. Without a connection it arrives over any: a replayed one. */
  #carry(
    connection: Connection | undefined,
    from: number,
    to: number,
    frame: Uint8Array,
    decoded: DecodedMessage,
  ): void {
    const { channel, world, lines, tap } = this.#host;
    const { type } = decoded.message;
    const isAnswer = answers.has(type);
    let delay = lines.delayOf(this.#host.randomOf(from, to), from, to, world.time, frame.length, isAnswer);
    const overtakes = lines.behaviour.reorder && !neverRepeated.has(type);
    if (connection !== undefined && !overtakes) {
      delay = Math.max(delay, (connection.lastArrival.get(from) ?? 0) - world.time);
      connection.lastArrival.set(from, world.time + delay);
    }
    const what = () => `${from}→${to} ${decoded.message.type} of ${decoded.message.term}`;
    const [disk, sentAt] = [this.#disks[from], world.time];
    world.schedule(from, Port.network, delay, what, () => {
      const link = this.#host.linkOf(to);
      const held = this.#host.connectionOf(to, from);
      const peer = link?.sides[channel].peers.get(from);
      const isKnown = held !== undefined &&
        (connection === undefined ? disk === this.#disks[from] : held === connection);
      if (link === undefined || peer === undefined || !isKnown) return this.#refuse(connection, from, to);
      world.trace.addText(decoded.message.type);
      if (world.trace.keepsLines) world.trace.say(() => `    ${JSON.stringify(decoded.message)}`);
      if (connection !== undefined) tap.onArrive?.(from, to, decoded.message, channel, sentAt);
      try {
        link.handler.onFrame(peer, channel, frame);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#host.end(to, from, error.message);
        this.#host.end(from, to, "closed by peer", true);
      }
    }, to);
  }

  /** The receiver knows nothing of this connection, which its sender learns. */
  #refuse(connection: Connection | undefined, from: number, to: number): void {
    const { world, lines } = this.#host;
    if (connection === undefined || lines.isCut(to, from)) return;
    world.schedule(-1, Port.network, lines.behaviour.delayMin, `${to} refuses ${from}`, () => {
      if (this.#host.connectionOf(from, to) === connection) this.#host.end(from, to, "connection reset", true);
    }, from);
  }
}
