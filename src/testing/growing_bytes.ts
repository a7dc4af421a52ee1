/**
 * What a file in memory is made of.
 *
 * @module
 */

/** A byte array that grows. */
export class GrowingBytes {
  #buffer: Uint8Array;
  /** How many bytes there are. */
  size: number;

  /** Begins with a copy of these. */
  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.#buffer = content.slice();
    this.size = content.length;
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
    this.#buffer.set(bytes, offset);
  }

  /** Cuts, or appends zeros. */
  resize(size: number): void {
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(size, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, this.size));
      this.#buffer = larger;
    }
    if (size < this.size) this.#buffer.fill(0, size, this.size);
    this.size = size;
  }
}
