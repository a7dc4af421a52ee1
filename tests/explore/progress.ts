/**
 * How far a server has come, as one number that grows with nearly everything that happens to it.
 *
 * @module
 */
import type { Local } from "./model.ts";

/** Grows with every message that changes something, but for a few; a restart may make it less. */
export function progressOf({ core, log, verified, writes }: Local): number {
  const { term, role, votedFor, termLeader, campaign, commitIndex, leading } = core;
  // A broken server that asks for ever more writes must not keep all others from getting on.
  let within = verified + commitIndex + writes.length;
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
