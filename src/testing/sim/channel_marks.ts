/**
 * Marks of snapshots and messages that travel over connections of their own, seen from outside.
 *
 * @module
 */
import type { Message } from "../../message.ts";
import type { Channel } from "../../transport/transport.ts";

const none = {
  "bulk-reset-in-snapshot": 0,
  "snapshot-went-on-after-reset": 0,
  "snapshot-overtook-append": 0,
  "append-overtook-snapshot": 0,
};

/** The name of such a mark. */
export type ChannelMark = keyof typeof none;

/** What one server has sent another. */
interface Way {
  /** The transfer that the receiver knows of, and that has not ended. */
  transfer: number | undefined;
  /** The transfer whose connection was reset. */
  broken: number | undefined;
  /** When the latest of those that have come was sent. */
  snapshotSentAt: number;
  appendSentAt: number;
}

/** Watches one run. */
export class ChannelObserver {
  /** How often each was seen. */
  readonly hits: Record<ChannelMark, number> = { ...none };
  /** By sender and receiver. */
  readonly #ways: Way[][] = [];

  /** A message has come over the connection over which it was sent. */
  onArrive(from: number, to: number, message: Message, channel: Channel, sentAt: number): void {
    const way = this.#way(from, to);
    if (channel === "bulk") {
      if (way.appendSentAt > sentAt) this.hits["append-overtook-snapshot"]++;
      way.snapshotSentAt = Math.max(way.snapshotSentAt, sentAt);
      if (message.type === "snapshot-request") way.transfer = message.id;
      if (message.type === "snapshot-chunk") this.#onChunk(way, message.id);
      return;
    }
    if (message.type === "append-request") {
      // Without entries it might as well have come at any other time.
      if (message.end === message.prevIndex + 1) return;
      if (way.snapshotSentAt > sentAt) this.hits["snapshot-overtook-append"]++;
      way.appendSentAt = Math.max(way.appendSentAt, sentAt);
    } else if (message.type === "snapshot-response" && (message.status === "done" || message.status === "refused")) {
      this.#onOver(this.#way(to, from), message.id);
    }
  }

  /** A server learns that its connection is gone. */
  onEnd(server: number, peer: number, channel: Channel, reason: string): void {
    if (channel !== "bulk" || reason !== "connection reset") return;
    for (const way of [this.#way(server, peer), this.#way(peer, server)]) {
      if (way.transfer === undefined || way.broken === way.transfer) continue;
      way.broken = way.transfer;
      this.hits["bulk-reset-in-snapshot"]++;
    }
  }

  #onChunk(way: Way, id: number): void {
    if (way.broken === id) this.hits["snapshot-went-on-after-reset"]++;
    way.broken = undefined;
  }

  #onOver(way: Way, id: number): void {
    if (way.transfer === id) way.transfer = undefined;
  }

  #way(from: number, to: number): Way {
    const ways = this.#ways[from] ??= [];
    return ways[to] ??= {
      transfer: undefined,
      broken: undefined,
      snapshotSentAt: -Infinity,
      appendSentAt: -Infinity,
    };
  }
}
