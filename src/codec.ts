/**
 * The default codec: MessagePack for everything but bytes, which pass untouched.
 *
 * @module
 */
import { decode, encode } from "@std/msgpack";
import type { Codec } from "./machine.ts";

/** Any value that MessagePack can hold: null, booleans, numbers, strings, bytes, and arrays and plain objects of them. */
export function msgpackCodec<Command>(): Codec<Command> {
  return {
    encode: (command) => encode(command as Parameters<typeof encode>[0]),
    decode: (bytes) => decode(bytes) as Command,
  };
}
