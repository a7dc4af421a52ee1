/**
 * Machines by their commands and queries: no command type, codec or switch to write.
 *
 * @module
 */
import { decode, encode, type ValueType } from "@std/msgpack";
import { guarded } from "./guard.ts";
import { InvariantError } from "./errors.ts";
import type { ApplyContext, BatchedCommand, BatchedResult, Codec, StateMachine } from "./machine.ts";
import type { RaftOptions } from "./options.ts";
import type { ApplyOptions, Raft, ReadOptions } from "./raft.ts";
import { chunksOf, decodeState, encodeState, readAll } from "./state_codec.ts";
import { hashText, SeededRandom } from "./seeded_random.ts";

/** What a command of a typed machine has as `this`. */
export interface CommandThis {
  /** Equal on every server. */
  readonly ctx: CommandContext;
}

/** What a command may know besides its arguments; equal on every server. */
export interface CommandContext extends ApplyContext {
  /** A number from 0 (inclusive) to 1 (exclusive), seeded by the entry: use it instead of `Math.random`. */
  random(): number;
  /** A UUID of the same kind: use it instead of `crypto.randomUUID`. */
  uuid(): string;
}

/** A command or query: takes the state, then what the caller gives. */
// deno-lint-ignore no-explicit-any
export type Handler<State> = (state: State, ...args: any[]) => unknown;

/** Commands or queries by name. Parameters after the state are required: no defaults, no rest. */
export type Handlers<State> = Readonly<Record<string, Handler<State>>>;

/** What a caller gives to a command or query. */
export type ArgumentsOf<H> = H extends (state: never, ...args: infer A) => unknown ? A : never;

/** What a program defines. */
export interface MachineDefinition<State, C extends Handlers<State>, Q extends Handlers<State>> {
  /** The state before the first command. Called at each start and before each restore. */
  readonly init: () => State;
  /**
   * Change the state and return a result, at once: a command is not async. `this.ctx` has the entry's index and time and a
   * seeded generator. What one throws goes to its caller; the state it leaves behind stays, on every server alike.
   */
  readonly commands: C & ThisType<CommandThis>;
  /** Look at the state and return. */
  readonly queries?: Q & Handlers<State>;
  /**
   * For a state that is a database, say: called around several commands that are applied together, to begin a transaction, call
   * `run` once, and commit. Must leave the state as `run` alone would; what it throws stops the server. A command that is alone is
   * applied without it. See {@linkcode StateMachine.applyBatch}.
   */
  readonly batch?: (state: State, run: () => void) => void;
  /**
   * The whole state as bytes, captured before it returns. By default MessagePack of plain objects, arrays, Maps, Sets,
   * text, numbers, bigints and bytes.
   */
  readonly encode?: (state: State) => Uint8Array;
  /** The state from those bytes. */
  readonly decode?: (bytes: Uint8Array) => State;
  /**
   * A number or text that is equal for equal states and hardly ever for others; see the option `hashEvery`. By default a
   * checksum of the encoded state.
   */
  readonly hash?: (state: State) => number | string;
  /**
   * Whether what would differ from server to server throws a {@linkcode NondeterminismError} inside a command: the clock,
   * `Math.random`, timers, `crypto`, `fetch`. Costs a little for each command: for development.
   *
   * @default {false}
   */
  readonly guard?: boolean;
}

/** A command on its way: name and arguments. */
export type TypedCommand = readonly [name: string, ...args: unknown[]];

/** Commands as a caller sees them: without the state, with options at the end. */
export type CommandCalls<C> = {
  readonly [Name in keyof C]: (
    ...args: [...ArgumentsOf<C[Name]>, options?: ApplyOptions]
  ) => Promise<C[Name] extends (...args: never[]) => infer R ? R : never>;
};

/** Queries as a caller sees them. */
export type QueryCalls<Q> = {
  readonly [Name in keyof Q]: (
    ...args: [...ArgumentsOf<Q[Name]>, options?: ReadOptions]
  ) => Promise<Q[Name] extends (...args: never[]) => infer R ? R : never>;
};

/** Options of a server whose machine was defined by {@linkcode defineMachine}. */
export type TypedRaftOptions<State, C extends Handlers<State>, Q extends Handlers<State>> =
  & Omit<RaftOptions<TypedCommand, unknown>, "machine" | "codec">
  & { readonly machine: TypedMachine<State, C, Q> };

/** A server whose machine was defined by {@linkcode defineMachine}. */
export interface TypedRaft<C, Q> extends Raft<TypedCommand, unknown> {
  /** Applies a command: resolves as {@linkcode Raft.apply} does, and throws what it throws. */
  readonly commands: CommandCalls<C>;
  /** Runs a query: as {@linkcode Raft.read} does. */
  readonly queries: QueryCalls<Q>;
}

/**
 * A state machine from its commands and queries.
 *
 * @example A counter on one server
 * ```ts
 * import { createRaft, defineMachine, memoryNetwork, memoryStore } from "@securecollc/raft";
 *
 * const machine = defineMachine({
 *   init: () => ({ count: 0 }),
 *   commands: { add: (state, n: number) => state.count += n },
 *   queries: { count: (state) => state.count },
 * });
 * await using raft = await createRaft({
 *   id: "a",
 *   machine,
 *   store: memoryStore(),
 *   transport: memoryNetwork().transport("a"),
 *   bootstrap: { a: "a" },
 * });
 * await raft.commands.add(2);
 * console.log(await raft.queries.count()); // 2
 * ```
 */
export function defineMachine<
  State,
  C extends Handlers<State>,
  Q extends Handlers<State> = Record<never, never>,
>(definition: MachineDefinition<State, C, Q>): TypedMachine<State, C, Q> {
  return new TypedMachine(definition);
}

