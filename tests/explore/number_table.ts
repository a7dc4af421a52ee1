/**
 * Tables of numbers that stay fast and small with millions of rows.
 *
 * @module
 */

/** A list of 32-bit integers that grows. */
export class IntList {
  items: Int32Array;
  length = 0;

  constructor(capacity = 1024) {
    this.items = new Int32Array(capacity);
  }

  /** Makes room for so many more. */
  reserve(count: number): void {
    if (this.length + count <= this.items.length) return;
    const items = new Int32Array(Math.max(this.items.length * 2, this.length + count));
    items.set(this.items.subarray(0, this.length));
    this.items = items;
  }

  push(item: number): void {
    this.reserve(1);
    this.items[this.length++] = item;
  }
}

/** A map from two 32-bit integers to a third that is at least 0: open addressing, linear probing. */
export class PairMap {
  #keys = new Int32Array(2 * 1024);
  #values = new Int32Array(1024).fill(-1);
  #mask = 1023;
  size = 0;

  #slot(a: number, b: number): number {
    const keys = this.#keys;
    let slot = mix(a, b) & this.#mask;
    while (this.#values[slot]! >= 0 && (keys[2 * slot] !== a || keys[2 * slot + 1] !== b)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  /** The value, -1 when there is none. */
  get(a: number, b: number): number {
    return this.#values[this.#slot(a | 0, b | 0)]!;
  }

  /** Sets the value unless there is one; the one there was, else -1. */
  add(a: number, b: number, value: number): number {
    const slot = this.#slot(a | 0, b | 0);
    const known = this.#values[slot]!;
    if (known >= 0) return known;
    this.#keys[2 * slot] = a;
    this.#keys[2 * slot + 1] = b;
    this.#values[slot] = value;
    this.size++;
    if (this.size * 2 > this.#mask) this.#grow();
    return -1;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const capacity = 2 * values.length;
    this.#keys = new Int32Array(2 * capacity);
    this.#values = new Int32Array(capacity).fill(-1);
    this.#mask = capacity - 1;
    for (let i = 0; i < values.length; i++) {
      if (values[i]! < 0) continue;
      const slot = this.#slot(keys[2 * i]!, keys[2 * i + 1]!);
      this.#keys[2 * slot] = keys[2 * i]!;
      this.#keys[2 * slot + 1] = keys[2 * i + 1]!;
      this.#values[slot] = values[i]!;
    }
  }
}

/** Spreads two integers over 32 bits. */
export function mix(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  h ^= h >>> 13;
  return h;
}
