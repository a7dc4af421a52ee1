/**
 * Faults as they are performed on a simulation, and their end.
 *
 * @module
 */
import { type Fault, isInTime } from "./config.ts";
import type { ChainLog } from "./chain.ts";
import { Atlas } from "./disk/atlas.ts";
import type { DiskAction } from "./disk/disk_actions.ts";
import { electorates } from "./disk/electorates.ts";
import type { Action } from "./nemesis.ts";
import { Port } from "./queue.ts";
import type { ScriptedFault } from "./script.ts";
import type { Life, SimServer } from "./server.ts";
import type { Simulation } from "./simulation.ts";
import { SURVIVABLE } from "./survivable.ts";

/** Microseconds until somebody starts a server again that has stopped. */
const restartAfter = 500_000;

/** What can be wrong with a server for good. */
export type Infirmity = "dead" | "isolated" | "deaf" | "mute" | "paused";

/** Each of them, and the faults one of which must be asked for. */
export const INFIRMITIES: readonly (readonly [Infirmity, readonly Fault[]])[] = [
  ["dead", ["kill", "power"]],
  ["isolated", ["partition"]],
  ["deaf", ["partition"]],
  ["mute", ["partition"]],
  ["paused", ["pause"]],
];

/** What is broken now. */
export class Plague {
  readonly #simulation: Simulation;
  /** Faults performed, in order, with when. */
  readonly performed: ScriptedFault[] = [];
  /** Faults that have not ended. */
  now = 0;
  /** What is damaged. */
  readonly atlas: Atlas;
  /** Lives that are being shut down, some for a while as they hand over first: nothing may be asked of them. */
  readonly stopping: WeakSet<Life> = new WeakSet();
  /** Those that have stopped as they were removed, since the faults ended. */
  readonly #retired = new Set<SimServer>();
  /** Grows when faults end for good: what was to end later has ended, or never does. */
  #era = 0;
  /** The servers whose faults have ended for good. */
  #healed: readonly SimServer[] = [];

  /** Nothing is broken yet. */
  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    const { config: { servers, faults, moving }, ghost } = simulation;
    const deciding = moving === undefined ? undefined : () => electorates(ghost, this.#logs());
    this.atlas = new Atlas(servers, faults.includes("rot-beyond"), ghost, deciding);
  }

