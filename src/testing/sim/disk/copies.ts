/**
 * Which entries a disk may have lost by damage: told by the bytes that were there before, without asking recovery.
 *
 * @module
 */
import type { LogIndex } from "../../../types.ts";
import { decodeRecords, RECORD_HEADER_BYTES, type Records } from "../../../wire/record.ts";
import type { DurableDirectory, Inode } from "../../memory_file.ts";
import { layoutOf, type PlacedHead } from "./layout.ts";

/** Bytes `[from, end)` of a file. */
interface Piece {
  readonly name: string;
  readonly from: number;
  readonly end: number;
}

/** A log as it is on a disk that is about to be damaged; of a batch that is damaged already only what its head says is known. */
export class Copies {
  readonly #before: ReadonlyMap<string, Uint8Array>;
  /** Of each entry all that must be whole for it to be found and read. */
  readonly #needs = new Map<LogIndex, readonly Piece[]>();
  /** The first entry of each repair: where what was whole before it is lost, it stays with that, as its term is known. */
  readonly #begins = new Set<LogIndex>();

  /** Notes where everything is. */
  constructor(root: DurableDirectory) {
    const files = root.durableFiles();
    this.#before = imagesOf(files);
    for (const { name, heads } of layoutOf(files)) {
      for (const head of heads) this.#place(name, head, files.get(name)!, heads[0]!);
    }
  }

  /** The entries of which nothing has changed, now that this is there: recovery must find them. */
  wholeIn(root: DurableDirectory): Set<LogIndex> {
    const now = imagesOf(root.durableFiles());
    const isWhole = (piece: Piece) => isSame(this.#before.get(piece.name)!, now.get(piece.name), piece);
    const whole = new Set<LogIndex>();
    for (const [index, pieces] of [...this.#needs].sort(([a], [b]) => a - b)) {
      const stays = this.#begins.has(index) && this.#needs.has(index - 1) && !whole.has(index - 1);
      if (!stays && pieces.every(isWhole)) whole.add(index);
    }
    return whole;
  }

  /** What a batch takes away, and what it brings. */
  #place(name: string, { head, records, offset }: PlacedHead, { durable }: Inode, first: PlacedHead): void {
    const { before, truncateFrom, compactTo, repaired, headBytes } = head;
    const from = compactTo?.firstIndex ?? before.firstIndex;
    const end = Math.min(truncateFrom ?? Infinity, before.nextIndex);
    for (const index of this.#needs.keys()) if (index < from || index >= end) this.#needs.delete(index);
    const ofHead = { name, from: offset, end: offset + headBytes };
    // Where a later batch is in the place of a segment's first one, those between them are not looked for.
    const heads = [{ name, from: first.offset, end: first.offset + first.head.headBytes }, ofHead];
    // Where a truncation is lost, all that is known is how far down the latest ones have gone.
    const doubtful = truncateFrom === undefined ? Infinity : Math.min(truncateFrom, before.truncatedFrom || Infinity);
    for (const [index, pieces] of this.#needs) if (index >= doubtful) this.#needs.set(index, [...pieces, ...heads]);
    // Whatever was there before is not read any more.
    for (const { from, count } of repaired) for (let i = 0; i < count; i++) this.#needs.delete(from + i);
    if (records === undefined) return;
    let at = offset + headBytes;
    for (const { from, bytes } of repaired) {
      const whole = recordsOf(durable.view(at, at + bytes), from);
      if (whole !== undefined) this.#placeRecords(whole, at, name, heads);
      this.#begins.add(from);
      at += bytes;
    }
    this.#placeRecords(records, at, name, heads);
  }

  /** Without a record's header nothing tells where the next one is, nor whether the others are those of the batch. */
  #placeRecords({ offsets, from, count }: Records, start: number, name: string, heads: readonly Piece[]): void {
    const headers: Piece[] = [...heads];
    for (const offset of offsets.subarray(0, count)) {
      headers.push({ name, from: start + offset, end: start + offset + RECORD_HEADER_BYTES });
    }
    for (let i = 0; i < count; i++) {
      const body = { name, from: start + offsets[i]! + RECORD_HEADER_BYTES, end: start + offsets[i + 1]! };
      this.#needs.set(from + i, [...headers, body]);
    }
  }
}

/** Undefined when they are damaged, which says nothing about the rest of their batch. */
function recordsOf(bytes: Uint8Array, from: LogIndex): Records | undefined {
  try {
    return decodeRecords(bytes, from);
  } catch {
    return undefined;
  }
}

function imagesOf(files: ReadonlyMap<string, Inode>): ReadonlyMap<string, Uint8Array> {
  return new Map([...files].map(([name, { durable }]) => [name, durable.copy()]));
}

function isSame(before: Uint8Array, now: Uint8Array | undefined, { from, end }: Piece): boolean {
  if (now === undefined || now.length < end) return false;
  for (let at = from; at < end; at++) if (before[at] !== now[at]) return false;
  return true;
}
