/**
 * The sessions of clients: which of their commands were applied, with what results (thesis §6.3). The same on every server,
 * as it is a function of the log alone: time is the entries' own, and what has to go goes in a fixed order.
 *
 * @module
 */
import { SessionExpiredError } from "../errors.ts";
import { mark } from "../marks.ts";
import type { LogIndex } from "../types.ts";
import { type ClientBlock, decodeClientBlock, KEY_SESSION_MIN, sessionNumber } from "../wire/client_block.ts";
import type { Records } from "../wire/record.ts";
import {
  decodeLimits,
  decodeResult,
  decodeSessions,
  encodeResult,
  encodeSessions,
  LOST,
  type SessionLimits,
  type SessionState,
} from "../wire/session_codec.ts";
import type { Applied } from "./applier.ts";

/** Until a session is opened: for commands that are known by keys. */
const limitsBefore: SessionLimits = { ttlMs: 3_600_000, countMax: 100_000, bytesMax: 64 << 20 };

/** A client may have so many commands without an answer; the results of older ones are forgotten. */
export const SESSION_WINDOW = 1_024;

/** What every session, and every result in it, is said to take besides its bytes. */
const OVERHEAD_BYTES = 64;

/** What is to be done with a command. */
export type SessionVerdict =
  /** Apply it, then say what came of it before the next one has its turn. */
  | { readonly type: "apply"; record(applied: Applied): void }
  /** It is answered already. */
  | { readonly type: "answered"; readonly applied: Applied };

/** All sessions. */
export class SessionTable {
  /** By number (or digest); the one that was unused longest comes first. */
  #sessions = new Map<string, SessionState>();
  #limits = limitsBefore;
  #bytes = 0;

  /** Sessions and keys that are known. */
  get count(): number {
    return this.#sessions.size;
  }

  /** What they take, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A record with a client block has its turn. */
  onRecord(records: Records, index: LogIndex): SessionVerdict {
    try {
      const block = decodeClientBlock(records.extensions(index));
      return this.onCommand(block, { index, timeMs: records.timeMs(index), payload: records.payload(index) });
    } catch (error) {
      return answered({ ok: false, error });
    }
  }

  /** A command with a client block has its turn. */
  onCommand(
    block: ClientBlock,
    entry: { readonly index: LogIndex; readonly timeMs: number; readonly payload: Uint8Array },
  ): SessionVerdict {
    this.#expire(entry.timeMs);
    const { session: number, sequence } = block;
    if (number === 0) return answered(this.#open(entry));
    const key = keyOf(block);
    const session = this.#sessions.get(key);
    if (session === undefined) {
      if (number < KEY_SESSION_MIN) {
        if (sequence > 0) mark("command-of-forgotten-session");
        return answered({ ok: false, error: new SessionExpiredError(number) });
      }
      this.#sessions.set(key, { usedMs: entry.timeMs, high: 0, results: new Map() });
      this.#bytes += OVERHEAD_BYTES;
      return this.#toApply(block);
    }
    this.#use(key, session, entry.timeMs);
    const kept = session.results.get(sequence);
    if (kept !== undefined) {
      mark(number >= KEY_SESSION_MIN ? "key-answered-again" : "command-answered-again");
      return answered(decodeResult(kept));
    }
    if (number >= KEY_SESSION_MIN) return this.#toApply(block);
    if (sequence === 0) {
      if (entry.payload.length === 0) this.#forget(key, session);
      return answered({ ok: true, value: undefined });
    }
    if (sequence > session.high - SESSION_WINDOW) return this.#toApply(block);
    return answered({ ok: false, error: new SessionExpiredError(number) });
  }

  #toApply(block: ClientBlock): SessionVerdict {
    return { type: "apply", record: (applied) => this.#record(block, applied) };
  }

  #record(block: ClientBlock, applied: Applied): void {
    const session = this.#sessions.get(keyOf(block));
    if (session === undefined) return;
    const kept = encodeResult(applied);
    session.results.set(block.sequence, kept);
    this.#bytes += OVERHEAD_BYTES + kept.bytes.length;
    if (block.session < KEY_SESSION_MIN && block.sequence > session.high) this.#advance(session, block.sequence);
    this.#shrink();
  }

