/**
 * How servers stand to one another when the faults are over.
 *
 * @module
 */
import type { ServerId } from "../../types.ts";
import type { Life, SimServer } from "./server.ts";
import type { Simulation } from "./simulation.ts";

/** The servers of the latest leader's configuration. */
export function membersOf(servers: readonly SimServer[]): readonly SimServer[] {
  const configuration = leaderOf(servers)?.core.configurations.at(-1)?.configuration;
  return servers.filter(({ id }) => configuration?.servers.some((server) => server.id === id));
}

/** Whether there are entries on its disk that can't be read, or not any more, and that others may have to give it again. */
export function isDamaged({ life, storage }: SimServer): boolean {
  const { damaged = [], repairing = [] } = life?.core ?? {};
  return storage.faults?.isDamaged === true || damaged.length > 0 || repairing.length > 0;
}

/** Whether a healthy leader is going to make way for this server. */
export function isPreferred({ id, core }: Life, other: ServerId): boolean {
  const servers = core.configurations.at(-1)?.configuration.servers ?? [];
  const [leader, server] = [id, other].map((of) => servers.find((it) => it.id === of));
  return server?.suffrage === "voter" && (server.priority ?? 1) > (leader?.priority ?? 1);
}

/** The one of these that leads the latest term. */
export function leaderOf(servers: readonly SimServer[]): Life | undefined {
  let leader: Life | undefined;
  for (const { life } of servers) {
    if (life?.raft === undefined || life.core.role !== "leader") continue;
    if (leader === undefined || life.core.term > leader.core.term) leader = life;
  }
  return leader;
}

/** Whether it follows this leader, or is it. */
function isFollower({ core }: Life, leader: Life): boolean {
  return core.term === leader.core.term && core.leader === leader.id;
}

/** V1: everybody who is well is up, follows one leader that is there to stay, and all are connected. */
export function hasLeader({ network }: Simulation, well: readonly SimServer[]): boolean {
  const leader = leaderOf(well);
  if (leader === undefined || !network.isWhole(well.map(({ index }) => index))) return false;
  if (well.some(({ id }) => isPreferred(leader, id))) return false;
  // One that is about to go was told to before the faults ended.
  return well.every(({ life }) => life?.raft !== undefined && !life.isStopping && isFollower(life, leader));
}

/** V1, V2: everybody who is well is up, follows one leader, has applied all there is and has it on disk. */
export function hasConverged(simulation: Simulation, well: readonly SimServer[]): boolean {
  if (!hasLeader(simulation, well) || simulation.workload.openOn(well) > 0) return false;
  const leader = leaderOf(well)!;
  const { commitIndex, log, configurations } = leader.core;
  const configuration = configurations.at(-1)?.configuration;
  // Who never starts again never catches up.
  const isGone = (id: ServerId) => simulation.present.every((server) => server.id !== id);
  const isSettled = configuration?.outgoing === undefined &&
    configuration?.servers.every(({ id, suffrage }) => suffrage !== "staging" || isGone(id)) === true;
  if (commitIndex !== log.lastIndex || !isSettled || !isAnswered(simulation, leader, well)) return false;
  return well.every(({ life }) => {
    const { core, raft } = life!;
    return core.log.lastIndex === commitIndex && core.commitIndex === commitIndex &&
      core.persistedIndex === commitIndex && raft!.appliedIndex === commitIndex &&
      core.configurations.at(-1)?.index === configurations.at(-1)?.index;
  });
}

/** Whether everybody who is well has answered lately: a leader that was cut off a moment ago may be about to give up. */
function isAnswered({ servers }: Simulation, { index, core }: Life, well: readonly SimServer[]): boolean {
  const since = servers[index]!.clock.now() - core.settings.leaseMs / 2;
  return well.every(({ id }) => id === core.id || (core.leading!.progress.get(id)?.heardAt ?? -Infinity) >= since);
}

/** All that these servers have, in entries. */
export function entriesOf(servers: readonly SimServer[]): number {
  return servers.reduce((sum, { life }) => sum + (life?.core?.log.lastIndex ?? 0), 0);
}

/** How a server is, for a failure. */
export function words({ id, life }: SimServer): string {
  if (life?.core === undefined) return `${id} is down`;
  const { role, term, leader, commitIndex, log } = life.core;
  return `${id} is ${role} in ${term} of ${leader}, ${commitIndex}/${log.lastIndex}, applied ${life.raft?.appliedIndex}`;
}
