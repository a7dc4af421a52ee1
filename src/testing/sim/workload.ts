/**
 * Clients: they call servers, often learn nothing of what came of it, and remember what they learnt.
 *
 * @module
 */
import { RaftError } from "../../errors.ts";
import type { Model, Operation, Step } from "../linearizability.ts";
import type { SimConfig } from "./config.ts";
import type { Ghost } from "./ghost.ts";
import { hashText, type SimCommand, type SimResult } from "./machine.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { ScriptedCall } from "./script.ts";
import type { Life, SimServer } from "./server.ts";
import type { World } from "./world.ts";

/** What a client asks for. */
export type SimInput = SimCommand | { readonly type: "get"; readonly key: string };

/** A call as its client saw it. */
export type SimOperation = Operation<SimInput, SimResult>;

/** What the registers should do. */
export const simModel: Model<string | null, SimInput, SimResult> = {
  init: () => null,
  step: stepRegister,
  equal: (a, b) => a === b,
  hash: (state) => hashText(state ?? "-", 0),
  isRead: (input) => input.type === "get",
};

function stepRegister(state: string | null, { input, outcome, output }: SimOperation): Step<string | null> {
  const is = (right: SimResult) => outcome !== "ok" || output === undefined || output === right;
  switch (input.type) {
    case "get":
      return { ok: is(state), state };
    case "put":
      return { ok: is(state), state: input.value };
    case "append":
      return { ok: is(state), state: `${state ?? ""},${input.value}`.slice(-64) };
    case "cas":
      return { ok: is(state === input.expect), state: state === input.expect ? input.value : state };
  }
}

/** A call under way. */
interface Call {
  readonly input: SimInput;
  readonly called: number;
  readonly life: Life;
  readonly client: string;
}

/** All clients of a run. */
export class Workload {
  readonly #world: World;
  readonly #servers: readonly SimServer[];
  readonly #config: SimConfig;
  readonly #ghost: Ghost;
  readonly #random: readonly Random[];
  readonly #open = new Set<Call>();
  readonly #last: string[] = [];
  #values = 0;
  #stopped = false;
  /** Every call that has ended. */
  readonly history: SimOperation[] = [];
  /** Every call that the clients made, in order. */
  readonly calls: ScriptedCall[] = [];

  /** Clients that don't call yet. */
  constructor(world: World, servers: readonly SimServer[], config: SimConfig, ghost: Ghost, random: Random) {
    this.#world = world;
    this.#servers = servers;
    this.#config = config;
    this.#ghost = ghost;
    this.#random = Array.from({ length: config.clients }, (_, i) => random.split(`client ${i}`));
  }

  /** Calls without an answer. */
  get open(): number {
    return this.#open.size;
  }

  /**
   * The history, once nothing can happen any more: what nobody knew then is known now. A command that is in no log never
   * happened; one that was applied had happened when it was first applied.
   */
  settledHistory(): readonly SimOperation[] {
    return this.history.map((operation) => {
      const { input, outcome } = operation;
      if (outcome !== "unknown" || input.type === "get") return operation;
      const returned = this.#ghost.appliedFirst.get(input.value);
      return returned === undefined ? { ...operation, outcome: "failed" } : { ...operation, outcome: "ok", returned };
    });
  }

  /** Lets every client call, one call after the other. */
  start(): void {
    this.#stopped = false;
    for (let client = 0; client < this.#random.length; client++) this.#think(client);
  }

  /** Makes exactly these calls, in the place of what clients would draw. */
  play(calls: readonly ScriptedCall[]): void {
    // What later phases draw must not have the values of these.
    this.#values = 1_000_000;
    for (const { at, client, server, input } of calls) {
      this.#world.schedule(-1, Port.client, at - this.#world.time, client, () => {
        if (!this.#stopped) this.#make(server, input, client);
      });
    }
  }

  /** No new calls. */
  stop(): void {
    this.#stopped = true;
  }

