/**
 * What a hunter is asked, and what it says.
 *
 * @module
 */
import type { Runs } from "./mutant.ts";

/** The first seed of each start, and how many it may run from each. */
export interface Plan {
  readonly starts: readonly number[];
  readonly budget: number;
  /** Seeds that fail without any fault, and so prove nothing. */
  readonly skips: readonly number[];
  /** What is fixed of them. */
  readonly runs?: Runs | undefined;
}

/** How a run ended that broke an invariant. Figures add up all runs since the start. */
export interface Find {
  readonly start: number;
  /** How many seeds it took. */
  readonly seeds: number;
  readonly seed: number;
  readonly steps: number;
  readonly invariant: string;
  readonly detail: string;
  readonly events: number;
  /** Virtual milliseconds. */
  readonly timeMs: number;
}

/** What a hunter prints. */
export type Line =
  /** A seed found nothing. */
  | { readonly type: "passed"; readonly start: number; readonly seed: number }
  /** An invariant that a checker looks after does not hold. */
  | Find & { readonly type: "killed" }
  /** In no run did a checker find anything, but servers stopped by themselves in some: the code's own assertions did. */
  | Find & { readonly type: "gave-up" }
  /** No seed found it. */
  | {
    readonly type: "survived";
    readonly start: number;
    readonly seeds: number;
    readonly events: number;
    readonly timeMs: number;
  }
  /** The simulator itself failed at a seed, which proves nothing. */
  | Find & { readonly type: "simulator-failed" }
  /** The code does not even do what it is for: no fault that anybody would overlook. */
  | { readonly type: "useless"; readonly detail: string };

/**
 * Short runs first, as most faults need little; then longer ones. What follows the faults takes some thousand events
 * however short they are.
 */
export function stepsOf(at: number): number {
  if (at < 20) return 1500;
  return at < 160 ? 4000 : 10_000;
}
