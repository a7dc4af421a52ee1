/**
 * The log as a leader spreads it: probing, pipelining, heartbeats (Raft §5.3, thesis §10.2.1).
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { AppendResponse } from "../message.ts";
import type { LogIndex, ServerId } from "../types.ts";
import { commitByQuorum } from "./commitment.ts";
import { compact } from "./compaction.ts";
import type { Event } from "./event.ts";
import { invariant } from "./invariant.ts";
import { beginRound, doubtLease, freeFollowers, isLeased, onRoundAnswered } from "./lease.ts";
import { configurationOf, peersOf } from "./membership.ts";
import {
  acknowledge,
  becomeAwaitingSnapshot,
  becomeProbing,
  becomeReplicating,
  hasRoom,
  newProgress,
  type Progress,
} from "./progress.ts";
import { allVoters, quorumValue } from "./quorum.ts";
import { startReadRound, tryReadRound } from "./read.ts";
import { isDenial, isRecorded, onDenial, onFirstAnswer } from "./identity.ts";
import { onCatchUp, partWithLeaving, reconfigure, recordDisks, watchStaging } from "./reconfiguration.ts";
import { announceRole, becomeFollower, isCredible } from "./role.ts";
import { allowCatchUp, askForSnapshot } from "./snapshot_transfer.ts";
import type { Step } from "./state.ts";
import { appendTerm, lastAtMost, termAt } from "./term_index.ts";
import { onCaughtUp, onTargetLost, onTransferDeadline, preferHigherPriority } from "./transfer.ts";

/** Won the election: begins with an entry of its own term, without which nothing could be committed (Raft §8). */
export function becomeLeader(step: Step): void {
  const { state, now } = step;
  if (state.campaign?.transfer === true) mark("transfer-succeeded");
  const firstIndex = state.log.lastIndex + 1;
  const progress = new Map(peersOf(state).map((id) => [id, newProgress(firstIndex, now)]));
  state.role = "leader";
  state.leader = state.id;
  state.termLeader = state.id;
  state.leaderClosed = undefined;
  state.campaign = undefined;
  state.leading = {
    firstIndex,
    progress,
    heartbeatAt: now + state.settings.heartbeatMs,
    creditedAt: -Infinity,
    round: 0,
    leaseFrom: -Infinity,
    leaseWantedAt: -Infinity,
    readRound: undefined,
    readsWaiting: [],
    transfer: undefined,
    reconfigurations: [],
    // An earlier leader may have left something unfinished.
    reconfigures: true,
    preferAt: now + state.settings.electionMaxMs,
    unsyncedSince: Infinity,
  };
  watchStaging(step);
  announceRole(step, "election-won");
  // What is new about disks takes the place of the empty entry: nothing is committed before it.
  if (!recordDisks(step, true)) appendOwn(step, "noop", 1);
}

/** Appends entries of this term to the leader's own log; configurations see reconfiguration.ts. */
export function appendOwn(step: Step, source: "noop" | "proposals", count: number): void {
  const { state, effects } = step;
  const from = state.log.lastIndex + 1;
  appendTerm(state.log, state.term, count);
  effects.push({ type: "append", source, from, end: from + count, term: state.term, epoch: state.epoch });
}

/** Commands came in: they are in the log at once, or not at all. */
export function onProposed(step: Step, count: number): void {
  const { state, effects } = step;
  if (state.leading === undefined) {
    effects.push({ type: "refuse-proposals", reason: "not-leader", leader: state.leader });
  } else if (state.leading.transfer !== undefined) {
    effects.push({ type: "refuse-proposals", reason: "transferring", leader: state.leader });
  } else {
    appendOwn(step, "proposals", count);
  }
}

/** Time has passed for a leader: heartbeats, and whether a quorum still answers. */
export function onLeaderDeadline(step: Step): void {
  const { state, now } = step;
  const leading = state.leading!;
  if (leading.transfer !== undefined && now >= leading.transfer.deadline) onTransferDeadline(step);
  // One without a vote has made way.
  if (state.leading === undefined) return;
  if (now < leading.heartbeatAt) return;
  compact(step);
  // A leader that no quorum answers makes way: its clients wait for nothing (thesis §6.2, BV02).
  if (quorumHeardAt(step) < now - state.settings.leaseMs) {
    mark("leader-lost-quorum");
    return becomeFollower(step, state.term, undefined, "quorum-lost");
  }
  if (isDiskStalled(step)) {
    mark("leader-disk-stalled");
    return becomeFollower(step, state.term, undefined, "disk-stalled");
  }
  leading.heartbeatAt = now + state.settings.heartbeatMs;
  freeFollowers(step, leading);
  // A heartbeat may travel with entries: it is the new round that makes the follower answer before they are durable.
  beginRound(step, leading);
  for (const progress of leading.progress.values()) progress.blocked = false;
  partWithLeaving(step);
  preferHigherPriority(step);
}

