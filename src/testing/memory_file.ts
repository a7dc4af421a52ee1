/**
 * A file in memory that knows what of it is durable.
 *
 * @module
 */
import type { FileHandle } from "../store/files.ts";
import { concatenate } from "../wire/bytes.ts";
import { GrowingBytes } from "./growing_bytes.ts";

/** What {@linkcode MemoryFiles} is asked to do. */
export interface FileOperation {
  readonly kind:
    | ("open" | "read" | "write" | "sync" | "truncate" | "rename" | "remove" | "list" | "sync-directory")
    | ("make-directory" | "remove-directory");
  /** The file's name when it was opened, seen from the outermost directory, whose own name is empty. */
  readonly name: string;
  /** Bytes read or written; 0 otherwise. */
  readonly bytes: number;
}

/**
 * One of `[0, options)`, for what chance would decide at a crash. 0 always means that the least survives,
 * `options - 1` that the most does; `what` says what is decided:
 *
 * - `directory operations kept`: so many of them, the earliest ones; or `directory operation kept` for each, where
 *   `directory operations in any order` was answered with 1.
 * - `pages of …`: whether what is kept or not is a sector (0) or a page (1) of its own.
 * - `sector kept of …`, for each sector or page of each unsynced write; `truncation kept of …`.
 * - `last sector whole of …`: of the last one kept nothing but zeros (0), garbage (1), its left part (2), its right
 *   part (3), or all (4); `torn at of …` then says where.
 * - `length kept of …`: whether a file grows although what it grows by was lost: it ends in zeros.
 */
export type Choose = (options: number, what: string) => number;

const SECTOR_BYTES = 512;

const PAGE_BYTES = 4096;

/** What can be done to a file's content. */
export type FileChange =
  | { readonly type: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: "truncate"; readonly size: number };

/** A file, by whatever name. */
export interface Inode {
  /** What is certainly on the disk. */
  readonly durable: GrowingBytes;
  /** What reads see. */
  live: GrowingBytes;
  /** What came after `durable`, in order: changes that were synced too while an earlier one was not. */
  changes: { readonly change: FileChange; synced: boolean }[];
  /** Whether reads see what will never be written, until a crash. */
  isAhead: boolean;
}

/** Told of what becomes durable, when it does. */
export interface DurabilityObserver {
  /** A change is in `inode.durable`. */
  onDurable(inode: Inode, change: FileChange): void;
  /** A name in the outermost directory stands for this file from now on, or for none. */
  onNamed(name: string, inode: Inode | undefined): void;
  /** A name, seen from the outermost directory, stands for this directory from now on, or for none. */
  onDirectoryNamed?(path: string, directory: DurableDirectory | undefined): void;
}

/** A directory as a power cut would leave it. */
export interface DurableDirectory {
  /** The files in it whose names are durable. */
  durableFiles(): Map<string, Inode>;
  /** The directories in it whose names are durable. */
  durableDirectories(): Map<string, DurableDirectory>;
}

/** A file with this content, all of it durable. */
export function makeInode(content?: Uint8Array): Inode {
  return { durable: new GrowingBytes(content), live: new GrowingBytes(content), changes: [], isAhead: false };
}

/** An independent copy. */
export function cloneInode({ durable, live, changes, isAhead }: Inode): Inode {
  return {
    durable: durable.clone(),
    live: live.clone(),
    changes: changes.map((change) => ({ ...change })),
    isAhead,
  };
}

/** What an open file needs of the machine. */
export interface FileHost {
  /** Waits, fails or halts as told, and begins the change. */
  perform(operation: FileOperation, change?: () => void): Promise<void>;
  /** Fails when the file has no room for so many bytes. */
  checkRoom(operation: FileOperation, size: number): void;
  /** Whether what a failed durable write wrote can still get onto the disk, as if it had not failed. */
  keepsFailed(operation: FileOperation): boolean;
  /** What a read gives instead of what is there. */
  misread(operation: FileOperation, bytes: Uint8Array, offset: number): void;
  readonly observer: DurabilityObserver | undefined;
}

/** An open file. */
export class MemoryFile implements FileHandle {
  readonly #name: string;
  readonly #inode: Inode;
  readonly #durable: boolean;
  readonly #host: FileHost;

  /** Takes what is behind the name. */
  constructor(name: string, inode: Inode, durable: boolean, host: FileHost) {
    this.#name = name;
    this.#inode = inode;
    this.#durable = durable;
    this.#host = host;
  }

