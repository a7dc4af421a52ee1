/**
 * Where the entries of a batch are.
 *
 * @module
 */
import type { BatchHead } from "../../wire/batch.ts";
import type { Records } from "../../wire/record.ts";
import type { RepairTable } from "./repair_table.ts";
import { compactSegments, type Segment, truncateSegments } from "./segment.ts";

/** Notes where the entries of a batch are that is at this offset of the last segment, and which are no more. */
export function place(
  head: Pick<BatchHead, "truncateFrom" | "compactTo"> & {
    readonly headBytes: number;
    /** The repairs that it was written with; those that can't be read count too. */
    readonly repaired: readonly { readonly from: number; readonly bytes: number }[];
  },
  records: readonly Records[],
  repairs: readonly Records[],
  offset: number,
  segments: readonly Segment[],
  table: RepairTable,
): void {
  const segment = segments[segments.length - 1];
  const { truncateFrom, compactTo } = head;
  if (truncateFrom !== undefined) {
    truncateSegments(segments, truncateFrom);
    table.truncateFrom(truncateFrom);
    segment.truncatedFrom = Math.min(segment.truncatedFrom, truncateFrom);
  }
  if (compactTo !== undefined) {
    compactSegments(segments, compactTo.firstIndex);
    table.compactTo(compactTo.firstIndex);
  }
  let at = offset + head.headBytes;
  for (const { from, bytes } of head.repaired) {
    const part = repairs.find((part) => part.from === from);
    if (part !== undefined) table.add(segment, part, at);
    at += bytes;
  }
  for (const part of records) {
    segment.entries.append(part, at);
    at += part.byteLength;
  }
}
