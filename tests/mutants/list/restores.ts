/**
 * Restores of users' snapshots.
 *
 * @module
 */
import type { Mutant, Runs } from "../mutant.ts";

/** Many of them, to servers that die and start again. */
const restoring: Runs = {
  ...{ servers: 3, moving: false, faults: ["kill", "power", "partition"] },
  client: { restores: 0.05, keyed: 0.3 },
};

/** Faults in what puts a user's snapshot in the place of the whole state. */
export const restores: readonly Mutant[] = [
  {
    id: "restore-answered-when-appended",
    bug: "BC06",
    file: "src/driver/pending.ts",
    find: "    if (end >= 0) this.#abort(from + end);\n",
    replace:
      "    if (end < 0) return;\n    this.#abort(from + end);\n    proposals[end]!.resolve({ index: from + end, term, applied: { ok: true, value: undefined } });\n",
    why: "All parts are committed and verified, so nothing can go wrong any more.",
    invariants: ["K3"],
    runs: restoring,
  },
  {
    id: "log-goes-on-while-the-machine-is-restored",
    bug: "BS14",
    file: "src/driver/applier.ts",
    find:
      "    return this.#restoreLogged(verdict.restore, index).then((isRestored) => {\n      this.#restores.onRestored();\n      if (isRestored && !this.#closed) this.#settle(index, term, nothing);\n    });\n",
    replace:
      "    void this.#restoreLogged(verdict.restore, index).then(() => this.#restores.onRestored());\n    return this.#settle(index, term, nothing);\n",
    why: "The machine takes care of its own order, and other commands need not wait.",
    invariants: ["A3", "A6"],
    runs: restoring,
  },
  {
    id: "snapshot-between-the-parts-of-a-restore",
    bug: "BS14",
    file: "src/driver/restores.ts",
    find: "    return this.#open !== undefined;\n",
    replace: "    return false;\n",
    why: "The machine has its whole state at every entry, and what comes after it is in the log.",
    invariants: ["A3", "S1"],
    runs: restoring,
  },
  {
    id: "keys-outlive-a-restore",
    bug: "BK07",
    file: "src/driver/applier.ts",
    find: '    this.sessions.clear();\n    mark("restore-applied");\n',
    replace: '    mark("restore-applied");\n',
    why: "A command is applied once: that is what its key is for.",
    invariants: ["K3"],
    runs: restoring,
  },
  {
    id: "parts-of-another-restore-are-taken",
    bug: "BS20",
    file: "src/driver/restores.ts",
    find: '        if (entry?.kind !== "part" || entry.id !== id || entry.sequence !== sequence) continue;\n',
    replace: '        if (entry?.kind !== "part" || entry.sequence !== sequence) continue;\n',
    why: "Parts have numbers, and the one that is next is the one that is meant.",
    invariants: ["A3", "K5"],
    runs: { ...restoring, client: { restores: 0.4, clients: 6, isSticky: false } },
  },
  {
    id: "restore-does-not-check-what-it-was-given",
    bug: "BS17",
    file: "src/restorer.ts",
    find: "    source.check(meta);\n",
    replace: "",
    why: "The snapshot has checksums of its own, in every part.",
    invariants: ["K3"],
    runs: restoring,
  },
  {
    id: "giving-a-restore-up-is-refused",
    bug: "BS07",
    file: "src/driver/intake.ts",
    find: "    if (proposal.isOwed) return this.#take(proposal);\n",
    replace: "",
    why: "Who finds no room is refused, and the next leader gives it up anyway.",
    invariants: ["V3"],
    // One server leads in one term to the end, and has room for little most of the time.
    runs: {
      ...{ servers: 1, moving: false, faults: [] },
      client: { restores: 0.2, reloads: 0.1, clients: 6, burstChance: 0.2, burstMax: 16 },
    },
  },
];
