/**
 * One server of a simulation: the production server, started, killed and started again.
 *
 * @module
 */
import type { Core } from "../../core/core.ts";
import type { CoreState } from "../../core/state.ts";
import { termAt } from "../../core/term_index.ts";
import type { Environment } from "../../driver/environment.ts";
import { RaftError } from "../../errors.ts";
import type { Codec, StateMachine } from "../../machine.ts";
import type { RaftSettings } from "../../options.ts";
import { validateOptions } from "../../options_check.ts";
import { startServer } from "../../server.ts";
import type { LogCache } from "../../store/log_cache.ts";
import type { Store, StoreFactory, StoreWrite } from "../../store/store.ts";
import type { Disk, ServerAddress, ServerId } from "../../types.ts";
import { bootstrapConfiguration, bootstrapEntry, bootstrapTerm } from "../../bootstrap.ts";
import type { ChainLog } from "./chain.ts";
import { type ClockBehaviour, SimClock, type SimTimer } from "./clock.ts";
import type { Host } from "./clients.ts";
import type { Founding } from "./committed.ts";
import type { Replacement } from "./disk/disk_actions.ts";
import { applyWrite, cloneView, emptyView } from "./disk_view.ts";
import { digestAtOnce } from "./digest.ts";
import { begunAfter } from "./founding.ts";
import { type MachineTap, type SimCommand, SimMachine, type SimResult, stateIn, untilDiverged } from "./machine.ts";
import type { Life } from "./life.ts";
import type { Network } from "./network.ts";
import type { SimPoints } from "./points.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { Distortion } from "./script.ts";
import type { ServerTap } from "./server_tap.ts";
import type { CrashKind, Storage, StorageTap } from "./storage.ts";
import { beforeOf, type DiskView } from "./view.ts";
import type { ClientBehaviour } from "./workload.ts";
import type { World } from "./world.ts";

export type { Life } from "./life.ts";

/** Without one a digest would be computed, on a thread of its own and in real time. */
const clusterId = "simulated";

/** What all servers of a simulation share. */
export interface ServerParts {
  readonly world: World;
  readonly network: Network;
  readonly tap: ServerTap;
  readonly settings: Partial<RaftSettings>;
  readonly bootstrap: Readonly<Record<ServerId, ServerAddress>>;
  /** Makes every core another one. */
  readonly distort?: Distortion | undefined;
  /** Within how many microseconds an empty server is told to begin; undefined: it knows when it starts. */
  readonly foundedLate?: number | undefined;
  /** How many there are, those included that come later. */
  readonly servers: number;
  /** The term that every disk holds at first. */
  readonly termStart: number;
  /** What founders begin with; undefined where they begin with entry 1. */
  readonly founding: Founding | undefined;
  readonly shutdownOnRemove?: boolean | undefined;
  /** How machines work. */
  readonly machine: Pick<ClientBehaviour, "workChance" | "workMax">;
  /** Where their own code does what is unusual. */
  readonly points: SimPoints;
  /** Brings another machine. */
  readonly host?: Host | undefined;
}

/** A server through all its lives. */
export class SimServer {
  readonly id: ServerId;
  readonly index: number;
  readonly storage: Storage;
  /** Its life, while it is up. */
  life: Life | undefined;
  readonly #parts: ServerParts;
  readonly clock: SimClock;
  readonly #random: Random;
  readonly #configured: RaftSettings;
  #lives = 0;
  #isReplaced = false;
  #isCalm = false;
  #inFlight: StoreWrite | undefined;
  /** What may be found on the disk now; undefined while a store has it open. */
  #possible: readonly DiskView[] | undefined;

  /** Takes a disk; nothing happens before `start`. */
  constructor(
    parts: ServerParts,
    index: number,
    id: ServerId,
    open: (tap: StorageTap) => Storage,
    clock: ClockBehaviour,
    random: Random,
  ) {
    this.id = id;
    this.index = index;
    this.storage = open({
      prefix: (index) => parts.tap.prefix(index),
      stateIn: (snapshot) => parts.host?.stateIn(snapshot) ?? stateIn(snapshot),
      onDurable: (write) => {
        if (this.life !== undefined) parts.tap.onPersisted(this, this.life, write);
      },
      onFailed: (operation) => {
        if (this.life !== undefined) parts.tap.onFailed(this.life, operation);
      },
      onRetried: (operation) => parts.tap.onRetried(this, operation),
      onExamined: (said, found) => parts.tap.onExamined(this, said, found),
    });
    this.#parts = parts;
    this.clock = new SimClock(parts.world, index, clock, random.split("clock"));
    this.#random = random;
    this.#configured = validateOptions(parts.settings);
  }

