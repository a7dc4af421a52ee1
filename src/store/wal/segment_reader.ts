/**
 * Reads entries back from a segment.
 *
 * @module
 */
import { DamagedEntryError, ProtocolError, StorageError } from "../../errors.ts";
import type { LogIndex } from "../../types.ts";
import { decodeRecords, type Records } from "../../wire/record.ts";
import type { Files } from "../files.ts";
import { pathOf } from "./found_segments.ts";
import { readFully, withFile } from "./scanner.ts";
import type { Segment } from "./segment.ts";

/** What may be read at most besides the entries asked for: batch headers, padding and truncated entries. */
const SPAN_BYTES = 1 << 20;

interface Place {
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Reads the entries `[from, end)` as far as they are in this segment and whole, with at most so many bytes unless the
 * first one is larger.
 *
 * @throws {DamagedEntryError} When the first one is damaged.
 * @throws {StorageError} When the disk fails; names the file.
 */
export async function readEntries(
  files: Files,
  { entries, name }: Pick<Segment, "entries" | "name">,
  from: LogIndex,
  end: LogIndex,
  bytesMax: number,
): Promise<Records> {
  // All positions first: entries may be truncated and others take their indexes before the bytes are here.
  const places: Place[] = [];
  const start = entries.offset(from);
  let total = 0;
  for (let index = from; index < Math.min(end, entries.end); index++) {
    const place = { offset: entries.offset(index), bytes: entries.byteLength(index) };
    const span = place.offset + place.bytes - start;
    if (places.length > 0 && (total + place.bytes > bytesMax || span > 2 * bytesMax + SPAN_BYTES)) break;
    places.push(place);
    total += place.bytes;
  }
  try {
    return await readPlaces(files, name, from, places);
  } catch (error) {
    if (!(error instanceof DamagedEntryError)) throw error;
    // Once more, and by itself: what was read wrongly once is not damaged, and to be believed so costs a leadership.
    return await readPlaces(files, name, from, places.slice(0, 1));
  }
}

/** The records at these places, up to the first one that is damaged. */
async function readPlaces(files: Files, name: string, from: LogIndex, places: readonly Place[]): Promise<Records> {
  const start = places[0].offset;
  const last = places[places.length - 1];
  const bytes = new Uint8Array(last.offset + last.bytes - start);
  try {
    await withFile(files, name, (file) => readFully(file, bytes, start));
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if ((cause as { code?: unknown }).code === "EIO") {
      // The disk can't read a sector of it; which one is found out entry by entry.
      throw new DamagedEntryError(from, pathOf(files, name), start, message);
    }
    const problem = `Cannot read "${pathOf(files, name)}": ${message}: see to the disk, then restart`;
    throw new StorageError(problem, "read", cause);
  }
  // Moved together, over what lies between the batches.
  let at = 0;
  for (const { offset, bytes: length } of places) {
    bytes.copyWithin(at, offset - start, offset - start + length);
    at += length;
  }
  return verified(bytes.subarray(0, at), from, places, pathOf(files, name));
}

/** The records in these bytes up to the first one that is damaged. */
function verified(bytes: Uint8Array, from: LogIndex, places: readonly Place[], path: string): Records {
  try {
    return decodeRecords(bytes, from);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    let at = 0;
    for (let i = 0; i < places.length; i++) {
      const next = at + places[i].bytes;
      if (!isRecord(bytes.subarray(at, next), from + i)) {
        if (i === 0) throw new DamagedEntryError(from, path, places[0].offset, error.message);
        break;
      }
      at = next;
    }
    return decodeRecords(bytes.subarray(0, at), from);
  }
}

function isRecord(bytes: Uint8Array, index: LogIndex): boolean {
  try {
    return decodeRecords(bytes, index).count === 1;
  } catch {
    return false;
  }
}
