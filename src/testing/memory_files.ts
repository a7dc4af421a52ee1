/**
 * Files in memory that forget like a disk: what was not synced when the machine crashes may be there, or not, or in part.
 *
 * Everything that is left to chance on a real disk is asked of the caller, so that a run can be repeated.
 *
 * @module
 */
import { StoreLockedError } from "../errors.ts";
import type { FileHandle, Files, OpenOptions } from "../store/files.ts";
import { GrowingBytes } from "./growing_bytes.ts";

/** What {@linkcode MemoryFiles} is asked to do. */
export interface FileOperation {
  readonly kind: "open" | "read" | "write" | "sync" | "truncate" | "rename" | "remove" | "list" | "sync-directory";
  /** The file's name when it was opened; empty for the directory. */
  readonly name: string;
  /** Bytes read or written; 0 otherwise. */
  readonly bytes: number;
}

/** What {@linkcode MemoryFiles} takes. */
export interface MemoryFilesOptions {
  /** How errors name the directory. @default {"memory"} */
  readonly location?: string;
  /** Delays an operation until the promise resolves. By default it is done in a microtask. */
  readonly schedule?: (operation: FileOperation) => Promise<void>;
  /** The error that an operation fails with, `undefined` to let it pass. By default nothing fails. */
  readonly fault?: (operation: FileOperation) => Error | undefined;
  /** Room for all files together; a write beyond it fails with ENOSPC. @default {Infinity} */
  readonly bytesMax?: number;
}

/**
 * One of `[0, options)`, for what chance would decide at a crash. 0 always means that the least survives,
 * `options - 1` that the most does; `what` says what is decided.
 */
export type Choose = (options: number, what: string) => number;

/** Nothing survives a crash but what was synced. */
export const loseAll: Choose = () => 0;

/** Everything survives a crash, synced or not. */
export const keepAll: Choose = (options) => options - 1;

const SECTOR_BYTES = 512;

type FileChange =
  | { readonly type: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: "truncate"; readonly size: number };

/** A file, by whatever name. */
interface Inode {
  /** What is certainly on the disk. */
  readonly durable: GrowingBytes;
  /** What reads see. */
  live: GrowingBytes;
  /** What came after `durable`, in order: changes that were synced too while an earlier one was not. */
  changes: { readonly change: FileChange; synced: boolean }[];
}

type DirectoryChange = { readonly name: string; readonly inode: Inode | undefined };

/** A directory in memory. Outlives the stores that use it: {@linkcode MemoryFiles.crash} it and open the next one. */
export class MemoryFiles implements Files {
  readonly location: string;
  readonly #schedule: (operation: FileOperation) => Promise<void>;
  readonly #bytesMax: number;
  #fault: (operation: FileOperation) => Error | undefined;
  #live = new Map<string, Inode>();
  #durable = new Map<string, Inode>();
  /** Each element is what one operation changed; a rename changes two names at once. */
  #unsynced: DirectoryChange[][] = [];
  /** Counts crashes and kills; handles and locks of an earlier life are dead. */
  #life = 0;
  #locked = false;
  #operationsLeft = Infinity;
  #operationCount = 0;

  /** An empty directory. */
  constructor(options: MemoryFilesOptions = {}) {
    this.location = options.location ?? "memory";
    this.#schedule = options.schedule ?? (() => Promise.resolve());
    this.#fault = options.fault ?? (() => undefined);
    this.#bytesMax = options.bytesMax ?? Infinity;
  }

  /** How many operations were asked for so far. */
  get operationCount(): number {
    return this.#operationCount;
  }

  /** Replaces the `fault` option. */
  set fault(fault: (operation: FileOperation) => Error | undefined) {
    this.#fault = fault;
  }

  /**
   * Lets this many more operations be done. The next one is begun but never done (a write may survive the crash, in
   * part), and everything after it fails, until {@linkcode crash} or {@linkcode kill}.
   */
  haltAfter(operations: number): void {
    this.#operationsLeft = operations;
  }

