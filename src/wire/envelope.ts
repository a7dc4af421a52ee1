/**
 * The envelopes of messages: positional MessagePack arrays.
 *
 * `@std/msgpack` makes an array per token, which for the two messages that travel with every command costs more than all
 * else that is done for them. What they hold, small integers and booleans, is therefore written and read here; the bytes are
 * the same, and whatever is not as simple is left to the library.
 *
 * @module
 */
import { decode, encode } from "@std/msgpack";

/** What an envelope may hold. */
export type EnvelopeItem = number | string | boolean | null;

/** Bytes before an envelope: its length, a little-endian u16. */
export const LENGTH_BYTES = 2;

/** An array of more items has another head. */
const ITEMS_MAX = 15;

const Tag = { array: 0x90, null: 0xc0, false: 0xc2, true: 0xc3, u8: 0xcc, u16: 0xcd, u32: 0xce } as const;

/** The envelope of these items, with its length before it. */
export function encodeEnvelope(items: readonly EnvelopeItem[]): Uint8Array {
  const length = simpleLengthOf(items);
  if (length === undefined) return withLength(encode(items));
  const bytes = new Uint8Array(LENGTH_BYTES + length);
  bytes[0] = length;
  bytes[LENGTH_BYTES] = Tag.array | items.length;
  let at = LENGTH_BYTES + 1;
  for (let i = 0; i < items.length; i++) at = put(bytes, at, items[i] as number | boolean | null);
  return bytes;
}

function withLength(envelope: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + envelope.length);
  bytes[0] = envelope.length & 0xff;
  bytes[1] = envelope.length >>> 8;
  bytes.set(envelope, LENGTH_BYTES);
  return bytes;
}

/** How long the array is, head included; undefined when it holds what is not simple. Never more than 255. */
function simpleLengthOf(items: readonly EnvelopeItem[]): number | undefined {
  if (items.length > ITEMS_MAX) return undefined;
  let length = 1;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (typeof item === "number") {
      if (item >>> 0 !== item) return undefined;
      length += item < 0x80 ? 1 : item < 0x100 ? 2 : item < 0x1_0000 ? 3 : 5;
    } else if (typeof item === "string") {
      return undefined;
    } else {
      length++;
    }
  }
  return length;
}

/** Returns where the item ends. */
function put(bytes: Uint8Array, at: number, item: number | boolean | null): number {
  if (typeof item !== "number") {
    bytes[at] = item === null ? Tag.null : item ? Tag.true : Tag.false;
    return at + 1;
  }
  if (item < 0x80) {
    bytes[at] = item;
    return at + 1;
  }
  const size = item < 0x100 ? 1 : item < 0x1_0000 ? 2 : 4;
  bytes[at] = size === 1 ? Tag.u8 : size === 2 ? Tag.u16 : Tag.u32;
  for (let i = size; i > 0; i--) {
    bytes[at + i] = item;
    item >>>= 8;
  }
  return at + 1 + size;
}

/**
 * What the bytes `[from, end)` hold: exactly one value, of whatever type.
 *
 * @throws What `@std/msgpack` throws, when they are none.
 */
export function decodeEnvelope(bytes: Uint8Array, from: number, end: number): unknown {
  return simpleItemsAt(bytes, from, end) ?? decode(bytes.subarray(from, end));
}

/** Undefined when they are not just an array of simple items. */
function simpleItemsAt(bytes: Uint8Array, from: number, end: number): EnvelopeItem[] | undefined {
  const count = bytes[from]! - Tag.array;
  if (from >= end || count < 0 || count > ITEMS_MAX) return undefined;
  const items: EnvelopeItem[] = [];
  let at = from + 1;
  while (items.length < count && at < end) {
    const tag = bytes[at]!;
    if (tag < 0x80) {
      items.push(tag);
      at++;
    } else if (tag >= Tag.u8 && tag <= Tag.u32) {
      const size = 1 << (tag - Tag.u8);
      // What stands beyond the end is another's.
      if (at + size >= end) return undefined;
      let value = 0;
      for (let i = 1; i <= size; i++) value = value * 256 + bytes[at + i]!;
      items.push(value);
      at += 1 + size;
    } else if (tag === Tag.null || tag === Tag.false || tag === Tag.true) {
      items.push(tag === Tag.null ? null : tag === Tag.true);
      at++;
    } else {
      return undefined;
    }
  }
  return items.length === count && at === end ? items : undefined;
}
