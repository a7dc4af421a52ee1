/**
 * Finds where a log goes on behind damage.
 *
 * @module
 */
import { SECTOR_BYTES } from "../../wire/batch.ts";
import type { SegmentScanner } from "./scanner.ts";

/** A batch somewhere in a segment. */
interface FoundBatch {
  readonly sequence: number;
  readonly offset: number;
}

/**
 * The batches of a segment in the order in which they were written, wherever they are: copies of others, by writes to the
 * wrong place, may lie before a batch, and behind it, and neither what is at a place nor what follows there tells them apart.
 */
export class BatchFinder {
  readonly #scanner: SegmentScanner;
  /** Where it was looked from. */
  #from = Infinity;
  #found: readonly FoundBatch[] = [];
  #cursor = 0;

  /** Reads nothing before it is asked. */
  constructor(scanner: SegmentScanner) {
    this.#scanner = scanner;
  }

  /**
   * The next batch after that of this sequence, at or after this offset; undefined when there is none before `stop`.
   * To be asked in ascending order.
   */
  async next(sequence: number, stop: number, from: number): Promise<FoundBatch | undefined> {
    if (from < this.#from) {
      this.#found = await this.#collect(from);
      this.#from = from;
      this.#cursor = 0;
    }
    while (this.#cursor < this.#found.length && this.#found[this.#cursor].sequence <= sequence) this.#cursor++;
    const next = this.#found[this.#cursor] as FoundBatch | undefined;
    return next !== undefined && next.sequence < stop ? next : undefined;
  }

  async #collect(from: number): Promise<FoundBatch[]> {
    const bySequence = new Map<number, FoundBatch>();
    const start = Math.ceil(from / SECTOR_BYTES) * SECTOR_BYTES;
    for await (const { offset, head: { sequence } } of this.#scanner.heads(start)) {
      const other = bySequence.get(sequence);
      if (other === undefined || !await this.#isWhole(other)) bySequence.set(sequence, { sequence, offset });
    }
    return [...bySequence.values()].sort((a, b) => a.sequence - b.sequence);
  }

  async #isWhole({ offset }: FoundBatch): Promise<boolean> {
    const head = await this.#scanner.headAt(offset);
    return head !== undefined && (await this.#scanner.batchOf(head, offset)).problem === undefined;
  }
}
