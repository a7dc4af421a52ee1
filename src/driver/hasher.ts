/**
 * Asks a machine now and then what its state's hash is, so that it can be compared with those of other servers.
 *
 * @module
 */
import type { StateMachine } from "../machine.ts";
import type { LogIndex } from "../types.ts";

/** When a machine is asked for its hash, and whom that is told. */
export interface Hashing {
  /** After so many entries; 0 for never. */
  readonly every: number;
  /** The hash, now that this entry and all before it are applied. */
  onHash(index: LogIndex, hash: number | string): void;
  /** It could not say. */
  onFailed(error: unknown): void;
}

/** One machine's. */
export class Hasher {
  readonly #machine: Pick<StateMachine<never, never>, "hash">;
  readonly #hashing: Hashing | undefined;
  #hashedIndex: LogIndex = 0;

  /** A machine that has no `hash`, or whose hash is for nobody, is not asked. */
  constructor(machine: Pick<StateMachine<never, never>, "hash">, hashing: Hashing | undefined) {
    this.#machine = machine;
    this.#hashing = machine.hash === undefined || hashing?.every === 0 ? undefined : hashing;
  }

  /** The first entry from this one on after which the machine is asked; Infinity for none. */
  next(from: LogIndex): LogIndex {
    const { every } = this.#hashing ?? { every: Infinity };
    return every === Infinity ? every : Math.ceil(from / every) * every;
  }

  /** All up to this entry is applied, and the machine is free. */
  look(index: LogIndex): void {
    if (index === 0 || index === this.#hashedIndex || this.next(index) !== index) return;
    this.#hashedIndex = index;
    try {
      this.#hashing!.onHash(index, this.#machine.hash!());
    } catch (error) {
      this.#hashing!.onFailed(error);
    }
  }
}
