/**
 * The connections of one channel: one per pair of servers. Each side has its own belief about it, so that it can be half-open,
 * and a reset loses what was on its way.
 *
 * @module
 */
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../../transport/handshake.ts";
import type { Channel } from "../../transport/transport.ts";
import type { ServerAddress } from "../../types.ts";
import { concatenate } from "../../wire/bytes.ts";
import { type Connection, Frames, type NetworkTap } from "./frames.ts";
import type { Lines } from "./lines.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { SimLink } from "./sim_link.ts";
import type { World } from "./world.ts";

/** What connections need of their network. */
export interface ConnectionsHost {
  readonly world: World;
  readonly addresses: readonly ServerAddress[];
  readonly tap: NetworkTap;
  /** The server's life on the network, if it is up. */
  linkOf(server: number): SimLink | undefined;
}

/** Microseconds without a frame after which a bulk connection is closed: longer than any sender waits before it asks. */
export const IDLE_TIME = 5_000_000;

/** All of one channel. */
export class Connections {
  readonly channel: Channel;
  readonly lines: Lines;
  readonly #host: ConnectionsHost;
  /** What each server believes: `[believer * count + peer]`. */
  readonly #connections: (Connection | undefined)[];
  readonly #random: readonly Random[];
  readonly #frames: Frames;

