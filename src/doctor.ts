/**
 * What is wrong with a cluster as one server sees it, and what to do about it.
 *
 * @module
 */
import type { ConfigurationView, RaftStatus, ServerStatus } from "./status.ts";
import type { PeerTrouble, Troubles } from "./troubles.ts";
import type { LogIndex, ServerId } from "./types.ts";

/** What can be wrong, see {@linkcode Finding}. */
export type FindingCode =
  | "shutdown"
  | "removed"
  | "no-configuration"
  | "no-leader"
  | "unreachable"
  | "silent"
  | "distrusted"
  | "catching-up"
  | "lagging"
  | "quorum-lost"
  | "quorum-at-risk"
  | "change-pending"
  | "disk-damaged"
  | "machine-behind"
  | "snapshot-failed"
  | "state-diverged";

/** One thing that is wrong, or worth knowing. */
export interface Finding {
  /** What, for programs. */
  readonly code: FindingCode;
  /** `critical`: nothing can be written here; `warning`: somebody should look; `info`: it passes by itself. */
  readonly severity: "critical" | "warning" | "info";
  /** What, for people. */
  readonly message: string;
  /** What to do about it. */
  readonly action: string;
  /** Whom it is about. */
  readonly servers: readonly ServerId[];
  /** The entry that it is about. */
  readonly index?: LogIndex;
  /** For how long, in milliseconds. */
  readonly forMs?: number;
}

/** What {@linkcode Raft.doctor} gives. */
export interface Diagnosis {
  /** Whether there is nothing critical and nothing to warn of. */
  readonly healthy: boolean;
  /** All findings in words, in one line. */
  readonly summary: string;
  /** The worst first, within what belongs together. */
  readonly findings: readonly Finding[];
}

/** Entries that a server, or a machine, may be behind without anybody being told. */
const lagMax = 10_000;

/** The diagnosis of one moment. */
export function diagnose(status: RaftStatus, configuration: ConfigurationView, troubles: Troubles): Diagnosis {
  if (status.role === "shutdown") return diagnosisOf([shutdown(status)], [], []);
  const servers = status.servers.flatMap((server) => server.id === status.id ? [] : aboutPeer(server, troubles));
  const missing = new Set(servers.filter(({ code }) => isAway.has(code)).flatMap((finding) => finding.servers));
  const head = [...aboutSelf(status), ...aboutLeader(status, troubles)];
  const rest = [
    ...aboutQuorum(configuration, missing),
    ...aboutChange(status, configuration, missing),
    ...aboutDisk(status, troubles),
    ...aboutMachines(status, troubles),
  ];
  const healthy = `healthy: ${status.id} ${
    status.role === "leader" ? "leads" : `follows ${status.leader}`
  } in term ${status.term}, ${configuration.servers.length} servers`;
  return diagnosisOf(head, servers, rest, healthy);
}

/** Whoever is one of these answers no leader. */
const isAway: ReadonlySet<FindingCode> = new Set(["unreachable", "silent", "distrusted"]);

function diagnosisOf(
  head: readonly Finding[],
  servers: readonly Finding[],
  rest: readonly Finding[],
  whenHealthy = "",
): Diagnosis {
  const findings = [...head, ...servers, ...rest];
  const wordsOf = (some: readonly Finding[], between: string) => some.map(({ message }) => message).join(between);
  // What is wrong with servers is why there is no leader.
  const cause = [wordsOf(head, "; "), wordsOf(servers, ", ")].filter((words) => words !== "").join(": ");
  const summary = [cause, wordsOf(rest, "; ")].filter((words) => words !== "").join("; ");
  return {
    healthy: findings.every(({ severity }) => severity === "info"),
    summary: findings.length === 0 ? whenHealthy : summary,
    findings,
  };
}

function shutdown({ id }: RaftStatus): Finding {
  const message = `${id} is shut down`;
  return {
    code: "shutdown",
    severity: "critical",
    message,
    action: "start it again, or ask another server",
    servers: [id],
  };
}

function aboutSelf({ id, isRemoved, configurationIndex, servers }: RaftStatus): Finding[] {
  if (isRemoved) {
    return [{
      code: "removed",
      severity: "critical",
      message: `${id} was removed from the cluster`,
      action: "stop it, or add it again on another server (addVoter)",
      servers: [id],
      index: configurationIndex,
    }];
  }
  if (servers.length > 0) return [];
  return [{
    code: "no-configuration",
    severity: "critical",
    message: `${id} knows of no cluster`,
    action: "add it on a server of the cluster (addVoter), or bootstrap a new cluster",
    servers: [id],
  }];
}

