/**
 * What the cases of state machines are made of.
 *
 * @module
 */
import type { ApplyContext, BatchedCommand, BatchedResult, Codec } from "../../machine.ts";
import { concatenate } from "../../wire/bytes.ts";
import { check, equalBytes } from "../case_checks.ts";

/** A state machine that takes snapshots; what `StateMachine` is when it has all of its methods. */
export interface SnapshotMachine<Command, Result> {
  /** See `StateMachine`. */
  apply(command: Command, context: ApplyContext): Result | Promise<Result>;
  /** See `StateMachine`. */
  applyBatch?(
    commands: readonly BatchedCommand<Command>[],
  ): readonly BatchedResult<Result>[] | Promise<readonly BatchedResult<Result>[]>;
  /** See `StateMachine`. */
  snapshot(): ReadableStream<Uint8Array>;
  /** See `StateMachine`. */
  restore(bytes: ReadableStream<Uint8Array>): void | Promise<void>;
}

/** What the cases get. */
export interface MachineHarness<Command, Result> {
  /** A machine that nothing was applied to. */
  create(): SnapshotMachine<Command, Result> | Promise<SnapshotMachine<Command, Result>>;
  /** The log. */
  readonly commands: readonly Command[];
  readonly codec: Codec<Command>;
}

/** One thing that a state machine must do. */
export interface MachineCase {
  /** A sentence beginning with what is called. */
  readonly name: string;
  /** Rejects when the machine doesn't. */
  run<Command, Result>(harness: MachineHarness<Command, Result>): Promise<void>;
}

/** A machine and how far it is in the log. */
export class Replica<Command, Result> {
  readonly machine: SnapshotMachine<Command, Result>;
  readonly #harness: MachineHarness<Command, Result>;
  #next: number;

  /** Goes on after so many commands. */
  constructor(harness: MachineHarness<Command, Result>, machine: SnapshotMachine<Command, Result>, next = 0) {
    this.#harness = harness;
    this.machine = machine;
    this.#next = next;
  }

  /** One that nothing was applied to. */
  static async of<Command, Result>(harness: MachineHarness<Command, Result>): Promise<Replica<Command, Result>> {
    return new Replica(harness, await harness.create());
  }

  /** One with the state of these bytes, which has so many commands in it; they come in pieces of that size. */
  static async from<Command, Result>(
    harness: MachineHarness<Command, Result>,
    bytes: Uint8Array,
    next: number,
    pieceBytes = 1_000,
  ): Promise<Replica<Command, Result>> {
    const machine = await harness.create();
    await machine.restore(streamOf(bytes, pieceBytes));
    return new Replica(harness, machine, next);
  }

  /** Applies commands up to so many in all; returns their outcomes as text. */
  async applyTo(end: number): Promise<string[]> {
    const outcomes: string[] = [];
    for (const { command, context } of this.#takeTo(end)) {
      outcomes.push(await outcomeOf(() => this.machine.apply(command, context)));
    }
    return outcomes;
  }

  /** The same in one call, for a machine that has it. */
  async applyBatchTo(end: number): Promise<string[]> {
    const batch = this.#takeTo(end);
    const results = await this.machine.applyBatch!(batch);
    check(
      Array.isArray(results) && results.length === batch.length,
      `applyBatch() gave ${results?.length} results for ${batch.length} commands`,
    );
    return await Promise.all(results.map((result) =>
      outcomeOf(() => {
        if ("error" in result) throw result.error;
        check("value" in result, "applyBatch() gave a result that is neither { value } nor { error }");
        return result.value;
      })
    ));
  }

  #takeTo(end: number): BatchedCommand<Command>[] {
    const { codec, commands } = this.#harness;
    const taken: BatchedCommand<Command>[] = [];
    for (; this.#next < end; this.#next++) {
      // As on a server: what is applied was decoded. Two commands of three share a millisecond, and terms have gaps.
      const command = codec.decode(codec.encode(commands[this.#next]!));
      const index = this.#next + 2;
      const context = { index, term: 1 + 2 * Math.floor(this.#next / 5), timeMs: 1_000 + Math.floor(index / 3) };
      taken.push({ command, context });
    }
    return taken;
  }

  /** All bytes of a snapshot. */
  snapshot(): Promise<Uint8Array> {
    return readAll(this.machine.snapshot());
  }
}

/** What a call returned or threw, as text that can be compared. */
async function outcomeOf(run: () => unknown): Promise<string> {
  try {
    return `returned ${textOf(await run())}`;
  } catch (error) {
    return `threw ${error instanceof Error ? `${error.name}: ${error.message}` : textOf(error)}`;
  }
}

function textOf(value: unknown): string {
  const text = JSON.stringify(value, (_key, field) => {
    if (typeof field === "bigint") return `bigint ${field}`;
    if (field instanceof Uint8Array) return `bytes ${Array.from(field)}`;
    if (field instanceof Map) return { map: [...field] };
    return field instanceof Set ? { set: [...field] } : field;
  });
  return text ?? String(value);
}

/** Bytes as a stream of pieces. */
export function streamOf(bytes: Uint8Array, pieceBytes: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + pieceBytes));
      at += pieceBytes;
    },
  });
}

/** All bytes of a stream, which must be `Uint8Array`. */
export async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    check(
      value instanceof Uint8Array,
      `snapshot() gave ${Object.prototype.toString.call(value)} instead of Uint8Array`,
    );
    pieces.push(value.slice());
  }
  return concatenate(pieces);
}

/** Compares two replicas by their snapshots. */
export async function checkSame<Command, Result>(
  a: Replica<Command, Result>,
  b: Replica<Command, Result>,
  what: string,
): Promise<void> {
  equalBytes(await b.snapshot(), await a.snapshot(), `${what}: the snapshot`);
}

/** Places to take a snapshot at: none, all, and some between. */
export function stopsOf(count: number): number[] {
  const step = Math.max(1, Math.ceil(count / 16));
  const stops = Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
  return [...stops, count];
}
