/**
 * Chance from a seed. Streams are split by name, so that one more draw in one place changes nothing anywhere else; only
 * 32-bit integers are used, so that every engine draws the same.
 *
 * @module
 */

/** A stream of random numbers: sfc32. */
export class Random {
  readonly #key: readonly [number, number];
  #a: number;
  #b: number;
  #c = 0x9e3779b9 | 0;
  #counter = 1;

  private constructor(key: readonly [number, number]) {
    this.#key = key;
    [this.#a, this.#b] = key;
    for (let i = 0; i < 12; i++) this.u32();
  }

  /** The stream of a seed, a safe integer of at least 0. */
  static seeded(seed: number): Random {
    return new Random([seed | 0, (seed / 2 ** 32) | 0]);
  }

  /** A stream of its own. It depends on the seed and the names on the way to it, not on what was drawn before. */
  split(name: string): Random {
    let [high, low] = this.#key;
    for (let i = 0; i < name.length; i++) {
      high = Math.imul(high ^ name.charCodeAt(i), 0x85ebca6b);
      low = Math.imul(low ^ high ^ (high >>> 13), 0xc2b2ae35) + name.charCodeAt(i) | 0;
      high ^= low >>> 16;
    }
    return new Random([high ^ 0x2545f491, low ^ 0x4f6cdd1d]);
  }

  /** An integer in `[0, 2^32)`. */
  u32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result | 0;
    return result >>> 0;
  }

  /** An integer in `[0, end)`; 0 when `end` is less than 2. */
  below(end: number): number {
    return end < 2 ? 0 : Math.floor(this.u32() / 2 ** 32 * end);
  }

  /** An integer in `[min, max]`. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /**
   * An integer in `[min, max]` (both at least 1), each doubling as likely as any other: as many short ones as long ones,
   * without a logarithm, whose last bit differs between engines.
   */
  spread(min: number, max: number): number {
    let doublings = 0;
    while (min * 2 ** (doublings + 1) <= max) doublings++;
    const low = min * 2 ** this.below(doublings + 1);
    return this.between(low, Math.min(max, low * 2));
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    // Always one draw, so that a probability of 0 shifts nothing.
    return this.u32() < probability * 2 ** 32;
  }

  /** One of these. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** One of these, as likely as its weight. */
  weighted<T>(items: readonly (readonly [item: T, weight: number])[]): T {
    let left = this.below(items.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [item, weight] of items) {
      left -= weight;
      if (left < 0) return item;
    }
    return items[items.length - 1]![0];
  }

  /** These in a random order; a new array. */
  shuffle<T>(items: readonly T[]): T[] {
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}
