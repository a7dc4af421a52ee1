/**
 * Messages ↔ bytes. A frame is a u16 length (little-endian), an envelope of that length, and an attachment up to the
 * end of the frame. The envelope is a positional MessagePack array whose first item is the message's number; the
 * attachment holds what never passes through MessagePack: the records of an append, the commands of a forward.
 *
 * Decoding trusts nothing: whatever the bytes are, the outcome is a message that holds what its types promise or a
 * {@linkcode ProtocolError}, in one pass, with nothing allocated for a length that is only announced.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type { AppendRejection, AppendRequest, AppendResponse, ForwardResponse, Message } from "../message.ts";
import type { ConfigurationChange, TermRun } from "../types.ts";
import { adminAttachmentOf, adminItemsOf, adminMessageOf } from "./admin_codec.ts";
import { joinParts } from "./bytes.ts";
import { decodeCommands, type ForwardedCommand } from "./command_codec.ts";
import { decodeEnvelope, encodeEnvelope, type EnvelopeItem, LENGTH_BYTES } from "./envelope.ts";
import { bare, Items } from "./items.ts";
import { configurationsOf, decodeRecords, type Records, termRunsOf } from "./record.ts";
import { snapshotItemsOf, snapshotMessageOf } from "./snapshot_message_codec.ts";

/** A message and what travelled beside it. */
export interface DecodedMessage {
  /** The message. */
  readonly message: Message;
  /** The entries of an append-request; empty for a heartbeat. They share the frame's bytes. */
  readonly records?: Records;
  /** The commands of a forward-request. They share the frame's bytes. */
  readonly commands?: readonly ForwardedCommand[];
  /** The changes of a change-request. */
  readonly changes?: readonly ConfigurationChange[];
  /** The bytes of a snapshot-chunk, whose checksum is right. They share the frame's. */
  readonly chunk?: Uint8Array;
}

/** The numbers of the messages: written to the wire, never renumber. */
const MessageNumber = {
  voteRequest: 1,
  voteResponse: 2,
  appendRequest: 3,
  appendResponse: 4,
  timeoutNow: 5,
  readRequest: 6,
  readResponse: 7,
  forwardRequest: 8,
  forwardResponse: 9,
  // 10 to 12, 19 and 20 are those of snapshot_message_codec.ts.
  removed: 13,
  // 14 to 17 are those of admin_codec.ts.
  stateHash: 18,
} as const;

/** In this order: written to the wire, never renumber. */
const REFUSALS = [undefined, "not-leader", "overloaded", "transferring", "too-large"] as const;

/** What most messages have beside them; a view of nothing would cost as much as one of something. */
const noBytes = new Uint8Array();

/** The longest envelope, a forward-response with an id of 64 characters, takes less than half of this. */
const ENVELOPE_BYTES_MAX = 256;

/** Who speaks an older protocol than this understands no append-request that says `isLeased: false`. */
export const LEASE_PROTOCOL = 2;

/**
 * Encodes a message as the parts of one frame.
 *
 * @param attachment The records of an append-request, {@linkcode encodeCommands} of a forward-request, the configuration
 * of a snapshot-request or the bytes of a snapshot-chunk. Its arrays become parts as they are, uncopied: don't change them
 * until the frame is sent.
 */
export function encodeMessage(message: Message, attachment: readonly Uint8Array[] = []): Uint8Array[] {
  const head = encodeEnvelope(itemsOf(message));
  if (attachment.length === 0 && message.type !== "change-response") return [head];
  return message.type === "change-response" ? [head, ...adminAttachmentOf(message)] : [head, ...attachment];
}

/**
 * Decodes a frame. The result shares its bytes: the frame must not be changed afterwards.
 *
 * @param rest What follows, when the frame is in several parts.
 * @throws {ProtocolError} If the frame is not exactly one valid message.
 */
export function decodeMessage(frame: Uint8Array, rest: readonly Uint8Array[] = []): DecodedMessage {
  if (rest.length > 0 && !isEnvelope(frame)) return decodeMessage(joinParts([frame, ...rest]));
  if (frame.length < LENGTH_BYTES) throw new ProtocolError("Cannot decode a message: the frame has no envelope");
  const length = frame[0]! | (frame[1]! << 8);
  if (length > ENVELOPE_BYTES_MAX) {
    throw new ProtocolError(`Cannot decode a message: its envelope of ${length} bytes exceeds ${ENVELOPE_BYTES_MAX}`);
  }
  if (length > frame.length - LENGTH_BYTES) throw new ProtocolError("Cannot decode a message: its envelope is cut off");
  const end = LENGTH_BYTES + length;
  return messageOf(new Items(decodeItems(frame, LENGTH_BYTES, end)), attachmentOf(frame, end, rest));
}

