/**
 * Commitment and application: C1 to C7, A1 to A5, K2.
 *
 * @module
 */
import { isCounted } from "../../../core/identity.ts";
import type { LogIndex, ServerId } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { NodeView, StepView } from "../view.ts";
import { type Checker, configurationIn, isQuorum, setsOf } from "./checker.ts";
import { mayCount } from "./identity.ts";

/** Raft §5.3, §5.4, figure 3. */
export const commits: Checker = {
  /** A5: nothing counts as applied that the disk does not hold; the machine itself begins with nothing, or a snapshot. */
  onStart(ghost, node) {
    const { id, core, disk } = node;
    const { appliedIndex, commitIndex, log, snapshot } = core;
    ghost.beganWith.set(node, snapshot.index);
    const start = Math.max(log.firstIndex - 1, snapshot.index);
    ghost.must(appliedIndex === start && appliedIndex <= disk.log.last, "A5", () => {
      return `"${id}" starts with ${appliedIndex} applied, its disk holds ${log.firstIndex} to ${disk.log.last}`;
    });
    ghost.must(commitIndex >= log.firstIndex - 1 && commitIndex <= log.lastIndex, "A1", () => {
      return `"${id}" starts with ${commitIndex} committed of ${log.firstIndex} to ${log.lastIndex}`;
    });
  },

  onStep(ghost, node, step) {
    const { core, id } = node;
    const { before } = step;
    beginsAnew(ghost, node, step);
    ghost.must(core.commitIndex >= before.commitIndex, "C1", () => {
      return `"${id}" takes its commit index back from ${before.commitIndex} to ${core.commitIndex}`;
    });
    if (core.role === "leader" && (before.role !== "leader" || before.term !== core.term)) complete(ghost, node);
    if (core.commitIndex > before.commitIndex) {
      if (before.role === "leader" && before.term === core.term) byQuorum(ghost, node, step);
      else verified(ghost, node);
    }
    advances(ghost, node, step);
  },

  onEvent(ghost, node) {
    immutable(ghost, node);
    const { id, core } = node;
    const isOrdered = core.appliedIndex <= core.commitIndex && core.commitIndex <= core.log.lastIndex;
    ghost.must(isOrdered, "A1", () => {
      return `"${id}" has applied ${core.appliedIndex}, committed ${core.commitIndex} of ${core.log.lastIndex}`;
    });
  },

  onPersisted(ghost, _node, { truncateFrom }) {
    if (truncateFrom !== undefined) staysDurable(ghost);
  },

  onRecovered(ghost) {
    staysDurable(ghost);
  },

  onApplied(ghost, node, { index, term, state, result, before: beginning }) {
    const { id, core } = node;
    const before = ghost.lastApplied.get(node) ?? 0;
    ghost.must(index > before, "A2", () => `"${id}" applies ${index} after ${before}`);
    ghost.lastApplied.set(node, index);
    ghost.must(index <= core.commitIndex, "A2", () => `"${id}" applies ${index}, committed is ${core.commitIndex}`);
    decidesAlike(ghost, node, before, index);
    if (beginning !== undefined) follows(ghost, node, index, beginning);
    const first = ghost.applied.get(index);
    if (first === undefined) {
      ghost.applied.set(index, { term, state, result });
      return;
    }
    ghost.must(first.state === state, "A3", () => `the machine of "${id}" differs from others' after entry ${index}`);
    ghost.must(first.result === result, "A4", () => `the result of entry ${index} on "${id}" differs from others'`);
    ghost.must(
      first.term === term,
      "A3",
      () => `"${id}" applies entry ${index} of term ${term}, others of ${first.term}`,
    );
  },
};

/** A machine is about to begin with a snapshot of another server. */
function beginsAnew({ beganWith }: Ghost, node: NodeView, { effects }: StepView): void {
  for (const effect of effects) {
    if (effect.type !== "install-snapshot" && effect.type !== "restore-snapshot") continue;
    beganWith.set(node, Math.max(effect.index, beganWith.get(node) ?? 0));
  }
}

/** K2: the log alone says whether a command of a session is applied, or was before, or comes too late: to all, at any time. */
function decidesAlike(ghost: Ghost, node: NodeView, before: LogIndex, index: LogIndex): void {
  const { id } = node;
  const other = ghost.passedOver.get(index);
  ghost.must(other === undefined || !ghost.appliedOnce.has(index), "K2", () => {
    return `"${id}" applies the command of a session or with a key at ${index}, which "${other}" has passed over`;
  });
  const snapshot = ghost.beganWith.get(node) ?? 0;
  // One is about to take the machine's place; where one did, what it holds was applied elsewhere.
  if (snapshot >= index) return;
  for (let passed = Math.max(before, snapshot, ghost.commits.base) + 1; passed < index; passed++) {
    ghost.must(!ghost.appliedOnce.has(passed), "K2", () => {
      return `"${id}" passes over the command of a session or with a key at ${passed}, which others have applied`;
    });
    ghost.passedOver.set(passed, id);
  }
}

/** A3: a command finds what all entries before it have left, a restore among them. */
function follows(ghost: Ghost, { id }: NodeView, index: LogIndex, state: number): void {
  if (state === ghost.stateAt(index - 1)) return;
  // That a restore is committed may become known at the end of the event only.
  ghost.later.push(() => {
    const expected = ghost.stateAt(index - 1);
    ghost.must(state === expected, "A3", () => {
      return `the machine of "${id}" was ${state} before entry ${index}, and the entries before it lead to ${expected}`;
    });
  });
}

