/**
 * Marks: places in the code that many simulations together must have come by, or they have not tried what matters.
 * Whoever sets a mark goes on as if it were not there: only the simulator looks at them.
 *
 * @module
 */

const hits = {
  // Elections.
  "vote-denied-for-term": 0,
  "vote-denied-for-vote": 0,
  "vote-denied-for-log": 0,
  "vote-denied-for-lease": 0,
  "pre-vote-denied": 0,
  "vote-response-stale": 0,
  "election-waited-for-own-vote": 0,
  "leader-closed": 0,
  "leader-closed-under-promise": 0,
  "leader-closed-and-back": 0,
  "leader-closed-and-campaigned": 0,
  // Appends as followers take them.
  "append-denied-for-term": 0,
  "append-rejected-for-gap": 0,
  "append-rejected-for-term": 0,
  "append-again-accepted": 0,
  "append-from-before-log": 0,
  "append-truncated": 0,
  "commit-capped-by-verified": 0,
  "write-before-truncation-ignored": 0,
  // Appends as leaders see them.
  "append-response-stale": 0,
  "rejection-stale": 0,
  "commit-withheld-for-earlier-term": 0,
  "leader-lost-quorum": 0,
  "leader-clock-jumped": 0,
  "leader-disk-stalled": 0,
  // The servers.
  "cluster-begun-live": 0,
  "change-overloaded": 0,
  "peer-known-by-address": 0,
  // Reads, transfers and commands.
  "read-waited-for-own-term": 0,
  "read-confirmed": 0,
  "read-refused-by-step-down": 0,
  "lease-read-answered": 0,
  "lease-read-in-doubt": 0,
  "lease-unused": 0,
  "stale-read-refused": 0,
  "read-awaited-in-vain": 0,
  "transfer-succeeded": 0,
  "transfer-timed-out": 0,
  "transfer-target-changed": 0,
  "command-answered-again": 0,
  "key-answered-again": 0,
  "session-expired": 0,
  "session-made-room": 0,
  "session-result-forgotten": 0,
  "command-of-forgotten-session": 0,
  // Restores of users' snapshots.
  "restore-applied": 0,
  "restore-refused": 0,
  "restore-overtaken": 0,
  "restore-lost-its-leader": 0,
  "snapshot-waited-for-restore": 0,
  // Snapshots.
  "snapshot-due-for-bytes": 0,
  "log-compacted": 0,
  "compaction-waited-for-peer": 0,
  "snapshot-offered-for-nothing": 0,
  "snapshot-installed": 0,
  "snapshot-overtaken": 0,
  "snapshot-taken-anew": 0,
  "snapshot-replaced-conflict": 0,
  "snapshot-joined-log": 0,
  "snapshot-leftover-removed": 0,
  "snapshot-found-damaged": 0,
  "older-snapshot-used": 0,
  "log-reset-to-snapshot": 0,
  "peer-behind-log": 0,
  "peer-back-by-heartbeat": 0,
  // Whose disk it is.
  "disk-replaced": 0,
  "disk-older": 0,
  "disk-recorded": 0,
  "server-readmitted": 0,
  // Disk.
  "started-with-damage": 0,
  "damage-repaired": 0,
  "append-read-from-disk": 0,
  "append-read-in-vain": 0,
  "torn-tail-dropped": 0,
  "truncated-and-compacted-at-once": 0,
  "compacted-segment-removed": 0,
  "compacted-log-recovered": 0,
  "compaction-said-again": 0,
};

/** The name of a mark. */
export type Mark = keyof typeof hits;

/** Counts that the program came by here. */
export function mark(name: Mark): void {
  hits[name]++;
}

/** How often the program came by each mark since the last time this was asked. For the simulator alone. */
export function takeMarks(): Record<Mark, number> {
  const taken = { ...hits };
  for (const name of Object.keys(hits) as Mark[]) hits[name] = 0;
  return taken;
}
