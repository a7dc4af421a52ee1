/**
 * The bytes of a snapshot on their way into a key-value database.
 *
 * @module
 */
import type { SinkMedium } from "../snapshot_sink.ts";
import { VALUE_BYTES_MAX } from "./kv.ts";

/** So many bytes are written at once: as many as an atomic operation has room for. */
const BUFFER_BYTES = 12 * VALUE_BYTES_MAX;

/** See {@linkcode SinkMedium}. */
export class KvSnapshotMedium implements SinkMedium {
  readonly #put: (first: number, bytes: Uint8Array) => Promise<void>;
  readonly #buffer: Uint8Array = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  /** Values that were written. */
  #count = 0;

  /** Takes what writes bytes as values from a number on. Nothing of it is in the database yet. */
  constructor(put: (first: number, bytes: Uint8Array) => Promise<void>) {
    this.#put = put;
  }

  /** Gathers them, and writes whenever there are enough. */
  async append(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + BUFFER_BYTES - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === BUFFER_BYTES) await this.#flush();
    }
  }

  /** Writes what is left. */
  async finish(): Promise<void> {
    if (this.#filled > 0) await this.#flush();
  }

  /** Nothing is open. */
  release(): Promise<void> {
    return Promise.resolve();
  }

  async #flush(): Promise<void> {
    await this.#put(this.#count, this.#buffer.slice(0, this.#filled));
    this.#count += Math.ceil(this.#filled / VALUE_BYTES_MAX);
    this.#filled = 0;
  }
}