  /** All logs, on disk and in memory, of servers that may be up again. */
  *#logs(): Generator<ChainLog> {
    for (const { index, disk, life } of this.#simulation.servers) {
      if (this.atlas.isLost(index)) continue;
      yield disk.log;
      if (life !== undefined) yield life.log;
    }
  }

  /** Performs a fault, and schedules its end. */
  perform(action: Action): void {
    const { world, network, servers } = this.#simulation;
    this.performed.push({ at: world.time, action });
    world.trace.say(() => `    fault ${JSON.stringify(action)}`);
    switch (action.type) {
      case "cut":
        for (const [from, to] of action.directions) {
          network.cut(from, to);
          const isAlone = !action.directions.some(([a, b]) => a === to && b === from);
          if (action.resets === true && (from < to || isAlone)) network.reset(from, to);
        }
        return this.#after(action.for, "mend", () => {
          for (const [from, to] of action.directions) network.mend(from, to);
        });
      case "clog":
        network.clog(action.from, action.to, world.time + action.for, action.channel);
        return this.#after(action.for, "unclogged", () => {});
      case "swizzle":
        return this.#swizzle(action);
      case "reset":
        return network.reset(action.a, action.b, action.channel);
      case "crash":
        this.#simulation.crash(action.server, action.kind);
        return this.#after(action.for, `s${action.server} restarts`, () => this.#start(servers[action.server]!));
      case "restart":
        return this.restart(action.server, action.for, action.drains);
      case "pause":
        world.pause(action.server);
        return this.#after(action.for, `s${action.server} resumes`, () => world.resume(action.server));
      case "suspend":
        return this.#suspend(action.server, action.for);
      case "step-wall":
        if (action.ms < 0 && this.#simulation.config.faults.includes("suspend")) this.#breakTime();
        return servers[action.server]!.clock.stepWall(action.ms);
      case "step-monotonic":
        this.#breakTime();
        return servers[action.server]!.clock.stepMonotonic(action.ms);
      case "drift":
        if (!isInTime(this.#simulation.config, action.rate)) this.#breakTime();
        servers[action.server]!.clock.setRate(action.rate);
        return this.#after(action.for, `s${action.server} is in time`, () => {
          servers[action.server]!.clock.setRate(this.#simulation.config.clocks[action.server]!.rate);
        });
      default:
        return this.#onDisk(action, servers[action.server]!);
    }
  }

  /** What leases say is not to be relied on any more. */
  #breakTime(): void {
    this.#simulation.ghost.keepsTime = false;
  }

  #onDisk(action: DiskAction, server: SimServer): void {
    const { faults } = server.storage;
    if (faults === undefined) return;
    const restart = () => this.#start(server);
    switch (action.type) {
      case "disk-error":
        faults.arm(action.on, action.lasts);
        return this.#after(action.for, `${server.id} has no ${action.on} errors`, () => faults.disarm(action.on));
      case "disk-full":
        faults.fill(true);
        return this.#after(action.for, `${server.id} has room`, () => faults.fill(false));
      case "disk-stall":
        faults.stall(true);
        return this.#after(action.for, `${server.id} has a disk again`, () => faults.stall(false));
      case "disk-slow":
        faults.slow(action.by);
        return this.#after(action.for, `${server.id} has a faster disk`, () => faults.slow(0));
      case "misread":
        faults.misread(action.pick);
        return this.#after(action.for, `${server.id} reads what is there`, () => faults.misread(0));
      case "damage": {
        // Before the first leader there is but the first entry, and whoever can't read it bootstraps again.
        if (this.#simulation.steps === 0 || !this.atlas.allows(server.index)) return;
        if (this.#hasIdlers && action.inSnapshots !== true) return;
        this.atlas.damage(server.index);
        this.#simulation.crash(server.index, "power");
        const where = faults.damage(action.how, action.pick, action.inSnapshots === true);
        this.#simulation.world.trace.say(() => `    ${server.id}: ${where}`);
        return this.#after(action.for, `${server.id} restarts`, restart);
      }
      case "replace-disk":
        if (!this.#mayReplace(action, server)) return;
        this.#simulation.crash(server.index, "power");
        server.replaceDisk(action.by, action.pick);
        return this.#after(action.for, `${server.id} restarts`, restart);
    }
  }

  /** Whether a disk may be replaced: where the others can tell, or where the run is to go beyond what can be survived. */
  #mayReplace({ by, isBeyond }: Extract<DiskAction, { type: "replace-disk" }>, server: SimServer): boolean {
    if (by !== "wipe" && by !== "old-copy") return true;
    const now = server.identityAfter(by);
    if (now === undefined) return false;
    // Of a change that no log has yet nobody could say whom it leaves.
    if (isBeyond !== true) {
      return !this.#hasIdlers && !this.#isMoving && this.atlas.allowsReplacement(server.index, now);
    }
    this.atlas.isBeyond = true;
    return true;
  }

  /** Whether some never lead: they may have what the only one lacks that still could, were others damaged or replaced. */
  get #hasIdlers(): boolean {
    return this.#simulation.config.moving?.idlers === true;
  }

  /** Whether somebody has asked for a change of the servers and not heard of it, or a leader is about to make one. */
  get #isMoving(): boolean {
    const { lives, workload } = this.#simulation;
    return workload.isMoving === true || lives.some(({ core }) => (core.leading?.reconfigurations.length ?? 0) > 0);
  }

  /** Nothing of what a server has is damaged any more. */
  onRepaired({ index }: Life): void {
    this.#simulation.servers[index]!.storage.faults?.absolve(true);
    this.atlas.absolve(index);
  }

  /** A server did not start, or has stopped. False when nothing explains it. */
  onDown(index: number, error: unknown): boolean {
    const server = this.#simulation.servers[index]!;
    const fault = server.storage.faults?.explain(error);
    const outcome = fault && SURVIVABLE[fault].outcome;
    if (fault === undefined || (outcome !== "stops" && outcome !== "refuses")) return false;
    this.#simulation.troubles.onDown(index, fault);
    this.#simulation.world.trace.say(() => `    ${server.id} is down by ${fault}: ${(error as Error).message}`);
    this.#simulation.crash(index, "kill");
    const delay = this.#healed.includes(server) ? 0 : restartAfter;
    if (outcome === "refuses") this.atlas.lose(index);
    else this.#after(delay, `${server.id} is tried again`, () => this.#start(server));
    return true;
  }

  /** A server has stopped as it was removed. Somebody starts it again until the faults are over, then it must be needed. */
  onLeft(server: SimServer): void {
    if (this.#era > 0) this.#retired.add(server);
    else this.#after(restartAfter, `${server.id} is tried again`, () => this.#start(server));
  }

  /** Whether a server stays down as it was removed. */
  isRetired(server: SimServer): boolean {
    return this.#retired.has(server);
  }

  /** These belong to the cluster, or are about to. */
  recall(servers: readonly SimServer[]): void {
    for (const server of servers) if (this.#retired.delete(server)) this.start(server);
  }

  #start(server: SimServer): void {
    if (this.atlas.isLost(server.index)) return;
    const disk = server.life === undefined ? server.identityAfter() : undefined;
    // An older copy that is started once more might pass for what it was: nobody starts it any more.
    if (disk !== undefined && this.atlas.passes(server.index, disk)) this.atlas.lose(server.index);
    else server.start();
  }

  /**
   * Shuts a server down, or lets it drain, unless it can't or is about to stop anyway; it starts again so much later.
   */
  restart(server: number, delay: number, drains = false): void {
    const target = this.#simulation.servers[server]!;
    const { life } = target;
    // Of two drains the one that fails would be taken for the end of both.
    if (drains && life !== undefined && this.stopping.has(life)) return;
    const era = this.#era;
    if (life?.raft !== undefined) this.stopping.add(life);
    const stopped = drains ? this.#simulation.drain(target) : this.#simulation.stop(target);
    void stopped.then((hasStopped) => {
      if (!hasStopped && life?.isStopping === false) this.stopping.delete(life);
      if (hasStopped) this.#after(era === this.#era ? delay : 0, `s${server} restarts`, () => this.#start(target));
    });
  }

  /**
   * Ends all faults of these servers, by default of all: they are up and reach one another. What else is broken stays so:
   * who is dead, paused, out of time or has a bad disk, and what is cut.
   */
  heal(well: readonly SimServer[] = this.#simulation.servers): void {
    const { network, world, config } = this.#simulation;
    this.#era++;
    this.#healed = well;
    this.now = 0;
    network.healAmong(well.map(({ index }) => index));
    network.calm();
    const doubting = this.#doubting();
    for (const server of well) {
      server.clock.setRate(config.clocks[server.index]!.rate);
      world.resume(server.index);
      server.calm();
      const { faults } = server.storage;
      faults?.heal();
      // What failed in the background would stop it yet.
      if (faults?.hasFailed === true || doubting.includes(server)) this.#simulation.crash(server.index, "kill");
      if (!this.isRetired(server)) this.#start(server);
    }
  }

  /**
   * Who takes entries for damaged, where so many do that nobody else may be electable: what was read wrongly once is read
   * again after a restart only, and that is what an operator would try.
   */
  #doubting(): readonly SimServer[] {
    const { servers, ghost, config: { moving } } = this.#simulation;
    const doubting = servers.filter(({ life }) => (life?.core?.damaged.length ?? 0) > 0);
    const sound = servers.filter((server) => {
      // Nobody counts the vote of another disk than the one that is recorded.
      return !this.atlas.isLost(server.index) && !ghost.forgetful.has(server.id) && !doubting.includes(server);
    });
    return moving === undefined && sound.length * 2 > servers.length ? [] : doubting;
  }

  /** Starts a server that was shut down. */
  start(server: SimServer): void {
    this.#simulation.world.schedule(server.index, Port.nemesis, 0, `${server.id} restarts`, () => this.#start(server));
  }

  /** Something is wrong with a server until all faults end again. */
  afflict(server: SimServer, infirmity: Infirmity): void {
    const { network, world, servers } = this.#simulation;
    world.trace.say(() => `    ${server.id} is ${infirmity} from now on`);
    if (infirmity === "dead") return this.#simulation.crash(server.index, "power");
    if (infirmity === "paused") return void world.pause(server.index);
    for (const { index } of servers) {
      if (index === server.index) continue;
      if (infirmity !== "mute") network.cut(index, server.index);
      if (infirmity !== "deaf") network.cut(server.index, index);
    }
  }

  #swizzle({ clogs, for: duration }: Extract<Action, { type: "swizzle" }>): void {
    const { world, network, servers } = this.#simulation;
    const era = this.#era;
    for (const { server, from, until } of clogs) {
      world.schedule(-1, Port.nemesis, from, `s${server} is clogged`, () => {
        if (era !== this.#era) return;
        for (const peer of servers) {
          network.clog(server, peer.index, world.time + until - from);
          network.clog(peer.index, server, world.time + until - from);
        }
      });
    }
    this.#after(duration, "swizzled", () => {});
  }

  #suspend(server: number, duration: number): void {
    const { world, network, servers } = this.#simulation;
    const others = servers.map(({ index }) => index).filter((index) => index !== server);
    const { clock } = servers[server]!;
    const [at, shown, sleep] = [world.time, clock.now(), world.pause(server)];
    for (const other of others) {
      network.cut(server, other);
      network.cut(other, server);
    }
    this.#after(duration, `s${server} wakes up`, () => {
      for (const other of others) {
        network.mend(server, other);
        network.mend(other, server);
      }
      // A power cut or the end of all faults may have woken it before, and it may sleep again.
      if (!world.isPaused(server, sleep)) return;
      clock.stopMonotonic((world.time - at) / 1000, shown);
      world.resume(server);
    });
  }

  #after(delay: number, what: string, run: () => void): void {
    const era = this.#era;
    this.now++;
    this.#simulation.world.schedule(-1, Port.nemesis, delay, what, () => {
      if (era !== this.#era) return;
      this.now--;
      run();
    });
  }
}
