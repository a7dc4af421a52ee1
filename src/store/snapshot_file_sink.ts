/**
 * A snapshot being written into files.
 *
 * @module
 */
import { StorageError } from "../errors.ts";
import { crc32c } from "../wire/crc32c.ts";
import type { FileHandle, Files } from "./files.ts";
import { checkExpected, metaOf } from "./snapshot_meta.ts";
import { encodeMeta, META_NAME } from "./snapshot_meta_text.ts";
import type { SnapshotMeta, SnapshotOrigin, SnapshotSink } from "./snapshot_store.ts";

/**
 * After so many bytes comes a sync: were all of a large snapshot dirty at once, a write of the log that comes at its end
 * might wait for all of it.
 */
const SYNC_BYTES = 1 << 20;

/** What a sink asks of its store. */
export interface SinkOwner {
  /** Gives the snapshot its name, all of it being durable. */
  publish(meta: SnapshotMeta): Promise<void>;
  /** Removes what there is. */
  discard(): Promise<void>;
  /** The sink does nothing any more. */
  over(): void;
  /** An error that says what failed. */
  errorOf(operation: string, cause: unknown): Error;
}

/** See {@linkcode SnapshotSink}. */
export class SnapshotFileSink implements SnapshotSink {
  readonly id: string;
  readonly #origin: SnapshotOrigin;
  readonly #directory: Files;
  readonly #file: FileHandle;
  readonly #owner: SinkOwner;
  #phase: "open" | "failed" | "over" = "open";
  #bytes = 0;
  #checksum = 0;
  #unsynced = 0;
  /** Its descriptor must not be closed twice: by then it may be another file's. */
  #isFileOpen = true;
  #writing: Promise<unknown> = Promise.resolve();
  #closing: Promise<SnapshotMeta> | undefined;
  #aborting: Promise<void> | undefined;

  /** Takes an empty file in an unfinished directory. */
  constructor(origin: SnapshotOrigin, id: string, directory: Files, file: FileHandle, owner: SinkOwner) {
    this.id = id;
    this.#origin = origin;
    this.#directory = directory;
    this.#file = file;
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
      // Whether or not it can be removed now, it is no snapshot until it has its name.
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
      await this.#file.write([chunk], this.#bytes);
      this.#checksum = crc32c(chunk, 0, chunk.length, this.#checksum);
      this.#bytes += chunk.length;
      this.#unsynced += chunk.length;
      if (this.#unsynced < SYNC_BYTES) return;
      await this.#file.sync();
      this.#unsynced = 0;
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
    await this.#file.sync();
    await this.#closeFile();
    const file = await this.#directory.open(META_NAME, { create: true, durable: false });
    try {
      await file.write([encodeMeta(meta)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#directory.syncDirectory();
    await this.#owner.publish(meta);
    this.#phase = "over";
    this.#owner.over();
    return meta;
  }

  async #discard(): Promise<void> {
    await this.#closeFile().catch(() => {});
    this.#owner.over();
    await this.#owner.discard();
  }

  async #closeFile(): Promise<void> {
    if (!this.#isFileOpen) return;
    this.#isFileOpen = false;
    await this.#file.close();
  }

  #checkOpen(operation: string): void {
    if (this.#phase === "open") return;
    const why = this.#phase === "failed" ? "a write failed" : "it is over";
    throw new StorageError(`Cannot ${operation} the snapshot "${this.id}" as ${why}`, operation);
  }
}
