/**
 * One run: faults, then healing, then the demand that everything converges and serves.
 *
 * @module
 */
import { takeMarks } from "../../marks.ts";
import { Aftermath } from "./aftermath.ts";
import {
  drawAmbush,
  drawBreak,
  drawCompany,
  drawCrowd,
  drawFullStart,
  drawLateAnswer,
  drawLostCall,
  drawTrap,
} from "./ambush.ts";
import { type ConfigRequest, drawConfig, type SimConfig } from "./config.ts";
import { drawSpread } from "./disk/disk_actions.ts";
import { InvariantViolation } from "./ghost.ts";
import { drawLeaseTrap, type LeaseTrap } from "./lease_traps.ts";
import { type Action, drained, drawAction, onChannel } from "./nemesis.ts";
import { Port } from "./queue.ts";
import { Random } from "./random.ts";
import { type Distortion, isCall, mergeDecisions, type Script, type ScriptedCall } from "./script.ts";
import { lostEntries } from "./survivors.ts";
import { Simulation, type SimulationOptions } from "./simulation.ts";

/** How a run ended. */
export interface RunReport {
  readonly seed: number;
  readonly config: SimConfig;
  /** Undefined when all is well. */
  readonly violation: InvariantViolation | undefined;
  readonly events: number;
  /** Steps of all cores after the first leader. */
  readonly steps: number;
  /** Virtual milliseconds. */
  readonly timeMs: number;
  readonly entries: number;
  readonly operations: number;
  readonly elections: number;
  readonly crashes: number;
  /** Servers that found damage on their disk and never started again. */
  readonly lost: number;
  /** Whether nobody was left who could lead, so that nothing was to be served any more. */
  readonly hasHalted: boolean;
  /** Committed entries that nobody had any more at the end. */
  readonly lostEntries: number;
  /** Equal for equal seeds, on every runtime. */
  readonly hash: string;
  /** The last events, when they were asked for. */
  readonly lines: readonly string[];
  /** How often the run came by each mark. */
  readonly marks: Readonly<Record<string, number>>;
  /** All that was done to the cluster. */
  readonly script: Script;
}

/** What a run takes besides its seed. */
export interface RunRequest extends ConfigRequest {
  readonly keepsLines?: boolean | undefined;
  /** Told of each line that is kept, at once: a run that has no end can't give them back. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** Makes every core another one. */
  readonly distort?: Distortion | undefined;
  /** Clients with a machine of their own. */
  readonly host?: SimulationOptions["host"];
}

/** Runs one seed. Never rejects for what the code under test does. */
export function runSeed(seed: number, request: RunRequest = {}): Promise<RunReport> {
  // Whoever brings a machine says whether servers come and go.
  const moving = request.host === undefined ? request.moving : request.moving ?? false;
  // And whether there are snapshots.
  const indexStart = request.host === undefined ? request.indexStart : 0;
  const config = drawConfig(Random.seeded(seed).split("config"), { ...request, moving, indexStart });
  return runConfig(seed, config, request);
}

/** Does to a cluster what the script says and nothing else. What the script fixes, the request can't. */
export function runScript(script: Script, request: RunRequest = {}): Promise<RunReport> {
  return runConfig(script.seed, script.config, request, script);
}