  /** Results that no client can ask for any more go. */
  #advance(session: SessionState, high: number): void {
    const gone = high - SESSION_WINDOW;
    const { results } = session;
    const from = Math.max(1, session.high - SESSION_WINDOW + 1);
    // One by one as a rule; who leaps ahead leaves at most a window behind.
    if (gone - from < results.size) {
      for (let sequence = from; sequence <= gone; sequence++) this.#drop(results, sequence);
    } else for (const sequence of [...results.keys()]) if (sequence <= gone) this.#drop(results, sequence);
    session.high = high;
  }

  #drop(results: SessionState["results"], sequence: number): void {
    const kept = results.get(sequence);
    if (kept === undefined) return;
    results.delete(sequence);
    this.#bytes -= OVERHEAD_BYTES + kept.bytes.length;
  }

  #open(
    { index, timeMs, payload }: { readonly index: LogIndex; readonly timeMs: number; readonly payload: Uint8Array },
  ) {
    let limits: SessionLimits;
    try {
      limits = decodeLimits(payload);
    } catch (error) {
      return { ok: false, error } as const;
    }
    this.#limits = limits;
    const number = sessionNumber(index);
    this.#sessions.set(`${number}`, { usedMs: timeMs, high: 0, results: new Map() });
    this.#bytes += OVERHEAD_BYTES;
    this.#shrink();
    return { ok: true, value: number } as const;
  }

  #use(key: string, session: SessionState, timeMs: number): void {
    session.usedMs = timeMs;
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
  }

  /** Forgets what was not used for too long. */
  #expire(nowMs: number): void {
    for (const [key, session] of this.#sessions) {
      if (session.usedMs + this.#limits.ttlMs >= nowMs) return;
      mark("session-expired");
      this.#forget(key, session);
    }
  }

  /** Forgets what was unused longest while there is too much, but for the one that was just used. */
  #shrink(): void {
    const { countMax, bytesMax } = this.#limits;
    for (const [key, session] of this.#sessions) {
      const fits = this.#sessions.size <= countMax && this.#bytes <= bytesMax;
      if (fits) return;
      if (this.#sessions.size === 1) return this.#forgetResults(session.results);
      mark("session-made-room");
      this.#forget(key, session);
    }
  }

  /** Of one session that is too much by itself: it stays known that its commands were applied, the oldest results go. */
  #forgetResults(results: SessionState["results"]): void {
    for (const [sequence, { bytes }] of results) {
      if (this.#bytes <= this.#limits.bytesMax) return;
      if (bytes.length === 0) continue;
      mark("session-result-forgotten");
      results.set(sequence, LOST);
      this.#bytes -= bytes.length;
    }
  }

  #forget(key: string, session: SessionState): void {
    this.#sessions.delete(key);
    this.#bytes -= OVERHEAD_BYTES;
    for (const { bytes } of session.results.values()) this.#bytes -= OVERHEAD_BYTES + bytes.length;
  }

  /** What a snapshot is to hold: nothing while nobody ever opened a session or gave a key. */
  capture(): Uint8Array | undefined {
    return this.#sessions.size === 0 && this.#limits === limitsBefore ? undefined : this.encode();
  }

  /** All of it. Equal tables give equal bytes. */
  encode(): Uint8Array {
    return encodeSessions({ limits: this.#limits, sessions: this.#sessions });
  }

  /**
   * Becomes what was encoded.
   *
   * @throws {ProtocolError} When it is nothing that {@linkcode SessionTable.encode} gives: it stays as it was.
   */
  restore(bytes: Uint8Array): void {
    const { limits, sessions } = decodeSessions(bytes);
    this.#limits = limits;
    this.#sessions = sessions;
    this.#bytes = 0;
    for (const { results } of sessions.values()) {
      this.#bytes += OVERHEAD_BYTES;
      for (const kept of results.values()) this.#bytes += OVERHEAD_BYTES + kept.bytes.length;
    }
  }

  /** As it was before the first command. */
  clear(): void {
    this.#sessions = new Map();
    this.#limits = limitsBefore;
    this.#bytes = 0;
  }
}

/** Commands known by a key have a session of their own each. */
function keyOf({ session, sequence }: ClientBlock): string {
  return session < KEY_SESSION_MIN ? `${session}` : `${session} ${sequence}`;
}

function answered(applied: Applied): SessionVerdict {
  return { type: "answered", applied };
}