/** Whether the own disk keeps everybody waiting while another server could lead with one that works (P8). */
function isDiskStalled(step: Step): boolean {
  const { settings, id } = step.state;
  const waitedMs = step.now - step.state.leading!.unsyncedSince;
  if (waitedMs <= settings.diskStallMs) return false;
  return allVoters(configurationOf(step.state)).some((voter) => voter !== id);
}

/** Some of a leader's entries became durable: those after them were not asked for before. */
export function onOwnEntriesPersisted(step: Step): void {
  const { leading, persistedIndex, log } = step.state;
  if (leading !== undefined) leading.unsyncedSince = persistedIndex < log.lastIndex ? step.now : Infinity;
}

/** Since when, at the earliest, a quorum has been heard. */
function quorumHeardAt(step: Step): number {
  const { state, now } = step;
  const { progress } = state.leading!;
  return quorumValue(configurationOf(state), (id) => {
    const of = progress.get(id);
    if (id === state.id) return now;
    // With what nobody counts before it is recorded nothing can be committed; the next leader records it at once.
    return isRecorded(state, id, of) ? of.heardAt : -Infinity;
  });
}

/**
 * What was heard before the clock jumped proves nothing: a quorum has two heartbeats' time to answer anew. Once in a
 * lease, or a leader whose clock jumps all the time would never notice that nobody answers.
 */
export function onLeaderClockJump(step: Step): void {
  const { state, now } = step;
  const leading = state.leading!;
  const { heartbeatMs, leaseMs } = state.settings;
  mark("leader-clock-jumped");
  doubtLease(step);
  leading.heartbeatAt = now;
  if (now - leading.creditedAt < leaseMs) return;
  leading.creditedAt = now;
  for (const progress of leading.progress.values()) progress.heardAt = now - leaseMs + 2 * heartbeatMs;
}

/** The turn is over: asks for what each peer should get now, in one piece. */
export function replicateAll(step: Step): void {
  const { state } = step;
  reconfigure(step);
  if (state.leading === undefined) return; // Removed, and that is committed.
  const { leading, persistedIndex, log } = state;
  if (leading.unsyncedSince === Infinity && persistedIndex < log.lastIndex) leading.unsyncedSince = step.now;
  startReadRound(step);
  for (const [id, progress] of state.leading!.progress) replicate(step, id, progress);
}

function replicate(step: Step, to: ServerId, progress: Progress): void {
  const { state } = step;
  if (progress.nextIndex < state.log.firstIndex) {
    mark("peer-behind-log");
    becomeAwaitingSnapshot(progress, state.log.firstIndex);
  }
  if (progress.blocked) return;
  if (progress.state === "snapshot") askForSnapshot(step, to, progress);
  if (progress.sending === undefined && hasEntriesToSend(step, progress)) {
    return ask(step, to, progress, state.log.lastIndex + 1);
  }
  const idle = progress.sending === undefined && progress.inFlight.length === 0 && progress.state === "replicate";
  if (progress.heartbeatDue || (idle && progress.commitSent < state.commitIndex)) {
    ask(step, to, progress, progress.nextIndex);
  }
}

function hasEntriesToSend(step: Step, progress: Progress): boolean {
  const { log, settings } = step.state;
  if (progress.state === "snapshot") return false;
  // One probe at a time; if it was lost, the next heartbeat asks the same without its entries.
  if (progress.state === "probe") return progress.probe === undefined;
  if (progress.nextIndex > log.lastIndex) return false;
  return hasRoom(progress, settings.windowAppendsMax, settings.windowBytesMax) && !isHeldBack(step, progress);
}

/** Whether entries that could go to a peer stay here for now: for the simulator alone. */
function isHeldBack({ buggify }: Step, { inFlight, heartbeatDue }: Progress): boolean {
  if (buggify === undefined) return false;
  if (inFlight.length > 0 && buggify("tiny-inflight")) return true;
  // With a heartbeat they go, or they might never.
  return !heartbeatDue && buggify("skip-optimistic-send");
}

/** Asks the sender for one append with entries below `end`; none when `end` is the peer's next index. */
function ask(step: Step, to: ServerId, progress: Progress, end: LogIndex): void {
  const { state, effects } = step;
  const { settings, commitIndex } = state;
  const { round } = state.leading!;
  const isSmall = end > progress.nextIndex + 1 && step.buggify?.("small-batch") === true;
  const prevTerm = termAt(state.log, progress.nextIndex - 1);
  invariant(prevTerm !== undefined, () => `"${to}" must not be asked about ${progress.nextIndex - 1}: it is compacted`);
  const sequence = progress.sequence++;
  progress.heartbeatDue = false;
  if (progress.sending === undefined) progress.sending = { sequence, commitIndex, round };
  effects.push({
    type: "replicate",
    to,
    term: state.term,
    sequence,
    prevTerm,
    from: progress.nextIndex,
    end,
    entriesMax: isSmall ? 1 : settings.appendEntriesMax,
    bytesMax: Math.min(settings.appendBytesMax, Math.max(1, settings.windowBytesMax - progress.inFlightBytes)),
    commitIndex,
    round,
    isLeased: isLeased(state.leading!),
  });
}

