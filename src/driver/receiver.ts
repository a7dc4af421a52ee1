/**
 * Receives what comes from other servers: connections that come and go, and frames, each handed to whom it is for.
 *
 * @module
 */
import type { EventHub } from "../events.ts";
import type { Channel, RemoteServer, TransportHandler, TransportTrouble } from "../transport/transport.ts";
import type { ServerId } from "../types.ts";
import { decodeMessage } from "../wire/message_codec.ts";
import type { Announcer } from "./announcer.ts";
import type { Calls } from "./calls.ts";
import type { Item } from "./item.ts";
import type { Peers } from "./peers.ts";
import type { Snapshots } from "./snapshots.ts";
import type { StateHashes } from "./state_hashes.ts";

/** Whom messages are for. */
export interface ReceiverParts {
  readonly peers: Peers;
  readonly calls: Calls;
  readonly hashes: StateHashes;
  readonly snapshots: Pick<Snapshots<never, never>, "onChannel" | "onChunk" | "onResponse" | "onWish">;
  readonly announcer: Announcer;
  readonly events: EventHub;
}

/** What it needs of its driver. */
export interface ReceiverHost {
  /** Whether nothing is taken any more. */
  isStopped(): boolean;
  /** A leader of that cluster has found this server. */
  onLeader(of: Pick<RemoteServer, "clusterId">): void;
  /** Steps the core in the next turn. */
  enqueue(item: Item): void;
}

/** One server's. */
export class Receiver implements TransportHandler {
  readonly #parts: ReceiverParts;
  readonly #host: ReceiverHost;

  /** Nothing comes before a transport is given it. */
  constructor(parts: ReceiverParts, host: ReceiverHost) {
    this.#parts = parts;
    this.#host = host;
  }

  /** See {@linkcode TransportHandler}. */
  onFrame(from: RemoteServer, _channel: Channel, frame: Uint8Array): void {
    this.#take(from, frame);
  }

  /** See {@linkcode TransportHandler}. */
  onFrameParts(from: RemoteServer, _channel: Channel, [first, ...rest]: readonly Uint8Array[]): void {
    this.#take(from, first!, rest);
  }

  #take(from: RemoteServer, frame: Uint8Array, rest?: readonly Uint8Array[]): void {
    const { peers, calls, hashes, snapshots } = this.#parts;
    if (this.#host.isStopped() || !peers.isCurrent(from)) return;
    const decoded = decodeMessage(frame, rest);
    const peer = from.serverId;
    const { records, chunk } = decoded;
    const message = calls.onMessage(peer, decoded);
    if (message === undefined) return;
    if (message.type === "state-hash") return hashes.onPeer(peer, message.index, message.hash);
    if (message.type === "snapshot-chunk") return snapshots.onChunk(peer, message, chunk!);
    if (message.type === "snapshot-wanted" || message.type === "snapshot-unavailable") {
      return snapshots.onWish(peer, message);
    }
    if (message.type === "append-request" || message.type === "snapshot-request") this.#host.onLeader(from);
    if (message.type === "snapshot-response") snapshots.onResponse(peer, message);
    this.#host.enqueue({ event: { type: "message-received", from: peer, message }, records });
  }

  /** See {@linkcode TransportHandler}. */
  onConnect(remote: RemoteServer, channel: Channel): void {
    const { peers, snapshots, events } = this.#parts;
    const { serverId, address, incarnation, starts } = remote;
    if (channel === "bulk") return snapshots.onChannel(serverId);
    peers.connect(remote);
    snapshots.onChannel(serverId);
    events.emit({ type: "peer-connected", peer: serverId, address });
    this.#host.enqueue({ event: { type: "peer-connected", peer: serverId, disk: { incarnation, starts } } });
  }

  /** See {@linkcode TransportHandler}. */
  onDisconnect(peer: ServerId, channel: Channel, reason: string, isClosedByPeer = false): void {
    const { peers, calls, snapshots, events } = this.#parts;
    if (channel === "bulk") return snapshots.onChannel(peer);
    peers.disconnect(peer);
    events.emit({ type: "peer-disconnected", peer, reason });
    calls.onPeerLost(peer);
    this.#host.enqueue({ event: { type: "peer-disconnected", peer, isClosedByPeer } });
  }

  /** See {@linkcode TransportHandler}. */
  onTrouble(trouble: TransportTrouble): void {
    this.#parts.announcer.onTrouble(trouble);
  }
}
