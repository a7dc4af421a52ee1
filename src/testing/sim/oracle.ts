/**
 * What clients can tell from their own answers alone, in constant time per call: cheap enough to be always on. Every
 * write to a key has a serial number, and whoever sees a state sees its number. After a restore numbers go on from what it
 * brought, so what is seen is placed in its era first, which the entry tells at which it was seen.
 *
 * @module
 */
import type { LogIndex } from "../../types.ts";
import type { Ghost } from "./ghost.ts";
import { serialOf, type SimCommand, type SimResult, type SimState, transition } from "./machine.ts";

/** All that clients have learnt of one key. */
interface Known {
  /** The state after each write, by its place, as far as somebody has seen it. */
  readonly states: Map<number, SimState>;
  /** The place of the latest write that somebody has seen: whoever asks from now on must not see less. */
  floor: number;
  /** Writes that were asked for. */
  asked: number;
}

/** More than the serial number of any write. */
const ERA = 2 ** 32;

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

  /** The keys that somebody has asked for. */
  get keys(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** The place that a call which begins now must see at least. */
  floor(key: string): number {
    return this.#known(key).floor;
  }

  /**
   * Somebody saw a state, maybe an old one, on a server that had applied this entry. O1: it has been written. O2: it is what
   * others saw in that place.
   *
   * @returns The place.
   */
  see(key: string, state: SimState, at: LogIndex): number {
    const known = this.#known(key);
    const era = this.#ghost.eras.of(at);
    const restored = this.#ghost.eras.at(era).states.get(key) ?? null;
    const serial = serialOf(state);
    this.#ghost.must(serial <= serialOf(restored) + known.asked, "O1", () => {
      return `"${key}" is seen as ${state}, while ${known.asked} writes were asked for${since(restored)}`;
    });
    const place = era * ERA + serial;
    const before = known.states.get(place) ?? (serial === serialOf(restored) ? restored : undefined);
    this.#ghost.must(before === undefined || before === state, "O2", () => {
      return `"${key}" is seen as ${state}, and was seen as ${before}`;
    });
    known.states.set(place, state);
    return place;
  }

  /** A linearizable read is answered. O3: it misses nothing that was seen before it was asked. */
  read(key: string, floor: number, state: SimState, at: LogIndex): void {
    const known = this.#known(key);
    const place = this.see(key, state, at);
    this.#ghost.must(place >= floor, "O3", () => {
      return `"${key}" is read as ${state}${after(place)}, others had seen ${floor % ERA} writes${
        after(floor)
      } before that`;
    });
    known.floor = Math.max(known.floor, place);
  }

  /** A command is answered: of a `cas` that did not take place, nothing is learnt. */
  answered(command: SimCommand, floor: number, result: SimResult, at: LogIndex): void {
    if (typeof result !== "boolean") this.written(command, floor, result, at);
    else if (command.type === "cas" && result) this.written(command, floor, command.expect, at);
  }

  /** A write is answered: with the state before it. It follows on what was seen before, and so does what it left. */
  written(command: SimCommand, floor: number, before: SimState, at: LogIndex): void {
    this.read(command.key, floor, before, at);
    const { state } = transition(before, command);
    if (state !== before) this.read(command.key, floor, state, at);
  }

  /** O4: what was acknowledged or seen is in this machine, which has applied that entry, at the end of all. */
  endure(id: string, get: (key: string) => SimState, at: LogIndex): void {
    for (const [key, { floor, states }] of this.#keys) {
      const state = get(key);
      const place = this.see(key, state, at);
      this.#ghost.must(place >= floor, "O4", () => {
        return `"${id}" holds ${state} under "${key}" at the end, while a client has seen ${states.get(floor)}${
          after(floor)
        }`;
      });
    }
  }

  #known(key: string): Known {
    let known = this.#keys.get(key);
    if (known === undefined) this.#keys.set(key, known = { states: new Map(), floor: 0, asked: 0 });
    return known;
  }
}

function since(restored: SimState): string {
  return restored === null ? "" : ` since it was restored as ${restored}`;
}

function after(place: number): string {
  return place < ERA ? "" : ` after restore ${Math.floor(place / ERA)}`;
}
