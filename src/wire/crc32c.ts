/**
 * CRC32C (Castagnoli), the checksum of everything that is written to disk or sent.
 *
 * Slice-by-16: sixteen tables take sixteen bytes per step. Few bytes are taken eight at a time from the array, as a view of
 * it, from which four come at once, would cost more to make than it saves.
 *
 * @module
 */

const POLYNOMIAL = 0x82f63b78; // reflected

const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = makeTables();

/** From so many bytes on a view is worth making. */
const VIEWED_BYTES_MIN = 1_024;

/**
 * The checksum of `bytes[from, end)`.
 *
 * @param seed The checksum of what comes before, so that `crc32c(b, 0, b.length, crc32c(a))` is that of `a` and `b`
 *   one after the other.
 * @returns An unsigned 32-bit number.
 */
export function crc32c(bytes: Uint8Array, from = 0, end: number = bytes.length, seed = 0): number {
  if (end - from >= VIEWED_BYTES_MIN) return crc32cOfView(viewOf(bytes), from, end, seed);
  // Signed throughout: engines keep int32 in registers, unsigned ones above 2³¹ become doubles.
  let crc = ~seed;
  let at = from;
  for (const last = end - 8; at <= last; at += 8) {
    const low = crc ^ (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24);
    crc = T7[low & 255] ^ T6[low >>> 8 & 255] ^ T5[low >>> 16 & 255] ^ T4[low >>> 24] ^
      T3[bytes[at + 4]] ^ T2[bytes[at + 5]] ^ T1[bytes[at + 6]] ^ T0[bytes[at + 7]];
  }
  for (; at < end; at++) crc = crc >>> 8 ^ T0[(crc ^ bytes[at]) & 255];
  return ~crc >>> 0;
}

/** A view of the same bytes, for {@linkcode crc32cOfView}. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** {@linkcode crc32c} of the bytes `[from, end)` of a view, for many checksums over one array. */
export function crc32cOfView(view: DataView, from: number, end: number, seed = 0): number {
  let crc = ~seed;
  let at = from;
  for (const last = end - 16; at <= last; at += 16) {
    const a = crc ^ view.getInt32(at, true);
    const b = view.getInt32(at + 4, true);
    const c = view.getInt32(at + 8, true);
    const d = view.getInt32(at + 12, true);
    crc = T15[a & 255] ^ T14[a >>> 8 & 255] ^ T13[a >>> 16 & 255] ^ T12[a >>> 24] ^
      T11[b & 255] ^ T10[b >>> 8 & 255] ^ T9[b >>> 16 & 255] ^ T8[b >>> 24] ^
      T7[c & 255] ^ T6[c >>> 8 & 255] ^ T5[c >>> 16 & 255] ^ T4[c >>> 24] ^
      T3[d & 255] ^ T2[d >>> 8 & 255] ^ T1[d >>> 16 & 255] ^ T0[d >>> 24];
  }
  if (at <= end - 8) {
    const a = crc ^ view.getInt32(at, true);
    const b = view.getInt32(at + 4, true);
    crc = T7[a & 255] ^ T6[a >>> 8 & 255] ^ T5[a >>> 16 & 255] ^ T4[a >>> 24] ^
      T3[b & 255] ^ T2[b >>> 8 & 255] ^ T1[b >>> 16 & 255] ^ T0[b >>> 24];
    at += 8;
  }
  if (at <= end - 4) {
    const a = crc ^ view.getInt32(at, true);
    crc = T3[a & 255] ^ T2[a >>> 8 & 255] ^ T1[a >>> 16 & 255] ^ T0[a >>> 24];
    at += 4;
  }
  for (; at < end; at++) crc = crc >>> 8 ^ T0[(crc ^ view.getUint8(at)) & 255];
  return ~crc >>> 0;
}

function makeTables(): Int32Array[] {
  const tables = Array.from({ length: 16 }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
    tables[0][byte] = crc;
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let table = 1; table < 16; table++) {
      const before = tables[table - 1][byte];
      tables[table][byte] = before >>> 8 ^ tables[0][before & 255];
    }
  }
  return tables;
}
