/**
 * Snapshots as a follower takes them (Raft §7).
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { SnapshotRequest } from "../message.ts";
import type { LogIndex, ServerId, Term } from "../types.ts";
import { acknowledgePersisted, advanceCommit, hearLeader } from "./append.ts";
import { adoptSnapshot, compact, compactDamage, compactTo } from "./compaction.ts";
import type { Event } from "./event.ts";
import { announceDamage, firstDamaged, forgetDamage, knowsTermAt, mendsDamage } from "./damage.ts";
import { invariant } from "./invariant.ts";
import { replaceConfigurations } from "./membership.ts";
import { becomeFollower, isCredible, send } from "./role.ts";
import type { CoreState, Step } from "./state.ts";
import { resetTerms, termAt } from "./term_index.ts";

/**
 * A leader offers a snapshot. It is contact, as an append is; and the snapshot is taken only when the log does not have what
 * it includes (BS01, P15).
 */
export function onSnapshotRequest(step: Step, from: ServerId, request: SnapshotRequest): void {
  const { state } = step;
  if (request.term < state.term) return respond(step, from, request, "refused");
  if (!isCredible(step, request.term)) return;
  hearLeader(step, from, request);
  compactDamage(step);
  const { index, lastTerm } = request;
  if (!joins(state, index, lastTerm)) {
    // It would take what we have beyond it away; a later one, or one at our end, makes up for what is damaged.
    const takesAway = index < state.log.lastIndex && !conflicts(state, index, lastTerm);
    if (mendsDamage(state, index) && takesAway) return respond(step, from, request, "refused");
    if (hasEntries(step, index, lastTerm) && !isWanted(state, index)) {
      mark("snapshot-offered-for-nothing");
      takeForCommitted(step, index);
      return respond(step, from, request, state.persistedIndex >= index ? "done" : "installing");
    }
  }
  step.effects.push({ type: "receive-snapshot", from, request });
}

function respond(
  step: Step,
  to: ServerId,
  { id }: SnapshotRequest,
  status: "done" | "installing" | "refused",
): void {
  send(step, to, { type: "snapshot-response", term: step.state.term, id, status, offset: 0 });
}

/** Whether the log has all that such a snapshot includes: what is committed, or what ends with the same entry (S2). */
function hasEntries(step: Step, index: LogIndex, term: Term): boolean {
  const { commitIndex, log } = step.state;
  // What is damaged isn't had, and a snapshot that includes it makes up for it.
  if (mendsDamage(step.state, index) && index >= log.lastIndex) return false;
  const ours = termAt(log, index);
  invariant(
    index > commitIndex || ours === undefined || ours === term,
    () => `entry ${index} must not change as it is committed: a snapshot says it is of term ${term}, not ${ours}`,
  );
  return index <= commitIndex || ours === term;
}

/**
 * Whether something damaged is in a snapshot that ends before our log does, with the entry that we have there, or may have:
 * then it takes the place of the log's beginning, and what comes after it stays, damaged or not. It may be what was
 * committed with us, so that it must not go. Where our entry is another one after all, nobody who leads has what follows it.
 */
function joins(state: CoreState, index: LogIndex, term: Term): boolean {
  return firstDamaged(state) <= index && mends(state, index, term);
}

/** Whether one would that is there: also where what was damaged is being repaired by now, as that may not be all. */
function mends(state: CoreState, index: LogIndex, term: Term): boolean {
  if (index <= state.snapshot.index || index >= state.log.lastIndex) return false;
  return mendsDamage(state, index) && !conflicts(state, index, term);
}

/** Whether our log can't have the entry that a snapshot ends with: then nothing after it was ever committed. */
function conflicts(state: CoreState, index: LogIndex, term: Term): boolean {
  if (index <= state.commitIndex) return false;
  const ours = termAt(state.log, index)!;
  return knowsTermAt(state, index) ? ours !== term : ours < term;
}

/**
 * The machine is to begin anew, or not any more: it holds what it should not. Votes, log and what is acknowledged know of no
 * machine, so they go on as they are.
 */
export function onSnapshotWanted({ state }: Step, beyond: LogIndex | undefined): void {
  state.wantedBeyond = beyond;
}

function isWanted({ wantedBeyond }: CoreState, index: LogIndex): boolean {
  return wantedBeyond !== undefined && index > wantedBeyond;
}