function aboutLeader({ id, leader, servers, isRemoved }: RaftStatus, { leaderlessMs = 0 }: Troubles): Finding[] {
  if (leader !== undefined || servers.length === 0 || isRemoved) return [];
  return [{
    code: "no-leader",
    severity: "critical",
    message: "no leader",
    action: "wait for an election to end; if there is none after some seconds, see to the servers that do not answer",
    servers: [id],
    forMs: leaderlessMs,
  }];
}

function aboutPeer(server: ServerStatus, troubles: Troubles): Finding[] {
  const { id, address, suffrage, connected, matchIndex, lag = 0 } = server;
  const trouble = troubles.of(id);
  if (!connected) return [unreachable(id, address, trouble)];
  if (trouble.distrusted !== undefined) return [distrusted(server, trouble, trouble.distrusted)];
  if (trouble.silentMs !== undefined) {
    return [{
      code: "silent",
      severity: "warning",
      message: `${id} is connected but has not answered for ${duration(trouble.silentMs)}`,
      action: `look at the load and the disk of "${id}", or restart it`,
      servers: [id],
      forMs: trouble.silentMs,
    }];
  }
  const { snapshot } = trouble;
  if (suffrage === "staging" || snapshot?.direction === "sending") {
    const message = `${id} is catching up${progressOf(snapshot, matchIndex, lag)}`;
    return [{ code: "catching-up", severity: "info", message, action: "wait until it has caught up", servers: [id] }];
  }
  if (snapshot !== undefined) {
    const message = `this server is being sent a snapshot by ${id}${progressOf(snapshot, undefined, 0)}`;
    return [{ code: "catching-up", severity: "info", message, action: "wait until it has caught up", servers: [id] }];
  }
  if (lag <= lagMax) return [];
  return [{
    code: "lagging",
    severity: "warning",
    message: `${id} is ${lag} entries behind`,
    action: `look at the load, the disk and the network of "${id}"`,
    servers: [id],
  }];
}

function unreachable(id: ServerId, address: string, { unreachableMs = 0, reason }: PeerTrouble): Finding {
  return {
    code: "unreachable",
    severity: "warning",
    message: `${id} unreachable for ${duration(unreachableMs)}${reason === undefined ? "" : ` (${reason})`}`,
    action:
      `see whether "${id}" runs and can be reached at ${address}; if it is gone for ever, remove it (removeServer)`,
    servers: [id],
    forMs: unreachableMs,
  };
}

function distrusted({ id, matchIndex, lag = 0 }: ServerStatus, { snapshot }: PeerTrouble, how: string): Finding {
  const disk = how === "replaced" ? "an empty disk" : "an older copy of its disk";
  return {
    code: "distrusted",
    severity: "warning",
    message: `${id} came back with ${disk} and is catching up${progressOf(snapshot, matchIndex, lag)}`,
    action:
      `leave it running: it counts again when it has caught up. If "${id}" should have had its disk, stop it and give it that`,
    servers: [id],
  };
}

function aboutQuorum(configuration: ConfigurationView, missing: ReadonlySet<ServerId>): Finding[] {
  let worst:
    | { readonly left: number; readonly size: number; readonly spare: number; readonly away: ServerId[] }
    | undefined;
  const voters = configuration.servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id);
  // In a joint configuration both halves have to agree.
  for (const half of [voters, configuration.outgoing ?? []]) {
    const away = half.filter((id) => missing.has(id));
    const left = half.length - away.length;
    const spare = left - (Math.floor(half.length / 2) + 1);
    if (away.length > 0 && (worst === undefined || spare < worst.spare)) {
      worst = { left, size: half.length, spare, away };
    }
  }
  if (worst === undefined || worst.spare > 0) return [];
  const { left, size, spare, away } = worst;
  const message = `${left} of ${size} voters left`;
  if (spare === 0) {
    const action = `bring back ${away.join(", ")}: without one more voter nothing can be written`;
    return [{ code: "quorum-at-risk", severity: "warning", message, action, servers: away }];
  }
  const action = `bring back ${-spare} of ${
    away.join(", ")
  }; if that can never be, recover the cluster (recoverCluster)`;
  return [{ code: "quorum-lost", severity: "critical", message, action, servers: away }];
}

