/**
 * The latest changes, for watchers that come back after a lost connection. Bounded in count and bytes.
 *
 * @module
 */
import type { LogIndex } from "@securecollc/raft";
import type { Change } from "./machine.ts";

const CHANGES_MAX = 4096;
const BYTES_MAX = 8 * 1024 * 1024;

/** Keeps the latest changes and forgets the oldest. */
export class ChangeLog {
  #changes: Change[] = [];
  /** How many at the front are forgotten already. */
  #start = 0;
  #bytes = 0;
  /** Index of the latest change that was forgotten. */
  #forgotten: LogIndex = 0;

  add(change: Change): void {
    this.#changes.push(change);
    this.#bytes += bytesOf(change);
    while (this.#changes.length - this.#start > CHANGES_MAX || this.#bytes > BYTES_MAX) this.#forget();
  }

  /** What came after that index, oldest first; undefined when some of it is forgotten. */
  after(index: LogIndex): Change[] | undefined {
    if (index < this.#forgotten) return undefined;
    let from = this.#changes.length;
    while (from > this.#start && this.#changes[from - 1]!.index > index) from--;
    return this.#changes.slice(from);
  }

  /** Nothing is known of what came before that index. */
  reset(index: LogIndex): void {
    this.#changes = [];
    this.#start = 0;
    this.#bytes = 0;
    this.#forgotten = index;
  }

  #forget(): void {
    const oldest = this.#changes[this.#start]!;
    this.#forgotten = oldest.index;
    this.#bytes -= bytesOf(oldest);
    this.#start++;
    // Moving the rest to the front each time would make a change cost as much as there are changes.
    if (this.#start < CHANGES_MAX) return;
    this.#changes = this.#changes.slice(this.#start);
    this.#start = 0;
  }
}

function bytesOf({ key, value }: Change): number {
  return key.length + (value?.length ?? 0);
}
