/**
 * Short texts as headers on disk hold them: one byte for the length, then UTF-8.
 *
 * @module
 */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Writes a text at this offset; returns where it ends.
 *
 * @throws {RangeError} When it takes more than 255 bytes, or there is no room for it.
 */
export function setShortText(bytes: Uint8Array, at: number, text: string): number {
  const { written, read } = encoder.encodeInto(text, bytes.subarray(at + 1, at + 256));
  if (read < text.length) throw new RangeError(`Cannot write a text of more than 255 bytes: "${text.slice(0, 80)}…"`);
  bytes[at] = written;
  return at + 1 + written;
}

/**
 * The text at this offset.
 *
 * @throws {TypeError} When it is not UTF-8.
 */
export function shortTextAt(bytes: Uint8Array, at: number): string {
  const end = at + 1 + bytes[at];
  let text = "";
  // Nearly always a short id in ASCII, for which a decoder takes many times as long.
  for (let i = at + 1; i < end && bytes[i] < 0x80; i++) text += String.fromCharCode(bytes[i]);
  return text.length === bytes[at] ? text : decoder.decode(bytes.subarray(at + 1, end));
}
