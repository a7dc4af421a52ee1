/**
 * The conformance suite of state machines.
 *
 * @module
 */
import { msgpackCodec } from "../../codec.ts";
import type { Codec } from "../../machine.ts";
import type { RegisterTest } from "../case_checks.ts";
import { machineCases } from "./machine_cases.ts";
import type { SnapshotMachine } from "./machine_support.ts";

/** A state machine that is to be tested. */
export interface MachineSubject<Command, Result> {
  /** What the name of each test begins with. */
  readonly name: string;
  /** Makes a machine that nothing was applied to. */
  create(): SnapshotMachine<Command, Result> | Promise<SnapshotMachine<Command, Result>>;
  /**
   * Commands that are applied in this order; at least 4. What none of them does is not tested, so let there be some of
   * every kind, also such that fail.
   */
  readonly commands: readonly Command[];
  /** How commands become bytes and back, as on a server. By default MessagePack. */
  readonly codec?: Codec<Command>;
}

/**
 * Registers the tests that every state machine must pass: that it is deterministic, that its snapshots carry the whole
 * state over, that they are of one moment, and that two replicas with the same entries have the same snapshot bytes.
 *
 * @param test Registers one test: `Deno.test`, `test` of `node:test`, of `bun:test` or of Vitest.
 * @throws {RangeError} When there are too few commands to tell anything.
 *
 * @example
 * ```ts
 * import { testMachine } from "@securecollc/raft/testing";
 *
 * class Sum {
 *   #sum = 0;
 *   apply(n: number): number {
 *     return this.#sum += n;
 *   }
 *   snapshot(): ReadableStream<Uint8Array> {
 *     return new Blob([`${this.#sum}`]).stream();
 *   }
 *   async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
 *     this.#sum = Number(await new Response(bytes as ReadableStream<Uint8Array<ArrayBuffer>>).text());
 *   }
 * }
 *
 * testMachine(Deno.test, { name: "Sum", create: () => new Sum(), commands: [1, 2, -3, 1_000_000] });
 * ```
 */
export function testMachine<Command, Result>(test: RegisterTest, subject: MachineSubject<Command, Result>): void {
  const { name: subjectName, commands, codec = msgpackCodec<Command>() } = subject;
  if (commands.length < 4) {
    throw new RangeError(`Cannot test a machine with ${commands.length} commands: pass at least 4, some of every kind`);
  }
  for (const { name, run } of machineCases) {
    test(`${subjectName}: ${name}`, () => run({ create: () => subject.create(), commands, codec }));
  }
}
