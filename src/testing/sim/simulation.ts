/**
 * A cluster of production servers in a simulated world, watched by every checker.
 *
 * @module
 */
import { InvariantError } from "../../errors.ts";
import type { DecodedMessage } from "../../wire/message_codec.ts";
import type { Checker } from "./check/checker.ts";
import { commits, immutable } from "./check/commits.ts";
import { contact } from "./check/contact.ts";
import { disks, unexplained } from "./check/disks.ts";
import { captured, due } from "./check/due.ts";
import { durable } from "./check/durable.ts";
import { elections } from "./check/elections.ts";
import { heard } from "./check/heard.ts";
import { identity } from "./check/identity.ts";
import { leases } from "./check/leases.ts";
import { logs } from "./check/logs.ts";
import { membership } from "./check/membership.ts";
import { reads } from "./check/reads.ts";
import { reconfiguration } from "./check/reconfiguration.ts";
import { stale } from "./check/stale.ts";
import type { Clients, Host } from "./clients.ts";
import { isInTime, type SimConfig } from "./config.ts";
import { drain, noteHandOver } from "./draining.ts";
import { foundingOf } from "./founding.ts";
import { Ghost } from "./ghost.ts";
import { DiskObserver } from "./disk_marks.ts";
import { ChannelObserver } from "./channel_marks.ts";
import { MarkObserver } from "./marks.ts";
import { MoveObserver } from "./move_marks.ts";
import { addressOf } from "./moves.ts";
import { Network } from "./network.ts";
import { Plague } from "./plague.ts";
import { SimPoints } from "./points.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { Distortion } from "./script.ts";
import { type Life, SimServer } from "./server.ts";
import type { ServerTap } from "./server_tap.ts";
import { snapshots } from "./check/snapshots.ts";
import { goesBy } from "./reloading.ts";
import { type CrashKind, openStorage, type StorageTap } from "./storage.ts";
import { touchStopped } from "./touches.ts";
import { Trace } from "./trace.ts";
import type { StepView } from "./view.ts";
import { Workload } from "./workload.ts";
import { World } from "./world.ts";

/** All families of invariants. */
export const CHECKERS: readonly Checker[] = [
  elections,
  logs,
  durable,
  commits,
  reads,
  leases,
  stale,
  contact,
  heard,
  membership,
  reconfiguration,
  disks,
  snapshots,
  due,
  identity,
];

/** Events after which what is said to be on a disk is looked up on it. */
const EXAMINE_EVERY = 1000;

/** How a simulation is watched. */
export interface SimulationOptions {
  /** Whether the trace keeps text. */
  readonly keepsLines?: boolean;
  readonly onLine?: ((line: string) => void) | undefined;
  readonly checkers?: readonly Checker[];
  readonly distort?: Distortion | undefined;
  /** Makes clients with a machine of their own. */
  readonly host?: ((world: World, ghost: Ghost, config: SimConfig, random: Random) => Host) | undefined;
}

/** Servers, network, disks and clients; nothing happens before {@linkcode Simulation.start}. */
export class Simulation {
  readonly config: SimConfig;
  readonly world: World;
  readonly network: Network;
  readonly servers: readonly SimServer[];
  readonly workload: Clients;
  readonly ghost: Ghost;
  readonly plague: Plague;
  /** Told of every step, after the checkers. */
  onMoment: ((life: Life, step: StepView) => void) | undefined;
  /** Told when a server forwards commands to another. */
  onForward: ((from: number, to: number) => void) | undefined;
  /** Steps of all cores, since the first leader. */
  steps = 0;
  readonly marks: MarkObserver;
  readonly moves: MoveObserver = new MoveObserver();
  readonly troubles: DiskObserver = new DiskObserver();
  readonly channels: ChannelObserver = new ChannelObserver();
  readonly points: SimPoints;
  /** Messages sent so far. */
  sent = 0;
  /** When a leader last told a server to take over, virtual microseconds. */
  handOverAt: number = -Infinity;
  /** Servers that were told so and, as far as is known, have not heard it. */
  readonly handedOver: Set<number> = new Set();
  /** When a server last passed a change of the servers on, likewise. */
  changeAskedAt: number = -Infinity;
  readonly #checkers: readonly Checker[];
  // Those that look at what happens most often.
  readonly #ofSteps: readonly Checker[];
  readonly #ofSends: readonly Checker[];
  readonly #ofEvents: readonly Checker[];
  readonly #dirty = new Set<Life>();
  /** Lives that end as their server was removed. */
  readonly #leaving = new WeakSet<Life>();
  #hasLed = false;

