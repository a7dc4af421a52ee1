/**
 * Leadership transfer (thesis §3.10).
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { ServerId } from "../types.ts";
import { isUpright } from "./identity.ts";
import { endLease } from "./lease.ts";
import { configurationIndex, configurationOf, mayLead } from "./membership.ts";
import type { Progress } from "./progress.ts";
import { isVoter } from "./quorum.ts";
import { becomeFollower, send } from "./role.ts";
import type { Step } from "./state.ts";

/** Stops taking commands, brings the target up to date and lets it campaign; for one election timeout at most. */
export function onTransferRequested(step: Step, to: ServerId | undefined): void {
  const { state, now, effects } = step;
  const { leading } = state;
  if (leading === undefined) {
    effects.push({ type: "announce-transfer-failed", reason: "not-leader" });
    return;
  }
  if (leading.transfer !== undefined) {
    // One at a time; who asks for what is under way already may wait for its end.
    if (to !== undefined && to !== leading.transfer.to) {
      effects.push({ type: "announce-transfer-failed", reason: "busy" });
    }
    return;
  }
  const target = to ?? mostCaughtUp(step);
  const progress = target === undefined ? undefined : leading.progress.get(target);
  if (target === undefined || !isUpright(state, target, progress) || !mayLead(configurationOf(state), target)) {
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
    if (!mayLead(configuration, id) || !isUpright(state, id, progress) || progress.matchIndex <= bestMatch) continue;
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
  endLease(step.state.leading!);
  send(step, peer, { type: "timeout-now", term: state.term });
  makeWay(step);
}

/** A leader that has no vote any more has nothing left to do when its successor is told (M6). */
function makeWay(step: Step): void {
  const { state } = step;
  if (isVoter(configurationOf(state), state.id)) return;
  becomeFollower(step, state.term, undefined, "removed");
}

/** The target did not take over in time: goes on as leader (P6: whatever happens, this ends). */
export function onTransferDeadline(step: Step): void {
  mark("transfer-timed-out");
  step.state.leading!.transfer = undefined;
  step.effects.push({ type: "announce-transfer-failed", reason: "timeout" });
  makeWay(step);
}

/** Between two attempts to hand leadership to a server of higher priority, in election timeouts. */
const preferEvery = 10;

/** A voter of higher priority that has all there is is the better leader. */
export function preferHigherPriority(step: Step): void {
  const { state, now } = step;
  const leading = state.leading!;
  if (now < leading.preferAt || leading.transfer !== undefined) return;
  const configuration = configurationOf(state);
  if (configuration.outgoing !== undefined || state.commitIndex < configurationIndex(state)) return;
  const priorityOf = (id: ServerId) => configuration.servers.find((server) => server.id === id)?.priority ?? 1;
  let best: ServerId | undefined;
  let bestPriority = priorityOf(state.id);
  for (const [id, progress] of leading.progress) {
    if (!mayLead(configuration, id) || !isUpright(state, id, progress) || priorityOf(id) <= bestPriority) continue;
    if (progress.matchIndex < state.commitIndex || progress.heardAt < now - state.settings.leaseMs) continue;
    best = id;
    bestPriority = priorityOf(id);
  }
  if (best === undefined) return;
  leading.preferAt = now + preferEvery * state.settings.electionMaxMs;
  onTransferRequested(step, best);
}
