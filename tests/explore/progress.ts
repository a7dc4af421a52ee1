/**
 * How far a server has come, as one number that grows with nearly everything that happens to it.
 *
 * @module
 */
import type { Local } from "./model.ts";

/** Grows with every message that changes something, but for a few; a restart may make it less. */
export function progressOf({ core, log, verified }: Local): number {
  const { term, role, votedFor, termLeader, campaign, commitIndex, leading } = core;
  let within = verified + commitIndex;
  if (votedFor !== undefined) within++;
  if (termLeader !== undefined) within++;
  if (campaign !== undefined) within += campaign.votes.size;
  if (role === "leader") within += 8 + log.length;
  for (const progress of leading?.progress.values() ?? []) {
    const { sequence, stateSequence, matchIndex, commitSent, ackedRound, hasAnswered } = progress;
    within += sequence + stateSequence + matchIndex + commitSent + ackedRound + Number(hasAnswered);
  }
  return term * 256 + within;
}
