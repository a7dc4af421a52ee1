/**
 * The Transport port: frames of bytes between servers, best effort and in order per connection. It knows servers and
 * connections, not messages.
 *
 * @module
 */
import type { ServerAddress, ServerId } from "../types.ts";
import type { TransportCounters } from "./counters.ts";

/**
 * Two connections per peer, so that no heartbeat queues behind bulk data: `consensus` carries all messages, `bulk`
 * what is long (snapshots).
 */
export type Channel = "consensus" | "bulk";

/** Who we are, told to every peer in the handshake. */
export interface LocalServer {
  /** The group this server belongs to on a shared transport; 0 unless several groups share one. */
  readonly group: number;
  /** Its id. */
  readonly serverId: ServerId;
  /** Read at each handshake: empty until an empty server has adopted one. */
  readonly clusterId: () => string;
  /** Random, made when its disk was first used. */
  readonly incarnation: string;
  /** How often this disk was started. */
  readonly starts: number;
  /**
   * Fingerprint of the configuration that its cluster began with, read at each handshake: empty when this server does not
   * know it (any more), as without this function. Whoever knows another one is refused.
   */
  readonly firstEntry?: () => string;
}

/** What a peer told in its handshake. */
export interface RemoteServer {
  /** Its id. */
  readonly serverId: ServerId;
  /** Its cluster, empty while it belongs to none. */
  readonly clusterId: string;
  /** Random, made when its disk was first used. */
  readonly incarnation: string;
  /** How often its disk was started. */
  readonly starts: number;
  /** The address that peer says it can be dialled at. */
  readonly address: ServerAddress;
  /** Negotiated protocol version of the connection. */
  readonly protocol: number;
  /** See {@linkcode LocalServer.firstEntry}. */
  readonly firstEntry?: string;
}

/** What a transport tells. Called synchronously, but never inside {@linkcode TransportLink.send}. */
export interface TransportHandler {
  /**
   * A frame whose checksum is right came from a peer that passed the handshake. The bytes belong to the receiver:
   * they are not written to again.
   *
   * @throws {ProtocolError} If the frame makes no sense: the connection it came over is then closed, and the error
   * counted and told as trouble. No other method may throw.
   */
  onFrame(from: RemoteServer, channel: Channel, frame: Uint8Array): void;
  /**
   * The same for one frame in several parts, none of them empty, from a transport that would have to copy them together.
   * Cut anywhere.
   *
   * @default The frame is copied together.
   * @throws {ProtocolError} As `onFrame` does.
   */
  onFrameParts?(from: RemoteServer, channel: Channel, parts: readonly Uint8Array[]): void;
  /**
   * A connection to or from that peer is up; there was none on this channel. `onConnect` and `onDisconnect` alternate
   * per peer and channel: when a newer connection replaces one, its end is told first.
   */
  onConnect(peer: RemoteServer, channel: Channel): void;
  /**
   * The last connection on this channel is gone, with an unknown part of what was sent.
   * @param reason For logs and status: `closed by peer`, `ECONNREFUSED`, …
   * @param isClosedByPeer Whether the other end, or something on the way, closed or reset it, as systems do when a process
   * dies; not when this side gave it up or replaced it. By default false, with which a dead leader is found by its silence.
   */
  onDisconnect(peer: ServerId, channel: Channel, reason: string, isClosedByPeer?: boolean): void;
  /** A dial failed, a handshake was refused or a peer broke the protocol. Rate-limited by the transport. */
  onTrouble(trouble: TransportTrouble): void;
}

/** Something a peer, or a stranger, did wrong, or an unreachable peer. */
export interface TransportTrouble {
  /** What went wrong. */
  readonly kind: "dial-failed" | "handshake-refused" | "protocol-error" | "queue-full";
  /** The peer, when it is known. */
  readonly peer: ServerId | undefined;
  /** Its address, when it is known. */
  readonly address: string | undefined;
  /** What happened, in words that are right on both sides: `wrong cluster id: the dialling server's is "…", …`. */
  readonly reason: string;
}

/** Frames between servers. */
export interface Transport {
  /** Where others can dial this server (known after `listen`). */
  readonly address: ServerAddress;
  /**
   * Starts to serve one group. A transport made by a factory is listening already. The returned link is used by one
   * server; closing it leaves a borrowed transport open for others.
   *
   * @throws {TypeError} If a server of that group is attached already.
   * @throws {TransportClosedError} If the transport is closed.
   */
  attach(local: LocalServer, handler: TransportHandler): TransportLink;
  /** What was counted since it was opened. */
  readonly counters?: TransportCounters;
  /**
   * Longest frame in bytes that it sends and takes: a server with commands that don't fit does not start with it.
   *
   * @default As long as any option allows.
   */
  readonly frameBytesMax?: number;
  /** Closes listener, links and connections; waits until they are closed. Idempotent. */
  close(): Promise<void>;
}

/** One server's use of a transport. */
export interface TransportLink {
  /**
   * Sends a frame made of these parts (not changed by either side afterwards), dialling when there is no connection.
   *
   * @param checkedBytes How many leading bytes need the frame's checksum, as the others carry checksums of their own
   * that the receiver verifies; by default all.
   * @returns False when it was not taken: the queue to that peer is full or there is no connection yet (a dial is then
   *   under way, subject to back-off). Taken does not mean that it arrives.
   */
  send(
    to: ServerId,
    address: ServerAddress,
    channel: Channel,
    parts: readonly Uint8Array[],
    checkedBytes?: number,
  ): boolean;
  /** Tells whom to keep connected on the consensus channel; connections to others are left to end by themselves. */
  setPeers(peers: readonly { readonly id: ServerId; readonly address: ServerAddress }[]): void;
  /** Ends this server's connections; the handler is not called afterwards. Idempotent. */
  close(): Promise<void>;
}

/** Makes an open transport: what the adapters' `tcp({ … })` return. `createRaft` opens it and closes what it opened. */
export interface TransportFactory {
  /** Binds and listens. */
  open(options: { readonly logger?: (line: string) => void }): Promise<Transport>;
}
