/**
 * What the user supplies: the state machine and how its commands become bytes.
 *
 * @module
 */
import type { LogIndex, Term } from "./types.ts";

/** What a command may know besides itself; equal on every server. */
export interface ApplyContext {
  /** The entry's index. */
  readonly index: LogIndex;
  /** The entry's term. */
  readonly term: Term;
  /** The leader's wall clock when it appended the entry, milliseconds since 1970; never decreasing along the log. */
  readonly timeMs: number;
  /** What {@linkcode Raft.applyEntry} was given beside the command: a copy. Left out when there was nothing. */
  readonly extensions?: Uint8Array;
}

/** One command of several that are applied together. */
export interface BatchedCommand<Command> {
  /** What was proposed. */
  readonly command: Command;
  /** What it may know besides. */
  readonly context: ApplyContext;
}

/** What came of one of them: what `apply` would have returned, or what it would have thrown. */
export type BatchedResult<Result> = { readonly value: Result } | { readonly error: unknown };

/**
 * The state that is replicated. Deterministic: the same commands in the same order give the same state and results
 * on every server, so no clock, randomness or I/O inside `apply` beyond the context.
 *
 * @typeParam Command What is proposed.
 * @typeParam Result What `apply` returns to the proposer.
 */
export interface StateMachine<Command, Result> {
  /**
   * Applies one command. Called in log order, never twice for an index within a process's life, never while another
   * call or a read is running. A thrown error goes to the caller as the command's result: all servers take that path.
   * Only an {@linkcode InvariantError}, by which a machine says that its own state is broken, stops the server instead;
   * as the command is in the log, it stops every server whose machine throws it, again at every start.
   *
   * A command that is bytes is the machine's, to keep and to change. It may lie in a buffer of up to 4 KiB with other
   * commands: look at the bytes themselves, never at all of `command.buffer`, and copy them before that is transferred.
   */
  apply(command: Command, context: ApplyContext): Result | Promise<Result>;
  /**
   * Applies several commands that follow one another, for machines that do better so: one transaction of a database, one write
   * to a file. Called instead of {@linkcode StateMachine.apply} where two or more commands are ready that belong to no session and have no
   * key (of those, each needs to know what became of the one before); at most 1024, fewer when the machine needs long for
   * them. Where a batch begins and ends differs from server to server, so its commands must do what they would do one
   * by one, in this order.
   *
   * Gives one result for each command, in the same order. A command's own failure is its `error`, as thrown by `apply`. When the
   * whole call throws, or gives anything else, the server stops, as nobody knows what was applied; so it does at an
   * {@linkcode InvariantError}.
   *
   * @example One transaction for all commands that are ready
   * ```ts
   * import type { BatchedCommand, BatchedResult, StateMachine } from "@securecollc/raft";
   * import { assertEquals } from "@std/assert";
   *
   * class Account implements StateMachine<number, number> {
   *   balance = 0;
   *   commits = 0;
   *
   *   apply(amount: number): number {
   *     return this.transaction(() => this.add(amount));
   *   }
   *
   *   applyBatch(batch: readonly BatchedCommand<number>[]): BatchedResult<number>[] {
   *     return this.transaction(() => batch.map(({ command }) => this.attempt(command)));
   *   }
   *
   *   private attempt(amount: number): BatchedResult<number> {
   *     try {
   *       return { value: this.add(amount) };
   *     } catch (error) {
   *       return { error }; // for the caller of this one command
   *     }
   *   }
   *
   *   private add(amount: number): number {
   *     if (this.balance + amount < 0) throw new RangeError("Cannot take more than there is");
   *     return this.balance += amount;
   *   }
   *
   *   private transaction<T>(run: () => T): T {
   *     const results = run();
   *     this.commits++; // what takes long
   *     return results;
   *   }
   * }
   *
   * const account = new Account();
   * const context = { index: 2, term: 1, timeMs: 0 };
   * const results = account.applyBatch([50, -80, 5].map((command) => ({ command, context })));
   * assertEquals(results[2], { value: 55 });
   * assertEquals(account.commits, 1);
   * ```
   */
  applyBatch?(
    commands: readonly BatchedCommand<Command>[],
  ): readonly BatchedResult<Result>[] | Promise<readonly BatchedResult<Result>[]>;
  /**
   * A number or text that is equal for equal states and hardly ever for others. Called after every so many entries (the option
   * `hashEvery`), between two commands, and compared with what the other servers' machines say there: when they differ, a command
   * has done something else on one of them. It should be quick: keep a running hash, or hash what is cheap to.
   */
  hash?(): number | string;
  /**
   * Gives the whole state as bytes. What it is, is fixed at this moment, between two commands; the bytes are read
   * afterwards, piece by piece and no faster than they are written, while commands go on: capture the state without
   * copying all of it (copy what changes meanwhile), and let the stream give pieces of some 64 KiB. Equal states should give
   * equal bytes. A stream that is no longer needed is cancelled.
   *
   * Without this method and {@linkcode StateMachine.restore} the log is never compacted.
   */
  snapshot?(): ReadableStream<Uint8Array>;
  /**
   * Replaces the whole state by one that {@linkcode StateMachine.snapshot} gave, here or on another server. Called at the
   * start, and when this server is so far behind that the leader's log no longer has what it lacks; never while another
   * call or a read is running. When it fails the server stops, as nobody knows what state is left. The bytes belong to the
   * machine; the stream fails when it is not whole: then it must fail as well, and may be called again with another stream.
   */
  restore?(bytes: ReadableStream<Uint8Array>): void | Promise<void>;
}

/** Turns commands into bytes and back. */
export interface Codec<Command> {
  /** The bytes are kept: do not change them afterwards. */
  encode(command: Command): Uint8Array;
  /**
   * The bytes are the machine's, to keep and to change. Small ones lie in a buffer with others, at a multiple of eight: look
   * at them alone, never at all of `bytes.buffer`.
   */
  decode(bytes: Uint8Array): Command;
}
