/**
 * The log's beginning: what a durable snapshot holds may go (Raft §7).
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { LogIndex, Term } from "../types.ts";
import { forgetDamage, mendsDamage } from "./damage.ts";
import type { Event } from "./event.ts";
import { forgetConfigurations } from "./membership.ts";
import type { Step } from "./state.ts";
import { compactTerms } from "./term_index.ts";

/** A snapshot of our own machine is durable. An older one than is known changes nothing (BS12). */
export function onSnapshotPersisted(
  step: Step,
  { index, term }: Extract<Event, { type: "snapshot-persisted" }>,
): void {
  if (index > step.state.snapshot.index) adoptSnapshot(step, index, term);
}

/** The log may be compacted up to this snapshot, but for the entries that trail. */
export function adoptSnapshot(step: Step, index: LogIndex, term: Term): void {
  const { state } = step;
  state.snapshot = { index, term };
  const trailing = Math.min(index, state.log.lastIndex - state.settings.trailingLogs);
  // More may be asked for already, as what would trail is damaged.
  state.compactionTarget = Math.max(state.compactionTarget, trailing);
  compact(step);
}

/**
 * A leader offers a snapshot, so it may not have in its log what is damaged in ours; or there is no leader. Where our own
 * snapshot holds that, nothing trails it, as at a start (parts.ts): it would be in the way of what comes after it for ever.
 */
export function compactDamage(step: Step): void {
  const { state } = step;
  if (!mendsDamage(state, state.snapshot.index)) return;
  state.compactionTarget = state.snapshot.index;
  compact(step);
}

/** So few entries are not worth a write of their own: the rest follows. */
const partMin = 1024;

/**
 * Removes from the log what is asked for and nobody needs any more: never beyond a durable snapshot (S4), what the machine
 * has applied, what is on our own disk, or what must follow a snapshot that a peer gets.
 */
export function compact(step: Step): void {
  const { state } = step;
  const { log } = state;
  if (state.compactionTarget < log.firstIndex) return;
  const wanted = Math.min(state.compactionTarget, state.snapshot.index);
  const last = Math.min(wanted, state.appliedIndex, state.persistedIndex, neededByPeers(step));
  if (last < wanted && last - log.firstIndex < partMin) return;
  mark("log-compacted");
  compactTo(step, last);
}

/** Removes the entries up to here from the log: a durable snapshot stands for them, which may know better of which term the last is. */
export function compactTo(step: Step, last: LogIndex, term?: Term): void {
  const { log } = step.state;
  compactTerms(log, last + 1);
  log.prevTerm = term ?? log.prevTerm;
  forgetDamage(step, 0, last + 1);
  forgetConfigurations(step, last);
  step.effects.push({ type: "compact", firstIndex: log.firstIndex, prevTerm: log.prevTerm });
}

/**
 * What comes after this entry is needed by a peer that gets a snapshot, or just got one and is catching up: were it to need
 * another one at the end of the first, that might go on for ever (P10).
 */
function neededByPeers({ state, now }: Step): LogIndex {
  let needed = Infinity;
  for (const progress of state.leading?.progress.values() ?? []) {
    const { snapshotIndex, matchIndex } = progress;
    if (snapshotIndex === undefined) continue;
    const isOver = !progress.snapshotAsked && (matchIndex >= state.snapshot.index || now > progress.snapshotUntil);
    if (isOver) progress.snapshotIndex = undefined;
    else mark("compaction-waited-for-peer");
    if (!isOver) needed = Math.min(needed, Math.max(snapshotIndex, matchIndex));
  }
  return needed;
}
