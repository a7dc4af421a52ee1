/**
 * One run: faults, then healing, then the demand that everything converges and serves.
 *
 * @module
 */
import { takeMarks } from "../../marks.ts";
import { type ConfigRequest, drawConfig, type SimConfig } from "./config.ts";
import { InvariantViolation } from "./ghost.ts";
import { drawAction } from "./nemesis.ts";
import { Port } from "./queue.ts";
import { Random } from "./random.ts";
import { type Distortion, isCall, mergeDecisions, type Script } from "./script.ts";
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
  /** Makes every core another one. */
  readonly distort?: Distortion | undefined;
  /** Clients with a machine of their own. */
  readonly host?: SimulationOptions["host"];
}

/** Election timeouts that anything may take once the world is healed. */
const patience = 40;

/** Runs one seed. Never rejects for what the code under test does. */
export function runSeed(seed: number, request: RunRequest = {}): Promise<RunReport> {
  const config = drawConfig(Random.seeded(seed).split("config"), request);
  return runConfig(seed, config, request);
}

/** Does to a cluster what the script says and nothing else. What the script fixes, the request can't. */
export function runScript(script: Script, request: RunRequest = {}): Promise<RunReport> {
  return runConfig(script.seed, script.config, request, script);
}

async function runConfig(
  seed: number,
  config: SimConfig,
  { keepsLines = false, distort, host }: RunRequest,
  script?: Script,
): Promise<RunReport> {
  const random = Random.seeded(seed);
  const simulation = new Simulation(config, random, { keepsLines, distort, host });
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
  return {
    seed,
    config,
    violation,
    events: world.events,
    steps: simulation.steps,
    timeMs: world.time / 1000,
    entries: ghost.commits.length,
    operations: workload.ended,
    elections: ghost.leaders.size,
    crashes: plague.performed.filter(({ action }) => action.type === "crash").length,
    lost: simulation.servers.length - simulation.present.length,
    hash: world.trace.hash,
    lines: world.trace.lines(),
    marks: { ...takeMarks(), ...simulation.marks.hits },
    script: {
      seed,
      config,
      until: run.faultsEndedAt ?? world.time,
      decisions: mergeDecisions(plague.performed, workload.calls),
    },
  };
}

class Run {
  readonly #simulation: Simulation;
  readonly #random: Random;
  /** Microseconds; undefined before. */
  faultsEndedAt: number | undefined;

  constructor(simulation: Simulation, random: Random) {
    this.#simulation = simulation;
    this.#random = random.split("nemesis");
  }

  /** Draws what happens, or takes it from a script. */
  async run(script?: Script): Promise<void> {
    const { workload, world } = this.#simulation;
    this.#simulation.start();
    await (script === undefined ? this.#draw() : this.#play(script));
    this.faultsEndedAt = world.time;
    workload.stop();
    this.#simulation.plague.heal();
    await this.#within("V1", "start", () => this.#simulation.present.every(({ life }) => life?.raft !== undefined));
    if (!this.#simulation.plague.atlas.isQuorumLeft) await this.#standStill();
    else await this.#resume();
    await this.#shutDown();
    this.#checkHistory();
  }

  /** What is left takes commands again. */
  async #resume(): Promise<void> {
    await this.#within("V2", "converge", () => this.#hasConverged());
    await this.#serve();
    await this.#within("V2", "converge again", () => this.#hasConverged());
  }

  /** D2: too much is damaged. Nobody guesses what it was: nothing is committed any more, and no read is answered. */
  async #standStill(): Promise<void> {
    const { ghost, present, workload } = this.#simulation;
    const committed = ghost.commits.length;
    for (const server of present) {
      for (const [what, answered] of workload.probes(server, this.#random)) {
        let answer: boolean | undefined;
        answered?.then((ok) => answer = ok);
        await this.#within("K4", `answer on ${server.id}`, () => answer !== undefined);
        ghost.must(answer === false, "D2", () => `${server.id} answers ${what} although no quorum is left`);
      }
    }
    ghost.must(ghost.commits.length === committed, "D2", () => {
      return `${ghost.commits.length - committed} entries are committed although no quorum is left`;
    });
  }

  #draw(): Promise<void> {
    const { config, workload, world } = this.#simulation;
    workload.start();
    this.#plague();
    // A cluster that hardly ever has a leader takes few steps: it has had its chance.
    const eventsMax = config.steps * 3;
    return this.#simulation.run(() => {
      workload.progress = Math.max(this.#simulation.steps / config.steps, world.events / eventsMax);
      return workload.progress >= 1;
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
      const action = drawAction(this.#random, config, { leader: this.#simulation.leader?.index });
      const { plague } = this.#simulation;
      const isRoom = plague.now < config.faultsAtOnce && plague.performed.length < config.faultsMax;
      if (action !== undefined && isRoom) plague.perform(action);
      this.#plague();
    });
  }

  /** V1, V2: everybody is up, follows one leader and has applied all there is. */
  #hasConverged(): boolean {
    const { present: servers, lives, leader, workload, network } = this.#simulation;
    if (!network.isWhole(servers.map(({ index }) => index))) return false;
    if (leader === undefined || lives.length < servers.length || workload.open > 0) return false;
    const { commitIndex, log, term } = leader.core;
    return commitIndex === log.lastIndex &&
      lives.every(({ core, raft }) =>
        core.term === term && core.leader === leader.id && core.log.lastIndex === commitIndex &&
        core.commitIndex === commitIndex && raft!.appliedIndex === commitIndex
      );
  }

  /** V3: it takes commands and reads on every server. */
  async #serve(): Promise<void> {
    const { present, workload } = this.#simulation;
    for (const server of present) {
      for (const [what, answered] of workload.probes(server, this.#random)) {
        let answer: boolean | undefined;
        answered?.then((ok) => answer = ok);
        await this.#within("V3", `answer on ${server.id}`, () => answer !== undefined);
        this.#simulation.ghost.must(
          answer === true,
          "V3",
          () => `${server.id} refuses ${what} in a healthy cluster`,
        );
      }
    }
  }

  /** V8: every server stops in bounded time. */
  async #shutDown(): Promise<void> {
    const servers = this.#simulation.servers.filter(({ life }) => life?.raft !== undefined);
    let left = servers.length;
    for (const server of servers) this.#simulation.stop(server).then(() => left--);
    await this.#within("V8", "stop", () => left === 0);
  }

  /** R4. */
  #checkHistory(): void {
    const { ghost, workload } = this.#simulation;
    ghost.must(workload.open === 0, "K4", () => `${workload.open} calls were never answered`);
    workload.checkHistory();
    if (ghost.violation !== undefined) throw ghost.violation;
  }

  async #within(invariant: string, what: string, holds: () => boolean): Promise<void> {
    const { world, ghost, config, servers } = this.#simulation;
    const deadline = world.time + config.settings.electionMaxMs! * 1000 * patience;
    await this.#simulation.run(() => holds() || world.time > deadline);
    ghost.must(holds(), invariant, () => {
      const states = servers.map(({ id, life }) => {
        if (life?.core === undefined) return `${id} is down`;
        const { role, term, leader, commitIndex, log } = life.core;
        return `${id} is ${role} in ${term} of ${leader}, ${commitIndex}/${log.lastIndex}, applied ${life.raft?.appliedIndex}`;
      });
      return `the cluster does not ${what} within ${patience} election timeouts: ${states.join("; ")}; ` +
        `${this.#simulation.workload.open} open calls`;
    });
    if (ghost.violation !== undefined) throw ghost.violation;
  }
}