function attachmentOf(frame: Uint8Array, end: number, rest: readonly Uint8Array[]): Uint8Array {
  if (rest.length > 0) return joinParts(rest);
  return end === frame.length ? noBytes : frame.subarray(end);
}

/** Whether the part is an envelope with its length and nothing else, as senders cut them. */
function isEnvelope(part: Uint8Array): boolean {
  return part.length >= LENGTH_BYTES && part.length === LENGTH_BYTES + (part[0]! | (part[1]! << 8));
}

function itemsOf(message: Message): readonly EnvelopeItem[] {
  switch (message.type) {
    case "vote-request": {
      const { term, pre, lastIndex, lastTerm, transfer } = message;
      return [MessageNumber.voteRequest, term, pre, lastIndex, lastTerm, transfer];
    }
    case "vote-response":
      return [MessageNumber.voteResponse, message.term, message.pre, message.campaign, message.granted];
    case "append-request": {
      const { term, sequence, prevIndex, prevTerm, commitIndex, round, isLeased } = message;
      const items: EnvelopeItem[] = [
        MessageNumber.appendRequest,
        term,
        sequence,
        prevIndex,
        prevTerm,
        commitIndex,
        round,
      ];
      if (!isLeased) items.push(false);
      return items;
    }
    case "append-response":
      return appendResponseItems(message);
    case "timeout-now":
      return [MessageNumber.timeoutNow, message.term];
    case "removed":
      return [MessageNumber.removed, message.term, message.index];
    case "state-hash":
      return [MessageNumber.stateHash, message.term, message.index, message.hash];
    case "read-request":
      return [MessageNumber.readRequest, message.term, message.id, ...(message.isLease ? [true] : [])];
    case "read-response":
      return [MessageNumber.readResponse, message.term, message.id, message.index ?? null];
    case "forward-request":
      return [MessageNumber.forwardRequest, message.term, message.id, message.count];
    case "forward-response": {
      const { term, id, from, entryTerm, refusal, leader } = message;
      return [MessageNumber.forwardResponse, term, id, from, entryTerm, REFUSALS.indexOf(refusal), leader ?? null];
    }
    case "snapshot-request":
    case "snapshot-chunk":
    case "snapshot-response":
    case "snapshot-wanted":
    case "snapshot-unavailable":
      return snapshotItemsOf(message);
    default:
      return adminItemsOf(message);
  }
}

function appendResponseItems({ term, sequence, round, matchIndex, rejected }: AppendResponse): readonly EnvelopeItem[] {
  if (rejected === undefined) return [MessageNumber.appendResponse, term, sequence, round, matchIndex];
  const { prevIndex, hintIndex, hintTerm, isDamaged } = rejected;
  const items = [MessageNumber.appendResponse, term, sequence, round, matchIndex, prevIndex, hintIndex, hintTerm];
  return isDamaged ? [...items, true] : items;
}

