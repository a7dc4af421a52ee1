/**
 * What all directories of one disk in memory share: chance, faults, room, and the power that they depend on.
 *
 * @module
 */
import type { MemoryDirectory } from "./memory_directory.ts";
import { type DurabilityObserver, type FileHost, type FileOperation, halted, type Inode } from "./memory_file.ts";

/** What all directories of one disk share. */
export class Machine {
  /** Delays an operation until the promise resolves. */
  schedule: (operation: FileOperation) => Promise<void> = () => Promise.resolve();
  /** The error that an operation fails with. */
  fault: (operation: FileOperation) => Error | undefined = () => undefined;
  /** See {@linkcode FileHost}. */
  keepsFailed: (operation: FileOperation) => boolean = () => true;
  /** See {@linkcode FileHost}. */
  misread: FileHost["misread"] = () => {};
  /** Told of what becomes durable. */
  observer: DurabilityObserver | undefined;
  /** Told of every error when whoever asked for the operation is. */
  onFailure: (operation: FileOperation, error: Error) => void = () => {};
  /** Room for all files together. */
  bytesMax: number = Infinity;
  /** The outermost directory. */
  root: MemoryDirectory | undefined;
  /** Counts crashes and kills; handles and locks of an earlier life are dead. */
  life = 0;
  /** Operations that are done before everything fails. */
  operationsLeft: number = Infinity;
  /** Operations that were asked for so far. */
  operationCount = 0;

  /** Waits, fails or halts as told; `change` is what has begun as soon as the operation has. */
  async perform(operation: FileOperation, change?: () => void): Promise<void> {
    this.operationCount++;
    const life = this.life;
    if (this.operationsLeft < 0) throw halted(operation);
    this.operationsLeft--;
    const fault = this.fault(operation);
    // What failed to be written may be on the disk nevertheless.
    if (fault === undefined || operation.kind === "write") change?.();
    if (this.operationsLeft < 0) throw halted(operation);
    await this.schedule(operation);
    if (this.life !== life) throw halted(operation);
    if (fault === undefined) return;
    this.onFailure(operation, fault);
    throw fault;
  }

  /** Fails when a file of this size has no room beside the others. */
  checkRoom(operation: FileOperation, inode: Inode, size: number): void {
    if (this.bytesMax === Infinity) return;
    let total = Math.max(size, inode.live.size);
    for (const other of this.root?.inodes() ?? []) if (other !== inode) total += other.live.size;
    if (total <= this.bytesMax) return;
    const error = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    this.onFailure(operation, error);
    throw error;
  }
}
