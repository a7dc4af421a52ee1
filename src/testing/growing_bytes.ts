/**
 * What a file in memory is made of.
 *
 * @module
 */

const EMPTY = new Uint8Array(0);

/** A byte array that grows. */
export class GrowingBytes {
  #buffer: Uint8Array;
  /** Whether another one has the same buffer: then whoever changes it takes a copy first. */
  #isShared = false;
  /** How many bytes there are. */
  size: number;

  /** Begins with a copy of these. */
  constructor(content: Uint8Array = EMPTY) {
    this.#buffer = content.slice();
    this.size = content.length;
  }

  /** An independent copy; takes no time before one of the two changes. */
  clone(): GrowingBytes {
    const twin = new GrowingBytes(EMPTY);
    twin.#buffer = this.#buffer;
    twin.size = this.size;
    this.#isShared = twin.#isShared = true;
    return twin;
  }

  /** All bytes, copied. */
  copy(): Uint8Array {
    return this.#buffer.slice(0, this.size);
  }

  /** The bytes `[from, end)` as far as there are any; a view, good until the next change. */
  view(from: number, end: number): Uint8Array {
    return this.#buffer.subarray(Math.min(from, this.size), Math.min(end, this.size));
  }

  /** Fills the array from this offset on, as far as there are bytes; returns how many there were. */
  read(into: Uint8Array, offset: number): number {
    const found = this.#buffer.subarray(Math.min(offset, this.size), Math.min(offset + into.length, this.size));
    into.set(found);
    return found.length;
  }

  /** Writes at this offset, growing if need be. */
  write(bytes: Uint8Array, offset: number): void {
    if (offset + bytes.length > this.size) this.resize(offset + bytes.length);
    this.#own();
    this.#buffer.set(bytes, offset);
  }

  /** Cuts, or appends zeros. */
  resize(size: number): void {
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(size, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, this.size));
      this.#buffer = larger;
      this.#isShared = false;
    }
    if (size < this.size) {
      this.#own();
      this.#buffer.fill(0, size, this.size);
    }
    this.size = size;
  }

  #own(): void {
    if (!this.#isShared) return;
    this.#buffer = this.#buffer.slice();
    this.#isShared = false;
  }
}
