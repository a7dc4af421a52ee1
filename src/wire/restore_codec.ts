/**
 * The payload of an entry of type `restore`: a part of the bytes that the machine is to be restored from, their end, or the
 * word that they are given up. 24 bytes, little-endian: u32 kind, u32 0, u64 which restore it is, u64 the part's number, from 0 (of the
 * end: how many parts there are); then the part's bytes.
 *
 * @module
 */
import { getU32, getU64, setU32, setU64 } from "./integers.ts";

/** One entry of a restore. */
export interface RestoreEntry {
  readonly kind: RestoreKind;
  /** Which restore: random, so that what is left of another one is not taken for it. */
  readonly id: number;
  /** Number of the part, from 0; of the end: how many parts there are. */
  readonly sequence: number;
  /** The part's; empty for all other kinds. A view. */
  readonly bytes: Uint8Array;
}

/** What an entry of a restore says. */
export type RestoreKind = (typeof KINDS)[number];

/** Their places are written to disk and wire: never reorder. */
const KINDS = ["part", "end", "given-up"] as const;

/** Bytes before the part's own. */
export const RESTORE_HEAD_BYTES = 24;

/** Encodes one entry; the bytes are copied. */
export function encodeRestoreEntry({ kind, id, sequence, bytes }: RestoreEntry): Uint8Array {
  const payload = new Uint8Array(RESTORE_HEAD_BYTES + bytes.length);
  setU32(payload, 0, KINDS.indexOf(kind));
  setU64(payload, 8, id);
  setU64(payload, 16, sequence);
  payload.set(bytes, RESTORE_HEAD_BYTES);
  return payload;
}

/** Decodes one entry. Undefined when it is none, which every server finds alike: it is in the log. */
export function decodeRestoreEntry(payload: Uint8Array): RestoreEntry | undefined {
  if (payload.length < RESTORE_HEAD_BYTES || getU32(payload, 4) !== 0) return undefined;
  const kind = KINDS[getU32(payload, 0)];
  const [id, sequence] = [getU64(payload, 8), getU64(payload, 16)];
  if (kind === undefined || !Number.isSafeInteger(id) || !Number.isSafeInteger(sequence)) return undefined;
  const bytes = payload.subarray(RESTORE_HEAD_BYTES);
  return kind === "part" || bytes.length === 0 ? { kind, id, sequence, bytes } : undefined;
}
