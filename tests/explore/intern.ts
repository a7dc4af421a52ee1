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
  readonly #composed: readonly (readonly number[])[];
  readonly #kind: number;
  readonly #encode: (encoder: Encoder, item: T) => void;

  constructor(renamings: readonly Renaming[], kind: number, encode: (encoder: Encoder, item: T) => void) {
    this.#renamings = renamings;
    this.#composed = composedOf(renamings);
    this.#kind = kind;
    this.#encode = encode;
    this.#encoder = new Encoder(renamings[0]!);
    this.hashes = new Int32Array(1024 * 2 * renamings.length);
  }

  /**
   * The number of a thing.
   *
   * @param like One that differs from it in names alone, and by which renaming: its hashes are known.
   */
  idOf(item: T, like?: { readonly id: number; readonly renaming: number }): number {
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
      const at = id * width + 2 * i;
      if (like !== undefined) {
        const from = like.id * width + 2 * this.#composed[like.renaming]![i]!;
        this.hashes[at] = this.hashes[from]!;
        this.hashes[at + 1] = this.hashes[from + 1]!;
        continue;
      }
      if (i > 0) {
        encoder.begin(renaming);
        this.#encode(encoder, item);
      }
      encoder.hash(this.hashes, at, this.#kind);
    }
    return id;
  }
}

/** By two renamings: which one does the same as the first and then the second. */
function composedOf(renamings: readonly Renaming[]): number[][] {
  const find = (to: readonly number[]) => renamings.findIndex((renaming) => `${renaming.to}` === `${to}`);
  return renamings.map((first) => renamings.map((second) => find(first.to.map((name) => second.to[name]!))));
}
