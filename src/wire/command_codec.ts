/**
 * The attachment of a forward-request: commands one after another, each a header of 10 bytes (u8 type, u8 flags, u32 bytes of
 * the payload, u32 bytes of the extensions, little-endian), the payload and the extensions.
 *
 * The leader makes records of them, so what no record may hold is refused here: a bad record would be refused by
 * every follower later.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import { EntryType } from "../types.ts";
import { decodeClientBlock } from "./client_block.ts";
import { RecordFlag } from "./record.ts";

/** A command on its way to the leader: what its record will hold. */
export interface ForwardedCommand {
  /** A command or a barrier: nothing else is for a peer to propose. */
  readonly type: EntryType;
  /** Bits of {@linkcode RecordFlag}. */
  readonly flags: number;
  /** The command's bytes. */
  readonly payload: Uint8Array;
  /** Client block and user extensions; none by default. */
  readonly extensions?: Uint8Array;
}

const HEADER_BYTES = 10;

const KNOWN_FLAGS = RecordFlag.raw | RecordFlag.client;

/**
 * Encodes commands as parts of a frame. Their arrays become parts as they are, uncopied: don't change them until the
 * frame is sent.
 */
export function encodeCommands(commands: readonly ForwardedCommand[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const headers = new Uint8Array(commands.length * HEADER_BYTES);
  const view = new DataView(headers.buffer);
  let at = 0;
  for (const { type, flags, payload, extensions } of commands) {
    view.setUint8(at, type);
    view.setUint8(at + 1, flags);
    view.setUint32(at + 2, payload.length, true);
    view.setUint32(at + 6, extensions?.length ?? 0, true);
    parts.push(headers.subarray(at, at + HEADER_BYTES));
    if (payload.length > 0) parts.push(payload);
    if (extensions !== undefined && extensions.length > 0) parts.push(extensions);
    at += HEADER_BYTES;
  }
  return parts;
}

/**
 * Decodes commands. Their arrays are views of `bytes`, which must not be changed afterwards.
 *
 * @param count How many there must be.
 * @throws {ProtocolError} If `bytes` are not exactly that many commands that can become records.
 */
export function decodeCommands(bytes: Uint8Array, count: number): ForwardedCommand[] {
  // Before the loop, so that an announced count costs nothing.
  if (count > bytes.length / HEADER_BYTES) throw new ProtocolError("Cannot decode commands: some are missing");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const commands: ForwardedCommand[] = [];
  let at = 0;
  while (commands.length < count) {
    const body = at + HEADER_BYTES;
    if (body > bytes.length) throw new ProtocolError("Cannot decode commands: some are missing");
    const type = view.getUint8(at);
    const flags = view.getUint8(at + 1);
    const extensionsAt = body + view.getUint32(at + 2, true);
    const end = extensionsAt + view.getUint32(at + 6, true);
    if (end > bytes.length) throw new ProtocolError("Cannot decode commands: one is cut off");
    if (type !== EntryType.command && type !== EntryType.barrier) {
      throw new ProtocolError(`Cannot decode commands: an entry of type ${type} is not for a peer to propose`);
    }
    if ((flags & ~KNOWN_FLAGS) !== 0) throw new ProtocolError(`Cannot decode commands: flags ${flags} are unknown`);
    if ((flags & RecordFlag.client) !== 0) checkClientBlock(bytes.subarray(extensionsAt, end));
    const payload = bytes.subarray(body, extensionsAt);
    const extensions = bytes.subarray(extensionsAt, end);
    commands.push(end === extensionsAt ? { type, flags, payload } : { type, flags, payload, extensions });
    at = end;
  }
  if (at < bytes.length) {
    throw new ProtocolError(`Cannot decode commands: ${bytes.length - at} bytes follow the last one`);
  }
  return commands;
}

/** One that no server could read would be applied by none, and its caller told so by each. */
function checkClientBlock(extensions: Uint8Array): void {
  const { session, sequence } = decodeClientBlock(extensions);
  if (Number.isSafeInteger(session) && Number.isSafeInteger(sequence)) return;
  throw new ProtocolError("Cannot decode commands: a client block has numbers that are too large");
}
