/**
 * The snapshots of one server: taken of its machine, sent to peers that are far behind, received from a leader.
 *
 * @module
 */
import { NoSnapshotsError, ShutdownError, StorageError } from "../errors.ts";
import type { StateMachine } from "../machine.ts";
import type {
  SnapshotChunk,
  SnapshotRequest,
  SnapshotResponse,
  SnapshotUnavailable,
  SnapshotWanted,
} from "../message.ts";
import type { SnapshotMeta, SnapshotStore } from "../store/snapshot_store.ts";
import type { LogIndex, ServerId, Term } from "../types.ts";
import { SNAPSHOT_CHUNK_BYTES_MAX } from "../wire/snapshot.ts";
import { openSnapshot } from "../wire/snapshot_reader.ts";
import type { Applier, Installation } from "./applier.ts";
import type { Beginning } from "./beginning.ts";
import type { SessionTable } from "./session_table.ts";
import { type InstallCall, Reinstaller } from "./reinstaller.ts";
import { reasonOf, type SnapshotHost } from "./snapshot_host.ts";
import { SnapshotReceiver } from "./snapshot_receiver.ts";
import { SnapshotSender } from "./snapshot_sender.ts";
import { Snapshotter, type SnapshotterSettings } from "./snapshotter.ts";

/** See {@linkcode RaftSettings}. */
export interface SnapshotsSettings extends SnapshotterSettings {
  readonly snapshotBytesPerSecondMax: number;
}

/** What snapshots are made of and kept in. */
export interface SnapshotsParts<Command, Result> {
  readonly machine: StateMachine<Command, Result>;
  /** Undefined: this server keeps none. */
  readonly store: SnapshotStore | undefined;
  readonly applier: Applier<Command, Result>;
  readonly host: SnapshotHost;
  readonly settings: SnapshotsSettings;
}

/** See the module. */
export class Snapshots<Command, Result> {
  readonly #parts: SnapshotsParts<Command, Result>;
  readonly #snapshotter: Snapshotter<Command, Result> | undefined;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  readonly #reinstaller: Reinstaller;
  /** What callers have the store do. */
  readonly #uses = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** Nothing happens before `start`. */
  constructor(parts: SnapshotsParts<Command, Result>) {
    this.#parts = parts;
    const { machine, store, applier, host, settings } = parts;
    if (store !== undefined) this.#snapshotter = new Snapshotter(machine, store, applier, host, settings);
    this.#sender = new SnapshotSender(store, host, settings.snapshotBytesPerSecondMax, () => this.take());
    this.#receiver = new SnapshotReceiver(store, machine.restore !== undefined, host);
    this.#reinstaller = new Reinstaller(applier, host);
  }

  /** Takes snapshots when they are due, from now on. */
  start(): void {
    this.#snapshotter?.start();
  }

  /** The interval may be another one. */
  rearm(): void {
    this.#snapshotter?.rearm();
  }

  /** Takes one now; see {@linkcode Raft.snapshot}. */
  async take(): Promise<SnapshotMeta> {
    if (this.#parts.machine.snapshot === undefined) throw new NoSnapshotsError("its machine has no snapshot()");
    if (this.#snapshotter === undefined) throw new NoSnapshotsError("it has no store for them");
    return await this.#snapshotter.take();
  }

  /** Lets the machine begin anew; see {@linkcode Raft.installSnapshot}. */
  install(call: InstallCall): void {
    this.#reinstaller.install(call);
  }

  /**
   * Looks whether the machine could begin anew, before anything is done for it.
   *
   * @throws {NoSnapshotsError} It could not.
   */
  checkInstallable(): void {
    if (this.#parts.store === undefined) throw new NoSnapshotsError("it has no store for them");
    this.checkRestorable();
  }

  /**
   * Looks whether the machine could be given another state, from wherever it comes.
   *
   * @throws {NoSnapshotsError} It could not.
   */
  checkRestorable(): void {
    if (this.#parts.machine.restore === undefined) throw new NoSnapshotsError("its machine has no restore()");
  }

  /** A peer wants one of ours, or won't give us one. */
  onWish(peer: ServerId, message: SnapshotWanted | SnapshotUnavailable): void {
    if (message.type === "snapshot-unavailable") return this.#reinstaller.onUnavailable(peer, message.reason);
    const { state, peers, durableTerm, enqueue } = this.#parts.host;
    if (state.leading?.progress.has(peer) === true) {
      return enqueue({ type: "snapshot-asked", peer, beyond: message.beyond });
    }
    peers.send(peer, { type: "snapshot-unavailable", term: durableTerm(), reason: "not-leader" });
  }

  /** Another leader is followed, or none. */
  onLeaderChanged(): void {
    this.#reinstaller.onLeaderChanged();
  }

  /** The machine was restored from a snapshot that ends here. */
  onInstalled(index: LogIndex): void {
    this.#reinstaller.onInstalled(index);
  }

  /** All that are kept; see {@linkcode Raft.snapshots}. */
  async list(): Promise<readonly SnapshotMeta[]> {
    const { store } = this.#parts;
    if (store === undefined) throw new NoSnapshotsError("it has no store for them");
    return await this.#use(() => store.list());
  }

  /** The bytes of one, held while they are read. */
  open({ id }: SnapshotMeta): ReadableStream<Uint8Array> {
    const store = this.#parts.store!;
    let release: (() => void) | undefined;
    let offset = 0;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          release ??= store.hold(id);
          const bytes = await this.#use(() => store.read(id, offset, SNAPSHOT_CHUNK_BYTES_MAX));
          offset += bytes.length;
          if (bytes.length > 0) return controller.enqueue(bytes);
          release();
          controller.close();
        } catch (error) {
          release?.();
          controller.error(error);
        }
      },
      cancel: () => release?.(),
    }, { highWaterMark: 0 });
  }

