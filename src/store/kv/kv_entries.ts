/**
 * Entries under keys: a record is a value, or several when it is large.
 *
 * @module
 */
import { CorruptionError } from "../../errors.ts";
import type { LogIndex } from "../../types.ts";
import { joinParts } from "../../wire/bytes.ts";
import { getU32 } from "../../wire/integers.ts";
import { decodeRecords, RECORD_HEADER_BYTES, type Records } from "../../wire/record.ts";
import { bytesOf, type Kv, type KvChange, type KvEntry, type KvKey, piecesOf } from "./kv.ts";

/** The keys of a log. */
export class LogKeys {
  readonly #prefix: KvKey;

  /** Takes what all keys begin with. */
  constructor(prefix: KvKey) {
    this.#prefix = [...prefix, "log"];
  }

  /** A part of an entry. */
  part(epoch: number, index: LogIndex, part: number): KvKey {
    return [...this.#prefix, epoch, index, part];
  }

  /** Before all keys of the entry. */
  entry(epoch: number, index: LogIndex): KvKey {
    return [...this.#prefix, epoch, index];
  }

  /** Before all keys of the epoch. */
  epoch(epoch: number): KvKey {
    return [...this.#prefix, epoch];
  }

  /** Epoch, index and part of a key. */
  parse(key: readonly unknown[]): { readonly epoch: number; readonly index: LogIndex; readonly part: number } {
    const [epoch, index, part] = key.slice(this.#prefix.length) as number[];
    return { epoch, index, part };
  }

  /** What is to be set for these entries. */
  changesOf(records: readonly Records[], epoch: number): KvChange[] {
    const changes: KvChange[] = [];
    for (const each of records) {
      for (let index = each.from; index < each.end; index++) {
        const pieces = piecesOf(each.slice(index, index + 1).bytes);
        pieces.forEach((value, part) => changes.push({ key: this.part(epoch, index, part), value }));
      }
    }
    return changes;
  }

  /** All entries of an epoch in a range, in order, and the keys between them that belong to none. */
  async *list(kv: Kv, epoch: number, from: LogIndex, end: LogIndex): AsyncGenerator<Listed, void, void> {
    const range = { start: this.entry(epoch, from), end: this.entry(epoch, end) };
    let record = new RecordParts();
    for await (const entry of kv.list(range)) {
      const { index, part } = this.parse(entry.key);
      if (part === 0) record = new RecordParts();
      if (!record.add(entry, part)) yield { index, left: entry.key as KvKey };
      else if (record.isWhole) yield { index, bytes: record.bytes() };
    }
  }
}

/** One entry's record, not verified; or a key that is left over. */
export type Listed =
  | { readonly index: LogIndex; readonly bytes: Uint8Array; readonly left?: undefined }
  | { readonly index: LogIndex; readonly left: KvKey; readonly bytes?: undefined };

/** Puts a record together. Its header says how long it is: parts beyond that are of another one, from before. */
class RecordParts {
  readonly #parts: Uint8Array[] = [];
  #missing = Infinity;

  get isWhole(): boolean {
    return this.#missing <= 0;
  }

  /** Whether this is the next part. */
  add(entry: KvEntry, part: number): boolean {
    const bytes = bytesOf(entry);
    if (bytes === undefined || part !== this.#parts.length || this.isWhole) return false;
    // A record that is damaged so that its length is nonsense is not whole, or fails its checksum.
    if (part === 0) {
      if (bytes.length < RECORD_HEADER_BYTES) return false;
      this.#missing = RECORD_HEADER_BYTES + getU32(bytes, 8) + getU32(bytes, 12);
    }
    this.#parts.push(bytes);
    this.#missing -= bytes.length;
    return true;
  }

  bytes(): Uint8Array {
    return joinParts(this.#parts);
  }
}

/**
 * Verifies records.
 *
 * @throws {CorruptionError} When anything is wrong; names the first entry.
 */
export function verified(bytes: Uint8Array, from: LogIndex, location: string): Records {
  try {
    return decodeRecords(bytes, from);
  } catch (cause) {
    throw new CorruptionError(`${location}, log`, from, (cause as Error).message);
  }
}
