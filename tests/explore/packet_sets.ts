/**
 * Sets of messages by number: few different ones, in millions of states.
 *
 * @module
 */
import { PairMap } from "./number_table.ts";

/** The set that has nothing in it. */
export const emptySet = 0;

/** Gives each different set a number, and knows what comes of two of them. */
export class PacketSets {
  /** Ascending. */
  readonly items: (readonly number[])[] = [[]];
  readonly #ids = new Map<string, number>([["", emptySet]]);
  readonly #unions = new PairMap();

  /** The number of a set; the messages may come in any order, and more than once. */
  idOf(packets: readonly number[]): number {
    const sorted = [...new Set(packets)].sort((a, b) => a - b);
    const key = String.fromCharCode(...sorted.flatMap((packet) => [packet & 0x7fff, packet >> 15]));
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.items.length;
    this.items.push(sorted);
    this.#ids.set(key, id);
    return id;
  }

  /** What is in either. */
  union(a: number, b: number): number {
    if (a === b || b === emptySet) return a;
    if (a === emptySet) return b;
    if (a > b) return this.union(b, a);
    const known = this.#unions.get(a, b);
    if (known >= 0) return known;
    const id = this.idOf([...this.items[a]!, ...this.items[b]!]);
    this.#unions.add(a, b, id);
    return id;
  }
}
