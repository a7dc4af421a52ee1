/**
 * A network that delays, loses, repeats, reorders and cuts, behind the Transport port.
 *
 * A connection is one per pair of servers. Each side has its own belief about it, so that it can be half-open, and a
 * reset loses what was on its way.
 *
 * @module
 */
import { ProtocolError } from "../../errors.ts";
import type { Message } from "../../message.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../../transport/handshake.ts";
import type { Transport, TransportFactory } from "../../transport/transport.ts";
import type { ServerAddress } from "../../types.ts";
import { concatenate } from "../../wire/bytes.ts";
import { encodeConfiguration } from "../../wire/configuration.ts";
import { type DecodedMessage, decodeMessage, encodeMessage } from "../../wire/message_codec.ts";
import { garbled } from "./hostile.ts";
import { Lines, type NetworkBehaviour } from "./lines.ts";
import { type OldFrame, OldFrames } from "./old_frames.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import { type LinkHost, SimLink } from "./sim_link.ts";
import type { World } from "./world.ts";

/** What falls on single frames and dials. */
export type NetworkFault = "loss" | "duplicate" | "replay" | "refuse" | "full" | "refuse-dial";

/** What the network shows. */
export interface NetworkTap {
  /** A server sends a frame. */
  onSend(from: number, to: number, decoded: DecodedMessage): void;
  /** A frame is about to be handed to its receiver. */
  onReceive(from: number, to: number, decoded: DecodedMessage): void;
  /** A server sends a frame that none of its peers can read; it goes nowhere. */
  onUnreadable(from: number, error: ProtocolError): void;
  /** A fault fell on a frame. */
  onFault(kind: NetworkFault): void;
}

/** A connection between two servers. */
interface Connection {
  readonly dialler: number;
  /** When the last frame in each direction arrives, by sender. */
  readonly lastArrival: Map<number, number>;
}

/** What somebody waits for. */
const answers: ReadonlySet<Message["type"]> = new Set(["append-response", "vote-response", "read-response"]);

/** Repeating these would repeat what a user asked for; the Transport port promises order and no repetition. */
const neverRepeated: ReadonlySet<Message["type"]> = new Set(["forward-request", "forward-response"]);

/** The network between all servers of a simulation. */
export class Network implements LinkHost {
  readonly world: World;
  readonly tap: NetworkTap;
  readonly addresses: readonly ServerAddress[];
  readonly lines: Lines;
  readonly #links: (SimLink | undefined)[];
  /** What each server believes: `[believer * count + peer]`. */
  readonly #connections: (Connection | undefined)[];
  readonly #random: readonly Random[];
  /** How often each server's disk was replaced. */
  readonly #disks: number[];
  readonly #old: OldFrames;

  /** Lines between servers at these addresses; nobody is there yet. */
  constructor(
    world: World,
    random: Random,
    addresses: readonly ServerAddress[],
    behaviour: NetworkBehaviour,
    tap: NetworkTap,
  ) {
    const count = addresses.length;
    this.world = world;
    this.addresses = addresses;
    this.tap = tap;
    this.lines = new Lines(count, behaviour);
    this.#links = new Array(count).fill(undefined);
    this.#disks = new Array(count).fill(0);
    this.#connections = new Array(count * count).fill(undefined);
    this.#random = this.#connections.map((_, i) => random.split(`link ${i}`));
    this.#old = new OldFrames(count * count);
  }

  /** The transport of one life of a server. */
  transport(server: number): TransportFactory {
    const address = this.addresses[server]!;
    return {
      open: () => {
        let link: SimLink | undefined;
        const transport: Transport = {
          address,
          attach: (local, handler) => link = this.#links[server] = new SimLink(this, server, local, handler),
          close: () => link?.close() ?? Promise.resolve(),
        };
        return Promise.resolve(transport);
      },
    };
  }

  /** Cuts one direction; every cut needs its {@linkcode Lines.mend}. */
  cut(from: number, to: number): void {
    this.lines.cut(from, to);
    this.world.schedule(-1, Port.network, this.lines.behaviour.silence, "silence", () => {
      if (!this.lines.isCut(from, to)) return;
      this.#end(to, from, "nothing heard for long");
      this.#end(from, to, "no answer for long");
    });
  }

