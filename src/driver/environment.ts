/**
 * What a driver takes from the world besides disk and network: time, turns and chance. The simulator brings its own.
 *
 * @module
 */
import type { Core } from "../core/core.ts";
import type { Buggify } from "../points.ts";
import { nextTurn } from "../transport/next_turn.ts";
import type { LogCache } from "../store/log_cache.ts";

/** Time, turns and chance. */
export interface Environment {
  /** Monotonic milliseconds; only differences mean anything. */
  now(): number;
  /** Milliseconds since 1970, for time stamps that users see. May jump. */
  wallNow(): number;
  /** Calls back once, no earlier than after this time. */
  setTimeout(callback: () => void, ms: number): unknown;
  /** Cancels what {@linkcode Environment.setTimeout} returned. */
  clearTimeout(handle: unknown): void;
  /** Calls back before the event loop goes on, after what runs now. */
  defer(callback: () => void): void;
  /**
   * Calls back when what has come to the process by now has been looked at, so that callers on many connections, of whom the
   * event loop sees one after the other, are taken together. Like `defer` where there is nothing of the kind.
   */
  gather?(callback: () => void): void;
  /** The SHA-256 of these bytes, or whatever else tells them from all others in 16 bytes. */
  digest(bytes: Uint8Array): Promise<Uint8Array>;
  /** A random integer in `[0, 2^53)`. */
  randomSeed(): number;
  /** Shown every core before its first step, with the entries behind it: for checkers, which must change neither. */
  observe?(core: Core, log: LogCache): void;
  /** Whether something unusual is done now at a point of the core or the driver, see {@linkcode Buggify}. */
  readonly buggify?: Buggify | undefined;
}

/** The runtime's own. */
export const systemEnvironment: Environment = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
  defer: (callback) => queueMicrotask(callback),
  gather: nextTurn,
  digest: async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)),
  randomSeed: () => {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    return (high! & 0x1fffff) * 2 ** 32 + low!;
  },
};
