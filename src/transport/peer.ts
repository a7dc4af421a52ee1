/**
 * What one server knows of its connections to another one.
 *
 * @module
 */
import type { ServerAddress, ServerId } from "../types.ts";
import type { Backoff } from "./backoff.ts";
import type { Channel, RemoteServer } from "./transport.ts";

/** A connection that passed the handshake. */
export interface Connection {
  readonly peer: RemoteServer;
  readonly channel: Channel;
  /** Random number given by the side that dialled. */
  readonly nonce: number;
  readonly dialledByUs: boolean;
  /** Queues a frame; false when the queue is full. */
  send(parts: readonly Uint8Array[], checkedBytes?: number): boolean;
  /** Ends it at once; the link is not called back. Idempotent. */
  close(reason: string): void;
}

/** A dial under way. */
export interface DialHandle {
  /** Ends it; nothing is reported of it any more. */
  cancel(): void;
  /** From here on the other side may have taken the connection for established. */
  readonly helloSent: boolean;
}

/** Our dial of a slot. */
export interface Attempt {
  readonly nonce: number;
  handle: DialHandle | undefined;
  /** Dials of the other side that wait until it is known what becomes of ours. */
  readonly waiting: (() => void)[];
}

/** One channel to one peer. */
export interface Slot {
  readonly channel: Channel;
  readonly backoff: Backoff;
  connection: Connection | undefined;
  establishedAt: number;
  attempt: Attempt | undefined;
  /** Nonce of the last connection, 0 before the first one. */
  lastNonce: number;
  /** No dial before this time. */
  notBefore: number;
  retryTimer: unknown;
}

/** Another server, as one server sees it. */
export class Peer {
  readonly id: ServerId;
  /** Where to dial it; undefined for one that dialled us and that nobody told us of. */
  address: ServerAddress | undefined;
  /** Whether its consensus channel is kept connected. */
  wanted = false;
  readonly consensus: Slot;
  readonly bulk: Slot;

  constructor(id: ServerId, newBackoff: () => Backoff) {
    this.id = id;
    this.consensus = newSlot("consensus", newBackoff());
    this.bulk = newSlot("bulk", newBackoff());
  }

  get slots(): readonly [Slot, Slot] {
    return [this.consensus, this.bulk];
  }

  slot(channel: Channel): Slot {
    return channel === "consensus" ? this.consensus : this.bulk;
  }

  get isConnected(): boolean {
    return this.consensus.connection !== undefined || this.bulk.connection !== undefined;
  }
}

function newSlot(channel: Channel, backoff: Backoff): Slot {
  return {
    channel,
    backoff,
    connection: undefined,
    establishedAt: 0,
    attempt: undefined,
    lastNonce: 0,
    notBefore: 0,
    retryTimer: undefined,
  };
}
