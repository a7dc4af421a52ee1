/**
 * What clients can tell from their own answers alone, in constant time per call: cheap enough to be always on. Every
 * write to a key has a serial number, and whoever sees a state sees its number.
 *
 * @module
 */
import type { Ghost } from "./ghost.ts";
import { serialOf, type SimCommand, type SimResult, type SimState, transition } from "./machine.ts";

/** All that clients have learnt of one key. */
interface Known {
  /** The state after each write, by its serial number, as far as somebody has seen it. */
  readonly states: SimState[];
  /** The latest write that somebody has seen: whoever asks from now on must not see less. */
  floor: number;
  /** Writes that were asked for. */
  asked: number;
}

/** Judges what clients see. Reports to the ghost. */
export class Oracle {
  readonly #ghost: Ghost;
  readonly #keys = new Map<string, Known>();

  /** Nothing is known. */
  constructor(ghost: Ghost) {
    this.#ghost = ghost;
  }

  /** Somebody is about to write. */
  ask(key: string): void {
    this.#known(key).asked++;
  }

  /** What a call that begins now must see at least. */
  floor(key: string): number {
    return this.#known(key).floor;
  }

  /** Somebody saw a state, maybe an old one. O1: it has been written. O2: it is what others saw under that number. */
  see(key: string, state: SimState): void {
    const known = this.#known(key);
    const serial = serialOf(state);
    this.#ghost.must(serial <= known.asked, "O1", () => {
      return `"${key}" is seen as ${state}, while ${known.asked} writes were asked for`;
    });
    const before = known.states[serial];
    this.#ghost.must(before === undefined || before === state, "O2", () => {
      return `"${key}" is seen as ${state}, and was seen as ${before}`;
    });
    known.states[serial] = state;
  }

  /** A linearizable read is answered. O3: it misses nothing that was seen before it was asked. */
  read(key: string, floor: number, state: SimState): void {
    const known = this.#known(key);
    this.see(key, state);
    this.#ghost.must(serialOf(state) >= floor, "O3", () => {
      return `"${key}" is read as ${state}, others had seen ${floor} writes before that was asked for`;
    });
    known.floor = Math.max(known.floor, serialOf(state));
  }

  /** A command is answered: of a `cas` that did not take place, nothing is learnt. */
  answered(command: SimCommand, floor: number, result: SimResult): void {
    if (typeof result !== "boolean") this.written(command, floor, result);
    else if (command.type === "cas" && result) this.written(command, floor, command.expect);
  }

  /** A write is answered: with the state before it. It follows on what was seen before, and so does what it left. */
  written(command: SimCommand, floor: number, before: SimState): void {
    this.read(command.key, floor, before);
    const { state } = transition(before, command);
    if (state !== before) this.read(command.key, floor, state);
  }

  /** O4: what was acknowledged or seen is in this machine, at the end of all. */
  endure(id: string, get: (key: string) => SimState): void {
    for (const [key, { floor, states }] of this.#keys) {
      const state = get(key);
      this.#ghost.must(serialOf(state) >= floor, "O4", () => {
        return `"${id}" holds ${state} under "${key}" at the end, while a client has seen ${states[floor]}`;
      });
      this.see(key, state);
    }
  }

  #known(key: string): Known {
    let known = this.#keys.get(key);
    if (known === undefined) this.#keys.set(key, known = { states: [null], floor: 0, asked: 0 });
    return known;
  }
}
