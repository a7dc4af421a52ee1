/**
 * Changes of the servers, as a leader makes them: one entry at a time, in force from when it is appended (Raft §6,
 * thesis §4).
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { ChangeRefusal } from "../message.ts";
import type { Configuration, ConfigurationChange, LogIndex, Server, ServerId } from "../types.ts";
import { isSame, left, problemOf, promoted, serversAfter, towards } from "./change.ts";
import type { Event } from "./event.ts";
import { invariant } from "./invariant.ts";
import { diskChanges, isRecorded, isUpright, onRecorded, verdictOn } from "./identity.ts";
import { announceConfiguration, configurationIndex, configurationOf, peersOf } from "./membership.ts";
import { newProgress, type Progress } from "./progress.ts";
import { isVoter, majority, voterSets } from "./quorum.ts";
import { tryReadRound } from "./read.ts";
import { appendOwn } from "./replication.ts";
import { becomeFollower, isCredible, send } from "./role.ts";
import type { Leading, Reconfiguration, Step } from "./state.ts";
import { appendTerm } from "./term_index.ts";
import { onTransferRequested } from "./transfer.ts";

/** Wishes that wait at a time. */
const waitingMax = 64;
/** A server that has not caught up in so many rounds is too slow for the load (thesis §4.2.1). */
const roundsMax = 10;
/** A staging server that was not heard for so many election timeouts is unreachable. */
const silenceMax = 10;

/** Somebody wants other servers. */
export function onChangeRequested(step: Step, event: Extract<Event, { type: "change-requested" }>): void {
  const { leading } = step.state;
  const { id, changes, prevIndex, force } = event;
  if (leading === undefined) return refuse(step, id, "not-leader", "this server does not lead");
  if (leading.reconfigurations.length >= waitingMax) {
    mark("change-overloaded");
    return refuse(step, id, "overloaded", `${waitingMax} changes wait already`);
  }
  leading.reconfigurations.push({ id, changes, prevIndex, force, phase: "waiting", begun: false });
  leading.reconfigures = true;
}

/**
 * Goes on with what there is to change, if anything: to be called when a turn is over. At most one entry is appended at
 * a time, when the one before is committed and so is an entry of this term (M2, BM01).
 */
export function reconfigure(step: Step): void {
  const { state } = step;
  const leading = state.leading!;
  if (!leading.reconfigures || leading.transfer !== undefined) return;
  if (state.commitIndex < leading.firstIndex || state.commitIndex < configurationIndex(state)) return;
  const configuration = configurationOf(state);
  // Both halves have agreed; a new leader, too, completes what an earlier one began (M5, BM07).
  if (configuration.outgoing !== undefined) return append(step, left(configuration));
  settleCommitted(step, leading);
  if (!isVoter(configuration, state.id)) return handOver(step);
  if (recordDisks(step, false)) return;
  for (const change of [...leading.reconfigurations]) if (advance(step, leading, change)) return;
  if (promoteStaging(step, leading)) return;
  leading.reconfigures = leading.reconfigurations.length > 0 ||
    configuration.servers.some(({ suffrage }) => suffrage === "staging") ||
    configuration.servers.some(({ id }) => verdictOn(state, id) !== "known");
}

/** What was appended last is committed: whoever asked for it has it. */
function settleCommitted(step: Step, leading: Leading): void {
  const done = leading.reconfigurations.filter(({ phase }) => phase === "committing");
  for (const change of done) settle(step, leading, change);
}

function settle(step: Step, leading: Leading, change: Reconfiguration): void {
  leading.reconfigurations = leading.reconfigurations.filter((other) => other !== change);
  step.effects.push({
    type: "settle-change",
    id: change.id,
    index: configurationIndex(step.state),
    refusal: undefined,
  });
}

