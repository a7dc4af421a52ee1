/**
 * A machine that begins anew, from a snapshot of the leader's, because it holds something else than the others.
 *
 * @module
 */
import { LeadershipLostError, NoSnapshotsError, NotLeaderError } from "../errors.ts";
import type { SnapshotUnavailability } from "../message.ts";
import type { LogIndex, ServerId } from "../types.ts";
import type { Applier } from "./applier.ts";
import { shutdownError } from "./outcomes.ts";
import { SNAPSHOT_WANTED_PROTOCOL } from "../wire/snapshot_message_codec.ts";
import type { SnapshotHost } from "./snapshot_host.ts";

/** A caller who waits for it. */
export interface InstallCall {
  /** The machine has what the leader's had after this entry. */
  resolve(index: LogIndex): void;
  /** It has not begun anew. */
  reject(error: unknown): void;
}

/** How often a leader is asked that may not have heard, milliseconds. */
const askMs = 500;

/**
 * One server's. The machine applies nothing from when a snapshot is wanted until it is there, so that it is ahead of what the
 * machine has: what is applied never goes back. Log, vote and acknowledgements go on meanwhile; they know of no machine.
 */
export class Reinstaller {
  readonly #applier: Pick<Applier<never, never>, "hold" | "release" | "isInstalling">;
  readonly #host: SnapshotHost;
  #calls: InstallCall[] = [];
  /** Who is asked; undefined when nothing is wanted. */
  #leader: ServerId | undefined;
  /** The last entry that the machine has applied; undefined while it is busy with one. */
  #beyond: LogIndex | undefined;
  #timer: unknown;
  #closed: unknown;

  /** Takes the machine, by way of its only caller. */
  constructor(applier: Pick<Applier<never, never>, "hold" | "release" | "isInstalling">, host: SnapshotHost) {
    this.#applier = applier;
    this.#host = host;
  }

  /** Begins, or waits for what has begun. */
  install(call: InstallCall): void {
    if (this.#closed !== undefined) return call.reject(shutdownError("not-applied", this.#closed));
    const { leader, id } = this.#host.state;
    if (leader === undefined || leader === id) return call.reject(new NotLeaderError());
    if (this.#host.peers.protocolOf(leader) < SNAPSHOT_WANTED_PROTOCOL) {
      return call.reject(
        new NoSnapshotsError(`"${leader}" is not connected, or of a version that can't be asked for one`),
      );
    }
    this.#calls.push(call);
    if (this.#leader !== undefined) return;
    this.#leader = leader;
    this.#applier.hold((index) => {
      // The one that was to be asked may have fallen while the machine was busy, which is in the middle of its turn.
      if (this.#host.state.leader !== leader) return this.#host.environment.defer(() => this.onLeaderChanged());
      this.#beyond = index;
      this.#host.enqueue({ type: "snapshot-wanted", beyond: index });
      this.#ask();
    });
  }

  #ask(): void {
    const { environment, peers } = this.#host;
    peers.send(this.#leader!, { type: "snapshot-wanted", term: this.#host.durableTerm(), beyond: this.#beyond! });
    this.#timer = environment.setTimeout(() => this.#ask(), askMs);
  }

  /** The machine was restored from a snapshot that ends here. */
  onInstalled(index: LogIndex): void {
    if (this.#beyond === undefined || index <= this.#beyond) return;
    for (const call of this.#end()) call.resolve(index);
  }

  /** Another leader is followed, or none, or this server leads: it has to apply then. */
  onLeaderChanged(): void {
    // What is being restored may be what was asked for, but not while it was not asked for yet.
    if (this.#leader === undefined || (this.#applier.isInstalling && this.#beyond !== undefined)) return;
    const { leader } = this.#host.state;
    const why = `Cannot install a snapshot: "${this.#leader}" does not lead any more`;
    const address = leader === undefined ? undefined : this.#host.peers.addressOf(leader);
    const hint = leader === undefined ? undefined : { id: leader, address };
    this.#giveUp(new LeadershipLostError(why, { outcome: "not-applied", leader: hint }));
  }

  /** Who was asked will send none. */
  onUnavailable(peer: ServerId, reason: SnapshotUnavailability): void {
    if (peer !== this.#leader || this.#applier.isInstalling) return;
    if (reason === "not-leader") return this.#giveUp(new NotLeaderError());
    this.#giveUp(new NoSnapshotsError(`"${peer}" could not send one: see its log`));
  }

  #giveUp(error: unknown): void {
    const calls = this.#end();
    this.#host.enqueue({ type: "snapshot-wanted", beyond: undefined });
    this.#applier.release();
    for (const call of calls) call.reject(error);
  }

  #end(): InstallCall[] {
    this.#host.environment.clearTimeout(this.#timer);
    const calls = this.#calls;
    this.#calls = [];
    this.#leader = this.#beyond = undefined;
    return calls;
  }

  /** The end: every caller gets an answer. */
  close(cause: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = cause;
    for (const call of this.#end()) call.reject(shutdownError("unknown", cause));
  }
}
