/**
 * Majorities, of one configuration or of both halves of a joint one (Raft §6).
 *
 * @module
 */
import type { Configuration, ServerId } from "../types.ts";
import { invariant } from "./invariant.ts";

/** Whether a decision is made. */
export type Verdict = "won" | "lost" | "open";

/** Configurations never change, and are asked about with every acknowledgement. */
const setsOf = new WeakMap<Configuration, readonly (readonly ServerId[])[]>();

/** Voters of the configuration in force, and of the one being left while joint. Each set must agree. */
export function voterSets(configuration: Configuration): readonly (readonly ServerId[])[] {
  let sets = setsOf.get(configuration);
  if (sets === undefined) setsOf.set(configuration, sets = findVoterSets(configuration));
  return sets;
}

function findVoterSets(configuration: Configuration): ServerId[][] {
  const voters = configuration.servers.filter((server) => server.suffrage === "voter").map((server) => server.id);
  return configuration.outgoing === undefined ? [voters] : [voters, [...configuration.outgoing]];
}

/** Every server that has a say in either half, once, in order. */
export function allVoters(configuration: Configuration): ServerId[] {
  return [...new Set(voterSets(configuration).flat())];
}

/** Whether this server has a say in either half. */
export function isVoter(configuration: Configuration, id: ServerId): boolean {
  return voterSets(configuration).some((voters) => voters.includes(id));
}

/** How many of `size` make a majority. */
export function majority(size: number): number {
  return Math.floor(size / 2) + 1;
}

/**
 * How a vote stands: won when a majority of every set said yes, lost when that can't happen any more.
 *
 * @param voteOf True, false, or undefined while unknown.
 */
export function tally(configuration: Configuration, voteOf: (id: ServerId) => boolean | undefined): Verdict {
  let verdict: Verdict = "won";
  for (const voters of voterSets(configuration)) {
    let yes = 0;
    let no = 0;
    for (const id of voters) {
      const vote = voteOf(id);
      if (vote === true) yes++;
      else if (vote === false) no++;
    }
    const needed = majority(voters.length);
    if (voters.length - no < needed) return "lost";
    if (yes < needed) verdict = "open";
  }
  return verdict;
}

/**
 * The largest value that a majority of every set has reached: the commit index of match indexes, the round that a
 * quorum has answered, the moment by which a quorum was heard.
 */
export function quorumValue(configuration: Configuration, valueOf: (id: ServerId) => number): number {
  let reached = Infinity;
  for (const voters of voterSets(configuration)) {
    invariant(voters.length > 0, () => "a majority must be one of at least one voter");
    reached = Math.min(reached, descending(voters, valueOf)[majority(voters.length) - 1]!);
  }
  return reached;
}

/** The values, the largest first. By insertion: there are few of them, and sort() makes several arrays of its own. */
function descending(voters: readonly ServerId[], valueOf: (id: ServerId) => number): number[] {
  const values: number[] = [];
  for (const id of voters) {
    const value = valueOf(id);
    let at = values.length;
    values.push(value);
    for (; at > 0 && values[at - 1]! < value; at--) values[at] = values[at - 1]!;
    values[at] = value;
  }
  return values;
}
