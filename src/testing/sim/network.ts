/**
 * A network of servers that dial one another and lose one another, behind the Transport port. What becomes of their frames is
 * in frames.ts.
 *
 * A connection is one per pair of servers. Each side has its own belief about it, so that it can be half-open, and a
 * reset loses what was on its way.
 *
 * @module
 */
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../../transport/handshake.ts";
import type { Transport, TransportFactory } from "../../transport/transport.ts";
import type { ServerAddress } from "../../types.ts";
import { concatenate } from "../../wire/bytes.ts";
import { type Connection, Frames, type NetworkTap } from "./frames.ts";
import { Lines, type NetworkBehaviour } from "./lines.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import { type LinkHost, SimLink } from "./sim_link.ts";
import type { World } from "./world.ts";

/** The network between all servers of a simulation. */
export class Network implements LinkHost {
  readonly world: World;
  readonly addresses: readonly ServerAddress[];
  readonly lines: Lines;
  readonly #links: (SimLink | undefined)[];
  /** What each server believes: `[believer * count + peer]`. */
  readonly #connections: (Connection | undefined)[];
  readonly #random: readonly Random[];
  readonly #frames: Frames;

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
    this.lines = new Lines(count, behaviour);
    this.#links = new Array(count).fill(undefined);
    this.#connections = new Array(count * count).fill(undefined);
    this.#random = this.#connections.map((_, i) => random.split(`link ${i}`));
    this.#frames = new Frames(count, {
      world,
      lines: this.lines,
      tap,
      linkOf: (server) => this.#links[server],
      connectionOf: (server, peer) => this.#connections[this.#at(server, peer)],
      randomOf: (from, to) => this.#random[this.#at(from, to)]!,
      end: (server, peer, reason, isClosedByPeer) => this.#end(server, peer, reason, isClosedByPeer),
    });
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
    this.#frames.forget(server);
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
    if (isRefused || !this.lines.hasRoom(from, target, this.world.time)) return false;
    return this.#frames.send(connection, from, target, concatenate(parts));
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
    if (this.#random[this.#at(from, to)]!.chance(this.lines.behaviour.refuseDial)) return undefined;
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