  /** Undoes all cuts and clogs. */
  healAll(): void {
    const { world: { time }, lines, addresses } = this;
    const soon = time + lines.behaviour.delayMax * 4;
    for (let at = 0; at < addresses.length ** 2; at++) {
      const [from, to] = [Math.floor(at / addresses.length), at % addresses.length];
      const arrival = this.#connections[at]?.lastArrival.get(from) ?? 0;
      // What is stuck would arrive late, and all that follows it.
      if (arrival <= soon && !lines.isClogged(from, to, time)) continue;
      this.#end(from, to, "connection reset", true);
      this.#end(to, from, "connection reset", true);
    }
    lines.mendAll();
  }

  /** A server's disk is another one: what it sent before comes over no connection of the new one. */
  forget(server: number): void {
    this.#disks[server]!++;
    for (let peer = 0; peer < this.addresses.length; peer++) this.#old.forget(this.#at(server, peer));
  }

  /** Whether the server believes in a connection to the peer. */
  isConnected(server: number, peer: number): boolean {
    return this.#connections[this.#at(server, peer)] !== undefined;
  }

  /** Whether every two of these servers have a connection that both know of. */
  isWhole(servers: readonly number[]): boolean {
    return servers.every((a) =>
      servers.every((b) => {
        const mine = this.#connections[this.#at(a, b)];
        return a === b || (mine !== undefined && mine === this.#connections[this.#at(b, a)]);
      })
    );
  }

  /** Ends the connection of two servers, for each at its own time: each loses an unknown part of what was sent to it. */
  reset(a: number, b: number): void {
    const random = this.#random[this.#at(a, b)]!;
    for (const [server, peer] of [[a, b], [b, a]] as const) {
      const connection = this.#connections[this.#at(server, peer)];
      const delay = random.between(0, this.lines.behaviour.delayMax);
      this.world.schedule(-1, Port.network, delay, `reset ${server}-${peer}`, () => {
        if (connection !== undefined && this.#connections[this.#at(server, peer)] === connection) {
          this.#end(server, peer, "connection reset", true);
        }
      }, server);
    }
  }

  /** A server is dead. Its peers learn it soon when its machine lives on, else when they try to reach it. */
  detach(server: number, isPowerCut: boolean): void {
    this.#links[server] = undefined;
    for (let peer = 0; peer < this.addresses.length; peer++) {
      // Only its own side counts: of two that end in one event, runtimes disagree who is first.
      const connection = this.#connections[this.#at(server, peer)];
      this.#connections[this.#at(server, peer)] = undefined;
      if (connection === undefined) continue;
      const random = this.#random[this.#at(server, peer)]!;
      const delay = isPowerCut ? this.lines.behaviour.silence : random.between(0, this.lines.behaviour.delayMax);
      this.world.schedule(server, Port.network, delay, `${peer} loses ${server}`, () => {
        if (this.#connections[this.#at(peer, server)] !== connection) return;
        this.#end(peer, server, isPowerCut ? "no answer for long" : "closed by peer", !isPowerCut);
      }, peer);
    }
  }

  /** The server that listens there, on whatever port; -1 when none does. */
  placeOf(address: ServerAddress): number {
    const exact = this.addresses.indexOf(address);
    if (exact >= 0) return exact;
    const host = address.slice(0, address.indexOf(":") + 1);
    return this.addresses.findIndex((other) => other.startsWith(host));
  }

  /** Sends for a link; see {@linkcode TransportLink.send}. */
  send(link: SimLink, to: ServerAddress, parts: readonly Uint8Array[]): boolean {
    const from = link.server;
    const target = this.placeOf(to);
    if (target < 0 || this.#links[from] !== link) return false;
    const connection = this.#connections[this.#at(from, target)];
    if (connection === undefined) {
      this.dial(link, target);
      return false;
    }
    const random = this.#random[this.#at(from, target)]!;
    const isRefused = random.chance(this.lines.behaviour.refuse);
    if (isRefused || !this.lines.hasRoom(from, target, this.world.time)) {
      this.tap.onFault(isRefused ? "refuse" : "full");
      return false;
    }
    const frame = concatenate(parts);
    const decoded = this.#read(from, frame);
    if (decoded === undefined) return false;
    this.tap.onSend(from, target, decoded);
    this.#transmit(connection, from, target, frame, decoded);
    return true;
  }

  #read(from: number, frame: Uint8Array): DecodedMessage | undefined {
    try {
      return decodeMessage(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.tap.onUnreadable(from, error);
      return undefined;
    }
  }

  #transmit(connection: Connection, from: number, to: number, frame: Uint8Array, decoded: DecodedMessage): void {
    const random = this.#random[this.#at(from, to)]!;
    const { loss, duplicate, replay, hostile = 0 } = this.lines.behaviour;
    const isRepeatable = !neverRepeated.has(decoded.message.type);
    const [isLost, isDoubled, isReplayed] = [random.chance(loss), random.chance(duplicate), random.chance(replay)];
    if (this.lines.isCut(from, to)) return;
    if (isLost) this.tap.onFault("loss");
    else this.#carry(connection, from, to, frame, decoded);
    if (!isRepeatable) return;
    if (isDoubled) {
      this.tap.onFault("duplicate");
      this.#carry(connection, from, to, frame, decoded);
    }
    if (isReplayed) this.#again(from, to, this.#old.any(random, this.#at(from, to)));
    const answer = replay > 0 ? this.#old.answerTo(this.#at(to, from), decoded.message) : undefined;
    if (answer !== undefined && random.chance(0.5)) this.#again(to, from, answer);
    if (hostile > 0 && random.chance(hostile)) this.#forge(from, to, decoded.message, frame);
    if (replay > 0) this.#old.keep(random, this.#at(from, to), { frame, decoded });
  }

  #again(from: number, to: number, old: OldFrame | undefined): void {
    if (old === undefined) return;
    this.tap.onFault("replay");
    this.#carry(undefined, from, to, old.frame, old.decoded);
  }

  /** Somebody makes something of a frame that its sender never said, or hands it back as if it had sent it to itself. */
  #forge(from: number, to: number, message: Message, frame: Uint8Array): void {
    const random = this.#random[this.#at(from, to)]!;
    if (random.chance(0.1)) {
      const link = this.#links[from];
      const remote = link?.peers.get(to);
      if (link === undefined || remote === undefined) return;
      return void this.world.schedule(from, Port.network, this.lines.behaviour.delayMin, `${from} hears itself`, () => {
        if (this.#links[from] !== link) return;
        link.handler.onFrame({ ...remote, serverId: link.local.serverId }, "consensus", frame);
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
    const { world, lines } = this;
    const { type } = decoded.message;
    const isAnswer = answers.has(type);
    let delay = lines.delayOf(this.#random[this.#at(from, to)]!, from, to, world.time, frame.length, isAnswer);
    const overtakes = lines.behaviour.reorder && !neverRepeated.has(type);
    if (connection !== undefined && !overtakes) {
      delay = Math.max(delay, (connection.lastArrival.get(from) ?? 0) - world.time);
      connection.lastArrival.set(from, world.time + delay);
    }
    const what = `${from}→${to} ${decoded.message.type} of ${decoded.message.term}`;
    const disk = this.#disks[from];
    this.world.schedule(from, Port.network, delay, what, () => {
      const link = this.#links[to];
      const held = this.#connections[this.#at(to, from)];
      const peer = link?.peers.get(from);
      const isKnown = held !== undefined &&
        (connection === undefined ? disk === this.#disks[from] : held === connection);
      if (link === undefined || peer === undefined || !isKnown) return this.#refuse(connection, from, to);
      this.world.trace.addText(decoded.message.type);
      if (this.world.trace.keepsLines) this.world.trace.say(() => `    ${JSON.stringify(decoded.message)}`);
      this.tap.onReceive(from, to, decoded);
      try {
        link.handler.onFrame(peer, "consensus", frame);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#end(to, from, error.message);
        this.#end(from, to, "closed by peer", true);
      }
    }, to);
  }

  /** The receiver knows nothing of this connection, which its sender learns. */
  #refuse(connection: Connection | undefined, from: number, to: number): void {
    if (connection === undefined || this.lines.isCut(to, from)) return;
    this.world.schedule(-1, Port.network, this.lines.behaviour.delayMin, `${to} refuses ${from}`, () => {
      if (this.#connections[this.#at(from, to)] === connection) this.#end(from, to, "connection reset", true);
    }, from);
  }

  /** Dials, unless a dial is under way or the last one failed just now. */
  dial(link: SimLink, to: number): void {
    const from = link.server;
    if (to === from || this.#links[from] !== link || link.dialling.has(to)) return;
    if (this.#connections[this.#at(from, to)] !== undefined) return;
    const random = this.#random[this.#at(from, to)]!;
    const { delayMin, delayMax, silence } = this.lines.behaviour;
    const there = random.between(delayMin, delayMax);
    const back = random.between(delayMin, delayMax);
    const giveUp = this.world.schedule(-1, Port.network, silence, `${from} gives up dialling ${to}`, () => {
      this.#dialFailed(link, to, random);
    }, from);
    link.dialling.set(to, giveUp);
    this.world.schedule(from, Port.network, there, `${from} dials ${to}`, () => {
      if (this.lines.isCut(from, to)) return;
      const connection = this.#accept(link, to);
      this.world.schedule(-1, Port.network, back, `${to} answers ${from}`, () => {
        if (this.lines.isCut(to, from) || link.dialling.get(to) !== giveUp) return;
        if (connection === undefined) return this.#dialFailed(link, to, random);
        giveUp.run = undefined;
        link.dialling.delete(to);
        if (this.#connections[this.#at(from, to)] === undefined) this.#begin(link, to, connection);
      }, from);
    }, to);
  }

  #dialFailed(link: SimLink, to: number, random: Random): void {
    const giveUp = link.dialling.get(to);
    if (giveUp !== undefined) giveUp.run = undefined;
    link.dialling.delete(to);
    if (this.#links[link.server] !== link) return;
    const { delayMax } = this.lines.behaviour;
    this.world.schedule(
      link.server,
      Port.network,
      random.between(delayMax, delayMax * 8),
      `${link.server} redials ${to}`,
      () => {
        if (this.#links[link.server] === link && link.wanted.has(to)) this.dial(link, to);
      },
    );
  }

  /** The dialled side takes the connection, in place of one that the dialler knows nothing of. */
  #accept(link: SimLink, to: number): Connection | undefined {
    const target = this.#links[to];
    const from = link.server;
    if (this.#random[this.#at(from, to)]!.chance(this.lines.behaviour.refuseDial)) {
      this.tap.onFault("refuse-dial");
      return undefined;
    }
    if (target === undefined || this.#links[from] !== link) return undefined;
    // When two dials cross, the one of the first server is kept.
    if (target.dialling.has(from) && to < from) return undefined;
    const before = this.#connections[this.#at(to, from)];
    if (before !== undefined) {
      if (this.#connections[this.#at(from, to)] === before) return undefined;
      this.#end(to, from, "replaced by a newer connection");
    }
    const connection: Connection = { dialler: from, lastArrival: new Map() };
    this.#begin(target, from, connection);
    return connection;
  }

  #begin(link: SimLink, to: number, connection: Connection): void {
    const other = this.#links[to];
    if (other === undefined || this.#links[link.server] !== link) return;
    const { serverId, clusterId, incarnation, starts } = other.local;
    const address = this.addresses[to]!;
    const { oldServers = [] } = this.lines.behaviour;
    const protocol = oldServers.includes(to) || oldServers.includes(link.server) ? PROTOCOL_MIN : PROTOCOL_MAX;
    const remote = { serverId, clusterId: clusterId(), incarnation, starts, address, protocol };
    this.#connections[this.#at(link.server, to)] = connection;
    link.peers.set(to, remote);
    link.handler.onConnect(remote, "consensus");
    this.#keepAlive(link.server, to, connection);
  }

  /** After dials that crossed each end may hold another connection, and those who say nothing would never notice. */
  #keepAlive(server: number, peer: number, connection: Connection): void {
    this.world.schedule(-1, Port.network, this.lines.behaviour.silence, "keep-alive", () => {
      if (this.#connections[this.#at(server, peer)] !== connection) return;
      if (this.#connections[this.#at(peer, server)] !== connection) this.#end(server, peer, "no answer for long");
    }, server);
  }

  /** The server learns that its connection is gone. */
  #end(server: number, peer: number, reason: string, isClosedByPeer = false): void {
    const at = this.#at(server, peer);
    const link = this.#links[server];
    if (this.#connections[at] === undefined) return;
    this.#connections[at] = undefined;
    this.lines.drain(server, peer);
    if (link === undefined) return;
    const remote = link.peers.get(peer);
    link.peers.delete(peer);
    if (remote !== undefined) link.handler.onDisconnect(remote.serverId, "consensus", reason, isClosedByPeer);
    if (link.wanted.has(peer)) this.#dialFailed(link, peer, this.#random[at]!);
  }

  /** A server closed its link itself. */
  close(link: SimLink): void {
    if (this.#links[link.server] === link) this.detach(link.server, false);
  }

  #at(a: number, b: number): number {
    return a * this.addresses.length + b;
  }
}
