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
    if (to === undefined) return;
    if (to === leading.transfer.to) leading.transfer.isNamed = true;
    else effects.push({ type: "announce-transfer-failed", reason: "busy" });
    return;
  }
  const target = to ?? mostCaughtUp(step);
  const progress = target === undefined ? undefined : leading.progress.get(target);
  if (target === undefined || !maySucceed(step, target, progress)) {
    effects.push({ type: "announce-transfer-failed", reason: "no-target" });
    return;
  }
  const deadline = now + state.settings.electionMinMs;
  leading.transfer = { to: target, isNamed: to !== undefined, deadline, told: false };
  onCaughtUp(step, target, progress);
}

/** Whether this peer can lead next, once it has everything. */
function maySucceed({ state }: Step, id: ServerId, progress: Progress | undefined): progress is Progress {
  return isUpright(state, id, progress) && mayLead(configurationOf(state), id);
}

/**
 * The voter that needs least, among those that were heard from lately; one that has not answered since its connection
 * closed only when there is no other.
 */
function mostCaughtUp(step: Step): ServerId | undefined {
  const { state, now } = step;
  let best: ServerId | undefined;
  let bestProgress: Progress | undefined;
  for (const [id, progress] of state.leading!.progress) {
    if (!maySucceed(step, id, progress) || progress.heardAt < now - state.settings.leaseMs) continue;
    if (bestProgress !== undefined && !needsLess(progress, bestProgress)) continue;
    best = id;
    bestProgress = progress;
  }
  return best;
}

function needsLess(one: Progress, other: Progress): boolean {
  if (isInTouch(one) !== isInTouch(other)) return isInTouch(one);
  return one.matchIndex > other.matchIndex;
}

/** Whether the peer has answered on the connection that it has now. */
function isInTouch({ state }: Progress): boolean {
  return state === "replicate";
}

/**
 * The peer has answered. When it has the whole log and is the target, or as good as that when nobody was named, it is told to
 * campaign, once. What is sent to one that is not in touch may get lost.
 */
export function onCaughtUp(step: Step, peer: ServerId, progress: Progress): void {
  const { state } = step;
  const transfer = state.leading?.transfer;
  if (transfer === undefined || transfer.told || (transfer.isNamed && transfer.to !== peer)) return;
  if (progress.matchIndex < state.log.lastIndex || !isInTouch(progress) || !maySucceed(step, peer, progress)) return;
  transfer.to = peer;
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

/**
 * The connection to the target is gone, maybe with what it was told: it is told again when it answers in time, unless
 * nobody named it and another can lead.
 */
export function onTargetLost(step: Step, peer: ServerId): void {
  const { leading } = step.state;
  const transfer = leading?.transfer;
  if (transfer === undefined || transfer.to !== peer) return;
  transfer.told = false;
  if (transfer.isNamed) return;
  const other = mostCaughtUp(step);
  if (other === undefined || other === peer) return;
  mark("transfer-target-changed");
  transfer.to = other;
  onCaughtUp(step, other, leading!.progress.get(other)!);
}

/** The target did not take over in time: goes on as leader (P6: whatever happens, this ends). */
export function onTransferDeadline(step: Step): void {
  mark("transfer-timed-out");
  const leading = step.state.leading!;
  const { to } = leading.transfer!;
  leading.transfer = undefined;
  step.effects.push({ type: "announce-transfer-failed", reason: "timeout", to });
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
    if (!maySucceed(step, id, progress) || priorityOf(id) <= bestPriority) continue;
    if (progress.matchIndex < state.commitIndex || progress.heardAt < now - state.settings.leaseMs) continue;
    // Commands would wait for it to answer, and nobody has asked for this transfer.
    if (!isInTouch(progress)) continue;
    best = id;
    bestPriority = priorityOf(id);
  }
  if (best === undefined) return;
  leading.preferAt = now + preferEvery * state.settings.electionMaxMs;
  onTransferRequested(step, best);
}
