/**
 * How servers stand to one another when the faults are over.
 *
 * @module
 */
import type { ServerId } from "../../types.ts";
import type { Life, SimServer } from "./server.ts";

/** The servers of the latest leader's configuration. */
export function membersOf(servers: readonly SimServer[]): readonly SimServer[] {
  const configuration = leaderOf(servers)?.core.configurations.at(-1)?.configuration;
  return servers.filter(({ id }) => configuration?.servers.some((server) => server.id === id));
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
export function isFollower({ core }: Life, leader: Life): boolean {
  return core.term === leader.core.term && core.leader === leader.id;
}

/** How a server is, for a failure. */
export function words({ id, life }: SimServer): string {
  if (life?.core === undefined) return `${id} is down`;
  const { role, term, leader, commitIndex, log } = life.core;
  return `${id} is ${role} in ${term} of ${leader}, ${commitIndex}/${log.lastIndex}, applied ${life.raft?.appliedIndex}`;
}
