/**
 * Records: the one form of an entry. The leader encodes it once; the same bytes go to its disk, over every wire and to
 * every follower's disk, and every hop verifies them.
 *
 * A record is a header of 48 bytes, little-endian, then the payload, then the extensions:
 *
 * | at | | |
 * |---|---|---|
 * | 0 | u32 | CRC32C of header bytes 4 to 48 |
 * | 4 | u8 | type, see {@linkcode EntryType} |
 * | 5 | u8 | flags, see {@linkcode RecordFlag} |
 * | 6 | u16 | 0 |
 * | 8 | u32 | bytes of the payload |
 * | 12 | u32 | bytes of the extensions |
 * | 16 | u64 | index |
 * | 24 | u64 | term |
 * | 32 | u64 | the leader's time, milliseconds since 1970, never decreasing along the log |
 * | 40 | u32 | CRC32C of payload and extensions |
 * | 44 | u32 | 0 |
 *
 * The header has its own checksum, so a damaged payload doesn't stop a walk over the records that follow.
 *
 * @module
 */
import { InvariantError, ProtocolError } from "../errors.ts";
import { EntryType, type IndexedConfiguration, type LogIndex, type Term, type TermRun } from "../types.ts";
import { decodeConfiguration } from "./configuration.ts";
import { crc32c, crc32cOfView, viewOf } from "./crc32c.ts";
import { getU32, getU64, getU64Of, setU64Of } from "./integers.ts";
import { Room } from "./room.ts";

/** Bytes of a record's header. */
export const RECORD_HEADER_BYTES = 48;

/** Bits of a record's flags. They are written to disk and wire: never renumber. */
export const RecordFlag = {
  /** The payload is the user's own bytes, not encoded by the codec. */
  raw: 1,
  /** The extensions begin with a client block. */
  client: 2,
} as const;

const KNOWN_FLAGS = RecordFlag.raw | RecordFlag.client;
const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(EntryType));

/** What {@linkcode encodeRecords} makes a record of. The arrays are copied. */
export interface EntryParts {
  /** What the entry is. */
  readonly type: EntryType;
  /** What it holds. */
  readonly payload: Uint8Array;
  /** Bits of {@linkcode RecordFlag}; none by default. */
  readonly flags?: number;
  /** Client block and user extensions; none by default. */
  readonly extensions?: Uint8Array;
}

/**
 * Records of the entries `[from, end)`, one after the other in `bytes`. Immutable: neither side changes the bytes.
 *
 * Accessors throw a `RangeError` for an index outside.
 */
export class Records {
  /** Index of the first entry. */
  readonly from: LogIndex;
  /** Index after the last entry. */
  readonly end: LogIndex;
  /** The records, and nothing else. A view: it keeps the whole buffer it was cut from alive. */
  readonly bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #base: number;

  /**
   * Takes bytes that were verified or just encoded.
   *
   * @param offsets Where each record starts, and where the last one ends; all counted from `base` before `bytes`.
   */
  constructor(from: LogIndex, bytes: Uint8Array, offsets: Uint32Array, base = 0) {
    this.from = from;
    this.end = from + offsets.length - 1;
    this.bytes = bytes;
    this.#offsets = offsets;
    this.#base = base;
  }

  /** Number of entries. */
  get count(): number {
    return this.end - this.from;
  }

  /** Bytes of all records, headers included. */
  get byteLength(): number {
    return this.bytes.length;
  }

  /** Where in `bytes` each record starts, and after them where the last one ends: `count + 1` numbers. */
  get offsets(): Uint32Array {
    const base = this.#base;
    return base === 0 ? this.#offsets : this.#offsets.map((offset) => offset - base);
  }

