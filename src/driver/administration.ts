/**
 * What operators ask for: other servers, another leader, a proof of leadership. It goes to the leader's core, wherever
 * that is, and the answer comes back.
 *
 * @module
 */
import {
  ConfigurationChangedError,
  type LeaderHint,
  LeadershipLostError,
  MembershipError,
  NotLeaderError,
  OverloadedError,
  TransferFailedError,
} from "../errors.ts";
import type { ChangeRefusal, ChangeRequest, ChangeResponse, TransferFailure, TransferResponse } from "../message.ts";
import type { ConfigurationChange, LogIndex, ServerId, Term } from "../types.ts";
import { encodeChanges } from "../wire/change_codec.ts";
import { encodeMessage } from "../wire/message_codec.ts";
import type { CallsHost } from "./calls.ts";
import { shutdownError } from "./outcomes.ts";

/** What it needs of its driver. */
export interface AdministrationHost extends Omit<CallsHost, "scheduleGathered"> {
  /** The latest term that is on disk: no message claims a later one (E4). */
  readonly durableTerm: Term;
  /** The leader that is followed now, with its address. */
  readonly leader: LeaderHint | undefined;
}

/** A wish for other servers and the caller who waits. */
export interface ChangeCall {
  readonly changes: readonly ConfigurationChange[];
  readonly prevIndex: LogIndex | undefined;
  readonly force: boolean;
  /** When it came, in the driver's milliseconds. */
  readonly startedAt: number;
  readonly isSettled: boolean;
  resolve(index: LogIndex): void;
  reject(error: unknown): void;
}

/** A wish for another leader and the caller who waits. */
export interface TransferCall {
  readonly to: ServerId | undefined;
  readonly startedAt: number;
  readonly isSettled: boolean;
  resolve(leader: LeaderHint): void;
  reject(error: unknown): void;
}

/** A change that was handed to a leader. */
interface Asked {
  readonly call: ChangeCall;
  /** The server that was asked; undefined for our own core. */
  readonly from: ServerId | undefined;
  askAgainAt: number;
}

/** A transfer that was handed to a leader. */
interface Transferring {
  readonly call: TransferCall;
  readonly from: ServerId;
  readonly term: Term;
  readonly giveUpAt: number;
}

/** Who asked our core for a change: a peer, under its own number. */
interface Remote {
  readonly peer: ServerId;
  readonly id: number;
}

/** Answers kept for peers that may ask again because one got lost. */
const answersMax = 64;

/** All of one server's. */
export class Administration {
  readonly #host: AdministrationHost;
  readonly #leaderWaitMs: number;
  readonly #transferMs: () => number;
  #changes: ChangeCall[] = [];
  #transfers: TransferCall[] = [];
  readonly #asked = new Map<number, Asked>();
  #transferring: Transferring[] = [];
  readonly #remotes = new Map<number, Remote>();
  readonly #answers = new Map<string, ChangeResponse>();
  /** Peers that want to hear when a transfer fails. */
  #transferRemotes: Remote[] = [];
  #nextId: number;
  #closed: unknown;

  /** Takes the driver's side, how long a call may wait for a leader, and how long a transfer may take. */
  constructor(host: AdministrationHost, leaderWaitMs: number, transferMs: () => number) {
    this.#host = host;
    this.#leaderWaitMs = leaderWaitMs;
    this.#transferMs = transferMs;
    // Anywhere, so that what is said to a server's last start is not taken for an answer to this one.
    this.#nextId = 1 + host.environment.randomSeed() % 2 ** 31;
  }

