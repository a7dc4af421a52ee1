/**
 * The beginning of a cluster, on a server that runs and has nothing.
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { Configuration } from "../types.ts";
import { invariant } from "./invariant.ts";
import { appendConfigurations } from "./membership.ts";
import { armElection, enterTerm } from "./role.ts";
import type { CoreState, Step } from "./state.ts";
import { appendTerm } from "./term_index.ts";

/** The term of entry 1, as on servers that are bootstrapped before their start. */
const firstTerm = 1;

/** Whether there is nothing that a first entry could contradict: no term, no entry, no snapshot. */
export function isEmpty({ term, log }: CoreState): boolean {
  return term === 0 && log.lastIndex === 0;
}

/** Takes entry 1, whose bytes wait in the driver, which has asked whether there is nothing. */
export function onBootstrapRequested(step: Step, configuration: Configuration): void {
  const { state, effects } = step;
  invariant(isEmpty(state), () => `a cluster must begin on a server that has nothing, not one of term ${state.term}`);
  mark("cluster-begun-live");
  enterTerm(step, firstTerm, undefined);
  appendTerm(state.log, firstTerm, 1);
  appendConfigurations(step, [{ index: 1, configuration }], 1, 2);
  effects.push({ type: "append", source: "message", from: 1, end: 2, term: firstTerm, epoch: state.epoch });
  armElection(step);
}
