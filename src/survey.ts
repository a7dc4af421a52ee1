/**
 * Everything about a server at one moment, from what its driver knows.
 *
 * @module
 */
import type { Driver } from "./driver/driver.ts";
import type { Histogram, RaftMetrics } from "./metrics.ts";
import type { ConfigurationView, RaftStatus, ServerStatus } from "./status.ts";
import type { Role, Server, ServerId } from "./types.ts";

/** A driver of whatever machine. */
type AnyDriver = Pick<
  Driver<never, never>,
  "state" | "configuration" | "clusterId" | "damaged" | "leader" | "appliedIndex" | "isConnected"
>;

/** The status of a server that is running, or was. */
export function surveyed(driver: AnyDriver, now: number, isStopped: boolean): RaftStatus {
  const { id, term, votedFor, commitIndex, log, persistedIndex, configurations, removedAt } = driver.state;
  const configurationIndex = configurations.at(-1)?.index ?? 0;
  const role: Role | "shutdown" = isStopped ? "shutdown" : driver.state.role;
  return {
    id,
    clusterId: driver.clusterId,
    role,
    term,
    leader: isStopped ? undefined : driver.leader?.id,
    votedFor,
    commitIndex,
    appliedIndex: driver.appliedIndex,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    durableIndex: persistedIndex,
    damaged: driver.damaged,
    configurationIndex,
    isRemoved: removedAt > 0 && removedAt >= configurationIndex || isRemovedByLog(driver, id),
    lastContactMs: lastContactMs(driver, now, role),
    servers: driver.configuration.servers.map((server) => serverStatus(driver, now, server)),
  };
}

/** Whether the configuration in force is without this server, and one before it was not. */
function isRemovedByLog({ state }: AnyDriver, self: ServerId): boolean {
  const [now, ...before] = state.configurations.map(({ configuration: { servers } }) =>
    servers.some(({ id }) => id === self)
  ).reverse();
  return now === false && before.includes(true);
}

/** Whether there is another server that could lead. */
export function hasOtherVoters(
  { state: { id: self }, configuration }: Pick<AnyDriver, "state" | "configuration">,
): boolean {
  return configuration.servers.some(({ id, suffrage }) => id !== self && suffrage === "voter");
}

/** Milliseconds since the leader was heard; 0 on the leader, undefined when never. */
export function lastContactMs(
  { state: { leaderHeardAt } }: Pick<AnyDriver, "state">,
  now: number,
  role: Role | "shutdown",
): number | undefined {
  if (role === "leader") return 0;
  return leaderHeardAt === -Infinity ? undefined : Math.max(0, now - leaderHeardAt);
}

function serverStatus(driver: AnyDriver, now: number, { id, address, suffrage }: Server): ServerStatus {
  const { state: { id: self, leading, log, persistedIndex } } = driver;
  const connected = id === self || driver.isConnected(id);
  if (leading === undefined) return { id, address, suffrage, connected };
  const progress = leading.progress.get(id);
  const matchIndex = id === self ? persistedIndex : progress?.matchIndex ?? 0;
  const lastContactMs = progress === undefined ? 0 : Math.max(0, now - progress.heardAt);
  return { id, address, suffrage, connected, matchIndex, lag: log.lastIndex - matchIndex, lastContactMs };
}

/** The configuration in force. */
export function configurationView(
  { state, configuration }: Pick<AnyDriver, "state" | "configuration">,
): ConfigurationView {
  const index = state.configurations.at(-1)?.index ?? 0;
  return { index, ...configuration, committed: index <= state.commitIndex };
}

/** Counters and histograms of a server whose status is this. */
export function measured(
  { calls: { pending, reads }, counters }: Pick<Driver<never, never>, "calls" | "counters">,
  { id, role, term, leader, lastIndex, commitIndex, appliedIndex, servers }: RaftStatus,
  syncs: Histogram,
): RaftMetrics {
  return {
    role,
    term,
    hasLeader: leader !== undefined,
    lastIndex,
    commitIndex,
    appliedIndex,
    ...counters,
    proposals: pending.accepted,
    proposalsFailed: pending.failed,
    proposalsPending: pending.count,
    proposalsPendingBytes: pending.bytes,
    reads: reads.count,
    syncMs: syncs.snapshot(),
    commitMs: pending.latency.snapshot(),
    stagesMs: pending.stages.snapshot(),
    peers: servers.filter((server) => server.id !== id && server.lag !== undefined)
      .map(({ id, lag, lastContactMs }) => ({ id, lag: lag!, lastContactMs })),
  };
}
