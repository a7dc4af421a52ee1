/**
 * What would be found on a disk if the power went now, kept up change by change at the Files port.
 *
 * @module
 */
import { SEGMENT_HEADER_BYTES, sequenceOfName } from "../../../store/wal/segment_header.ts";
import type { LogIndex } from "../../../types.ts";
import type { DurabilityObserver, DurableDirectory, FileChange, Inode } from "../../memory_file.ts";
import { applyWrite, type DurableWrite, emptyView, nobody, type Prefix } from "../disk_view.ts";
import { ChainLog } from "../chain.ts";
import type { DiskView } from "../view.ts";
import { batchAt, headAt, layoutOf, type PlacedBatch, segmentStart } from "./layout.ts";
import { indexOfWhole, snapshotOf, wholeSnapshots } from "./snapshot_layout.ts";

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
  /** How often anything on the disk has changed. */
  changes = 0;
  readonly #onBatch: (write: DurableWrite) => void;
  readonly #prefix: Prefix;
  readonly #segments = new Map<Inode, Tracked>();
  /** Those that are whole, with the last entry that they include. */
  #snapshots = new Map<string, LogIndex>();
  /** Sequence of the latest batch. */
  #sequence = 0;
  /** The log's first entry: those before it are in a snapshot. */
  #firstIndex: LogIndex = 1;
  /** How often entries were truncated; undefined before the first batch. */
  #truncations: number | undefined;
  /** Entries that are damaged: what comes later takes them away, or brings them again. */
  #damaged = new Set<LogIndex>();
  /** The first entry of each repair. */
  #repairs = new Set<LogIndex>();
  /** What the log was, for what is not there: gone with its segment, or damaged. */
  #known: ChainLog = new ChainLog();

  /**
   * Calls `onBatch` for each batch that becomes durable, when the view has it.
   *
   * @param prefix What a snapshot stands for, that takes the place of a log or of its beginning.
   */
  constructor(onBatch: (write: DurableWrite) => void, prefix: Prefix = nobody) {
    this.#onBatch = onBatch;
    this.#prefix = prefix;
  }

  onDurable(inode: Inode, change: FileChange): void {
    this.changes++;
    const tracked = this.#segments.get(inode);
    if (tracked !== undefined && change.type === "write") this.#follow(inode, tracked);
  }

  onNamed(name: string, inode: Inode | undefined): void {
    this.changes++;
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

  onDirectoryNamed(path: string, directory: DurableDirectory | undefined): void {
    this.changes++;
    const id = snapshotOf(path);
    if (id === undefined) return;
    this.#snapshots.delete(id);
    const index = directory && indexOfWhole(directory, id);
    if (index !== undefined) this.#snapshots.set(id, index);
    this.#showSnapshots();
  }

  /** Begins anew with what a crash left. Where a later batch says that there was something, it is what is known of it. */
  rebuild(root: DurableDirectory): void {
    const files = root.durableFiles();
    const segments = layoutOf(files);
    const last = segments.findLast(({ batches }) => batches.length > 0)?.batches.at(-1)?.head;
    this.#known = this.view.log;
    this.#repairs = new Set();
    this.view = { ...emptyView(), damaged: this.#damaged, repairs: this.#repairs };
    this.#segments.clear();
    this.#sequence = 0;
    this.#truncations = undefined;
    this.#firstIndex = last?.compactTo?.firstIndex ?? last?.before.firstIndex ?? 1;
    if (this.#firstIndex > 1) this.view.log = this.#prefix(this.#firstIndex - 1);
    for (const { name, sequence, seed, batches, hasBatch } of segments) {
      // One that was never torn counts, though entries of it are damaged: the next start goes on after it.
      const first = hasBatch ? headAt(files.get(name)!.durable, SEGMENT_HEADER_BYTES, seed) : undefined;
      this.#sequence = Math.max(this.#sequence, first?.head.sequence ?? 0);
      for (const batch of batches) this.#apply(batch);
      this.#segments.set(files.get(name)!, { sequence, seed, end: batches.at(-1)?.end ?? SEGMENT_HEADER_BYTES });
    }
    this.findSnapshots(root);
  }

  /** Begins anew with what damage left: the view stays what it was, but all entries except these may be damaged. */
  rebuildDamaged(root: DurableDirectory, whole: ReadonlySet<LogIndex>): void {
    const { term, votedFor, log } = this.view;
    for (let i = this.#firstIndex; i <= log.last; i++) if (!whole.has(i)) this.#damaged.add(i);
    this.rebuild(root);
    Object.assign(this.view, { term, votedFor });
    this.view.log.fill(log, log.last + 1);
  }

  /** These are damaged, and no others. */
  findDamaged(damaged: ReadonlySet<LogIndex>): void {
    this.changes++;
    this.#damaged.clear();
    for (const index of damaged) this.#damaged.add(index);
  }

  /** Whether the log and the snapshots that are whole leave no gap. */
  get isGapless(): boolean {
    return this.view.snapshot >= this.#firstIndex - 1;
  }

  /** Looks which snapshots are whole. */
  findSnapshots(root: DurableDirectory): void {
    this.changes++;
    this.#snapshots = wholeSnapshots(root);
    this.#showSnapshots();
  }

  #showSnapshots(): void {
    this.view.snapshot = Math.max(0, ...this.#snapshots.values());
  }

  /** Takes the batches that a segment has got since. */
  #follow(inode: Inode, tracked: Tracked): void {
    for (;;) {
      const found = headAt(inode.durable, tracked.end, tracked.seed);
      if (found === undefined || found.head.segment !== tracked.sequence) return;
      const { sequence } = found.head;
      // A start says again what was said since an earlier batch, or by the last one: see the store's start.
      const isAgain = tracked.end === SEGMENT_HEADER_BYTES && sequence <= this.#sequence;
      if (sequence !== this.#sequence + 1 && !isAgain) return;
      const batch = batchAt(inode.durable, tracked.end, tracked.seed);
      // With entries of it damaged, it is said again as it is: the view has all of it.
      if (batch === undefined && sequence !== this.#sequence) return;
      tracked.end = found.end;
      if (batch === undefined) continue;
      this.#mend(batch.head);
      this.#onBatch(this.#apply(batch));
    }
  }

  #apply({ head, records }: PlacedBatch): DurableWrite {
    this.#sequence = head.sequence;
    for (const { from } of head.repaired) this.#repairs.add(from);
    const { before } = head;
    const { log } = this.view;
    // Every batch says it.
    const isNews = head.vote.term !== this.view.term || head.vote.votedFor !== this.view.votedFor;
    const vote = isNews ? head.vote : undefined;
    // Nothing changes any more before the log's first entry, whatever was said before that was the first.
    const from = (index: LogIndex) => Math.max(index, this.#firstIndex);
    const truncateFrom = head.truncateFrom === undefined ? undefined : from(head.truncateFrom);
    // A start says again how far the log is compacted.
    const isCompacted = (head.compactTo?.firstIndex ?? 0) <= this.#firstIndex;
    const compactTo = isCompacted ? undefined : head.compactTo;
    const write = { records: records.count === 0 ? [] : [records], vote, truncateFrom, compactTo };
    // What a batch has truncated that is lost, a later one says.
    if (before.truncations > (this.#truncations ?? Infinity)) log.truncateFrom(from(before.truncatedFrom));
    this.#truncations = before.truncations + (truncateFrom === undefined ? 0 : 1);
    // What is said again replaces itself.
    log.truncateFrom(from(before.nextIndex));
    log.fill(this.#known, before.nextIndex);
    if (records.count > 0) log.truncateFrom(from(records.from));
    applyWrite(this.view, write, this.#prefix);
    if (compactTo !== undefined) this.#firstIndex = compactTo.firstIndex;
    return write;
  }

  /** Not where it begins anew: what a crash has left besides is told by recovery. */
  #mend({ truncateFrom = Infinity, compactTo, repaired }: PlacedBatch["head"]): void {
    for (const index of this.#damaged) {
      const isGone = index >= truncateFrom || index < (compactTo?.firstIndex ?? 0);
      const isRepaired = repaired.some(({ from, count }) => index >= from && index < from + count);
      if (isGone || isRepaired) this.#damaged.delete(index);
    }
  }
}
