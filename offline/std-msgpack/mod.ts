/**
 * Stand-in for `@std/msgpack` on machines that reach npm but not JSR. The bytes come from `@msgpack/msgpack`; this file
 * narrows it to the value types, integer widths and error classes of `@std/msgpack`, and refuses hostile input before
 * anything is allocated for it.
 *
 * @module
 */
import { Decoder, Encoder } from "@msgpack/msgpack";
import { checkStructure, DEPTH_MAX } from "./structure.ts";

/** A value MessagePack can carry here. */
export type ValueType = number | bigint | string | boolean | null | Uint8Array | readonly ValueType[] | ValueMap;

/** A map of values. */
export interface ValueMap {
  [index: string | number]: ValueType;
}

// useBigInt64: integers past 32 bits travel as float64, and bigint as (u)int64, as in @std/msgpack.
const encoder = new Encoder({ useBigInt64: true, maxDepth: Infinity });
const decoder = new Decoder({ useBigInt64: true, mapKeyConverter: toMapKey });

/** Encodes a value. */
export function encode(value: ValueType): Uint8Array<ArrayBuffer> {
  return encoder.encode(isFaithful(value, 0) ? value : wellFormed(value));
}

/** Decodes exactly one value. Byte strings in it are views of `data`. */
export function decode(data: Uint8Array): ValueType {
  checkStructure(data);
  try {
    return decoder.decode(data) as ValueType;
  } catch (cause) {
    if (cause instanceof EvalError) throw cause;
    throw new EvalError(`Cannot decode MessagePack: ${(cause as Error).message}`, { cause });
  }
}

function toMapKey(key: unknown): string | number {
  if (typeof key === "string" || typeof key === "number") return key;
  throw new EvalError("Cannot decode a map key that is neither a string nor a number");
}

// Throws for what MessagePack cannot carry; false for a string that must be repaired first. Whatever passes can be
// decoded again: an entry that could be written but never read would stop every server.
function isFaithful(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "number":
    case "boolean":
      return true;
    case "string":
      return value.isWellFormed();
    case "bigint":
      if (value >= -(2n ** 63n) && value < 2n ** 64n) return true;
      throw new Error("Cannot encode a bigint larger than 64 bits");
    case "object":
      if (value === null || value instanceof Uint8Array) return true;
      return isFaithfulContainer(value, depth + 1);
  }
  throw new Error(`Cannot encode a ${typeof value} as MessagePack`);
}

function isFaithfulContainer(value: object, depth: number): boolean {
  if (depth > DEPTH_MAX) throw new Error(`Cannot encode a value nested deeper than ${DEPTH_MAX}`);
  let faithful = true;
  if (Array.isArray(value)) {
    // Not forEach: a hole in a sparse array must be seen.
    for (const item of value) faithful = isFaithful(item, depth) && faithful;
    return faithful;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    throw new Error(`Cannot encode a ${prototype.constructor?.name ?? "class instance"} as MessagePack`);
  }
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") throw new Error("Cannot encode the key __proto__");
    faithful = isFaithful(item, depth) && key.isWellFormed() && faithful;
  }
  return faithful;
}

// A lone surrogate becomes U+FFFD, as TextEncoder has it; @msgpack/msgpack would write bytes that are not UTF-8.
function wellFormed(value: ValueType): ValueType {
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (isArray(value)) return value.map(wellFormed);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), wellFormed(item)]));
}

function isArray(value: ValueType): value is readonly ValueType[] {
  return Array.isArray(value);
}
