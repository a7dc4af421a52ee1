/**
 * Messages that no honest server sends, and that every server must shrug off.
 *
 * @module
 */
import type { Message } from "../../message.ts";
import type { Random } from "./random.ts";

/** Terms so much later than any that was heard of are not believed. */
const farTerms = 2 ** 41;

/** What a hostile peer makes of a message: nothing to take over, answer or count; undefined when there is nothing such. */
export function garbled(random: Random, message: Message): Message | undefined {
  const isFar = random.chance(0.5);
  switch (message.type) {
    case "append-response":
      if (!isFar && message.rejected === undefined) {
        return { ...message, matchIndex: message.matchIndex + 2 ** 40 };
      }
      return farAhead(message);
    case "append-request":
      // Entries beyond what the frame carries would not be read.
      return message.end === message.prevIndex + 1 ? farAhead(message) : undefined;
    case "vote-request":
    case "vote-response":
    case "timeout-now":
    case "removed":
      return farAhead(message);
    default:
      return undefined;
  }
}

/** Undefined where a number has no room for that. */
function farAhead<M extends Message & { readonly term: number }>(message: M): M | undefined {
  return message.term > 2 ** 52 ? undefined : { ...message, term: message.term + farTerms };
}
