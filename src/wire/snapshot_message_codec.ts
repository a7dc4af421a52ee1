/**
 * The messages about snapshots ↔ items of an envelope: see message_codec.ts.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type {
  SnapshotChunk,
  SnapshotRequest,
  SnapshotResponse,
  SnapshotUnavailability,
  SnapshotUnavailable,
  SnapshotWanted,
} from "../message.ts";
import { decodeConfiguration } from "./configuration.ts";
import { crc32c } from "./crc32c.ts";
import type { EnvelopeItem } from "./envelope.ts";
import { bare, type Items } from "./items.ts";
import { problemOfOrigin, SNAPSHOT_CHUNK_BYTES_MAX } from "./snapshot.ts";

/** A message between a server that has a snapshot and one that needs it. */
export type SnapshotMessage =
  | SnapshotRequest
  | SnapshotChunk
  | SnapshotResponse
  | SnapshotWanted
  | SnapshotUnavailable;

/** The same, and what travelled beside it. */
export interface DecodedSnapshotMessage {
  readonly message: SnapshotMessage;
  /** The bytes of a snapshot-chunk, whose checksum is right. */
  readonly chunk?: Uint8Array;
}

/** The first protocol whose servers know that somebody may want a snapshot. */
export const SNAPSHOT_WANTED_PROTOCOL = 2;

/** The numbers of the messages: written to the wire, never renumber. */
const SnapshotNumber = { request: 10, chunk: 11, response: 12, wanted: 19, unavailable: 20 } as const;

/** In this order: written to the wire, never renumber. */
const STATUSES = ["receiving", "installing", "done", "refused"] as const;

/** In this order: written to the wire, never renumber. */
const UNAVAILABILITIES: readonly SnapshotUnavailability[] = ["not-leader", "failed"];

/** What the envelope of a message holds. */
export function snapshotItemsOf(message: SnapshotMessage): readonly EnvelopeItem[] {
  switch (message.type) {
    case "snapshot-request": {
      const { term, id, index, lastTerm, configurationIndex, timeMs, bytes, checksum } = message;
      return [SnapshotNumber.request, term, id, index, lastTerm, configurationIndex, timeMs, bytes, checksum];
    }
    case "snapshot-chunk":
      return [SnapshotNumber.chunk, message.term, message.id, message.offset, message.checksum];
    case "snapshot-response": {
      const { term, id, status, offset } = message;
      return [SnapshotNumber.response, term, id, STATUSES.indexOf(status), offset];
    }
    case "snapshot-wanted":
      return [SnapshotNumber.wanted, message.term, message.beyond];
    case "snapshot-unavailable":
      return [SnapshotNumber.unavailable, message.term, UNAVAILABILITIES.indexOf(message.reason)];
  }
}

/** A message of that number, and the bytes beside it; undefined when the number is another message's. */
export function snapshotMessageOf(
  number: number,
  items: Items,
  attachment: Uint8Array,
): DecodedSnapshotMessage | undefined {
  switch (number) {
    case SnapshotNumber.request:
      return requestOf(items, attachment);
    case SnapshotNumber.chunk:
      return chunkOf(items, attachment);
    case SnapshotNumber.response:
      return bare(responseOf(items), items, attachment);
    case SnapshotNumber.wanted: {
      const [term, beyond] = [items.integer("term"), items.index("beyond")];
      return bare({ type: "snapshot-wanted", term, beyond }, items, attachment);
    }
    case SnapshotNumber.unavailable:
      return bare(unavailableOf(items), items, attachment);
  }
  return undefined;
}

function requestOf(items: Items, attachment: Uint8Array): { readonly message: SnapshotRequest } {
  const term = items.integer("term");
  if (term === 0) throw new ProtocolError("Cannot decode a message: nobody leads in term 0");
  const id = items.integer("id");
  const [index, lastTerm] = items.position("last", term);
  const [configurationIndex, timeMs] = [items.index("configurationIndex"), items.integer("timeMs")];
  const [bytes, checksum] = [items.integer("bytes"), items.integer("checksum")];
  items.end();
  const configuration = decodeConfiguration(attachment);
  const problem = problemOfOrigin({ index, term: lastTerm, configuration, configurationIndex, timeMs });
  if (problem !== undefined) throw new ProtocolError(`Cannot decode a message about a snapshot: ${problem}`);
  return {
    message: {
      ...{ type: "snapshot-request", term, id, index, lastTerm } as const,
      ...{ configuration, configurationIndex, timeMs, bytes, checksum },
    },
  };
}

function chunkOf(items: Items, chunk: Uint8Array): DecodedSnapshotMessage {
  const [term, id, offset, checksum] = ["term", "id", "offset", "checksum"].map((name) => items.integer(name));
  items.end();
  if (chunk.length === 0 || chunk.length > SNAPSHOT_CHUNK_BYTES_MAX) {
    throw new ProtocolError(`Cannot decode a message: a snapshot-chunk has ${chunk.length} bytes`);
  }
  if (crc32c(chunk) !== checksum) throw new ProtocolError("Cannot decode a message: the checksum of a chunk is wrong");
  return { message: { type: "snapshot-chunk", term: term!, id: id!, offset: offset!, checksum }, chunk };
}

function responseOf(items: Items): SnapshotResponse {
  const [term, id] = [items.integer("term"), items.integer("id")];
  const status = STATUSES[items.integer("status")];
  if (status === undefined) throw new ProtocolError("Cannot decode a message: its status is unknown");
  return { type: "snapshot-response", term, id, status, offset: items.integer("offset") };
}

function unavailableOf(items: Items): SnapshotUnavailable {
  const term = items.integer("term");
  const reason = UNAVAILABILITIES[items.integer("reason")];
  if (reason === undefined) throw new ProtocolError("Cannot decode a message: its reason is unknown");
  return { type: "snapshot-unavailable", term, reason };
}
