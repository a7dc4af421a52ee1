/**
 * The other servers: where they are, whether they can be talked to, and what is said to them.
 *
 * @module
 */
import { CannotBootstrapError } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Channel, RemoteServer, TransportLink } from "../transport/transport.ts";
import type { Configuration, ServerAddress, ServerId } from "../types.ts";
import { fingerprintOf } from "../wire/configuration.ts";
import { encodeMessage } from "../wire/message_codec.ts";

/** One server's peers. */
export class Peers {
  readonly #self: ServerId;
  #link: TransportLink | undefined;
  readonly #connected = new Map<ServerId, RemoteServer>();
  /** Each peer as it connected last, also when that connection is gone. */
  readonly #latest = new Map<ServerId, RemoteServer>();
  #addresses = new Map<ServerId, ServerAddress>();

  /** Nobody can be reached before a link and a configuration are given. */
  constructor(self: ServerId) {
    this.#self = self;
  }

  /** Frames go over this link from now on. */
  set link(link: TransportLink) {
    this.#link = link;
  }

  /**
   * These are the servers from now on.
   *
   * @param leaving Servers that are talked to a little longer, where they were known to be last.
   */
  configure({ servers }: Configuration, leaving: readonly ServerId[]): void {
    const addresses = new Map(servers.map(({ id, address }) => [id, address]));
    for (const id of leaving) {
      const address = this.#addresses.get(id);
      if (address !== undefined && !addresses.has(id)) addresses.set(id, address);
    }
    this.#addresses = addresses;
    const peers = [...addresses].filter(([id]) => id !== this.#self);
    this.#link?.setPeers(peers.map(([id, address]) => ({ id, address })));
  }

  /** A connection is up. */
  connect(peer: RemoteServer): void {
    this.#connected.set(peer.serverId, peer);
    this.#latest.set(peer.serverId, peer);
  }

  /** Whether this is the peer as it is now: what an earlier start of it said does not bind the one that connected since. */
  isCurrent({ serverId, incarnation, starts }: RemoteServer): boolean {
    const now = this.#latest.get(serverId);
    return now === undefined || (now.incarnation === incarnation && now.starts === starts);
  }

  /**
   * Checks that no server of another cluster, or of one with another beginning, was greeted before this one began its own.
   *
   * @throws {CannotBootstrapError} With what both would be.
   */
  checkBootstrap(clusterId: string, configuration: Configuration): void {
    const firstEntry = fingerprintOf(configuration);
    for (const { serverId, clusterId: theirs, firstEntry: first = "" } of this.#connected.values()) {
      if ((theirs === "" || theirs === clusterId) && (first === "" || first === firstEntry)) continue;
      throw new CannotBootstrapError(
        this.#self,
        `server "${serverId}" of cluster "${theirs}", whose first configuration has the fingerprint "${first}", has found ` +
          `it, and this would be cluster "${clusterId}" with "${firstEntry}"`,
      );
    }
  }

  /** It is gone. */
  disconnect(peer: ServerId): void {
    this.#connected.delete(peer);
  }

  /** Whether there is a connection. */
  isConnected(peer: ServerId): boolean {
    return this.#connected.has(peer);
  }

  /** What its connection speaks; 0 without one. */
  protocolOf(peer: ServerId): number {
    return this.#connected.get(peer)?.protocol ?? 0;
  }

  /** The configuration says where a server is; one that it does not know said so itself when it connected. */
  addressOf(peer: ServerId): ServerAddress | undefined {
    return this.#addresses.get(peer) ?? this.#connected.get(peer)?.address;
  }

  /** Sends a message to every peer that can be talked to. */
  broadcast(message: Message): void {
    for (const peer of this.#addresses.keys()) if (this.isConnected(peer)) this.send(peer, message);
  }

  /** Sends a message; false when it was not taken. */
  send(to: ServerId, message: Message): boolean {
    return this.transmit(to, encodeMessage(message));
  }

  /**
   * Sends the parts of a frame; false when it was not taken.
   *
   * @param checkedBytes See {@linkcode TransportLink.send}.
   */
  transmit(to: ServerId, frame: readonly Uint8Array[], checkedBytes?: number): boolean {
    return this.#transmit(to, "consensus", frame, checkedBytes);
  }

  /** The same on the channel for what is long, so that no heartbeat waits behind it. */
  transmitBulk(to: ServerId, frame: readonly Uint8Array[], checkedBytes?: number): boolean {
    return this.#transmit(to, "bulk", frame, checkedBytes);
  }

  #transmit(to: ServerId, channel: Channel, frame: readonly Uint8Array[], checkedBytes?: number): boolean {
    const address = this.addressOf(to);
    if (address === undefined || this.#link === undefined) return false;
    return this.#link.send(to, address, channel, frame, checkedBytes);
  }
}
