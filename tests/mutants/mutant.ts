/**
 * Faults as data: each is one change of one place, and a bug that some Raft in production had.
 *
 * @module
 */
import type { ConfigRequest } from "../../src/testing/sim/config.ts";

/** One fault. */
export interface Mutant {
  /** Its name, in words. */
  readonly id: string;
  /** The entry of the bug catalogue that it is like: `BE06`, `BL01`, … */
  readonly bug: string;
  /** The file that it changes, seen from the root. */
  readonly file: string;
  /** Occurs in that file exactly once. */
  readonly find: string;
  /** What stands there instead. */
  readonly replace: string;
  /** How somebody might come to write it. */
  readonly why: string;
  /** The invariants that may find it, as far as anybody has thought of it; others may as well. */
  readonly invariants: readonly string[];
  /** What is fixed of the runs that look for it, where the situation it is about is drawn too seldom. */
  readonly runs?: Runs;
}

/** What may be fixed of a run. Where steps are, no run is shorter. */
export type Runs = Pick<
  ConfigRequest,
  "faults" | "store" | "servers" | "steps" | "ambush" | "moving" | "drains" | "client" | "indexStart"
>;

/**
 * The file with the fault in it.
 *
 * @throws {Error} When the place is not there or not the only one: somebody has changed the code since.
 */
export function applyMutant({ id, file, find, replace }: Mutant, text: string): string {
  const at = text.indexOf(find);
  if (at < 0) throw new Error(`Cannot apply the mutant "${id}": ${file} does not hold "${find}" any more`);
  if (text.indexOf(find, at + 1) >= 0) {
    throw new Error(`Cannot apply the mutant "${id}": ${file} holds "${find}" more than once`);
  }
  return text.slice(0, at) + replace + text.slice(at + find.length);
}