async function runConfig(
  seed: number,
  config: SimConfig,
  { keepsLines = false, onLine, distort, host }: RunRequest,
  script?: Script,
): Promise<RunReport> {
  const random = Random.seeded(seed);
  const simulation = new Simulation(config, random, { keepsLines, onLine, distort, host });
  const run = new Run(simulation, random);
  takeMarks();
  let violation: InvariantViolation | undefined;
  try {
    await run.run(script);
  } catch (error) {
    violation = error instanceof InvariantViolation
      ? error
      : new InvariantViolation("S0", `the simulator failed: ${error instanceof Error ? error.stack : error}`);
  }
  const { world, ghost, workload, plague } = simulation;
  if (plague.atlas.isBeyond) {
    // Nothing that such a run does well says anything.
    violation ??= new InvariantViolation("X0", "disks were replaced beyond what can be survived: this is no pass");
  }
  const until = run.faultsEndedAt ?? world.time;
  return {
    seed,
    config,
    violation,
    events: world.events,
    steps: simulation.steps,
    timeMs: world.time / 1000,
    entries: ghost.commits.count,
    operations: workload.ended,
    elections: ghost.leaders.size,
    crashes: plague.performed.filter(({ action }) => action.type === "crash").length,
    lost: simulation.servers.length - simulation.present.length,
    hasHalted: run.hasHalted,
    lostEntries: lostEntries(simulation),
    hash: world.trace.hash,
    lines: world.trace.lines(),
    marks: { ...takeMarks(), ...simulation.hits },
    script: { seed, config, until, decisions: mergeDecisions(plague.performed, callsUntil(workload.calls, until)) },
  };
}

/** What is called later is drawn again. */
function callsUntil(calls: readonly ScriptedCall[], until: number): readonly ScriptedCall[] {
  return calls.filter(({ at }) => at <= until);
}

class Run {
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #aftermath: Random;
  readonly #ambushes: Random;
  readonly #company: Random;
  readonly #crowds: Random;
  readonly #fullStarts: Random;
  readonly #traps: Random;
  readonly #answers: Random;
  readonly #leases: Random;
  readonly #spread: Random;
  readonly #breaks: Random;
  readonly #lostCalls: Random;
  readonly #channels: Random;
  readonly #drains: Random;
  #isRelieved = false;
  /** Whether nobody was left who could lead. */
  hasHalted = false;
  /** Microseconds; undefined before. */
  faultsEndedAt: number | undefined;

  constructor(simulation: Simulation, random: Random) {
    this.#simulation = simulation;
    this.#random = random.split("nemesis");
    this.#aftermath = random.split("aftermath");
    this.#ambushes = random.split("ambush");
    this.#company = random.split("company");
    this.#crowds = random.split("crowds");
    this.#fullStarts = random.split("full starts");
    this.#traps = random.split("traps");
    this.#answers = random.split("answers");
    this.#leases = random.split("leases");
    this.#spread = random.split("spread");
    this.#breaks = random.split("breaks");
    this.#lostCalls = random.split("lost calls");
    this.#channels = random.split("channels");
    this.#drains = random.split("drains");
  }

