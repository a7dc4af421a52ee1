/**
 * Snapshot stores in memory: one that keeps the newest, and one that keeps nothing.
 *
 * @module
 */
import { SnapshotNotFoundError, StorageError } from "../errors.ts";
import { concatenate } from "../wire/bytes.ts";
import { crc32c } from "../wire/crc32c.ts";
import { Holds } from "./holds.ts";
import {
  checkExpected,
  checkOrigin,
  checkRange,
  compareSnapshots,
  metaOf,
  snapshotId,
  surplusOf,
} from "./snapshot_meta.ts";
import type { DamagedSnapshot, SnapshotMeta, SnapshotOrigin, SnapshotSink, SnapshotStore } from "./snapshot_store.ts";

/**
 * Keeps the newest snapshot in memory: for tests, and beside `memoryStore`. It outlives `close`: opened again, it holds
 * what it held, as a disk would.
 */
export function memorySnapshotStore(): SnapshotStore {
  return new MemorySnapshotStore(1);
}

/**
 * Takes snapshots and keeps none: for servers whose log is never read from its beginning, as in tests of other things.
 */
export function discardSnapshotStore(): SnapshotStore {
  return new MemorySnapshotStore(0);
}

/** Bytes in the pieces in which they came. */
interface Held {
  readonly meta: SnapshotMeta;
  readonly pieces: readonly Uint8Array[];
  /** Where each piece begins. */
  readonly offsets: readonly number[];
}

class MemorySnapshotStore implements SnapshotStore {
  readonly isDurable = false;
  readonly damaged: readonly DamagedSnapshot[] = [];
  readonly #retain: number;
  readonly #holds = new Holds();
  readonly #snapshots = new Map<string, Held>();
  #sequence = 0;
  #isOpen = false;
  /** Counts the times it was opened: a sink from before does nothing any more. */
  #life = 0;

  constructor(retain: number) {
    this.#retain = retain;
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async open(): Promise<void> {
    if (this.#isOpen) {
      throw new StorageError("Cannot open the snapshots in memory as they are open already: close them first", "open");
    }
    this.#isOpen = true;
    this.#life++;
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async create(origin: SnapshotOrigin): Promise<SnapshotSink> {
    this.#checkOpen("create");
    checkOrigin(origin);
    const life = this.#life;
    const keep = (held: Held): void => {
      if (!this.#isOpen || life !== this.#life) this.#refuse("close");
      this.#snapshots.set(held.meta.id, held);
      const metas = [...this.#snapshots.values()].map(({ meta }) => meta);
      for (const { id } of surplusOf(metas, this.#retain, (id) => this.#holds.has(id))) this.#snapshots.delete(id);
    };
    return new MemorySink(origin, snapshotId(origin, ++this.#sequence), this.#retain > 0, keep);
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async list(): Promise<readonly SnapshotMeta[]> {
    this.#checkOpen("list");
    return [...this.#snapshots.values()].map(({ meta }) => meta).sort(compareSnapshots);
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async read(id: string, offset: number, bytesMax: number): Promise<Uint8Array> {
    const { pieces, offsets } = this.#find(id, "read");
    checkRange(offset, bytesMax);
    let at = bisect(offsets, offset);
    const parts: Uint8Array[] = [];
    let skip = at < 0 ? 0 : offset - offsets[at];
    for (let left = bytesMax; left > 0 && at >= 0 && at < pieces.length; at++) {
      const part = pieces[at].subarray(skip, skip + left);
      skip = 0;
      left -= part.length;
      parts.push(part);
    }
    return concatenate(parts);
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async verify(id: string): Promise<boolean> {
    this.#find(id, "verify");
    return true;
  }

  hold(id: string): () => void {
    this.#find(id, "hold");
    return this.#holds.take(id);
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async remove(id: string): Promise<void> {
    this.#checkOpen("remove");
    this.#snapshots.delete(id);
  }

  close(): Promise<void> {
    this.#isOpen = false;
    return Promise.resolve();
  }

  #find(id: string, operation: string): Held {
    this.#checkOpen(operation);
    const held = this.#snapshots.get(id);
    if (held === undefined) throw new SnapshotNotFoundError(id);
    return held;
  }

  #checkOpen(operation: string): void {
    if (!this.#isOpen) this.#refuse(operation);
  }

  #refuse(operation: string): never {
    throw new StorageError(`Cannot ${operation} as the snapshots in memory are not open`, operation);
  }
}

class MemorySink implements SnapshotSink {
  readonly id: string;
  readonly #origin: SnapshotOrigin;
  readonly #keepsBytes: boolean;
  readonly #keep: (held: Held) => void;
  #bytes = 0;
  #checksum = 0;
  #pieces: Uint8Array[] = [];
  #offsets: number[] = [];
  #meta: SnapshotMeta | undefined;
  #isAborted = false;

  constructor(origin: SnapshotOrigin, id: string, keepsBytes: boolean, keep: (held: Held) => void) {
    this.id = id;
    this.#origin = origin;
    this.#keepsBytes = keepsBytes;
    this.#keep = keep;
  }

  get bytes(): number {
    return this.#bytes;
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async write(chunk: Uint8Array): Promise<void> {
    if (this.#isAborted || this.#meta !== undefined) this.#refuse("write");
    if (chunk.length === 0) return;
    if (this.#keepsBytes) {
      this.#pieces.push(chunk.slice());
      this.#offsets.push(this.#bytes);
    }
    this.#bytes += chunk.length;
    this.#checksum = crc32c(chunk, 0, chunk.length, this.#checksum);
  }

  async close(expected?: { readonly bytes: number; readonly checksum: number }): Promise<SnapshotMeta> {
    if (this.#meta !== undefined) return this.#meta;
    if (this.#isAborted) this.#refuse("close");
    const meta = metaOf(this.#origin, this.id, this.#bytes, this.#checksum);
    try {
      checkExpected(meta, expected);
      this.#keep({ meta, pieces: this.#pieces, offsets: this.#offsets });
    } catch (error) {
      await this.abort();
      throw error;
    }
    this.#meta = meta;
    return meta;
  }

  abort(): Promise<void> {
    if (this.#meta !== undefined) return Promise.resolve();
    this.#isAborted = true;
    this.#pieces = [];
    this.#offsets = [];
    return Promise.resolve();
  }

  #refuse(operation: string): never {
    throw new StorageError(`Cannot ${operation} the snapshot "${this.id}" as it is over`, operation);
  }
}

/** Position of the last number that is not above `value`; -1 when there is none. */
function bisect(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
