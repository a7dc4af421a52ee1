/**
 * Leaders whose connections were closed, and what followers owe them all the same.
 *
 * @module
 */
import type { Mutant, Runs } from "../mutant.ts";

/** Connections break, and clients read by leases. */
const resets: Runs = { faults: ["reset", "partition", "kill"], servers: 3, steps: 8000 };

/** Faults in what is made of a closed connection. */
export const closed: readonly Mutant[] = [
  {
    id: "closed-connection-ends-the-promise",
    bug: "BR06",
    file: "src/core/election.ts",
    find: 'if (now < state.promisedUntil) mark("leader-closed-under-promise");',
    replace: "state.promisedUntil = -Infinity;",
    why: "Whoever is dead needs no promise any more.",
    invariants: ["R3", "R1", "R4"],
    runs: resets,
  },
  {
    id: "followers-never-bound",
    bug: "BR06",
    file: "src/driver/sender.ts",
    find: "isLeased: isLeased || !",
    replace: "isLeased: isLeased && !",
    why: "Whoever does not know leases is the one that has to be told.",
    invariants: ["R3", "R1", "R4"],
    runs: resets,
  },
  {
    id: "lease-by-rounds-that-bound-nobody",
    bug: "BR06",
    file: "src/core/lease.ts",
    find: "    if (!isLeased(leading)) continue;\n",
    replace: "",
    why: "A round that was answered was answered.",
    invariants: ["R3", "R1", "R4"],
    runs: resets,
  },
  {
    id: "closed-connection-leads-to-a-campaign",
    bug: "BV05",
    file: "src/core/election.ts",
    find: "if (state.settings.preVote) askBeforeCampaign",
    replace: 'if (state.settings.preVote && reason !== "leader-closed") askBeforeCampaign',
    why: "The leader is dead: there is nobody who could still hear it.",
    invariants: ["V4"],
    runs: resets,
  },
  {
    id: "connection-given-up-taken-for-closed",
    bug: "BV01",
    file: "src/core/core.ts",
    find: "if (event.isClosedByPeer) onLeaderClosed",
    replace: "onLeaderClosed",
    why: "Gone is gone, whoever ended it.",
    invariants: ["V4"],
  },
  {
    id: "anybodys-connection-taken-for-the-leaders",
    bug: "BV01",
    file: "src/core/election.ts",
    find: " || state.leader !== peer || state.leaderClosed",
    replace: " || state.leaderClosed",
    why: "There is one connection that matters to a follower.",
    invariants: ["V4"],
    runs: resets,
  },
  {
    id: "leader-that-is-heard-stays-doubted",
    bug: "BV05",
    file: "src/core/append.ts",
    find: "  state.leaderClosed = undefined;\n",
    replace: "",
    why: "The next election timeout will show.",
    invariants: ["V4"],
    runs: resets,
  },
];
