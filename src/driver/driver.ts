/**
 * The driver: feeds one core with what happens and performs what it asks for. It decides nothing.
 *
 * @module
 */
import { Core } from "../core/core.ts";
import type { Effect } from "../core/effect.ts";
import type { Event } from "../core/event.ts";
import { configurationOf } from "../core/membership.ts";
import type { CoreState } from "../core/state.ts";
import { lastTerm } from "../core/term_index.ts";
import { InvariantError, type LeaderHint, RaftError, ShutdownError, StorageError } from "../errors.ts";
import type { EventHub } from "../events.ts";
import type { Codec, StateMachine } from "../machine.ts";
import type { Logger, RaftSettings } from "../options.ts";
import { LogCache } from "../store/log_cache.ts";
import type { Store, StoreState } from "../store/store.ts";
import type { RemoteServer, TransportLink, TransportTrouble } from "../transport/transport.ts";
import type { Configuration, LogIndex, ServerId, Term } from "../types.ts";
import { decodeMessage } from "../wire/message_codec.ts";
import { Applier } from "./applier.ts";
import { Calls } from "./calls.ts";
import { Deadline } from "./deadline.ts";
import { Encoder } from "./encoder.ts";
import type { Environment } from "./environment.ts";
import type { Item } from "./item.ts";
import { Peers } from "./peers.ts";
import { Sender } from "./sender.ts";
import { Writer } from "./writer.ts";

/** What a driver is made of. */
export interface DriverParts<Command, Result> {
  readonly id: ServerId;
  readonly settings: RaftSettings;
  readonly machine: StateMachine<Command, Result>;
  readonly codec: Codec<Command>;
  readonly store: Store;
  readonly found: StoreState;
  readonly environment: Environment;
  readonly events: EventHub;
  readonly logger: Logger;
}

/** What a driver tells the server that it drives. */
export interface DriverHandler {
  /** The server can't go on. Called once at most. */
  onFatal(error: RaftError): void;
  /** Role, term or leader changed. */
  onRole(): void;
  /** A leadership transfer ended without a new leader. */
  onTransferFailed(): void;
  /** This server is no longer part of the cluster. */
  onRemoved(): void;
}

/** One server's driver. {@linkcode Driver.start} begins, {@linkcode Driver.stop} ends; nothing happens after that. */
export class Driver<Command, Result> {
  readonly #parts: DriverParts<Command, Result>;
  readonly #handler: DriverHandler;
  readonly #environment: Environment;
  readonly #core: Core;
  readonly #cache: LogCache;
  readonly #encoder: Encoder;
  readonly #writer: Writer;
  readonly #sender: Sender;
  readonly #applier: Applier<Command, Result>;
  readonly #deadline: Deadline;
  readonly #peers: Peers;
  readonly #initialEffects: readonly Effect[];
  #inbox: Item[] = [];
  #turnScheduled = false;
  #inTurn = false;
  #stopped = false;
  #clusterId: string;
  #leader: { readonly id: ServerId | undefined; readonly term: Term } = { id: undefined, term: 0 };

  /** Commands and reads that wait. */
  readonly calls: Calls;
  /** Counters since the start. */
  readonly counters = { elections: 0, leaderChanges: 0, protocolErrors: 0, sendsDropped: 0 };

