/**
 * The sessions of clients: which of their commands were applied, with what results (thesis §6.3). The same on every server,
 * as it is a function of the log alone: time is the entries' own, and what has to go goes in a fixed order.
 *
 * @module
 */
import { decode, encode, type ValueType } from "@std/msgpack";
import { ProtocolError, SessionExpiredError } from "../errors.ts";
import type { LogIndex } from "../types.ts";
import { type ClientBlock, KEY_SESSION_MIN } from "../wire/client_block.ts";
import type { Applied } from "./applier.ts";

/** Limits, which travel with the entry that opens a session, so that all servers have the same. */
export interface SessionLimits {
  /** A session that was not used for so long, by the entries' time stamps, is forgotten. Milliseconds. */
  readonly ttlMs: number;
  /** Sessions at a time, keys included; beyond that the one that was unused longest is forgotten. */
  readonly countMax: number;
  /** Bytes of all results that are kept; likewise. */
  readonly bytesMax: number;
}

/** Until a session is opened: for commands that are known by keys. */
const limitsBefore: SessionLimits = { ttlMs: 3_600_000, countMax: 100_000, bytesMax: 64 << 20 };

/** A client may have so many commands without an answer; the results of older ones are forgotten. */
export const SESSION_WINDOW = 1_024;

/** What every session, and every result in it, is said to take besides its bytes. */
const OVERHEAD_BYTES = 64;

/** A larger result is not kept. */
const RESULT_BYTES_MAX = 1 << 20;

/** Versions of the bytes that a snapshot holds. */
const VERSION = 1;

/** A result as it is kept. */
type Kept =
  | { readonly kind: "value" | "error"; readonly bytes: Uint8Array }
  /** It could not be encoded. */
  | { readonly kind: "lost"; readonly bytes: Uint8Array };

const KINDS = ["value", "error", "lost"] as const;

interface Session {
  /** When it was last used, by the entry's time stamp. */
  usedMs: number;
  /** The highest sequence that was applied. */
  high: number;
  /** By sequence. */
  readonly results: Map<number, Kept>;
}

/** What is to be done with a command. */
export type SessionVerdict =
  /** Apply it, then say what came of it with {@linkcode SessionTable.record}. */
  | { readonly type: "apply" }
  /** It is answered already. */
  | { readonly type: "answered"; readonly applied: Applied };

/** All sessions. */
export class SessionTable {
  /** By number (or digest); the one that was unused longest comes first. */
  #sessions = new Map<string, Session>();
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
      if (number < KEY_SESSION_MIN) return answered({ ok: false, error: new SessionExpiredError(number) });
      this.#sessions.set(key, { usedMs: entry.timeMs, high: 0, results: new Map() });
      this.#bytes += OVERHEAD_BYTES;
      return { type: "apply" };
    }
    this.#use(key, session, entry.timeMs);
    const kept = session.results.get(sequence);
    if (kept !== undefined) return answered(answerOf(kept));
    if (number >= KEY_SESSION_MIN) return { type: "apply" };
    if (sequence === 0) {
      if (entry.payload.length === 0) this.#forget(key, session);
      return answered({ ok: true, value: undefined });
    }
    if (sequence > session.high - SESSION_WINDOW) return { type: "apply" };
    return answered({ ok: false, error: new SessionExpiredError(number) });
  }

  /** What came of a command that was to be applied. To be called before the next one has its turn. */
  record(block: ClientBlock, applied: Applied): void {
    const session = this.#sessions.get(keyOf(block));
    if (session === undefined) return;
    const kept = keep(applied);
    session.results.set(block.sequence, kept);
    this.#bytes += OVERHEAD_BYTES + kept.bytes.length;
    if (block.session < KEY_SESSION_MIN && block.sequence > session.high) this.#advance(session, block.sequence);
    this.#shrink();
  }

  /** Results that no client can ask for any more go. */
  #advance(session: Session, high: number): void {
    const gone = high - SESSION_WINDOW;
    for (const [sequence, kept] of session.results) {
      if (sequence > gone) continue;
      session.results.delete(sequence);
      this.#bytes -= OVERHEAD_BYTES + kept.bytes.length;
    }
    session.high = high;
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
    this.#sessions.set(`${index}`, { usedMs: timeMs, high: 0, results: new Map() });
    this.#bytes += OVERHEAD_BYTES;
    this.#shrink();
    return { ok: true, value: index } as const;
  }

  #use(key: string, session: Session, timeMs: number): void {
    session.usedMs = timeMs;
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
  }

  /** Forgets what was not used for too long. */
  #expire(nowMs: number): void {
    for (const [key, session] of this.#sessions) {
      if (session.usedMs + this.#limits.ttlMs >= nowMs) return;
      this.#forget(key, session);
    }
  }

  /** Forgets what was unused longest while there is too much, but for the one that was just used. */
  #shrink(): void {
    const { countMax, bytesMax } = this.#limits;
    for (const [key, session] of this.#sessions) {
      const fits = this.#sessions.size <= countMax && this.#bytes <= bytesMax;
      if (fits || this.#sessions.size === 1) return;
      this.#forget(key, session);
    }
  }

  #forget(key: string, session: Session): void {
    this.#sessions.delete(key);
    this.#bytes -= OVERHEAD_BYTES;
    for (const { bytes } of session.results.values()) this.#bytes -= OVERHEAD_BYTES + bytes.length;
  }

  /** All of it, for a snapshot. Equal tables give equal bytes. */
  encode(): Uint8Array {
    const { ttlMs, countMax, bytesMax } = this.#limits;
    const sessions = [...this.#sessions].map(([key, { usedMs, high, results }]): ValueType[] => [
      ...[key, usedMs, high],
      [...results].map(([sequence, { kind, bytes }]): ValueType[] => [sequence, KINDS.indexOf(kind), bytes]),
    ]);
    return encode([VERSION, [ttlMs, countMax, bytesMax], sessions]);
  }

  /**
   * Becomes what was encoded.
   *
   * @throws {ProtocolError} When it is nothing that {@linkcode SessionTable.encode} gives.
   */
  restore(bytes: Uint8Array): void {
    const [version, limits, sessions] = arrayOf(decodeValue(bytes), 3);
    if (version !== VERSION) throw new ProtocolError(`Cannot restore sessions of version ${version}`);
    const table = new SessionTable();
    table.#limits = limitsOf(limits);
    for (const item of arrayOf(sessions)) {
      const [key, usedMs, high, results] = arrayOf(item, 4);
      if (typeof key !== "string") throw new ProtocolError("Cannot restore sessions: a number is none");
      const session: Session = { usedMs: integerOf(usedMs), high: integerOf(high), results: new Map() };
      for (const result of arrayOf(results)) {
        const [sequence, kind, bytes] = arrayOf(result, 3);
        const name = KINDS[integerOf(kind)];
        if (name === undefined || !(bytes instanceof Uint8Array)) {
          throw new ProtocolError("Cannot restore sessions: a result is none");
        }
        session.results.set(integerOf(sequence), { kind: name, bytes: bytes.slice() });
        table.#bytes += OVERHEAD_BYTES + bytes.length;
      }
      table.#sessions.set(key, session);
      table.#bytes += OVERHEAD_BYTES;
    }
    this.#sessions = table.#sessions;
    this.#limits = table.#limits;
    this.#bytes = table.#bytes;
  }

  /** As at the beginning of the log. */
  clear(): void {
    this.#sessions = new Map();
    this.#limits = limitsBefore;
    this.#bytes = 0;
  }
}

