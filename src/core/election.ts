/**
 * Elections (Raft §5.2, §5.4.1), the question before them (pre-vote, thesis §9.6) and leader stickiness (§4.2.3).
 *
 * @module
 */
import type { VoteRequest, VoteResponse } from "../message.ts";
import { type Mark, mark } from "../marks.ts";
import type { Disk, ServerId } from "../types.ts";
import { compactDamage } from "./compaction.ts";
import { isSameDisk, isTrusted } from "./identity.ts";
import { configurationOf, isPromotable } from "./membership.ts";
import { allVoters, tally } from "./quorum.ts";
import { randomBetween } from "./random.ts";
import { answerStranger } from "./reconfiguration.ts";
import { becomeLeader } from "./replication.ts";
import {
  announceRole,
  armElection,
  becomeFollower,
  enterTerm,
  isCredible,
  isVoteDurable,
  persistVote,
  send,
} from "./role.ts";
import type { CoreState, Step } from "./state.ts";
import { lastTerm } from "./term_index.ts";

/** A wait for a leader to come back is at least this part of the longest: one in so many. */
const WAIT_SPREAD = 5;

/** Where waits stop growing: any timer can wait for it, and no election timeout is longer. */
const WAIT_MS_MAX = 2 ** 30;

/** No leader was heard for an election timeout, or as long as one may take to come back: campaigns if this server may. */
export function onElectionDeadline(step: Step): void {
  const { state } = step;
  armNextElection(step);
  const reason = state.leaderClosed === undefined ? "election-timeout" : "leader-closed";
  // An election whose own vote is still being written has not begun: a second one would only burn a term (BE15).
  if (state.role === "candidate" && !isVoteDurable(step)) return mark("election-waited-for-own-vote");
  // Nobody leads who could offer a snapshot, and what is damaged in our own may be all that keeps us from it.
  compactDamage(step);
  if (!isPromotable(state)) {
    const isIdle = state.role === "follower" && state.leader === undefined;
    if (!isIdle) becomeFollower(step, state.term, undefined, "election-timeout");
    return;
  }
  if (reason === "leader-closed") mark("leader-closed-and-campaigned");
  if (state.settings.preVote) askBeforeCampaign(step, reason);
  else campaign(step, false);
}

/**
 * The leader's end has closed the connection, as it does when its process dies: an election is due soon, unless the leader
 * is back by then. Where only a connection broke, those that hear the leader still refuse to vote. What was promised is kept.
 */
export function onLeaderClosed(step: Step, peer: ServerId): void {
  const { state, now } = step;
  const { preVote, reconnectWaitMs = 0 } = state.settings;
  // Whoever does not ask before it campaigns would depose a leader that lives.
  if (!preVote || reconnectWaitMs === 0) return;
  if (state.role !== "follower" || state.leader !== peer || state.leaderClosed !== undefined) return;
  mark("leader-closed");
  if (now < state.promisedUntil) mark("leader-closed-under-promise");
  state.leaderClosed = { electionAt: state.electionAt, waitMs: reconnectWaitMs };
  if (isPromotable(state)) hastenElection(step, state.leaderClosed, Math.max(now, state.promisedUntil));
}

/** An election is due within the wait, unless it is due sooner; the next wait is twice as long. */
function hastenElection(
  step: Step,
  { electionAt, waitMs }: NonNullable<CoreState["leaderClosed"]>,
  from: number,
): void {
  const { state } = step;
  state.electionAt = Math.min(state.electionAt, from + randomBetween(state.random, waitMs / WAIT_SPREAD, waitMs));
  state.leaderClosed = { electionAt, waitMs: Math.min(2 * waitMs, WAIT_MS_MAX) };
}

/**
 * Another election is due when this one was not won by then. After a leader's end has closed the connection that is soon:
 * others may not have known of it yet, or their campaigns crossed with this one. But ever less so.
 */
function armNextElection(step: Step): void {
  const { leaderClosed } = step.state;
  armElection(step);
  if (leaderClosed !== undefined) hastenElection(step, leaderClosed, step.now);
}

