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

/** Where some entries are, one after the other. */
interface Places {
  /** Where the first one is in the file. */
  readonly start: number;
  /** Where the last one ends. */
  readonly end: number;
  /** Bytes of each. */
  readonly lengths: Uint32Array;
  /** Pieces of the file, each without a gap, that hold them all. */
  readonly pieces: readonly Piece[];
}

interface Piece {
  readonly offset: number;
  bytes: number;
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
  const places = placesOf(entries, from, Math.min(end, entries.end), bytesMax);
  try {
    return await readPlaces(files, name, from, places);
  } catch (error) {
    if (!(error instanceof DamagedEntryError)) throw error;
    // Once more, and by itself: what was read wrongly once is not damaged, and to be believed so costs a leadership.
    return await readPlaces(files, name, from, firstOf(places));
  }
}

function placesOf(entries: Segment["entries"], from: LogIndex, end: LogIndex, bytesMax: number): Places {
  const start = entries.offset(from);
  const pieces: Piece[] = [];
  let piece: Piece = { offset: start, bytes: 0 };
  let total = 0;
  let index = from;
  for (; index < end; index++) {
    const offset = entries.offset(index);
    const bytes = entries.byteLength(index);
    // Where writes have gone to the wrong place, what comes next may be before all this.
    const isBack = offset < piece.offset + piece.bytes;
    const isTooMuch = total + bytes > bytesMax || offset + bytes - start > 2 * bytesMax + SPAN_BYTES;
    if (index > from && (isBack || isTooMuch)) break;
    if (offset !== piece.offset + piece.bytes || index === from) pieces.push(piece = { offset, bytes: 0 });
    piece.bytes += bytes;
    total += bytes;
  }
  return { start, end: piece.offset + piece.bytes, lengths: entries.byteLengths(from, index), pieces };
}

function firstOf({ start, lengths }: Places): Places {
  const bytes = lengths[0];
  return { start, end: start + bytes, lengths: lengths.subarray(0, 1), pieces: [{ offset: start, bytes }] };
}

/** The records at these places, up to the first one that is damaged. */
async function readPlaces(files: Files, name: string, from: LogIndex, places: Places): Promise<Records> {
  const { start, end, lengths, pieces } = places;
  const bytes = new Uint8Array(end - start);
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
  for (const { offset, bytes: length } of pieces) {
    if (at !== offset - start) bytes.copyWithin(at, offset - start, offset - start + length);
    at += length;
  }
  return verified(bytes.subarray(0, at), from, start, lengths, pathOf(files, name));
}

/** The records in these bytes up to the first one that is damaged. */
function verified(bytes: Uint8Array, from: LogIndex, start: number, lengths: Uint32Array, path: string): Records {
  try {
    return decodeRecords(bytes, from);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    let at = 0;
    for (let i = 0; i < lengths.length; i++) {
      const next = at + lengths[i];
      if (!isRecord(bytes.subarray(at, next), from + i)) {
        if (i === 0) throw new DamagedEntryError(from, path, start, error.message);
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
