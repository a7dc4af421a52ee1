/**
 * Whether a write may keep the event loop waiting for the disk.
 *
 * @module
 */

/** What is larger is left to another thread. */
const BYTES_MAX = 16_384;

/** A disk that takes longer, milliseconds, is slow for so long. */
const QUICK_MS_MAX = 5;
const SLOW_MS = 200;

/** What is known of one file's disk: quick until it was slow, and again after a while. */
export class Quickness {
  #slowUntil = -Infinity;

  /** Whether so many bytes are likely to be on the disk sooner than another thread would have heard of them. */
  allows(bytes: number, now: number): boolean {
    return bytes <= BYTES_MAX && now >= this.#slowUntil;
  }

  /** A write that was waited for took from then until now, milliseconds. */
  note(startedAt: number, now: number): void {
    if (now - startedAt > QUICK_MS_MAX) this.#slowUntil = now + SLOW_MS;
  }
}
