/**
 * The bytes of a snapshot on their way into files.
 *
 * @module
 */
import type { FileHandle, Files } from "./files.ts";
import { encodeMeta, META_NAME } from "./snapshot_meta_text.ts";
import type { SinkMedium } from "./snapshot_sink.ts";
import type { SnapshotMeta } from "./snapshot_store.ts";

/**
 * After so many bytes comes a sync, while the next ones are written: were all of a large snapshot dirty at once, a write
 * of the log that comes at its end might wait for all of it.
 */
const SYNC_BYTES = 1 << 20;

/** See {@linkcode SinkMedium}. */
export class SnapshotFileMedium implements SinkMedium {
  readonly #directory: Files;
  readonly #file: FileHandle;
  #unsynced = 0;
  /** The sync under way, or the last one. */
  #syncing: Promise<void> = Promise.resolve();
  /** Its descriptor must not be closed twice: by then it may be another file's. */
  #isFileOpen = true;

  /** Takes an empty file in an unfinished directory. */
  constructor(directory: Files, file: FileHandle) {
    this.#directory = directory;
    this.#file = file;
  }

  /** Writes them to the file. */
  async append(chunk: Uint8Array, offset: number): Promise<void> {
    await this.#file.write([chunk], offset);
    this.#unsynced += chunk.length;
    if (this.#unsynced < SYNC_BYTES) return;
    await this.#syncing;
    this.#unsynced = 0;
    this.#syncing = this.#file.sync();
    // Whoever waits for it hears why it failed.
    this.#syncing.catch(() => {});
  }

  /** The meta comes last: without it the directory is no snapshot. */
  async finish(meta: SnapshotMeta): Promise<void> {
    await this.#syncing;
    await this.#file.sync();
    await this.release();
    const file = await this.#directory.open(META_NAME, { create: true, durable: false });
    try {
      await file.write([encodeMeta(meta)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#directory.syncDirectory();
  }

  /** Closes the file. */
  async release(): Promise<void> {
    if (!this.#isFileOpen) return;
    this.#isFileOpen = false;
    await this.#syncing.catch(() => {});
    await this.#file.close();
  }
}
