/**
 * Records of a few fields as text: one line of JSON and one with its checksum, so that a person can read it and no
 * flipped bit goes unnoticed.
 *
 * @module
 */
import { crc32c } from "../../wire/crc32c.ts";

/** Encodes plain data. */
export function encodeText(fields: object): Uint8Array {
  const line = JSON.stringify(fields) + "\n";
  const sum = crc32c(new TextEncoder().encode(line)).toString(16).padStart(8, "0");
  return new TextEncoder().encode(`${line}${sum}\n`);
}

/** Decodes it; undefined when the checksum is wrong. */
export function decodeText(bytes: Uint8Array): Record<string, unknown> | undefined {
  const end = bytes.indexOf(0x0a) + 1;
  const sum = new TextDecoder().decode(bytes.subarray(end));
  if (end === 0 || !/^[0-9a-f]{8}\n$/.test(sum) || parseInt(sum, 16) !== crc32c(bytes, 0, end)) return undefined;
  return JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
}