  /** What waits at a life that is over gets no answer. */
  onCrash(life: Life): void {
    for (const call of [...this.#open]) if (call.life === life) this.#end(call, "unknown");
  }

  /** One call to a server that is up; undefined when it is not. For phases that need an answer. */
  call(server: SimServer, input: SimInput, client: string): Promise<boolean> | undefined {
    const { life } = server;
    if (life?.raft === undefined) return undefined;
    const call: Call = { input, called: this.#world.events, life, client };
    this.#open.add(call);
    return input.type === "get" ? this.#read(call, life, input.key) : this.#apply(call, life, input);
  }

  /** A command or a read with a value of its own. */
  draw(random: Random): SimInput {
    const key = `k${random.below(this.#config.keys)}`;
    const value = `v${++this.#values}`;
    const seen = this.#last.length === 0 ? null : random.pick(this.#last);
    return random.weighted<SimInput>([
      [{ type: "get", key }, 4],
      [{ type: "put", key, value }, 3],
      [{ type: "append", key, value }, 2],
      [{ type: "cas", key, expect: random.chance(0.3) ? null : seen, value }, 1],
    ]);
  }

  #think(client: number): void {
    const random = this.#random[client]!;
    const delay = random.spread(1, this.#config.thinkTime * 2);
    this.#world.schedule(-1, Port.client, delay, `client ${client}`, () => {
      if (this.#stopped) return;
      const server = random.below(this.#servers.length);
      const done = this.#make(server, this.draw(random), `c${client}`);
      if (done === undefined) this.#think(client);
      else done.then(() => this.#think(client));
    });
  }

  /** A call that goes down in the script. */
  #make(server: number, input: SimInput, client: string): Promise<boolean> | undefined {
    this.calls.push({ at: this.#world.time, client, server, input });
    return this.call(this.#servers[server]!, input, client);
  }

  async #apply(call: Call, life: Life, command: SimCommand): Promise<boolean> {
    try {
      const { index, term, result } = await life.raft!.applyEntry({ data: command });
      if (!this.#open.has(call)) return false;
      this.#end(call, "ok", result);
      this.#ghost.readFloor = Math.max(this.#ghost.readFloor, index);
      this.#ghost.later.push(() => this.#acknowledged(command, index, term, result));
      return true;
    } catch (error) {
      this.#failed(call, error);
      return false;
    }
  }

  async #read(call: Call, life: Life, key: string): Promise<boolean> {
    const ghost = this.#ghost;
    const floor = ghost.readFloor;
    try {
      let at = 0;
      const value = await life.raft!.read(() => {
        at = life.raft!.appliedIndex;
        return life.machine.get(key);
      });
      if (!this.#open.has(call)) return false;
      ghost.must(
        at >= floor,
        "R1",
        () => `a read on "${life.id}" saw ${at}, others had seen ${floor} before it was asked`,
      );
      ghost.readFloor = Math.max(ghost.readFloor, at);
      this.#end(call, "ok", value);
      return true;
    } catch (error) {
      this.#failed(call, error);
      return false;
    }
  }

  /** K3: what a client is told is what was committed. */
  #acknowledged(command: SimCommand, index: number, term: number, result: SimResult): void {
    const ghost = this.#ghost;
    const committed = ghost.commits[index - 1];
    ghost.must(committed?.term === term, "K3", () => {
      return `"${command.value}" is acknowledged as entry ${index} of term ${term}, which has term ${committed?.term}`;
    });
    const applied = ghost.applied.get(index);
    ghost.must(applied?.result === hashText(String(result), 0), "K3", () => {
      return `"${command.value}" at ${index} is answered with another result than machines computed`;
    });
    ghost.must(ghost.appliedAt.get(command.value)?.[0] === index, "K3", () => {
      return `"${command.value}" is acknowledged at ${index} and was applied at ${ghost.appliedAt.get(command.value)}`;
    });
  }

  #failed(call: Call, error: unknown): void {
    if (!this.#open.has(call)) return;
    if (!(error instanceof RaftError)) throw error;
    this.#end(call, error.outcome === "not-applied" ? "failed" : "unknown");
  }

  #end(call: Call, outcome: SimOperation["outcome"], output?: SimResult): void {
    if (!this.#open.delete(call)) return;
    const { input, called, client } = call;
    const value = input.type === "get" ? undefined : input.value;
    if (outcome === "failed" && value !== undefined) this.#ghost.noteNotApplied(value);
    if (value !== undefined && this.#last.push(value) > 16) this.#last.shift();
    this.history.push({ key: input.key, input, outcome, output, called, returned: this.#world.events, client });
  }
}
