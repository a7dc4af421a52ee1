/**
 * A machine's state ↔ bytes: MessagePack, with Maps and Sets.
 *
 * @module
 */
import { decode, encode, type ValueType } from "@std/msgpack";
import { concatenate } from "./wire/bytes.ts";

/** Bytes of one piece of a stream. */
const CHUNK_BYTES = 64 << 10;

/** In MessagePack arrays: what kind of container follows. */
const Kind = { array: 0, map: 1, set: 2 } as const;

/**
 * Encodes plain objects, arrays, Maps, Sets, text, numbers, bigints, booleans, null and bytes. Objects, Maps and Sets keep
 * their order, so equal states reached by the same commands give equal bytes.
 *
 * @throws {TypeError} For anything else; says where it is.
 */
export function encodeState(state: unknown): Uint8Array {
  return encode([toValue(state, "state")]);
}

/** Decodes what {@linkcode encodeState} gave. */
export function decodeState(bytes: Uint8Array): unknown {
  return fromValue((decode(bytes) as readonly ValueType[])[0]!);
}

function toValue(value: unknown, path: string): ValueType {
  if (value === null || ["string", "number", "boolean", "bigint"].includes(typeof value)) return value as ValueType;
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return [Kind.array, ...value.map((item, i) => toValue(item, `${path}[${i}]`))];
  if (value instanceof Map) {
    const pairs = [...value].flatMap((
      [key, item],
    ) => [toValue(key, `a key of ${path}`), toValue(item, `${path} at ${key}`)]);
    return [Kind.map, ...pairs];
  }
  if (value instanceof Set) return [Kind.set, ...[...value].map((item) => toValue(item, `an item of ${path}`))];
  const prototype = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    const type = value === undefined ? "undefined" : (value as object).constructor?.name ?? typeof value;
    throw new TypeError(`Cannot encode ${path} of type ${type}: give the machine "encode" and "decode"`);
  }
  const fields = Object.entries(value as object).filter(([, item]) => item !== undefined);
  return Object.fromEntries(fields.map(([key, item]) => [key, toValue(item, `${path}.${key}`)]));
}

function fromValue(value: ValueType): unknown {
  // Bytes are views of what was decoded: the state must not keep all of it.
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) {
    const [kind, ...items] = value.map((item) => fromValue(item as ValueType));
    if (kind === Kind.array) return items;
    if (kind === Kind.set) return new Set(items);
    return new Map(Array.from({ length: items.length / 2 }, (_, i) => [items[2 * i], items[2 * i + 1]]));
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromValue(item as ValueType)]));
}

/** Bytes as a stream, in pieces. */
export function chunksOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + CHUNK_BYTES));
      at += CHUNK_BYTES;
    },
  });
}

/** All that a stream gives. */
export async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return concatenate(parts);
}
