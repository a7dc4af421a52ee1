/**
 * Leadership transfer (thesis §3.10).
 *
 * @module
 */
import type { ServerId } from "../types.ts";
import { configurationOf, mayLead } from "./membership.ts";
import type { Progress } from "./progress.ts";
import { send } from "./role.ts";
import type { Step } from "./state.ts";

/** Stops taking commands, brings the target up to date and lets it campaign; for one election timeout at most. */
export function onTransferRequested(step: Step, to: ServerId | undefined): void {
  const { state, now, effects } = step;
  const { leading } = state;
  if (leading === undefined) {
    effects.push({ type: "announce-transfer-failed", reason: "not-leader" });
    return;
  }
  const target = to ?? mostCaughtUp(step);
  const progress = target === undefined ? undefined : leading.progress.get(target);
  if (target === undefined || progress === undefined || !mayLead(configurationOf(state), target)) {
    effects.push({ type: "announce-transfer-failed", reason: "no-target" });
    return;
  }
  leading.transfer = { to: target, deadline: now + state.settings.electionMinMs, told: false };
  onCaughtUp(step, target, progress);
}

/** The voter that needs least, among those that were heard from lately. */
function mostCaughtUp(step: Step): ServerId | undefined {
  const { state, now } = step;
  const configuration = configurationOf(state);
  let best: ServerId | undefined;
  let bestMatch = -1;
  for (const [id, progress] of state.leading!.progress) {
    if (!mayLead(configuration, id) || progress.matchIndex <= bestMatch) continue;
    if (progress.heardAt < now - state.settings.leaseMs) continue;
    best = id;
    bestMatch = progress.matchIndex;
  }
  return best;
}

/** The target has the whole log: tells it to campaign, once. */
export function onCaughtUp(step: Step, peer: ServerId, progress: Progress): void {
  const { state } = step;
  const transfer = state.leading?.transfer;
  if (transfer === undefined || transfer.to !== peer || transfer.told) return;
  if (progress.matchIndex < state.log.lastIndex) return;
  transfer.told = true;
  send(step, peer, { type: "timeout-now", term: state.term });
}

/** The target did not take over in time: goes on as leader (P6: whatever happens, this ends). */
export function onTransferDeadline(step: Step): void {
  step.state.leading!.transfer = undefined;
  step.effects.push({ type: "announce-transfer-failed", reason: "timeout" });
}
