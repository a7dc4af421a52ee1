/**
 * What a start writes: everything that is in the latest segments once more, or at least the last batch, as the first
 * batch of a segment.
 *
 * Nothing says that the last batch of all is durable: it may be in the operating system's cache only. Whole again in a
 * new file, it is. When there is little in the latest segments, the new one takes the place of all of them, under the
 * name and batch sequence of the first: so starts that write little add no segments. A crash in between leaves what was
 * there, or some of the replaced segments besides, which recovery knows by how often the server was started.
 *
 * @module
 */
import { mark } from "../../marks.ts";
import type { BatchHead } from "../../wire/batch.ts";
import { REPAIRS_MAX } from "../../wire/batch.ts";
import type { Records } from "../../wire/record.ts";
import type { Files } from "../files.ts";
import type { Recovered, WalkedSegment } from "./recovery.ts";
import { type Segment, truncateSegments } from "./segment.ts";
import { SEGMENT_HEADER_BYTES, segmentName } from "./segment_header.ts";
import { readEntries } from "./segment_reader.ts";

/** How a start goes on from what was found. */
export interface StartPlan {
  /** The first batch. */
  readonly head: BatchHead;
  /** Its entries. */
  readonly records: readonly Records[];
  /** The entries that it repairs. */
  readonly repairs: readonly Records[];
  /** Segments that stay, in order. */
  readonly kept: Segment[];
  /** Segments whose entries are all in the new one. */
  readonly merged: readonly Segment[];
  /** Files whose segments are empty, left over, or merged into the new one: to be removed when that is durable. */
  readonly obsolete: readonly string[];
}

type Content = Omit<StartPlan, "head" | "obsolete"> & {
  readonly head: Omit<BatchHead, "mark" | "group" | "starts" | "vote" | "clusterId" | "truncateTerm">;
};

/** Decides what to write. Segments with entries of at most so many bytes are merged. */
export async function planStart(files: Files, recovered: Recovered, mergedBytesMax: number): Promise<StartPlan> {
  const { walked, state, sequences } = recovered;
  const merged = walked.slice(firstMerged(recovered, mergedBytesMax));
  const plan = merged.length > 0 ? await merge(files, recovered, merged) : repeatLast(recovered);
  if (plan.head.compactTo !== undefined) mark("compaction-said-again");
  const obsolete = sequences.filter((sequence) => sequence > plan.head.segment).map(segmentName);
  const head: BatchHead = {
    ...plan.head,
    mark: plan.head.sequence - 1,
    group: 0,
    starts: state.starts + 1,
    vote: state.vote,
    clusterId: state.clusterId,
    truncateTerm: state.termAt((plan.head.truncateFrom ?? 0) - 1),
  };
  return { ...plan, head, obsolete };
}

/** Position of the first of the latest segments that together hold little; how many there are when there is none. */
function firstMerged({ walked, last, state, repairs }: Recovered, mergedBytesMax: number): number {
  let at = walked.length;
  let bytes = 0;
  let repaired = 0;
  for (; at > 0; at--) {
    const { segment, isDamaged } = walked[at - 1];
    const ranges = repairs.in(segment);
    repaired += ranges.length;
    bytes += segment.entries.bytesFrom(state.firstIndex);
    for (const { entries } of ranges) bytes += entries.bytesFrom(0);
    if (isDamaged || bytes > mergedBytesMax || repaired > REPAIRS_MAX) break;
  }
  // The last batch must be written again, however large; when its segment holds nothing else, over it.
  const isAlone = last?.offset === SEGMENT_HEADER_BYTES && walked[walked.length - 1].isDamaged === false;
  return at === walked.length && isAlone ? at - 1 : at;
}

async function merge(files: Files, recovered: Recovered, merged: readonly WalkedSegment[]): Promise<Content> {
  const { walked, state, repairs: table } = recovered;
  const { first, segment } = merged[0];
  const { before } = first!;
  const { firstIndex, prevTerm } = state;
  const truncateFrom = Math.min(...merged.map(({ segment }) => segment.truncatedFrom));
  const nextIndex = Math.min(truncateFrom, before.nextIndex);
  const records: Records[] = [];
  const repairs: Records[] = [];
  for (const { segment } of merged) {
    const from = Math.max(segment.entries.from, firstIndex);
    await read(files, segment, from, segment.entries.end, records);
    for (const { entries } of table.in(segment)) {
      // The entries beyond are all written again, repaired or not.
      const end = Math.min(entries.end, nextIndex);
      await read(files, { entries, name: segment.name }, Math.max(entries.from, firstIndex), end, repairs);
    }
  }
  return {
    head: {
      segment: segment.sequence,
      sequence: first!.sequence,
      chain: first!.chain,
      before,
      truncateFrom: truncateFrom < before.nextIndex ? truncateFrom : undefined,
      compactTo: firstIndex > before.firstIndex ? { firstIndex, prevTerm } : undefined,
    },
    records,
    repairs,
    kept: walked.slice(0, walked.length - merged.length).map(({ segment }) => segment),
    merged: merged.map(({ segment }) => segment),
  };
}

async function read(
  files: Files,
  segment: Pick<Segment, "entries" | "name">,
  from: number,
  end: number,
  into: Records[],
): Promise<void> {
  for (let next = from; next < end;) {
    const part = await readEntries(files, segment, next, end, Infinity);
    into.push(part);
    next = part.end;
  }
}

function repeatLast({ walked, last, state }: Recovered): Content {
  const kept = walked.map(({ segment }) => segment);
  const records = last === undefined || last.records.count === 0 ? [] : [last.records];
  // The segment to begin will have them.
  if (records.length > 0) truncateSegments(kept, records[0].from);
  return {
    head: {
      segment: (kept.at(-1)?.sequence ?? 0) + 1,
      sequence: last?.head.sequence ?? 1,
      chain: last?.head.chain ?? 0,
      before: last?.head.before ?? state.before(0),
      truncateFrom: last?.head.truncateFrom,
      compactTo: last?.head.compactTo,
    },
    records,
    repairs: last?.repairs ?? [],
    kept,
    merged: [],
  };
}