/** A snapshot includes nothing but committed entries, so those of ours up to here are the leader's too, and committed. */
function takeForCommitted(step: Step, index: LogIndex): void {
  const { state } = step;
  state.verifiedIndex = Math.max(state.verifiedIndex, index);
  advanceCommit(step, index);
}

/**
 * A snapshot is whole and durable. Much may have changed since it was asked for, its leader too; but it includes what is
 * committed for ever, so all that matters is whether the log has come that far meanwhile.
 */
export function onSnapshotReceived(step: Step, event: Extract<Event, { type: "snapshot-received" }>): void {
  const { state } = step;
  const { index, term } = event;
  if (index <= state.snapshot.index) return;
  if (mends(state, index, term)) return join(step, event);
  if (!hasEntries(step, index, term)) return install(step, event);
  mark("snapshot-overtaken");
  takeForCommitted(step, index);
  adoptSnapshot(step, index, term);
  if (isWanted(state, index)) {
    mark("snapshot-taken-anew");
    state.wantedBeyond = undefined;
    step.effects.push({ type: "restore-snapshot", index });
  }
  oweAnswer(step);
  if (state.persistedIndex >= state.verifiedIndex) acknowledgePersisted(step);
}

/**
 * The snapshot takes the log's place. What the log holds beyond the commit index conflicts with it and goes; the log goes on
 * after it with nothing (P4). It is acknowledged when that is durable (BS09).
 */
function install(step: Step, event: Extract<Event, { type: "snapshot-received" }>): void {
  const { state, effects } = step;
  const { index, term, configuration, configurationIndex } = event;
  invariant(state.leading === undefined, () => `a leader must have all that is committed, but lacks entry ${index}`);
  invariant(term <= state.term, () => `a snapshot of term ${term} must not be beyond the server's term ${state.term}`);
  if (state.role !== "follower") becomeFollower(step, state.term, undefined, "snapshot-installed");
  const { commitIndex, log } = state;
  const truncateFrom = log.lastIndex > commitIndex ? commitIndex + 1 : undefined;
  mark("snapshot-installed");
  if (log.lastIndex >= index) mark("snapshot-replaced-conflict");
  resetTerms(log, index, term);
  forgetDamage(step, 0, Infinity);
  // One that makes up for a damaged end of the log ends where that did: its place is not durable for that.
  state.persistedIndex = Math.min(state.persistedIndex, commitIndex, index - 1);
  state.epoch++;
  state.commitIndex = index;
  state.verifiedIndex = Math.max(state.verifiedIndex, index);
  state.snapshot = { index, term };
  state.compactionTarget = 0;
  state.installing = index;
  if (isWanted(state, index)) state.wantedBeyond = undefined;
  state.ackOwed = undefined;
  oweAnswer(step);
  effects.push({ type: "install-snapshot", index, term, truncateFrom, epoch: state.epoch });
  replaceConfigurations(step, [{ index: configurationIndex, configuration }]);
}

/**
 * The snapshot takes the place of the log's beginning, where entries are damaged; the log goes on after it as it was. What it
 * holds goes at once, applied or not: where a damaged entry's term is not known the log has the most that it can be, and an
 * append of the leader's would seem to conflict with that (BD03). What is known to be committed goes as always.
 */
function join(step: Step, event: Extract<Event, { type: "snapshot-received" }>): void {
  const { state, effects } = step;
  const { index, term, configuration, configurationIndex } = event;
  mark("snapshot-joined-log");
  const isNews = index > state.commitIndex && index <= state.persistedIndex;
  state.snapshot = { index, term };
  state.commitIndex = Math.max(state.commitIndex, index);
  state.verifiedIndex = Math.max(state.verifiedIndex, index);
  if (isWanted(state, index)) state.wantedBeyond = undefined;
  const later = state.configurations.filter((it) => it.index > index);
  replaceConfigurations(step, [{ index: configurationIndex, configuration }, ...later]);
  if (index > state.appliedIndex) effects.push({ type: "restore-snapshot", index });
  // What trails would be damaged.
  state.compactionTarget = index;
  if (isNews) compactTo(step, index, term);
  else compact(step);
  announceDamage(step);
  // Whoever found an entry damaged on the way to the machine waits for it.
  if (state.commitIndex > index) effects.push({ type: "apply", upTo: state.commitIndex });
  oweAnswer(step);
  acknowledgePersisted(step);
}

/** The leader that is followed learns of it when it is durable. */
function oweAnswer(step: Step): void {
  const { state } = step;
  if (state.leader !== undefined && state.leading === undefined) state.ackOwed ??= { sequence: 0, round: 0 };
}
