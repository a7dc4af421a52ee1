/**
 * A directory in memory that knows which of its names are durable.
 *
 * @module
 */
import { StoreLockedError } from "../errors.ts";
import type { FileHandle, Files, OpenOptions } from "../store/files.ts";
import {
  type Choose,
  cloneInode,
  crashInode,
  type DurableDirectory,
  type FileOperation,
  type Inode,
  makeInode,
  MemoryFile,
} from "./memory_file.ts";
import type { Machine } from "./memory_machine.ts";

/** What is behind a name. */
type Node = Inode | MemoryDirectory;

type DirectoryChange = { readonly name: string; readonly node: Node | undefined };

/** A directory. */
export class MemoryDirectory implements Files, DurableDirectory {
  readonly #machine: Machine;
  #location: string;
  /** Its name seen from the outermost directory, which has none. */
  #path: string;
  #live = new Map<string, Node>();
  #durable = new Map<string, Node>();
  /** Each element is what one operation changed; a rename changes two names at once. */
  #unsynced: DirectoryChange[][] = [];
  /** The life of the machine in which it was locked. */
  #lockedLife: number | undefined;

  /** An empty one. */
  constructor(location: string, path: string, machine: Machine) {
    this.#location = location;
    this.#path = path;
    this.#machine = machine;
  }

  /** How errors name it. */
  get location(): string {
    return this.#location;
  }

  /** All files in it, and in the directories in it. */
  inodes(): Set<Inode> {
    const found = new Set<Inode>();
    for (const node of this.#live.values()) {
      for (const inode of node instanceof MemoryDirectory ? node.inodes() : [node]) found.add(inode);
    }
    return found;
  }

