/**
 * Copies of a core's state: by hand, as `structuredClone` takes fifty times as long.
 *
 * @module
 */
import type { Progress } from "../../src/core/progress.ts";
import type { CoreState, Leading } from "../../src/core/state.ts";
import type { ServerId } from "../../src/types.ts";

/** A copy that shares only what is never changed in place. */
export function cloneState(state: CoreState): CoreState {
  const { log, campaign, leading } = state;
  return {
    ...state,
    random: [...state.random],
    log: { ...log, runs: [...log.runs] },
    configurations: [...state.configurations],
    withheld: [...state.withheld],
    campaign: campaign === undefined ? undefined : { ...campaign, votes: new Map(campaign.votes) },
    leading: leading === undefined ? undefined : cloneLeading(leading),
  };
}

function cloneLeading(leading: Leading): Leading {
  const progress = new Map<ServerId, Progress>();
  for (const [id, it] of leading.progress) progress.set(id, { ...it, inFlight: [...it.inFlight] });
  const { transfer } = leading;
  return {
    ...leading,
    progress,
    readsWaiting: [...leading.readsWaiting],
    reconfigurations: leading.reconfigurations.map((change) => ({ ...change })),
    transfer: transfer === undefined ? undefined : { ...transfer },
  };
}