  /** Builds everything from one stream of chance. */
  constructor(config: SimConfig, random: Random, options: SimulationOptions = {}) {
    this.config = config;
    const ids = Array.from({ length: config.servers }, (_, i) => `s${i}`);
    const voters = ids.slice(0, config.moving?.voters ?? config.servers);
    const bootstrap = Object.fromEntries(voters.map((id) => [id, addressOf(id)]));
    const founding = foundingOf(config, bootstrap);
    this.ghost = new Ghost(founding);
    this.marks = new MarkObserver(config.servers);
    this.points = new SimPoints(config.points);
    this.ghost.keepsTime = config.clocks.every(({ rate }) => isInTime(config, rate));
    this.#checkers = [...options.checkers ?? CHECKERS, this.marks, this.moves, this.troubles];
    this.#ofSteps = this.#checkers.filter(({ onStep }) => onStep !== undefined);
    this.#ofSends = this.#checkers.filter(({ onSend }) => onSend !== undefined);
    this.#ofEvents = this.#checkers.filter(({ onEvent }) => onEvent !== undefined);
    this.world = new World(new Trace(options.keepsLines, options.onLine), () => this.#afterEvent());
    this.network = new Network(this.world, random.split("network"), ids.map(addressOf), config.network, {
      onSend: (from, to, decoded) => this.#onSend(from, to, decoded),
      onUnreadable: (from, { message }) => {
        this.ghost.must(false, "T1", () => `"s${from}" sends what nobody can read: ${message}`);
      },
      onArrive: (from, to, message, channel, sentAt) => this.channels.onArrive(from, to, message, channel, sentAt),
      onCut: (_from, _to, message) => this.marks.onCut(message),
      onEnd: (server, peer, channel, reason) => this.channels.onEnd(server, peer, channel, reason),
    });
    const clients = random.split("clients");
    const host = options.host?.(this.world, this.ghost, config, clients);
    const parts = {
      world: this.world,
      network: this.network,
      tap: this.#tap(),
      settings: config.settings,
      bootstrap,
      distort: options.distort,
      servers: config.servers,
      termStart: config.termStart,
      founding,
      foundedLate: config.foundedLate,
      shutdownOnRemove: config.shutdownOnRemove,
      machine: config.client,
      points: this.points,
      host,
    };
    this.servers = ids.map((id, i) => {
      const open = (tap: StorageTap) => openStorage(this.world, random.split(`disk ${id}`), i, id, config.disk, tap);
      return new SimServer(parts, i, id, open, config.clocks[i]!, random.split(`server ${id}`));
    });
    for (const server of this.servers) this.ghost.disks.set(server.id, server.disk);
    this.plague = new Plague(this);
    host?.serve(this.servers);
    this.workload = host ?? new Workload(this.world, this.servers, config, this.ghost, clients);
  }

  /** Starts all servers. */
  start(): void {
    for (const server of this.servers) {
      this.world.schedule(server.index, Port.nemesis, 0, `${server.id} starts`, () => server.start());
    }
  }

  /** Runs until this holds; asked after every event. Rejects with the first violation. */
  run(until: () => boolean): Promise<void> {
    return this.world.run(until);
  }

  /** One event. */
  async step(): Promise<void> {
    const { events } = this.world;
    await this.world.run(() => this.world.events > events);
  }

  /** How often the run came by each of the marks that are seen from outside. */
  get hits(): Readonly<Record<string, number>> {
    return {
      ...this.marks.hits,
      ...this.moves.hits,
      ...this.troubles.hits,
      ...this.channels.hits,
      ...this.points.hits,
    };
  }

  /** The servers that are not lost for good. */
  get present(): readonly SimServer[] {
    return this.servers.filter(({ index }) => !this.plague.atlas.isLost(index));
  }

  /** The lives of the servers that are up. */
  get lives(): readonly Life[] {
    return this.servers.flatMap(({ life }) => life?.raft === undefined ? [] : [life]);
  }

  /** The server that leads the latest term, if one believes to lead. */
  get leader(): Life | undefined {
    let leader: Life | undefined;
    for (const life of this.lives) {
      if (life.core.role === "leader" && (leader === undefined || life.core.term > leader.core.term)) leader = life;
    }
    return leader;
  }

  /** Shuts a server down; whether it did, as it may crash meanwhile. K4: by then it has answered everybody. */
  async stop(server: SimServer): Promise<boolean> {
    const life = await server.stop();
    if (life !== undefined) this.#onStopped(life);
    return life !== undefined;
  }

  /** Lets a server drain, and then shuts it down; whether it did, as it may go on, or crash meanwhile. */
  async drain(server: SimServer): Promise<boolean> {
    const { life } = server;
    if (life?.raft === undefined || !await drain(this.ghost, life)) return false;
    this.moves.hits["server-drained"]++;
    return await this.stop(server);
  }

  #onStopped(life: Life): void {
    // Its answers are on their way to their callers.
    this.ghost.later.push(() => this.workload.onOver(life));
    void touchStopped(this.ghost, life);
  }

