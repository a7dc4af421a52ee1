/**
 * The write-ahead log, and numbers as bytes.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

/** Faults in what survives a crash. */
export const disks: readonly Mutant[] = [
  {
    id: "writes-without-sync",
    bug: "BD01",
    file: "src/store/wal/segment_file.ts",
    find: "files.open(name, { create: false, durable: true })",
    replace: "files.open(name, { create: false, durable: false })",
    why: "The header was synced before, and a flag is easily copied from another call.",
    invariants: ["D4"],
  },
  {
    id: "directory-not-synced",
    bug: "BD06",
    file: "src/store/wal/segment_file.ts",
    find: "  await files.syncDirectory();\n",
    replace: "",
    why: "The file was synced, and a rename is atomic.",
    invariants: ["D4", "D3"],
  },
  {
    id: "start-segment-not-synced",
    bug: "BD06",
    file: "src/store/wal/segment_file.ts",
    find: "    await file.write(parts, 0);\n    await file.sync();\n",
    replace: "    await file.write(parts, 0);\n",
    why: "A rename puts the file in place as it is.",
    invariants: ["D4", "D3"],
  },
  {
    id: "start-forgets-the-vote",
    bug: "BD04",
    file: "src/store/wal/start.ts",
    find: "vote: state.vote,",
    replace: "vote: { ...state.vote, votedFor: undefined },",
    why: "Who has just started has voted for nobody.",
    invariants: ["D4", "E5"],
  },
  {
    id: "start-forgets-a-truncation",
    bug: "BL18",
    file: "src/store/wal/start.ts",
    find: "truncateFrom: truncateFrom < before.nextIndex ? truncateFrom : undefined,",
    replace: "truncateFrom: undefined,",
    why: "What was removed is not there any more.",
    invariants: ["D3", "D4"],
    runs: { faults: ["partition", "reset", "power", "kill"], store: "wal", servers: 3, steps: 12_000 },
  },
  {
    id: "segment-begins-with-the-old-vote",
    bug: "BD09",
    file: "src/store/wal/log_writer.ts",
    find: "      vote,\n      clusterId: isFirst",
    replace: "      vote: isFirst ? state.vote : vote,\n      clusterId: isFirst",
    why: "A segment begins with what the log knows, and the write comes after.",
    invariants: ["D4", "E5"],
  },
  {
    id: "damage-taken-for-a-torn-write",
    bug: "BD03",
    file: "src/store/wal/recovery.ts",
    find: "if (next === undefined && resumed === undefined && !isFirst) return",
    replace: "if (next === undefined && !isFirst) return",
    why: "A log ends where its checksums are wrong.",
    invariants: ["D2", "C5"],
    runs: { faults: ["rot", "power", "kill", "partition"], store: "wal" },
  },
  {
    id: "payload-checksum-not-looked-at",
    bug: "BD02",
    file: "src/wire/record.ts",
    find: "if (crc32cOfView(view, body, next) !== view.getUint32(at + 40, true)) {",
    replace: "if (crc32cOfView(view, body, next) === -1) {",
    why: "The header has a checksum, and the transport as well.",
    invariants: ["A3", "D2"],
    runs: { faults: ["misread", "restart", "kill", "partition"], store: "wal" },
  },
  {
    id: "failed-write-tried-again",
    bug: "BD05",
    file: "src/store/wal/log_writer.ts",
    find: "      await this.#writeAnew(content);",
    replace: "      await this.#write(content).catch(() => this.#writeAnew(content));",
    why: "Errors pass, and a second try costs nothing.",
    invariants: ["D1"],
  },
  {
    id: "failed-write-swallowed",
    bug: "BD15",
    file: "src/driver/writer.ts",
    find: "    this.#busy = done.then(() => {\n      this.#busy = undefined;\n      if (this.#failed) return;",
    replace:
      "    this.#busy = done.catch(() => {}).then(() => {\n      this.#busy = undefined;\n      if (this.#failed) return;",
    why: "The store logs its errors, and somebody must keep an unhandled rejection away.",
    invariants: ["D1", "E3", "L4", "L7"],
    runs: { faults: ["write-error", "sync-error", "disk-full", "kill"], store: "wal" },
  },
  {
    id: "numbers-of-32-bits",
    bug: "BT11",
    file: "src/wire/items.ts",
    find: "!Number.isSafeInteger(value) || value < 0",
    replace: "(value | 0) !== value || value < 0",
    why: "The shortest way to write that a number is an integer.",
    invariants: ["T1"],
  },
];
