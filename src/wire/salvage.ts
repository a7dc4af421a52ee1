/**
 * What is left of records that are damaged: a header has its own checksum, so a damaged payload doesn't stop the walk.
 *
 * @module
 */
import type { LogIndex } from "../types.ts";
import { crc32c } from "./crc32c.ts";
import { getU32, getU64 } from "./integers.ts";
import { RECORD_HEADER_BYTES, Records } from "./record.ts";

/** Records of which some are damaged. */
export interface SalvagedRecords {
  /** Those up to the first one whose header is damaged: where the next one begins can't be known. */
  readonly records: Records;
  /** Those among them whose payload is damaged. */
  readonly damaged: readonly LogIndex[];
}

/** Walks over the records of the entries `[from, from + count)`. */
export function salvageRecords(bytes: Uint8Array, from: LogIndex, count: number): SalvagedRecords {
  const offsets = [0];
  const damaged: LogIndex[] = [];
  let term = 0;
  for (let at = 0, index = from; index < from + count; index++) {
    const body = at + RECORD_HEADER_BYTES;
    if (body > bytes.length || crc32c(bytes, at + 4, body) !== getU32(bytes, at)) break;
    const next = body + getU32(bytes, at + 8) + getU32(bytes, at + 12);
    // A whole header that says this is another one's, by a write to the wrong place.
    if (getU64(bytes, at + 16) !== index || getU64(bytes, at + 24) < term) break;
    term = getU64(bytes, at + 24);
    if (next > bytes.length) break;
    if (crc32c(bytes, body, next) !== getU32(bytes, at + 40)) damaged.push(index);
    offsets.push(at = next);
  }
  const records = new Records(from, bytes.subarray(0, offsets[offsets.length - 1]), Uint32Array.from(offsets));
  return { records, damaged };
}
