/**
 * Finds out what is in a directory of segments, without changing any file.
 *
 * What is true on disk is the longest chain of batches. Two rules tell a torn write (which nobody was told of) from
 * damage (to what somebody may count on):
 *
 * - Each batch says up to which batch all was durable when it was written. Where the chain breaks although there is a
 *   later batch, what is missing was durable: there is damage, and the entries that were there are known to be damaged.
 *   Otherwise the rest is a torn write, and not there.
 * - The first batch of a segment says where the segment before ends. What comes after in that one is void: a tail that
 *   an earlier start has taken over, or garbage.
 *
 * What a later batch says of the log before it bounds what was lost: see LogState.reconcile().
 *
 * The last batch of all has no successor to say that it was durable: it may be in the operating system's cache only. So
 * every start writes what that batch said once more, as the first batch of a segment: see start.ts. The header of such a
 * segment says that this batch was durable before the file got its name, so it is never a torn write. It may take the
 * place of the latest segments when there is little in them, which is why it says how often the server was started:
 * segments that say less than the one before them are left over.
 *
 * @module
 */
import { CorruptionError, ProtocolError } from "../../errors.ts";
import { mark } from "../../marks.ts";
import type { LogIndex } from "../../types.ts";
import type { DecodedBatchHead, LogBefore } from "../../wire/batch.ts";
import type { Files } from "../files.ts";
import type { DamagePlace } from "../store.ts";
import { BatchFinder } from "./batch_finder.ts";
import { findSegments, type FoundSegment, pathOf } from "./found_segments.ts";
import { LogState } from "./log_state.ts";
import { place } from "./places.ts";
import { RepairTable } from "./repair_table.ts";
import { type ScannedBatch, SegmentScanner, withFile } from "./scanner.ts";
import { compactSegments, Segment, truncateSegments } from "./segment.ts";
import { SEGMENT_HEADER_BYTES, type SegmentHeader, segmentName } from "./segment_header.ts";

/** What was found. */
export interface Recovered {
  /** With the last batch. */
  readonly state: LogState;
  /** The segments up to the last one that holds a batch, in order. */
  readonly walked: readonly WalkedSegment[];
  /** Where repaired entries are. */
  readonly repairs: RepairTable;
  /** The last batch; undefined when there is none. */
  readonly last: ScannedBatch | undefined;
  /** The header of one of them, if there is any. */
  readonly header: SegmentHeader | undefined;
  /** All segments' sequences, those without a batch and those that are left over included. */
  readonly sequences: readonly number[];
}

/** A segment with what is in it. */
export interface WalkedSegment {
  readonly segment: Segment;
  /** Its first batch; undefined when that is lost. */
  readonly first: DecodedBatchHead | undefined;
  /** Whether anything in it is damaged: then it stays as it is. */
  isDamaged: boolean;
}

/** Batches of the log that can't be read. */
interface Loss extends DamagePlace {
  /** The segment that the first of them was in. */
  readonly segment: number;
}

/**
 * Reads all segments.
 *
 * @throws {CorruptionError} When it can't be told what the log or the vote was.
 * @throws {StorageError} When it is another server's log or of a newer format.
 */
export async function recover(files: Files, serverId: string): Promise<Recovered> {
  const { sequences, current } = await findSegments(files, serverId);
  return await new Recovery(files, current).run(sequences);
}

class Recovery {
  readonly #files: Files;
  readonly #found: readonly FoundSegment[];
  readonly #state = new LogState();
  readonly #repairs = new RepairTable();
  readonly #segments: Segment[] = [];
  readonly #walked: WalkedSegment[] = [];
  /** The latest of them, since the last one of which a batch counts: nothing in them does. */
  readonly #void: WalkedSegment[] = [];
  /** The latest batch, which is not in the state yet. */
  #last: { readonly batch: ScannedBatch; readonly segment: Segment } | undefined;
  /** Sequence and checksum of the latest batch. */
  #sequence = 0;
  #chain = 0;
  #isBegun = false;
  /** What is lost since the latest batch. */
  #loss: Loss | undefined;

  constructor(files: Files, found: readonly FoundSegment[]) {
    this.#files = files;
    this.#found = found;
  }

