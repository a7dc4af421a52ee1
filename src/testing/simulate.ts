/**
 * A user's own machine in a simulated cluster.
 *
 * @module
 */
import { checkBoolean, checkFunction } from "../checks.ts";
import { msgpackCodec } from "../codec.ts";
import type { Codec, StateMachine } from "../machine.ts";
import type { Model } from "./linearizability.ts";
import { excludesMoves, type Fault, FAULTS } from "./sim/config.ts";
import { Hosted, type Subject } from "./sim/hosted.ts";
import type { Random } from "./sim/random.ts";
import { describeReport } from "./sim/report.ts";
import { type RunReport, runSeed } from "./sim/run.ts";

/** Where the draws of {@linkcode SimulateOptions} come from: the same for the same seed. */
export interface Chance {
  /** An integer in `[0, end)`. */
  below(end: number): number;
  /** An integer in `[min, max]`. */
  between(min: number, max: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of these. */
  pick<T>(items: readonly T[]): T;
}

/** Which machine {@linkcode simulate} asks for. */
export interface SimulatedServer {
  /** The server. Every start of one asks for a new machine. */
  readonly id: string;
  /** The seed of the run: what outlives a server's process in a test must not outlive the run. */
  readonly seed: number;
}

/** Options of {@linkcode simulate}. */
export interface SimulateOptions<Command, Result, Machine, Query = never, State = unknown> {
  /** Draws a client's next command. */
  readonly operations: (chance: Chance) => Command;
  /** Queries that clients ask besides, through linearizable reads. */
  readonly queries?: SimulatedQueries<Machine, Query, Result>;
  /**
   * What replicas must have in common after each command: data, not the machine itself. Maps, sets, bytes and plain
   * objects are compared by what they hold. Without it only the results of commands are compared.
   */
  readonly hash?: (machine: Machine) => unknown;
  /**
   * What commands and queries should do, one after the other: the history of all clients is checked against it. What
   * `apply` throws is an output too.
   */
  readonly model?: Model<State, Command | Query, Result>;
  /**
   * What a command or query is about: histories are checked key by key, which is faster.
   *
   * @default {() => ""}
   */
  readonly keyOf?: (input: Command | Query) => string;
  /**
   * How commands become bytes.
   *
   * @default {msgpackCodec()}
   */
  readonly codec?: Codec<Command>;
  /** Voters, 1 to 7; drawn for each seed by default. */
  readonly servers?: number;
  /**
   * Whether servers also come, go and hand over: there are up to three more, which start empty and are asked for a machine
   * when they start. Not in seeds that draw more damage to disks than can be survived.
   *
   * @default {false}
   */
  readonly membership?: boolean;
  /**
   * The first seed.
   *
   * @default {0}
   */
  readonly seed?: number;
  /**
   * How many seeds are run.
   *
   * @default {10}
   */
  readonly seeds?: number;
  /** Faults to inject, by name; by default each seed draws some. With none of them nothing ever fails. */
  readonly faults?: readonly SimulatedFault[];
  /**
   * Protocol steps of each seed until its faults end and everything must work again.
   *
   * @default {3000}
   */
  readonly steps?: number;
}

/** Queries of {@linkcode SimulateOptions}. */
export interface SimulatedQueries<Machine, Query, Result> {
  /** Draws a client's next query. */
  readonly draw: (chance: Chance) => Query;
  /** Answers it. */
  readonly answer: (machine: Machine, query: Query) => Result;
}

/** A fault that {@linkcode simulate} may inject. */
export type SimulatedFault = Fault;

/** What {@linkcode simulate} did. */
export interface SimulateReport {
  /** The first seed. */
  readonly seed: number;
  /** Seeds that were run: this one and those that follow it. */
  readonly seeds: number;
  /** Commands and queries that clients asked for. */
  readonly operations: number;
  /** Protocol steps. */
  readonly steps: number;
  /** Times that a server's process or machine died. */
  readonly crashes: number;
  /** Snapshots that machines were asked for. */
  readonly snapshots: number;
  /** Times that a machine began with one: at a start, or as a leader sent it. */
  readonly restores: number;
  /** Virtual milliseconds. */
  readonly timeMs: number;
}

/** A seed with which replicas or the history of clients are not as they should be. */
export class SimulationFailure extends Error {
  /** `SimulationFailure`. */
  override readonly name = "SimulationFailure";
  /** Runs the same again, given to {@linkcode simulate} as its only one. */
  readonly seed: number;
  /**
   * What does not hold: `A3` a state, `A4` a result that differs between replicas, `S1` what a snapshot was restored to, `R4`
   * the history, …
   */
  readonly invariant: string;

