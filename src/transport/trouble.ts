/**
 * Counting trouble and telling of it, but not of every case: a peer that is down fails a dial every two seconds, and a
 * stranger may fail as fast as it likes.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { TransportTrouble } from "./transport.ts";

const QUIET_MS = 10_000;

/** Strangers choose their addresses, so what is remembered of them must be bounded. */
const KEYS_MAX = 256;

/** Lets the first trouble of a kind and source pass, and then one in ten seconds with the number of those held back. */
export class TroubleGate {
  readonly #clock: Clock;
  readonly #lastAt = new Map<string, { at: number; heldBack: number }>();

  /** Starts open. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Judges one case of trouble.
   *
   * @returns What to tell, or undefined when it is to be held back.
   */
  pass(trouble: TransportTrouble): TransportTrouble | undefined {
    // A stranger's port differs each time it connects.
    const key = `${trouble.kind}/${trouble.peer ?? ""}/${trouble.peer === undefined ? hostOf(trouble.address) : ""}`;
    const now = this.#clock.now();
    const last = this.#lastAt.get(key);
    if (last !== undefined && now - last.at < QUIET_MS) {
      last.heldBack += 1;
      return undefined;
    }
    this.#lastAt.delete(key);
    this.#lastAt.set(key, { at: now, heldBack: 0 });
    if (this.#lastAt.size > KEYS_MAX) this.#lastAt.delete(this.#lastAt.keys().next().value!);
    if (last === undefined || last.heldBack === 0) return trouble;
    return { ...trouble, reason: `${trouble.reason} (and ${last.heldBack} more like it)` };
  }
}

/** The address without its port. */
export function hostOf(address: string | undefined): string {
  if (address === undefined) return "";
  const colon = address.lastIndexOf(":");
  return colon < 0 ? address : address.slice(0, colon);
}
