/**
 * The invariants that need more than one server, or memory.
 *
 * @module
 */
import { majority } from "../../src/core/quorum.ts";
import type { LogIndex } from "../../src/types.ts";
import { type Entry, type Ghost, isPrefix, type Local, must, termOf } from "./model.ts";

/** The memory at the beginning. */
export const nothingYet: Ghost = { leaders: [], commits: [] };

/** A server took a step that the others may have to judge. */
export interface Stepped {
  readonly before: Local;
  readonly after: Local;
  readonly truncatedFrom: LogIndex | undefined;
}

/** Whether {@linkcode judgeStep} has anything to say about a step. */
export function isNews({ before, after, truncatedFrom }: Stepped): boolean {
  return truncatedFrom !== undefined || after.core.commitIndex > before.core.commitIndex || becameLeader(before, after);
}

function becameLeader(before: Local, after: Local): boolean {
  return after.core.role === "leader" && (before.core.role !== "leader" || before.core.term !== after.core.term);
}

/**
 * Judges a step by what all servers are after it; gives back what is to be remembered from now on.
 *
 * @throws {Violation}
 */
export function judgeStep(stepped: Stepped, servers: readonly Local[], ghost: Ghost): Ghost {
  const { before, after } = stepped;
  if (stepped.truncatedFrom !== undefined) judgeTruncation(stepped, ghost);
  let { leaders, commits } = ghost;
  if (becameLeader(before, after)) {
    judgeElection(after, servers, ghost);
    const known = [...leaders];
    while (known.length <= after.core.term) known.push(undefined);
    known[after.core.term] = after.core.id;
    leaders = known;
  }
  const { commitIndex, term, role, id } = after.core;
  if (commitIndex > before.core.commitIndex) {
    const holders = servers.filter(({ disk }) => isPrefix(after.log, disk.log, commitIndex));
    const enough = role !== "leader" || holders.length >= majority(servers.length);
    must(enough, "C2", () => `"${id}" commits ${commitIndex}, which ${holders.length} disks hold`);
    const known = [...commits];
    for (let i = 0; i < commitIndex; i++) {
      const entry = after.log[i]!;
      if (i >= known.length) known.push({ entry, term });
      else must(known[i]!.entry === entry, "C3", () => `"${id}" commits another entry ${i + 1}`);
    }
    commits = known;
  }
  return leaders === ghost.leaders && commits.length === ghost.commits.length ? ghost : { leaders, commits };
}

function judgeElection({ core: { id, term }, log }: Local, servers: readonly Local[], ghost: Ghost): void {
  must(
    (ghost.leaders[term] ?? id) === id,
    "E1",
    () => `term ${term} has two leaders, "${ghost.leaders[term]}" and "${id}"`,
  );
  // Whoever is in a later term by now may have voted.
  const votes = servers.filter(({ disk }) => disk.term > term || (disk.term === term && disk.votedFor === id));
  must(votes.length >= majority(servers.length), "E6", () => `"${id}" leads term ${term} with ${votes.length} votes`);
  for (const [i, commit] of ghost.commits.entries()) {
    const has = commit.term >= term || log[i] === commit.entry;
    must(has, "C4", () => `leader "${id}" of term ${term} lacks committed entry ${i + 1}`);
  }
}

// A delayed append of an older leader may remove what a newer one has committed elsewhere meanwhile.
function judgeTruncation({ before, after, truncatedFrom }: Stepped, ghost: Ghost): void {
  const { id, term } = after.core;
  for (let i = truncatedFrom! - 1; i < before.log.length; i++) {
    const commit = ghost.commits[i];
    if (commit === undefined || commit.entry !== before.log[i]) continue;
    must(term < commit.term, "L3", () => `"${id}" removes committed entry ${i + 1}`);
  }
}

/** Whether a disk holds all that was committed (C5: a majority does). */
export function holdsCommits({ disk }: Local, { commits }: Ghost): boolean {
  return disk.log.length >= commits.length && commits.every(({ entry }, i) => disk.log[i] === entry);
}

/**
 * Two servers side by side: L1, L6, L7.
 *
 * @throws {Violation}
 */
export function judgePair(a: Local, b: Local): void {
  judgeLogs(a, b, a.log, b.log);
  judgeLogs(a, b, a.disk.log, b.log);
  judgeLogs(a, b, a.log, b.disk.log);
  judgeProgress(a, b);
  judgeProgress(b, a);
}

function judgeLogs(a: Local, b: Local, one: readonly Entry[], other: readonly Entry[]): void {
  let at = Math.min(one.length, other.length);
  while (at > 0 && termOf(one[at - 1]!) !== termOf(other[at - 1]!)) at--;
  must(isPrefix(one, other, at), "L1", () => `logs of "${a.core.id}" and "${b.core.id}" differ below ${at}`);
}

function judgeProgress(leader: Local, peer: Local): void {
  const { core } = leader;
  const progress = core.leading?.progress.get(peer.core.id);
  if (progress === undefined) return;
  const { matchIndex, nextIndex } = progress;
  must(nextIndex > matchIndex, "L7", () => `next index of "${peer.core.id}" is not above its match index`);
  must(matchIndex === 0 || peer.core.term >= core.term, "L7", () => `"${peer.core.id}" forgot term ${core.term}`);
  const { term, index } = peer.acknowledged;
  const acknowledged = term === core.term ? index : 0;
  // Of whoever acknowledges to a later leader by now, only the latter's term is remembered.
  const known = term > core.term || matchIndex <= acknowledged;
  must(known, "L7", () => `"${peer.core.id}" acknowledged ${acknowledged}, not ${matchIndex}`);
  if (peer.core.term !== core.term) return;
  const kept = isPrefix(leader.log, peer.disk.log, matchIndex);
  must(kept, "L6", () => `the disk of "${peer.core.id}" lost what it acknowledged up to ${matchIndex}`);
}
