/**
 * Sessions, and what callers are told became of their commands.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

/** Clients that send again whatever was lost. */
const client = { sessions: 0.8, clients: 6 };

/** Clients that give their commands keys. */
const keyed = { keyed: 0.8, leaseShare: 0.2, clients: 6 };

/** Faults in sessions and outcomes. */
export const sessions: readonly Mutant[] = [
  {
    id: "session-keeps-no-answers",
    bug: "BK02",
    file: "src/driver/session_table.ts",
    find: "    session.results.set(block.sequence, kept);\n",
    replace: "",
    why: "The highest number of a session says what it has done.",
    invariants: ["K1"],
    runs: { faults: ["kill", "partition", "reset"], client },
  },
  {
    id: "one-answer-kept-for-each-session",
    bug: "BK02",
    file: "src/driver/session_table.ts",
    find: "    session.results.set(block.sequence, kept);\n",
    replace: "    session.results.clear();\n    session.results.set(block.sequence, kept);\n",
    why: "A client has one command under way, as in the dissertation.",
    invariants: ["K1"],
    runs: { faults: ["kill", "partition", "reset"], client },
  },
  {
    id: "command-sent-again-answered-with-nothing",
    bug: "BK07",
    file: "src/driver/session_table.ts",
    find: "return answered(decodeResult(kept));",
    replace: "return answered({ ok: decodeResult(kept).ok, value: undefined, error: undefined });",
    why: "That it was applied is all that anybody who asks again wants to know.",
    invariants: ["K3", "O2"],
    runs: { faults: ["kill", "partition", "reset"], client },
  },
  {
    id: "snapshot-without-sessions",
    bug: "BK02",
    file: "src/driver/session_table.ts",
    find: "return this.#sessions.size === 0 && this.#limits === limitsBefore ? undefined : this.encode();",
    replace: "return this.#sessions.size < 0 ? this.encode() : undefined;",
    why: "A snapshot holds what the machine gives.",
    invariants: ["A3", "A4", "K1", "K2", "K3", "K5"],
    runs: { faults: ["kill", "power", "partition"], client },
  },
  {
    id: "sessions-not-restored",
    bug: "BK02",
    file: "src/driver/snapshots.ts",
    find: "else sessions.restore(opened.sessions);",
    replace: "else if (sessions.count === 0) sessions.restore(opened.sessions);",
    why: "A server that runs knows them already.",
    invariants: ["A3", "A4", "K1", "K2", "K3", "K5"],
    runs: { faults: ["kill", "partition", "pause"], client },
  },
  {
    id: "lost-forward-not-applied",
    bug: "BK05",
    file: "src/driver/pending.ts",
    find: 'lost(`Cannot tell what became of the command as the connection to "${peer}" was lost`)',
    replace: "new NotLeaderError(undefined)",
    why: "What was on a connection is lost with it.",
    invariants: ["K5"],
  },
  {
    id: "unanswered-forward-not-applied",
    bug: "BK05",
    file: "src/driver/pending.ts",
    find: 'lost(`Cannot tell what became of the command as "${forward.to}" did not answer`)',
    replace: "new NotLeaderError(undefined)",
    why: "Whoever has taken a command says so.",
    invariants: ["K5"],
    runs: { faults: ["late", "delay", "clog", "swizzle"], servers: 3 },
  },
  {
    id: "given-up-is-not-applied",
    bug: "BK05",
    file: "src/driver/pending.ts",
    find: 'lost("Cannot tell what became of the command as the leader was lost", index, term)',
    replace: "overwritten(index, term)",
    why: "What a lost leader had is overwritten by the next one.",
    invariants: ["K5"],
  },
  {
    id: "overtaken-by-a-snapshot-is-not-applied",
    bug: "BK05",
    file: "src/driver/pending.ts",
    find: 'lost("Cannot tell the command\'s result as a snapshot took its place", index, term)',
    replace: "overwritten(index, term)",
    why: "The entry is not in the log any more.",
    invariants: ["K5"],
    runs: { faults: ["partition", "pause", "disk-slow"], servers: 3 },
  },
  {
    id: "snapshot-leaves-the-limits-of-sessions",
    bug: "BR08",
    file: "src/driver/session_table.ts",
    find: "    this.#limits = limits;\n    this.#sessions = sessions;\n    this.#bytes = 0;\n",
    replace: "    this.#sessions = sessions;\n    this.#bytes = 0;\n",
    why: "How long a session lives is a server's own setting.",
    invariants: ["A3", "A4", "K1", "K2", "K5"],
    runs: { faults: ["kill", "partition", "clock"], client },
  },
  {
    id: "key-of-a-few-bits",
    bug: "BK07",
    file: "src/session.ts",
    find: "return { session: KEY_SESSION_MIN + part(0), sequence: part(8) };",
    replace: "return { session: KEY_SESSION_MIN + (part(0) % 1024), sequence: 1 };",
    why: "A few bits of a good digest are enough to tell keys from one another.",
    invariants: ["K3", "K1", "O2"],
    runs: { client: keyed },
  },
  {
    id: "key-is-not-a-session",
    bug: "BK02",
    file: "src/driver/session_table.ts",
    find: "    const kept = session.results.get(sequence);\n    if (kept !== undefined) {\n",
    replace:
      "    const kept = session.results.get(sequence);\n    if (kept !== undefined && number < KEY_SESSION_MIN) {\n",
    why: "A key has no session whose commands could be sent again.",
    invariants: ["K1"],
    runs: { client: keyed },
  },
  {
    id: "session-numbered-by-any-index",
    bug: "BT11",
    file: "src/driver/session_table.ts",
    find: "const number = sessionNumber(index);",
    replace: "const number = index;",
    why: "No log has so many entries that an index would pass for a key's digest.",
    invariants: ["K1", "K2"],
    runs: { client: { sessions: 0.8 }, indexStart: 2 ** 53 - 2 ** 32 - 1_000_000 },
  },
];
