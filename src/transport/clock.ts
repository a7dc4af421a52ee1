/**
 * The clock a transport runs on, so that tests can supply a virtual one.
 *
 * @module
 */

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