  /** A server has stopped by itself, as it was removed. */
  #onLeft(server: SimServer, life: Life): void {
    this.moves.hits["shut-down-when-removed"]++;
    life.hasStopped = true;
    server.crash("kill");
    this.#onStopped(life);
    this.plague.onLeft(server);
  }

  /** Ends a server's life. */
  crash(index: number, kind: CrashKind): void {
    const server = this.servers[index]!;
    const { life } = server;
    if (life !== undefined) {
      this.marks.onCrash(life, this.lives);
      this.moves.onCrash(life, this.lives);
      this.troubles.onCrash(life);
    }
    // A machine that is paused and loses power is not paused any more.
    this.world.resume(index);
    server.crash(kind);
    if (life !== undefined) this.workload.onOver(life);
  }

  #tap(): ServerTap {
    const { ghost } = this;
    return {
      onStart: (server, life) => {
        if (life.core.damaged.length === 0) this.plague.atlas.absolve(server.index);
        goesBy(ghost, life);
        for (const checker of this.#checkers) checker.onStart?.(ghost, life);
      },
      prefix: (index) => ghost.commits.upTo(index),
      onStep: (_server, life, step) => this.#onStep(life, step),
      onPersisted: (_server, life, write) => {
        for (const checker of this.#checkers) checker.onPersisted?.(ghost, life, write);
      },
      onApplied: (life, command, applied, result) => {
        ghost.noteApplied(command.value, applied.index, this.world.events, result);
        for (const checker of this.#checkers) checker.onApplied?.(ghost, life, applied);
        // Whoever applies the same entry for ever would never come to the end of the event, where this is looked at.
        if (ghost.violation !== undefined) throw new InvariantError(ghost.violation.message);
      },
      onCaptured: (life) => captured(ghost, life),
      onRestored: (server, life) => {
        // What the log restores is looked at by others before the event is over.
        server.sync(life);
        ghost.event = this.world.events;
        if (life.log.last === life.core.log.lastIndex) immutable(ghost, life);
      },
      onRead: (server, life, from, end) => {
        server.sync(life);
        for (const checker of this.#checkers) checker.onRead?.(ghost, life, from, end);
      },
      onOpen: (server) => {
        ghost.disks.set(server.id, server.disk);
      },
      onRecovered: (server, recovery) => {
        ghost.disks.set(server.id, server.disk);
        for (const checker of this.#checkers) checker.onRecovered?.(ghost, server.id, recovery);
      },
      onExamined: (server, said, found) => {
        for (const checker of this.#checkers) checker.onExamined?.(ghost, server.id, said, found);
      },
      onFailed: (life, operation) => {
        this.world.trace.say(() => `    told ${life.id}: ${operation.kind} "${operation.name}" failed`);
        for (const checker of this.#checkers) checker.onFailed?.(ghost, life, operation);
      },
      onRetried: (server, operation) => {
        for (const checker of this.#checkers) checker.onRetried?.(ghost, server.id, operation);
      },
      onReplaced: (server, before, by) => {
        ghost.disks.set(server.id, server.disk);
        this.network.forget(server.index);
        for (const checker of this.#checkers) checker.onReplaced?.(ghost, server.id, before, server.disk, by);
      },
      onStopped: (server, life) => {
        if (this.#leaving.has(life)) this.#onLeft(server, life);
      },
      onDown: (server, what, error) => {
        if (this.plague.onDown(server.index, error)) return;
        unexplained(ghost, server, what, error);
      },
      onTrouble: (server, what, error) => {
        const detail = error instanceof Error ? error.stack ?? error.message : String(error);
        ghost.must(false, "V0", () => `"${server.id}" fails to ${what}: ${detail}`);
      },
    };
  }

  #say({ id }: Life, { event, effects }: StepView): void {
    this.world.trace.say(() => `      ${id} ${JSON.stringify(event)} → ${JSON.stringify(effects)}`);
  }

  #onStep(life: Life, step: StepView): void {
    this.ghost.time = this.world.time;
    this.#dirty.add(life);
    noteHandOver(life);
    if (step.event.type === "message-received" && step.event.message.type === "timeout-now") {
      this.handedOver.delete(life.index);
    }
    if (this.#hasLed) this.steps++;
    else if (life.core.role === "leader") this.#hasLed = true;
    if (this.world.trace.keepsLines) this.#say(life, step);
    for (const checker of this.#ofSteps) checker.onStep!(this.ghost, life, step);
    const isRemoved = step.effects.some(({ type }) => type === "announce-removed");
    if (isRemoved && this.config.shutdownOnRemove === true) {
      life.isStopping = true;
      this.#leaving.add(life);
      this.plague.stopping.add(life);
    }
    const isDamaged = this.servers[life.index]!.storage.faults?.isDamaged === true;
    const isRepaired = isDamaged && life.core.damaged.length === 0 &&
      step.effects.some((effect) => effect.type === "announce-damage" && effect.damaged.length === 0);
    if (isRepaired) this.plague.onRepaired(life);
    this.onMoment?.(life, step);
  }

  #onSend(from: number, to: number, decoded: DecodedMessage): void {
    const server = this.servers[from]!;
    const { life } = server;
    if (life?.core === undefined) return;
    this.sent++;
    if (decoded.message.type === "timeout-now") {
      this.handOverAt = this.world.time;
      this.handedOver.add(to);
    }
    if (decoded.message.type === "change-request") this.changeAskedAt = this.world.time;
    if (decoded.message.type === "forward-request") this.onForward?.(from, to);
    // A leader's log is complete in the middle of a step; a follower's may be about to be truncated.
    if (decoded.message.type === "append-request") server.sync(life);
    for (const checker of this.#ofSends) checker.onSend!(this.ghost, life, this.servers[to]!.id, decoded);
  }

  #afterEvent(): void {
    const { ghost, world } = this;
    ghost.event = world.events;
    for (const life of this.#dirty) {
      this.servers[life.index]!.sync(life);
      for (const checker of this.#ofEvents) checker.onEvent!(ghost, life);
      const { term, commitIndex, role } = life.core;
      const { base } = ghost.commits;
      world.trace.add(term * 4 + role.length);
      world.trace.add(Math.max(0, commitIndex - base) * 2 ** 24 + Math.max(0, life.log.last - base));
    }
    this.#dirty.clear();
    if (world.events % EXAMINE_EVERY === 0) { for (const { storage } of this.servers) storage.examine(); }
    if (ghost.later.length > 0) { for (const check of ghost.later.splice(0)) check(); }
    if (ghost.violation !== undefined) throw ghost.violation;
  }
}
