/**
 * Logs and acknowledgements.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

/**
 * Logs differ where a leader was cut off with entries that nobody else has, which takes its time, and writes are under way
 * where disks stall: nothing else goes wrong here.
 */
const runs = {
  faults: ["partition", "reset", "stall", "disk-stall", "kill"],
  servers: 3,
  steps: 12_000,
  ambush: 0.3,
} as const;

/** Faults in replication. */
export const logs: readonly Mutant[] = [
  {
    id: "every-append-truncates",
    bug: "BL01",
    file: "src/core/append.ts",
    find: "? firstMissing(state.log, runs, request.prevIndex + 1, end)",
    replace:
      "? Math.max(request.prevIndex, state.commitIndex, state.verifiedIndex) + 1 + 0 * firstMissing(state.log, runs, request.prevIndex + 1, end)",
    why: "What the leader sends takes the place of what is there, unless that is known to be committed or its own.",
    invariants: ["L3", "L6"],
  },
  {
    id: "early-append-truncates",
    bug: "BL02",
    file: "src/core/append.ts",
    find: "  takeEntries(step, from, request);\n",
    replace: "  takeEntries(step, from, request);\n" +
      "  if (request.end - 1 > Math.max(state.verifiedIndex, state.commitIndex) && request.end <= state.log.lastIndex) truncate(step, from, request.end);\n",
    why: "A new leader's log ends with what it sends, so what lies beyond must be an old leader's.",
    invariants: ["C5", "L3"],
  },
  {
    id: "last-index-acknowledged",
    bug: "BL03",
    file: "src/core/append.ts",
    find: "return Math.min(state.verifiedIndex, state.persistedIndex, soundIndex(state));",
    replace: "return Math.min(state.persistedIndex, soundIndex(state));",
    why: "All that is durable here is acknowledged.",
    invariants: ["L5"],
  },
  {
    id: "durable-index-stays-at-truncation",
    bug: "BL04",
    file: "src/core/append.ts",
    find: "  state.persistedIndex = Math.min(state.persistedIndex, from - 1);\n",
    replace: "",
    why: "The next write moves it anyway.",
    invariants: ["L4"],
  },
  {
    id: "write-before-truncation-credited",
    bug: "BL05",
    file: "src/core/core.ts",
    find: "epoch !== state.epoch",
    replace: "epoch > state.epoch",
    why: "A write of an earlier epoch is as durable as any.",
    invariants: ["L4", "C2"],
    runs,
  },
  {
    id: "epoch-stays-at-truncation",
    bug: "BL06",
    file: "src/core/append.ts",
    find: "  state.epoch++;\n",
    replace: "",
    why: "Index and term seem to be enough to tell entries apart.",
    invariants: ["L4", "C2"],
    runs,
  },
  {
    id: "memory-forgets-what-is-not-written",
    bug: "BL06",
    file: "src/driver/driver.ts",
    find: 'event.type === "entries-persisted" && event.epoch === this.#core.state.epoch',
    replace: 'event.type === "entries-persisted"',
    why: "The core looks at the epoch already.",
    invariants: ["L8", "A3"],
    runs,
  },
  {
    id: "answers-outlive-their-term",
    bug: "BL08",
    file: "src/core/role.ts",
    find: "  state.roundAnswered = 0;\n  state.withheld = [];\n",
    replace: "  state.roundAnswered = 0;\n",
    why: "What was to be said can be said when the disk is done.",
    invariants: ["L4", "L6"],
  },
  {
    id: "answer-of-an-earlier-term-counted",
    bug: "BL09",
    file: "src/core/replication.ts",
    find: "response.term !== state.term || ",
    replace: "",
    why: "A later term was dealt with above, and what was acknowledged once is acknowledged.",
    invariants: ["L7"],
  },
  {
    id: "match-index-goes-back",
    bug: "BL09",
    file: "src/core/progress.ts",
    find: "if (matchIndex <= progress.matchIndex) return false;",
    replace: "if (matchIndex === progress.matchIndex) return false;",
    why: "The follower knows best what it holds.",
    invariants: ["L7"],
  },
  {
    id: "next-index-stays-behind",
    bug: "BL09",
    file: "src/core/progress.ts",
    find: "  progress.nextIndex = Math.max(progress.nextIndex, matchIndex + 1);\n  let",
    replace: "  let",
    why: "What was sent has moved it already.",
    invariants: ["L7"],
  },
  {
    id: "previous-term-guessed",
    bug: "BL11",
    file: "src/core/replication.ts",
    find: "const prevTerm = termAt(state.log, progress.nextIndex - 1);",
    replace:
      'const prevTerm = progress.state === "replicate" ? state.term : termAt(state.log, progress.nextIndex - 1);',
    why: "Once a follower takes entries they are this leader's own.",
    invariants: ["L8"],
  },
  {
    id: "conflict-with-later-term-unseen",
    bug: "BC14",
    file: "src/core/term_index.ts",
    find: "if (log.runs[position]!.term !== runs[i]!.term) return index;",
    replace: "if (log.runs[position]!.term < runs[i]!.term) return index;",
    why: "A leader's entries are newer than ours where they differ.",
    invariants: ["L1", "L4", "C3"],
    // Logs that differ: clients write, and nobody cuts leaders off for their leases.
    runs: {
      faults: ["partition", "reset", "kill"],
      servers: 5,
      steps: 12_000,
      ambush: 0.3,
      client: { leaseReads: false },
    },
  },
  {
    id: "truncation-not-written-beside-records",
    bug: "BL18",
    file: "src/store/wal/wal_store.ts",
    find: "await this.#append({ ...write, repairs });",
    replace:
      "await this.#append({ ...write, truncateFrom: write.records.length > 0 ? undefined : write.truncateFrom, repairs });",
    why: "The records say by their indexes what they replace.",
    invariants: ["D3", "D4"],
  },
  {
    id: "rejection-names-the-last-index",
    bug: "BL22",
    file: "src/core/append.ts",
    find: "const hint = lastAtMost(state.log, prevIndex, prevTerm);",
    replace: "const hint = state.log.lastIndex + 0 * lastAtMost(state.log, prevIndex, prevTerm);",
    why: "The leader should look at the end of the follower's log.",
    invariants: ["T1", "L5", "V2"],
    runs,
  },
];
