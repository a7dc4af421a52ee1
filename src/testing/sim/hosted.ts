/**
 * A user's own machine in a simulated cluster, and clients that call for it.
 *
 * @module
 */
import { RaftError } from "../../errors.ts";
import type { Codec, StateMachine } from "../../machine.ts";
import type { Raft } from "../../raft.ts";
import type { LogIndex, Term } from "../../types.ts";
import { checkLinearizability, type Model, type Operation } from "../linearizability.ts";
import type { Host } from "./clients.ts";
import type { SimConfig } from "./config.ts";
import type { Ghost } from "./ghost.ts";
import { HostedMachine, hostedStateIn, type HostedSubject, type Named } from "./hosted_machine.ts";
import type { MachineTap } from "./machine.ts";
import { drawMoveOf, judgedMove, type MoveInput, movesAfter } from "./moves.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { ScriptedCall } from "./script.ts";
import type { Life, SimServer } from "./server.ts";
import { textOf } from "./text.ts";
import { touch } from "./touches.ts";
import type { World } from "./world.ts";

/** What a user brings, with all types that differ between users gone. */
export interface Subject extends HostedSubject {
  readonly codec: Codec<unknown>;
  drawCommand(random: Random): unknown;
  /** Undefined when there are no queries. */
  drawQuery(random: Random): { readonly query: unknown } | undefined;
  answer(machine: StateMachine<unknown, unknown>, query: unknown): unknown;
  keyOf(input: unknown): string;
  readonly model: Model<unknown, unknown, unknown> | undefined;
}

/** A call under way. */
interface Call {
  readonly input: unknown;
  /** Whether it is a command or a query. */
  readonly isForMachine: boolean;
  readonly value: string | undefined;
  readonly called: number;
  readonly life: Life;
  readonly client: string;
  readonly settle: (isAnswered: boolean) => void;
}

type Entry = Operation<unknown, unknown> & { readonly value: string | undefined };

/** Steps of the model for one key. */
const stepsMax = 2_000_000;

/** How often a call is instead an operator's, who lets a machine begin anew. */
const INSTALL_CHANCE = 0.06;

/** Clients of a user's machine. */
export class Hosted implements Host {
  readonly codec: Codec<never>;
  readonly calls: readonly ScriptedCall[] = [];
  progress = 0;
  /** Snapshots that machines were asked for. */
  snapshots = 0;
  /** Machines that began with one. */
  restores = 0;
  readonly #subject: Subject;
  readonly #world: World;
  readonly #ghost: Ghost;
  readonly #config: SimConfig;
  readonly #random: Random;
  readonly #moves: Random;
  readonly #peers: Random;
  readonly #installs: Random;
  readonly #installChance: number;
  /** See {@linkcode Clients.takesSnapshots}. */
  takesSnapshots = false;
  readonly #open = new Set<Call>();
  readonly #history: Entry[] = [];
  readonly #machines = new WeakMap<Life, HostedMachine>();
  /** What machines made of each command. */
  readonly #results = new Map<string, unknown>();
  #servers: readonly SimServer[] = [];
  #values = 0;
  #stopped = true;
  #isSettled = false;

  /** Clients that don't call yet. */
  constructor(subject: Subject, world: World, ghost: Ghost, config: SimConfig, random: Random) {
    this.#subject = subject;
    this.#world = world;
    this.#ghost = ghost;
    this.#config = config;
    this.#random = random;
    this.#moves = random.split("moves");
    this.#peers = random.split("peers");
    this.#installs = random.split("installs");
    // Where nothing ever fails there is nothing to make up for.
    const isOff = config.faults.length === 0 || config.disk.keepsSnapshots !== true;
    this.#installChance = isOff ? 0 : INSTALL_CHANCE;
    this.codec = namedCodec(subject.codec) as Codec<unknown> as Codec<never>;
  }

  /** See {@linkcode Host.serve}. */
  serve(servers: readonly SimServer[]): void {
    this.#servers = servers;
  }

