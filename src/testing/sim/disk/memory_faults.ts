/**
 * What can be wrong with a disk that is a store in memory: that it is lost, slow, or does nothing for a while.
 *
 * @module
 */
import type { Disk } from "../../../types.ts";
import type { DiskFaults, Operations } from "../storage.ts";
import type { Replacement } from "./disk_actions.ts";

/** See {@linkcode DiskFaults}: none but an empty disk and one that takes its time. */
export class MemoryFaults implements DiskFaults {
  readonly hasFailed = false;
  readonly isDamaged = false;
  readonly #operations: Operations;
  readonly #wipe: () => void;

  /** Takes what takes time, and what empties the disk. */
  constructor(operations: Operations, wipe: () => void) {
    this.#operations = operations;
    this.#wipe = wipe;
  }

  identityAfter(by: Replacement | undefined): Disk | undefined {
    return by === "wipe" ? { incarnation: "", starts: 1 } : undefined;
  }

  replace(): void {
    this.#wipe();
  }

  damage(): string {
    return "there is nothing to damage";
  }

  explain(): undefined {
    return undefined;
  }

  stall(isStalled: boolean): void {
    this.#operations.stall(isStalled);
  }

  slow(by: number): void {
    this.#operations.slow(by);
  }

  heal(): void {
    this.#operations.heal();
  }

  isNeedless(): boolean {
    return false;
  }

  arm(): void {}
  disarm(): void {}
  fill(): void {}
  misread(): void {}
  absolve(): void {}
  findDamaged(): void {}
}
