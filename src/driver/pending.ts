/**
 * Commands that wait: for a leader, for an answer to a forward, for their entry to be applied. Every one is settled.
 *
 * @module
 */
import { NotLeaderError } from "../errors.ts";
import type { LeaderHint } from "../errors.ts";
import type { ForwardResponse } from "../message.ts";
import { Histogram } from "../metrics.ts";
import { EntryType, type LogIndex, type ServerId, type Term } from "../types.ts";
import { decodeRestoreEntry } from "../wire/restore_codec.ts";
import type { Applied } from "./applier.ts";
import type { Environment } from "./environment.ts";
import { type Forward, Forwards } from "./forwards.ts";
import { Intake, type IntakeLimits } from "./intake.ts";
import { abortedByRestore, lost, overwritten, shutdownError } from "./outcomes.ts";
import type { Proposal } from "./proposal.ts";
import { Stages } from "./stages.ts";

/** Limits of what may wait, see {@linkcode RaftSettings}. */
export interface PendingLimits extends IntakeLimits {
  readonly leaderWaitMs: number;
}

/** A command that is in some leader's log. */
interface Placed {
  readonly proposal: Proposal;
  readonly term: Term;
  /** Infinity while its leader is followed. */
  giveUpAt: number;
}

/** A command at whose index another one was placed, by the leader of another term: one of the two will be committed. */
interface Displaced extends Placed {
  readonly index: LogIndex;
}

/** All commands of one server that have no result yet. */
export class Pending {
  readonly #environment: Environment;
  readonly #limits: PendingLimits;
  readonly #intake: Intake;
  /** Came in this turn or wait for a leader. */
  #queue: Proposal[] = [];
  /** The leader has no room for them; it is asked again now and then. */
  #refused: Proposal[] = [];
  /** Taken from the queue and not handed on: empty but while the driver proposes them, or failed to. */
  #taken: readonly Proposal[] = [];
  readonly #forwards: Forwards;
  readonly #placed = new Map<LogIndex, Placed>();
  #displaced: Displaced[] = [];
  /** Whether some placed command will be given up. */
  #hasOrphans = false;
  #closed: unknown;

  #lost = 0;
  readonly #latency = new Histogram();
  /** When those came that have got their result since they were last counted: the clock is read once for all of them. */
  #answered: number[] = [];
  /** From a command's arrival to each stage of its way. */
  readonly stages: Stages;

  /** Takes the clock and the limits. */
  constructor(environment: Environment, limits: PendingLimits) {
    this.#environment = environment;
    this.#limits = limits;
    this.stages = new Stages(environment);
    this.#intake = new Intake(environment, limits, (proposal) => this.#queue.push(proposal));
    this.#forwards = new Forwards(environment);
  }

  /** From a command's arrival to its result. */
  get latency(): Histogram {
    this.takeAnswered();
    return this.#latency;
  }

  /** Commands that wait. */
  get count(): number {
    return this.#intake.count;
  }

  /** Bytes of the commands that wait. */
  get bytes(): number {
    return this.#intake.bytes;
  }

  /** Commands taken since the start. */
  get accepted(): number {
    return this.#intake.accepted;
  }

  /** Commands refused or lost since the start. */
  get failed(): number {
    return this.#intake.refused + this.#lost;
  }

  /** Whether commands wait to be proposed. */
  get hasQueued(): boolean {
    return this.#queue.length > 0;
  }

  /** Commands that wait for room; they are not counted yet. */
  get waitingCount(): number {
    return this.#intake.waitingCount;
  }