  async run(sequences: readonly number[]): Promise<Recovered> {
    const used = this.#found.slice(0, await this.#usedCount());
    for (let i = 0; i < used.length; i++) await this.#walk(used[i], used[i - 1], used[i + 1]);
    const last = this.#last?.batch;
    this.#applyLast();
    // Whatever comes after what is lost says what is lost.
    if (this.#loss !== undefined) throw new CorruptionError(this.#loss.file, this.#loss.offset, this.#loss.detail);
    const header = this.#found.at(-1)?.header;
    return { state: this.#state, walked: this.#walked, repairs: this.#repairs, last, header, sequences };
  }

  /** How many segments there are up to the last one with a batch. The others were prepared, and nothing is in them. */
  async #usedCount(): Promise<number> {
    const found = this.#found;
    let count = found.length;
    while (count > 0 && !await this.#isUsed(found[count - 1])) {
      count--;
      const { location, header, sequence } = found[count];
      if (header.hasBatch) {
        throw new CorruptionError(location, SEGMENT_HEADER_BYTES, "the batch that it began with is lost");
      }
      // The one that is missing may have been in use.
      if (found[count - 1]?.sequence === sequence - 1) continue;
      throw new CorruptionError(pathOf(this.#files, segmentName(sequence - 1)), 0, "the file is missing");
    }
    return count;
  }

  async #isUsed({ name, location, seed, first }: FoundSegment): Promise<boolean> {
    if (first !== undefined) return true;
    return await withFile(this.#files, name, async (file) => {
      return await new SegmentScanner(file, location, seed).find(SEGMENT_HEADER_BYTES) !== undefined;
    });
  }

  /** Follows the batches of a segment, up to where the next one says that it ends. */
  async #walk(found: FoundSegment, before: FoundSegment | undefined, next: FoundSegment | undefined): Promise<void> {
    const { name, location, seed, sequence } = found;
    if (before !== undefined && before.sequence !== sequence - 1) {
      const file = pathOf(this.#files, segmentName(before.sequence + 1));
      this.#lose({ segment: before.sequence + 1, file, offset: 0, detail: "the file is missing" });
    }
    const segment = new Segment(sequence, 0);
    const walked: WalkedSegment = { segment, first: found.first, isDamaged: false };
    const stop = next?.first?.sequence ?? Infinity;
    await withFile(this.#files, name, async (file) => {
      const scanner = new SegmentScanner(file, location, seed);
      const finder = new BatchFinder(scanner);
      let offset = SEGMENT_HEADER_BYTES;
      let resumedAt = 0;
      while (this.#goesOn(found, stop)) {
        // Nearly always in memory: to wait for each would take longer than to look at it.
        const comes = scanner.headAt(offset);
        const head = this.#checked(comes instanceof Promise ? await comes : comes, found, offset, offset === resumedAt);
        const read = head && scanner.batchOf(head, offset);
        const batch = read instanceof Promise ? await read : read;
        if (batch !== undefined && batch.problem === undefined) {
          this.#add(walked, location, batch);
          offset += batch.head.byteLength;
          continue;
        }
        // Neither a later segment nor a later batch: a torn write, unless this one was whole when the file got its name.
        // Once something is in the wrong place, what belongs here may be at any other.
        const from = walked.isDamaged ? SEGMENT_HEADER_BYTES : offset;
        const resumed = await finder.next(batch?.head.sequence ?? this.#sequence, stop, from);
        const isFirst = offset === SEGMENT_HEADER_BYTES && found.header.hasBatch;
        if (next === undefined && resumed === undefined && !isFirst) return mark("torn-tail-dropped");
        walked.isDamaged = true;
        if (batch !== undefined) {
          this.#add(walked, location, batch);
          offset += batch.head.byteLength;
          continue;
        }
        this.#lose({
          segment: sequence,
          file: location,
          offset,
          detail: "there is no batch, or its checksum is wrong",
        });
        if (resumed === undefined) return await this.#hearRepeated(walked, scanner, finder, next?.first);
        // What was found there is there no more: to look again might have no end.
        if (resumed.offset === resumedAt) throw new CorruptionError(location, offset, "it reads differently each time");
        offset = resumedAt = resumed.offset;
      }
      segment.end = offset;
    });
    if (this.#segments.at(-1) !== segment) {
      // Kept like a damaged one until the log is compacted up to here: left behind, it would pass for its beginning then.
      walked.isDamaged = true;
      this.#void.push(walked);
    }
    // Nothing of a file that is damaged is ever cut off.
    if (walked.isDamaged) segment.end = Infinity;
  }

  /** Whether what comes next is before batch `stop`. The log may begin with a segment of which nothing is: all of it is void. */
  #goesOn({ first }: FoundSegment, stop: number): boolean {
    return (this.#isBegun ? this.#sequence + 1 : first?.sequence ?? 0) < stop;
  }

  /**
   * The head at this offset, if its batch comes next. Where batches were lost it may be a later one: where the walk was resumed
   * after damage, or at the beginning of a segment. Anywhere else a later one was written to the wrong place.
   *
   * @throws {CorruptionError} The batch can't have been written there.
   */
  #checked(
    head: DecodedBatchHead | undefined,
    { sequence, location }: FoundSegment,
    offset: number,
    isResumed: boolean,
  ): DecodedBatchHead | undefined {
    if (head === undefined) return undefined;
    const expected = this.#sequence + 1;
    const mayLeaveOut = this.#loss !== undefined && (isResumed || offset === SEGMENT_HEADER_BYTES);
    let problem: string | undefined;
    if (head.segment !== sequence) problem = `its batch is of segment ${head.segment}`;
    // One write at a time: see walStore.
    else if (head.mark !== head.sequence - 1) problem = `it was written when only batch ${head.mark} was durable`;
    else if (!this.#isBegun) return head;
    else if (head.sequence < expected || (head.sequence > expected && !mayLeaveOut)) {
      // A write to the wrong place, unless the segment begins with it.
      if (offset > SEGMENT_HEADER_BYTES) return undefined;
      problem = `batch ${head.sequence} is in the place of batch ${expected}`;
    } else if (this.#loss === undefined && head.chain !== this.#chain) {
      problem = `batch ${head.sequence} does not follow the batch before it`;
    }
    if (problem === undefined) return head;
    throw new CorruptionError(location, offset, problem);
  }

  #lose(loss: Loss): void {
    this.#loss ??= loss;
  }

  /** Adds a batch that comes next, whatever is lost before it. */
  #add(walked: WalkedSegment, location: string, batch: ScannedBatch): void {
    this.#applyLast();
    const { segment } = walked;
    const { head, offset } = batch;
    const { before } = head;
    for (const walked of this.#void.splice(0)) this.#keep(walked, before.nextIndex);
    let problem: string | undefined;
    if (!this.#isBegun) {
      if (before.firstIndex > 1) mark("compacted-log-recovered");
      const detail = "the segments before are missing";
      this.#state.begin(before, { file: location, offset: 0, ...this.#loss, detail });
      this.#isBegun = true;
    } else if (this.#loss !== undefined) {
      // What came before a segment's first batch is in the segment before.
      const isFirst = offset === SEGMENT_HEADER_BYTES;
      problem = this.#reconcile(before, segment, isFirst ? this.#segments.at(-1)! : segment, this.#loss);
    }
    this.#state.settle(before.lastTerm);
    problem ??= this.#state.problemOf(head, batch);
    // In its place: never torn, and not what was lost.
    if (problem !== undefined) throw new CorruptionError(location, offset, problem);
    if (this.#segments.at(-1) === segment) segment.entries.skipTo(before.nextIndex);
    else this.#keep(walked, before.nextIndex);
    this.#last = { batch, segment };
    this.#sequence = head.sequence;
    this.#chain = head.checksum;
    segment.end = offset;
    this.#loss = undefined;
    if (batch.isComplete) return;
    this.#lose({ segment: segment.sequence, file: location, offset, detail: batch.problem! });
  }

  /**
   * A start has said the last batch again, as the first one of the next segment. Where it was first it says what was lost before
   * it, which it does nowhere else when nothing before it in its segment can be read: there a later segment's would be too far.
   */
  async #hearRepeated(
    walked: WalkedSegment,
    scanner: SegmentScanner,
    finder: BatchFinder,
    repeated: DecodedBatchHead | undefined,
  ): Promise<void> {
    const { segment } = walked;
    const loss = this.#loss!;
    if (repeated === undefined || !this.#isBegun || loss.segment === segment.sequence) return;
    const { sequence, chain } = repeated;
    const found = await finder.next(sequence - 1, sequence + 1, SEGMENT_HEADER_BYTES);
    const head = found && await scanner.headAt(found.offset);
    if (head?.segment !== segment.sequence || head.chain !== chain || head.mark !== sequence - 1) return;
    this.#applyLast();
    const problem = this.#reconcile(head.before, segment, segment, loss);
    if (problem !== undefined) throw new CorruptionError(loss.file, loss.offset, problem);
    this.#state.settle(head.before.lastTerm);
    for (const it of [...this.#void.splice(0), walked]) this.#keep(it, head.before.nextIndex);
    this.#sequence = sequence - 1;
    this.#chain = chain;
    this.#loss = undefined;
  }

  #keep(walked: WalkedSegment, nextIndex: LogIndex): void {
    walked.segment.entries.from = nextIndex;
    this.#segments.push(walked.segment);
    this.#walked.push(walked);
  }

  /** Takes what a batch says of the log before it for what was lost, in that segment. */
  #reconcile(before: LogBefore, { sequence }: Segment, lossy: Segment, loss: Loss): string | undefined {
    const state = this.#state;
    const truncated = before.truncations > state.truncations;
    if (truncated && sequence - loss.segment > 1) return `${loss.detail}, and entries were truncated there`;
    const kept = state.reconcile(before, loss);
    if (typeof kept === "string") return kept;
    truncateSegments(this.#segments, kept);
    this.#repairs.truncateFrom(kept);
    compactSegments(this.#segments, before.firstIndex);
    this.#repairs.compactTo(before.firstIndex);
    if (truncated) lossy.truncatedFrom = Math.min(lossy.truncatedFrom, before.truncatedFrom);
    return undefined;
  }

  /** Takes the latest batch into the state. */
  #applyLast(): void {
    if (this.#last === undefined) return;
    const { batch, segment } = this.#last;
    const { head, offset, damaged } = batch;
    this.#last = undefined;
    this.#state.apply(head, [batch.records], batch.repairs, damaged);
    try {
      this.#state.configure(batch, damaged);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      throw new CorruptionError(pathOf(this.#files, segment.name), offset, error.message);
    }
    place(head, [batch.records], batch.repairs, offset, this.#segments, this.#repairs);
  }
}
