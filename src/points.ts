/**
 * Points: places in the code where something may be done that is unusual, and allowed all the same. By chance alone it is
 * so rare that what it breaks is found late. Only the simulator asks for it, in some runs and now and then: this is what
 * FoundationDB calls BUGGIFY. Nobody does in production, where {@linkcode Buggify} is undefined.
 *
 * @module
 */

/** All of them. Whoever is at one asks only where it makes a difference, and keeps every promise either way. */
export const POINTS = [
  // --- in the core ---
  /** A leader asks for an append of one entry, where more wait. */
  "small-batch",
  /** A leader takes a peer's window for full with one append on its way. */
  "tiny-inflight",
  /** A leader keeps new entries from a peer in this turn: they go in a later one, with the next heartbeat at the latest. */
  "skip-optimistic-send",
  // --- in the driver ---
  /** The machine gets one entry, and everything else its turn before the next. */
  "slow-apply",
  /** The core is told a little later that something is durable or applied: what comes after it overtakes it. */
  "reorder-completions",
  /** What came while the disk was busy is not written at once: its first entries are, then the rest. */
  "small-write",
  /** What callers have is taken at once, not with what others may have. */
  "early-turn",
] as const;

/** One of {@linkcode POINTS}. */
export type Point = (typeof POINTS)[number];

/** Whether it is to be done now. */
export type Buggify = (point: Point) => boolean;
