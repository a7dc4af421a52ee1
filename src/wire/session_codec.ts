/**
 * What is kept of clients' sessions ↔ bytes: the limits in the entry that opens one, results, and all of it in a snapshot.
 *
 * @module
 */
import { decode, encode, type ValueType } from "@std/msgpack";
import { ProtocolError, ResultLostError } from "../errors.ts";

/** Limits, which travel with the entry that opens a session, so that all servers have the same. */
export interface SessionLimits {
  /** A session that was not used for so long, by the entries' time stamps, is forgotten. Milliseconds. */
  readonly ttlMs: number;
  /** Sessions at a time, keys included; beyond that the one that was unused longest is forgotten. */
  readonly countMax: number;
  /** Bytes of all results that are kept; likewise. */
  readonly bytesMax: number;
}

/** A command's result: what the machine returned, or threw. */
export type SessionResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };

/** A result as it is kept; `lost` when it could not be. */
export interface KeptResult {
  readonly kind: "value" | "error" | "lost";
  readonly bytes: Uint8Array;
}

/** One session. */
export interface SessionState {
  /** When it was last used, by the entry's time stamp. */
  usedMs: number;
  /** The highest sequence that was applied. */
  high: number;
  /** By sequence. */
  readonly results: Map<number, KeptResult>;
}

/** All sessions, the one that was unused longest first. */
export interface SessionsState {
  readonly limits: SessionLimits;
  readonly sessions: Map<string, SessionState>;
}

/** Version of the bytes that a snapshot holds. */
const VERSION = 1;

/** A larger result is not kept. */
const RESULT_BYTES_MAX = 1 << 20;

/** In this order: written to disk and wire, never renumber. */
const KINDS = ["value", "error", "lost"] as const;

/** The payload of an entry that opens a session. */
export function encodeLimits({ ttlMs, countMax, bytesMax }: SessionLimits): Uint8Array {
  return encode([ttlMs, countMax, bytesMax]);
}

/**
 * The limits that an entry's payload holds.
 *
 * @throws {ProtocolError} When it holds none.
 */
export function decodeLimits(payload: Uint8Array): SessionLimits {
  return limitsOf(decodeValue(payload));
}

/** A result that is not kept. */
export const LOST: KeptResult = { kind: "lost", bytes: new Uint8Array() };

/** A result to be repeated: of an error its name and message. */
export function encodeResult(result: SessionResult): KeptResult {
  try {
    const bytes = encode(contentOf(result));
    if (bytes.length <= RESULT_BYTES_MAX) return { kind: result.ok ? "value" : "error", bytes };
  } catch {
    // What MessagePack can't hold is as lost as what is too large.
  }
  return LOST;
}

function contentOf(result: SessionResult): ValueType {
  if (result.ok) return result.value === undefined ? [] : [result.value as ValueType];
  const { name, message } = Object(result.error) as Partial<Error>;
  return [`${name}`, `${message}`];
}

/** The result again. */
export function decodeResult({ kind, bytes }: KeptResult): SessionResult {
  if (kind === "lost") return { ok: false, error: new ResultLostError() };
  const [first, second] = decode(bytes) as ValueType[];
  if (kind === "value") return { ok: true, value: first };
  const error = new Error(second as string);
  error.name = first as string;
  return { ok: false, error };
}

/** All sessions, for a snapshot. Equal ones give equal bytes. */
export function encodeSessions({ limits: { ttlMs, countMax, bytesMax }, sessions }: SessionsState): Uint8Array {
  const items = [...sessions].map(([key, { usedMs, high, results }]): ValueType[] => [
    ...[key, usedMs, high],
    [...results].map(([sequence, { kind, bytes }]): ValueType[] => [sequence, KINDS.indexOf(kind), bytes]),
  ]);
  return encode([VERSION, [ttlMs, countMax, bytesMax], items]);
}

/**
 * All sessions again.
 *
 * @throws {ProtocolError} When they are nothing that {@linkcode encodeSessions} gives.
 */
export function decodeSessions(bytes: Uint8Array): SessionsState {
  const [version, limits, items] = arrayOf(decodeValue(bytes), 3);
  if (version !== VERSION) refuse(`their version is ${version}`);
  const sessions = new Map<string, SessionState>();
  for (const item of arrayOf(items)) {
    const [key, usedMs, high, results] = arrayOf(item, 4);
    if (typeof key !== "string") refuse("one has no number");
    sessions.set(key, { usedMs: integerOf(usedMs), high: integerOf(high), results: resultsOf(results) });
  }
  return { limits: limitsOf(limits), sessions };
}

function resultsOf(value: unknown): Map<number, KeptResult> {
  return new Map(
    arrayOf(value).map((item): [number, KeptResult] => {
      const [sequence, number, bytes] = arrayOf(item, 3);
      const kind = KINDS[integerOf(number)] ?? refuse("a result is of an unknown kind");
      if (!(bytes instanceof Uint8Array)) refuse("a result has no bytes");
      // They are views of what was decoded: all of it would be kept.
      return [integerOf(sequence), { kind, bytes: bytes.slice() }];
    }),
  );
}

function limitsOf(value: unknown): SessionLimits {
  const [ttlMs = 0, countMax = 0, bytesMax = 0] = arrayOf(value, 3).map(integerOf);
  if (ttlMs < 1 || countMax < 1) refuse("their limits are too small");
  return { ttlMs, countMax, bytesMax };
}

function decodeValue(bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (cause) {
    return refuse((cause as Error).message);
  }
}

function arrayOf(value: unknown, length?: number): readonly unknown[] {
  if (Array.isArray(value) && (length === undefined || value.length === length)) return value;
  return refuse("an array is missing or has another length");
}

function integerOf(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  return refuse("a number is missing");
}

function refuse(problem: string): never {
  throw new ProtocolError(`Cannot read what is kept of sessions: ${problem}`);
}
