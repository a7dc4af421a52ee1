/**
 * The messages of operators ↔ items of an envelope: see message_codec.ts.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type {
  ChangeRefusal,
  ChangeRequest,
  ChangeResponse,
  TransferFailure,
  TransferRequest,
  TransferResponse,
} from "../message.ts";
import type { ConfigurationChange } from "../types.ts";
import { decodeChanges } from "./change_codec.ts";
import { bare, type Items } from "./items.ts";

/** A message between a server whose operator wants something and its leader. */
export type AdminMessage = ChangeRequest | ChangeResponse | TransferRequest | TransferResponse;

/** The numbers of the messages: written to the wire, never renumber. */
const AdminNumber = { changeRequest: 14, changeResponse: 15, transferRequest: 16, transferResponse: 17 } as const;

/** In this order: written to the wire, never renumber. */
const REASONS: readonly ChangeRefusal["reason"][] = [
  ...["not-leader", "leadership-lost", "overloaded", "conflict", "invalid"] as const,
  ...["no-quorum", "unreachable", "too-slow", "removed"] as const,
];

/** In this order: written to the wire, never renumber. */
const FAILURES: readonly TransferFailure[] = ["timeout", "no-target", "not-leader", "busy"];

const encoder = new TextEncoder();

/** What the envelope of a message holds. */
export function adminItemsOf(message: AdminMessage): readonly (number | string | boolean | null)[] {
  switch (message.type) {
    case "change-request": {
      const { term, id, prevIndex, force, count } = message;
      return [AdminNumber.changeRequest, term, id, prevIndex ?? null, force, count];
    }
    case "change-response": {
      const { term, id, index, refusal } = message;
      const [reason, begun] = refusal === undefined ? [null, null] : [REASONS.indexOf(refusal.reason), refusal.begun];
      return [AdminNumber.changeResponse, term, id, index ?? null, reason, begun];
    }
    case "transfer-request":
      return [AdminNumber.transferRequest, message.term, message.to ?? null];
    case "transfer-response":
      return [AdminNumber.transferResponse, message.term, FAILURES.indexOf(message.reason)];
  }
}

/** What a message has besides its envelope: the words of a refusal. */
export function adminAttachmentOf(message: AdminMessage): Uint8Array[] {
  if (message.type !== "change-response" || message.refusal === undefined) return [];
  return [encoder.encode(message.refusal.detail.slice(0, 1_000))];
}

/** A message of that number, and the changes beside it; undefined when the number is another message's. */
export function adminMessageOf(
  number: number,
  items: Items,
  attachment: Uint8Array,
): { readonly message: AdminMessage; readonly changes?: readonly ConfigurationChange[] } | undefined {
  switch (number) {
    case AdminNumber.changeRequest:
      return changeRequestOf(items, attachment);
    case AdminNumber.changeResponse:
      return { message: changeResponseOf(items, attachment) };
    case AdminNumber.transferRequest: {
      const term = items.integer("term");
      const to = items.isNull() ? undefined : items.serverId("to");
      return bare({ type: "transfer-request", term, to }, items, attachment);
    }
    case AdminNumber.transferResponse: {
      const term = items.integer("term");
      const reason = FAILURES[items.integer("reason")] ?? refuse("its reason is unknown");
      return bare({ type: "transfer-response", term, reason }, items, attachment);
    }
  }
  return undefined;
}

function changeRequestOf(items: Items, attachment: Uint8Array) {
  const [term, id] = [items.integer("term"), items.integer("id")];
  // An operator's own, and only compared: none is too large.
  const prevIndex = items.isNull() ? undefined : items.integer("prevIndex");
  const force = items.boolean("force");
  const count = items.integer("count");
  items.end();
  const changes = decodeChanges(attachment);
  if (changes.length !== count) refuse(`it has ${changes.length} changes and speaks of ${count}`);
  return { message: { type: "change-request", term, id, prevIndex, force, count }, changes } as const;
}

function changeResponseOf(items: Items, attachment: Uint8Array): ChangeResponse {
  const [term, id] = [items.integer("term"), items.integer("id")];
  const index = items.isNull() ? undefined : items.index("index");
  const number = items.isNull() ? undefined : items.integer("reason");
  const begun = items.isNull() ? undefined : items.boolean("begun");
  items.end();
  if ((number === undefined) !== (begun === undefined) || (number === undefined) === (index === undefined)) {
    refuse("its index and its refusal contradict one another");
  }
  if (number === undefined || begun === undefined) {
    if (attachment.length > 0) refuse(`${attachment.length} bytes follow a change-response`);
    return { type: "change-response", term, id, index, refusal: undefined };
  }
  // Of up to 1,000 characters, none of which takes more than three bytes.
  if (attachment.length > 3_000) refuse("its words are too long");
  const reason = REASONS[number] ?? refuse("its reason is unknown");
  const detail = new TextDecoder().decode(attachment);
  return { type: "change-response", term, id, index, refusal: { reason, detail, begun } };
}

function refuse(problem: string): never {
  throw new ProtocolError(`Cannot decode a message: ${problem}`);
}