  /** The core wants the peer to get one. */
  send(to: ServerId, term: Term, beyond?: LogIndex): void {
    this.#sender.send(to, term, beyond);
  }

  /** The core wants the one that is offered. */
  receive(from: ServerId, request: SnapshotRequest): void {
    this.#receiver.offer(from, request);
  }

  /** The snapshot that the core has decided to install; held until it is, as newer ones may come before the machine is free. */
  installation(snapshot: SnapshotMeta): Installation {
    const { index, timeMs, id } = snapshot;
    const release = this.#parts.store!.hold(id);
    return { index, timeMs, restore: () => this.#restore(snapshot).finally(release), release };
  }

  async #restore(snapshot: SnapshotMeta): Promise<void> {
    const { store, machine, host, applier: { sessions } } = this.#parts;
    await restoreMachine({ machine, sessions, beginning: host.beginning }, store!, snapshot);
    const { index, term, bytes } = snapshot;
    host.emit({ type: "snapshot-installed", index, term, bytes });
  }

  /** Bytes of a snapshot came. */
  onChunk(from: ServerId, chunk: SnapshotChunk, bytes: Uint8Array): void {
    this.#receiver.onChunk(from, chunk, bytes);
  }

  /** A peer says how far it is. */
  onResponse(from: ServerId, response: SnapshotResponse): void {
    this.#sender.onResponse(from, response);
  }

  /** The bulk channel to that peer came or went. */
  onChannel(peer: ServerId): void {
    this.#sender.onChannel(peer);
  }

  /** Entries up to here are durable. */
  onDurable(index: LogIndex): void {
    this.#receiver.onDurable(index);
  }

  /** Ends all that is under way; done when nobody uses the store any more. Idempotent. */
  close(cause: unknown): Promise<void> {
    this.#reinstaller.close(cause);
    return this.#closing ??= Promise.all([
      this.#snapshotter?.close(),
      this.#sender.close(),
      this.#receiver.close(),
      Promise.allSettled(this.#uses),
    ]).then(() => {});
  }

  /** Has the store do something for a caller; an end of the server waits for that. */
  async #use<T>(use: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new ShutdownError("not-applied");
    const done = use().finally(() => this.#uses.delete(done));
    this.#uses.add(done);
    return await done;
  }
}

/** What a snapshot holds the state of. */
export interface Restorable<Command, Result> {
  readonly machine: StateMachine<Command, Result>;
  readonly sessions: SessionTable;
  readonly beginning: Beginning;
}

/** Gives the machine, and what is known beside it, the bytes of a snapshot, which is held meanwhile. */
export async function restoreMachine<Command, Result>(
  { machine, sessions, beginning }: Restorable<Command, Result>,
  store: SnapshotStore,
  { id }: SnapshotMeta,
): Promise<void> {
  const release = store.hold(id);
  try {
    const opened = await openSnapshot((offset, bytesMax) => store.read(id, offset, bytesMax));
    beginning.restore(opened.beginning);
    if (opened.sessions === undefined) sessions.clear();
    else sessions.restore(opened.sessions);
    await machine.restore!(opened.user);
  } catch (cause) {
    throw new StorageError(
      `Cannot restore the machine from the snapshot "${id}": ${reasonOf(cause)}`,
      "restore",
      cause,
    );
  } finally {
    release();
  }
}