  /** Takes opened parts; nothing happens before `start`. */
  constructor(parts: DriverParts<Command, Result>, handler: DriverHandler) {
    const { id, found, store, settings, environment } = parts;
    this.#parts = parts;
    this.#handler = handler;
    this.#environment = environment;
    this.#encoder = new Encoder(environment, found.lastTimeMs);
    this.#clusterId = found.identity.clusterId;
    const { vote, firstIndex, lastIndex, terms, configurations } = found;
    const seed = environment.randomSeed();
    const now = environment.now();
    const started = Core.start({ id, settings, seed, now, vote, firstIndex, lastIndex, terms, configurations });
    this.#core = started.core;
    this.#initialEffects = started.effects;
    this.#peers = new Peers(id);
    this.#cache = new LogCache(settings.logCacheBytesMax, lastIndex + 1);
    this.#writer = new Writer(store, environment, {
      onPersisted: (event) => this.#onPersisted(event),
      onFailure: (error) => this.#fail(error, "write"),
    });
    this.#sender = new Sender(this.#cache, store, {
      isLeading: (term) => !this.#stopped && this.#core.state.term === term && this.#core.state.role === "leader",
      transmit: (to, frame, checkedBytes) => this.#peers.transmit(to, frame, checkedBytes),
      report: (event) => this.#enqueue({ event }),
      onFailure: (error) => this.#fail(error, "read"),
    });
    this.calls = this.#makeCalls();
    this.#applier = this.#makeApplier();
    this.#deadline = new Deadline(environment, (lateMs) => this.#onDeadline(lateMs));
    environment.observe?.(this.#core, this.#cache);
  }

  #makeCalls(): Calls {
    const { id, settings } = this.#parts;
    const appliedIndex = () => this.appliedIndex;
    return new Calls({
      id,
      environment: this.#environment,
      peers: this.#peers,
      state: this.#core.state,
      get appliedIndex() {
        return appliedIndex();
      },
      take: (item) => this.#take(item),
      enqueue: (item) => this.#enqueue(item),
      schedule: () => this.#schedule(),
    }, settings);
  }

  #makeApplier(): Applier<Command, Result> {
    const { machine, codec, store, found } = this.#parts;
    const { pending } = this.calls;
    return new Applier(machine, codec, { cache: this.#cache, store }, this.#environment, {
      onApplied: (index, term, applied) => pending.onApplied(index, term, applied),
      onPause: (upTo) => this.#onApplied(upTo),
      onFailure: (error, operation) => this.#fail(error, operation),
    }, found.firstIndex - 1);
  }

  /** What the core knows; not to be changed. */
  get state(): Readonly<CoreState> {
    return this.#core.state;
  }

  /** The configuration in force. */
  get configuration(): Configuration {
    return configurationOf(this.#core.state);
  }

  /** Term of the last entry in the log. */
  get lastTerm(): Term {
    return lastTerm(this.#core.state.log);
  }

  /** Index of the last entry that the machine has applied. */
  get appliedIndex(): LogIndex {
    return this.#applier.appliedIndex;
  }

  /** The leader that is followed now, with its address. */
  get leader(): LeaderHint | undefined {
    return this.calls.leader;
  }

  /** The cluster that this server belongs to; empty until it is known. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** Whether that peer can be talked to now. */
  isConnected(peer: ServerId): boolean {
    return this.#peers.isConnected(peer);
  }

  /** Begins, over this link. */
  start(link: TransportLink): void {
    this.#peers.link = link;
    this.#guard(() => this.#performAll(this.#initialEffects, { event: { type: "drained" } }));
    if (!this.#stopped) this.#deadline.set(this.#core.deadline);
  }

  /** Asks the core to hand leadership over. */
  transfer(to?: ServerId): void {
    this.#enqueue({ event: { type: "transfer-requested", to } });
  }

  /** Ends: every call that waits gets its answer; done when the write under way is. Idempotent. */
  async stop(cause: unknown): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#deadline.stop();
      this.#applier.close();
      this.calls.close(cause);
      this.#inbox = [];
    }
    await this.#writer.close();
  }

  /** The server can't go on: the store failed in that operation, or something is wrong in the library itself. */
  #fail(error: unknown, operation?: "read" | "write"): void {
    if (this.#stopped) return;
    const fatal = fatalOf(error, operation);
    this.#parts.logger.error(`${this.#parts.id} stopped: ${fatal.message}`);
    void this.stop(fatal instanceof ShutdownError ? new ShutdownError() : fatal);
    this.#handler.onFatal(fatal);
  }

  // --- what happens ---

  /** A frame came in; see {@linkcode TransportHandler}. */
  onFrame(from: RemoteServer, frame: Uint8Array): void {
    if (this.#stopped) return;
    const decoded = decodeMessage(frame);
    const peer = from.serverId;
    if (this.calls.onMessage(peer, decoded)) return;
    const { message, records } = decoded;
    if (message.type === "append-request") this.#adoptCluster(from);
    this.#enqueue({ event: { type: "message-received", from: peer, message }, records });
  }

  /** See {@linkcode TransportHandler}. */
  onConnect({ serverId, address }: RemoteServer): void {
    this.#peers.connect(serverId, address);
    this.#parts.events.emit({ type: "peer-connected", peer: serverId, address });
    this.#enqueue({ event: { type: "peer-connected", peer: serverId } });
  }

  /** See {@linkcode TransportHandler}. */
  onDisconnect(peer: ServerId, reason: string): void {
    this.#peers.disconnect(peer);
    this.#parts.events.emit({ type: "peer-disconnected", peer, reason });
    this.calls.onPeerLost(peer);
    this.#enqueue({ event: { type: "peer-disconnected", peer } });
  }

  /** See {@linkcode TransportHandler}. */
  onTrouble({ kind, peer, address, reason }: TransportTrouble): void {
    if (kind === "protocol-error" || kind === "handshake-refused") this.counters.protocolErrors++;
    this.#parts.events.emit({ type: "peer-trouble", peer, kind, reason });
    this.#parts.logger.warn(`${this.#parts.id}: ${kind} (${peer ?? address ?? "unknown peer"}): ${reason}`);
  }

  /** An empty server belongs to the cluster of the first leader that finds it. */
  #adoptCluster(from: RemoteServer): void {
    if (this.#clusterId !== "" || from.clusterId === "") return;
    this.#clusterId = from.clusterId;
    this.#writer.adoptCluster(from.clusterId);
  }

  #onPersisted(event: Extract<Event, { type: "vote-persisted" | "entries-persisted" }>): void {
    // What was asked before a truncation says nothing about the entries that stand there now (BL06).
    if (event.type === "entries-persisted" && event.epoch === this.#core.state.epoch) {
      this.#cache.durableEnd = event.end;
    }
    this.#enqueue({ event });
  }

  #onApplied(upTo: LogIndex): void {
    if (upTo > this.#core.state.appliedIndex) this.#enqueue({ event: { type: "applied", upTo } });
    this.calls.onApplied(upTo);
  }

  #onDeadline(lateMs: number): void {
    // A turn this late says that the process did not run: what it believes about time and peers is old.
    if (lateMs > this.#parts.settings.leaseMs / 2) this.#enqueue({ event: { type: "clock-jumped" } });
    this.#enqueue({ event: { type: "deadline-reached" } });
  }

  #enqueue(item: Item): void {
    if (this.#stopped) return;
    this.#inbox.push(item);
    // A turn under way takes it by itself.
    if (!this.#inTurn) this.#schedule();
  }

  // --- turns ---

  #schedule(): void {
    if (this.#turnScheduled || this.#stopped) return;
    this.#turnScheduled = true;
    this.#environment.defer(() => {
      this.#turnScheduled = false;
      this.#inTurn = true;
      this.#guard(() => this.#turn());
      this.#inTurn = false;
    });
  }

  /** Takes all that has come, then lets the core send, then begins a write: until nothing is left to do. */
  #turn(): void {
    do {
      const inbox = this.#inbox;
      this.#inbox = [];
      for (const item of inbox) this.#take(item);
      this.calls.dispatch();
      if (this.#inbox.length > 0) continue;
      this.#take({ event: { type: "drained" } });
      this.#writer.flush();
      if (!this.#applier.isBusy) this.calls.onApplied(this.appliedIndex);
    } while (this.#inbox.length > 0);
    if (this.#stopped) return;
    this.#deadline.set(this.#core.deadline);
    this.calls.armSweep();
  }

  #take(item: Item): void {
    if (this.#stopped) return;
    this.#performAll(this.#core.step(item.event, this.#environment.now()), item);
  }

  /** A broken invariant, in the core or beside it, stops the server before harm is done. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#fail(error);
    }
  }

  // --- what the core asks for ---

  #performAll(effects: readonly Effect[], item: Item): void {
    for (const effect of effects) {
      if (this.#stopped) return; // One of them ended it: no effect follows (BA16).
      this.#perform(effect, item);
    }
  }

  /** The only switch over effects. */
  #perform(effect: Effect, item: Item): void {
    switch (effect.type) {
      case "append":
        return this.#append(effect, item);
      case "replicate":
        return this.#sender.replicate(effect);
      case "send":
        if (!this.#peers.send(effect.to, effect.message)) this.counters.sendsDropped++;
        return;
      case "apply":
        return this.#applier.advance(effect.upTo);
      case "persist-vote":
        return this.#writer.vote({ term: effect.term, votedFor: effect.votedFor }, effect.sequence);
      case "truncate":
        this.#cache.truncateFrom(effect.from);
        return this.#writer.truncate(effect.from);
      case "refuse-proposals":
        return this.calls.onProposalsRefused(item.origin!, effect);
      case "answer-read":
        return this.calls.onReadIndex(effect.id, effect.index);
      case "refuse-read":
        return this.calls.onReadIndex(effect.id, undefined);
      case "announce-role":
        return this.#announceRole(effect);
      case "announce-configuration":
        this.#configurePeers();
        return this.#parts.events.emit({ ...effect, type: "configuration" });
      case "announce-transfer-failed":
        this.#parts.logger.warn(`${this.#parts.id}: leadership transfer failed: ${effect.reason}`);
        this.calls.administration.onTransferFailed(effect.reason);
        return this.#handler.onTransferFailed();
      case "settle-change":
        return this.calls.administration.onSettled(effect.id, effect.index, effect.refusal);
      case "announce-catch-up":
        return this.#parts.events.emit({ ...effect, type: "catch-up" });
      case "announce-removed":
        this.#parts.events.emit({ type: "removed", index: effect.index });
        return this.#handler.onRemoved();
      case "forget-peer":
        return this.#configurePeers();
    }
  }

  #append(effect: Extract<Effect, { type: "append" }>, item: Item): void {
    const { source, from, term, epoch } = effect;
    const records = this.#encoder.recordsOf(effect, item.records, item.origin);
    this.#cache.append(records);
    this.#writer.append(records, epoch);
    if (source === "proposals") this.calls.onAppended(item.origin!, from, term);
  }

  /** Also those that are leaving are talked to, until the leader parts with them. */
  #configurePeers(): void {
    this.#peers.configure(configurationOf(this.#core.state), [...this.#core.state.leading?.progress.keys() ?? []]);
  }

  #announceRole({ role, term, leader, reason }: Extract<Effect, { type: "announce-role" }>): void {
    const { id, events, logger } = this.#parts;
    logger.info(`${id}: ${role} in term ${term}, leader ${leader ?? "unknown"} (${reason})`);
    if (role === "candidate") this.counters.elections++;
    this.#configurePeers();
    events.emit({ type: "role", role, term, reason });
    this.#announceLeader(leader, term);
    this.#handler.onRole();
  }

  #announceLeader(id: ServerId | undefined, term: Term): void {
    const before = this.#leader;
    if (before.id === id && (before.term === term || id === undefined)) return;
    this.#leader = { id, term };
    this.calls.onLeaderChanged(before.id !== undefined);
    if (id !== undefined) this.counters.leaderChanges++;
    this.#parts.events.emit({ type: "leader", leader: this.leader, term });
  }
}

/** What stopped the server, as its user is told: a store may reject with anything. */
function fatalOf(error: unknown, operation: "read" | "write" | undefined): RaftError {
  if (error instanceof RaftError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (operation === undefined) return new InvariantError(`Cannot go on: ${message}`, error);
  return new StorageError(`Cannot ${operation} the log: ${message}: see to the disk, then restart`, operation, error);
}
