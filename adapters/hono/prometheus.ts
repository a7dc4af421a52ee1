/**
 * Metrics as text, in the format that Prometheus scrapes (version 0.0.4).
 *
 * @module
 */
import type { HistogramSnapshot, PeerMetrics, RaftMetrics } from "../../mod.ts";

type Role = RaftMetrics["role"];
type Labels = Readonly<Record<string, string>>;
type Sample = readonly [suffix: string, labels: Labels, value: number];

const ROLES: readonly Role[] = ["follower", "pre-candidate", "candidate", "leader", "shutdown"];

/** All metrics of one server. */
export function prometheusText(metrics: RaftMetrics): string {
  const gauge = (name: string, help: string, value: number) => family(name, "gauge", help, [["", {}, value]]);
  const counter = (name: string, help: string, value: number) => family(name, "counter", help, [["", {}, value]]);
  const roles = ROLES.map((role): Sample => ["", { role }, Number(role === metrics.role)]);
  return [
    gauge("raft_term", "The term the server is in.", metrics.term),
    family("raft_role", "gauge", "1 for the role the server has, 0 for the others.", roles),
    gauge("raft_has_leader", "1 while a leader is known.", Number(metrics.hasLeader)),
    gauge("raft_last_index", "Index of the last entry of the log.", metrics.lastIndex),
    gauge("raft_commit_index", "Index of the last committed entry.", metrics.commitIndex),
    gauge("raft_applied_index", "Index of the last entry that was applied.", metrics.appliedIndex),
    counter("raft_elections_total", "Terms the server campaigned in.", metrics.elections),
    counter("raft_leader_changes_total", "Changes of the known leader.", metrics.leaderChanges),
    counter("raft_proposals_total", "Commands taken here.", metrics.proposals),
    counter("raft_proposals_failed_total", "Commands that were refused or lost.", metrics.proposalsFailed),
    gauge("raft_proposals_pending", "Commands that wait for their result.", metrics.proposalsPending),
    gauge("raft_proposals_pending_bytes", "Bytes of commands that wait.", metrics.proposalsPendingBytes),
    counter("raft_reads_total", "Linearizable reads asked for here.", metrics.reads),
    counter("raft_protocol_errors_total", "Broken frames, refused handshakes and the like.", metrics.protocolErrors),
    counter("raft_sends_dropped_total", "Messages that were not sent.", metrics.sendsDropped),
    histogram("raft_sync_duration_seconds", "How long a durable write took.", metrics.syncMs),
    histogram("raft_commit_duration_seconds", "From a command's arrival to its result.", metrics.commitMs),
    stages(metrics.stagesMs),
    ...peers(metrics.peers),
  ].join("");
}

function peers(peers: readonly PeerMetrics[]): string[] {
  if (peers.length === 0) return [];
  const lags = peers.map(({ id, lag }): Sample => ["", { peer: id }, lag]);
  const contacts = peers
    .filter(({ lastContactMs }) => lastContactMs !== undefined)
    .map(({ id, lastContactMs }): Sample => ["", { peer: id }, seconds(lastContactMs!)]);
  return [
    family("raft_peer_lag_entries", "gauge", "Entries the peer is behind the leader's last.", lags),
    family("raft_peer_last_contact_seconds", "gauge", "Time since the leader heard from the peer.", contacts),
  ];
}

function stages(stagesMs: RaftMetrics["stagesMs"]): string {
  const samples = Object.entries(stagesMs).flatMap(([stage, of]) => histogramSamples(of, { stage }));
  return family("raft_stage_duration_seconds", "histogram", "From a command's arrival to a stage of its way.", samples);
}

function histogram(name: string, help: string, of: HistogramSnapshot): string {
  return family(name, "histogram", help, histogramSamples(of, {}));
}

/** Prometheus counts in each bucket what the smaller ones hold, too. */
function histogramSamples({ boundsMs, counts, sumMs, count }: HistogramSnapshot, labels: Labels): Sample[] {
  let below = 0;
  const samples = boundsMs.map((boundMs, i): Sample => {
    below += counts[i]!;
    return ["_bucket", { ...labels, le: String(seconds(boundMs)) }, below];
  });
  const all: Sample = ["_bucket", { ...labels, le: "+Inf" }, count];
  return [...samples, all, ["_sum", labels, seconds(sumMs)], ["_count", labels, count]];
}

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([suffix, labels, value]) => `${name}${suffix}${labelText(labels)} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

// Twelve digits hide what the division adds: 0.2 ms is 0.0002 s.
function seconds(ms: number): number {
  return Number((ms / 1000).toPrecision(12));
}
