/**
 * Puts a driver's parts together: each is given what it needs of the others and of the driver.
 *
 * @module
 */
import type { Event } from "../core/event.ts";
import type { CoreState } from "../core/state.ts";
import type { DamagedEntryError } from "../errors.ts";
import { LogCache } from "../store/log_cache.ts";
import type { RemoteServer } from "../transport/transport.ts";
import type { LogIndex } from "../types.ts";
import { LEASE_PROTOCOL } from "../wire/message_codec.ts";
import { Announcer } from "./announcer.ts";
import { Applier } from "./applier.ts";
import { Calls } from "./calls.ts";
import { Encoder } from "./encoder.ts";
import type { Hashing } from "./hasher.ts";
import type { Item } from "./item.ts";
import { Log } from "./log.ts";
import type { DriverHandler, DriverParts } from "./parts.ts";
import { Peers } from "./peers.ts";
import { Performer } from "./performer.ts";
import { Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";
import type { SnapshotHost } from "./snapshot_host.ts";
import { Snapshots } from "./snapshots.ts";
import { StateHashes } from "./state_hashes.ts";
import { Watcher } from "./watcher.ts";
import { Writer } from "./writer.ts";

/** What the parts need of their driver. */
export interface AssemblyHost {
  /** Whether nothing is done any more. */
  isStopped(): boolean;
  /** Steps the core at once, within the turn under way. */
  take(item: Item): void;
  /** Steps the core in the next turn. */
  enqueue(item: Item): void;
  /** Asks for a turn. */
  schedule(): void;
  /** Asks for one that lets others come first. */
  scheduleGathered(): void;
  /** A leader of that cluster has found this server. */
  onLeader(of: Pick<RemoteServer, "clusterId">): void;
  /** Something is on disk. */
  onPersisted(event: Extract<Event, { type: "vote-persisted" | "entries-persisted" | "entries-repaired" }>): void;
  /** The disk has no room, or some again. */
  onFull(isFull: boolean): void;
  /** No entry is being applied now, and all up to here were. */
  onApplied(upTo: LogIndex): void;
  /** The disk could not give an entry. */
  onDamage(error: DamagedEntryError): void;
  /** The server can't go on. */
  onFailure(error: unknown, operation?: "read" | "write"): void;
}

/** The parts of one driver. */
export class Assembly<Command, Result> {
  readonly #parts: DriverParts<Command, Result>;
  readonly #state: Readonly<CoreState>;
  readonly #host: AssemblyHost;
  readonly #hashes: StateHashes;
  readonly cache: LogCache;
  readonly peers: Peers;
  readonly writer: Writer;
  readonly calls: Calls;
  readonly applier: Applier<Command, Result>;
  readonly snapshots: Snapshots<Command, Result>;
  readonly announcer: Announcer;
  readonly watcher: Watcher;
  readonly performer: Performer;
  readonly receiver: Receiver;

  /** Nothing happens yet. The state is what the core knows at any time. */
  constructor(
    parts: DriverParts<Command, Result>,
    state: Readonly<CoreState>,
    handler: DriverHandler,
    host: AssemblyHost,
  ) {
    const { id, found, store, settings, environment, events } = parts;
    this.#parts = parts;
    this.#state = state;
    this.#host = host;
    this.cache = new LogCache(settings.logCacheBytesMax, found.lastIndex + 1, settings.logCacheEntriesMax);
    this.peers = new Peers(id);
    this.writer = new Writer(store, environment, {
      onPersisted: host.onPersisted,
      onFull: host.onFull,
      onFailure: (error) => host.onFailure(error, "write"),
    });
    this.calls = this.#makeCalls();
    this.#hashes = new StateHashes({
      broadcast: (hash) => this.peers.broadcast({ type: "state-hash", term: this.calls.durableTerm, ...hash }),
      emit: (event) => events.emit(event),
    });
    this.applier = this.#makeApplier();
    this.snapshots = this.#makeSnapshots();
    this.announcer = this.#makeAnnouncer();
    this.watcher = new Watcher(events, state);
    this.performer = this.#makePerformer(handler);
    this.receiver = this.#makeReceiver();
  }

  #makeCalls(): Calls {
    const { id, environment, settings } = this.#parts;
    const { take, enqueue, schedule, scheduleGathered } = this.#host;
    const appliedIndex = () => this.applier.appliedIndex;
    return new Calls(
      {
        ...{ id, environment, peers: this.peers, state: this.#state, appliedIndex },
        ...{ take, enqueue, schedule, scheduleGathered },
      },
      settings,
    );
  }

  #makeApplier(): Applier<Command, Result> {
    const { machine, codec, environment, store, snapshot, sessions, settings: { hashEvery: every } } = this.#parts;
    const { onApplied: onPause, onDamage, onFailure } = this.#host;
    const { pending } = this.calls;
    const hashing: Hashing = {
      every,
      onHash: (index, hash) => this.#hashes.onOwn(index, hash),
      onFailed: (error) => this.announcer.warn(`hash() of the machine failed: ${error}`),
    };
    const applied = { index: this.#state.appliedIndex, timeMs: snapshot?.timeMs ?? 0, sessions, hashing };
    return new Applier(machine, codec, { cache: this.cache, store }, environment, {
      onApplied: (index, term, applied) => pending.onApplied(index, term, applied),
      onInstalled: (index) => {
        pending.onInstalled(index);
        this.snapshots.onInstalled(index);
      },
      onPause,
      onDamage,
      onFailure,
    }, applied);
  }

  #makeSnapshots(): Snapshots<Command, Result> {
    const { machine, snapshots: store, settings, environment, events, beginning } = this.#parts;
    const host: SnapshotHost = {
      environment,
      peers: this.peers,
      state: this.#state,
      beginning,
      durableTerm: () => this.calls.durableTerm,
      enqueue: (event, snapshot) => this.#host.enqueue({ event, snapshot }),
      emit: (event) => events.emit(event),
      warn: (message) => this.announcer.warn(message),
    };
    return new Snapshots({ machine, store, applier: this.applier, host, settings });
  }

  #makeAnnouncer(): Announcer {
    return new Announcer(this.#parts, {
      leader: () => this.calls.leader,
      onLeaderChanged: (isLost) => {
        this.calls.onLeaderChanged(isLost);
        this.snapshots.onLeaderChanged();
      },
    });
  }

  #makePerformer(handler: DriverHandler): Performer {
    const { environment, found, snapshot, events } = this.#parts;
    const { cache, writer, peers, applier, calls, snapshots, announcer, watcher } = this;
    const log = new Log(new Encoder(environment, Math.max(found.lastTimeMs, snapshot?.timeMs ?? 0)), cache, writer);
    const sender = this.#makeSender();
    const others = { peers, applier, calls, snapshots, announcer, watcher, events, handler };
    return new Performer({ state: this.#state, log, writer, sender, ...others });
  }

  #makeSender(): Sender {
    const [state, host] = [this.#state, this.#host];
    return new Sender(this.cache, this.#parts.store, {
      holds: (index) => index >= state.log.firstIndex,
      isLeading: (term) => !host.isStopped() && state.term === term && state.role === "leader",
      isConnected: (to) => this.peers.isConnected(to),
      knowsLeases: (to) => this.peers.protocolOf(to) >= LEASE_PROTOCOL,
      transmit: (to, frame, checkedBytes) => this.peers.transmit(to, frame, checkedBytes),
      onDamage: host.onDamage,
      report: (event) => host.enqueue({ event }),
      onFailure: (error) => host.onFailure(error, "read"),
    });
  }

  #makeReceiver(): Receiver {
    const { peers, calls, snapshots, announcer } = this;
    const { isStopped, onLeader, enqueue } = this.#host;
    return new Receiver(
      { peers, calls, hashes: this.#hashes, snapshots, announcer, events: this.#parts.events },
      { isStopped, onLeader, enqueue },
    );
  }
}
