/**
 * A file in memory that knows what of it is durable.
 *
 * @module
 */
import type { FileHandle } from "../store/files.ts";
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
 * `options - 1` that the most does; `what` says what is decided.
 */
export type Choose = (options: number, what: string) => number;

const SECTOR_BYTES = 512;

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
}

/** A file with this content, all of it durable. */
export function makeInode(content?: Uint8Array): Inode {
  return { durable: new GrowingBytes(content), live: new GrowingBytes(content), changes: [] };
}

/** An independent copy. */
export function cloneInode({ durable, live, changes }: Inode): Inode {
  return {
    durable: new GrowingBytes(durable.copy()),
    live: new GrowingBytes(live.copy()),
    changes: changes.map((change) => ({ ...change })),
  };
}

/** An open file. `perform` waits, fails or halts as told, and begins the change. */
export class MemoryFile implements FileHandle {
  readonly #name: string;
  readonly #inode: Inode;
  readonly #durable: boolean;
  readonly #perform: (operation: FileOperation, change?: () => void) => Promise<void>;
  readonly #checkRoom: (size: number) => void;

  /** Takes what is behind the name. */
  constructor(
    name: string,
    inode: Inode,
    durable: boolean,
    perform: (operation: FileOperation, change?: () => void) => Promise<void>,
    checkRoom: (size: number) => void,
  ) {
    this.#name = name;
    this.#inode = inode;
    this.#durable = durable;
    this.#perform = perform;
    this.#checkRoom = checkRoom;
  }

  /** The size as reads see it. */
  size(): Promise<number> {
    return Promise.resolve(this.#inode.live.size);
  }

  /** Reads. */
  async read(into: Uint8Array, offset: number): Promise<number> {
    await this.#perform({ kind: "read", name: this.#name, bytes: into.length });
    return this.#inode.live.read(into, offset);
  }

  /** Writes; sector by sector if the power goes. */
  async write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = concatenate(parts);
    this.#checkRoom(offset + bytes.length);
    const change: FileChange = { type: "write", offset, bytes };
    await this.#perform({ kind: "write", name: this.#name, bytes: bytes.length }, () => this.#change(change));
    if (this.#durable) this.#settle((other) => other === change);
  }

  /** Makes durable what was written before. */
  async sync(): Promise<void> {
    const { changes } = this.#inode;
    const issued = new Set(changes.map(({ change }) => change));
    try {
      await this.#perform({ kind: "sync", name: this.#name, bytes: 0 });
    } catch (error) {
      // As ext4 does: the pages count as clean and are read until the crash, but will never be written.
      if (!(error instanceof HaltError)) {
        this.#inode.changes = this.#inode.changes.filter(({ change, synced }) => synced || !issued.has(change));
      }
      throw error;
    }
    this.#settle((change) => issued.has(change));
  }

  /** Cuts or extends. */
  async truncate(size: number): Promise<void> {
    const change: FileChange = { type: "truncate", size };
    await this.#perform({ kind: "truncate", name: this.#name, bytes: 0 }, () => this.#change(change));
  }

  /** Does nothing. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  #change(change: FileChange): void {
    this.#inode.changes.push({ change, synced: false });
    apply(this.#inode.live, change);
  }

  /** Notes what is synced, and moves what has nothing unsynced before it to the disk. */
  #settle(isSynced: (change: FileChange) => boolean): void {
    const { changes, durable } = this.#inode;
    for (const entry of changes) if (isSynced(entry.change)) entry.synced = true;
    const settled = changes.findIndex(({ synced }) => !synced);
    for (const { change } of changes.splice(0, settled < 0 ? changes.length : settled)) apply(durable, change);
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
  for (const { change, synced } of inode.changes) {
    if (synced) apply(inode.durable, change);
    else applyAfterCrash(inode.durable, change, choose);
  }
  inode.live = new GrowingBytes(inode.durable.copy());
  inode.changes = [];
}

/** Applies what survives of a change: of a write each sector by itself, since a disk writes them in any order. */
function applyAfterCrash(content: GrowingBytes, change: FileChange, choose: Choose): void {
  if (change.type === "truncate") {
    if (choose(2, "truncation kept") === 1) content.resize(change.size);
    return;
  }
  const { offset, bytes } = change;
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES);
    if (choose(2, "sector kept") === 1) content.write(bytes.subarray(at, end), offset + at);
    at = end;
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