  /** Takes a wish for other servers. */
  change(call: ChangeCall): void {
    if (this.#closed !== undefined) return call.reject(shutdownError("not-applied", this.#closed));
    this.#changes.push(call);
    this.#host.schedule();
  }

  /** Takes a wish for another leader. */
  transfer(call: TransferCall): void {
    if (this.#closed !== undefined) return call.reject(shutdownError("not-applied", this.#closed));
    this.#transfers.push(call);
    this.#host.schedule();
  }

  /** Whether something waits for a leader. */
  get hasQueued(): boolean {
    return this.#changes.length > 0 || this.#transfers.length > 0;
  }

  /** What waits goes to our own core, to the leader, or waits for one. */
  dispatch(leader: ServerId | undefined): void {
    if (leader === undefined) return;
    const [changes, transfers] = [this.#changes, this.#transfers];
    this.#changes = [];
    this.#transfers = [];
    for (const call of changes) if (!call.isSettled) this.#ask(call, leader, this.#nextId++);
    for (const call of transfers) if (!call.isSettled) this.#handOver(call, leader);
  }

  #ask(call: ChangeCall, leader: ServerId, id: number): void {
    const { changes, prevIndex, force } = call;
    const isOwn = leader === this.#host.id;
    const askAgainAt = isOwn ? Infinity : this.#host.environment.now() + this.#leaderWaitMs / 4;
    this.#asked.set(id, { call, from: isOwn ? undefined : leader, askAgainAt });
    if (isOwn) return this.#host.take({ event: { type: "change-requested", id, changes, prevIndex, force } });
    this.#send(leader, id, call);
  }

  /** Best effort: what is lost is sent again, under its number. */
  #send(leader: ServerId, id: number, { changes, prevIndex, force }: ChangeCall): void {
    const count = changes.length;
    const message = { type: "change-request", term: this.#host.durableTerm, id, prevIndex, force, count } as const;
    this.#host.peers.transmit(leader, encodeMessage(message, [encodeChanges(changes)]));
  }

  #handOver(call: TransferCall, leader: ServerId): void {
    const { to } = call;
    if (to === leader) return call.resolve(this.#host.leader!);
    const giveUpAt = this.#host.environment.now() + this.#transferMs();
    const asker: Transferring = { call, from: leader, term: this.#host.state.term, giveUpAt };
    this.#transferring.push(asker);
    if (leader === this.#host.id) return this.#host.take({ event: { type: "transfer-requested", to }, asker });
    this.#host.peers.send(leader, { type: "transfer-request", term: this.#host.durableTerm, to });
  }

  // --- what the core decided ---

  /** A change is done or given up. */
  onSettled(id: number, index: LogIndex | undefined, refusal: ChangeRefusal | undefined): void {
    const remote = this.#remotes.get(id);
    if (remote === undefined) return this.#settle(id, undefined, index, refusal);
    this.#remotes.delete(id);
    const answer = { type: "change-response", term: this.#host.durableTerm, id: remote.id, index, refusal } as const;
    this.#answers.set(keyOf(remote), answer);
    if (this.#answers.size > answersMax) this.#answers.delete(this.#answers.keys().next().value!);
    this.#host.peers.send(remote.peer, answer);
  }

  #settle(
    id: number,
    from: ServerId | undefined,
    index: LogIndex | undefined,
    refusal: ChangeRefusal | undefined,
  ): void {
    const asked = this.#asked.get(id);
    if (asked === undefined || asked.from !== from) return;
    this.#asked.delete(id);
    const { call } = asked;
    if (call.isSettled) return;
    if (refusal === undefined) call.resolve(index!);
    // It is in no log: another leader may take it.
    else if (refusal.reason === "not-leader") this.#wait(call);
    else call.reject(this.#errorOf(refusal));
  }

  #wait(call: ChangeCall): void {
    const isOver = call.startedAt <= this.#host.environment.now() - this.#leaderWaitMs;
    if (isOver) call.reject(new NotLeaderError(this.#host.leader));
    else this.#changes.push(call);
  }

  #errorOf({ reason, detail, begun }: ChangeRefusal): Error {
    const outcome = begun ? "unknown" : "not-applied";
    const leader = this.#host.leader;
    const message = `Cannot change the servers: ${detail}`;
    if (reason === "leadership-lost") return new LeadershipLostError(message, { outcome, leader });
    if (reason === "conflict") return new ConfigurationChangedError(message);
    if (reason === "overloaded") return new OverloadedError(0, 0, message);
    return new MembershipError(message, reason as MembershipError["reason"], outcome);
  }

  /** The transfer under way ended without a new leader, for all who wait; or another was refused, for who asked for that. */
  onTransferFailed(reason: TransferFailure, to: ServerId | undefined, asker: object | undefined): void {
    const { id, term } = { id: this.#host.id, term: this.#host.durableTerm };
    const isMeant = (one: object) => reason === "timeout" || one === asker;
    for (const { peer } of this.#transferRemotes.filter(isMeant)) {
      this.#host.peers.send(peer, { type: "transfer-response", term, reason });
    }
    this.#transferRemotes = this.#transferRemotes.filter((one) => !isMeant(one));
    this.#failTransfers((one) => one.from === id && isMeant(one), reason, to);
  }

  #failTransfers(isMeant: (one: Transferring) => boolean, reason: string, to?: ServerId): void {
    const failed = this.#transferring.filter(isMeant);
    this.#transferring = this.#transferring.filter((one) => !failed.includes(one));
    for (const { call } of failed) call.reject(new TransferFailedError(reason, call.to ?? to, this.#host.leader));
  }

  /** Another leader is followed, or none. */
  onLeaderChanged(leader: LeaderHint | undefined, term: Term): void {
    if (leader !== undefined) {
      const done = this.#transferring.filter((one) => term > one.term && leader.id !== one.from);
      this.#transferring = this.#transferring.filter((one) => !done.includes(one));
      for (const { call } of done) {
        if (call.to === undefined || call.to === leader.id) call.resolve(leader);
        else call.reject(new TransferFailedError(`"${leader.id}" was elected instead`, call.to, leader));
      }
    }
    if (leader?.id === this.#host.id) return;
    this.#transferRemotes = [];
    // What was handed to a leader that is none any more may have been done.
    for (const [id, { from, call }] of [...this.#asked]) {
      if (from === undefined || from === leader?.id) continue;
      this.#asked.delete(id);
      call.reject(this.#lost(`"${from}" does not lead any more`));
    }
  }

  #lost(why: string): LeadershipLostError {
    return new LeadershipLostError(`Cannot tell whether the servers were changed: ${why}`);
  }

  // --- what peers say ---

  /** A peer's operator wants other servers. */
  onChangeRequest(
    peer: ServerId,
    { id, prevIndex, force }: ChangeRequest,
    changes: readonly ConfigurationChange[],
  ): void {
    const remote = { peer, id };
    const known = this.#answers.get(keyOf(remote));
    if (known !== undefined) return void this.#host.peers.send(peer, known);
    for (const other of this.#remotes.values()) if (other.peer === peer && other.id === id) return;
    const own = -this.#nextId++;
    this.#remotes.set(own, remote);
    this.#host.enqueue({ event: { type: "change-requested", id: own, changes, prevIndex, force } });
  }

  /** The leader answered. */
  onChangeResponse(peer: ServerId, { id, index, refusal }: ChangeResponse): void {
    this.#settle(id, peer, index, refusal);
    this.#host.schedule();
  }

  /** A peer's operator wants another leader. */
  onTransferRequest(peer: ServerId, to: ServerId | undefined): void {
    const asker: Remote = { peer, id: 0 };
    this.#transferRemotes.push(asker);
    this.#host.enqueue({ event: { type: "transfer-requested", to }, asker });
  }

  /** The leader could not hand over. */
  onTransferResponse(peer: ServerId, { reason }: TransferResponse): void {
    // Who names nobody waits for the one under way, whoever is to lead then.
    this.#failTransfers(({ from, call }) => from === peer && (reason !== "busy" || call.to !== undefined), reason);
  }

  /** A peer can't be talked to any more. */
  onPeerLost(peer: ServerId): void {
    for (const [own, remote] of [...this.#remotes]) if (remote.peer === peer) this.#remotes.delete(own);
    for (const key of [...this.#answers.keys()]) if (key.startsWith(`${peer} `)) this.#answers.delete(key);
    for (const [id, { from, call }] of [...this.#asked]) {
      if (from !== peer) continue;
      this.#asked.delete(id);
      call.reject(this.#lost(`the connection to "${peer}" was lost`));
    }
  }

  // --- time ---

  /** Whether {@linkcode Administration.sweep} has something to wait for. */
  get needsSweep(): boolean {
    return this.#changes.length > 0 || this.#transfers.length > 0 || this.#transferring.length > 0 ||
      this.#asked.size > 0;
  }

  /** Asks again what got no answer, gives up what has waited long enough. To be called now and then while needed. */
  sweep(): void {
    const now = this.#host.environment.now();
    const [changes, transfers, transferring] = [this.#changes, this.#transfers, this.#transferring];
    this.#changes = [];
    for (const call of changes) if (!call.isSettled) this.#wait(call);
    this.#transfers = transfers.filter((call) => {
      if (call.startedAt > now - this.#leaderWaitMs) return !call.isSettled;
      call.reject(new NotLeaderError(this.#host.leader));
      return false;
    });
    this.#transferring = transferring.filter(({ giveUpAt, call }) => {
      if (giveUpAt > now) return !call.isSettled;
      call.reject(new TransferFailedError("timeout", call.to, this.#host.leader));
      return false;
    });
    for (const [id, asked] of [...this.#asked]) {
      const { from, call } = asked;
      if (call.isSettled) this.#asked.delete(id);
      else if (from !== undefined && asked.askAgainAt <= now) {
        asked.askAgainAt = now + this.#leaderWaitMs / 4;
        this.#send(from, id, call);
      }
    }
  }

  /** The end: every call gets its answer. */
  close(cause: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = cause;
    for (const call of [...this.#changes, ...this.#transfers]) call.reject(shutdownError("not-applied", cause));
    for (const { call } of [...this.#asked.values(), ...this.#transferring]) {
      call.reject(shutdownError("unknown", cause));
    }
    this.#changes = [];
    this.#transfers = [];
    this.#transferring = [];
    this.#asked.clear();
  }
}

function keyOf({ peer, id }: Remote): string {
  return `${peer} ${id}`;
}
