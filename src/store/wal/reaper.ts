/**
 * Removes segments whose entries are all compacted away.
 *
 * @module
 */
import { mark } from "../../marks.ts";
import type { Files } from "../files.ts";
import type { Segment } from "./segment.ts";

/**
 * Removes files in the background, the oldest first and each durably before the next: whatever a crash leaves begins
 * later, but has no hole (BD08). A file that can't be removed harms nobody; it and all after it stay until the next start.
 */
export class Reaper {
  readonly #files: Files;
  readonly #queue: Segment[] = [];
  #running: Promise<void> | undefined;
  #failed = false;

  /** Removes files of this directory. */
  constructor(files: Files) {
    this.#files = files;
  }

  /** Removes these too. They must not be needed any more, whatever a crash leaves of what was written last. */
  remove(segments: readonly Segment[]): void {
    this.#queue.push(...segments);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Waits until what is under way is done. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined && !this.#failed; next = this.#queue.shift()) {
      try {
        await this.#files.remove(next.name);
        await this.#files.syncDirectory();
        mark("compacted-segment-removed");
      } catch {
        this.#failed = true;
      }
    }
  }
}
