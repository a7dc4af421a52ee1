/**
 * How much of what peers forward a leader takes.
 *
 * @module
 */
import type { LogIndex } from "../types.ts";
import type { ForwardedCommand } from "../wire/command_codec.ts";

/** Limits of forwarded commands, see {@linkcode RaftSettings}. */
export interface AdmissionLimits {
  readonly commandBytesMax: number;
  readonly inFlightCountMax: number;
  readonly inFlightBytesMax: number;
}

/** Forwarded commands that are in the log. */
interface Placed {
  readonly end: LogIndex;
  readonly count: number;
  readonly bytes: number;
}

/**
 * Counts commands that peers forwarded, until our machine has applied them: their callers wait elsewhere, but their
 * entries are in our memory, and each peer bounds its own callers only.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  #count = 0;
  #bytes = 0;
  /** Those whose place in the log is known, ascending. */
  #placed: Placed[] = [];

  /** Takes the limits, which hold for all peers together. */
  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Takes all of them, or none: false when one is too large, or too much is in flight. */
  take(commands: readonly ForwardedCommand[]): boolean {
    const { commandBytesMax, inFlightCountMax, inFlightBytesMax } = this.#limits;
    if (commands.some(({ payload }) => payload.length > commandBytesMax)) return false;
    const bytes = bytesOf(commands);
    // What comes when nothing is in flight fits, however small the limits.
    const isFull = this.#count + commands.length > inFlightCountMax || this.#bytes + bytes > inFlightBytesMax;
    if (this.#count > 0 && isFull) return false;
    this.#count += commands.length;
    this.#bytes += bytes;
    return true;
  }

  /** They are the entries from `from` on. */
  place(commands: readonly ForwardedCommand[], from: LogIndex): void {
    this.#placed.push({ end: from + commands.length, count: commands.length, bytes: bytesOf(commands) });
  }

  /** They are in no log. */
  giveBack(commands: readonly ForwardedCommand[]): void {
    this.#count -= commands.length;
    this.#bytes -= bytesOf(commands);
  }

  /** The machine has applied all up to here. */
  onApplied(upTo: LogIndex): void {
    let done = 0;
    while (done < this.#placed.length && this.#placed[done]!.end <= upTo + 1) this.#forget(this.#placed[done++]!);
    if (done > 0) this.#placed.splice(0, done);
  }

  /** What was placed may never be applied: another leader decides that. */
  onLeaderLost(): void {
    for (const placed of this.#placed) this.#forget(placed);
    this.#placed = [];
  }

  #forget({ count, bytes }: Placed): void {
    this.#count -= count;
    this.#bytes -= bytes;
  }
}

function bytesOf(commands: readonly ForwardedCommand[]): number {
  return commands.reduce((sum, { payload, extensions }) => sum + payload.length + (extensions?.length ?? 0), 0);
}
