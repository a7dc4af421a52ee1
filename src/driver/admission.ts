/**
 * How much of what peers forward a leader takes.
 *
 * @module
 */
import type { LogIndex, ServerId } from "../types.ts";
import type { ForwardedCommand } from "../wire/command_codec.ts";

/** Limits of forwarded commands, see {@linkcode RaftSettings}. */
export interface AdmissionLimits {
  readonly commandBytesMax: number;
  readonly inFlightCountMax: number;
  readonly inFlightBytesMax: number;
}

/** Forwarded commands that are in the log. */
interface Placed {
  readonly peer: ServerId;
  readonly end: LogIndex;
  readonly count: number;
  readonly bytes: number;
}

/** What one peer's callers have in flight here. */
interface Share {
  count: number;
  bytes: number;
}

/**
 * Counts commands that peers forwarded, until our machine has applied them: their callers wait elsewhere, but their
 * entries are in our memory, and each peer bounds its own callers only. Fair between peers: of those that have commands
 * here, or were refused since they had, none gets more than an equal share of the room.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  #count = 0;
  #bytes = 0;
  /** Those whose place in the log is known, ascending. */
  #placed: Placed[] = [];
  readonly #shares = new Map<ServerId, Share>();

  /** Takes the limits, which hold for all peers together. */
  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Whether one of them is larger than any may be. */
  isTooLarge(commands: readonly ForwardedCommand[]): boolean {
    return commands.some(({ payload }) => payload.length > this.#limits.commandBytesMax);
  }

  /** Takes all of them, or none: false when too much is in flight, of all peers or of this one. */
  take(peer: ServerId, commands: readonly ForwardedCommand[]): boolean {
    const { inFlightCountMax, inFlightBytesMax } = this.#limits;
    const { length: count } = commands;
    const bytes = bytesOf(commands);
    // One that was refused has a share from now on, so that the others leave it some room.
    const share = this.#shares.get(peer) ?? { count: 0, bytes: 0 };
    this.#shares.set(peer, share);
    const isFull = this.#count + count > inFlightCountMax || this.#bytes + bytes > inFlightBytesMax;
    // What comes when nothing is in flight fits, however small the limits.
    if (this.#count > 0 && isFull) return false;
    const peers = this.#shares.size;
    const isGreedy = share.count + count > inFlightCountMax / peers || share.bytes + bytes > inFlightBytesMax / peers;
    if (share.count > 0 && isGreedy) return false;
    this.#add(share, count, bytes);
    return true;
  }

  /** They are the entries from `from` on. */
  place(peer: ServerId, commands: readonly ForwardedCommand[], from: LogIndex): void {
    const { length: count } = commands;
    this.#placed.push({ peer, end: from + count, count, bytes: bytesOf(commands) });
  }

  /** They are in no log. */
  giveBack(peer: ServerId, commands: readonly ForwardedCommand[]): void {
    this.#forget(peer, commands.length, bytesOf(commands));
  }

  /** The machine has applied all up to here. */
  onApplied(upTo: LogIndex): void {
    let done = 0;
    while (done < this.#placed.length && this.#placed[done]!.end <= upTo + 1) {
      const { peer, count, bytes } = this.#placed[done++]!;
      this.#forget(peer, count, bytes);
    }
    if (done > 0) this.#placed.splice(0, done);
  }

  /** What was placed may never be applied: another leader decides that. */
  onLeaderLost(): void {
    for (const { peer, count, bytes } of this.#placed) this.#forget(peer, count, bytes);
    this.#placed = [];
    for (const [peer, { count }] of this.#shares) if (count === 0) this.#shares.delete(peer);
  }

  /** No room need be left for a peer that can't be talked to. */
  onPeerLost(peer: ServerId): void {
    if (this.#shares.get(peer)?.count === 0) this.#shares.delete(peer);
  }

  #add(share: Share, count: number, bytes: number): void {
    this.#count += count;
    this.#bytes += bytes;
    share.count += count;
    share.bytes += bytes;
  }

  #forget(peer: ServerId, count: number, bytes: number): void {
    const share = this.#shares.get(peer)!;
    this.#add(share, -count, -bytes);
    if (share.count === 0) this.#shares.delete(peer);
  }
}

function bytesOf(commands: readonly ForwardedCommand[]): number {
  return commands.reduce((sum, { payload, extensions }) => sum + payload.length + (extensions?.length ?? 0), 0);
}
