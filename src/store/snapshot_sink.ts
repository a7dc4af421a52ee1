/**
 * A snapshot being written, wherever its bytes go.
 *
 * @module
 */
import { StorageError } from "../errors.ts";
import { crc32c } from "../wire/crc32c.ts";
import { checkExpected, metaOf } from "./snapshot_meta.ts";
import type { SnapshotMeta, SnapshotOrigin, SnapshotSink } from "./snapshot_store.ts";

/** Where the bytes of one snapshot go. */
export interface SinkMedium {
  /** Takes the next bytes, at least one. They may change once it has settled. */
  append(chunk: Uint8Array, offset: number): Promise<void>;
  /** No more bytes come: makes those that came durable. */
  finish(meta: SnapshotMeta): Promise<void>;
  /** Lets go of what it has open, if anything. Called again, it does nothing. */
  release(): Promise<void>;
}

/** What a sink asks of its store. */
export interface SinkOwner {
  /** Makes it a snapshot, all of it being durable. */
  publish(meta: SnapshotMeta): Promise<void>;
  /** Removes what there is. */
  discard(): Promise<void>;
  /** The sink does nothing any more. */
  over(): void;
  /** An error that says what failed. */
  errorOf(operation: string, cause: unknown): Error;
}

/** See {@linkcode SnapshotSink}. */
export class StoredSink implements SnapshotSink {
  readonly id: string;
  readonly #origin: SnapshotOrigin;
  readonly #medium: SinkMedium;
  readonly #owner: SinkOwner;
  #phase: "open" | "failed" | "over" = "open";
  #bytes = 0;
  #checksum = 0;
  #writing: Promise<unknown> = Promise.resolve();
  #closing: Promise<SnapshotMeta> | undefined;
  #aborting: Promise<void> | undefined;

  /** Takes a medium that has nothing yet. */
  constructor(origin: SnapshotOrigin, id: string, medium: SinkMedium, owner: SinkOwner) {
    this.id = id;
    this.#origin = origin;
    this.#medium = medium;
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
      // Whether or not it can be removed now, it is no snapshot until it is published.
      await this.#discard().catch(() => {});
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
      return this.#discard();
    }).catch((cause) => {
      throw this.#owner.errorOf("abort", cause);
    }));
  }

  async #write(chunk: Uint8Array): Promise<void> {
    this.#checkOpen("write");
    if (chunk.length === 0) return;
    try {
      const appending = this.#medium.append(chunk, this.#bytes);
      // While the disk is busy with it.
      this.#checksum = crc32c(chunk, 0, chunk.length, this.#checksum);
      await appending;
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
    await this.#medium.finish(meta);
    await this.#owner.publish(meta);
    this.#phase = "over";
    this.#owner.over();
    return meta;
  }

  async #discard(): Promise<void> {
    await this.#medium.release().catch(() => {});
    this.#owner.over();
    await this.#owner.discard();
  }

  #checkOpen(operation: string): void {
    if (this.#phase === "open") return;
    const why = this.#phase === "failed" ? "a write failed" : "it is over";
    throw new StorageError(`Cannot ${operation} the snapshot "${this.id}" as ${why}`, operation);
  }
}