  /** The machine loses power: what isn't synced survives as `choose` says, sector by sector. Locks are free again. */
  crash(choose: Choose): void {
    const kept = choose(this.#unsynced.length + 1, "directory operations kept");
    for (const changes of this.#unsynced.slice(0, kept)) applyDirectory(this.#durable, changes);
    const inodes = new Set([...this.#durable.values()]);
    for (const [name, inode] of this.#durable) {
      if (!inodes.delete(inode)) continue; // a hard link by a rename that survived in part
      for (const { change, synced } of inode.changes) {
        if (synced) apply(inode.durable, change);
        else applyAfterCrash(inode.durable, change, (options, what) => choose(options, `${what} of ${name}`));
      }
      inode.live = new GrowingBytes(inode.durable.copy());
      inode.changes = [];
    }
    this.#live = new Map(this.#durable);
    this.#unsynced = [];
    this.kill();
  }

  /** The process dies, the machine goes on: nothing written is lost, nothing unsynced is safe yet. Locks are free again. */
  kill(): void {
    this.#life++;
    this.#locked = false;
    this.#operationsLeft = Infinity;
  }

  /** The content of a file as reads see it; a copy. */
  image(name: string): Uint8Array {
    return this.#inode(name).live.copy();
  }

  /** Names of all files as reads see them, sorted. */
  names(): string[] {
    return [...this.#live.keys()].sort();
  }

  /** Replaces the content of a file, durably, as damage at rest does; makes the file when it is missing. */
  setImage(name: string, bytes: Uint8Array): void {
    const inode = { durable: new GrowingBytes(bytes), live: new GrowingBytes(bytes), changes: [] };
    this.#live.set(name, inode);
    this.#durable.set(name, inode);
  }

  /** Removes a file, durably, as damage at rest does. */
  discard(name: string): void {
    this.#live.delete(name);
    this.#durable.delete(name);
  }

  /** An independent copy of what is on the disk and in its cache, with no fault and no schedule. */
  clone(): MemoryFiles {
    const twin = new MemoryFiles({ location: this.location });
    const twins = new Map<Inode, Inode>();
    const twinOf = (inode: Inode): Inode => {
      const known = twins.get(inode);
      if (known !== undefined) return known;
      const copy = {
        durable: new GrowingBytes(inode.durable.copy()),
        live: new GrowingBytes(inode.live.copy()),
        changes: inode.changes.map((change) => ({ ...change })),
      };
      twins.set(inode, copy);
      return copy;
    };
    for (const [name, inode] of this.#live) twin.#live.set(name, twinOf(inode));
    for (const [name, inode] of this.#durable) twin.#durable.set(name, twinOf(inode));
    twin.#unsynced = this.#unsynced.map((changes) =>
      changes.map(({ name, inode }) => ({ name, inode: inode && twinOf(inode) }))
    );
    return twin;
  }

  /** Nothing to be done: the directory is there. */
  ensure(): Promise<void> {
    return Promise.resolve();
  }

  /** Names of all files. */
  async list(): Promise<string[]> {
    await this.#perform({ kind: "list", name: "", bytes: 0 });
    return this.names();
  }

  /** Opens a file. */
  async open(name: string, options: OpenOptions): Promise<FileHandle> {
    const life = this.#life;
    const create = (): void => {
      if (options.create && !this.#live.has(name)) {
        this.#change([{ name, inode: { durable: new GrowingBytes(), live: new GrowingBytes(), changes: [] } }]);
      }
    };
    await this.#perform({ kind: "open", name, bytes: 0 }, create);
    const inode = this.#inode(name);
    const perform = (operation: FileOperation, change?: () => void): Promise<void> => {
      if (this.#life !== life) {
        throw new Error(`Cannot ${operation.kind} "${name}" as the process that opened it is dead`);
      }
      return this.#perform(operation, change);
    };
    return new MemoryFile(name, inode, options.durable, perform, (bytes) => this.#checkRoom(inode, bytes));
  }

  /** Renames a file. */
  async rename(from: string, to: string): Promise<void> {
    await this.#perform({ kind: "rename", name: from, bytes: 0 }, () => {
      this.#change([{ name: to, inode: this.#inode(from) }, { name: from, inode: undefined }]);
    });
  }

  /** Removes a file. */
  async remove(name: string): Promise<void> {
    await this.#perform({ kind: "remove", name, bytes: 0 }, () => {
      this.#inode(name);
      this.#change([{ name, inode: undefined }]);
    });
  }

  /** Makes creations, renames and removals durable. */
  async syncDirectory(): Promise<void> {
    const changes = [...this.#unsynced];
    await this.#perform({ kind: "sync-directory", name: "", bytes: 0 });
    for (const change of changes) applyDirectory(this.#durable, change);
    this.#unsynced = this.#unsynced.filter((change) => !changes.includes(change));
  }

  /** Takes the directory; free again after a crash. */
  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async lock(): Promise<{ release(): Promise<void> }> {
    if (this.#locked) throw new StoreLockedError(this.location);
    this.#locked = true;
    const life = this.#life;
    const release = (): Promise<void> => {
      if (this.#life === life) this.#locked = false;
      return Promise.resolve();
    };
    return { release };
  }

  /** Waits, fails or halts as told; `change` is what has begun as soon as the operation has. */
  async #perform(operation: FileOperation, change?: () => void): Promise<void> {
    this.#operationCount++;
    const life = this.#life;
    if (this.#operationsLeft < 0) throw halted(operation);
    this.#operationsLeft--;
    const fault = this.#fault(operation);
    // What failed to be written may be on the disk nevertheless.
    if (fault === undefined || operation.kind === "write") change?.();
    if (this.#operationsLeft < 0) throw halted(operation);
    await this.#schedule(operation);
    if (this.#life !== life) throw halted(operation);
    if (fault !== undefined) throw fault;
  }

  #change(changes: DirectoryChange[]): void {
    this.#unsynced.push(changes);
    applyDirectory(this.#live, changes);
  }

  #inode(name: string): Inode {
    const inode = this.#live.get(name);
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: no such file "${name}"`), { code: "ENOENT" });
    return inode;
  }

  #checkRoom(inode: Inode, size: number): void {
    let total = Math.max(size, inode.live.size);
    for (const other of new Set(this.#live.values())) if (other !== inode) total += other.live.size;
    if (total > this.#bytesMax) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  }
}

class MemoryFile implements FileHandle {
  readonly #name: string;
  readonly #inode: Inode;
  readonly #durable: boolean;
  readonly #perform: (operation: FileOperation, change?: () => void) => Promise<void>;
  readonly #checkRoom: (size: number) => void;

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

  size(): Promise<number> {
    return Promise.resolve(this.#inode.live.size);
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    await this.#perform({ kind: "read", name: this.#name, bytes: into.length });
    return this.#inode.live.read(into, offset);
  }

  async write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = concatenate(parts);
    this.#checkRoom(offset + bytes.length);
    const change: FileChange = { type: "write", offset, bytes };
    await this.#perform({ kind: "write", name: this.#name, bytes: bytes.length }, () => this.#change(change));
    if (this.#durable) this.#settle((other) => other === change);
  }

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

  async truncate(size: number): Promise<void> {
    const change: FileChange = { type: "truncate", size };
    await this.#perform({ kind: "truncate", name: this.#name, bytes: 0 }, () => this.#change(change));
  }

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

function halted(operation: FileOperation): HaltError {
  return new HaltError(`Cannot ${operation.kind} "${operation.name}" as the disk has halted`);
}

function apply(content: GrowingBytes, change: FileChange): void {
  if (change.type === "write") content.write(change.bytes, change.offset);
  else content.resize(change.size);
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

function applyDirectory(entries: Map<string, Inode>, changes: readonly DirectoryChange[]): void {
  for (const { name, inode } of changes) {
    if (inode === undefined) entries.delete(name);
    else entries.set(name, inode);
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
