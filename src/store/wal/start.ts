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
import type { BatchHead } from "../../wire/batch.ts";
import type { Records } from "../../wire/record.ts";
import type { Files } from "../files.ts";
import type { Recovered } from "./recovery.ts";
import { type Segment, truncateSegments } from "./segment.ts";
import { SEGMENT_HEADER_BYTES, segmentName } from "./segment_header.ts";
import { readEntries } from "./segment_reader.ts";

/** How a start goes on from what was found. */
export interface StartPlan {
  /** The first batch but for its identity. */
  readonly head: BatchHead & Required<Pick<BatchHead, "base">>;
  /** Its entries. */
  readonly records: readonly Records[];
  /** Segments that stay, in order. */
  readonly kept: Segment[];
  /** Files whose segments are empty, left over, or merged into the new one: to be removed when that is durable. */
  readonly obsolete: readonly string[];
}

/** Decides what to write. Segments with entries of at most so many bytes are merged. */
export async function planStart(files: Files, recovered: Recovered, mergedBytesMax: number): Promise<StartPlan> {
  const { walked, state, sequences } = recovered;
  const merged = walked.slice(firstMerged(recovered, mergedBytesMax));
  const plan = merged.length > 0 ? await merge(files, recovered, merged.length) : repeatLast(recovered);
  const obsolete = sequences.filter((sequence) => sequence > plan.head.segment).map(segmentName);
  return { ...plan, head: { ...plan.head, vote: state.vote }, obsolete };
}

/** Position of the first of the latest segments that together hold little; how many there are when there is none. */
function firstMerged({ walked, last, state }: Recovered, mergedBytesMax: number): number {
  let at = walked.length;
  for (let bytes = 0; at > 0; at--) {
    bytes += walked[at - 1].segment.entries.bytesFrom(state.firstIndex);
    if (bytes > mergedBytesMax) break;
  }
  // The last batch must be written again, however large; when its segment holds nothing else, over it.
  return at === walked.length && last?.offset === SEGMENT_HEADER_BYTES ? at - 1 : at;
}

async function merge(files: Files, { walked, state }: Recovered, count: number): Promise<Omit<StartPlan, "obsolete">> {
  const merged = walked.slice(-count);
  const { first, segment } = merged[0];
  const base = first.base!;
  const truncateFrom = Math.min(...merged.map(({ truncateFrom }) => truncateFrom ?? Infinity));
  const { firstIndex, prevTerm } = state;
  const records: Records[] = [];
  for (const { segment } of merged) {
    const { end, from } = segment.entries;
    for (let next = Math.max(from, firstIndex); next < end;) {
      const part = await readEntries(files, segment, next, end, Infinity);
      records.push(part);
      next = part.end;
    }
  }
  return {
    head: {
      segment: segment.sequence,
      sequence: first.sequence,
      mark: first.sequence - 1,
      chain: first.chain,
      group: 0,
      base,
      truncateFrom: truncateFrom < base.nextIndex ? truncateFrom : undefined,
      compactTo: firstIndex > base.firstIndex ? { firstIndex, prevTerm } : undefined,
    },
    records,
    kept: walked.slice(0, -count).map(({ segment }) => segment),
  };
}

function repeatLast({ walked, last, before }: Recovered): Omit<StartPlan, "obsolete"> {
  const kept = walked.map(({ segment }) => segment);
  const records = last === undefined || last.records.count === 0 ? [] : [last.records];
  // The segment to begin will have them.
  if (records.length > 0) truncateSegments(kept, records[0].from);
  const sequence = last?.head.sequence ?? 1;
  return {
    head: {
      segment: (kept.at(-1)?.sequence ?? 0) + 1,
      sequence,
      mark: sequence - 1,
      chain: last?.head.chain ?? 0,
      group: 0,
      base: before,
      truncateFrom: last?.head.truncateFrom,
      compactTo: last?.head.compactTo,
    },
    records,
    kept,
  };
}
