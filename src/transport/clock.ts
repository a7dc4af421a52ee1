/**
 * The clock a transport runs on, so that tests can supply a virtual one.
 *
 * @module
 */
import { nameOf } from "../checks.ts";

/** Time and timers. The global ones satisfy it. */
export interface Clock {
  /** Milliseconds since whenever; never goes backwards. */
  now(): number;
  /** Calls `callback` once, `ms` milliseconds from now. */
  setTimeout(callback: () => void, ms: number): unknown;
  /** Cancels what {@linkcode Clock.setTimeout} returned. */
  clearTimeout(handle: unknown): void;
}

/** The runtime's monotonic clock and timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
};

/**
 * Checks an option that is a clock.
 *
 * @throws {TypeError} Names what it must have.
 */
export function checkClock(what: string, clock: unknown): void {
  const has = (name: string) => typeof (clock as Record<string, unknown> | null)?.[name] === "function";
  if (clock === undefined || ["now", "setTimeout", "clearTimeout"].every(has)) return;
  throw new TypeError(
    `Cannot ${what} as 'clock' must be a clock, with now(), setTimeout() and clearTimeout(), not ${nameOf(clock)}`,
  );
}
