/**
 * Entries under keys: a record is a value, or several when it is large.
 *
 * @module
 */
import { CorruptionError } from "../../errors.ts";
import type { LogIndex, Term } from "../../types.ts";
import { joinParts } from "../../wire/bytes.ts";
import { getU32, getU64 } from "../../wire/integers.ts";
import { decodeRecords, digestOfWhole, RECORD_HEADER_BYTES, type Records } from "../../wire/record.ts";
import { salvageRecords } from "../../wire/salvage.ts";
import type { EpochRun } from "./kv_meta.ts";
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
  changesOf(records: readonly Records[], runs: readonly EpochRun[]): KvChange[] {
    const changes: KvChange[] = [];
    for (const each of records) {
      for (let index = each.from; index < each.end; index++) {
        const { epoch } = runs.findLast(({ from }) => from <= index) ?? runs[0];
        const pieces = piecesOf(each.slice(index, index + 1).bytes);
        pieces.forEach((value, part) => changes.push({ key: this.part(epoch, index, part), value }));
      }
    }
    return changes;
  }

  /** All entries of an epoch in a range that have all their parts, in order, and the keys that are left over beside them. */
  async *list(kv: Kv, epoch: number, from: LogIndex, end: LogIndex): AsyncGenerator<Listed, void, void> {
    const range = { start: this.entry(epoch, from), end: this.entry(epoch, end) };
    let record = new RecordParts();
    let at = -1;
    for await (const entry of kv.list(range)) {
      const { index, part } = this.parse(entry.key);
      if (index !== at) record = new RecordParts();
      at = index;
      const isOver = record.isWhole;
      if (isOver) yield { index, left: entry.key as KvKey };
      else record.add(entry, part);
      if (!isOver && record.isWhole) yield { index, bytes: record.bytes() };
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

  /** Adds a part, if it is the next one. */
  add(entry: KvEntry, part: number): void {
    const bytes = bytesOf(entry);
    if (bytes === undefined || part !== this.#parts.length) return;
    // A record that is damaged so that its length is nonsense is not whole, or fails its checksum.
    if (part === 0) {
      if (bytes.length < RECORD_HEADER_BYTES) return;
      this.#missing = RECORD_HEADER_BYTES + getU32(bytes, 8) + getU32(bytes, 12);
    }
    this.#parts.push(bytes);
    this.#missing -= bytes.length;
  }

  bytes(): Uint8Array {
    return joinParts(this.#parts);
  }
}

/** What is under the keys of an entry: the entry, or what is left of it. */
export type Inspected =
  | { readonly records: Records; readonly term: Term; readonly detail?: undefined }
  | { readonly records?: undefined; readonly term: Term | undefined; readonly detail: string };

/** The entries under these keys as far as they are whole; undefined when the first one is not. */
export function wholeOf(parts: readonly Uint8Array[], from: LogIndex, file: string): Records | undefined {
  if (parts.length === 0) return undefined;
  try {
    const records = decodeRecords(joinParts(parts), from);
    if (records.count === parts.length) return records;
  } catch {
    // Looked at one by one: whichever is damaged will be the first, sooner or later.
  }
  return inspected(parts[0], from, file).records;
}

/**
 * Verifies one record. Of one that is damaged the term is known when its header is whole.
 *
 * @throws {CorruptionError} When it is whole, but of a form that this version does not know.
 */
export function inspected(bytes: Uint8Array, index: LogIndex, file: string): Inspected {
  let detail = "more than one record is there";
  try {
    const records = decodeRecords(bytes, index);
    if (records.count === 1) return { records, term: records.term(index) };
  } catch (cause) {
    detail = (cause as Error).message;
    if (digestOfWhole(bytes) !== undefined && getU64(bytes, 16) === index) {
      throw new CorruptionError(file, index, detail);
    }
  }
  const { records } = salvageRecords(bytes, index, 1);
  return { term: records.count === 1 ? records.term(index) : undefined, detail };
}
