/**
 * Upstream's `Stats()`: the same keys, all values text.
 *
 * @module
 */
import type { RaftStatus } from "./status.ts";
import type { Configuration, Term } from "./types.ts";
import { protocolVersion, snapshotVersion } from "./versions.ts";

/** What `raft.stats()` gives: hashicorp/raft's keys. */
export type RaftStats = Readonly<Record<StatsKey, string>>;

/** The keys of `Stats()`. */
export type StatsKey =
  | "state"
  | "term"
  | "last_log_index"
  | "last_log_term"
  | "commit_index"
  | "applied_index"
  | "fsm_pending"
  | "last_snapshot_index"
  | "last_snapshot_term"
  | "protocol_version"
  | "protocol_version_min"
  | "protocol_version_max"
  | "snapshot_version_min"
  | "snapshot_version_max"
  | "latest_configuration"
  | "latest_configuration_index"
  | "num_peers"
  | "last_contact";

/** What the statistics are made of besides the status. */
export interface StatsParts {
  readonly lastLogTerm: Term;
  readonly configuration: Configuration;
  readonly snapshot: { readonly index: number; readonly term: Term };
}

/** The statistics of one moment. */
export function statsOf(status: RaftStatus, { lastLogTerm, configuration, snapshot }: StatsParts): RaftStats {
  const { id, role, term, lastContactMs } = status;
  const voters = configuration.servers.filter(({ suffrage }) => suffrage === "voter");
  const isVoter = voters.some((server) => server.id === id);
  return {
    state: `${role[0]!.toUpperCase()}${role.slice(1)}`,
    term: `${term}`,
    last_log_index: `${status.lastIndex}`,
    last_log_term: `${lastLogTerm}`,
    commit_index: `${status.commitIndex}`,
    applied_index: `${status.appliedIndex}`,
    fsm_pending: `${status.commitIndex - status.appliedIndex}`,
    last_snapshot_index: `${snapshot.index}`,
    last_snapshot_term: `${snapshot.term}`,
    protocol_version: `${protocolVersion.max}`,
    protocol_version_min: `${protocolVersion.min}`,
    protocol_version_max: `${protocolVersion.max}`,
    snapshot_version_min: `${snapshotVersion.min}`,
    snapshot_version_max: `${snapshotVersion.max}`,
    latest_configuration: JSON.stringify(configuration.servers),
    latest_configuration_index: `${status.configurationIndex}`,
    num_peers: `${isVoter ? voters.length - 1 : 0}`,
    last_contact: lastContactMs === undefined ? "never" : lastContactMs === 0 ? "0" : `${lastContactMs}ms`,
  };
}
