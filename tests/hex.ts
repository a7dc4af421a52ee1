/**
 * Bytes as hexadecimal text. Node has no `Uint8Array.fromHex` yet.
 *
 * @module
 */

/** `[1, 255]` as `01ff`. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `01ff` as `[1, 255]`. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
