/**
 * What a stream of an adapter has yet to write.
 *
 * @module
 */

/** Small parts are copied together up to this size; a system call per part would cost more than the copy. */
const GATHERED_BYTES = 64 * 1024;

/** Parts of at least this size are written from where they are. */
const DIRECT_BYTES = 32 * 1024;

/** No block is longer, so that progress shows on a slow line. */
const BLOCK_BYTES_MAX = 256 * 1024;

/**
 * Bytes that wait for a socket, cut into blocks worth a system call. Take a block with {@linkcode SendQueue.peek},
 * write it, and say with {@linkcode SendQueue.advance} how much of it was taken; until then it doesn't change.
 */
export class SendQueue {
  #parts: Uint8Array[] = [];
  /** The part, and the place in it, at which the bytes begin that are in no block yet. */
  #partAt = 0;
  #byteAt = 0;
  #block: Uint8Array | undefined;
  #gathered: Uint8Array | undefined;
  #queuedBytes = 0;

  /** Bytes that were pushed and not advanced over. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Adds bytes. The arrays are kept: they must not be changed afterwards. */
  push(parts: readonly Uint8Array[]): void {
    for (const part of parts) {
      if (part.length === 0) continue;
      this.#parts.push(part);
      this.#queuedBytes += part.length;
    }
  }

  /** The next bytes to write, undefined when there are none. */
  peek(): Uint8Array | undefined {
    if (this.#block === undefined && this.#partAt < this.#parts.length) this.#block = this.#nextBlock();
    return this.#block;
  }

  /** The first `count` bytes of the block were taken. */
  advance(count: number): void {
    const block = this.#block;
    if (block === undefined || count <= 0) return;
    this.#queuedBytes -= count;
    this.#block = count < block.length ? block.subarray(count) : undefined;
  }

  /** Forgets everything. */
  clear(): void {
    this.#parts = [];
    this.#partAt = this.#byteAt = this.#queuedBytes = 0;
    this.#block = this.#gathered = undefined;
  }

  #nextBlock(): Uint8Array {
    const part = this.#parts[this.#partAt];
    const isLast = this.#partAt === this.#parts.length - 1;
    if (isLast || part.length - this.#byteAt >= DIRECT_BYTES) {
      const block = part.subarray(this.#byteAt, this.#byteAt + BLOCK_BYTES_MAX);
      this.#consume(block.length);
      return block;
    }
    // The block before is written, so its memory is free again.
    const gathered = this.#gathered ??= new Uint8Array(GATHERED_BYTES);
    let filled = 0;
    while (filled < gathered.length && this.#partAt < this.#parts.length) {
      const piece = this.#parts[this.#partAt].subarray(this.#byteAt, this.#byteAt + gathered.length - filled);
      gathered.set(piece, filled);
      filled += piece.length;
      this.#consume(piece.length);
    }
    return gathered.subarray(0, filled);
  }

  #consume(count: number): void {
    this.#byteAt += count;
    if (this.#byteAt < this.#parts[this.#partAt].length) return;
    this.#byteAt = 0;
    this.#partAt += 1;
    if (this.#partAt < this.#parts.length) return;
    this.#parts = [];
    this.#partAt = 0;
  }
}
