/**
 * Snapshots in files: a directory for each, with the bytes and a meta in it.
 *
 * A snapshot is written into a directory whose name ends with `.tmp`. Bytes, meta and directory are synced before it gets
 * its own name, so that a directory with such a name is always whole; removing goes the other way. A crash can therefore
 * leave nothing but `.tmp` directories, which the next start removes.
 *
 * @module
 */
import { SnapshotNotFoundError, StorageError } from "../errors.ts";
import { mark } from "../marks.ts";
import { crc32c } from "../wire/crc32c.ts";
import { failureOf } from "./failure.ts";
import type { FileHandle, Files } from "./files.ts";
import { Holds } from "./holds.ts";
import { OpenFiles } from "./open_files.ts";
import { SnapshotFileMedium } from "./snapshot_file_medium.ts";
import {
  checkOrigin,
  checkRange,
  compareSnapshots,
  isSnapshotId,
  sequenceOf,
  snapshotId,
  surplusOf,
} from "./snapshot_meta.ts";
import { decodeMeta, META_BYTES_MAX, META_NAME } from "./snapshot_meta_text.ts";
import { StoredSink } from "./snapshot_sink.ts";
import type { DamagedSnapshot, SnapshotMeta, SnapshotOrigin, SnapshotSink, SnapshotStore } from "./snapshot_store.ts";

/** What {@linkcode fileSnapshots} takes. */
export interface FileSnapshotsOptions {
  /** How many snapshots are kept; the older ones are there for the case that the newest is damaged. @default {2} */
  readonly retain?: number;
}

/** The bytes of a snapshot. */
const CONTAINER_NAME = "container";

/** What the name of an unfinished one ends with. */
const UNFINISHED_SUFFIX = ".tmp";

const VERIFY_BYTES = 1 << 20;

/** A snapshot store in this directory, which it has for itself. Nothing is touched before `open`. */
export function fileSnapshots(files: Files, options: FileSnapshotsOptions = {}): SnapshotStore {
  return new FileSnapshots(files, options.retain ?? 2);
}