  /** The size as reads see it. */
  size(): Promise<number> {
    return Promise.resolve(this.#inode.live.size);
  }

  /** Reads. */
  async read(into: Uint8Array, offset: number): Promise<number> {
    const operation: FileOperation = { kind: "read", name: this.#name, bytes: into.length };
    await this.#host.perform(operation);
    const read = this.#inode.live.read(into, offset);
    this.#host.misread(operation, into.subarray(0, read), offset);
    return read;
  }

  /** Writes; sector by sector if the power goes. */
  async write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = concatenate(parts);
    const change: FileChange = { type: "write", offset, bytes };
    const operation: FileOperation = { kind: "write", name: this.#name, bytes: bytes.length };
    this.#host.checkRoom(operation, offset + bytes.length);
    try {
      await this.#host.perform(operation, () => this.#change(change));
    } catch (error) {
      if (this.#durable && !(error instanceof HaltError) && !this.#host.keepsFailed(operation)) this.#drop(change);
      throw error;
    }
    if (this.#durable) this.#settle((other) => other === change);
  }

  /** Makes durable what was written before. */
  async sync(): Promise<void> {
    const { changes } = this.#inode;
    const issued = new Set(changes.map(({ change }) => change));
    try {
      await this.#host.perform({ kind: "sync", name: this.#name, bytes: 0 });
    } catch (error) {
      if (!(error instanceof HaltError)) { for (const change of issued) this.#drop(change); }
      throw error;
    }
    this.#settle((change) => issued.has(change));
  }

  /** Cuts or extends. */
  async truncate(size: number): Promise<void> {
    const change: FileChange = { type: "truncate", size };
    await this.#host.perform({ kind: "truncate", name: this.#name, bytes: 0 }, () => this.#change(change));
  }

  /** Does nothing. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  #change(change: FileChange): void {
    this.#inode.changes.push({ change, synced: false });
    apply(this.#inode.live, change);
  }

  /** As ext4 does after a failed sync: the pages count as clean and are read until the crash, but never get written. */
  #drop(lost: FileChange): void {
    this.#inode.isAhead = true;
    this.#inode.changes = this.#inode.changes.filter(({ change, synced }) => synced || change !== lost);
  }

  /** Notes what is synced, and moves what has nothing unsynced before it to the disk. */
  #settle(isSynced: (change: FileChange) => boolean): void {
    const { changes, durable } = this.#inode;
    for (const entry of changes) if (isSynced(entry.change)) entry.synced = true;
    const settled = changes.findIndex(({ synced }) => !synced);
    for (const { change } of changes.splice(0, settled < 0 ? changes.length : settled)) {
      apply(durable, change);
      this.#host.observer?.onDurable(this.#inode, change);
    }
  }
}

class HaltError extends Error {
  override readonly name = "HaltError";
}

/** The error of whatever is asked of a disk that has halted. */
export function halted(operation: FileOperation): HaltError {
  return new HaltError(`Cannot ${operation.kind} "${operation.name}" as the disk has halted`);
}

/** Makes a change. */
function apply(content: GrowingBytes, change: FileChange): void {
  if (change.type === "write") content.write(change.bytes, change.offset);
  else content.resize(change.size);
}

/** The power goes: of each change that was not synced survives what `choose` says, and reads see no more than that. */
export function crashInode(inode: Inode, choose: Choose): void {
  const isUnsafe = inode.changes.some(({ synced }) => !synced);
  const unit = isUnsafe && choose(2, "pages") === 1 ? PAGE_BYTES : SECTOR_BYTES;
  for (const { change, synced } of inode.changes) {
    if (synced) apply(inode.durable, change);
    else if (change.type === "write") keepSome(inode.durable, change.bytes, change.offset, unit, choose);
    else if (choose(2, "truncation kept") === 1) inode.durable.resize(change.size);
  }
  inode.live = inode.durable.clone();
  inode.changes = [];
  inode.isAhead = false;
}

/** Applies what survives of a write: each sector (or page) by itself, since a disk writes them in any order. */
function keepSome(content: GrowingBytes, bytes: Uint8Array, offset: number, unit: number, choose: Choose): void {
  const kept: [from: number, end: number][] = [];
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + unit - (offset + at) % unit);
    if (choose(2, "sector kept") === 1) kept.push([at, end]);
    at = end;
  }
  for (const [from, end] of kept.slice(0, -1)) content.write(bytes.subarray(from, end), offset + from);
  const last = kept[kept.length - 1];
  if (last !== undefined) tear(content, bytes.subarray(...last), offset + last[0], choose);
  const end = offset + bytes.length;
  if (content.size < end && choose(2, "length kept") === 1) content.resize(end);
}

/** Writes a sector during which the power goes. */
function tear(content: GrowingBytes, sector: Uint8Array, offset: number, choose: Choose): void {
  const how = choose(5, "last sector whole");
  if (how === 4) return content.write(sector, offset);
  const at = choose(sector.length, "torn at");
  if (how === 0) content.write(new Uint8Array(sector.length), offset);
  else if (how === 1) content.write(sector.map((byte, i) => Math.imul(byte + i + at, 0x9e3779b1) >>> 13), offset);
  else if (how === 2) content.write(sector.subarray(0, at), offset);
  else content.write(sector.subarray(at), offset + at);
}
