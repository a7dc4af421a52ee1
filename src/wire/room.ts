/**
 * Memory for small byte arrays, several in one buffer: making a buffer takes longer than filling a small one.
 *
 * @module
 */

/** Whoever keeps one array keeps its buffer, with all others in it. */
export class Room {
  readonly #bufferBytes: number;
  readonly #sharedBytesMax: number;
  readonly #alignment: number;
  #buffer = new Uint8Array();
  #at = 0;

  /**
   * Makes no buffer yet.
   *
   * @param bufferBytes Bytes of a buffer.
   * @param sharedBytesMax A larger array has a buffer of its own.
   * @param alignment Arrays begin at multiples of this, a power of two.
   */
  constructor(bufferBytes: number, sharedBytesMax: number, alignment = 1) {
    this.#bufferBytes = bufferBytes;
    this.#sharedBytesMax = sharedBytesMax;
    this.#alignment = alignment;
  }

  /** So many bytes, all of them zero. */
  take(byteLength: number): Uint8Array {
    if (byteLength > this.#sharedBytesMax) return new Uint8Array(byteLength);
    if (this.#at + byteLength > this.#buffer.length) {
      this.#buffer = new Uint8Array(this.#bufferBytes);
      this.#at = 0;
    }
    const from = this.#at;
    this.#at = from + byteLength + this.#alignment - 1 & -this.#alignment;
    return this.#buffer.subarray(from, from + byteLength);
  }
}
