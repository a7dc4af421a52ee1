/**
 * The client block of a record: whose command it is and its place among that client's, 16 bytes, little-endian: u64 session,
 * u64 sequence.
 *
 * | session | sequence | |
 * |---|---|---|
 * | 0 | 0 | opens a session; its number follows from the entry's index, see {@linkcode sessionNumber} |
 * | the number | 0 | keeps it open; with an empty payload closes it |
 * | the number | 1, 2, … | a command |
 * | from {@linkcode KEY_SESSION_MIN} | any | a command known by a key: the two are what the key's digest begins with |
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type { LogIndex } from "../types.ts";
import { getU64, setU64 } from "./integers.ts";

/** Whose command it is. */
export interface ClientBlock {
  /** See above. */
  readonly session: number;
  /** See above. */
  readonly sequence: number;
}

/** Bytes of a client block. */
export const CLIENT_BLOCK_BYTES = 16;

/** Sessions from here on are digests of keys. */
export const KEY_SESSION_MIN: number = 2 ** 52;

/**
 * The number of the session that the entry at this index opens: the index, as long as that does not pass for a digest. In a
 * log so long numbers begin anew, as sessions that had them are long forgotten.
 */
export function sessionNumber(index: LogIndex): number {
  return index < KEY_SESSION_MIN ? index : index - KEY_SESSION_MIN + 1;
}

/** Encodes a client block, followed by the user's extensions. */
export function encodeClientBlock({ session, sequence }: ClientBlock, extensions?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(CLIENT_BLOCK_BYTES + (extensions?.length ?? 0));
  setU64(bytes, 0, session);
  setU64(bytes, 8, sequence);
  if (extensions !== undefined) bytes.set(extensions, CLIENT_BLOCK_BYTES);
  return bytes;
}

/**
 * Decodes the client block that extensions begin with.
 *
 * @throws {ProtocolError} When there is none.
 */
export function decodeClientBlock(extensions: Uint8Array): ClientBlock {
  if (extensions.length < CLIENT_BLOCK_BYTES) {
    throw new ProtocolError(`Cannot decode a client block: it has ${extensions.length} bytes`);
  }
  return { session: getU64(extensions, 0), sequence: getU64(extensions, 8) };
}