function aboutChange(
  { servers }: RaftStatus,
  { index, committed, outgoing }: ConfigurationView,
  missing: ReadonlySet<ServerId>,
): Finding[] {
  if (committed && outgoing === undefined) return [];
  const behind = servers.filter(({ id, suffrage, matchIndex }) =>
    (suffrage === "voter" || outgoing?.includes(id) === true) &&
    (matchIndex === undefined ? missing.has(id) : matchIndex < index)
  ).map(({ id }) => id);
  const what = outgoing === undefined ? "a change" : "a change of several servers";
  return [{
    code: "change-pending",
    severity: "info",
    message: `${what} at index ${index} ${
      behind.length === 0 ? "is not committed yet" : `waits for ${behind.join(", ")}`
    }`,
    action: "wait; the leader of the day completes it. No other change begins before",
    servers: behind,
    index,
  }];
}

function aboutDisk({ id, damaged, commitIndex, appliedIndex }: RaftStatus, { snapshotFailure }: Troubles): Finding[] {
  const findings: Finding[] = [];
  const [first] = damaged;
  if (first !== undefined) {
    const count = damaged.reduce((sum, { from, end }) => sum + end - from, 0);
    findings.push({
      code: "disk-damaged",
      severity: "warning",
      message: `${count} entries of ${id} from index ${first.from} on are damaged on disk`,
      action: "keep the other servers running: a leader sends them again. Then replace the disk",
      servers: [id],
      index: first.from,
    });
  }
  if (commitIndex - appliedIndex > lagMax) {
    findings.push({
      code: "machine-behind",
      severity: "warning",
      message: `the machine of ${id} is ${commitIndex - appliedIndex} entries behind`,
      action: "its apply() is slower than the log: see what it waits for",
      servers: [id],
    });
  }
  if (snapshotFailure !== undefined) {
    const { operation, reason, ageMs } = snapshotFailure;
    findings.push({
      code: "snapshot-failed",
      severity: "warning",
      message: `a snapshot could not be done (${operation}) ${duration(ageMs)} ago: ${reason}`,
      action: "it is tried again by itself: see to the reason, as the log grows meanwhile",
      servers: [id],
      forMs: ageMs,
    });
  }
  return findings;
}

/** Whoever holds something else than most of those that were compared is wrong; of two nobody knows which. */
function aboutMachines({ id, servers }: RaftStatus, troubles: Troubles): Finding[] {
  const peers = servers.map((server) => server.id).filter((peer) => peer !== id);
  const apart = peers.flatMap((peer) => {
    const { diverged } = troubles.of(peer);
    return diverged === undefined ? [] : [{ peer, ...diverged }];
  });
  if (apart.length === 0) return [];
  const index = Math.min(...apart.map((one) => one.index));
  const agreedIndex = Math.min(...apart.map((one) => one.agreedIndex));
  const others = apart.map(({ peer }) => peer);
  const isAlone = others.length > 1 && others.length === peers.length;
  const suspects = isAlone ? [id] : others;
  const message = isAlone
    ? `the machine of ${id} differs from those of ${others.join(", ")} at entry ${index}`
    : `the machine of ${others.join(", ")} differs from that of ${id} at entry ${index}`;
  return [{
    code: "state-diverged",
    severity: "warning",
    message: `${message}${agreedIndex === 0 ? "" : ` (the same at ${agreedIndex})`}`,
    action: `see which command between the two does not do the same everywhere (guard: true). Then let the machine of ${
      suspects.join(", ")
    } begin anew from a snapshot of another server's (installSnapshot)`,
    servers: suspects,
    index,
  }];
}

function progressOf(snapshot: PeerTrouble["snapshot"], matchIndex: LogIndex | undefined, lag: number): string {
  if (snapshot !== undefined) return ` (${amount(snapshot.bytes, snapshot.total)})`;
  return matchIndex === undefined ? "" : ` (${matchIndex} of ${matchIndex + lag} entries)`;
}

/** `850 ms`, `14 s`, `3 min`, `26 h`. */
function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

/** `1.2 of 3.0 GB`. */
function amount(bytes: number, total: number): string {
  const power = total < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(total) / 3));
  const digits = power === 0 ? 0 : 1;
  const of = (value: number) => (value / 1000 ** power).toFixed(digits);
  return `${of(bytes)} of ${of(total)} ${["bytes", "kB", "MB", "GB", "TB"][power]}`;
}
