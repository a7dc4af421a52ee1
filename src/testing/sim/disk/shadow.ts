/**
 * What would be found on a disk if the power went now, kept up change by change at the Files port.
 *
 * @module
 */
import { SEGMENT_HEADER_BYTES, sequenceOfName } from "../../../store/wal/segment_header.ts";
import type { DurabilityObserver, FileChange, Inode } from "../../memory_file.ts";
import { applyWrite, type DurableWrite, emptyView } from "../disk_view.ts";
import type { DiskView } from "../view.ts";
import { batchAt, layoutOf, type PlacedBatch, segmentStart } from "./layout.ts";

/** A segment whose name is durable. */
interface Tracked {
  readonly sequence: number;
  readonly seed: number;
  /** Where its next batch goes. */
  end: number;
}

/** The durable part of one write-ahead log: no recovery, but a reader that goes along with the writer. */
export class LogShadow implements DurabilityObserver {
  /** What is there. The same object until {@linkcode LogShadow.rebuild}. */
  view: DiskView = emptyView();
  readonly #onBatch: (write: DurableWrite) => void;
  readonly #segments = new Map<Inode, Tracked>();
  /** Sequence of the latest batch. */
  #sequence = 0;

  /** Calls `onBatch` for each batch that becomes durable, when the view has it. */
  constructor(onBatch: (write: DurableWrite) => void) {
    this.#onBatch = onBatch;
  }

  onDurable(inode: Inode, change: FileChange): void {
    const tracked = this.#segments.get(inode);
    if (tracked !== undefined && change.type === "write") this.#follow(inode, tracked);
  }

  onNamed(name: string, inode: Inode | undefined): void {
    const sequence = sequenceOfName(name);
    if (sequence === undefined) return;
    for (const [old, tracked] of this.#segments) if (tracked.sequence === sequence) this.#segments.delete(old);
    const start = inode && segmentStart(inode.durable, name);
    if (start === undefined) return;
    const tracked = { ...start, end: SEGMENT_HEADER_BYTES };
    this.#segments.set(inode!, tracked);
    this.#follow(inode!, tracked);
    if (tracked.end === SEGMENT_HEADER_BYTES) return;
    // A start has taken the place of those that came later.
    for (const [old, { sequence }] of this.#segments) if (sequence > tracked.sequence) this.#segments.delete(old);
  }

  /** Begins anew with what a crash left. */
  rebuild(files: ReadonlyMap<string, Inode>): void {
    this.view = emptyView();
    this.#segments.clear();
    this.#sequence = 0;
    for (const { name, sequence, seed, batches } of layoutOf(files)) {
      for (const batch of batches) this.#apply(batch);
      this.#segments.set(files.get(name)!, { sequence, seed, end: batches.at(-1)?.end ?? SEGMENT_HEADER_BYTES });
    }
  }

  /** Takes the batches that a segment has got since. */
  #follow(inode: Inode, tracked: Tracked): void {
    for (;;) {
      const batch = batchAt(inode.durable, tracked.end, tracked.seed);
      if (batch === undefined || batch.head.segment !== tracked.sequence) return;
      const { sequence } = batch.head;
      // A start says again what was said since an earlier batch, or by the last one: see the store's start.
      const isAgain = tracked.end === SEGMENT_HEADER_BYTES && sequence <= this.#sequence;
      if (sequence !== this.#sequence + 1 && !isAgain) return;
      tracked.end = batch.end;
      this.#onBatch(this.#apply(batch));
    }
  }

  #apply({ head, records }: PlacedBatch): DurableWrite {
    this.#sequence = head.sequence;
    const { truncateFrom, before } = head;
    // Every batch says it.
    const isNews = head.vote.term !== this.view.term || head.vote.votedFor !== this.view.votedFor;
    const vote = isNews ? head.vote : undefined;
    const write = { records: records.count === 0 ? [] : [records], vote, truncateFrom };
    // What is said again replaces itself.
    this.view.log.truncateFrom(before.nextIndex);
    if (records.count > 0) this.view.log.truncateFrom(records.from);
    applyWrite(this.view, write);
    return write;
  }
}
