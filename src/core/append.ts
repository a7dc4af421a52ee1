/**
 * Appends as a follower takes them (Raft §5.3).
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { AppendRequest } from "../message.ts";
import type { LogIndex, ServerId, Term } from "../types.ts";
import { firstConflict, firstDamaged, forgetDamage, isSound, repairEntries, soundIndex } from "./damage.ts";
import { invariant } from "./invariant.ts";
import { appendConfigurations, truncateConfigurations } from "./membership.ts";
import { armElection, becomeFollower, isCredible, send } from "./role.ts";
import type { Step } from "./state.ts";
import { appendRuns, firstMissing, lastAtMost, termAt, truncateTerms } from "./term_index.ts";

/** Stands for no request at all. */
const nothing = { sequence: 0, round: 0 };

/** Takes entries from the leader when they fit, says where to look when they don't. */
export function onAppendRequest(step: Step, from: ServerId, request: AppendRequest): void {
  const { state } = step;
  if (request.term < state.term) {
    // A leader that was cut off learns here that its term is over, and nothing else: should it lead our term by now, the
    // answer must not pass for one to a request of this term, which counts its own sequences and rounds from 1 (BR03).
    mark("append-denied-for-term");
    return answer(step, from, nothing, 0);
  }
  if (!isCredible(step, request.term)) return;
  hearLeader(step, from, request);
  if (request.isLeased) promise(step);
  const { prevIndex, prevTerm } = request;
  if (prevIndex >= firstDamaged(state)) return reject(step, from, request, firstDamaged(state) - 1, true);
  if (prevIndex > state.log.lastIndex) {
    mark("append-rejected-for-gap");
    return reject(step, from, request, state.log.lastIndex);
  }
  const ours = termAt(state.log, prevIndex);
  // What was compacted was committed, so it is the leader's too (ours === undefined: before the first index).
  if (ours !== undefined && ours !== prevTerm) {
    const hint = lastAtMost(state.log, prevIndex, prevTerm);
    invariant(prevIndex > state.commitIndex, () => conflict(prevIndex, from));
    mark("append-rejected-for-term");
    return reject(step, from, request, hint);
  }
  if (ours === undefined) mark("append-from-before-log");
  takeEntries(step, from, request);
  // Only what this leader's requests have verified may be taken as committed (BC03), not all that the log holds.
  state.verifiedIndex = Math.max(state.verifiedIndex, request.end - 1);
  if (request.commitIndex > state.verifiedIndex) mark("commit-capped-by-verified");
  advanceCommit(step, Math.min(request.commitIndex, state.verifiedIndex, soundIndex(state)));
  acknowledge(step, from, request);
}

/** This server leads `request.term`: follows it, and waits for an election timeout from now on. */
export function hearLeader(step: Step, from: ServerId, request: { readonly term: Term }): void {
  const { state } = step;
  invariant(
    request.term > state.term || state.role !== "leader",
    () => `term ${state.term} must have one leader: "${from}" claims it too`,
  );
  if (request.term > state.term || state.role !== "follower" || state.leader !== from) {
    becomeFollower(step, request.term, from, "leader-heard");
  }
  state.leaderHeardAt = step.now;
  state.leaderClosed = undefined;
  armElection(step);
}

/** Votes for nobody else for a while, whatever happens meanwhile: the leader may count on that (docs/leases.md). */
function promise({ state, now }: Step): void {
  state.promisedUntil = Math.max(state.promisedUntil, now + state.settings.electionMinMs);
}

