/**
 * Servers that come back with another disk.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

/** Disks are lost only where all others can tell, which takes longer than most runs last: nothing else goes wrong here. */
const runs = { faults: ["wipe", "old-copy", "kill", "power", "partition"], store: "wal", servers: 3 } as const;

/** Faults in who counts after that. */
export const identity: readonly Mutant[] = [
  {
    id: "counts-a-vote-of-who-has-forgotten",
    bug: "BD04",
    file: "src/core/election.ts",
    find: "  if (!isTrusted(state, from)) return;\n",
    replace: "",
    why: "A vote is a vote: the voter has written it down.",
    invariants: ["M8", "C4"],
    runs,
  },
  {
    id: "counts-acknowledgements-of-who-has-forgotten",
    bug: "BD04",
    file: "src/core/identity.ts",
    find: "return isRecorded(state, id, progress) && progress.matchIndex >= progress.countsFrom;",
    replace: "return progress !== undefined;",
    why: "It has the entry on its new disk, which is what a commit needs.",
    invariants: ["M8"],
    runs,
  },
  {
    id: "re-admits-without-a-commit-since",
    bug: "BD04",
    file: "src/core/identity.ts",
    find: "if (state.commitIndex > progress.admitAfter)",
    replace: "if (state.commitIndex > 0)",
    why: "It has caught up, so it knows all that the leader knows.",
    invariants: ["M8"],
    runs,
  },
  {
    id: "re-admission-counts-earlier-acknowledgements",
    bug: "BD04",
    file: "src/core/identity.ts",
    find: "    if (earlier === undefined || progress.hasForgotten) progress.countsFrom = index;\n",
    replace: "",
    why: "Once it is known it counts for all that it holds.",
    invariants: ["M8"],
    runs,
  },
  {
    id: "a-lost-disk-leaves-the-match-index",
    bug: "BD04",
    file: "src/core/identity.ts",
    find: "  progress.matchIndex = 0;\n",
    replace: "",
    why: "A match index never decreases in a leadership.",
    invariants: ["L7", "V1"],
    runs,
  },
  {
    id: "campaigns-with-another-disk",
    bug: "BM08",
    file: "src/core/membership.ts",
    find: "return isTrusted(state, state.id) && (mayLead",
    replace: "return (mayLead",
    why: "Whoever has the entries may lead.",
    invariants: ["M8"],
    runs,
  },
  {
    id: "an-older-copy-passes-for-a-restart",
    bug: "BD04",
    file: "src/core/identity.ts",
    find: 'return disk.starts > recorded.starts ? "restarted" : "older";',
    replace: 'return "restarted";',
    why: "The disk is the same one, by its name.",
    invariants: ["M8"],
    runs,
  },
  {
    id: "a-later-leader-takes-disks-as-they-are",
    bug: "BD04",
    file: "src/core/identity.ts",
    find: '(isFirst && verdict === "new")',
    replace: "isFirst",
    why: "It was elected without them, and has counted nobody by the disk before.",
    invariants: ["M8"],
    runs,
  },
  {
    id: "a-new-leader-never-looks-whom-it-has",
    bug: "BD04",
    file: "src/core/replication.ts",
    find: "  if (!progress.hasAnswered) onFirstAnswer(step, from, progress);\n",
    replace: "",
    why: "Each peer has said which disk it has when it connected.",
    invariants: ["V1"],
    runs,
  },
];
