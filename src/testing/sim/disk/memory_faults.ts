/**
 * What can be wrong with a disk that is a store in memory: that it is lost.
 *
 * @module
 */
import type { Disk } from "../../../types.ts";
import type { DiskFaults } from "../storage.ts";
import type { Replacement } from "./disk_actions.ts";

/** See {@linkcode DiskFaults}: none but an empty disk. */
export class MemoryFaults implements DiskFaults {
  readonly hasFailed = false;
  readonly isDamaged = false;
  readonly #wipe: () => void;

  /** Takes what empties the disk. */
  constructor(wipe: () => void) {
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

  arm(): void {}
  disarm(): void {}
  fill(): void {}
  stall(): void {}
  misread(): void {}
  heal(): void {}
  absolve(): void {}
}