  /** Takes a command, lets it wait for room for as long as it may, or refuses it at once. */
  add(proposal: Proposal): void {
    if (this.#closed !== undefined) {
      proposal.reject(shutdownError("not-applied", this.#closed));
      return;
    }
    this.#intake.add(proposal);
  }

  /** Takes those that have waited for the room that there is now. */
  admit(): void {
    this.#intake.admit();
  }

  /** Everything that waits to be proposed; callers that stopped waiting are left out. */
  takeQueued(): Proposal[] {
    let queue = this.#queue;
    this.#queue = [];
    if (queue.some((proposal) => proposal.isSettled)) {
      for (const proposal of queue) if (proposal.isSettled) this.#intake.release(proposal);
      queue = queue.filter((proposal) => !proposal.isSettled);
    }
    this.#taken = queue;
    return queue;
  }

  /** No leader took them: they wait for one, each for a limited time from when it was taken, unless it is owed. */
  requeue(proposals: readonly Proposal[], leader: LeaderHint | undefined): void {
    this.#taken = [];
    const giveUpAt = this.#environment.now() - this.#limits.leaderWaitMs;
    for (const proposal of proposals) {
      if (proposal.queuedAt <= giveUpAt && !proposal.isOwed) this.#reject(proposal, new NotLeaderError(leader));
      else this.#queue.push(proposal);
    }
  }

  /** Whether {@linkcode Pending.sweep} has something to wait for. */
  get needsSweep(): boolean {
    return this.#queue.length > 0 || this.#refused.length > 0 || this.#forwards.count > 0 || this.#hasOrphans;
  }

  /** Gives up what has waited long enough. To be called now and then while needed. */
  sweep(leader?: LeaderHint): void {
    const now = this.#environment.now();
    if (this.#queue.length > 0) this.requeue(this.takeQueued(), leader);
    if (this.#refused.length > 0) this.#askAgain(now);
    for (const forward of this.#forwards.endDue(now)) this.#giveUpForward(forward);
    if (!this.#hasOrphans) return;
    const isDue = ({ giveUpAt }: Placed) => giveUpAt <= now;
    for (const entry of this.#displaced.filter(isDue)) this.#giveUp(entry.index, entry);
    this.#displaced = this.#displaced.filter((entry) => !isDue(entry));
    this.#hasOrphans = this.#displaced.length > 0;
    for (const [index, entry] of [...this.#placed]) {
      if (isDue(entry)) {
        this.#placed.delete(index);
        this.#giveUp(index, entry);
      } else if (entry.giveUpAt < Infinity) this.#hasOrphans = true;
    }
  }

  /** They are the entries from `from` on, in our own log. */
  place(proposals: readonly Proposal[], from: LogIndex, term: Term): void {
    this.#taken = [];
    for (let i = 0; i < proposals.length; i++) {
      this.#place(from + i, { proposal: proposals[i]!, term, giveUpAt: Infinity });
    }
    // Neither the one that waited for this turn the longest nor the one that did so the shortest.
    const middle = proposals.length >>> 1;
    if (middle < proposals.length) this.stages.onAppended(from + middle, term, proposals[middle]!.startedAt);
    const end = proposals.findLastIndex(isRestoreEnd);
    if (end >= 0) this.#abort(from + end);
  }

  /** A restore comes right after these commands: whatever they do, nothing of it is going to be left. */
  #abort(end: LogIndex): void {
    for (const [index, { proposal, term }] of [...this.#placed]) {
      if (index >= end || proposal.type === EntryType.restore) continue;
      this.#placed.delete(index);
      this.#reject(proposal, abortedByRestore(index, term));
    }
  }

  /** Those that another server may be given: the rest is for our own log, or none. */
  forwardable(proposals: readonly Proposal[], leader: LeaderHint | undefined): readonly Proposal[] {
    const isOwn = ({ type }: Proposal) => type === EntryType.restore;
    if (!proposals.some(isOwn)) return proposals;
    for (const proposal of proposals) if (isOwn(proposal)) this.#reject(proposal, new NotLeaderError(leader));
    return this.#taken = proposals.filter((proposal) => !isOwn(proposal));
  }

  #place(index: LogIndex, entry: Placed): void {
    const before = this.#placed.get(index);
    const isLatest = before === undefined || before.term < entry.term;
    if (isLatest) this.#placed.set(index, entry);
    if (before === undefined) return;
    // The one of the earlier term is in no log of ours any more, but may be in another's that is committed yet (Raft,
    // figure 8), so only the entry that is applied at the index tells which of the two it was.
    const { proposal, term } = isLatest ? before : entry;
    this.#displaced.push({ index, proposal, term, giveUpAt: this.#orphanedUntil() });
  }

  /** Until when a command waits whose leader is none any more. */
  #orphanedUntil(): number {
    this.#hasOrphans = true;
    return this.#environment.now() + this.#limits.leaderWaitMs;
  }

  /** They go to another server; the number identifies its answer. */
  forward(to: ServerId, proposals: readonly Proposal[]): number {
    this.#taken = this.#taken.slice(proposals.length);
    return this.#forwards.begin({ to, proposals, giveUpAt: this.#environment.now() + this.#limits.leaderWaitMs });
  }

  /** The forward could not be sent: its commands are nowhere. */
  takeBack(id: number): readonly Proposal[] {
    return this.#forwards.end(id);
  }

  /**
   * The other server answered.
   *
   * @param appliedIndex Up to here entries were applied here already.
   * @param isOver Whether that server's leadership of that term has ended, as far as we know.
   * @returns Commands that were not taken and may go elsewhere.
   */
  onForwardResponse(
    from: ServerId,
    response: ForwardResponse,
    appliedIndex: LogIndex,
    isOver = false,
  ): readonly Proposal[] {
    const proposals = this.#forwards.of(response.id, from);
    if (proposals === undefined) return [];
    if (response.from === 0) {
      this.#forwards.end(response.id);
      if (response.refusal === "too-large") return this.#onTooLarge(proposals);
      if (response.refusal !== "overloaded") return proposals;
      this.#onOverloaded(proposals);
      return [];
    }
    const { entryTerm: term } = response;
    const giveUpAt = isOver ? this.#orphanedUntil() : Infinity;
    for (let i = 0; i < proposals.length; i++) {
      const proposal = proposals[i]!;
      const index = response.from + i;
      if (index > appliedIndex) this.#place(index, { proposal, term, giveUpAt });
      else this.#claim(proposal, index, term);
    }
    this.#forwards.end(response.id);
    return [];
  }

  /** The leader takes none as large as one of these: which one that is shows when they come one by one. */
  #onTooLarge(proposals: readonly Proposal[]): readonly Proposal[] {
    const [first, ...others] = proposals;
    if (others.length === 0) {
      this.#reject(
        first!,
        new RangeError(
          `Cannot apply a command of ${first!.payload.length} bytes: the leader's 'commandBytesMax' is less`,
        ),
      );
      return [];
    }
    for (const proposal of proposals) proposal.isAlone = true;
    return proposals;
  }

  /** The leader has no room: who may wait for some does. */
  #onOverloaded(proposals: readonly Proposal[]): void {
    const now = this.#environment.now();
    for (const proposal of proposals) {
      if (proposal.startedAt + proposal.enqueueTimeoutMs > now) this.#refused.push(proposal);
      else this.#reject(proposal, this.#intake.overloaded());
    }
  }

  /** Those come before what was taken later. */
  #askAgain(now: number): void {
    const refused = this.#refused;
    this.#refused = [];
    this.#onOverloaded(refused);
    for (const proposal of this.#refused) proposal.queuedAt = now;
    this.#queue = [...this.#refused, ...this.#queue];
    this.#refused = [];
  }

  /** The commit was here before the answer: its result was kept, if there was room. */
  #claim(proposal: Proposal, index: LogIndex, term: Term): void {
    const unclaimed = this.#forwards.resultAt(index);
    if (unclaimed === undefined) this.#reject(proposal, lost("Cannot tell the command's result", index, term));
    else this.#settle(proposal, index, term, unclaimed.term, unclaimed.applied);
  }

  /** An entry was applied: whoever waits for it gets its result. */
  onApplied(index: LogIndex, term: Term, applied: Applied): void {
    if (this.#displaced.length > 0) this.#settleDisplaced(index, term, applied);
    const placed = this.#placed.get(index);
    if (placed !== undefined) {
      this.#placed.delete(index);
      this.stages.onApplied(index);
      this.#settle(placed.proposal, index, placed.term, term, applied);
      this.stages.onAnswered(index);
    } else this.#forwards.onApplied(index, term, applied);
  }

  /** A snapshot took the place of these entries: nobody can tell any more what became of their commands here. */
  onInstalled(upTo: LogIndex): void {
    for (const [index, entry] of [...this.#placed]) {
      if (index > upTo) continue;
      this.#placed.delete(index);
      this.#skip(index, entry);
    }
    const skipped = this.#displaced.filter(({ index }) => index <= upTo);
    this.#displaced = this.#displaced.filter(({ index }) => index > upTo);
    for (const entry of skipped) this.#skip(entry.index, entry);
  }

  #skip(index: LogIndex, { proposal, term }: Placed): void {
    this.#reject(proposal, lost("Cannot tell the command's result as a snapshot took its place", index, term));
  }

  #settleDisplaced(index: LogIndex, term: Term, applied: Applied): void {
    const settled = this.#displaced.filter((entry) => entry.index === index);
    if (settled.length === 0) return;
    this.#displaced = this.#displaced.filter((entry) => entry.index !== index);
    for (const entry of settled) this.#settle(entry.proposal, index, entry.term, term, applied);
  }

  #settle(proposal: Proposal, index: LogIndex, placedTerm: Term, term: Term, applied: Applied): void {
    if (placedTerm !== term) return this.#reject(proposal, overwritten(index, placedTerm));
    this.#intake.release(proposal);
    this.#answered.push(proposal.startedAt);
    proposal.resolve({ index, term, applied });
  }

  /** Whether anybody has got a result since this was last asked. */
  takeAnswered(): boolean {
    if (this.#answered.length === 0) return false;
    const now = this.#environment.now();
    for (const startedAt of this.#answered) this.#latency.add(now - startedAt);
    this.#answered = [];
    return true;
  }

  /** The connection is gone: nobody knows whether the forward arrived. */
  onPeerLost(peer: ServerId): void {
    for (const proposal of this.#forwards.endOf(peer)) {
      this.#reject(proposal, lost(`Cannot tell what became of the command as the connection to "${peer}" was lost`));
    }
  }

  /**
   * The leader that took these is none any more. Most get their answer from the next leader's log; what has none after
   * a while has an unknown outcome.
   */
  onLeaderLost(): void {
    if (this.#placed.size === 0) return;
    const giveUpAt = this.#orphanedUntil();
    for (const entry of this.#placed.values()) entry.giveUpAt = Math.min(entry.giveUpAt, giveUpAt);
  }

  #giveUp(index: LogIndex, { proposal, term }: Placed): void {
    this.#reject(proposal, lost("Cannot tell what became of the command as the leader was lost", index, term));
  }

  #giveUpForward(forward: Forward): void {
    for (const proposal of forward.proposals) {
      this.#reject(proposal, lost(`Cannot tell what became of the command as "${forward.to}" did not answer`));
    }
  }

  /** The end: what was never handed to anybody is not applied, of the rest nobody knows. */
  close(cause: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = cause;
    for (const proposal of this.#intake.clear()) proposal.reject(shutdownError("not-applied", cause));
    for (const proposal of this.#refused.splice(0)) this.#reject(proposal, shutdownError("not-applied", cause));
    // Something broke while these were on their way into a log.
    for (const proposal of this.#taken) this.#reject(proposal, shutdownError("unknown", cause));
    for (const proposal of this.takeQueued()) this.#reject(proposal, shutdownError("not-applied", cause));
    this.#taken = [];
    for (const proposal of this.#forwards.endAll()) this.#reject(proposal, shutdownError("unknown", cause));
    for (const { proposal } of [...this.#placed.values(), ...this.#displaced]) {
      this.#reject(proposal, shutdownError("unknown", cause));
    }
    this.#placed.clear();
    this.#displaced = [];
    this.#hasOrphans = false;
  }

  #reject(proposal: Proposal, error: unknown): void {
    this.#intake.release(proposal);
    this.#lost++;
    proposal.reject(error);
  }
}

function isRestoreEnd({ type, payload }: Proposal): boolean {
  return type === EntryType.restore && decodeRestoreEntry(payload)?.kind === "end";
}