/** The process whose end had closed the connection is there again: it had not died, and nothing is different from before. */
export function onLeaderBack({ state }: Step, peer: ServerId, disk: Disk | undefined): void {
  const { leaderClosed, leader, peerDisks } = state;
  if (leaderClosed === undefined || leader !== peer) return;
  // One that was started anew since leads nobody.
  if (!isSameDisk(peerDisks.get(peer), disk)) return;
  mark("leader-closed-and-back");
  state.electionAt = leaderClosed.electionAt;
  state.leaderClosed = undefined;
}

/** Asks whether an election could be won, changing nothing that outlives the answer. */
function askBeforeCampaign(step: Step, reason: "election-timeout" | "leader-closed"): void {
  const { state } = step;
  state.role = "pre-candidate";
  state.leader = undefined;
  state.campaign = { pre: true, term: state.term + 1, transfer: false, votes: new Map([[state.id, true]]) };
  announceRole(step, reason);
  if (!decide(step)) requestVotes(step);
}

/**
 * Enters the next term and votes for itself. The votes of others are asked for when that is durable.
 *
 * @param transfer Whether the leader asked for it: then its being alive is no reason to refuse (thesis §3.10).
 */
export function campaign(step: Step, transfer: boolean): void {
  const { state } = step;
  const reason = transfer ? "timeout-now" : state.role === "pre-candidate" ? "pre-vote-won" : "election-timeout";
  state.role = "candidate";
  state.leader = undefined;
  enterTerm(step, state.term + 1, state.id);
  state.campaign = { pre: false, term: state.term, transfer, votes: new Map() };
  armNextElection(step);
  announceRole(step, reason);
}

/** Our own vote may now be counted, and others asked for theirs. */
export function onOwnVotePersisted(step: Step): void {
  const { state } = step;
  const mine = state.campaign;
  if (mine === undefined || mine.pre || !isVoteDurable(step)) return;
  mine.votes.set(state.id, true);
  if (!decide(step)) requestVotes(step);
}

function requestVotes(step: Step): void {
  const { state } = step;
  const { pre, term, transfer } = state.campaign!;
  const message: VoteRequest = {
    type: "vote-request",
    term,
    pre,
    lastIndex: state.log.lastIndex,
    lastTerm: lastTerm(state.log),
    transfer,
  };
  for (const id of allVoters(configurationOf(state))) {
    if (id !== state.id) send(step, id, message);
  }
}

/** Acts on the votes so far; true when they decided something. */
function decide(step: Step): boolean {
  const { state } = step;
  const { pre, votes } = state.campaign!;
  const verdict = tally(configurationOf(state), (id) => votes.get(id));
  if (verdict === "open") return false;
  if (verdict === "lost") becomeFollower(step, state.term, undefined, "election-lost");
  else if (pre) campaign(step, false);
  else becomeLeader(step);
  return true;
}

/** Grants or refuses a vote: at most one a term, only to a log at least as up to date as ours (Raft §5.2, §5.4.1). */
export function onVoteRequest(step: Step, from: ServerId, request: VoteRequest): void {
  const { state } = step;
  if (!isCredible(step, request.term)) return;
  answerStranger(step, from);
  // Whoever has forgotten votes, or what was committed with its help, neither gives nor gets one (M8). What a candidate has
  // beyond our log may be the entry that re-admits one of us: it has all that we know, would not campaign if that spoke
  // against it, and does not count our vote if that speaks against us.
  const isSound = isAhead(state, request) || (isTrusted(state, from) && isTrusted(state, state.id));
  if (request.pre) {
    const granted = isSound && wouldGrant(step, from, request);
    if (!granted) mark("pre-vote-denied");
    return respond(step, from, request, granted);
  }
  if (!isSound) return respond(step, from, request, false);
  // Whoever hears a leader helps nobody to depose it, and does not take over the term (thesis §4.2.3).
  if (!request.transfer && hearsLeader(step)) {
    mark("vote-denied-for-lease");
    return respond(step, from, request, false);
  }
  if (request.term > state.term) becomeFollower(step, request.term, undefined, "higher-term");
  const denial = denialOf(state, from, request);
  if (denial !== undefined) mark(denial);
  const granted = denial === undefined;
  if (granted) {
    armElection(step);
    if (state.role === "pre-candidate") becomeFollower(step, state.term, undefined, "election-lost");
    if (state.votedFor === undefined) {
      state.votedFor = from;
      persistVote(step);
    }
  }
  respond(step, from, request, granted);
}

