/**
 * Snapshots and compaction: S1, S2, S4, A1.
 *
 * @module
 */
import type { LogIndex, Term } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { DiskView, NodeView, StepView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** Raft §7. */
export const snapshots: Checker = {
  onStep(ghost, node, step) {
    const { event, effects } = step;
    if (event.type === "snapshot-persisted" || event.type === "snapshot-received") {
      prefix(ghost, node, event.index, event.term);
    }
    for (const effect of effects) {
      if (effect.type === "compact") guard(ghost, node, step, effect.firstIndex - 1);
      if (effect.type === "receive-snapshot") receive(ghost, node, step, effect.request.index);
      if (effect.type === "install-snapshot") install(ghost, node, step, effect.index);
      if (effect.type === "restore-snapshot") restore(ghost, node, step, effect.index);
    }
  },

  onEvent(ghost, { id, core }) {
    const last = core.log.firstIndex - 1;
    ghost.must(last <= core.snapshot.index, "A1", () => {
      return `the log of "${id}" begins after ${last}, its snapshot ends at ${core.snapshot.index}`;
    });
  },

  onRecovered(ghost, id, { found }) {
    holdsState(ghost, id, found);
  },

  onExamined(ghost, id, _said, found) {
    if (!(found instanceof Error)) holdsState(ghost, id, found);
  },

  onPersisted(ghost, { id, disk }, { compactTo }) {
    if (compactTo === undefined) return;
    ghost.must(compactTo.firstIndex - 1 <= disk.snapshot, "S4", () => {
      return `the disk of "${id}" lets entry ${compactTo.firstIndex - 1} go and has a snapshot up to ${disk.snapshot}`;
    });
  },
};

/** S1: a snapshot stands for what is committed. */
function prefix(ghost: Ghost, { id }: NodeView, index: LogIndex, term: Term): void {
  const committed = ghost.commits.at(index);
  ghost.must(committed?.term === term, "S1", () => {
    return `"${id}" has a snapshot up to entry ${index} of term ${term}; committed is one of term ${committed?.term}`;
  });
}

/** S1: it holds what the machine was after its last entry, no more and no less (BS14). */
function holdsState(ghost: Ghost, id: string, { snapshot, state }: DiskView): void {
  if (state === undefined) return;
  const expected = ghost.stateAt(snapshot);
  ghost.must(state === expected, "S1", () => {
    return `the snapshot of "${id}" up to entry ${snapshot} holds the state ${state}; after that entry it was ${expected}`;
  });
}

/** S4: nothing goes that no durable snapshot has, or that the machine needs: it has applied it, or begins anew after it. */
function guard(ghost: Ghost, { id, core }: NodeView, { effects }: StepView, last: LogIndex): void {
  const began = effects.find((effect) => effect.type === "restore-snapshot")?.index ?? 0;
  ghost.must(last <= core.snapshot.index && last <= Math.max(core.appliedIndex, began), "S4", () => {
    return `"${id}" lets entry ${last} go, has a snapshot up to ${core.snapshot.index} and applied ${core.appliedIndex}, begins anew with ${began}`;
  });
}

/**
 * S2: no snapshot is asked for that brings nothing: it would be installed over the same history (BS01). But for one that makes
 * up for what is damaged, or that the machine is to begin anew with.
 */
function receive(ghost: Ghost, { id, core, log }: NodeView, { before }: StepView, index: LogIndex): void {
  const isLost = before.soundIndex < index;
  const isWanted = core.wantedBeyond !== undefined && index > core.wantedBeyond;
  ghost.must(isLost || isWanted || log.hashAt(index) !== ghost.commits.at(index)?.hash, "S2", () => {
    return `"${id}" asks for a snapshot up to ${index} although its log has that entry`;
  });
}

/** S2: an install goes forward only, and only when the log lacks what it brings. */
function install(ghost: Ghost, { id, core, log }: NodeView, { before }: StepView, index: LogIndex): void {
  // One that makes up for what is damaged may end where the log is committed to.
  const isLost = before.soundIndex < index;
  const goesOn = index > before.commitIndex || (isLost && index === before.commitIndex);
  ghost.must(goesOn && core.commitIndex === index, "S2", () => {
    return `"${id}" installs a snapshot up to ${index} where it knows ${before.commitIndex} to be committed`;
  });
  ghost.must(isLost || log.hashAt(index) !== ghost.commits.at(index)?.hash, "S2", () => {
    return `"${id}" installs a snapshot up to ${index} although its log has that entry`;
  });
  ghost.must(core.log.firstIndex === index + 1 && core.log.lastIndex === index, "S2", () => {
    return `the log of "${id}" goes from ${core.log.firstIndex} to ${core.log.lastIndex} after an install up to ${index}`;
  });
}

/** S2: a machine that begins anew goes forward only, over what is committed; the log ends where it did. */
function restore(ghost: Ghost, { id, core }: NodeView, { before }: StepView, index: LogIndex): void {
  ghost.must(index > core.appliedIndex && index <= core.commitIndex, "S2", () => {
    return `the machine of "${id}" begins anew at ${index}, has applied ${core.appliedIndex} of ${core.commitIndex}`;
  });
  ghost.must(core.log.lastIndex === before.lastIndex && core.term === before.term, "S2", () => {
    return `the log of "${id}" ends at ${core.log.lastIndex}, not ${before.lastIndex}, as its machine begins anew`;
  });
}