/** The payload of an entry that opens a session. */
export function encodeLimits({ ttlMs, countMax, bytesMax }: SessionLimits): Uint8Array {
  return encode([ttlMs, countMax, bytesMax]);
}

function decodeLimits(payload: Uint8Array): SessionLimits {
  return limitsOf(decodeValue(payload));
}

function limitsOf(value: unknown): SessionLimits {
  const [ttlMs, countMax, bytesMax] = arrayOf(value, 3).map(integerOf);
  if (ttlMs! < 1 || countMax! < 1) throw new ProtocolError("Cannot open a session: its limits are too small");
  return { ttlMs: ttlMs!, countMax: countMax!, bytesMax: bytesMax! };
}

/** Commands known by a key have a session of their own each. */
function keyOf({ session, sequence }: ClientBlock): string {
  return session < KEY_SESSION_MIN ? `${session}` : `${session} ${sequence}`;
}

function answered(applied: Applied): SessionVerdict {
  return { type: "answered", applied };
}

function keep(applied: Applied): Kept {
  try {
    const { value, error } = applied as { readonly value?: ValueType; readonly error?: Error };
    const content = applied.ok ? value === undefined ? [] : [value] : [`${error?.name}`, `${error?.message}`];
    const bytes = encode(content as ValueType);
    if (bytes.length <= RESULT_BYTES_MAX) return { kind: applied.ok ? "value" : "error", bytes };
  } catch {
    // What MessagePack can't hold is as lost as what is too large.
  }
  return { kind: "lost", bytes: new Uint8Array() };
}

function answerOf({ kind, bytes }: Kept): Applied {
  if (kind === "lost") {
    const why = `MessagePack cannot hold it, or not in ${RESULT_BYTES_MAX} bytes`;
    return { ok: false, error: new Error(`The command was applied before; its result was not kept as ${why}`) };
  }
  const [first, second] = decode(bytes) as ValueType[];
  if (kind === "value") return { ok: true, value: first };
  const error = new Error(second as string);
  error.name = first as string;
  return { ok: false, error };
}

function decodeValue(bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (cause) {
    throw new ProtocolError(`Cannot read what is said of sessions: ${(cause as Error).message}`);
  }
}

function arrayOf(value: unknown, length?: number): readonly unknown[] {
  if (Array.isArray(value) && (length === undefined || value.length === length)) return value;
  throw new ProtocolError("Cannot read what is said of sessions: an array is missing or has another length");
}

function integerOf(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new ProtocolError("Cannot read what is said of sessions: a number is missing");
}