function decodeItems(frame: Uint8Array, from: number, end: number): readonly unknown[] {
  let value: unknown;
  try {
    value = decodeEnvelope(frame, from, end);
  } catch (cause) {
    throw new ProtocolError(`Cannot decode a message: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  if (!Array.isArray(value)) throw new ProtocolError("Cannot decode a message: its envelope is not an array");
  return value;
}

function messageOf(items: Items, attachment: Uint8Array): DecodedMessage {
  const number = items.integer("message number");
  if (number === MessageNumber.appendRequest) return appendRequestOf(items, attachment);
  if (number === MessageNumber.forwardRequest) return forwardRequestOf(items, attachment);
  return adminMessageOf(number, items, attachment) ?? snapshotMessageOf(number, items, attachment) ??
    bare(bareMessageOf(number, items), items, attachment);
}

// Members of an object literal are evaluated in the order they are written, which is the order of the items.
function bareMessageOf(number: number, items: Items): Message {
  switch (number) {
    case MessageNumber.voteRequest: {
      const [term, pre] = [items.integer("term"), items.boolean("pre")];
      const [lastIndex, lastTerm] = items.position("last", term);
      return { type: "vote-request", term, pre, lastIndex, lastTerm, transfer: items.boolean("transfer") };
    }
    case MessageNumber.voteResponse:
      return {
        type: "vote-response",
        term: items.integer("term"),
        pre: items.boolean("pre"),
        campaign: items.integer("campaign"),
        granted: items.boolean("granted"),
      };
    case MessageNumber.appendResponse:
      return appendResponseOf(items);
    case MessageNumber.timeoutNow:
      return { type: "timeout-now", term: items.integer("term") };
    case MessageNumber.removed:
      return { type: "removed", term: items.integer("term"), index: items.index("index") };
    case MessageNumber.stateHash:
      return {
        type: "state-hash",
        term: items.integer("term"),
        index: items.index("index"),
        hash: items.integer("hash"),
      };
    case MessageNumber.readRequest:
      return {
        type: "read-request",
        term: items.integer("term"),
        id: items.integer("id"),
        isLease: !items.atEnd && items.boolean("isLease"),
      };
    case MessageNumber.readResponse:
      return {
        type: "read-response",
        term: items.integer("term"),
        id: items.integer("id"),
        index: items.isNull() ? undefined : items.index("index"),
      };
    case MessageNumber.forwardResponse:
      return forwardResponseOf(items);
  }
  throw new ProtocolError(`Cannot decode a message: number ${number} is unknown`);
}

function appendResponseOf(items: Items): AppendResponse {
  const head = {
    type: "append-response",
    term: items.integer("term"),
    sequence: items.integer("sequence"),
    round: items.integer("round"),
    matchIndex: items.index("matchIndex"),
  } as const;
  if (items.atEnd) return { ...head, rejected: undefined };
  if (head.matchIndex !== 0) throw new ProtocolError("Cannot decode a message: a rejected append matches nothing");
  const prevIndex = items.index("prevIndex");
  const hintIndex = items.index("hintIndex");
  const hintTerm = items.integer("hintTerm");
  if (hintIndex > prevIndex) throw new ProtocolError("Cannot decode a message: hintIndex lies beyond prevIndex");
  const rejected: AppendRejection = {
    prevIndex,
    hintIndex,
    hintTerm,
    isDamaged: !items.atEnd && items.boolean("isDamaged"),
  };
  return { ...head, rejected };
}

function forwardResponseOf(items: Items): ForwardResponse {
  const [term, id, from, entryTerm] = [
    items.integer("term"),
    items.integer("id"),
    items.index("from"),
    items.integer("entryTerm"),
  ];
  const refusalNumber = items.integer("refusal");
  if (refusalNumber >= REFUSALS.length) throw new ProtocolError("Cannot decode a message: its refusal is unknown");
  const refusal = REFUSALS[refusalNumber];
  if ((refusal !== undefined || entryTerm === 0) !== (from === 0)) {
    throw new ProtocolError("Cannot decode a message: its refusal and its entries contradict one another");
  }
  return {
    type: "forward-response",
    term,
    id,
    from,
    entryTerm,
    refusal,
    leader: items.isNull() ? undefined : items.serverId("leader"),
  };
}

function appendRequestOf(items: Items, attachment: Uint8Array): DecodedMessage {
  const term = items.integer("term");
  if (term === 0) throw new ProtocolError("Cannot decode a message: nobody leads in term 0");
  const sequence = items.integer("sequence");
  const [prevIndex, prevTerm] = items.position("prev", term);
  const commitIndex = items.index("commitIndex");
  const round = items.integer("round");
  // Who can't say otherwise may count on any promise that its followers ever made.
  const isLeased = items.atEnd || items.boolean("isLeased");
  items.end();
  const records = decodeRecords(attachment, prevIndex + 1);
  const runs = termRunsOf(records);
  checkRuns(runs, prevTerm, term);
  const message: AppendRequest = {
    type: "append-request",
    term,
    sequence,
    prevIndex,
    prevTerm,
    end: records.end,
    runs,
    configurations: configurationsOf(records),
    commitIndex,
    round,
    isLeased,
  };
  return { message, records };
}

/** Terms never decrease along a log, and no leader has an entry of a later term than its own (Raft §5.3). */
function checkRuns(runs: readonly TermRun[], prevTerm: number, term: number): void {
  let before = prevTerm;
  for (const run of runs) {
    if (run.term < before || run.term === 0) {
      throw new ProtocolError(`Cannot decode a message: an entry of term ${run.term} follows one of term ${before}`);
    }
    before = run.term;
  }
  if (before > term) {
    throw new ProtocolError(`Cannot decode a message: an entry has term ${before}, its leader only ${term}`);
  }
}

function forwardRequestOf(items: Items, attachment: Uint8Array): DecodedMessage {
  const [term, id, count] = [items.integer("term"), items.integer("id"), items.integer("count")];
  items.end();
  const commands = decodeCommands(attachment, count);
  return { message: { type: "forward-request", term, id, count }, commands };
}
