/**
 * Files in memory that forget like a disk: what was not synced when the machine crashes may be there, or not, or in part.
 *
 * Everything that is left to chance on a real disk is asked of the caller, so that a run can be repeated.
 *
 * @module
 */
import { MemoryDirectory } from "./memory_directory.ts";
import type { Choose, DurabilityObserver, FileHost, FileOperation } from "./memory_file.ts";
import { Machine } from "./memory_machine.ts";

export type { Choose, FileOperation } from "./memory_file.ts";

/** What {@linkcode MemoryFiles} takes. */
export interface MemoryFilesOptions {
  /** How errors name the directory. @default {"memory"} */
  readonly location?: string;
  /** Delays an operation until the promise resolves. By default it is done in a microtask. */
  readonly schedule?: (operation: FileOperation) => Promise<void>;
  /** The error that an operation fails with, `undefined` to let it pass. By default nothing fails. */
  readonly fault?: (operation: FileOperation) => Error | undefined;
  /**
   * Whether what a durable write wrote although it failed may get onto the disk all the same; else it is read until the
   * crash and never written. By default it may.
   */
  readonly keepsFailed?: (operation: FileOperation) => boolean;
  /** Told of every error when whoever asked for the operation is. */
  readonly onFailure?: (operation: FileOperation, error: Error) => void;
  /** May change what a read gives, in place. By default reads are true. */
  readonly misread?: FileHost["misread"];
  /** Told of what becomes durable in the outermost directory. */
  readonly observer?: DurabilityObserver;
  /** Room for all files together; a write beyond it fails with ENOSPC. @default {Infinity} */
  readonly bytesMax?: number;
}

/** Nothing survives a crash but what was synced. */
export const loseAll: Choose = () => 0;

/** Everything survives a crash, synced or not. */
export const keepAll: Choose = (options) => options - 1;

/** A directory in memory. Outlives the stores that use it: {@linkcode MemoryFiles.crash} it and open the next one. */
export class MemoryFiles extends MemoryDirectory {
  readonly #machine: Machine;

  /** An empty directory. */
  constructor(options: MemoryFilesOptions = {}) {
    const machine = new Machine();
    super(options.location ?? "memory", "", machine);
    this.#machine = machine;
    machine.root = this;
    if (options.schedule !== undefined) machine.schedule = options.schedule;
    if (options.fault !== undefined) machine.fault = options.fault;
    if (options.keepsFailed !== undefined) machine.keepsFailed = options.keepsFailed;
    if (options.misread !== undefined) machine.misread = options.misread;
    if (options.onFailure !== undefined) machine.onFailure = options.onFailure;
    machine.observer = options.observer;
    if (options.bytesMax !== undefined) machine.bytesMax = options.bytesMax;
  }

  /** How many operations were asked for so far. */
  get operationCount(): number {
    return this.#machine.operationCount;
  }

  /** Replaces the `bytesMax` option. */
  set bytesMax(bytesMax: number) {
    this.#machine.bytesMax = bytesMax;
  }

  /** Bytes of all files together, as reads see them. */
  get bytesUsed(): number {
    let total = 0;
    for (const inode of this.inodes()) total += inode.live.size;
    return total;
  }

  /** Replaces the `fault` option. */
  set fault(fault: (operation: FileOperation) => Error | undefined) {
    this.#machine.fault = fault;
  }

  /**
   * Lets this many more operations be done. The next one is begun but never done (a write may survive the crash, in
   * part), and everything after it fails, until {@linkcode crash} or {@linkcode kill}.
   */
  haltAfter(operations: number): void {
    this.#machine.operationsLeft = operations;
  }

  /** The machine loses power: what isn't synced survives as `choose` says, sector by sector. Locks are free again. */
  crash(choose: Choose): void {
    this.forget(choose);
    this.kill();
  }

  /** The process dies, the machine goes on: nothing written is lost, nothing unsynced is safe yet. Locks are free again. */
  kill(): void {
    this.#machine.life++;
    this.#machine.operationsLeft = Infinity;
  }

  /** An independent copy of what is on the disk and in its cache, with no fault and no schedule. */
  clone(): MemoryFiles {
    const twin = new MemoryFiles({ location: this.location });
    twin.copyFrom(this);
    return twin;
  }
}
