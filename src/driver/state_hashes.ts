/**
 * Whether the machines of a cluster hold the same: each says now and then what its state's hash is at an entry.
 *
 * @module
 */
import type { RaftEvent } from "../events.ts";
import type { Message } from "../message.ts";
import type { LogIndex, ServerId } from "../types.ts";
import { crc32c } from "../wire/crc32c.ts";

/** What comparing needs of its driver. */
export interface StateHashesHost {
  /** Tells every peer that can be talked to. */
  broadcast(hash: Pick<Extract<Message, { type: "state-hash" }>, "index" | "hash">): void;
  /** Tells whoever watches. */
  emit(event: Extract<RaftEvent, { type: "state-diverged" | "state-agrees" }>): void;
}

/** Hashes kept of each server: one that lags by more is not compared at these entries. */
const keptMax = 64;

/** Who is not of the cluster may give itself any name. */
const peersMax = 64;

/** What is known of one peer. */
interface Known {
  /** Its hashes that have not been compared. */
  readonly hashes: Map<LogIndex, number>;
  /** The last entry at which its machine was seen to hold the same. */
  agreedIndex: LogIndex;
  /** The first one after that at which it did not; undefined when there is none. */
  divergedIndex: LogIndex | undefined;
}

/** One server's machine against those of its peers. */
export class StateHashes {
  readonly #host: StateHashesHost;
  readonly #own = new Map<LogIndex, number>();
  readonly #peers = new Map<ServerId, Known>();

  /** Takes whom to tell. */
  constructor(host: StateHashesHost) {
    this.#host = host;
  }

  /** Our own machine has applied this entry, and all before it. */
  onOwn(index: LogIndex, value: number | string): void {
    const hash = integerOf(value);
    keep(this.#own, index, hash);
    for (const [peer, known] of this.#peers) {
      const theirs = known.hashes.get(index);
      if (theirs !== undefined) this.#compare(peer, known, index, hash, theirs);
    }
    this.#host.broadcast({ index, hash });
  }

  /** A peer's machine has. */
  onPeer(peer: ServerId, index: LogIndex, hash: number): void {
    const known = this.#peers.get(peer) ?? { hashes: new Map(), agreedIndex: 0, divergedIndex: undefined };
    this.#peers.set(peer, known);
    if (this.#peers.size > peersMax) this.#peers.delete(this.#peers.keys().next().value!);
    const own = this.#own.get(index);
    if (own === undefined) keep(known.hashes, index, hash);
    else this.#compare(peer, known, index, own, hash);
  }

  #compare(peer: ServerId, known: Known, index: LogIndex, own: number, theirs: number): void {
    known.hashes.delete(index);
    if (own === theirs) {
      if (index < known.agreedIndex) return;
      known.agreedIndex = index;
      // An older answer does not say that what went apart since is one again.
      if (known.divergedIndex === undefined || index < known.divergedIndex) return;
      known.divergedIndex = undefined;
      this.#host.emit({ type: "state-agrees", peer, index });
    } else if (index < (known.divergedIndex ?? Infinity) && index > known.agreedIndex) {
      known.divergedIndex = index;
      this.#host.emit({ type: "state-diverged", peer, index, agreedIndex: known.agreedIndex });
    }
  }
}

function keep(hashes: Map<LogIndex, number>, index: LogIndex, hash: number): void {
  hashes.set(index, hash);
  if (hashes.size > keptMax) hashes.delete(hashes.keys().next().value!);
}

const encoder = new TextEncoder();

/** Any hash as a safe integer, the same on every server. */
function integerOf(value: number | string): number {
  const bytes = encoder.encode(`${typeof value} ${value}`);
  return crc32c(bytes) + (crc32c(bytes, 0, bytes.length, 0x9e37_79b9) & 0x1f_ffff) * 2 ** 32;
}