class FileSnapshots implements SnapshotStore {
  readonly isDurable = true;
  readonly #files: Files;
  readonly #retain: number;
  readonly #holds = new Holds();
  readonly #metas = new Map<string, SnapshotMeta>();
  readonly #damaged = new Map<string, string>();
  readonly #sinks = new Set<SnapshotSink>();
  readonly #readers: OpenFiles;
  #phase: "new" | "open" | "closed" = "new";
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #lock: { release(): Promise<void> } | undefined;
  #sequence = 0;
  /** Settles when the last change of the directory that was asked for is done; never rejects. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(files: Files, retain: number) {
    if (!Number.isSafeInteger(retain) || retain < 1) {
      throw new RangeError(`Cannot retain ${retain} snapshots: keep at least 1`);
    }
    this.#files = files;
    this.#retain = retain;
    this.#readers = new OpenFiles((id) => files.directory(id).open(CONTAINER_NAME, { create: false, durable: false }));
  }

  get damaged(): readonly DamagedSnapshot[] {
    return Array.from(this.#damaged, ([id, problem]) => ({ id, problem }));
  }

  open(): Promise<void> {
    if (this.#phase !== "new" || this.#opening !== undefined) {
      const error = new StorageError(`Cannot open "${this.#files.location}" twice: make another store`, "open");
      return Promise.reject(error);
    }
    return this.#opening = this.#open().catch(async (cause) => {
      this.#phase = "closed";
      await this.#lock?.release();
      throw failureOf("open", `"${this.#files.location}"`, cause);
    });
  }

  async create(origin: SnapshotOrigin): Promise<SnapshotSink> {
    this.#checkOpen("create");
    checkOrigin(origin);
    const id = snapshotId(origin, ++this.#sequence);
    const directory = this.#files.directory(id + UNFINISHED_SUFFIX);
    try {
      await directory.ensure();
      const file = await directory.open(CONTAINER_NAME, { create: true, durable: false });
      const sink: SnapshotSink = new StoredSink(origin, id, new SnapshotFileMedium(directory, file), {
        publish: (meta) => this.#change(() => this.#publish(meta)),
        discard: () => this.#change(() => this.#removeUnfinished(id)),
        over: () => this.#sinks.delete(sink),
        errorOf: (operation, cause) => failureOf(operation, this.#nameOf(id), cause),
      });
      this.#sinks.add(sink);
      return sink;
    } catch (cause) {
      await this.#change(() => this.#removeUnfinished(id)).catch(() => {});
      throw failureOf("create", this.#nameOf(id), cause);
    }
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async list(): Promise<readonly SnapshotMeta[]> {
    this.#checkOpen("list");
    return [...this.#metas.values()].sort(compareSnapshots);
  }

  async read(id: string, offset: number, bytesMax: number): Promise<Uint8Array> {
    const { bytes } = this.#find(id, "read");
    checkRange(offset, bytesMax);
    const into = new Uint8Array(Math.max(0, Math.min(bytesMax, bytes - offset)));
    const isLast = offset + into.length >= bytes;
    try {
      const count = into.length === 0 ? 0 : await this.#readers.use(id, (file) => readAll(file, into, offset));
      if (isLast) await this.#readers.close(id);
      if (count < into.length) throw new Error(`it ends at byte ${offset + count} of ${bytes}`);
      return into;
    } catch (cause) {
      if (!this.#metas.has(id)) throw new SnapshotNotFoundError(id);
      throw failureOf("read", this.#nameOf(id), cause);
    }
  }

  async verify(id: string): Promise<boolean> {
    const { bytes, checksum } = this.#find(id, "verify");
    const problem = await this.#problemOf(id, bytes, checksum);
    await this.#readers.close(id);
    if (problem === undefined) return true;
    if (!this.#metas.delete(id)) throw new SnapshotNotFoundError(id);
    this.#noteDamage(id, problem);
    return false;
  }

  hold(id: string): () => void {
    this.#find(id, "hold");
    return this.#holds.take(id);
  }

  async remove(id: string): Promise<void> {
    this.#checkOpen("remove");
    // Names are never taken from elsewhere, but a wrong one would be a path.
    if (!this.#metas.has(id) && !this.#damaged.has(id)) return;
    await this.#change(() => this.#remove(id)).catch((cause) => {
      throw failureOf("remove", this.#nameOf(id), cause);
    });
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #open(): Promise<void> {
    const files = this.#files;
    await files.ensure();
    this.#lock = await files.lock();
    for (const name of await files.list()) {
      const id = name.endsWith(UNFINISHED_SUFFIX) ? name.slice(0, -UNFINISHED_SUFFIX.length) : name;
      // What isn't ours is left alone.
      if (!isSnapshotId(id)) continue;
      this.#sequence = Math.max(this.#sequence, sequenceOf(id));
      if (id === name) await this.#load(id);
      else {
        mark("snapshot-leftover-removed");
        await this.#removeUnfinished(id);
      }
    }
    await files.syncDirectory();
    // Older ones stay until there is a newer one again: those that are kept may turn out to be damaged.
    this.#phase = "open";
  }

  async #load(id: string): Promise<void> {
    const directory = this.#files.directory(id);
    const decoded = decodeMeta(await readFile(directory, META_NAME, META_BYTES_MAX), id);
    if ("meta" in decoded) {
      const found = await sizeOf(directory, CONTAINER_NAME);
      const { bytes } = decoded.meta;
      if (found === bytes) this.#metas.set(id, decoded.meta);
      else this.#noteDamage(id, `it has ${found ?? "no"} bytes instead of ${bytes}`);
    } else if (decoded.isNewer) {
      throw new StorageError(`Cannot open ${this.#nameOf(id)} as ${decoded.problem}: upgrade this server`, "open");
    } else this.#noteDamage(id, decoded.problem);
  }

  #noteDamage(id: string, problem: string): void {
    mark("snapshot-found-damaged");
    this.#damaged.set(id, problem);
  }

  /** What is wrong with the bytes of a snapshot. */
  async #problemOf(id: string, bytes: number, checksum: number): Promise<string | undefined> {
    const piece = new Uint8Array(Math.min(VERIFY_BYTES, bytes));
    try {
      return await this.#readers.use(id, async (file) => {
        let found = 0;
        for (let at = 0; at < bytes;) {
          const count = await file.read(piece.subarray(0, Math.min(piece.length, bytes - at)), at);
          if (count === 0) return `it ends at byte ${at} of ${bytes}`;
          found = crc32c(piece, 0, count, found);
          at += count;
        }
        return found === checksum ? undefined : `its checksum is ${found} instead of ${checksum}`;
      });
    } catch (cause) {
      // Other errors (too many open files, say) say nothing about the disk.
      if (["EIO", "ENOENT"].includes(codeOf(cause) ?? "")) return `it can't be read: ${(cause as Error).message}`;
      throw failureOf("verify", this.#nameOf(id), cause);
    }
  }

  /** Gives a whole snapshot its name, and lets go of what it replaces. */
  async #publish(meta: SnapshotMeta): Promise<void> {
    this.#checkOpen("close");
    await this.#files.rename(meta.id + UNFINISHED_SUFFIX, meta.id);
    await this.#files.syncDirectory();
    this.#metas.set(meta.id, meta);
    // It is safe by now, whatever becomes of the old ones: the next snapshot or start tries again.
    await this.#reap().catch(() => {});
  }

  async #reap(): Promise<void> {
    const metas = [...this.#metas.values()];
    for (const { id } of surplusOf(metas, this.#retain, (id) => this.#holds.has(id))) await this.#remove(id);
    const newest = Math.max(0, ...metas.map(({ id }) => sequenceOf(id)));
    for (const id of this.#damaged.keys()) if (sequenceOf(id) < newest) await this.#remove(id);
  }

  async #remove(id: string): Promise<void> {
    if (!this.#metas.has(id) && !this.#damaged.has(id)) return;
    await this.#readers.close(id);
    await this.#files.rename(id, id + UNFINISHED_SUFFIX);
    this.#metas.delete(id);
    this.#damaged.delete(id);
    // Before its files go: were the old name to come back after a crash, all must be there.
    await this.#files.syncDirectory();
    await this.#removeUnfinished(id);
  }

  async #removeUnfinished(id: string): Promise<void> {
    const name = id + UNFINISHED_SUFFIX;
    const directory = this.#files.directory(name);
    try {
      for (const file of await directory.list()) await directory.remove(file);
      await this.#files.removeDirectory(name);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }

  /** Runs tasks that change the directory one after the other. */
  #change<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(task);
    this.#changing = done.catch(() => {});
    return done;
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {});
    if (this.#phase !== "open") {
      this.#phase = "closed";
      return;
    }
    for (const sink of this.#sinks) await sink.abort().catch(() => {});
    this.#phase = "closed";
    await this.#changing;
    await this.#readers.closeAll();
    await this.#lock?.release();
  }

  #find(id: string, operation: string): SnapshotMeta {
    this.#checkOpen(operation);
    const meta = this.#metas.get(id);
    if (meta === undefined) throw new SnapshotNotFoundError(id);
    return meta;
  }

  #nameOf(id: string): string {
    return `the snapshot "${id}" in "${this.#files.location}"`;
  }

  #checkOpen(operation: string): void {
    if (this.#phase === "open") return;
    throw new StorageError(`Cannot ${operation} as "${this.#files.location}" is not open`, operation);
  }
}

/** Reads until the array is full or the file ends; returns how much there was. */
async function readAll(file: FileHandle, into: Uint8Array, offset: number): Promise<number> {
  let filled = 0;
  while (filled < into.length) {
    const count = await file.read(into.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

/** The content of a file, or nothing when it is missing or too large: either way it is no meta. */
async function readFile(files: Files, name: string, bytesMax: number): Promise<Uint8Array> {
  const size = await sizeOf(files, name);
  if (size === undefined || size > bytesMax) return new Uint8Array(0);
  const file = await files.open(name, { create: false, durable: false });
  try {
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, await readAll(file, bytes, 0));
  } finally {
    await file.close();
  }
}

/** The size of a file; undefined when it is missing. */
async function sizeOf(files: Files, name: string): Promise<number | undefined> {
  try {
    const file = await files.open(name, { create: false, durable: false });
    try {
      return await file.size();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}
