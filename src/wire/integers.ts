/**
 * Little-endian integers in byte arrays, without a DataView (which would have to be made per array) and without BigInt.
 *
 * @module
 */

const TWO_32 = 0x1_0000_0000;

/** The u32 at this offset. */
export function getU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0;
}

/** {@linkcode getU64} of a view that is there already. */
export function getU64Of(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  return high === 0 ? view.getUint32(at, true) : high * TWO_32 + view.getUint32(at, true);
}

/** Writes a u32; of a larger number its low 32 bits. */
export function setU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** The u64 at this offset; exact when it is a safe integer, which the caller checks when the bytes came from outside. */
export function getU64(bytes: Uint8Array, at: number): number {
  const high = getU32(bytes, at + 4);
  return high === 0 ? getU32(bytes, at) : high * TWO_32 + getU32(bytes, at);
}

/** Writes a safe integer of at least 0 as u64. */
export function setU64(bytes: Uint8Array, at: number, value: number): void {
  setU32(bytes, at, value);
  setU32(bytes, at + 4, value < TWO_32 ? 0 : value / TWO_32);
}

/** {@linkcode setU64} of a view that is there already. */
export function setU64Of(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, value < TWO_32 ? 0 : value / TWO_32, true);
}