/** Does what can be done for one wish now; true when that was an entry. */
function advance(step: Step, leading: Leading, change: Reconfiguration): boolean {
  const { state } = step;
  const { servers } = configurationOf(state);
  if (change.phase === "waiting") {
    if (change.prevIndex !== undefined && change.prevIndex !== configurationIndex(state)) {
      const detail = `the configuration is that of index ${configurationIndex(state)}, not ${change.prevIndex}`;
      return giveUp(step, leading, change, "conflict", detail);
    }
    if (!isPossible(step, leading, change)) return false;
    change.phase = "catching-up";
    const staged = stagedFor(change, servers);
    if (!isSame(staged, servers)) {
      change.begun = true;
      append(step, { servers: staged });
      return true;
    }
  }
  if (!haveCaughtUp(step, leading, change) || !isPossible(step, leading, change)) return false;
  const after = serversAfter(servers, change.changes, new Set(change.changes.map(({ id }) => id)));
  if (isSame(after, servers)) {
    settle(step, leading, change);
    return false;
  }
  change.phase = "committing";
  change.begun = true;
  append(step, towards(configurationOf(state), after));
  return true;
}

/** The servers while those that are to vote catch up: all others are as before until then. */
function stagedFor({ changes }: Reconfiguration, servers: readonly Server[]): Server[] {
  return serversAfter(servers, changes.filter((one) => isToVote(one, servers)), new Set());
}

/** Whether the wish is for a vote that its server does not have yet. */
function isToVote(change: ConfigurationChange, servers: readonly Server[]): boolean {
  return change.type === "add-voter" &&
    servers.find(({ id }) => id === change.id)?.suffrage !== "voter";
}

/** Whether the servers that are wished for can be had; gives the wish up when not. */
function isPossible(step: Step, leading: Leading, change: Reconfiguration): boolean {
  const current = configurationOf(step.state);
  const after = serversAfter(current.servers, change.changes, new Set(change.changes.map(({ id }) => id)));
  const problem = problemOf(after) ?? problemOf(towards(current, after).servers);
  if (problem !== undefined) return giveUp(step, leading, change, "invalid", problem);
  const early = problemOf(stagedFor(change, current.servers));
  if (early !== undefined) {
    return giveUp(step, leading, change, "invalid", `${early} until those to vote have caught up`);
  }
  // Servers that are yet to come have to catch up first, and are asked then.
  const isYetToCome = (id: ServerId) => change.phase === "waiting" && !isVoter(current, id);
  const silent = change.force ? undefined : silentVoters(step, towards(current, after), isYetToCome);
  if (silent === undefined) return true;
  const detail = `no majority of its voters could be reached: ${silent.join(", ")} did not answer lately`;
  return giveUp(step, leading, change, "no-quorum", detail);
}

/** The voters that were not heard lately, when there are too many of them for a majority of each set. */
function silentVoters(
  step: Step,
  configuration: Configuration,
  isExcused: (id: ServerId) => boolean,
): ServerId[] | undefined {
  const { state, now } = step;
  const isSilent = (id: ServerId) => {
    const progress = state.leading!.progress.get(id);
    return !isUpright(state, id, progress) || progress.heardAt < now - state.settings.leaseMs;
  };
  for (const voters of voterSets(configuration)) {
    const silent = voters.filter((id) => id !== state.id && !isExcused(id) && isSilent(id));
    if (voters.length - silent.length < majority(voters.length)) return silent;
  }
  return undefined;
}

/** Whether all servers that the wish is to give a vote are ready for it; gives it up when one never will be. */
function haveCaughtUp(step: Step, leading: Leading, change: Reconfiguration): boolean {
  const { state, now } = step;
  const { servers } = configurationOf(state);
  for (const one of change.changes) {
    if (!isToVote(one, servers)) continue;
    const server = servers.find(({ id }) => id === one.id);
    if (server?.suffrage !== "staging") {
      return giveUp(step, leading, change, "removed", `"${one.id}" was taken out again meanwhile`);
    }
    const progress = leading.progress.get(one.id)!;
    if (mayVote(step, one.id, progress)) continue;
    const silentMs = Math.floor(now - progress.heardAt);
    if (silentMs > state.settings.electionMaxMs * silenceMax) {
      const detail =
        `"${one.id}" did not answer for ${silentMs} ms; it stays "staging" and votes when it has caught up`;
      return giveUp(step, leading, change, "unreachable", detail);
    }
    if (progress.catchUp!.round > roundsMax) {
      const detail = `"${one.id}" has not caught up in ${roundsMax} rounds; it stays "staging" and votes when it has`;
      return giveUp(step, leading, change, "too-slow", detail);
    }
    return false;
  }
  return true;
}

