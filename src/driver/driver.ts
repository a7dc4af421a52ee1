/**
 * The driver: feeds one core with what happens and performs what it asks for. It decides nothing.
 *
 * @module
 */
import { isEmpty } from "../core/bootstrap.ts";
import { Core } from "../core/core.ts";
import { allDamage } from "../core/damage.ts";
import type { Effect } from "../core/effect.ts";
import type { Event } from "../core/event.ts";
import { configurationOf } from "../core/membership.ts";
import { allVoters } from "../core/quorum.ts";
import type { CoreState } from "../core/state.ts";
import { lastTerm } from "../core/term_index.ts";
import type { DamagedRange } from "../damage.ts";
import { type DamagedEntryError, type LeaderHint, ShutdownError } from "../errors.ts";
import type { LogCache } from "../store/log_cache.ts";
import type { RemoteServer, TransportLink } from "../transport/transport.ts";
import type { Configuration, LogIndex, ServerId, Term } from "../types.ts";
import type { Records } from "../wire/record.ts";
import type { Announcer, Counters } from "./announcer.ts";
import type { Applier } from "./applier.ts";
import { Assembly, type AssemblyHost } from "./assembly.ts";
import type { Calls } from "./calls.ts";
import { ClockWatch } from "./clock_watch.ts";
import { Deadline } from "./deadline.ts";
import type { Environment } from "./environment.ts";
import { fatalOf } from "./fatal.ts";
import type { Item } from "./item.ts";
import { LateCompletions } from "./late_completions.ts";
import { type Heard, LeaderContact } from "./leader_contact.ts";
import type { DriverHandler, DriverParts } from "./parts.ts";
import type { Peers } from "./peers.ts";
import type { Performer } from "./performer.ts";
import type { Receiver } from "./receiver.ts";
import type { Snapshots } from "./snapshots.ts";
import { Turns } from "./turns.ts";
import type { Watcher } from "./watcher.ts";
import type { Writer } from "./writer.ts";

/** One server's driver. {@linkcode Driver.start} begins, {@linkcode Driver.stop} ends; nothing happens after that. */
export class Driver<Command, Result> {
  readonly #parts: DriverParts<Command, Result>;
  readonly #handler: DriverHandler;
  readonly #environment: Environment;
  readonly #core: Core;
  readonly #cache: LogCache;
  readonly #writer: Writer;
  readonly #applier: Applier<Command, Result>;
  readonly #deadline: Deadline;
  readonly #peers: Peers;
  readonly #initialEffects: readonly Effect[];
  readonly #turns: Turns;
  /** Undefined but in simulations. */
  readonly #late: LateCompletions | undefined;
  /** What the clock showed when the turn began: reading it costs as much as a step. */
  #now = 0;
  /** Whether the end of a turn was put off, for those who may have more. */
  #isLate = false;
  #stopped = false;
  #clusterId: string;
  /** Settles when a first entry is durable, or never will be. */
  readonly #bootstrapped = Promise.withResolvers<void>();
  readonly #announcer: Announcer;
  readonly #watcher: Watcher;
  readonly #clocks: ClockWatch;
  readonly #contact: LeaderContact;
  readonly #performer: Performer;

  /** Commands and reads that wait. */
  readonly calls: Calls;
  /** Those that are taken, sent and received. */
  readonly snapshots: Snapshots<Command, Result>;
  /** What peers say, for a transport to hand it over. */
  readonly receiver: Receiver;