  /** Draws what happens, or takes it from a script. */
  async run(script?: Script): Promise<void> {
    const { workload, world } = this.#simulation;
    this.#simulation.start();
    await (script === undefined ? this.#draw() : this.#play(script));
    this.faultsEndedAt = world.time;
    workload.stop();
    const aftermath = new Aftermath(this.#simulation, this.#aftermath);
    await aftermath.run().finally(() => this.hasHalted = aftermath.hasHalted);
  }

  async #draw(): Promise<void> {
    const { config, workload, world } = this.#simulation;
    workload.start();
    this.#plague();
    this.#simulation.onMoment = (life, step) => {
      if (this.faultsEndedAt !== undefined) return;
      const action = drawAmbush(this.#ambushes, config, life, step);
      // Later than the step, as a script can only do what comes between two events.
      if (action !== undefined) world.schedule(-1, Port.nemesis, 1, "ambush", () => this.#perform(action));
      for (const trap of [drawTrap(this.#traps, config, life, step), drawBreak(this.#breaks, config, life, step)]) {
        if (trap !== undefined) world.schedule(-1, Port.nemesis, trap.after, "trap", () => this.#perform(trap.action));
      }
      const lease = drawLeaseTrap(this.#leases, config, life, step);
      if (lease !== undefined) world.schedule(-1, Port.nemesis, 1, "lease trap", () => this.#spring(lease));
    };
    this.#simulation.onForward = (from, leader) => {
      if (this.faultsEndedAt === undefined) this.#onForward(from, leader);
    };
    await this.#simulation.run(() => {
      workload.progress = this.#simulation.steps / config.steps;
      // A cluster that hardly ever has a leader takes few steps: there are no new faults until it has taken them.
      this.#isRelieved = world.events > config.steps * 3;
      if (workload.progress >= 1 || world.events > config.steps * 10) return true;
      // One that has no quorum any more takes none. That takes a while to see.
      return world.events > config.steps && world.events % 32 === 0 && !this.#simulation.plague.atlas.isQuorumLeft;
    });
    const quietUntil = world.time + config.quietTail;
    // A script does not know of it, and sessions are what would tell.
    if (config.quietTail > 0) workload.stop(true);
    await this.#simulation.run(() => world.time >= quietUntil);
  }

  #onForward(from: number, leader: number): void {
    const { config, plague, servers, workload, world } = this.#simulation;
    const actions = drawLateAnswer(this.#answers, config, leader, from);
    if (actions !== undefined) {
      world.schedule(-1, Port.nemesis, 1, "late answer", () => {
        if (!this.#isRoom || this.faultsEndedAt !== undefined) return;
        for (const action of actions) plague.perform(action);
      });
    }
    const lost = drawLostCall(this.#lostCalls, config, leader, from);
    if (lost === undefined) return;
    world.schedule(-1, Port.nemesis, lost.after, "lost call", () => {
      if (!this.#isRoom || this.faultsEndedAt !== undefined) return;
      plague.perform(lost.action);
      world.schedule(-1, Port.client, 1, "rush", () => workload.rush?.(servers[from]!, lost.calls, this.#lostCalls));
    });
  }

  #play({ decisions, until }: Script): Promise<void> {
    const { workload, world } = this.#simulation;
    workload.play(decisions.filter(isCall));
    for (const decision of decisions) {
      if (isCall(decision)) continue;
      const { at, action } = decision;
      world.schedule(-1, Port.nemesis, at - world.time, "nemesis", () => this.#simulation.plague.perform(action));
    }
    world.schedule(-1, Port.phase, until - world.time, "faults end", () => {});
    return this.#simulation.run(() => world.time >= until);
  }

  /** Faults, one after the other. */
  #plague(): void {
    const { world, config } = this.#simulation;
    const delay = this.#random.between(1, config.faultEvery * 2);
    world.schedule(-1, Port.nemesis, delay, "nemesis", () => {
      if (this.faultsEndedAt !== undefined) return;
      const action = this.#isRoom
        ? drawAction(this.#random, config, { leader: this.#simulation.leader?.index })
        : undefined;
      if (action !== undefined) this.#perform(drained(this.#drains, config, onChannel(this.#channels, config, action)));
      this.#plague();
    });
  }

  #perform(action: Action): void {
    if (!this.#isRoom || this.faultsEndedAt !== undefined) return;
    const { config, leader, plague, servers, workload, world } = this.#simulation;
    const company = leader && drawCompany(this.#company, config, action, leader.index);
    const crowd = company && drawCrowd(this.#crowds, config, company);
    const actions = crowd?.actions ?? company?.actions ?? [action, ...drawSpread(this.#spread, config, action)];
    for (const it of actions) plague.perform(it);
    const start = drawFullStart(this.#fullStarts, config, action);
    if (start !== undefined) plague.perform(start);
    const writes = crowd?.writes ?? company?.writes ?? 0;
    if (writes === 0) return;
    world.schedule(-1, Port.client, 1, "rush", () => {
      workload.rush?.(servers[leader!.index]!, writes, crowd === undefined ? this.#company : this.#crowds);
    });
  }

  /** All of it or nothing. */
  #spring({ first, after, then }: LeaseTrap): void {
    if (!this.#isRoom || this.faultsEndedAt !== undefined) return;
    const { plague, world } = this.#simulation;
    for (const action of first) plague.perform(action);
    if (then.length === 0) return;
    world.schedule(-1, Port.nemesis, after, "lease trap", () => {
      if (this.faultsEndedAt !== undefined) return;
      for (const action of then) plague.perform(action);
    });
  }

  get #isRoom(): boolean {
    const { plague, config } = this.#simulation;
    return !this.#isRelieved && plague.now < config.faultsAtOnce && plague.performed.length < config.faultsMax;
  }
}