/**
 * Records with which disks servers are known, where that is new and safe. True when that was an entry.
 *
 * @param isFirst Whether it would be the first entry of this leadership.
 */
export function recordDisks(step: Step, isFirst: boolean): boolean {
  const { state } = step;
  const current = configurationOf(state);
  const { servers, waitsFor } = diskChanges(state, isFirst, (progress) => isReady(step, progress));
  const isNew = !isSame(servers, current.servers);
  if (isNew) append(step, { ...current, servers });
  // Where no commands come, nothing would ever be committed that shows it.
  else if (waitsFor > 0 && state.log.lastIndex <= waitsFor) appendOwn(step, "noop", 1);
  return isNew;
}

/** A staging server that nobody waits for votes as soon as it is ready: whoever asked may have asked another leader. */
function promoteStaging(step: Step, leading: Leading): boolean {
  const { servers } = configurationOf(step.state);
  const isAwaited = (id: ServerId) =>
    leading.reconfigurations.some(({ changes }) => changes.some((change) => change.id === id));
  const next = servers.find(({ id, suffrage }) =>
    suffrage === "staging" && !isAwaited(id) && mayVote(step, id, leading.progress.get(id)!)
  );
  if (next === undefined) return false;
  append(step, { servers: promoted(servers, next.id) });
  return true;
}

/**
 * Whether a staging server may get its vote. Before the log knows it by its disk what it says counts for nothing, also for
 * that record, once it votes: a leader that can't do without it could never commit one.
 */
function mayVote(step: Step, id: ServerId, progress: Progress): boolean {
  return isReady(step, progress) && isRecorded(step.state, id, progress);
}

/** Whether the last round went fast enough, and the one under way does too: what is missing comes within a timeout. */
function isReady(step: Step, progress: Progress): boolean {
  const { settings } = step.state;
  const { catchUp } = progress;
  invariant(catchUp !== undefined, () => "a server that is to catch up must be watched");
  if (!catchUp.ready || progress.heardAt < step.now - settings.leaseMs) return false;
  return progress.matchIndex >= catchUp.target || step.now - catchUp.startedAt <= settings.electionMinMs;
}

/** A staging server acknowledged: a round ends when it has all that was there when the round began (thesis §4.2.1). */
export function onCatchUp(step: Step, peer: ServerId, progress: Progress): void {
  const { state, now, effects } = step;
  const { catchUp, matchIndex } = progress;
  if (catchUp === undefined) return;
  if (matchIndex < catchUp.target) return;
  const { lastIndex } = state.log;
  const ready = now - catchUp.startedAt <= state.settings.electionMinMs;
  if (!catchUp.ready) effects.push({ type: "announce-catch-up", peer, matchIndex, lastIndex, round: catchUp.round });
  progress.catchUp = { round: catchUp.round + (ready ? 0 : 1), target: lastIndex, startedAt: now, ready };
}

/** Appends a configuration, which is in force from now on. */
function append(step: Step, configuration: Configuration): void {
  const { state, effects } = step;
  const index = state.log.lastIndex + 1;
  const { servers: before } = configurationOf(state);
  appendTerm(state.log, state.term, 1);
  state.configurations.push({ index, configuration });
  const { term, epoch } = state;
  effects.push({ type: "append", source: "configuration", from: index, end: index + 1, term, epoch, configuration });
  adjustProgress(step, index);
  onRecorded(step, index, before);
  watchStaging(step);
  announceConfiguration(step);
  // Who is still to answer may have no say any more, and there may be nobody else to wait for.
  tryReadRound(step);
}

/** Begins with servers that are new, and to part with those that are gone. */
function adjustProgress(step: Step, index: LogIndex): void {
  const { state, now } = step;
  const { progress } = state.leading!;
  const peers = new Set(peersOf(state));
  for (const id of peers) if (!progress.has(id)) progress.set(id, newProgress(state.log.lastIndex, now));
  for (const [id, of] of progress) {
    of.leaving = peers.has(id) ? undefined : of.leaving ?? { index, until: now + 2 * state.settings.electionMaxMs };
  }
}

