/**
 * The Files port: one directory of files, as the write-ahead log and the snapshots need it. `adapters/fs` implements it on `node:fs`;
 * the simulator implements it on a disk that lies.
 *
 * @module
 */

/** One directory. Names have no separator in them. */
export interface Files {
  /** How errors name this directory, a path for instance. */
  readonly location: string;
  /** Makes the directory when it is missing, durably. */
  ensure(): Promise<void>;
  /** Names of all files and directories in it, in any order; without the lock's. */
  list(): Promise<string[]>;
  /** Opens a file for reading and writing. */
  open(name: string, options: OpenOptions): Promise<FileHandle>;
  /** Renames a file, over an existing one, or a directory. Durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file. Durable after `syncDirectory`. */
  remove(name: string): Promise<void>;
  /** A directory in this one, which need not be there: see `ensure`. */
  directory(name: string): Files;
  /** Removes a directory that is empty. Durable after `syncDirectory`. */
  removeDirectory(name: string): Promise<void>;
  /** Makes creations, renames and removals of files and directories durable. */
  syncDirectory(): Promise<void>;
  /**
   * Takes the directory for this process alone, until `release` or the process's death.
   *
   * @throws {StoreLockedError} When another living process (or another store of this one) has it.
   */
  lock(): Promise<{ release(): Promise<void> }>;
}

/** How a file is opened. */
export interface OpenOptions {
  /** Whether it is made when it is missing. */
  readonly create: boolean;
  /**
   * Whether each write is durable when it is done, as if `sync` followed at once (O_DSYNC: one call of the operating
   * system instead of two).
   */
  readonly durable: boolean;
}

/** An open file. It stays the same file when it is renamed or removed. Offsets and sizes in bytes. */
export interface FileHandle {
  /** The file's size. */
  size(): Promise<number>;
  /** Reads up to `into.length` bytes at the offset; returns how many there were (fewer only at the end of file). */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Writes all of the parts, one after the other, at the offset, growing the file when need be. */
  write(parts: readonly Uint8Array[], offset: number): Promise<void>;
  /** fdatasync: what was written before the call is durable when it is done, with the size needed to read it. */
  sync(): Promise<void>;
  /** Cuts or extends (with zeros) to this size. */
  truncate(size: number): Promise<void>;
  /** Closes. */
  close(): Promise<void>;
}
