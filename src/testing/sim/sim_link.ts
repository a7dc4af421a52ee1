/**
 * One life of a server on the simulated network.
 *
 * @module
 */
import type { Channel, LocalServer, RemoteServer, TransportHandler, TransportLink } from "../../transport/transport.ts";
import type { ServerAddress, ServerId } from "../../types.ts";
import type { SimEvent } from "./queue.ts";

/** What a link asks of its network. */
export interface LinkHost {
  /** The server that listens at an address; -1 when none does. */
  placeOf(address: ServerAddress): number;
  /** Sends a frame; see {@linkcode TransportLink.send}. */
  send(link: SimLink, to: ServerAddress, channel: Channel, parts: readonly Uint8Array[]): boolean;
  /** Keeps a connection for messages, which may be there already. */
  dial(link: SimLink, to: number): void;
  /** The server closed its link. */
  close(link: SimLink): void;
}

/** What a life has of one channel. */
interface Side {
  /** Who is at the other end of each connection. */
  readonly peers: Map<number, RemoteServer>;
  /** The moment at which each dial under way is given up. */
  readonly dialling: Map<number, SimEvent>;
}

/** One life of a server on the network. */
export class SimLink implements TransportLink {
  readonly server: number;
  readonly local: LocalServer;
  readonly handler: TransportHandler;
  readonly sides: Readonly<Record<Channel, Side>> = {
    consensus: { peers: new Map(), dialling: new Map() },
    bulk: { peers: new Map(), dialling: new Map() },
  };
  readonly wanted: Set<number> = new Set();
  readonly #host: LinkHost;
  #closed = false;

  /** Takes what the server attached. */
  constructor(host: LinkHost, server: number, local: LocalServer, handler: TransportHandler) {
    this.#host = host;
    this.server = server;
    this.local = local;
    this.handler = handler;
  }

  /** See {@linkcode TransportLink.send}. */
  send(_to: ServerId, address: ServerAddress, channel: Channel, parts: readonly Uint8Array[]): boolean {
    return !this.#closed && this.#host.send(this, address, channel, parts);
  }

  /** See {@linkcode TransportLink.setPeers}. */
  setPeers(peers: readonly { readonly id: ServerId; readonly address: ServerAddress }[]): void {
    if (this.#closed) return;
    this.wanted.clear();
    for (const { address } of peers) {
      const server = this.#host.placeOf(address);
      if (server < 0 || server === this.server) continue;
      this.wanted.add(server);
      this.#host.dial(this, server);
    }
  }

  /** See {@linkcode TransportLink.close}. */
  close(): Promise<void> {
    if (!this.#closed) this.#host.close(this);
    this.#closed = true;
    return Promise.resolve();
  }
}