  /** Takes opened parts; nothing happens before `start`. */
  constructor(parts: DriverParts<Command, Result>, handler: DriverHandler) {
    const { id, found, settings, environment } = parts;
    this.#parts = parts;
    this.#handler = handler;
    this.#environment = environment;
    this.#clusterId = found.identity.clusterId;
    this.#bootstrapped.promise.catch(() => {});
    const started = Core.start({
      ...found,
      snapshot: parts.snapshot,
      disk: { incarnation: found.identity.incarnation, starts: found.identity.starts },
      id,
      // Its own: others change at once, the core's with an event.
      settings: { ...settings },
      seed: environment.randomSeed(),
      now: environment.now(),
      buggify: environment.buggify,
    });
    this.#core = started.core;
    this.#initialEffects = started.effects;
    this.#turns = new Turns(environment, () => this.#guard(() => this.#turn()));
    const { buggify } = environment;
    if (buggify !== undefined) this.#late = new LateCompletions(environment, buggify, (it) => this.#turns.enqueue(it));
    const assembly = new Assembly(parts, this.#core.state, handler, this.#host());
    this.#cache = assembly.cache;
    this.#peers = assembly.peers;
    this.#writer = assembly.writer;
    this.#applier = assembly.applier;
    this.#announcer = assembly.announcer;
    this.#watcher = assembly.watcher;
    this.#performer = assembly.performer;
    this.calls = assembly.calls;
    this.snapshots = assembly.snapshots;
    this.receiver = assembly.receiver;
    this.#clocks = new ClockWatch(environment);
    this.#contact = new LeaderContact(this.#clocks);
    this.#deadline = new Deadline(environment, (lateMs) => this.#onDeadline(lateMs));
    environment.observe?.(this.#core, this.#cache);
  }

  #host(): AssemblyHost {
    return {
      isStopped: () => this.#stopped,
      take: (item) => this.#take(item),
      enqueue: (item) => this.#enqueue(item),
      schedule: () => this.#turns.schedule(),
      scheduleGathered: () => this.#turns.scheduleGathered(),
      onLeader: (of) => this.#adoptCluster(of),
      onPersisted: (event) => this.#onPersisted(event),
      onFull: (isFull) => this.#onFull(isFull),
      onApplied: (upTo) => this.#onApplied(upTo),
      onDamage: (error) => this.#onDamage(error),
      onFailure: (error, operation) => this.#fail(error, operation),
    };
  }

  /** Counters since the start. */
  get counters(): Readonly<Counters> {
    return this.#announcer.counters;
  }

  /** What the core knows; not to be changed. */
  get state(): Readonly<CoreState> {
    return this.#core.state;
  }

  /** The configuration in force. */
  get configuration(): Configuration {
    return configurationOf(this.#core.state);
  }

  /** Entries that can't be read from disk, those that are being repaired included. */
  get damaged(): readonly DamagedRange[] {
    return this.#announcer.damaged;
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

  /** The fingerprint of the configuration that the cluster began with; empty when it is not known. */
  get firstEntry(): string {
    return this.#parts.beginning.fingerprint(this.#core.state.configurations);
  }

  /** What this server knows by its leader's word. */
  get heard(): Heard {
    return this.#contact.heard(this.#core.state, this.#environment.now());
  }

  /** Whether that peer can be talked to now. */
  isConnected(peer: ServerId): boolean {
    return this.#peers.isConnected(peer);
  }

  /** Begins, over this link. */
  start(link: TransportLink): void {
    this.#peers.link = link;
    this.#guard(() => this.#performAll(this.#initialEffects, { event: { type: "drained" } }));
    if (this.#stopped) return;
    for (const damage of this.#parts.found.damaged) this.#announcer.onDamageFound(damage);
    this.#deadline.set(this.#core.deadline);
    this.snapshots.start();
  }

  /**
   * Begins a cluster with this entry 1; done when it is durable. Undefined when there is anything here already.
   *
   * @throws {CannotBootstrapError} When a server of another cluster has found this one: it was greeted before.
   */
  bootstrap(configuration: Configuration, records: Records, clusterId: string): Promise<void> | undefined {
    const isOurs = this.#clusterId === "" || this.#clusterId === clusterId;
    if (this.#stopped || !isOurs || !isEmpty(this.#core.state)) return undefined;
    this.#peers.checkBootstrap(clusterId, configuration);
    this.#adoptCluster({ clusterId });
    this.#guard(() => this.#take({ event: { type: "bootstrap-requested", configuration }, records }));
    this.#turns.schedule();
    return this.#bootstrapped.promise;
  }

  /** Asks the core to hand leadership over. */
  transfer(to?: ServerId): void {
    this.#enqueue({ event: { type: "transfer-requested", to } });
  }

  /** Other settings are in force: those of the parts, which were changed in place. */
  reconfigure(): void {
    this.#enqueue({ event: { type: "settings-changed", settings: { ...this.#parts.settings } } });
    this.snapshots.rearm();
  }

  /** Ends: every call that waits gets its answer; done when nothing uses the stores any more. Idempotent. */
  async stop(cause: unknown): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#deadline.stop();
      this.#late?.close();
      this.#applier.close();
      this.calls.close(cause);
      this.#bootstrapped.reject(new ShutdownError("unknown"));
      this.#turns.end();
    }
    await Promise.all([this.#writer.close(), this.snapshots.close(cause)]);
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

  /** An empty server belongs to the cluster of the first leader that finds it. */
  #adoptCluster(from: Pick<RemoteServer, "clusterId">): void {
    if (this.#clusterId !== "" || from.clusterId === "") return;
    this.#clusterId = from.clusterId;
    this.#writer.adoptCluster(from.clusterId);
  }

  /** A server that is alone has nobody to ask for what its disk has lost. */
  #onDamage(error: DamagedEntryError): void {
    if (allVoters(this.configuration).every((id) => id === this.#parts.id)) return this.#fail(error, "read");
    const { index, file, offset, message } = error;
    this.#announcer.onDamageFound({ from: index, end: index + 1, file, offset, detail: message });
    this.#enqueue({ event: { type: "damage-found", from: index, end: index + 1 } });
  }

  #onFull(isFull: boolean): void {
    this.#announcer.onFull(isFull);
    this.#enqueue({ event: { type: "storage-filled", isFull } });
  }

  #onPersisted(event: Extract<Event, { type: "vote-persisted" | "entries-persisted" | "entries-repaired" }>): void {
    // What was asked before a truncation says nothing about the entries that stand there now (BL06).
    if (event.type === "entries-persisted" && event.epoch === this.#core.state.epoch) {
      this.#cache.durableEnd = event.end;
      // An install or a truncation may have taken some of it away.
      if (this.#announcer.damaged.length > 0) this.#announcer.onDamage(allDamage(this.#core.state));
      this.snapshots.onDurable(event.end - 1);
    }
    if (event.type === "entries-persisted") this.#bootstrapped.resolve();
    this.#enqueue({ event });
  }

  #onApplied(upTo: LogIndex): void {
    this.#cache.appliedEnd = upTo + 1;
    // The core may compact up to what it is told.
    const done = this.#applier.doneIndex;
    if (done > this.#core.state.appliedIndex) this.#enqueue({ event: { type: "applied", upTo: done } });
    this.calls.onApplied(upTo);
  }

  #onDeadline(lateMs: number): void {
    // A turn this late says that the process did not run: what it believes about time and peers is old.
    if (lateMs > this.#parts.settings.leaseMs / 2) this.#enqueue({ event: { type: "clock-jumped" } });
    this.#enqueue({ event: { type: "deadline-reached" } });
  }

  #enqueue(item: Item): void {
    if (this.#late?.takes(item) !== true) this.#turns.enqueue(item);
  }

  /** Takes all that has come, then lets the core send, then begins a write: until nothing is left to do. */
  #turn(): void {
    this.#now = this.#environment.now();
    this.#lookAtClocks();
    do {
      for (const item of this.#turns.take()) this.#take(item);
      this.calls.dispatch();
      if (this.#turns.hasMore) continue;
      if (this.calls.pending.takeAnswered() && !this.#isLate) {
        // Who has just got an answer often has the next command: it travels with the news of what is committed.
        this.#isLate = true;
        return this.#turns.scheduleLate();
      }
      this.#isLate = false;
      this.#take({ event: { type: "drained" } });
      this.#writer.flush();
      if (!this.#applier.isBusy) this.calls.onApplied(this.appliedIndex);
    } while (this.#turns.hasMore);
    if (this.#stopped) return;
    this.#deadline.set(this.#core.deadline);
    this.calls.armSweep();
    this.#watcher.look(this.#core.state, this.#now);
    this.#handler.onTurn();
  }

  #lookAtClocks(): void {
    if (this.#clocks.hasSlept(this.#now)) this.#take({ event: { type: "clock-doubted" } });
  }

  #take(item: Item): void {
    if (this.#stopped) return;
    const isLease = item.event.type === "read-requested" && item.event.isLease === true;
    // All that a turn takes came before it began. But what a lease says must be so after the read was asked for, however
    // long the turn has taken, and the machine may sleep at any moment.
    if (isLease || !this.#turns.isRunning) this.#now = this.#environment.now();
    if (isLease) this.#lookAtClocks();
    const { event } = item;
    const effects = this.#core.step(event, this.#now);
    this.#contact.onStep(event, this.#core.state);
    const { stages } = this.calls.pending;
    if (stages.isFollowing) stages.look(this.#core.state);
    this.#performAll(effects, item);
  }

  #performAll(effects: readonly Effect[], item: Item): void {
    for (const effect of effects) {
      if (this.#stopped) return; // One of them ended it: no effect follows (BA16).
      this.#performer.perform(effect, item);
    }
  }

  /** A broken invariant, in the core or beside it, stops the server before harm is done. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#fail(error);
    }
  }
}