/** What speaks against giving the vote of our term; undefined when nothing does. */
function denialOf(state: CoreState, from: ServerId, request: VoteRequest): Mark | undefined {
  if (request.term !== state.term) return "vote-denied-for-term";
  if (!isFree(state, from)) return "vote-denied-for-vote";
  return isUpToDate(state, request) ? undefined : "vote-denied-for-log";
}

/** Whether a vote would be granted. Asking changes nothing (E8). */
function wouldGrant(step: Step, from: ServerId, request: VoteRequest): boolean {
  const { state } = step;
  if (hearsLeader(step) || !isUpToDate(state, request)) return false;
  if (request.term > state.term) return true;
  return request.term === state.term && state.termLeader === undefined && isFree(state, from);
}

function respond(step: Step, to: ServerId, request: VoteRequest, granted: boolean): void {
  const { term } = step.state;
  send(step, to, { type: "vote-response", term, pre: request.pre, campaign: request.term, granted });
}

/** Whether the vote of this term is still to be had, or was given to this candidate already. */
function isFree(state: CoreState, candidate: ServerId): boolean {
  return state.votedFor === undefined ? state.termLeader === undefined : state.votedFor === candidate;
}

/**
 * Whether a leader was heard within the minimum election timeout, or is this server. Also one that was given up since: it
 * may count on what it was promised (BR06). One whose end has closed the connection counts no more, but for that.
 */
function hearsLeader({ state, now }: Step): boolean {
  if (state.role === "leader" || now < state.promisedUntil) return true;
  return state.leaderClosed === undefined && now < state.leaderHeardAt + state.settings.electionMinMs;
}

/** Whether the candidate's log is at least as up to date as ours (Raft §5.4.1). */
function isUpToDate(state: CoreState, request: VoteRequest): boolean {
  const ours = lastTerm(state.log);
  return request.lastTerm > ours || (request.lastTerm === ours && request.lastIndex >= state.log.lastIndex);
}

/** Whether the candidate's log goes beyond ours. */
function isAhead(state: CoreState, request: VoteRequest): boolean {
  const isSame = request.lastTerm === lastTerm(state.log) && request.lastIndex === state.log.lastIndex;
  return isUpToDate(state, request) && !isSame;
}

/** Counts a vote of the campaign under way; answers to older ones count for nothing (BE07, BE16). */
export function onVoteResponse(step: Step, from: ServerId, response: VoteResponse): void {
  const { state } = step;
  const promised = response.pre && response.granted;
  if (response.term > state.term && !promised) {
    if (isCredible(step, response.term)) becomeFollower(step, response.term, undefined, "higher-term");
    return;
  }
  const mine = state.campaign;
  if (mine === undefined || mine.pre !== response.pre || mine.term !== response.campaign) {
    return mark("vote-response-stale");
  }
  if (mine.votes.has(from)) return;
  if (!isTrusted(state, from)) return;
  // Until our own vote is durable there is nobody who could have been asked.
  if (!mine.pre && !mine.votes.has(state.id)) return;
  mine.votes.set(from, response.granted);
  decide(step);
}

/** The leader hands over: campaigns at once, but only for the leader of this very term (P13, thesis §3.10). */
export function onTimeoutNow(step: Step, from: ServerId, term: number): void {
  const { state } = step;
  if (state.role !== "follower" || term !== state.term || state.leader !== from || !isPromotable(state)) return;
  campaign(step, true);
}