  /** Takes what failed, with all that there is to say. */
  constructor(seed: number, invariant: string, message: string) {
    super(message);
    this.seed = seed;
    this.invariant = invariant;
  }
}

/**
 * Runs a cluster of your own state machine in a simulated world, where messages get lost, disks stall and servers die,
 * and checks that all replicas agree and, given a model, that clients were answered as it says. Each seed is a run of
 * its own that nothing but the seed decides, and that waits for no real time.
 *
 * A machine that has both `snapshot` and `restore` uses them: servers start from snapshots, and get them from others. What is
 * restored must be what the snapshot was taken of.
 *
 * The machine must be as deterministic as any, and may not wait for real time: no virtual time passes until a promise of
 * its, or a piece of its stream, is there.
 *
 * @example A machine that forgets that its log is applied anew when it starts
 * ```ts
 * import { simulate } from "@securecollc/raft/testing";
 *
 * // What is in a table outlives the process, as rows in a database do.
 * const tables = new Map<string, { sum: number }>();
 *
 * await simulate(({ id, seed }) => {
 *   const table = tables.get(`${seed} ${id}`) ?? { sum: 0 };
 *   tables.set(`${seed} ${id}`, table);
 *   return { apply: (amount: number) => table.sum += amount };
 * }, { operations: (chance) => chance.between(1, 9), faults: ["kill"] });
 * // SimulationFailure: seed 0: A3: the machine of "s1" differs from others' after entry 7
 * ```
 *
 * @param machine Makes the machine of a server that starts.
 * @throws {SimulationFailure} With the first seed that fails, and how to run it again.
 * @throws {RangeError} When an option cannot be used.
 */
export async function simulate<
  Command,
  Result,
  Machine extends StateMachine<Command, Result>,
  Query = never,
  State = unknown,
>(
  machine: (server: SimulatedServer) => Machine,
  options: SimulateOptions<Command, Result, Machine, Query, State>,
): Promise<SimulateReport> {
  const { seed: start = 0, seeds = 10, servers, membership = false, faults, steps = 3000 } = options;
  integer("seed", start, 0, Number.MAX_SAFE_INTEGER);
  integer("seeds", seeds, 1, Number.MAX_SAFE_INTEGER - start);
  integer("steps", steps, 1, Number.MAX_SAFE_INTEGER);
  if (servers !== undefined) integer("servers", servers, 1, 7);
  const unknown = faults?.find((fault) => !FAULTS.includes(fault));
  if (unknown !== undefined) throw new RangeError(`Cannot use faults "${unknown}": there are ${FAULTS.join(", ")}`);
  checkBoolean("simulate", "membership", membership);
  for (const name of ["operations", "hash", "keyOf"] as const) checkFunction("simulate", name, options[name]);
  const excluding = membership ? faults?.find(excludesMoves) : undefined;
  if (excluding !== undefined) {
    throw new RangeError(`Cannot use faults "${excluding}" with membership: nothing says what is left of a quorum`);
  }
  const moving = membership && (servers === undefined ? {} : { voters: servers });
  const request = { servers: membership ? undefined : servers, moving, faults, steps, keepsLines: true };
  const done = { seed: start, seeds: 0, operations: 0, steps: 0, crashes: 0, snapshots: 0, restores: 0, timeMs: 0 };
  for (let seed = start; seed < start + seeds; seed++) {
    const subject = subjectOf((id) => machine({ id, seed }), options);
    let hosted!: Hosted;
    const report = await runSeed(seed, {
      ...request,
      host: (world, ghost, config, random) => hosted = new Hosted(subject, world, ghost, config, random),
    });
    if (report.violation !== undefined) throw failure(report);
    done.seeds++;
    done.operations += report.operations;
    done.steps += report.steps;
    done.crashes += report.crashes;
    done.snapshots += hosted.snapshots;
    done.restores += hosted.restores;
    done.timeMs += report.timeMs;
  }
  return done;
}

/** The same with all types gone: what is drawn goes back only to where it came from. */
function subjectOf<Command, Result, Machine extends StateMachine<Command, Result>, Query, State>(
  machine: (id: string) => Machine,
  options: SimulateOptions<Command, Result, Machine, Query, State>,
): Subject {
  const { operations, queries, hash, model, keyOf = () => "", codec = msgpackCodec<Command>() } = options;
  return {
    codec: codec as Codec<unknown>,
    machine: (id) => machine(id) as StateMachine<unknown, unknown>,
    drawCommand: (random: Random) => operations(random),
    drawQuery: (random) => queries === undefined ? undefined : { query: queries.draw(random) },
    answer: (of, query) => queries!.answer(of as Machine, query as Query),
    stateOf: (of) => hash === undefined ? undefined : { state: hash(of as Machine) },
    keyOf: (input) => keyOf(input as Command | Query),
    model: model as Model<unknown, unknown, unknown> | undefined,
  };
}

function integer(name: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`Cannot use ${name} ${value}: it must be an integer from ${min} to ${max}`);
}

/** Machines that aren't deterministic do not do the same again: the events are those of the run that failed. */
function failure(report: RunReport): SimulationFailure {
  const { seed, violation } = report;
  const replay = `simulate(machine, { ...options, seed: ${seed}, seeds: 1 })`;
  return new SimulationFailure(seed, violation!.invariant, describeReport(report, replay));
}
