/**
 * A run written down: what was done to the cluster and when, so that it can be run again without parts of it.
 *
 * @module
 */
import type { Effect } from "../../core/effect.ts";
import type { Event } from "../../core/event.ts";
import type { CoreState } from "../../core/state.ts";
import type { SimConfig } from "./config.ts";
import type { Action } from "./nemesis.ts";
import type { SimInput } from "./workload.ts";

/** A call of a client. Times in microseconds; servers by their place. */
export interface ScriptedCall {
  readonly at: number;
  readonly client: string;
  readonly server: number;
  readonly input: SimInput;
}

/** A fault. */
export interface ScriptedFault {
  readonly at: number;
  readonly action: Action;
}

/** One thing that was done. */
export type Decision = ScriptedCall | ScriptedFault;

/** All that was done in a run; what the network, disks and clocks do besides comes from the seed. */
export interface Script {
  readonly seed: number;
  readonly config: SimConfig;
  /** When the faults end and all is healed. */
  readonly until: number;
  /** Ordered by time. */
  readonly decisions: readonly Decision[];
}

/** Stands in the way of a core, to find out what the checkers make of a broken one. */
export type Distortion = (
  state: CoreState,
  event: Event,
  now: number,
  step: (event: Event, now: number) => Effect[],
) => Effect[];

/** Whether a decision is a call. */
export function isCall(decision: Decision): decision is ScriptedCall {
  return "input" in decision;
}

/** Faults and calls, in the order in which they happened. */
export function mergeDecisions(faults: readonly ScriptedFault[], calls: readonly ScriptedCall[]): Decision[] {
  return [...faults, ...calls].sort((a, b) => a.at - b.at);
}

/** What one client asked for at one moment belongs into one event: it may have been taken together. */
export function burstsOf(calls: readonly ScriptedCall[]): ScriptedCall[][] {
  const bursts: ScriptedCall[][] = [];
  for (const call of calls) {
    const last = bursts.at(-1);
    if (last !== undefined && last[0]!.at === call.at && last[0]!.client === call.client) last.push(call);
    else bursts.push([call]);
  }
  return bursts;
}
