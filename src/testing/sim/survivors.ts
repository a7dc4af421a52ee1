/**
 * What is left where disks are damaged beyond what others can make up for: whether somebody may lead, and what is lost.
 *
 * @module
 */
import type { ServerId } from "../../types.ts";
import type { ChainLog } from "./chain.ts";
import { isQuorum, setsOf } from "./check/checker.ts";
import type { Atlas } from "./disk/atlas.ts";
import type { Ghost } from "./ghost.ts";
import type { DiskView } from "./view.ts";

/** A server as far as this is about it. */
export interface Survivor {
  readonly id: ServerId;
  /** Its place among the servers. */
  readonly index: number;
  readonly disk: DiskView;
  /** While it is up. */
  readonly life: { readonly log: ChainLog } | undefined;
}

/** All servers, and what became of them. */
export interface Cluster {
  readonly servers: readonly Survivor[];
  readonly ghost: Pick<Ghost, "forgetful" | "commits">;
  readonly plague: { readonly atlas: Pick<Atlas, "isLost"> };
}

/**
 * Whether one of these servers can be elected by them: one whose log is whole, and goes at least as far as those of a
 * majority. It brings everybody whatever they have lost. Where there is none nobody may lead, though of every entry
 * there may be a copy somewhere.
 */
export function canBeLed({ ghost, servers, plague }: Cluster, some: readonly Survivor[]): boolean {
  // Nobody counts the vote of another disk than the one that is recorded.
  const voters = some.filter(({ id, index }) => !plague.atlas.isLost(index) && !ghost.forgetful.has(id));
  return voters.some((candidate) => {
    const votes = voters.filter((voter) => reachesAsFar(logOf(candidate), logOf(voter)));
    return isWhole(candidate) && votes.length * 2 > servers.length;
  });
}

/**
 * Whether one of these servers might be elected where they come and go, each by the voters of its own last configuration.
 * Nobody can be where this is false: then no log changes any more. Where it is true that depends on more.
 */
export function mightBeLed({ servers, plague }: Pick<Cluster, "servers" | "plague">): boolean {
  const present = servers.filter(({ index }) => !plague.atlas.isLost(index));
  return present.some((candidate) => {
    const log = logOf(candidate);
    const configuration = log.configurations.at(-1)?.configuration;
    if (!isWhole(candidate) || configuration === undefined) return false;
    // The disk that a voter has may be recorded in the candidate's log.
    return isQuorum(setsOf(configuration), (id) => {
      return present.some((voter) => voter.id === id && reachesAsFar(log, logOf(voter)));
    });
  });
}

/** How many committed entries nobody has any more, in a log or in a snapshot. */
export function lostEntries({ ghost, servers, plague }: Cluster): number {
  const present = servers.filter(({ index }) => !plague.atlas.isLost(index));
  let lost = 0;
  for (const [index, { hash }] of ghost.commits) {
    const isThere = present.some(({ disk: { log, snapshot, damaged } }) => {
      return index <= snapshot || (log.hashAt(index) === hash && damaged?.has(index) !== true);
    });
    if (!isThere) lost++;
  }
  return lost;
}

function isWhole({ disk: { damaged } }: Survivor): boolean {
  return (damaged?.size ?? 0) === 0;
}

/** What it has said that it holds, or is about to: what is on its way to its disk counts, too. */
function logOf({ life, disk }: Survivor): ChainLog {
  return life?.log ?? disk.log;
}

function reachesAsFar(log: ChainLog, other: ChainLog): boolean {
  return log.lastTerm > other.lastTerm || (log.lastTerm === other.lastTerm && log.last >= other.last);
}
