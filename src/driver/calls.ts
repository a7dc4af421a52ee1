/**
 * Calls of users, here and on other servers: commands and reads go to the leader's core, wherever it is, and the
 * answers come back.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import type { CoreState } from "../core/state.ts";
import { type LeaderHint, NotLeaderError } from "../errors.ts";
import type { CoreMessage, ForwardResponse, Message } from "../message.ts";
import type { LogIndex, ServerId, Term } from "../types.ts";
import { encodeCommands } from "../wire/command_codec.ts";
import { type DecodedMessage, encodeMessage } from "../wire/message_codec.ts";
import { Administration } from "./administration.ts";
import type { AdmissionLimits } from "./admission.ts";
import type { Environment } from "./environment.ts";
import { ForwardedCalls } from "./forwarded_calls.ts";
import type { Item, Origin } from "./item.ts";
import { shutdownError } from "./outcomes.ts";
import type { Peers } from "./peers.ts";
import { Pending, type PendingLimits } from "./pending.ts";
import type { Proposal } from "./proposal.ts";
import { type Read, Reads } from "./reads.ts";

/** What calls need of their driver. */
export interface CallsHost {
  readonly id: ServerId;
  readonly environment: Environment;
  readonly peers: Peers;
  /** What the core knows now. */
  readonly state: Readonly<CoreState>;
  appliedIndex(): LogIndex;
  /** Steps the core at once, within the turn under way. */
  take(item: Item): void;
  /** Steps the core in the next turn. */
  enqueue(item: Item): void;
  /** Asks for a turn. */
  schedule(): void;
  /** Asks for one that lets others come first. */
  scheduleGathered(): void;
}

/** Limits of what may wait and travel together. */
export interface CallsLimits extends PendingLimits, AdmissionLimits {
  readonly appendBytesMax: number;
  readonly electionMaxMs: number;
}

/** Messages about machines and their snapshots: the driver's business, and nobody's call. */
export type MachineMessage = Extract<
  Message,
  { type: "snapshot-chunk" | "snapshot-wanted" | "snapshot-unavailable" | "state-hash" }
>;

/** How often calls that wait are looked through, milliseconds. */
const sweepMs = 50;

/** All calls of one server that wait, and those that others forwarded to it. */
export class Calls {
  readonly #host: CallsHost;
  readonly #bytesMax: number;
  /** Commands that wait. */
  readonly pending: Pending;
  /** Reads that wait. */
  readonly reads: Reads;
  /** What operators ask for. */
  readonly administration: Administration;
  /** What other servers' callers ask of this one. */
  readonly forwarded: ForwardedCalls;
  /** The server that lately said it does not lead, while we still believe it does: not asked again at once. */
  #refusedBy: ServerId | undefined;
  #durableTerm: Term = 0;
  #sweepTimer: unknown;
  #arrivedAt: number | undefined;
  readonly #forgetArrival = (): void => void (this.#arrivedAt = undefined);
  /** Callers who want to know whether this server leads, by the number given to our core. */
  readonly #verifications = new Map<number, Verification>();
  /** For questions that are no reads of ours; negative, so that they differ from those. */
  #nextReadId = -1;
  #closed: unknown;

  /** Takes the driver's side and the limits. */
  constructor(host: CallsHost, limits: CallsLimits) {
    this.#host = host;
    this.#bytesMax = limits.appendBytesMax;
    this.forwarded = new ForwardedCalls({
      peers: host.peers,
      durableTerm: () => this.#durableTerm,
      nextReadId: () => this.#nextReadId--,
      enqueue: (item) => host.enqueue(item),
    }, limits);
    this.pending = new Pending(host.environment, limits);
    this.reads = new Reads(host.environment, limits.leaderWaitMs);
    this.administration = this.#makeAdministration(limits);
  }

  #makeAdministration(limits: CallsLimits): Administration {
    const host = this.#host;
    const [durableTerm, leader] = [() => this.#durableTerm, () => this.leader];
    return new Administration(
      {
        id: host.id,
        environment: host.environment,
        peers: host.peers,
        state: host.state,
        get appliedIndex() {
          return host.appliedIndex;
        },
        get durableTerm() {
          return durableTerm();
        },
        get leader() {
          return leader();
        },
        take: (item) => host.take(item),
        enqueue: (item) => host.enqueue(item),
        schedule: () => host.schedule(),
      },
      limits.leaderWaitMs,
      () => limits.leaderWaitMs + limits.electionMaxMs,
    );
  }

  /** The latest term that is on disk: no message claims a later one (E4). */
  get durableTerm(): Term {
    return this.#durableTerm;
  }

  /** When what comes now came: the clock is read once for all that comes together. */
  arrivalTime(): number {
    if (this.#arrivedAt === undefined) {
      this.#arrivedAt = this.#host.environment.now();
      this.#host.environment.defer(this.#forgetArrival);
    }
    return this.#arrivedAt;
  }