/** Removes what conflicts, appends what is missing; entries that are there already stay untouched (BL01). */
function takeEntries(step: Step, from: ServerId, request: AppendRequest): void {
  const { state, effects } = step;
  const { end, runs } = request;
  const missing = isSound(state)
    ? firstMissing(state.log, runs, request.prevIndex + 1, end)
    : firstConflict(state, request, end);
  if (!isSound(state)) repairEntries(step, request, Math.min(missing, state.log.lastIndex + 1));
  if (missing >= end) return request.prevIndex + 1 < end ? mark("append-again-accepted") : undefined;
  if (missing <= state.log.lastIndex) truncate(step, from, missing);
  appendRuns(state.log, runs, missing, end);
  appendConfigurations(step, request.configurations, missing, end);
  effects.push({ type: "append", source: "message", from: missing, end, term: request.term, epoch: state.epoch });
}

/** Nothing committed and nothing that this leader sent itself is ever removed (L3, L6; P15). */
function truncate(step: Step, leader: ServerId, from: LogIndex): void {
  const { state } = step;
  invariant(from > state.commitIndex && from > state.verifiedIndex, () => conflict(from, leader));
  mark("append-truncated");
  truncateTerms(state.log, from);
  forgetDamage(step, from, Infinity);
  state.persistedIndex = Math.min(state.persistedIndex, from - 1);
  state.epoch++;
  state.ackOwed = undefined;
  step.effects.push({ type: "truncate", from });
  truncateConfigurations(step, from);
}

function conflict(index: LogIndex, leader: ServerId): string {
  return `entry ${index} must not change as it is committed or acknowledged: leader "${leader}" has another one`;
}

/** Everything up to here is committed: it may be applied. */
export function advanceCommit(step: Step, commitIndex: LogIndex): void {
  const { state } = step;
  if (commitIndex <= state.commitIndex) return;
  invariant(commitIndex <= state.log.lastIndex, () => `commit index ${commitIndex} must be in the log`);
  state.commitIndex = commitIndex;
  step.effects.push({ type: "apply", upTo: commitIndex });
}

/**
 * Answers at once when all that the request is about is durable, or when the leader waits for an answer that proves
 * contact (a heartbeat, a new round); and again, once for all that was written together, when the entries are durable.
 */
function acknowledge(step: Step, from: ServerId, request: AppendRequest): void {
  const { state } = step;
  const waits = state.verifiedIndex > durableMatch(step);
  const proves = request.end === request.prevIndex + 1 || request.round > state.roundAnswered;
  if (!waits || proves) answer(step, from, request, durableMatch(step));
  if (!waits) return;
  const owed = state.ackOwed;
  state.ackOwed = {
    sequence: Math.max(owed?.sequence ?? 0, request.sequence),
    round: Math.max(owed?.round ?? 0, request.round),
  };
}

/** Up to here the log is both durable and known to equal the leader's: all that may be acknowledged (L4, BL03). */
function durableMatch(step: Step): LogIndex {
  const { state } = step;
  return Math.min(state.verifiedIndex, state.persistedIndex, soundIndex(state));
}

/** Entries became durable: sends the answer that waited for it. */
export function acknowledgePersisted(step: Step): void {
  const { state } = step;
  const owed = state.ackOwed;
  if (owed === undefined || state.leader === undefined) return;
  if (durableMatch(step) >= state.verifiedIndex) state.ackOwed = undefined;
  answer(step, state.leader, owed, durableMatch(step));
}

function answer(
  step: Step,
  to: ServerId,
  request: { readonly sequence: number; readonly round: number },
  matchIndex: LogIndex,
): void {
  const { sequence, round } = request;
  const { state } = step;
  state.roundAnswered = Math.max(state.roundAnswered, round);
  send(step, to, { type: "append-response", term: state.term, sequence, round, matchIndex, rejected: undefined });
}

function reject(step: Step, to: ServerId, request: AppendRequest, hintIndex: LogIndex, isDamaged = false): void {
  const { sequence, round, prevIndex } = request;
  const { term, log } = step.state;
  const rejected = { prevIndex, hintIndex, hintTerm: termAt(log, hintIndex)!, isDamaged };
  send(step, to, { type: "append-response", term, sequence, round, matchIndex: 0, rejected });
}