/** Counts rounds of those that are to catch up. */
export function watchStaging(step: Step): void {
  const { state, now } = step;
  const { progress } = state.leading!;
  for (const { id, suffrage } of configurationOf(state).servers) {
    const of = progress.get(id);
    if (of === undefined) continue;
    if (suffrage !== "staging" && !of.hasForgotten) of.catchUp = undefined;
    else of.catchUp ??= { round: 1, target: state.log.lastIndex, startedAt: now, ready: false };
  }
}

/**
 * Parts with servers that are no longer in the configuration: they get the log up to the entry that says so, and are
 * told, for a limited time, so that they need not find out by being ignored.
 */
export function partWithLeaving(step: Step): void {
  const { state, now, effects } = step;
  const { progress } = state.leading!;
  for (const [id, { leaving, matchIndex }] of progress) {
    if (leaving === undefined) continue;
    const knows = state.commitIndex >= leaving.index && matchIndex >= leaving.index;
    if (!knows && now < leaving.until) continue;
    if (state.commitIndex >= leaving.index) tellRemoved(step, id, leaving.index);
    progress.delete(id);
    effects.push({ type: "forget-peer", peer: id });
  }
}

function tellRemoved(step: Step, peer: ServerId, index: LogIndex): void {
  send(step, peer, { type: "removed", term: step.state.term, index });
}

/** A server asks for votes that has none itself: it may not have heard that it was removed. */
export function answerStranger(step: Step, from: ServerId): void {
  const { state } = step;
  const index = configurationIndex(state);
  const isMember = configurationOf(state).servers.some(({ id }) => id === from);
  if (state.leading !== undefined && !isMember && index <= state.commitIndex) tellRemoved(step, from, index);
}

/**
 * A leader says that we were removed: until an entry says otherwise there is no use in campaigning. One of an earlier
 * term, or one that our own log has overtaken, says nothing.
 */
export function onRemoved(step: Step, from: ServerId, term: number, index: LogIndex): void {
  const { state } = step;
  if (term < state.term || !isCredible(step, term) || index <= state.removedAt) return;
  if (term > state.term) becomeFollower(step, term, undefined, "higher-term");
  else if (state.role === "leader" || (state.termLeader !== undefined && state.termLeader !== from)) return;
  const isMember = configurationOf(state).servers.some(({ id }) => id === state.id);
  if (isMember && configurationIndex(state) >= index) return;
  state.removedAt = index;
  step.effects.push({ type: "announce-removed", index });
}

/** A leader without a vote leads until that is committed, then makes way (thesis §4.2.2). */
function handOver(step: Step): void {
  const { state } = step;
  if (!configurationOf(state).servers.some(({ id }) => id === state.id)) {
    state.removedAt = configurationIndex(state);
    step.effects.push({ type: "announce-removed", index: state.removedAt });
  }
  // Those that go with it hear it from nobody else: once they have the entry they don't campaign.
  for (const [id, { leaving }] of state.leading!.progress) {
    if (leaving !== undefined) tellRemoved(step, id, leaving.index);
  }
  onTransferRequested(step, undefined);
  if (state.leading?.transfer === undefined && state.role === "leader") {
    becomeFollower(step, state.term, undefined, "removed");
  }
}

/** The leadership ended: nobody knows what becomes of what was begun. */
export function abandonChanges(step: Step, leading: Leading): void {
  for (const { id, begun } of leading.reconfigurations) {
    const detail = begun ? "the leader was lost while it was made" : "the leader was lost before it was begun";
    step.effects.push(refusal(id, { reason: "leadership-lost", detail, begun }));
  }
}

/** Gives up a wish; false, as nothing was appended for it. */
function giveUp(
  step: Step,
  leading: Leading,
  change: Reconfiguration,
  reason: ChangeRefusal["reason"],
  detail: string,
): false {
  leading.reconfigurations = leading.reconfigurations.filter((other) => other !== change);
  step.effects.push(refusal(change.id, { reason, detail, begun: change.begun }));
  return false;
}

function refuse(step: Step, id: number, reason: ChangeRefusal["reason"], detail: string): void {
  step.effects.push(refusal(id, { reason, detail, begun: false }));
}

function refusal(id: number, refusal: ChangeRefusal) {
  return { type: "settle-change", id, index: undefined, refusal } as const;
}