/** The sender did its work: only now do entries count as on their way. */
export function onSent(step: Step, event: Extract<Event, { type: "sent" }>): void {
  const progress = currentProgress(step, event);
  const sending = progress?.sending;
  if (progress === undefined || sending === undefined || sending.sequence !== event.sequence) return;
  progress.sending = undefined;
  progress.commitSent = Math.max(progress.commitSent, sending.commitIndex);
  const inFlight = { sequence: event.sequence, end: event.end, bytes: event.bytes };
  if (progress.state === "probe") {
    progress.probe = inFlight;
  } else if (event.end > progress.nextIndex) {
    progress.nextIndex = event.end;
    progress.inFlight.push(inFlight);
    progress.inFlightBytes += event.bytes;
  }
}

/** The sender could not send: nothing is on its way, and there is no use in trying before something changes. */
export function onSendFailed(step: Step, event: Extract<Event, { type: "send-failed" }>): void {
  const progress = currentProgress(step, event);
  if (progress === undefined) return;
  progress.blocked = true;
  if (progress.sending?.sequence === event.sequence) progress.sending = undefined;
}

function currentProgress(step: Step, event: { readonly to: ServerId; readonly term: number }): Progress | undefined {
  return event.term === step.state.term ? step.state.leading?.progress.get(event.to) : undefined;
}

/** A connection came up: speak to the peer at once. */
export function onPeerConnected(step: Step, peer: ServerId): void {
  const progress = step.state.leading?.progress.get(peer);
  if (progress === undefined) return;
  progress.blocked = false;
  progress.heartbeatDue = true;
}

/** A connection is gone with an unknown part of what was sent: look anew where the logs agree. */
export function onPeerDisconnected(step: Step, peer: ServerId): void {
  const progress = step.state.leading?.progress.get(peer);
  if (progress === undefined) return;
  becomeProbing(progress, progress.matchIndex + 1);
  onTargetLost(step, peer);
}

/** A follower answered. */
export function onAppendResponse(step: Step, from: ServerId, response: AppendResponse): void {
  const { state, now } = step;
  if (response.term > state.term) {
    // Adopts the term at once (P19).
    if (isCredible(step, response.term)) becomeFollower(step, response.term, undefined, "higher-term");
    return;
  }
  const progress = state.leading?.progress.get(from);
  if (progress === undefined || response.term !== state.term || response.sequence >= progress.sequence) {
    return mark("append-response-stale");
  }
  progress.heardAt = now;
  progress.ackedRound = Math.max(progress.ackedRound, Math.min(response.round, state.leading!.round));
  onRoundAnswered(progress);
  if (!progress.hasAnswered) onFirstAnswer(step, from, progress);
  if (response.rejected !== undefined) onRejected(step, from, progress, response);
  else onAccepted(step, from, progress, response);
  tryReadRound(step);
}

function onAccepted(step: Step, from: ServerId, progress: Progress, response: AppendResponse): void {
  const { state } = step;
  if (response.matchIndex > state.log.lastIndex) return; // Nothing that we sent: not a follower's honest answer.
  const news = acknowledge(progress, response.matchIndex);
  const isProbed = progress.state !== "replicate" && response.sequence >= progress.stateSequence;
  // Whichever way it came to where the log begins: a snapshot's end that was acknowledged is as good as an answer.
  const isBack = progress.state === "snapshot" && progress.matchIndex >= progress.nextIndex - 1;
  if (progress.state === "snapshot" && isProbed) mark("peer-back-by-heartbeat");
  if (isProbed || isBack) {
    // Accepted as sent, durable or not: the logs agree up to the end of the probe.
    const probed = progress.probe?.sequence === response.sequence ? progress.probe.end : progress.nextIndex;
    becomeReplicating(progress, Math.max(probed, progress.matchIndex + 1));
  }
  onCatchUp(step, from, progress);
  if (news) {
    if (progress.snapshotIndex !== undefined) allowCatchUp(step, progress);
    commitByQuorum(step);
  }
  onCaughtUp(step, from, progress);
}

/** Skips what can't match by terms instead of going back one by one (Raft §5.3, end; BV14). */
function onRejected(step: Step, from: ServerId, progress: Progress, response: AppendResponse): void {
  const { log } = step.state;
  const { sequence } = response;
  const { prevIndex, hintIndex, hintTerm, isDamaged } = response.rejected!;
  // Not even what was acknowledged is there any more.
  if (isDamaged && sequence >= progress.stateSequence) progress.matchIndex = Math.min(progress.matchIndex, hintIndex);
  if (isDenial(progress, sequence, response.rejected!)) return onDenial(step, from, progress);
  // Rejections of what was sent before the last change of mind, or below what is known to match, are stale (BL10).
  if (sequence < progress.stateSequence || prevIndex <= progress.matchIndex) return mark("rejection-stale");
  if (progress.state === "snapshot") return; // It needs one, as was known.
  if (progress.state === "probe" && prevIndex !== progress.nextIndex - 1) return;
  const agree = lastAtMost(log, Math.min(hintIndex, prevIndex - 1), hintTerm);
  becomeProbing(progress, agree + 1);
}