  /** Nobody has dialled yet. `randomOf` gives the chance of each direction. */
  constructor(channel: Channel, host: ConnectionsHost, lines: Lines, randomOf: (direction: number) => Random) {
    const count = host.addresses.length;
    this.channel = channel;
    this.lines = lines;
    this.#host = host;
    this.#connections = new Array(count * count).fill(undefined);
    this.#random = this.#connections.map((_, i) => randomOf(i));
    this.#frames = new Frames(count, {
      channel,
      lines,
      world: host.world,
      tap: host.tap,
      linkOf: (server) => host.linkOf(server),
      connectionOf: (server, peer) => this.#connections[this.#at(server, peer)],
      randomOf: (from, to) => this.#random[this.#at(from, to)]!,
      end: (server, peer, reason, isClosedByPeer) => this.end(server, peer, reason, isClosedByPeer),
    });
  }

  /** Ends those over which something is stuck: it would arrive late, and so would all that follows it. */
  unclog(): void {
    const { lines } = this;
    const { world: { time }, addresses } = this.#host;
    const soon = time + lines.behaviour.delayMax * 4;
    for (let at = 0; at < addresses.length ** 2; at++) {
      const [from, to] = [Math.floor(at / addresses.length), at % addresses.length];
      const arrival = this.#connections[at]?.lastArrival.get(from) ?? 0;
      if (arrival <= soon && !lines.isClogged(from, to, time)) continue;
      this.end(from, to, "connection reset", true);
      this.end(to, from, "connection reset", true);
    }
  }

  /** A server's disk is another one: what it sent before comes over no connection of the new one. */
  forget(server: number): void {
    this.#frames.forget(server);
  }

  /** Whether one of these servers believes in a connection to the other. */
  isAny(a: number, b: number): boolean {
    return this.#connections[this.#at(a, b)] !== undefined || this.#connections[this.#at(b, a)] !== undefined;
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
    const { world } = this.#host;
    const random = this.#random[this.#at(a, b)]!;
    for (const [server, peer] of [[a, b], [b, a]] as const) {
      const connection = this.#connections[this.#at(server, peer)];
      const delay = random.between(0, this.lines.behaviour.delayMax);
      world.schedule(-1, Port.network, delay, `reset ${this.#named(server)}-${peer}`, () => {
        if (connection !== undefined && this.#connections[this.#at(server, peer)] === connection) {
          this.end(server, peer, "connection reset", true);
        }
      }, server);
    }
  }

  /** A server is dead. Its peers learn it soon when its machine lives on, else when they try to reach it. */
  detach(server: number, isPowerCut: boolean): void {
    const { world, addresses } = this.#host;
    for (let peer = 0; peer < addresses.length; peer++) {
      // Only its own side counts: of two that end in one event, runtimes disagree who is first.
      const connection = this.#connections[this.#at(server, peer)];
      this.#connections[this.#at(server, peer)] = undefined;
      if (connection === undefined) continue;
      const random = this.#random[this.#at(server, peer)]!;
      const delay = isPowerCut ? this.lines.behaviour.silence : random.between(0, this.lines.behaviour.delayMax);
      world.schedule(server, Port.network, delay, `${this.#named(peer)} loses ${server}`, () => {
        if (this.#connections[this.#at(peer, server)] !== connection) return;
        this.end(peer, server, isPowerCut ? "no answer for long" : "closed by peer", !isPowerCut);
      }, peer);
    }
  }

  /** Sends for a link; see {@linkcode TransportLink.send}. */
  send(link: SimLink, to: number, parts: readonly Uint8Array[]): boolean {
    const from = link.server;
    const connection = this.#connections[this.#at(from, to)];
    if (connection === undefined) {
      this.dial(link, to);
      return false;
    }
    const isRefused = this.#random[this.#at(from, to)]!.chance(this.lines.behaviour.refuse);
    if (isRefused || !this.lines.hasRoom(from, to, this.#host.world.time)) return false;
    return this.#frames.send(connection, from, to, concatenate(parts));
  }

  /** Dials, unless a dial is under way or the last one failed just now. */
  dial(link: SimLink, to: number): void {
    const { world } = this.#host;
    const from = link.server;
    const { dialling } = link.sides[this.channel];
    if (to === from || this.#host.linkOf(from) !== link || dialling.has(to)) return;
    if (this.#connections[this.#at(from, to)] !== undefined) return;
    const random = this.#random[this.#at(from, to)]!;
    const { delayMin, delayMax, silence } = this.lines.behaviour;
    const there = random.between(delayMin, delayMax);
    const back = random.between(delayMin, delayMax);
    const giveUp = world.schedule(-1, Port.network, silence, `${this.#named(from)} gives up dialling ${to}`, () => {
      this.#dialFailed(link, to, random);
    }, from);
    dialling.set(to, giveUp);
    world.schedule(from, Port.network, there, `${this.#named(from)} dials ${to}`, () => {
      if (this.lines.isCut(from, to)) return;
      const connection = this.#accept(link, to);
      world.schedule(-1, Port.network, back, `${this.#named(to)} answers ${from}`, () => {
        if (this.lines.isCut(to, from) || dialling.get(to) !== giveUp) return;
        if (connection === undefined) return this.#dialFailed(link, to, random);
        giveUp.run = undefined;
        dialling.delete(to);
        if (this.#connections[this.#at(from, to)] === undefined) this.#begin(link, to, connection);
      }, from);
    }, to);
  }

  #dialFailed(link: SimLink, to: number, random: Random): void {
    const { dialling } = link.sides[this.channel];
    const giveUp = dialling.get(to);
    if (giveUp !== undefined) giveUp.run = undefined;
    dialling.delete(to);
    // The other channel is dialled when there is something to send.
    if (this.channel === "bulk" || this.#host.linkOf(link.server) !== link) return;
    const { delayMax } = this.lines.behaviour;
    this.#host.world.schedule(
      link.server,
      Port.network,
      random.between(delayMax, delayMax * 8),
      `${link.server} redials ${to}`,
      () => {
        if (this.#host.linkOf(link.server) === link && link.wanted.has(to)) this.dial(link, to);
      },
    );
  }

  /** The dialled side takes the connection, in place of one that the dialler knows nothing of. */
  #accept(link: SimLink, to: number): Connection | undefined {
    const target = this.#host.linkOf(to);
    const from = link.server;
    if (this.#random[this.#at(from, to)]!.chance(this.lines.behaviour.refuseDial)) return undefined;
    if (target === undefined || this.#host.linkOf(from) !== link) return undefined;
    // When two dials cross, the one of the first server is kept.
    if (target.sides[this.channel].dialling.has(from) && to < from) return undefined;
    const before = this.#connections[this.#at(to, from)];
    if (before !== undefined) {
      if (this.#connections[this.#at(from, to)] === before) return undefined;
      this.end(to, from, "replaced by a newer connection");
    }
    const connection: Connection = { dialler: from, lastArrival: new Map(), usedAt: this.#host.world.time };
    this.#begin(target, from, connection);
    return connection;
  }

  #begin(link: SimLink, to: number, connection: Connection): void {
    const other = this.#host.linkOf(to);
    if (other === undefined || this.#host.linkOf(link.server) !== link) return;
    const { serverId, clusterId, incarnation, starts } = other.local;
    const address = this.#host.addresses[to]!;
    const { oldServers = [] } = this.lines.behaviour;
    const protocol = oldServers.includes(to) || oldServers.includes(link.server) ? PROTOCOL_MIN : PROTOCOL_MAX;
    const remote = { serverId, clusterId: clusterId(), incarnation, starts, address, protocol };
    this.#connections[this.#at(link.server, to)] = connection;
    link.sides[this.channel].peers.set(to, remote);
    link.handler.onConnect(remote, this.channel);
    this.#keepAlive(link.server, to, connection);
  }

  /** After dials that crossed each end may hold another connection, and those who say nothing would never notice. */
  #keepAlive(server: number, peer: number, connection: Connection): void {
    this.#host.world.schedule(-1, Port.network, this.lines.behaviour.silence, "keep-alive", () => {
      if (this.#connections[this.#at(server, peer)] !== connection) return;
      if (this.#connections[this.#at(peer, server)] !== connection) this.end(server, peer, "no answer for long");
      else if (this.channel === "bulk") this.#closeWhenIdle(server, peer, connection);
    }, server);
  }

  /** Nobody keeps a bulk connection over which nothing travels. */
  #closeWhenIdle(server: number, peer: number, connection: Connection): void {
    const { world } = this.#host;
    if (world.time < connection.usedAt + IDLE_TIME) return this.#keepAlive(server, peer, connection);
    this.end(server, peer, "closed as it was idle");
    world.schedule(-1, Port.network, this.lines.behaviour.delayMin, `${this.#named(peer)} is left by ${server}`, () => {
      if (this.#connections[this.#at(peer, server)] === connection) this.end(peer, server, "closed by peer", true);
    }, peer);
  }

  /** The server learns that its connection is gone. */
  end(server: number, peer: number, reason: string, isClosedByPeer = false): void {
    const at = this.#at(server, peer);
    const link = this.#host.linkOf(server);
    if (this.#connections[at] === undefined) return;
    this.#connections[at] = undefined;
    this.lines.drain(server, peer);
    if (link === undefined) return;
    const { peers } = link.sides[this.channel];
    const remote = peers.get(peer);
    peers.delete(peer);
    this.#host.tap.onEnd?.(server, peer, this.channel, reason);
    if (remote !== undefined) link.handler.onDisconnect(remote.serverId, this.channel, reason, isClosedByPeer);
    if (link.wanted.has(peer)) this.#dialFailed(link, peer, this.#random[at]!);
  }

  /** For traces. */
  #named(server: number): string {
    return this.channel === "bulk" ? `bulk ${server}` : `${server}`;
  }

  #at(a: number, b: number): number {
    return a * this.#host.addresses.length + b;
  }
}
