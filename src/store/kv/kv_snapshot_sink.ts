/**
 * A snapshot being written into a key-value database.
 *
 * @module
 */
import { StorageError } from "../../errors.ts";
import { crc32c } from "../../wire/crc32c.ts";
import { checkExpected, metaOf } from "../snapshot_meta.ts";
import type { SnapshotMeta, SnapshotOrigin, SnapshotSink } from "../snapshot_store.ts";
import { VALUE_BYTES_MAX } from "./kv.ts";

/** What a sink asks of its store. */
export interface KvSinkOwner {
  /** Writes bytes as values from this number on. */
  put(first: number, bytes: Uint8Array): Promise<void>;
  /** Lists the snapshot, all of it being there. */
  publish(meta: SnapshotMeta): Promise<void>;
  /** Removes what there is. */
  discard(): Promise<void>;
  /** The sink does nothing any more. */
  over(): void;
  /** An error that says what failed. */
  errorOf(operation: string, cause: unknown): Error;
}

/** So many bytes are written at once: as many as an atomic operation has room for. */
const BUFFER_BYTES = 12 * VALUE_BYTES_MAX;

/** See {@linkcode SnapshotSink}. */
export class KvSnapshotSink implements SnapshotSink {
  readonly id: string;
  readonly #origin: SnapshotOrigin;
  readonly #owner: KvSinkOwner;
  readonly #buffer: Uint8Array = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  /** Values that were written. */
  #count = 0;
  #bytes = 0;
  #checksum = 0;
  #phase: "open" | "failed" | "over" = "open";
  #writing: Promise<unknown> = Promise.resolve();
  #closing: Promise<SnapshotMeta> | undefined;
  #aborting: Promise<void> | undefined;

  /** Nothing of it is in the database yet. */
  constructor(origin: SnapshotOrigin, id: string, owner: KvSinkOwner) {
    this.id = id;
    this.#origin = origin;
    this.#owner = owner;
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Appends. */
  write(chunk: Uint8Array): Promise<void> {
    const writing = this.#write(chunk);
    this.#writing = writing.catch(() => {});
    return writing;
  }

  /** Makes it durable and visible. */
  close(expected?: { readonly bytes: number; readonly checksum: number }): Promise<SnapshotMeta> {
    return this.#closing ??= this.#close(expected).catch(async (cause) => {
      this.#phase = "failed";
      // Whether or not it can be removed now, it is no snapshot until it is listed.
      await this.#owner.discard().catch(() => {});
      throw this.#owner.errorOf("write", cause);
    });
  }

  /** Leaves nothing behind. */
  async abort(): Promise<void> {
    if (this.#closing !== undefined) {
      await this.#closing.catch(() => {});
      return;
    }
    await (this.#aborting ??= this.#writing.then(() => {
      this.#phase = "over";
      return this.#owner.discard();
    }).catch((cause) => {
      throw this.#owner.errorOf("abort", cause);
    }));
  }

  async #write(chunk: Uint8Array): Promise<void> {
    this.#checkOpen("write");
    try {
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + BUFFER_BYTES - this.#filled);
        this.#buffer.set(part, this.#filled);
        this.#filled += part.length;
        at += part.length;
        if (this.#filled === BUFFER_BYTES) await this.#flush();
      }
      this.#checksum = crc32c(chunk, 0, chunk.length, this.#checksum);
      this.#bytes += chunk.length;
    } catch (cause) {
      this.#phase = "failed";
      throw this.#owner.errorOf("write", cause);
    }
  }

  async #close(expected?: { readonly bytes: number; readonly checksum: number }): Promise<SnapshotMeta> {
    await this.#writing;
    this.#checkOpen("close");
    const meta = metaOf(this.#origin, this.id, this.#bytes, this.#checksum);
    checkExpected(meta, expected);
    if (this.#filled > 0) await this.#flush();
    await this.#owner.publish(meta);
    this.#phase = "over";
    this.#owner.over();
    return meta;
  }

  async #flush(): Promise<void> {
    await this.#owner.put(this.#count, this.#buffer.slice(0, this.#filled));
    this.#count += Math.ceil(this.#filled / VALUE_BYTES_MAX);
    this.#filled = 0;
  }

  #checkOpen(operation: string): void {
    if (this.#phase === "open") return;
    const why = this.#phase === "failed" ? "a write failed" : "it is over";
    throw new StorageError(`Cannot ${operation} the snapshot "${this.id}" as ${why}`, operation);
  }
}