  /** Whether anything in it, or in the directories in it, could be lost if the power went now. */
  get hasUnsynced(): boolean {
    if (this.#unsynced.length > 0) return true;
    for (const node of this.#live.values()) {
      if (node instanceof MemoryDirectory ? node.hasUnsynced : node.changes.length > 0 || node.isAhead) return true;
    }
    return false;
  }

  /** The files of this directory whose names are durable. */
  durableFiles(): Map<string, Inode> {
    return filesOf(this.#durable);
  }

  /** The directories in this one whose names are durable. */
  durableDirectories(): Map<string, MemoryDirectory> {
    const directories = new Map<string, MemoryDirectory>();
    for (const [name, node] of this.#durable) if (node instanceof MemoryDirectory) directories.set(name, node);
    return directories;
  }

  /** The files of this directory as reads see them. */
  liveFiles(): Map<string, Inode> {
    return filesOf(this.#live);
  }

  /** The power goes: what isn't synced survives as `choose` says. */
  forget(choose: Choose): void {
    for (const changes of this.#survivors(choose)) applyDirectory(this.#durable, changes);
    const nodes = new Set(this.#durable.values());
    for (const [name, node] of this.#durable) {
      if (!nodes.delete(node)) continue; // a hard link by a rename that survived in part
      if (node instanceof MemoryDirectory) {
        node.#move(this.#pathOf(name), `${this.location}/${name}`);
        node.forget(choose);
      } else crashInode(node, (options, what) => choose(options, `${what} of ${this.#pathOf(name)}`));
    }
    this.#live = new Map(this.#durable);
    this.#unsynced = [];
  }

  /** What the journal kept of the operations that were not synced: some first ones, or on a disk without one any. */
  #survivors(choose: Choose): DirectoryChange[][] {
    const { length } = this.#unsynced;
    if (length > 1 && choose(2, "directory operations in any order") === 1) {
      return this.#unsynced.filter(() => choose(2, "directory operation kept") === 1);
    }
    return this.#unsynced.slice(0, choose(length + 1, "directory operations kept"));
  }

  /** Removes all, durably, as whoever changes the disk does. */
  clear(): void {
    this.#live.clear();
    this.#durable.clear();
    this.#unsynced = [];
  }

  /** Takes the content of another one, copied; the other must belong to another machine. */
  copyFrom(other: MemoryDirectory): void {
    const twins = new Map<Node, Node>();
    const twinOf = (node: Node): Node => {
      const known = twins.get(node);
      if (known !== undefined) return known;
      let twin: Node;
      if (node instanceof MemoryDirectory) {
        twin = new MemoryDirectory(node.#location, node.#path, this.#machine);
        twin.copyFrom(node);
      } else twin = cloneInode(node);
      twins.set(node, twin);
      return twin;
    };
    for (const [name, node] of other.#live) this.#live.set(name, twinOf(node));
    for (const [name, node] of other.#durable) this.#durable.set(name, twinOf(node));
    this.#unsynced = other.#unsynced.map((changes) =>
      changes.map(({ name, node }) => ({ name, node: node && twinOf(node) }))
    );
  }

  /** The content of a file as reads see it; a copy. */
  image(name: string): Uint8Array {
    return this.#inode(name).live.copy();
  }

  /** A directory in this one, to look into it or to damage it. */
  child(name: string): MemoryDirectory {
    const node = this.#live.get(name);
    if (!(node instanceof MemoryDirectory)) throw missing(this.#pathOf(name));
    return node;
  }

  /** Names of all files and directories as reads see them, sorted. */
  names(): string[] {
    return [...this.#live.keys()].sort();
  }

  /** Replaces the content of a file, durably, as damage at rest does; makes the file when it is missing. */
  setImage(name: string, bytes: Uint8Array): void {
    const inode = makeInode(bytes);
    this.#live.set(name, inode);
    this.#durable.set(name, inode);
  }

  /** Removes a file or directory, durably, as damage at rest does. */
  discard(name: string): void {
    this.#live.delete(name);
    this.#durable.delete(name);
  }

  /** Nothing to be done: the directory is there. */
  ensure(): Promise<void> {
    return Promise.resolve();
  }

  /** Names of all files. */
  async list(): Promise<string[]> {
    await this.#perform({ kind: "list", name: this.#path, bytes: 0 });
    return this.names();
  }

  /** Opens a file. */
  async open(name: string, options: OpenOptions): Promise<FileHandle> {
    const { life } = this.#machine;
    const path = this.#pathOf(name);
    const create = (): void => {
      if (options.create && !this.#live.has(name)) {
        this.#change([{ name, node: makeInode() }]);
      }
    };
    await this.#perform({ kind: "open", name: path, bytes: 0 }, create);
    const inode = this.#inode(name);
    const machine = this.#machine;
    return new MemoryFile(path, inode, options.durable, {
      perform: (operation, change) => {
        if (machine.life !== life) {
          throw new Error(`Cannot ${operation.kind} "${path}" as the process that opened it is dead`);
        }
        return machine.perform(operation, change);
      },
      checkRoom: (operation, bytes) => machine.checkRoom(operation, inode, bytes),
      keepsFailed: (operation) => machine.keepsFailed(operation),
      misread: (operation, bytes, offset) => machine.misread(operation, bytes, offset),
      observer: machine.observer,
    });
  }

  /** Renames a file or directory. */
  async rename(from: string, to: string): Promise<void> {
    await this.#perform({ kind: "rename", name: this.#pathOf(from), bytes: 0 }, () => {
      const node = this.#live.get(from);
      if (node === undefined) throw missing(this.#pathOf(from));
      if (node instanceof MemoryDirectory) node.#move(this.#pathOf(to), `${this.location}/${to}`);
      this.#change([{ name: to, node }, { name: from, node: undefined }]);
    });
  }

  /** Removes a file. */
  async remove(name: string): Promise<void> {
    await this.#perform({ kind: "remove", name: this.#pathOf(name), bytes: 0 }, () => {
      this.#inode(name);
      this.#change([{ name, node: undefined }]);
    });
  }

  /** A directory in this one, which need not be there yet. */
  directory(name: string): Files {
    return new MemorySubdirectory(this, name);
  }

  /** Makes a directory when it is missing. */
  async makeDirectory(name: string): Promise<void> {
    if (this.#live.get(name) instanceof MemoryDirectory) return;
    const path = this.#pathOf(name);
    await this.#perform({ kind: "make-directory", name: path, bytes: 0 }, () => {
      this.#change([{ name, node: new MemoryDirectory(`${this.location}/${name}`, path, this.#machine) }]);
    });
    await this.syncDirectory();
  }

  /** Removes a directory with nothing in it. */
  async removeDirectory(name: string): Promise<void> {
    await this.#perform({ kind: "remove-directory", name: this.#pathOf(name), bytes: 0 }, () => {
      if (this.child(name).#live.size > 0) {
        throw Object.assign(new Error(`ENOTEMPTY: directory not empty "${name}"`), { code: "ENOTEMPTY" });
      }
      this.#change([{ name, node: undefined }]);
    });
  }

  /** Makes creations, renames and removals durable. */
  async syncDirectory(): Promise<void> {
    const begun = [...this.#unsynced];
    await this.#perform({ kind: "sync-directory", name: this.#path, bytes: 0 });
    // Without those that another sync has made durable meanwhile: what came after them stays.
    const changes = begun.filter((change) => this.#unsynced.includes(change));
    for (const change of changes) applyDirectory(this.#durable, change);
    this.#unsynced = this.#unsynced.filter((change) => !changes.includes(change));
    const { observer } = this.#machine;
    for (const { name, node } of observer === undefined ? [] : changes.flat()) {
      if (!(node instanceof MemoryDirectory) && this.#path === "") observer!.onNamed(name, node);
      if (node === undefined || node instanceof MemoryDirectory) observer!.onDirectoryNamed?.(this.#pathOf(name), node);
    }
  }

  /** Takes the directory; free again after a crash. */
  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async lock(): Promise<{ release(): Promise<void> }> {
    const { life } = this.#machine;
    if (this.#lockedLife === life) throw new StoreLockedError(this.location);
    this.#lockedLife = life;
    const release = (): Promise<void> => {
      if (this.#lockedLife === life) this.#lockedLife = undefined;
      return Promise.resolve();
    };
    return { release };
  }

  /** See {@linkcode Machine.perform}. */
  #perform(operation: FileOperation, change?: () => void): Promise<void> {
    return this.#machine.perform(operation, change);
  }

  #change(changes: DirectoryChange[]): void {
    this.#unsynced.push(changes);
    applyDirectory(this.#live, changes);
  }

  #inode(name: string): Inode {
    const node = this.#live.get(name);
    if (node === undefined || node instanceof MemoryDirectory) throw missing(this.#pathOf(name));
    return node;
  }

  #pathOf(name: string): string {
    return this.#path === "" ? name : `${this.#path}/${name}`;
  }

  /** It has got another name, and so has what is in it. */
  #move(path: string, location: string): void {
    this.#path = path;
    this.#location = location;
    for (const [name, node] of this.#live) {
      if (node instanceof MemoryDirectory) node.#move(`${path}/${name}`, `${location}/${name}`);
    }
  }
}

/** A directory by its name: what is behind the name is looked up at each operation, as a file system does. */
class MemorySubdirectory implements Files {
  readonly #parent: MemoryDirectory | MemorySubdirectory;
  readonly #name: string;

  constructor(parent: MemoryDirectory | MemorySubdirectory, name: string) {
    this.#parent = parent;
    this.#name = name;
  }

  get location(): string {
    return `${this.#parent.location}/${this.#name}`;
  }

  async ensure(): Promise<void> {
    await this.#parent.ensure();
    await this.#parentNode().makeDirectory(this.#name);
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws when it is missing
  async list(): Promise<string[]> {
    return this.#node().list();
  }

  // deno-lint-ignore require-await -- likewise
  async open(name: string, options: OpenOptions): Promise<FileHandle> {
    return this.#node().open(name, options);
  }

  // deno-lint-ignore require-await -- likewise
  async rename(from: string, to: string): Promise<void> {
    return this.#node().rename(from, to);
  }

  // deno-lint-ignore require-await -- likewise
  async remove(name: string): Promise<void> {
    return this.#node().remove(name);
  }

  directory(name: string): Files {
    return new MemorySubdirectory(this, name);
  }

  // deno-lint-ignore require-await -- likewise
  async removeDirectory(name: string): Promise<void> {
    return this.#node().removeDirectory(name);
  }

  // deno-lint-ignore require-await -- likewise
  async syncDirectory(): Promise<void> {
    return this.#node().syncDirectory();
  }

  // deno-lint-ignore require-await -- likewise
  async lock(): Promise<{ release(): Promise<void> }> {
    return this.#node().lock();
  }

  #node(): MemoryDirectory {
    return this.#parentNode().child(this.#name);
  }

  #parentNode(): MemoryDirectory {
    return this.#parent instanceof MemoryDirectory ? this.#parent : this.#parent.#node();
  }
}

function filesOf(entries: ReadonlyMap<string, Node>): Map<string, Inode> {
  const files = new Map<string, Inode>();
  for (const [name, node] of entries) if (!(node instanceof MemoryDirectory)) files.set(name, node);
  return files;
}

function missing(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file or directory "${path}"`), { code: "ENOENT" });
}

function applyDirectory(entries: Map<string, Node>, changes: readonly DirectoryChange[]): void {
  for (const { name, node } of changes) {
    if (node === undefined) entries.delete(name);
    else entries.set(name, node);
  }
}
