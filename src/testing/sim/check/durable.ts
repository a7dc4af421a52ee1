/**
 * What a server takes for durable is on its own disk: of its log (L7), of its term and vote (E4). Nobody need have acted upon
 * it yet.
 *
 * @module
 */
import type { LogIndex, ServerId } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { NodeView, StepView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** Raft §5.1, §5.3: what is promised is on disk first. */
export const durable: Checker = {
  onStep(ghost, node, step) {
    if (step.event.type === "vote-persisted") voteIsThere(ghost, node, step, step.event.sequence);
  },

  onEvent(ghost, node) {
    const { core: { log, persistedIndex }, cache } = node;
    entryIsThere(ghost, node, persistedIndex, "counts itself for");
    // What is before the log is in a snapshot.
    if (cache === undefined || cache.durableEnd <= log.firstIndex) return;
    entryIsThere(ghost, node, cache.durableEnd - 1, "may forget in memory");
  },

  /** L7: whoever is about to look on its disk for entries goes by what they are in its log. */
  onRead(ghost, node, _from, end) {
    entryIsThere(ghost, node, end - 1, "looks on its disk for");
  },
};

/** E4: term and vote are one, and are those that the core has asked for. */
function voteIsThere(ghost: Ghost, { id, disk }: NodeView, { before }: StepView, sequence: number): void {
  if (sequence !== before.voteAsked) return;
  const { term, votedFor } = before;
  ghost.must(disk.term === term && disk.votedFor === votedFor, "E4", () => {
    return `"${id}" takes ${words(term, votedFor)} for durable, its disk holds ${words(disk.term, disk.votedFor)}`;
  });
}

function words(term: number, votedFor: ServerId | undefined): string {
  return `term ${term} with a vote for "${votedFor}"`;
}

/** L7: an entry of its own log, and all before it, is on disk. */
function entryIsThere(ghost: Ghost, { id, log, disk }: NodeView, index: LogIndex, does: string): void {
  ghost.must(disk.log.hashAt(index) === log.hashAt(index), "L7", () => {
    return `"${id}" ${does} entry ${index} of term ${log.termAt(index)}, its disk holds ` +
      (index > disk.log.last ? `${disk.log.last} entries` : `one of term ${disk.log.termAt(index)}`);
  });
}
