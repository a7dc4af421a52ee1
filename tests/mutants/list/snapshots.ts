/**
 * Snapshots and compaction.
 *
 * @module
 */
import type { Mutant, Runs } from "../mutant.ts";

/** Logs that are compacted on disks that lose what is not synced. */
const crashing: Runs = { store: "wal", servers: 3, faults: ["power", "kill", "partition"] };

/** The same where snapshots are damaged. */
const rotting: Runs = { store: "wal", servers: 3, faults: ["rot-in-snapshots"] };

/** The same where logs are. */
const damaged: Runs = { store: "wal", servers: 3, faults: ["rot"] };

/** Faults in what takes the log's place, or makes up for what is lost of it. */
export const snapshots: readonly Mutant[] = [
  {
    id: "machine-applies-on-while-it-is-to-begin-anew",
    bug: "BS12",
    file: "src/driver/applier.ts",
    find: "      if (this.#isHeld) {\n        this.#tellHeld();\n        break;\n      }\n",
    replace: "      if (this.#isHeld) this.#tellHeld();\n",
    why: "It is overwritten anyway, and commands get their results meanwhile.",
    invariants: ["S2"],
    runs: crashing,
  },
  {
    id: "snapshot-name-not-synced",
    bug: "BD06",
    file: "src/store/snapshot_files.ts",
    find:
      "    await this.#files.rename(meta.id + UNFINISHED_SUFFIX, meta.id);\n    await this.#files.syncDirectory();\n",
    replace: "    await this.#files.rename(meta.id + UNFINISHED_SUFFIX, meta.id);\n",
    why: "The files and their directory were synced, and a rename is atomic.",
    invariants: ["S4", "D4"],
    runs: crashing,
  },
  {
    id: "snapshot-bytes-not-synced",
    bug: "BD06",
    file: "src/store/snapshot_file_medium.ts",
    find: "    await this.#file.sync();\n    await this.release();\n",
    replace: "    await this.release();\n",
    why: "They are synced every so often as they are written, and closing the file does the rest.",
    invariants: ["S4", "D4"],
    runs: crashing,
  },
  {
    id: "snapshot-meta-not-synced",
    bug: "BD06",
    file: "src/store/snapshot_file_medium.ts",
    find: "      await file.write([encodeMeta(meta)], 0);\n      await file.sync();\n",
    replace: "      await file.write([encodeMeta(meta)], 0);\n",
    why: "It is the bytes that matter, and the directory is synced right after.",
    invariants: ["S4", "D4"],
    runs: crashing,
  },
  {
    id: "snapshot-leftovers-stay",
    bug: "BS19",
    file: "src/store/snapshot_files.ts",
    find: "        await this.#removeUnfinished(id);\n      }\n    }",
    replace: "      }\n    }",
    why: "An unfinished one is never listed, so it harms nobody.",
    invariants: ["D4"],
    runs: crashing,
  },
  {
    id: "oldest-snapshots-are-kept",
    bug: "BS12",
    file: "src/store/snapshot_meta.ts",
    find: "return [...metas].sort(compareSnapshots).slice(retain)",
    replace: "return [...metas].sort(compareSnapshots).reverse().slice(retain)",
    why: "What is kept is what comes first in order.",
    invariants: ["S4", "D4"],
    runs: crashing,
  },
  {
    id: "snapshot-checked-by-its-size",
    bug: "BD13",
    file: "src/store/snapshot_files.ts",
    find: "return found === checksum ? undefined :",
    replace: "return found >= 0 ? undefined :",
    why: "It was whole when it got its name, and whoever restores it looks at its checksums anyway.",
    invariants: ["D4", "D3", "S1"],
    runs: rotting,
  },
  {
    id: "damaged-entries-acknowledged",
    bug: "BD03",
    file: "src/core/append.ts",
    find: "return Math.min(state.verifiedIndex, state.persistedIndex, soundIndex(state));",
    replace: "return Math.min(state.verifiedIndex, state.persistedIndex);",
    why: "They were durable once, and the leader has them anyway.",
    invariants: ["L4"],
    runs: damaged,
  },
  {
    id: "server-with-damaged-entries-campaigns",
    bug: "BD02",
    file: "src/core/membership.ts",
    find: "if (state.isFull || state.damaged.length > 0 || state.repairing.length > 0) return false;",
    replace: "if (state.isFull) return false;",
    why: "It knows how far its log reaches, and that is what elections are about.",
    invariants: ["D2"],
    runs: damaged,
  },
  {
    id: "start-forgets-how-far-the-log-is-compacted",
    bug: "BD09",
    file: "src/store/wal/start.ts",
    find: "compactTo: firstIndex > before.firstIndex ? { firstIndex, prevTerm } : undefined,",
    replace: "compactTo: undefined,",
    why: "The snapshot says where the log begins.",
    invariants: ["D4"],
    runs: crashing,
  },
  {
    id: "term-before-a-compacted-log-forgotten",
    bug: "BL11",
    file: "src/store/wal/start.ts",
    find: "firstIndex > before.firstIndex ? { firstIndex, prevTerm } : undefined",
    replace: "firstIndex > before.firstIndex ? { firstIndex, prevTerm: before.prevTerm } : undefined",
    why: "What was before the log has not changed.",
    invariants: ["D4"],
    runs: crashing,
  },
  {
    id: "segment-removed-with-its-last-entry",
    bug: "BD08",
    file: "src/store/wal/log_writer.ts",
    find: "segments[count].entries.end <= state.firstIndex &&",
    replace: "segments[count].entries.end <= state.firstIndex + 1 &&",
    why: "One entry more or less: is the end of a range in it or not?",
    invariants: ["D4"],
    runs: crashing,
  },
  {
    id: "snapshot-installed-over-the-same-history",
    bug: "BS01",
    file: "src/core/install.ts",
    find: "  return index <= commitIndex || ours === term;",
    replace: "  return index <= commitIndex;",
    why: "Only what is committed is certain.",
    invariants: ["S2"],
  },
  {
    id: "snapshot-of-what-is-committed",
    bug: "BS14",
    file: "src/driver/snapshotter.ts",
    find: "const { appliedIndex: index, appliedTimeMs: timeMs, appliedBytes } = this.#applier;",
    replace: "const { appliedTimeMs: timeMs, appliedBytes } = this.#applier;\n    const index = state.commitIndex;",
    why: "A snapshot holds what is committed.",
    invariants: ["S1", "A2", "A3", "S4"],
  },
  {
    id: "older-snapshot-takes-the-place-of-a-newer-one",
    bug: "BS12",
    file: "src/core/compaction.ts",
    find: "if (index > step.state.snapshot.index) adoptSnapshot(step, index, term);",
    replace: "adoptSnapshot(step, index, term);",
    why: "The one that was written last is the newest.",
    invariants: ["A1"],
  },
];