  /** Takes a command, with its {@linkcode Calls.arrivalTime}. */
  propose(proposal: Proposal): void {
    // Who finds others under way has to wait for the disk anyway, and waits least together with those who come now.
    const isAlone = this.pending.count === 0;
    this.pending.add(proposal);
    if (isAlone) this.#host.schedule();
    else this.#host.scheduleGathered();
  }

  /** Takes a read: of any state from this entry on, or of what the leader vouches for when there is none. */
  read(read: Read, from: LogIndex | undefined): void {
    if (from === undefined) this.reads.add(read);
    else this.reads.addAt(read, from, this.#host.appliedIndex());
    this.#host.schedule();
  }

  /** Asks whether this server leads: a quorum has to answer what is sent from now on. */
  verify(verification: Verification): void {
    if (this.#closed !== undefined) return verification.reject(shutdownError("not-applied", this.#closed));
    const own = this.#nextReadId--;
    this.#verifications.set(own, verification);
    this.#host.enqueue({ event: { type: "read-requested", id: own } });
  }

  /** What came in this turn goes to our own core, to the leader, or waits for one. */
  dispatch(): void {
    const { term, voteAsked, votePersisted } = this.#host.state;
    if (voteAsked === votePersisted) this.#durableTerm = term;
    this.pending.admit();
    if (this.pending.hasQueued) this.#proposeQueued();
    if (this.reads.hasQueued) this.#askQueued();
    if (this.administration.hasQueued) this.administration.dispatch(this.#leaderToAsk());
  }

  #proposeQueued(): void {
    const leader = this.#leaderToAsk();
    if (leader === undefined) return;
    const proposals = this.pending.takeQueued();
    if (proposals.length === 0) return;
    if (leader !== this.#host.id) return this.#forward(leader, this.pending.forwardable(proposals, this.leader));
    this.#host.take({ event: { type: "proposed", count: proposals.length }, origin: { type: "own", proposals } });
  }

  #forward(leader: ServerId, proposals: readonly Proposal[]): void {
    // All are known to be on their way before the first one is sent: whatever happens then, none is forgotten.
    const forwards = Array.from(frameSized(proposals, this.#bytesMax), (batch) => ({
      batch,
      id: this.pending.forward(leader, batch),
    }));
    for (const { batch, id } of forwards) {
      const message: Message = { type: "forward-request", term: this.#durableTerm, id, count: batch.length };
      if (this.#host.peers.transmit(leader, encodeMessage(message, encodeCommands(batch)))) continue;
      this.pending.requeue(this.pending.takeBack(id), this.leader);
    }
  }

  /** Reads of one turn share one question, and those that a lease will do for another. */
  #askQueued(): void {
    for (const isLease of [false, true]) {
      const leader = this.#leaderToAsk();
      if (leader !== undefined && this.reads.hasQueuedFor(isLease)) this.#ask(leader, isLease);
    }
  }

  #ask(leader: ServerId, isLease: boolean): void {
    if (leader === this.#host.id) {
      return this.#host.take({ event: { type: "read-requested", id: this.reads.ask(undefined, isLease), isLease } });
    }
    const id = this.reads.ask(leader, isLease);
    if (!this.#host.peers.send(leader, { type: "read-request", term: this.#durableTerm, id, isLease })) {
      this.reads.onRefused(id, leader);
    }
  }

  /** The leader, when it can be asked now: this server, or a peer that is connected. */
  #leaderToAsk(): ServerId | undefined {
    const { leader } = this.#host.state;
    if (leader === undefined || leader === this.#host.id) return leader;
    return this.#host.peers.isConnected(leader) && leader !== this.#refusedBy ? leader : undefined;
  }

  /** The leader that is followed now, with its address. */
  get leader(): LeaderHint | undefined {
    const { leader } = this.#host.state;
    return leader === undefined ? undefined : { id: leader, address: this.#host.peers.addressOf(leader) };
  }

  // --- what the core decided ---

  /** The commands being stepped are the entries from `from` on. */
  onAppended(origin: Origin, from: LogIndex, entryTerm: Term): void {
    if (origin.type === "own") return this.pending.place(origin.proposals, from, entryTerm);
    this.forwarded.onAppended(origin, from, entryTerm);
  }

  /** The commands being stepped are in no log. */
  onProposalsRefused(origin: Origin, effect: Extract<Effect, { type: "refuse-proposals" }>): void {
    if (origin.type === "own") return this.pending.requeue(origin.proposals, this.leader);
    this.forwarded.onProposalsRefused(origin, effect);
  }

  /** The core gave an index to read at, or none. */
  onReadIndex(id: number, index: LogIndex | undefined): void {
    if (this.forwarded.onReadIndex(id, index)) return;
    if (id < 0) this.#verified(id, index);
    else if (index === undefined) this.reads.onRefused(id, undefined);
    else this.reads.onIndex(id, undefined, index);
  }

  #verified(id: number, index: LogIndex | undefined): void {
    const verification = this.#verifications.get(id);
    this.#verifications.delete(id);
    if (index === undefined) verification?.reject(new NotLeaderError(this.leader));
    else verification?.resolve();
  }

  /** Another leader is followed, or none. */
  onLeaderChanged(isLost: boolean): void {
    this.#refusedBy = undefined;
    this.administration.onLeaderChanged(this.leader, this.#host.state.term);
    if (!isLost) return;
    this.forwarded.onLeaderLost();
    this.pending.onLeaderLost();
    this.reads.onLeaderLost(this.#host.state.commitIndex);
  }

  /** The machine has applied all up to here and nobody else looks at it. */
  onApplied(upTo: LogIndex): void {
    this.forwarded.onApplied(upTo);
    this.reads.onApplied(upTo);
  }

  // --- what peers say ---

  /** Takes a message of a peer's that is about calls; gives back any other. */
  onMessage(
    peer: ServerId,
    { message, commands, changes }: DecodedMessage,
  ): CoreMessage | MachineMessage | undefined {
    switch (message.type) {
      case "forward-request":
        this.forwarded.onForwardRequest(peer, message.id, commands!);
        return undefined;
      case "forward-response":
        this.onForwardResponse(peer, message);
        return undefined;
      case "read-request":
        this.forwarded.onReadRequest(peer, message.id, message.isLease);
        return undefined;
      case "read-response":
        this.onReadResponse(peer, message.id, message.index);
        return undefined;
      case "change-request":
        this.administration.onChangeRequest(peer, message, changes!);
        return undefined;
      case "change-response":
        this.administration.onChangeResponse(peer, message);
        return undefined;
      case "transfer-request":
        this.administration.onTransferRequest(peer, message.to);
        return undefined;
      case "transfer-response":
        this.administration.onTransferResponse(peer, message);
        return undefined;
      default:
        return message;
    }
  }

  /** A peer answered what we forwarded. */
  onForwardResponse(peer: ServerId, response: ForwardResponse): void {
    const { leader, term } = this.#host.state;
    const isOver = leader !== peer || term !== response.entryTerm;
    const back = this.pending.onForwardResponse(peer, response, this.#host.appliedIndex(), isOver);
    // What was refused has made room for others.
    if (response.from === 0) this.#host.schedule();
    if (back.length === 0) return;
    if (response.refusal === "too-large") return this.pending.requeue(back, this.leader);
    this.#refusedBy = peer;
    this.pending.requeue(back, this.leader);
  }

  /** A peer answered where we may read. */
  onReadResponse(peer: ServerId, id: number, index: LogIndex | undefined): void {
    if (index !== undefined) {
      this.reads.onIndex(id, peer, index);
    } else {
      this.#refusedBy = peer;
      this.reads.onRefused(id, peer);
    }
    this.#host.schedule();
  }

  /** A peer can't be talked to any more. */
  onPeerLost(peer: ServerId): void {
    this.pending.onPeerLost(peer);
    this.reads.onPeerLost(peer);
    this.administration.onPeerLost(peer);
    this.forwarded.onPeerLost(peer);
  }

  // --- time ---

  /** Sees to it that nothing waits for ever. */
  armSweep(): void {
    const isNeeded = this.pending.needsSweep || this.reads.needsSweep || this.administration.needsSweep;
    if (this.#sweepTimer !== undefined || !isNeeded) return;
    this.#sweepTimer = this.#host.environment.setTimeout(() => {
      this.#sweepTimer = undefined;
      this.#refusedBy = undefined;
      this.pending.sweep(this.leader);
      this.reads.sweep(this.leader);
      this.administration.sweep();
      this.#host.schedule();
    }, sweepMs);
  }

  /** The end: every call gets its answer. */
  close(cause: unknown): void {
    this.#host.environment.clearTimeout(this.#sweepTimer);
    this.pending.close(cause);
    this.reads.close(cause);
    this.administration.close(cause);
    this.#closed ??= cause;
    for (const verification of this.#verifications.values()) verification.reject(shutdownError("not-applied", cause));
    this.#verifications.clear();
  }
}

/** A caller who wants to know whether this server leads. */
export interface Verification {
  /** It did when the call came. */
  resolve(): void;
  /** It does not, or nobody knows. */
  reject(error: unknown): void;
}

/** Cuts commands into batches that fit into a frame; a larger one travels alone, and so does one that must. */
function* frameSized(proposals: readonly Proposal[], bytesMax: number): Generator<readonly Proposal[]> {
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < proposals.length; i++) {
    const size = proposals[i]!.payload.length;
    const isAlone = proposals[i]!.isAlone || proposals[i - 1]?.isAlone === true;
    if (i > from && (isAlone || bytes + size > bytesMax)) {
      yield proposals.slice(from, i);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < proposals.length) yield proposals.slice(from);
}
