/**
 * Snapshots as a leader sends them (Raft §7).
 *
 * @module
 */
import type { SnapshotResponse } from "../message.ts";
import type { LogIndex, ServerId } from "../types.ts";
import { compact } from "./compaction.ts";
import type { Event } from "./event.ts";
import { becomeProbing, type Progress } from "./progress.ts";
import { appendOwn } from "./replication.ts";
import { becomeFollower, isCredible } from "./role.ts";
import type { Step } from "./state.ts";

type About<T extends Event["type"]> = Extract<Event, { type: T }>;

/**
 * The peer needs a snapshot: asks the driver to see to it, once. Whatever becomes of that, the next heartbeat that the peer
 * accepts shows that it is back, so nothing that gets lost on the way can stall it (BS07, BS08).
 */
export function askForSnapshot(step: Step, to: ServerId, progress: Progress, beyond?: LogIndex): void {
  if (progress.snapshotAsked) return;
  progress.snapshotAsked = true;
  const { term } = step.state;
  step.effects.push({ type: "send-snapshot", to, term, ...(beyond === undefined ? {} : { beyond }) });
}

/** A peer's machine is to begin anew, from a state that it never had: there must be an entry that it has not applied. */
export function onSnapshotAsked(step: Step, { peer, beyond }: About<"snapshot-asked">): void {
  const { state } = step;
  const progress = state.leading?.progress.get(peer);
  // It asks again. Entries during a transfer would keep the next leader from catching up.
  if (progress === undefined || progress.snapshotAsked || state.leading!.transfer !== undefined) return;
  // Nobody has applied what is not there.
  if (beyond > state.log.lastIndex) return;
  if (beyond === state.log.lastIndex) appendOwn(step, "noop", 1);
  askForSnapshot(step, peer, progress, beyond);
}

/** What follows that snapshot must stay in the log, or the peer would need another one at its end (P10). */
export function onSnapshotSending(step: Step, event: About<"snapshot-sending">): void {
  const progress = currentProgress(step, event);
  if (progress !== undefined) progress.snapshotIndex = event.index;
}

/** The peer has all that the snapshot includes: goes on after it. */
export function onSnapshotSent(step: Step, event: About<"snapshot-sent">): void {
  const progress = currentProgress(step, event);
  if (progress === undefined) return;
  progress.snapshotAsked = false;
  progress.snapshotIndex = event.index;
  allowCatchUp(step, progress);
  if (progress.state === "snapshot" && event.index + 1 >= step.state.log.firstIndex) {
    becomeProbing(progress, event.index + 1);
    progress.heartbeatDue = true;
  }
  compact(step);
}

/** It did not work: there will be another try with the next heartbeat. */
export function onSnapshotFailed(step: Step, event: About<"snapshot-failed">): void {
  const progress = currentProgress(step, event);
  if (progress === undefined) return;
  progress.snapshotAsked = false;
  progress.snapshotIndex = undefined;
  progress.blocked = true;
  compact(step);
}

/** A peer that has a snapshot and goes on to acknowledge what follows is worth keeping that for, as long as it does. */
export function allowCatchUp({ state, now }: Step, progress: Progress): void {
  progress.snapshotUntil = now + 2 * state.settings.electionMaxMs;
}

function currentProgress(step: Step, event: { readonly to: ServerId; readonly term: number }): Progress | undefined {
  return event.term === step.state.term ? step.state.leading?.progress.get(event.to) : undefined;
}

/** The rest of the answer is the driver's business; a later term is ours (P19). */
export function onSnapshotResponse(step: Step, { term }: SnapshotResponse): void {
  if (term > step.state.term && isCredible(step, term)) becomeFollower(step, term, undefined, "higher-term");
}
