/**
 * Messages that no honest server sends, and that every server must shrug off.
 *
 * @module
 */
import type { AppendResponse, Message } from "../../message.ts";
import { INDEX_MAX } from "../../wire/items.ts";
import type { Random } from "./random.ts";

/** Terms so much later than any that was heard of are not believed. */
const farTerms = 2 ** 41;

/** What a hostile peer makes of a message: nothing to take over, answer or count; undefined when there is nothing such. */
export function garbled(random: Random, message: Message): Message | undefined {
  const isFar = random.chance(0.5);
  switch (message.type) {
    case "append-response":
      return isFar ? farAhead(message) : garbledAnswer(random, message);
    case "append-request":
      // Entries beyond what the frame carries would not be read.
      if (message.end !== message.prevIndex + 1) return undefined;
      // Of the first configuration that no member has a newer one than.
      return isFar ? farAhead(message) : { type: "removed", term: message.term, index: 1 };
    case "vote-response":
      // A refusal by somebody who was asked something else, and whose vote a candidate may not be able to count yet.
      return isFar || !message.pre ? farAhead(message) : { ...message, pre: false, granted: false };
    case "vote-request":
    case "timeout-now":
    case "removed":
    case "snapshot-request":
      return farAhead(message);
    default:
      return undefined;
  }
}

/**
 * Of an answer to a leader: about what it never sent, as no log goes so far whatever the answer says, or that it was removed
 * by somebody who can't know.
 */
function garbledAnswer(random: Random, message: AppendResponse): Message {
  const { term, sequence, rejected } = message;
  if (rejected !== undefined) return { ...message, rejected: { ...rejected, prevIndex: INDEX_MAX } };
  // One that answers no request is for a leader of an earlier term, who would believe that.
  // No entry would ever overtake one that is far ahead: the only one with a vote would wait for ever.
  if (sequence > 0 && random.chance(0.5)) return { type: "removed", term, index: 1 };
  return { ...message, matchIndex: INDEX_MAX };
}

/** Undefined where a number has no room for that. */
function farAhead<M extends Message & { readonly term: number }>(message: M): M | undefined {
  return message.term > 2 ** 52 ? undefined : { ...message, term: message.term + farTerms };
}
