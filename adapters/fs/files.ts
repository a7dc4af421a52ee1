/**
 * The Files port on `node:fs`, which Deno, Bun and Node share.
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { checkBoolean } from "../../src/checks.ts";
import type { FileHandle, Files, OpenOptions } from "../../src/store/files.ts";
import { isLockName, lockDirectory } from "./lock.ts";
import { Quickness } from "./quickness.ts";

/** What {@linkcode directoryFiles} takes. */
export interface DirectoryOptions {
  /** Whether the directory is locked; see `fileStore`. @default {true} */
  readonly lock?: boolean;
}

const IS_WINDOWS = process.platform === "win32";

/**
 * With O_DSYNC a write is durable in one turn of the thread pool instead of two, which takes a sixth less time. Only on
 * Linux: on macOS it does less than fdatasync, and Windows has none.
 */
const DURABLE_FLAG = process.platform === "linux" ? fs.constants.O_DSYNC ?? 0 : 0;

/**
 * Deno writes on the thread of the event loop, whichever call of `node:fs` is used, but syncs on another one. So there a
 * file has two descriptors: see {@linkcode DescriptorFile.write}.
 */
const WRITES_BLOCK = "Deno" in globalThis;

/** Up to here parts are copied into one array: cheaper than handing them over one by one. */
const GATHER_BYTES_MAX = 1 << 20;

/** Files in a directory of the file system. Nothing is touched before the first call. */
export function directoryFiles(directory: string, options: DirectoryOptions = {}): Files {
  checkBoolean("use the directory", "lock", options.lock);
  return new DirectoryFiles(resolve(directory), options.lock ?? true);
}

class DirectoryFiles implements Files {
  readonly location: string;
  readonly #isLocked: boolean;

  constructor(location: string, isLocked: boolean) {
    this.location = location;
    this.#isLocked = isLocked;
  }

  async ensure(): Promise<void> {
    const first = await fs.promises.mkdir(this.location, { recursive: true });
    if (first === undefined) return;
    // Each directory that was made is an entry in the one above it, which a crash forgets unless that one is synced.
    for (let made = this.location;; made = dirname(made)) {
      await syncDirectory(dirname(made));
      if (made === resolve(first)) return;
    }
  }

  async list(): Promise<string[]> {
    return (await fs.promises.readdir(this.location)).filter((name) => !isLockName(name));
  }

  async open(name: string, { create, durable }: OpenOptions): Promise<FileHandle> {
    const path = join(this.location, name);
    const open = (flags: number) => call<number>((done) => fs.open(path, fs.constants.O_RDWR | flags, 0o600, done));
    const isSplit = durable && WRITES_BLOCK && DURABLE_FLAG !== 0;
    const fd = await open((create ? fs.constants.O_CREAT : 0) | (durable && !isSplit ? DURABLE_FLAG : 0));
    if (!isSplit) return new DescriptorFile(fd, durable && DURABLE_FLAG === 0);
    try {
      return new DescriptorFile(fd, true, await open(DURABLE_FLAG));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  rename(from: string, to: string): Promise<void> {
    return fs.promises.rename(join(this.location, from), join(this.location, to));
  }

  remove(name: string): Promise<void> {
    return fs.promises.unlink(join(this.location, name));
  }

  directory(name: string): Files {
    return new DirectoryFiles(join(this.location, name), this.#isLocked);
  }

  removeDirectory(name: string): Promise<void> {
    return fs.promises.rmdir(join(this.location, name));
  }

  syncDirectory(): Promise<void> {
    return syncDirectory(this.location);
  }

  lock(): Promise<{ release(): Promise<void> }> {
    if (!this.#isLocked) return Promise.resolve({ release: () => Promise.resolve() });
    return lockDirectory(this.location);
  }
}

class DescriptorFile implements FileHandle {
  readonly #fd: number;
  /** Whether each write is followed by a sync. */
  readonly #syncs: boolean;
  /** Of the same file, with O_DSYNC. */
  readonly #quickFd: number | undefined;
  readonly #quickness = new Quickness();

  constructor(fd: number, syncs: boolean, quickFd?: number) {
    this.#fd = fd;
    this.#syncs = syncs;
    this.#quickFd = quickFd;
  }

  async size(): Promise<number> {
    return (await call<fs.Stats>((done) => fs.fstat(this.#fd, done))).size;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return call<number>((done) => fs.read(this.#fd, into, 0, into.length, offset, done));
  }

  /**
   * Where writes block, a small one is made durable in the same call, which is over sooner than another thread would have
   * heard of it. A larger one, or any on a disk that was slow lately, is synced by another thread: the event loop goes
   * on meanwhile.
   */
  async write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    const now = performance.now();
    if (this.#quickFd !== undefined && this.#quickness.allows(total, now)) {
      writeAllSync(this.#quickFd, gather(parts, total), offset);
      return this.#quickness.note(now, performance.now());
    }
    if (total > GATHER_BYTES_MAX) await this.#writeAll(parts, offset);
    else if (WRITES_BLOCK) writeAllSync(this.#fd, gather(parts, total), offset);
    else await this.#write(gather(parts, total), offset);
    if (this.#syncs) await this.sync();
  }

  sync(): Promise<void> {
    return call<void>((done) => fs.fdatasync(this.#fd, done));
  }

  truncate(size: number): Promise<void> {
    return call<void>((done) => fs.ftruncate(this.#fd, size, done));
  }

  async close(): Promise<void> {
    if (this.#quickFd !== undefined) fs.closeSync(this.#quickFd);
    await call<void>((done) => fs.close(this.#fd, done));
  }

  async #write(bytes: Uint8Array, offset: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      // A disk that is nearly full takes a part and says so; the next call then fails.
      at += await call<number>((done) => fs.write(this.#fd, bytes, at, bytes.length - at, offset + at, done));
    }
  }

  async #writeAll(parts: readonly Uint8Array[], offset: number): Promise<void> {
    let at = offset;
    for (let left = parts.filter((part) => part.length > 0); left.length > 0;) {
      const written = await call<number>((done) => fs.writev(this.#fd, left, at, done));
      at += written;
      left = without(left, written);
    }
  }
}

function writeAllSync(fd: number, bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at, bytes.length - at, offset + at);
}

/** The parts without so many bytes at the front. */
function without(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  let first = 0;
  while (first < parts.length && skip >= parts[first].length) skip -= parts[first++].length;
  const left = parts.slice(first);
  if (skip > 0) left[0] = left[0].subarray(skip);
  return left;
}

function gather(parts: readonly Uint8Array[], total: number): Uint8Array {
  if (parts.length === 1) return parts[0];
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Windows can't sync directories, and has no need to. */
async function syncDirectory(path: string): Promise<void> {
  if (IS_WINDOWS) return;
  const directory = await fs.promises.open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** A call with a callback as a promise. As fast as `fs.promises`, and takes plain descriptors. */
function call<T>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => error ? reject(error) : resolve(value as T));
  });
}
