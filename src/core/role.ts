/**
 * Changes of role and term, and messages that must wait for them to be durable.
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { ServerId, Term } from "../types.ts";
import type { RoleReason, SmallMessage } from "./effect.ts";
import { invariant } from "./invariant.ts";
import { randomBetween } from "./random.ts";
import { abandonChanges } from "./reconfiguration.ts";
import type { Step } from "./state.ts";

/** A term may jump at most this far in one message: a damaged or hostile one must not use up all terms. */
const termJumpMax = 2 ** 40;

/** Whether the term can be believed. */
export function isCredible(step: Step, term: Term): boolean {
  return term <= step.state.term + termJumpMax;
}

/**
 * Waits for a random time before the next election: drawn anew each time, so that candidates spread (Raft §5.2). No promise is
 * broken before it ends: it may have been for longer than the settings say now.
 */
export function armElection({ state, now }: Step): void {
  const { electionMinMs, electionMaxMs } = state.settings;
  state.electionAt = Math.max(now + randomBetween(state.random, electionMinMs, electionMaxMs), state.promisedUntil);
}

/** Enters a later term, having voted in it for this server or (yet) for nobody. What belonged to the old one is void. */
export function enterTerm(step: Step, term: Term, votedFor: ServerId | undefined): void {
  const { state } = step;
  invariant(term > state.term, () => `a term must only grow: ${term} after ${state.term}`);
  state.term = term;
  state.votedFor = votedFor;
  state.termLeader = undefined;
  state.verifiedIndex = 0;
  state.ackOwed = undefined;
  state.roundAnswered = 0;
  state.withheld = [];
  persistVote(step);
}

/** Asks for {term, votedFor} to be durable; messages wait for it. */
export function persistVote(step: Step): void {
  const { state, effects } = step;
  state.voteAsked++;
  effects.push({ type: "persist-vote", sequence: state.voteAsked, term: state.term, votedFor: state.votedFor });
}

/** The vote of that sequence is durable: lets go what waited for it. */
export function onVotePersisted(step: Step, sequence: number): void {
  const { state } = step;
  state.votePersisted = Math.max(state.votePersisted, sequence);
  if (!isVoteDurable(step)) return;
  const withheld = state.withheld;
  state.withheld = [];
  for (const { to, message } of withheld) send(step, to, message);
}

/** Whether the current {term, votedFor} is on disk. */
export function isVoteDurable(step: Step): boolean {
  return step.state.votePersisted === step.state.voteAsked;
}

/** A term that is not durable yet has little to say: beyond this the oldest message is dropped, as a network might. */
const withheldMax = 256;

/**
 * Sends, or withholds until the term that the message claims is durable (Raft §5.1: a server must not forget a term it
 * has spoken in; BE06). A pre-vote claims no term.
 */
export function send(step: Step, to: ServerId, message: SmallMessage): void {
  const claimsNothing = message.type === "vote-request" && message.pre;
  if (claimsNothing || isVoteDurable(step)) step.effects.push({ type: "send", to, message });
  else if (step.state.withheld.push({ to, message }) > withheldMax) step.state.withheld.shift();
}

/**
 * Becomes a follower, or one of somebody else: of `leader` when one is known. Enters `term` when it is later than ours.
 */
export function becomeFollower(step: Step, term: Term, leader: ServerId | undefined, reason: RoleReason): void {
  const { state } = step;
  if (term > state.term) enterTerm(step, term, undefined);
  const led = endLeadership(step);
  state.role = "follower";
  state.campaign = undefined;
  followLeader(step, leader);
  if (led) armElection(step);
  announceRole(step, reason);
}

/** A term has at most one leader, for ever (Raft §5.2): a second one means that something is broken beyond repair. */
function followLeader(step: Step, leader: ServerId | undefined): void {
  const { state } = step;
  state.leader = leader;
  if (leader === undefined) return;
  invariant(
    state.termLeader === undefined || state.termLeader === leader,
    () => `term ${state.term} must have one leader: "${state.termLeader}" and "${leader}" both claim it`,
  );
  state.termLeader = leader;
}

/** Leaves nothing of a leadership behind: reads that wait are refused. True when there was one. */
function endLeadership(step: Step): boolean {
  const { leading } = step.state;
  if (leading === undefined) return false;
  step.state.leading = undefined;
  abandonChanges(step, leading);
  const reads = [...(leading.readRound?.ids ?? []), ...leading.readsWaiting];
  if (reads.length > 0) mark("read-refused-by-step-down");
  for (const id of reads) step.effects.push({ type: "refuse-read", id, leader: undefined });
  return true;
}

/** Tells the driver who leads what. */
export function announceRole(step: Step, reason: RoleReason): void {
  const { role, term, leader } = step.state;
  step.effects.push({ type: "announce-role", role, term, leader, reason });
}
