/**
 * A network of servers that dial one another and lose one another, behind the Transport port. Its connections are in
 * connections.ts, and what becomes of their frames is in frames.ts.
 *
 * @module
 */
import type { Channel, Transport, TransportFactory } from "../../transport/transport.ts";
import type { ServerAddress } from "../../types.ts";
import { Connections } from "./connections.ts";
import type { NetworkTap } from "./frames.ts";
import { calm, Lines, type NetworkBehaviour } from "./lines.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import { type LinkHost, SimLink } from "./sim_link.ts";
import type { World } from "./world.ts";

/** The network between all servers of a simulation. */
export class Network implements LinkHost {
  readonly world: World;
  readonly addresses: readonly ServerAddress[];
  readonly #links: (SimLink | undefined)[];
  readonly #consensus: Connections;
  readonly #bulk: Connections;

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
    this.#links = new Array(count).fill(undefined);
    const lines = new Lines(count, behaviour);
    const host = { world, addresses, tap, linkOf: (server: number) => this.#links[server] };
    this.#consensus = new Connections("consensus", host, lines, (i) => random.split(`link ${i}`));
    this.#bulk = new Connections("bulk", host, lines.besides(), (i) => random.split(`bulk ${i}`));
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

  /** Cuts one direction, of both channels; every cut needs its {@linkcode Network.mend}. */
  cut(from: number, to: number): void {
    const { lines } = this.#consensus;
    lines.cut(from, to);
    this.world.schedule(-1, Port.network, lines.behaviour.silence, "silence", () => {
      if (!lines.isCut(from, to)) return;
      for (const connections of this.#channels()) {
        connections.end(to, from, "nothing heard for long");
        connections.end(from, to, "no answer for long");
      }
    });
  }

  /** Undoes one cut. */
  mend(from: number, to: number): void {
    this.#consensus.lines.mend(from, to);
  }

  /** Holds frames of one direction up until then, those of both channels unless one is named. */
  clog(from: number, to: number, until: number, channel?: Channel): void {
    for (const { lines } of this.#channels(channel)) lines.clog(from, to, until);
  }

  /** Undoes all cuts among these servers, and all clogs. */
  healAmong(servers: readonly number[]): void {
    for (const connections of this.#channels()) {
      connections.unclog();
      connections.lines.mendAmong(servers);
    }
  }

  /** Leaves nothing to chance but delays, from now on. */
  calm(): void {
    for (const { lines } of this.#channels()) lines.behaviour = calm(lines.behaviour);
  }

  /** A server's disk is another one: what it sent before comes over no connection of the new one. */
  forget(server: number): void {
    for (const connections of this.#channels()) connections.forget(server);
  }

  /** Whether every two of these servers have a connection that both know of. What is long has one only when there is any. */
  isWhole(servers: readonly number[]): boolean {
    return this.#consensus.isWhole(servers);
  }

  /** Ends the connections of two servers, those of both channels unless one is named. */
  reset(a: number, b: number, channel?: Channel): void {
    for (const connections of this.#channels(channel)) {
      if (connections === this.#consensus || connections.isAny(a, b)) connections.reset(a, b);
    }
  }

  /** A server is dead. Its peers learn it soon when its machine lives on, else when they try to reach it. */
  detach(server: number, isPowerCut: boolean): void {
    this.#links[server] = undefined;
    for (const connections of this.#channels()) connections.detach(server, isPowerCut);
  }

  /** The server that listens there, on whatever port; -1 when none does. */
  placeOf(address: ServerAddress): number {
    const exact = this.addresses.indexOf(address);
    if (exact >= 0) return exact;
    const host = address.slice(0, address.indexOf(":") + 1);
    return this.addresses.findIndex((other) => other.startsWith(host));
  }

  /** Sends for a link; see {@linkcode TransportLink.send}. */
  send(link: SimLink, to: ServerAddress, channel: Channel, parts: readonly Uint8Array[]): boolean {
    const target = this.placeOf(to);
    if (target < 0 || this.#links[link.server] !== link) return false;
    const isApart = channel === "bulk" && this.#isApart(link.server, target);
    return (isApart ? this.#bulk : this.#consensus).send(link, target, parts);
  }

  /** Keeps a connection for messages to that server. */
  dial(link: SimLink, to: number): void {
    this.#consensus.dial(link, to);
  }

  /** A server closed its link itself. */
  close(link: SimLink): void {
    if (this.#links[link.server] === link) this.detach(link.server, false);
  }

  /** Whether what is long has a connection of its own between two servers. */
  #isApart(a: number, b: number): boolean {
    const { bulk, oldServers = [] } = this.#consensus.lines.behaviour;
    return bulk !== undefined && !oldServers.includes(a) && !oldServers.includes(b);
  }

  #channels(channel?: Channel): readonly Connections[] {
    if (channel === undefined) return [this.#consensus, this.#bulk];
    return [channel === "bulk" ? this.#bulk : this.#consensus];
  }
}
