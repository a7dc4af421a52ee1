/**
 * Calls of other servers' callers: commands and reads that they forward to the leader, while it is this server.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import { ProtocolError } from "../errors.ts";
import type { ForwardResponse } from "../message.ts";
import type { LogIndex, ServerId, Term } from "../types.ts";
import type { ForwardedCommand } from "../wire/command_codec.ts";
import { Admission, type AdmissionLimits } from "./admission.ts";
import type { Item, Origin } from "./item.ts";
import type { Peers } from "./peers.ts";

/** What forwarded calls need of the calls of this server. */
export interface ForwardedCallsHost {
  readonly peers: Peers;
  /** The latest term that is on disk: no message claims a later one (E4). */
  durableTerm(): Term;
  /** A number for a question to our core; negative, so that it differs from those of our own callers. */
  nextReadId(): number;
  /** Steps the core in the next turn. */
  enqueue(item: Item): void;
}

type PeerOrigin = Extract<Origin, { type: "peer" }>;

/** All that were forwarded to one server and have no answer yet. */
export class ForwardedCalls {
  readonly #host: ForwardedCallsHost;
  readonly #admission: Admission;
  /** Peers that asked our core for a read index, by the number given to it. */
  readonly #reads = new Map<number, { readonly peer: ServerId; readonly id: number }>();

  /** Takes whom to ask and answer, and the limits. */
  constructor(host: ForwardedCallsHost, limits: AdmissionLimits) {
    this.#host = host;
    this.#admission = new Admission(limits);
  }

  /** A peer's callers have commands for us. */
  onForwardRequest(peer: ServerId, id: number, entries: readonly ForwardedCommand[]): void {
    if (entries.length === 0) throw new ProtocolError("Cannot take a forward-request without commands");
    const origin = { type: "peer", peer, id, entries } as const;
    if (this.#admission.isTooLarge(entries)) return this.#refuse(origin, "too-large");
    if (!this.#admission.take(peer, entries)) return this.#refuse(origin, "overloaded");
    this.#host.enqueue({ event: { type: "proposed", count: entries.length }, origin });
  }

  /** They are the entries from `from` on. */
  onAppended(origin: PeerOrigin, from: LogIndex, entryTerm: Term): void {
    this.#admission.place(origin.peer, origin.entries, from);
    this.#answer(origin, { from, entryTerm, refusal: undefined, leader: undefined });
  }

  /** They are in no log. */
  onProposalsRefused(origin: PeerOrigin, { reason, leader }: Extract<Effect, { type: "refuse-proposals" }>): void {
    this.#admission.giveBack(origin.peer, origin.entries);
    this.#refuse(origin, reason, leader);
  }

  #refuse(origin: PeerOrigin, refusal: ForwardResponse["refusal"], leader?: ServerId): void {
    this.#answer(origin, { from: 0, entryTerm: 0, refusal, leader });
  }

  #answer(
    { peer, id }: PeerOrigin,
    answer: Pick<ForwardResponse, "from" | "entryTerm" | "refusal" | "leader">,
  ): void {
    this.#host.peers.send(peer, { type: "forward-response", term: this.#host.durableTerm(), id, ...answer });
  }

  /** A peer's callers want to read. */
  onReadRequest(peer: ServerId, id: number, isLease = false): void {
    const own = this.#host.nextReadId();
    this.#reads.set(own, { peer, id });
    this.#host.enqueue({ event: { type: "read-requested", id: own, isLease } });
  }

  /** The core gave an index to read at, or none; false when no peer has asked under that number. */
  onReadIndex(own: number, index: LogIndex | undefined): boolean {
    const asked = this.#reads.get(own);
    if (asked === undefined) return false;
    this.#reads.delete(own);
    const { peer, id } = asked;
    this.#host.peers.send(peer, { type: "read-response", term: this.#host.durableTerm(), id, index });
    return true;
  }

  /** The machine has applied all up to here. */
  onApplied(upTo: LogIndex): void {
    this.#admission.onApplied(upTo);
  }

  /** The leader that was followed is none any more. */
  onLeaderLost(): void {
    this.#admission.onLeaderLost();
  }

  /** A peer can't be talked to any more. */
  onPeerLost(peer: ServerId): void {
    this.#admission.onPeerLost(peer);
    // Whoever comes back under that name may have started anew and use the same numbers for other questions (BR03).
    for (const [own, asked] of this.#reads) if (asked.peer === peer) this.#reads.delete(own);
  }
}