  /** The entries `[from, end)` of these as a view; no byte is copied. */
  slice(from: LogIndex, end: LogIndex): Records {
    if (from === this.from && end === this.end) return this;
    if (!(from >= this.from && from <= end && end <= this.end)) {
      throw new RangeError(`Cannot slice entries ${from} to ${end} of ${this.from} to ${this.end}`);
    }
    const offsets = this.#offsets.subarray(from - this.from, end - this.from + 1);
    const first = offsets[0];
    const bytes = this.bytes.subarray(first - this.#base, offsets[offsets.length - 1] - this.#base);
    return new Records(from, bytes, offsets, first);
  }

  /** Term of an entry. */
  term(index: LogIndex): Term {
    return getU64(this.bytes, this.#at(index) + 24);
  }

  /** Type of an entry. */
  type(index: LogIndex): EntryType {
    return this.bytes[this.#at(index) + 4] as EntryType;
  }

  /** Flags of an entry, see {@linkcode RecordFlag}. */
  flags(index: LogIndex): number {
    return this.bytes[this.#at(index) + 5];
  }

  /** The leader's time when it appended the entry, milliseconds since 1970. */
  timeMs(index: LogIndex): number {
    return getU64(this.bytes, this.#at(index) + 32);
  }

  /** Payload of an entry; a view. */
  payload(index: LogIndex): Uint8Array {
    const from = this.#at(index) + RECORD_HEADER_BYTES;
    return this.bytes.subarray(from, from + getU32(this.bytes, from - RECORD_HEADER_BYTES + 8));
  }

  /** How long the extensions of an entry are. */
  extensionBytes(index: LogIndex): number {
    return getU32(this.bytes, this.#at(index) + 12);
  }

  /** Extensions of an entry, client block first; a view. */
  extensions(index: LogIndex): Uint8Array {
    const at = this.#at(index);
    const from = at + RECORD_HEADER_BYTES + getU32(this.bytes, at + 8);
    return this.bytes.subarray(from, from + getU32(this.bytes, at + 12));
  }

  /**
   * CRC32C over the header checksums of all records: tells these records from all others at the cost of four bytes each.
   *
   * @param seed The digest of the records before.
   */
  digest(seed = 0): number {
    let crc = seed;
    for (let i = 0; i < this.#offsets.length - 1; i++) {
      const at = this.#offsets[i] - this.#base;
      crc = crc32c(this.bytes, at, at + 4, crc);
    }
    return crc;
  }

  /** End index of the longest prefix within both limits, one entry at least (unless there is none). */
  fit(entriesMax: number, bytesMax: number): LogIndex {
    const offsets = this.#offsets;
    const limit = offsets[0] + bytesMax;
    let low = Math.min(1, this.count);
    let high = Math.max(low, Math.min(this.count, entriesMax));
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (offsets[middle] <= limit) low = middle;
      else high = middle - 1;
    }
    return this.from + low;
  }

  #at(index: LogIndex): number {
    if (!(index >= this.from && index < this.end)) {
      throw new RangeError(`Cannot find entry ${index} among ${this.from} to ${this.end}`);
    }
    return this.#offsets[index - this.from] - this.#base;
  }
}

/**
 * Memory for the records of one log: small ones follow one another in a buffer as they do in the log, and so are forgotten
 * together.
 */
export function recordRoom(): Room {
  return new Room(65_536, 4_096);
}

/**
 * Encodes entries of one term and time; the first one gets the index `from`. One allocation, payloads are copied.
 *
 * @param room Where to; by default to memory of its own.
 */
export function encodeRecords(
  from: LogIndex,
  term: Term,
  timeMs: number,
  entries: readonly EntryParts[],
  room?: Room,
): Records {
  const count = entries.length;
  const offsets = new Uint32Array(count + 1);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const { payload, extensions } = entries[i];
    total += RECORD_HEADER_BYTES + payload.length + (extensions === undefined ? 0 : extensions.length);
    offsets[i + 1] = total;
  }
  if (total > 0xffff_ffff) throw new RangeError(`Cannot encode ${total} bytes at once: the limit is 4 GiB`);
  const bytes = room === undefined ? new Uint8Array(total) : room.take(total);
  const view = viewOf(bytes);
  for (let i = 0; i < count; i++) encodeRecord(bytes, view, offsets[i], from + i, term, timeMs, entries[i]);
  return new Records(from, bytes, offsets);
}

function encodeRecord(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  index: LogIndex,
  term: Term,
  timeMs: number,
  entry: EntryParts,
): void {
  const { payload, extensions } = entry;
  const flags = entry.flags ?? 0;
  const extensionBytes = extensions === undefined ? 0 : extensions.length;
  // What decodeRecords would refuse must not get into a log.
  if ((flags & ~KNOWN_FLAGS) !== 0 || ((flags & RecordFlag.client) !== 0 && extensionBytes === 0)) {
    throw new InvariantError(`Cannot encode entry ${index} with flags ${flags} and ${extensionBytes} extension bytes`);
  }
  const body = at + RECORD_HEADER_BYTES;
  bytes.set(payload, body);
  if (extensions !== undefined) bytes.set(extensions, body + payload.length);
  bytes[at + 4] = entry.type;
  bytes[at + 5] = flags;
  view.setUint32(at + 8, payload.length, true);
  view.setUint32(at + 12, extensionBytes, true);
  setU64Of(view, at + 16, index);
  setU64Of(view, at + 24, term);
  setU64Of(view, at + 32, timeMs);
  view.setUint32(at + 40, crc32cOfView(view, body, body + payload.length + extensionBytes), true);
  view.setUint32(at, crc32cOfView(view, at + 4, body), true);
}

/**
 * Finds and verifies the records in `bytes`, which are kept, not copied. The indexes must run from `from` without a gap,
 * terms and times must not decrease. No bytes are no records.
 *
 * @throws {ProtocolError} When anything is wrong; says where.
 */
export function decodeRecords(bytes: Uint8Array, from: LogIndex): Records {
  // Bounded by the bytes that are there, not by what they claim.
  const offsets = new Uint32Array(Math.floor(bytes.length / RECORD_HEADER_BYTES) + 1);
  const view = viewOf(bytes);
  let at = 0;
  let count = 0;
  let term = 0;
  let timeMs = 0;
  while (at < bytes.length) {
    const next = checkRecord(view, at, from + count);
    const recordTerm = getU64Of(view, at + 24);
    const recordTimeMs = getU64Of(view, at + 32);
    if (recordTerm < term) refuse(view, at, from + count, `its term ${recordTerm} is below ${term}`);
    if (recordTimeMs < timeMs) refuse(view, at, from + count, `its time ${recordTimeMs} is before ${timeMs}`);
    term = recordTerm;
    timeMs = recordTimeMs;
    at = next;
    offsets[++count] = at;
  }
  // The guess may be many times too large when payloads are.
  const exact = offsets.subarray(0, count + 1);
  return new Records(from, bytes, count + 1 < offsets.length >>> 1 ? exact.slice() : exact);
}

/** Verifies one record and returns where the next one starts. */
function checkRecord(view: DataView, at: number, index: LogIndex): number {
  const body = at + RECORD_HEADER_BYTES;
  if (body > view.byteLength) refuse(view, at, index, "its header is cut off");
  if (crc32cOfView(view, at + 4, body) !== view.getUint32(at, true)) {
    refuse(view, at, index, "its header's checksum is wrong");
  }
  const type = view.getUint8(at + 4);
  const flags = view.getUint8(at + 5);
  const extensionBytes = view.getUint32(at + 12, true);
  if (!KNOWN_TYPES.has(type)) refuse(view, at, index, `its type ${type} is unknown`);
  if ((flags & ~KNOWN_FLAGS) !== 0) refuse(view, at, index, `its flags ${flags} are unknown`);
  if ((flags & RecordFlag.client) !== 0 && extensionBytes === 0) {
    refuse(view, at, index, "its client block is missing");
  }
  if ((view.getUint16(at + 6) | view.getUint32(at + 44, true)) !== 0) {
    refuse(view, at, index, "reserved bytes are not zero");
  }
  const found = getU64Of(view, at + 16);
  if (found !== index) refuse(view, at, index, `its index is ${found}`);
  if (!Number.isSafeInteger(found) || index < 1) refuse(view, at, index, "its index is out of range");
  if (!Number.isSafeInteger(getU64Of(view, at + 24))) refuse(view, at, index, "its term is out of range");
  if (!Number.isSafeInteger(getU64Of(view, at + 32))) refuse(view, at, index, "its time is out of range");
  const next = body + view.getUint32(at + 8, true) + extensionBytes;
  if (next > view.byteLength) refuse(view, at, index, "its payload is cut off");
  if (crc32cOfView(view, body, next) !== view.getUint32(at + 40, true)) {
    refuse(view, at, index, "its payload's checksum is wrong");
  }
  return next;
}

/**
 * The digest of the records in these bytes, whatever they say, when all checksums are right; else undefined. Tells
 * records that this version can't read from records that are damaged.
 */
export function digestOfWhole(bytes: Uint8Array): number | undefined {
  let digest = 0;
  let at = 0;
  while (at < bytes.length) {
    const body = at + RECORD_HEADER_BYTES;
    if (body > bytes.length || crc32c(bytes, at + 4, body) !== getU32(bytes, at)) return undefined;
    const next = body + getU32(bytes, at + 8) + getU32(bytes, at + 12);
    if (next > bytes.length || crc32c(bytes, body, next) !== getU32(bytes, at + 40)) return undefined;
    digest = crc32c(bytes, at, at + 4, digest);
    at = next;
  }
  return digest;
}

function refuse(view: DataView, at: number, index: LogIndex, detail: string): never {
  throw new ProtocolError(`Cannot decode entry ${index} at byte ${at} of ${view.byteLength}: ${detail}`);
}

/** The terms of these entries, the first run starting at `records.from`; none without entries. */
export function termRunsOf(records: Records): TermRun[] {
  const runs: TermRun[] = [];
  let at = records.from;
  while (at < records.end) {
    const term = records.term(at);
    runs.push({ term, from: at });
    // Terms never decrease, so one look at the last entry settles what is nearly always the case.
    if (records.term(records.end - 1) === term) break;
    do at++; while (records.term(at) === term);
  }
  return runs;
}

/**
 * The entries among these that are configurations, decoded, ascending.
 *
 * @throws {ProtocolError} When one can't be decoded.
 */
export function configurationsOf(records: Records): IndexedConfiguration[] {
  const found: IndexedConfiguration[] = [];
  for (let index = records.from; index < records.end; index++) {
    if (records.type(index) !== EntryType.configuration) continue;
    found.push({ index, configuration: decodeConfiguration(records.payload(index)) });
  }
  return found;
}