/** What {@linkcode defineMachine} gives. */
export class TypedMachine<State, C extends Handlers<State>, Q extends Handlers<State>>
  implements StateMachine<TypedCommand, unknown> {
  readonly #definition: MachineDefinition<State, C, Q>;
  readonly #commands: ReadonlyMap<string, Handler<State>>;
  #state: State;
  /** See {@linkcode StateMachine.applyBatch}; only with {@linkcode MachineDefinition.batch}. */
  readonly applyBatch?: NonNullable<StateMachine<TypedCommand, unknown>["applyBatch"]>;

  /** See {@linkcode defineMachine}. */
  constructor(definition: MachineDefinition<State, C, Q>) {
    this.#definition = definition;
    this.#commands = new Map(Object.entries(definition.commands));
    for (const [kind, handlers] of Object.entries({ command: definition.commands, query: definition.queries ?? {} })) {
      for (const [name, handler] of Object.entries(handlers)) {
        if (typeof handler === "function") continue;
        throw new TypeError(`Cannot define the ${kind} "${name}": it is not a function`);
      }
    }
    this.#state = definition.init();
    if (definition.batch !== undefined) this.applyBatch = (commands) => this.#applyTogether(commands);
  }

  /** See {@linkcode StateMachine.apply}. */
  apply([name, ...args]: TypedCommand, context: ApplyContext): unknown {
    const command = this.#commands.get(name);
    if (command === undefined) {
      throw new TypeError(`Cannot apply the command "${name}": the machine has none of that name`);
    }
    const run = () => command.call({ ctx: new Context(context) } satisfies CommandThis, this.#state, ...args);
    const result = this.#definition.guard === true ? guarded(name, run) : run();
    if (typeof (result as PromiseLike<unknown> | null | undefined)?.then === "function") {
      throw new TypeError(`Cannot take the result of the command "${name}": a command must not be async`);
    }
    return result;
  }

  #applyTogether(commands: readonly BatchedCommand<TypedCommand>[]): readonly BatchedResult<unknown>[] {
    const results: BatchedResult<unknown>[] = [];
    let runs = 0;
    const bracket = this.#definition.batch!(this.#state, () => {
      if (++runs === 1) { for (const it of commands) results.push(this.#attempt(it)); }
    }) as unknown;
    if (runs === 1 && bracket === undefined) return results;
    throw new InvariantError(
      bracket === undefined
        ? `batch() must call run() once, not ${runs} times`
        : "batch() must return nothing, as it must not be async",
    );
  }

  #attempt({ command, context }: BatchedCommand<TypedCommand>): BatchedResult<unknown> {
    try {
      return { value: this.apply(command, context) };
    } catch (error) {
      return { error };
    }
  }

  /** See {@linkcode StateMachine.snapshot}. */
  snapshot(): ReadableStream<Uint8Array> {
    return chunksOf(this.#encoded());
  }

  #encoded(): Uint8Array {
    return this.#definition.encode?.(this.#state) ?? encodeState(this.#state);
  }

  /** See {@linkcode StateMachine.restore}. */
  async restore(stream: ReadableStream<Uint8Array>): Promise<void> {
    const bytes = await readAll(stream);
    this.#state = this.#definition.decode === undefined ? decodeState(bytes) as State : this.#definition.decode(bytes);
  }

  /** Equal for equal states; see {@linkcode MachineDefinition.hash}. */
  hash(): number | string {
    return this.#definition.hash?.(this.#state) ?? hashText(this.#encoded());
  }

  /** How commands become bytes: name and arguments as MessagePack. */
  readonly codec: Codec<TypedCommand> = {
    encode: (command: TypedCommand): Uint8Array => encode(command as readonly ValueType[]),
    decode: (bytes: Uint8Array): TypedCommand => decode(bytes) as unknown as TypedCommand,
  };

  /** The calls of a server that runs this machine. */
  callsOf(raft: Raft<TypedCommand, unknown>): Pick<TypedRaft<C, Q>, "commands" | "queries"> {
    const { commands, queries } = this.#definition;
    return {
      commands: callsOf(commands, (name, args, options) => raft.apply([name, ...args], options)) as CommandCalls<C>,
      queries: callsOf(queries ?? {}, (name, args, options) => {
        const query = queries![name]!;
        return raft.read(() => query(this.#state, ...args), options);
      }) as QueryCalls<Q>,
    };
  }
}

type Call = (name: string, args: readonly unknown[], options: object | undefined) => Promise<unknown>;

/** One function a handler. What follows its own parameters is the options. */
function callsOf(handlers: Handlers<never>, call: Call): Readonly<Record<string, unknown>> {
  const calls = Object.entries(handlers).map(([name, { length }]) => {
    const count = Math.max(0, length - 1);
    return [name, (...args: unknown[]) => {
      if (args.length < count || args.length > count + 1) {
        const error = new TypeError(
          `Cannot call "${name}" with ${args.length} arguments: it takes ${count} and options`,
        );
        return Promise.reject(error);
      }
      return call(name, args.slice(0, count), args[count] as object | undefined);
    }];
  });
  return Object.freeze(Object.fromEntries(calls));
}

class Context implements CommandContext {
  readonly index: number;
  readonly term: number;
  readonly timeMs: number;
  #random: SeededRandom | undefined;

  constructor({ index, term, timeMs }: ApplyContext) {
    this.index = index;
    this.term = term;
    this.timeMs = timeMs;
  }

  get #generator(): SeededRandom {
    return this.#random ??= new SeededRandom(this.index, this.term, this.timeMs);
  }

  random(): number {
    return this.#generator.next();
  }

  uuid(): string {
    return this.#generator.uuid();
  }
}