  /** What its disk holds; see {@linkcode DiskView}. */
  get disk(): DiskView {
    return this.storage.view;
  }

  /** Begins a life; it is up when its disk is recovered. */
  start(): void {
    if (this.life !== undefined) return;
    const life = this.#newLife();
    this.life = life;
    this.#start(life).catch((error) => {
      if (!life.isOver) this.#parts.tap.onDown(this, "start", error);
    });
  }

  async #start(life: Life): Promise<void> {
    const found = await this.recover();
    // A disk with holes is another one from here on: what the start writes is added to what was found.
    (life as { disk: DiskView }).disk = this.disk;
    const { settings, bootstrap, network, tap, host, foundedLate, servers, shutdownOnRemove } = this.#parts;
    // One that is to be added starts empty. So does one that has another disk where its name is no proof of its place.
    const isFounder = this.id in bootstrap && (!this.#isReplaced || Object.keys(bootstrap).length === servers);
    if (isFounder) await this.#age(life, found);
    const raft = await startServer<SimCommand, SimResult>({
      ...settings,
      id: this.id,
      machine: life.machine,
      ...host === undefined ? {} : { codec: host.codec as Codec<unknown> as Codec<SimCommand> },
      store: this.#watched(life),
      transport: network.transport(this.index),
      ...isFounder && foundedLate === undefined ? { bootstrap } : {},
      clusterId,
      ...shutdownOnRemove === true ? { shutdownOnRemove } : {},
    }, this.#environment(life));
    if (life.isOver) return;
    life.raft = raft;
    if (isFounder && foundedLate !== undefined) this.#found(life, this.#random.below(foundedLate));
    void untilDiverged(raft, (error) => life.isOver || tap.onTrouble(this, "hold the same", error));
    raft.closed.then((error: RaftError | undefined) => {
      if (life.isOver) return;
      if (error !== undefined) tap.onDown(this, "stop", error);
      else tap.onStopped(this, life);
    });
  }

  /** Tells a server later that it is to begin, which it refuses when it has anything already. */
  #found(life: Life, delay: number): void {
    const { bootstrap, tap, world } = this.#parts;
    world.schedule(this.index, Port.client, delay, `${this.id} is to begin`, () => {
      if (life.isOver) return;
      life.raft!.bootstrap(bootstrapConfiguration(bootstrap, this.id)).catch((error) => {
        if (!life.isOver && !(error instanceof RaftError)) tap.onTrouble(this, "begin", error);
      });
    }, this.index);
  }

  /** A disk as if many elections had gone by, or many entries. */
  async #age(life: Life, found: DiskView): Promise<void> {
    const { bootstrap, termStart, founding } = this.#parts;
    if (this.#isOld(found)) return;
    const factory = this.#watched(life);
    const store = await factory.open({});
    await store.open(this.id);
    const first = founding === undefined
      ? { records: [bootstrapEntry(bootstrapConfiguration(bootstrap, this.id))] }
      : await begunAfter(founding, factory.snapshots!, life.machine);
    await store.write({ ...first, vote: { term: Math.max(termStart, bootstrapTerm), votedFor: undefined }, clusterId });
    await store.close();
  }

  #isOld({ term, log }: DiskView): boolean {
    const { termStart, founding } = this.#parts;
    return founding === undefined ? term >= termStart : log.last >= founding.index;
  }

  /**
   * By which disk the next start makes itself known, when something takes its place before; undefined when that is not known.
   * Of a copy nobody knows whether it was made before the server was old: that is a start of its own.
   */
  identityAfter(by?: Replacement): Disk | undefined {
    const disk = this.storage.faults?.identityAfter(by);
    const isOld = this.#isOld(by === undefined ? this.disk : emptyView());
    return disk && { ...disk, starts: disk.starts + (isOld ? 0 : 1) };
  }

  /** Finds what the crash left, and lets the checkers judge it. Returns what the store is going to find. */
  async recover(): Promise<DiskView> {
    const { tap } = this.#parts;
    const possible = this.#possible;
    if (possible === undefined) return this.disk;
    // What a dead process wrote may be in the operating system's cache only: a power cut would still take it.
    const durable = await this.storage.recover(true);
    const found = this.storage.hasUnsynced ? await this.storage.recover(false) : durable;
    const isDamaged = this.storage.faults?.isDamaged === true;
    tap.onExamined(this, this.disk, durable);
    tap.onRecovered(this, { possible, found: durable, isDurable: true, isDamaged });
    if (found !== durable) tap.onRecovered(this, { possible, found, isDurable: false, isDamaged });
    this.storage.faults?.findDamaged(durable.damaged ?? new Set());
    this.#possible = [durable, found];
    return found;
  }

  #newLife(): Life {
    const { tap, host } = this.#parts;
    const life: Life = {
      id: this.id,
      index: this.index,
      life: ++this.#lives,
      clock: this.clock,
      core: undefined as unknown as CoreState,
      log: this.disk.log.clone(),
      disk: this.disk,
      raft: undefined,
      isOver: false,
      isStopping: false,
      hasStopped: false,
      truncatedFrom: Infinity,
      installed: 0,
      installs: 0,
      configured: this.#configured,
      reloaded: {},
      draining: undefined,
      room: undefined,
      cache: undefined,
      machine: undefined as unknown as SimMachine,
    };
    const machineTap: MachineTap = {
      onApplied: (command, applied, result) => {
        if (!life.isOver) tap.onApplied(life, command, applied, result);
      },
      work: () => this.#work(life),
      onCaptured: () => {
        if (!life.isOver && life.core !== undefined) tap.onCaptured(life);
      },
      onRestored: () => {
        if (!life.isOver && life.core !== undefined) tap.onRestored(this, life);
      },
    };
    const machine = host?.machine(life, machineTap) ?? new SimMachine(machineTap);
    // Whoever brings another machine asks for nothing that this one has.
    (life as { machine: SimMachine }).machine = machine as SimMachine;
    return life;
  }

  /** Some commands keep a machine busy. */
  #work(life: Life): Promise<void> | undefined {
    const { workChance, workMax } = this.#parts.machine;
    if (!this.#random.chance(workChance)) return undefined;
    const { clock } = this;
    return new Promise((resolve) => {
      if (!life.isOver) clock.setTimeout(resolve, this.#random.spread(1, workMax) / 1000);
    });
  }

  /** Shuts the server down as its user would. The life that has thereby ended: it may as well crash meanwhile. */
  async stop(): Promise<Life | undefined> {
    const { life } = this;
    if (life?.raft === undefined) return undefined;
    life.isStopping = true;
    await life.raft.shutdown();
    if (life.isOver) return undefined;
    life.hasStopped = true;
    this.crash("kill");
    return life;
  }

  /** Ends the life, from one moment to the next. */
  crash(kind: CrashKind): void {
    const { life } = this;
    // What a dead process left in the operating system's cache is lost with the power.
    if (life === undefined) return kind === "power" ? this.storage.crash(kind) : undefined;
    life.isOver = true;
    this.life = undefined;
    this.clock.clear();
    this.#parts.network.detach(this.index, kind === "power");
    const before = cloneView(this.disk);
    this.storage.crash(kind);
    if (this.#possible !== undefined) return;
    this.#possible = [before];
    if (this.#inFlight === undefined) return;
    const after = cloneView(before);
    applyWrite(after, this.#inFlight, (index) => this.#parts.tap.prefix(index));
    this.#possible = [before, after];
    this.#inFlight = undefined;
  }

  /** Puts something else in the place of what is on the disk of a server that is down. */
  replaceDisk(by: Replacement, pick: number): void {
    const before = this.disk;
    this.#isReplaced = true;
    this.storage.faults?.replace(by, pick);
    if (this.#possible !== undefined) this.#possible = [cloneView(this.disk)];
    this.#parts.tap.onReplaced(this, before, by);
  }

  /** Brings the view of the log in memory up to date. */
  sync(life: Life): void {
    if (life.truncatedFrom < Infinity) {
      life.log.truncateFrom(life.truncatedFrom);
      life.truncatedFrom = Infinity;
    }
    if (life.installed > 0) {
      (life as { log: ChainLog }).log = this.#parts.tap.prefix(life.installed);
      life.installed = 0;
    }
    const { lastIndex } = life.core.log;
    while (life.log.last < lastIndex) {
      const next = life.log.last + 1;
      const records = life.cache!.records(next);
      // The driver is halfway through the effects, or stopped there: what is to be truncated may be there yet.
      if (records === undefined || records.term(next) !== termAt(life.core.log, next)) return;
      life.log.append(records);
    }
  }

  /** Its own code does nothing unusual any more. */
  calm(): void {
    this.#isCalm = true;
  }

  #environment(life: Life): Environment {
    const { clock } = this;
    return {
      now: () => clock.now(),
      wallNow: () => clock.wallNow(),
      // Code of a dead process may still run to its next wait, as when one of its callers gives up, but takes no turn.
      setTimeout: (callback, ms) => life.isOver ? undefined : clock.setTimeout(callback, ms),
      clearTimeout: (handle) => {
        if (handle !== undefined) clock.clearTimeout(handle as SimTimer);
      },
      defer: (callback) => queueMicrotask(() => life.isOver || callback()),
      gather: (callback) => void (life.isOver || clock.setTimeout(callback, 0)),
      digest: (bytes) => Promise.resolve(digestAtOnce(bytes)),
      randomSeed: () => this.#random.u32(),
      observe: (core, cache) => this.#observe(life, core, cache),
      buggify: this.#parts.points.asked(this.#random.split(`points ${life.life}`), () => this.#isCalm),
    };
  }

  /** Looks at every step of the core, from outside. */
  #observe(life: Life, core: Core, cache: LogCache): void {
    const { tap, distort } = this.#parts;
    const { state } = core;
    (life as { core: CoreState }).core = state;
    // By now entry 1 may have been written.
    (life as { log: ChainLog }).log = this.disk.log.clone();
    life.cache = cache;
    if (!life.isOver) tap.onStart(this, life);
    const honest = core.step.bind(core);
    const step: typeof honest = distort === undefined ? honest : (event, now) => distort(state, event, now, honest);
    core.step = (event, now) => {
      this.sync(life);
      const before = beforeOf(state, event);
      const effects = step(event, now);
      for (const effect of effects) {
        if (effect.type === "truncate") life.truncatedFrom = Math.min(life.truncatedFrom, effect.from);
        if (effect.type === "install-snapshot") life.installed = effect.index;
        if (effect.type === "install-snapshot" || effect.type === "restore-snapshot") life.installs++;
      }
      if (!life.isOver) tap.onStep(this, life, { before, event, effects, now });
      else if (life.hasStopped) tap.onTrouble(this, "stay shut down", new Error(`it steps ${event.type}`));
      return effects;
    };
  }

  /** The disk's store, seen from outside. */
  #watched(life: Life): StoreFactory {
    const factory = this.storage.factory();
    // Whoever brings a machine need not bring snapshots.
    const { snapshot } = life.machine as StateMachine<SimCommand, SimResult>;
    return {
      ...factory.snapshots === undefined || snapshot === undefined ? {} : { snapshots: factory.snapshots },
      open: async (context) => {
        const store = await factory.open(context);
        const watched: Store = {
          ...store.isDurable === false ? { isDurable: false } : {},
          open: async (serverId) => {
            const state = await store.open(serverId);
            if (!life.isOver) this.#onOpen(life, state.damaged.length === 0);
            return state;
          },
          write: (write) => this.#write(life, store, write),
          read: (from, end, bytesMax) => {
            if (!life.isOver && life.core !== undefined) this.#parts.tap.onRead(this, life, from, end);
            return store.read(from, end, bytesMax);
          },
          // Code of a dead process may still run: what it closes may be open again by now, in the next life.
          close: () => life.isOver ? Promise.resolve() : store.close(),
        };
        if (store.mark !== undefined) watched.mark = () => store.mark!();
        return watched;
      },
    };
  }

  /** The store has made durable what it found. */
  #onOpen(life: Life, isWhole: boolean): void {
    this.#possible = undefined;
    if (isWhole) this.storage.faults?.absolve();
    (life as { disk: DiskView }).disk = this.disk;
    this.#parts.tap.onOpen(this);
  }

  async #write(life: Life, store: Store, write: StoreWrite): Promise<void> {
    this.#inFlight = write;
    await store.write(write);
    if (!life.isOver) this.#inFlight = undefined;
  }
}
