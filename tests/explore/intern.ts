/**
 * Servers, messages and memories by number: there are few of them, and millions of ways to combine them.
 *
 * @module
 */
import { Encoder, type Renaming } from "./encode.ts";

/** Gives each different thing a number, and knows its hash under each renaming. */
export class Interner<T> {
  readonly items: T[] = [];
  /** What tells one thing from another, whatever their numbers. */
  readonly keys: string[] = [];
  /** Two 32-bit hashes for each renaming, thing after thing. */
  hashes: Int32Array;
  readonly #ids = new Map<string, number>();
  readonly #encoder: Encoder;
  readonly #renamings: readonly Renaming[];
  readonly #kind: number;
  readonly #encode: (encoder: Encoder, item: T) => void;

  constructor(renamings: readonly Renaming[], kind: number, encode: (encoder: Encoder, item: T) => void) {
    this.#renamings = renamings;
    this.#kind = kind;
    this.#encode = encode;
    this.#encoder = new Encoder(renamings[0]!);
    this.hashes = new Int32Array(1024 * 2 * renamings.length);
  }

  /** The number of a thing. */
  idOf(item: T): number {
    const encoder = this.#encoder;
    encoder.begin(this.#renamings[0]!);
    this.#encode(encoder, item);
    const key = encoder.key();
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.items.length;
    this.items.push(item);
    this.keys.push(key);
    this.#ids.set(key, id);
    const width = 2 * this.#renamings.length;
    if ((id + 1) * width > this.hashes.length) {
      const hashes = new Int32Array(2 * this.hashes.length);
      hashes.set(this.hashes);
      this.hashes = hashes;
    }
    for (const [i, renaming] of this.#renamings.entries()) {
      encoder.begin(renaming);
      this.#encode(encoder, item);
      encoder.hash(this.hashes, id * width + 2 * i, this.#kind);
    }
    return id;
  }
}
