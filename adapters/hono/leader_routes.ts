/**
 * Routes about leadership and settings.
 *
 * @module
 */
import { BadRequest } from "./problem.ts";
import type { Route } from "./route.ts";

const settings = [
  ...[
    "heartbeatMs",
    "electionMinMs",
    "electionMaxMs",
    "leaseMs",
    "reconnectWaitMs",
    "trailingLogs",
    "snapshotIntervalMs",
  ],
  ...["snapshotThreshold", "snapshotThresholdBytes", "windowBytesMax", "windowAppendsMax", "inFlightCountMax"],
  ...["inFlightBytesMax", "shutdownTransferMs", "sessionTtlMs", "sessionsMax", "sessionsBytesMax", "diskStallMs"],
  "enqueueTimeoutMs",
];

/** Those routes. */
export const leaderRoutes: readonly Route[] = [
  {
    ...{ method: "POST", path: "/transfer", summary: "Hands leadership to a voter; answers when it leads." },
    body: { to: { type: "string", text: "To whom. By default the most caught-up voter." } },
    answer: async ({ raft, given: { to }, signal }) => ({
      leader: await raft.transferLeadership(to as string | undefined, { signal }),
    }),
  },
  {
    ...{
      method: "POST",
      path: "/drain",
      summary: "For a rolling restart: hands leadership over, then stops the server.",
    },
    body: {},
    answer: async ({ raft, signal }) => {
      await raft.drain({ signal });
      return { drained: true };
    },
  },
  {
    ...{ method: "POST", path: "/verify", summary: "Answers when this server is proved to lead." },
    body: {},
    answer: async ({ raft, signal }) => {
      await raft.verifyLeader({ signal });
      return { leader: raft.leader ?? null };
    },
  },
  {
    ...{ method: "POST", path: "/barrier", summary: "Answers when all that was committed before is applied here." },
    body: {},
    answer: async ({ raft, signal }) => ({ index: await raft.barrier({ signal }) }),
  },
  {
    ...{
      method: "PATCH",
      path: "/config",
      summary: "Changes settings of this server until its next start, all or none.",
    },
    body: Object.fromEntries(settings.map((name) => [name, { type: "number", text: "See docs/options.md." }])),
    answer: ({ raft, given }) => {
      if (Object.keys(given).length === 0) throw new BadRequest("Cannot change nothing: give at least one setting");
      raft.reloadConfig(given);
      return { reloaded: Object.keys(given) };
    },
  },
];
