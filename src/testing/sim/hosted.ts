/**
 * A user's own machine in a simulated cluster, and clients that call for it.
 *
 * @module
 */
import { RaftError } from "../../errors.ts";
import type { ApplyContext, Codec, StateMachine } from "../../machine.ts";
import type { Raft } from "../../raft.ts";
import type { LogIndex, Term } from "../../types.ts";
import { checkLinearizability, type Model, type Operation } from "../linearizability.ts";
import type { Host } from "./clients.ts";
import type { SimConfig } from "./config.ts";
import type { Ghost } from "./ghost.ts";
import { hashText, type MachineTap } from "./machine.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { ScriptedCall } from "./script.ts";
import type { Life, SimServer } from "./server.ts";
import { textOf } from "./text.ts";
import type { World } from "./world.ts";

/** What a user brings, with all types that differ between users gone. */
export interface Subject {
  readonly codec: Codec<unknown>;
  /** The machine of a life. */
  machine(server: string): StateMachine<unknown, unknown>;
  drawCommand(random: Random): unknown;
  /** Undefined when there are no queries. */
  drawQuery(random: Random): { readonly query: unknown } | undefined;
  answer(machine: StateMachine<unknown, unknown>, query: unknown): unknown;
  /** All that replicas must have in common; undefined when only results are compared. */
  stateOf(machine: StateMachine<unknown, unknown>): { readonly state: unknown } | undefined;
  keyOf(input: unknown): string;
  readonly model: Model<unknown, unknown, unknown> | undefined;
}

/** A command with a name of its own, by which it is known again. */
interface Named {
  readonly value: string;
  readonly command: unknown;
}

/** A call under way. */
interface Call {
  readonly input: unknown;
  readonly value: string | undefined;
  readonly called: number;
  readonly life: Life;
  readonly client: string;
  readonly settle: (isAnswered: boolean) => void;
}

type Entry = Operation<unknown, unknown> & { readonly value: string | undefined };

/** Steps of the model for one key. */
const stepsMax = 2_000_000;

/** Clients of a user's machine. */
export class Hosted implements Host {
  readonly codec: Codec<never>;
  readonly calls: readonly ScriptedCall[] = [];
  progress = 0;
  readonly #subject: Subject;
  readonly #world: World;
  readonly #ghost: Ghost;
  readonly #config: SimConfig;
  readonly #random: Random;
  readonly #open = new Set<Call>();
  readonly #history: Entry[] = [];
  readonly #machines = new WeakMap<Life, HostedMachine>();
  /** What machines made of each command. */
  readonly #results = new Map<string, unknown>();
  #servers: readonly SimServer[] = [];
  #values = 0;
  #stopped = true;

  /** Clients that don't call yet. */
  constructor(subject: Subject, world: World, ghost: Ghost, config: SimConfig, random: Random) {
    this.#subject = subject;
    this.#world = world;
    this.#ghost = ghost;
    this.#config = config;
    this.#random = random;
    this.codec = namedCodec(subject.codec) as Codec<unknown> as Codec<never>;
  }

  /** See {@linkcode Host.serve}. */
  serve(servers: readonly SimServer[]): void {
    this.#servers = servers;
  }

  /** See {@linkcode Host.machine}. */
  machine(life: Life, tap: MachineTap): StateMachine<never, unknown> {
    const machine = new HostedMachine(this.#subject, life.id, tap, (value, result) => {
      if (!this.#results.has(value)) this.#results.set(value, result);
    });
    this.#machines.set(life, machine);
    return machine as StateMachine<Named, unknown> as StateMachine<never, unknown>;
  }

  get open(): number {
    return this.#open.size;
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
    this.#stopped = true;
  }

  onOver(life: Life): void {
    for (const call of [...this.#open]) if (call.life === life) this.#end(call, "unknown");
  }

  endure(): void {
    // Whatever a machine holds, it must be what the others hold.
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
      const query = random.chance(0.4) ? this.#subject.drawQuery(random) : undefined;
      const done = this.#call(
        random.pick(this.#servers),
        client,
        query ?? {
          command: this.#subject.drawCommand(random),
        },
      );
      if (done === undefined) this.#think(client, random);
      else void done.then(() => this.#think(client, random));
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
      const call: Call = { input, value, called: this.#world.events, life, client, settle };
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

  /** K3: what a client is told is what was committed. */
  #acknowledged({ value }: Call, index: LogIndex, term: Term): void {
    const ghost = this.#ghost;
    const isThere = ghost.commits[index - 1]?.term === term && ghost.appliedAt.get(value!)?.[0] === index;
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
    const { input, value, called, client } = call;
    const key = this.#subject.keyOf(input);
    // Without a command an answer that never came is a question that was never asked.
    const known = outcome === "unknown" && value === undefined ? "failed" : outcome;
    this.#history.push({ key, input, value, outcome: known, output, called, returned: this.#world.events, client });
    call.settle(outcome === "ok");
  }
}

/** The machine of one life, watched. */
class HostedMachine implements StateMachine<Named, unknown> {
  readonly inner: StateMachine<unknown, unknown>;
  readonly #subject: Subject;
  readonly #tap: MachineTap;
  readonly #onResult: (value: string, result: unknown) => void;
  #results = 0;

  constructor(subject: Subject, server: string, tap: MachineTap, onResult: (value: string, result: unknown) => void) {
    this.#subject = subject;
    this.#tap = tap;
    this.#onResult = onResult;
    this.inner = subject.machine(server);
  }

  apply(named: Named, context: ApplyContext): unknown {
    let result: unknown;
    try {
      result = this.inner.apply(named.command, context);
    } catch (error) {
      this.#tell(named, context, error);
      throw error;
    }
    if (!(result instanceof Promise)) return this.#tell(named, context, result);
    return result.then((value) => this.#tell(named, context, value), (error) => {
      this.#tell(named, context, error);
      throw error;
    });
  }

  #tell({ value, command }: Named, { index, term }: ApplyContext, result: unknown): unknown {
    const text = textOf(result);
    const seen = this.#subject.stateOf(this.inner);
    this.#results = hashText(text, this.#results);
    const state = seen === undefined ? this.#results : hashText(textOf(seen.state), 0);
    this.#onResult(value, result);
    // The name stands for the command: checkers look at nothing else of it.
    const put = { type: "put", key: textOf(command), value } as const;
    this.#tap.onApplied(put, { index, term, state, result: hashText(text, 0) }, text);
    return result;
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
