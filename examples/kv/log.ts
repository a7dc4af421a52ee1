/**
 * Log lines on stderr, one per event.
 *
 * @module
 */
import process from "node:process";
import type { Logger, RaftEvent } from "@securecollc/raft";

/** Writes one line. */
export type Log = (line: string) => void;

/** A log whose lines begin with the time and the server. */
export function logOf(id: string): Log {
  // Who started us may be gone, and then nobody reads: that must not stop the server.
  process.stderr.on("error", () => {});
  return (line) => void process.stderr.write(`${new Date().toISOString()} ${id} ${line.replaceAll("\n", " | ")}\n`);
}

/** The library's own lines; warnings and errors alone unless all are asked for, as events tell what matters in fewer. */
export function loggerOf(log: Log, isVerbose: boolean): Logger {
  const detail = isVerbose ? log : () => {};
  return {
    debug: detail,
    info: detail,
    warn: (line) => log(`warning: ${line}`),
    error: (line) => log(`error: ${line}`),
  };
}

/** Of these the library has a line of its own, a warning or an error: once is enough. */
const WARNED = ["peer-trouble", "server-distrusted", "disk-damaged", "disk-full", "snapshot-failed", "fatal"] as const;

type WarnedEvent = Extract<RaftEvent, { readonly type: typeof WARNED[number] }>;

function isWarned(event: RaftEvent): event is WarnedEvent {
  return WARNED.some((type) => type === event.type);
}

/** Logs events as they come, without what only repeats and without what {@linkcode loggerOf} logs. */
export async function logEvents(log: Log, events: AsyncIterable<RaftEvent>): Promise<void> {
  const latest = new Map<string, string>();
  for await (const event of events) {
    if (isWarned(event)) continue;
    const line = describe(event);
    // A peer that stays away may come to the same again and again.
    const about = "peer" in event ? `peer ${event.peer}` : event.type;
    if (latest.get(about) === line) continue;
    latest.set(about, line);
    log(line);
  }
}

function describe(event: Exclude<RaftEvent, WarnedEvent>): string {
  switch (event.type) {
    case "role":
      return `role ${event.role} in term ${event.term}: ${event.reason}`;
    case "leader":
      return event.leader === undefined
        ? `leader unknown in term ${event.term}`
        : `leader ${event.leader.id} in term ${event.term}`;
    case "peer-connected":
      return `peer ${event.peer} connected at ${event.address}`;
    case "peer-disconnected":
      return `peer ${event.peer} disconnected: ${event.reason}`;
    case "configuration":
      return `configuration at index ${event.index}: ${event.configuration.servers.map(({ id }) => id).join(", ")}`;
    case "configuration-committed":
      return `configuration at index ${event.index} is committed`;
    case "server-added":
      return `server ${event.server.id} added at ${event.server.address} as ${event.server.suffrage}`;
    case "server-updated":
      return `server ${event.server.id} changed: ${event.server.suffrage} at ${event.server.address}`;
    case "server-removed":
      return `server ${event.server.id} removed`;
    case "heartbeat-failed":
      return `peer ${event.peer} does not answer: last heard ${Math.round(event.lastContactMs)} ms ago`;
    case "heartbeat-resumed":
      return `peer ${event.peer} answers again`;
    case "catch-up":
      return `peer ${event.peer} catches up: ${event.matchIndex} of ${event.lastIndex} entries, round ${event.round}`;
    case "server-readmitted":
      return `server ${event.server} has caught up and counts again`;
    case "removed":
      return `removed from the cluster at index ${event.index}`;
    case "snapshot-taken":
      return `snapshot taken up to entry ${event.index}, ${event.bytes} bytes`;
    case "snapshot-progress":
      return `peer ${event.peer} snapshot ${event.direction}: ${event.bytes} of ${event.total} bytes`;
    case "snapshot-installed":
      return `snapshot installed up to entry ${event.index}, ${event.bytes} bytes`;
    case "log-compacted":
      return `log begins at entry ${event.firstIndex}`;
    case "disk-repaired":
      return `disk repaired: entries ${event.from} to ${event.end - 1}`;
    case "state-diverged":
      return `machine of ${event.peer} differs at entry ${event.index}; they agreed at ${event.agreedIndex}`;
    case "state-agrees":
      return `machine of ${event.peer} is the same again at entry ${event.index}`;
  }
}