/** C2: a leader commits by counting only what is on the disks of a quorum, and of its own term (Raft §5.4.2). */
function byQuorum(ghost: Ghost, node: NodeView, { before, event }: StepView): void {
  // One that an earlier leader sent, and that is whole only now, has nothing in it but what that one had committed (C3).
  if (event.type === "snapshot-received") return;
  const { id, core, log } = node;
  const { commitIndex } = core;
  const term = log.termAt(commitIndex);
  ghost.must(term === before.term, "C2", () => {
    return `leader "${id}" of term ${before.term} commits entry ${commitIndex} of term ${term}`;
  });
  const configuration = configurationIn(node);
  const sets = configuration === undefined ? [] : setsOf(configuration);
  const holds = (voter: ServerId) => ghost.holds(voter, commitIndex, log.hashAt(commitIndex));
  ghost.must(sets.length > 0 && isQuorum(sets, holds), "C2", () => {
    return `leader "${id}" commits entry ${commitIndex}, which of ${
      sets.map((set) => `{${set}}`).join(" and ")
    } only ` +
      `{${sets.flat().filter(holds)}} hold on disk`;
  });
  const counts = (voter: ServerId) => holds(voter) && mayCount(ghost, node, voter, commitIndex);
  ghost.must(sets.length > 0 && isQuorum(sets, counts), "M8", () => {
    return `leader "${id}" commits entry ${commitIndex} by {${
      sets.flat().filter((voter) => !counts(voter))
    }}, which have ` +
      "forgotten or lack it";
  });
  ghost.committing.set(node, { term: before.term, sets });
}

/** C6: a follower takes as committed only what its leader has shown it in this term. */
function verified(ghost: Ghost, { id, life, core }: NodeView): void {
  const shown = ghost.shown.get(`${id} ${life} ${core.term}`) ?? 0;
  ghost.must(core.commitIndex <= shown, "C6", () => {
    return `"${id}" takes ${core.commitIndex} as committed, its leader of term ${core.term} has shown ${shown}`;
  });
}

/** C3: what is committed is the same for everybody, for ever. */
export function immutable(ghost: Ghost, node: NodeView): void {
  const { id, core, log } = node;
  const { commits } = ghost;
  let index: LogIndex = ghost.lastCommitted.get(node) ?? commits.base;
  if (index >= core.commitIndex) return;
  for (index++; index <= core.commitIndex; index++) {
    const [term, hash] = [log.termAt(index), log.hashAt(index)];
    const known = commits.at(index);
    if (known !== undefined) {
      ghost.must(
        known.hash === hash,
        "C3",
        () => `"${id}" commits another entry ${index} (term ${term}) than others did`,
      );
      continue;
    }
    const by = ghost.committing.get(node);
    ghost.must(by !== undefined, "C2", () => `"${id}" knows ${index} to be committed before any leader committed it`);
    const configuration = log.configurations.findLast((it) => it.index === index)?.configuration;
    commits.push({ term, hash, committedIn: by?.term ?? core.term, sets: by?.sets ?? [], configuration });
    const era = ghost.eras.onCommitted(index, term, log.restoreAt(index), ghost.event);
    if (era !== undefined) ghost.applied.set(index, { term, state: era.state, result: 0 });
  }
  ghost.lastCommitted.set(node, core.commitIndex);
}

/** C4: a new leader has everything that was committed before its term (Raft figure 3). */
function complete(ghost: Ghost, { id, core, log }: NodeView): void {
  const { commits } = ghost;
  let index = commits.last;
  while (index > commits.base && commits.at(index)!.committedIn >= core.term) index--;
  const committed = commits.at(index);
  if (committed === undefined) return;
  ghost.must(log.hashAt(index) === committed.hash, "C4", () => {
    return `leader "${id}" of term ${core.term} lacks entry ${index}, committed in ${committed.committedIn}`;
  });
}

/** C5: what is committed stays on the disks of the quorum that committed it. */
function staysDurable(ghost: Ghost): void {
  const index = ghost.commits.last;
  const last = ghost.commits.at(index);
  if (last === undefined) return;
  const holds = (id: ServerId) => ghost.holds(id, index, last.hash);
  ghost.must(isQuorum(last.sets, holds), "C5", () => {
    return `entry ${index}, committed in term ${last.committedIn}, is left on {${last.sets.flat().filter(holds)}} only`;
  });
}

/** C7: a leader commits as soon as it may (LogCabin). */
function advances(ghost: Ghost, node: NodeView, { event }: StepView): void {
  const { core, id } = node;
  if (core.leading === undefined) return;
  if (event.type !== "message-received" && event.type !== "entries-persisted") return;
  const { progress } = core.leading;
  const { commitIndex, persistedIndex, term, log } = core;
  // Its own term's entries are the last ones, so only the last run counts.
  const run = log.runs[log.runs.length - 1];
  if (run === undefined || run.term !== term || commitIndex >= log.lastIndex) return;
  // A change of the servers may let more be committed: with its own entry at the latest.
  const next = Math.max(commitIndex + 1, run.from, core.configurations.at(-1)?.index ?? 0);
  const configuration = configurationIn(node);
  if (configuration === undefined) return;
  const matches = (voter: ServerId) => {
    const of = progress.get(voter);
    return (voter === id ? persistedIndex : isCounted(core, voter, of) ? of.matchIndex : 0) >= next;
  };
  ghost.must(!isQuorum(setsOf(configuration), matches), "C7", () => {
    return `leader "${id}" could commit ${next} and stays at ${commitIndex}`;
  });
}