  /** See {@linkcode Host.machine}. */
  machine(life: Life, tap: MachineTap): StateMachine<never, unknown> {
    const machine = new HostedMachine(this.#subject, life.id, {
      ...tap,
      onResult: (value, result) => {
        if (!this.#results.has(value)) this.#results.set(value, result);
      },
      onSnapshot: () => void this.snapshots++,
      onRestored: () => void this.restores++,
      must: (condition, invariant, detail) => this.#ghost.must(condition || life.isOver, invariant, detail),
      hold: (what, work) =>
        this.#world.hold(work, () => {
          this.#ghost.must(life.isOver, "A7", () => {
            return `the machine of "${life.id}" does not ${what}, and may wait for nothing but the bytes it is given`;
          });
        }),
      get isOver() {
        return life.isOver;
      },
    });
    this.#machines.set(life, machine);
    this.takesSnapshots = machine.snapshot !== undefined && this.#config.disk.keepsSnapshots === true;
    return machine as StateMachine<Named, unknown> as StateMachine<never, unknown>;
  }

  /** See {@linkcode Host.stateIn}. */
  stateIn(snapshot: ReadableStream<Uint8Array>): Promise<number> {
    return hostedStateIn(snapshot);
  }

  get open(): number {
    return this.#open.size;
  }

  /** See {@linkcode Clients.isMoving}. */
  get isMoving(): boolean {
    return [...this.#open].some(({ input, isForMachine }) => !isForMachine && (input as MoveInput).type === "move");
  }

  openOn(servers: readonly SimServer[]): number {
    return [...this.#open].filter(({ life }) => servers.some((server) => server.life === life)).length;
  }

  get ended(): number {
    return this.#history.length;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    for (let i = 0; i < this.#config.client.clients; i++) this.#think(`c${i}`, this.#random.split(`client ${i}`));
  }

  /** What users replay is a seed. */
  play(): void {
    this.start();
  }

  stop(): void {
    this.#isSettled = true;
    this.#stopped = true;
  }

  onOver(life: Life): void {
    for (const call of [...this.#open]) if (call.life === life) this.#end(call, "unknown");
  }

  endure(): void {
    // Whatever a machine holds, it must be what the others hold.
  }

  /** See {@linkcode Clients.moves}. */
  moves(present: readonly SimServer[], members: readonly SimServer[], random: Random): Iterable<MoveInput> {
    return movesAfter(present, members, random);
  }

  /** See {@linkcode Clients.call}. */
  call({ life }: SimServer, input: MoveInput, client: string): Promise<boolean> | undefined {
    return life?.raft === undefined ? undefined : this.#begin(life, input, client, (call) => this.#move(call, input));
  }

  *probes(server: SimServer, random: Random): Iterable<readonly [what: string, answer: Promise<boolean> | undefined]> {
    yield ["a command", this.#call(server, "after", { command: this.#subject.drawCommand(random) })];
    const query = this.#subject.drawQuery(random);
    if (query !== undefined) yield ["a query", this.#call(server, "after", query)];
  }

  checkHistory(): void {
    const { model } = this.#subject;
    if (model === undefined) return;
    const { verdict, failure } = checkLinearizability(model, this.#history.map((call) => this.#settled(call)), {
      stepsMax,
    });
    this.#ghost.must(verdict === "linearizable", "R4", () => {
      const stuck = failure!.stuck.slice(0, 4).map(({ input, output, client }) => {
        return `${client} was answered ${textOf(output)} to ${textOf(input)}`;
      });
      return verdict === "unknown"
        ? `whether the history of "${failure!.key}" follows the model was not found out in ${stepsMax} steps`
        : `the history of "${failure!.key}" does not follow the model: ${stuck.join("; ")}`;
    });
  }

  /** What nobody knew during the run is known after it. */
  #settled(entry: Entry): Operation<unknown, unknown> {
    const { value, outcome } = entry;
    if (outcome !== "unknown" || value === undefined) return entry;
    const applied = this.#ghost.appliedFirst.get(value);
    if (applied === undefined) return { ...entry, outcome: "failed" };
    return { ...entry, outcome: "ok", returned: applied.event, output: this.#results.get(value) };
  }

  #think(client: string, random: Random): void {
    const { thinkTime } = this.#config.client;
    this.#world.schedule(-1, Port.client, random.spread(1, thinkTime * 2), client, () => {
      if (this.#stopped) return;
      const done = this.#ask(client, random);
      if (done === undefined) this.#think(client, random);
      else void done.then(() => this.#think(client, random));
    });
  }

  #ask(client: string, random: Random): Promise<boolean> | undefined {
    const { moving } = this.#config;
    const moves = this.#moves;
    // The moves end with the faults: what follows is about the servers that there are then.
    if (moving !== undefined && !this.#isSettled && moves.chance(moving.chance)) {
      const input = drawMoveOf(
        this.#servers,
        moves,
        { swaps: moves, peers: this.#peers },
        `m${++this.#values}`,
        moving,
      );
      return this.call(moves.pick(this.#servers), input, client);
    }
    const installs = this.#installs.chance(this.#installChance) ? this.#installs.pick(this.#servers).life : undefined;
    if (!this.#isSettled && installs?.raft !== undefined && this.#machines.get(installs)?.restore !== undefined) {
      return this.#beginAnew(installs, client);
    }
    const query = random.chance(0.4) ? this.#subject.drawQuery(random) : undefined;
    return this.#call(random.pick(this.#servers), client, query ?? { command: this.#subject.drawCommand(random) });
  }

  /** An operator's call: a machine that has run for a while takes what a snapshot has in place of what it has. */
  #beginAnew(life: Life, client: string): Promise<boolean> {
    const input = { type: "install-snapshot", value: `i${++this.#values}`, after: 0 } as const;
    return this.#begin(life, input, client, async (call) => {
      this.#end(call, await touch(this.#world, this.#ghost, life, input) ? "ok" : "failed");
    });
  }

  /** A call that is not for the machine. */
  #begin(life: Life, input: unknown, client: string, make: (call: Call) => Promise<void>): Promise<boolean> {
    return new Promise((settle) => {
      const called = this.#world.events;
      const call: Call = { input, isForMachine: false, value: undefined, called, life, client, settle };
      this.#open.add(call);
      void make(call);
    });
  }

  /** Undefined when the server is down. */
  #call(
    { life }: SimServer,
    client: string,
    what: { readonly command: unknown } | { readonly query: unknown },
  ): Promise<boolean> | undefined {
    if (life?.raft === undefined) return undefined;
    const isCommand = "command" in what;
    const input = isCommand ? what.command : what.query;
    const value = isCommand ? `v${++this.#values}` : undefined;
    return new Promise((settle) => {
      const call: Call = { input, isForMachine: true, value, called: this.#world.events, life, client, settle };
      this.#open.add(call);
      void (isCommand ? this.#apply(call) : this.#read(call));
    });
  }

  async #apply(call: Call): Promise<void> {
    const raft = call.life.raft! as Raft<unknown, unknown>;
    const named: Named = { value: call.value!, command: call.input };
    try {
      const { index, term, result } = await raft.applyEntry({ data: named });
      if (!this.#open.has(call)) return;
      this.#end(call, "ok", result);
      this.#ghost.readFloor = Math.max(this.#ghost.readFloor, index);
      this.#ghost.later.push(() => this.#acknowledged(call, index, term));
    } catch (error) {
      // What a machine throws is its answer.
      if (error instanceof RaftError) this.#failed(call, error);
      else this.#end(call, "ok", error);
    }
  }

  async #read(call: Call): Promise<void> {
    const { life, input } = call;
    const floor = this.#ghost.readFloor;
    try {
      let at = 0;
      const output = await life.raft!.read(() => {
        at = life.raft!.appliedIndex;
        return this.#subject.answer(this.#machines.get(life)!.inner, input);
      });
      if (!this.#open.has(call)) return;
      this.#ghost.must(at >= floor, "R1", () => `a query on "${life.id}" saw ${at}, others had seen ${floor} before`);
      this.#ghost.readFloor = Math.max(this.#ghost.readFloor, at);
      this.#end(call, "ok", output);
    } catch (error) {
      if (error instanceof RaftError) this.#failed(call, error);
      else this.#end(call, "ok", error);
    }
  }

  async #move(call: Call, input: MoveInput): Promise<void> {
    const isDone = await judgedMove(this.#ghost, call.life, input, () => this.#open.has(call));
    this.#end(call, isDone ? "ok" : "failed");
  }

  /** K3: what a client is told is what was committed. */
  #acknowledged({ value }: Call, index: LogIndex, term: Term): void {
    const ghost = this.#ghost;
    const isThere = ghost.commits.at(index)?.term === term && ghost.appliedAt.get(value!)?.[0] === index;
    ghost.must(isThere, "K3", () => `command ${value} is acknowledged as entry ${index} of term ${term}, and is not`);
  }

  #failed(call: Call, { outcome }: RaftError): void {
    if (!this.#open.has(call)) return;
    const isDefinite = outcome === "not-applied";
    if (isDefinite && call.value !== undefined) this.#ghost.noteNotApplied(call.value);
    this.#end(call, isDefinite ? "failed" : "unknown");
  }

  #end(call: Call, outcome: Entry["outcome"], output?: unknown): void {
    if (!this.#open.delete(call)) return;
    call.settle(outcome === "ok");
    const { input, value, called, client } = call;
    if (!call.isForMachine) return;
    const key = this.#subject.keyOf(input);
    // Without a command an answer that never came is a question that was never asked.
    const known = outcome === "unknown" && value === undefined ? "failed" : outcome;
    this.#history.push({ key, input, value, outcome: known, output, called, returned: this.#world.events, client });
  }
}

/** The user's bytes behind a name. */
function namedCodec(codec: Codec<unknown>): Codec<Named> {
  const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
  return {
    encode(named) {
      // A command of the simulator's own is for a server that has stopped: no machine will see it.
      const bytes = "command" in named ? codec.encode(named.command) : new Uint8Array(0);
      const name = encoder.encode(named.value);
      const all = new Uint8Array(1 + name.length + bytes.length);
      all[0] = name.length;
      all.set(name, 1);
      all.set(bytes, 1 + name.length);
      return all;
    },
    decode(bytes) {
      const end = 1 + bytes[0]!;
      return { value: decoder.decode(bytes.subarray(1, end)), command: codec.decode(bytes.subarray(end)) };
    },
  };
}
