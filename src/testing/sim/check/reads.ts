/**
 * R2: an index to read at is given only by a leader that knows what is committed, after a quorum has answered what was
 * sent after the read came (Raft §8, thesis §6.4).
 *
 * @module
 */
import type { ServerId } from "../../../types.ts";
import type { Ghost, Rounds } from "../ghost.ts";
import type { NodeView } from "../view.ts";
import { type Checker, configurationIn, isQuorum, setsOf } from "./checker.ts";
import { hasSeenLoss, isSound } from "./identity.ts";

/** Counts who answered what, by an own rule: by requests, not by rounds. */
export const reads: Checker = {
  onStep(ghost, node, { event, effects }) {
    const { core } = node;
    if (core.role !== "leader") return;
    if (event.type === "read-requested") {
      roundsOf(ghost, node).asked.set(event.id, { at: ++ghost.clock, commitIndex: core.commitIndex });
    } else if (event.type === "message-received" && event.message.type === "append-response") {
      if (event.message.term === core.term) noteAnswer(roundsOf(ghost, node), event.from, event.message.sequence);
    }
    for (const effect of effects) {
      if (effect.type !== "answer-read") continue;
      // By its lease: see leases.ts.
      if (event.type === "read-requested" && event.isLease === true && event.id === effect.id) continue;
      mayAnswer(ghost, node, effect.id, effect.index);
    }
  },

  onSend(ghost, node, to, { message }) {
    if (message.type !== "append-request") return;
    const { sent } = roundsOf(ghost, node, message.term);
    let bySequence = sent.get(to);
    if (bySequence === undefined) sent.set(to, bySequence = new Map());
    bySequence.set(message.sequence, ++ghost.clock);
  },
};

function roundsOf(ghost: Ghost, node: NodeView, term: number = node.core.term): Rounds {
  let rounds = ghost.rounds.get(node);
  if (rounds?.term === term) return rounds;
  rounds = { term, sent: new Map(), answered: new Map(), asked: new Map() };
  ghost.rounds.set(node, rounds);
  return rounds;
}

function noteAnswer({ sent, answered }: Rounds, from: ServerId, sequence: number): void {
  const bySequence = sent.get(from);
  const at = bySequence?.get(sequence);
  if (at === undefined) return;
  if (at > (answered.get(from) ?? 0)) answered.set(from, at);
  // Answers to earlier ones say less. Which those are no sequence tells: it begins anew for a server that comes again.
  if (bySequence!.size > 64) { for (const [it, sentAt] of bySequence!) if (sentAt < at) bySequence!.delete(it); }
}

function mayAnswer(ghost: Ghost, node: NodeView, id: number, index: number): void {
  const { core, log } = node;
  const { asked, answered } = roundsOf(ghost, node);
  const read = asked.get(id);
  asked.delete(id);
  const configuration = configurationIn(node);
  const sets = configuration === undefined ? [] : setsOf(configuration);
  const has = (voter: ServerId) => voter === node.id || (answered.get(voter) ?? 0) > (read?.at ?? Infinity);
  const counts = (voter: ServerId) => has(voter) && (!hasSeenLoss(ghost, node, voter) || isSound(ghost, node, voter));
  ghost.must(log.termAt(core.commitIndex) === core.term, "R2", () => {
    return `"${node.id}" answers a read before it has committed an entry of its term ${core.term}`;
  });
  ghost.must(read !== undefined && index >= read.commitIndex, "R2", () => {
    return `"${node.id}" lets read ${id} see ${index}, while ${read?.commitIndex} was committed when it came`;
  });
  ghost.must(!isQuorum(sets, has) || isQuorum(sets, counts), "M8", () => {
    return `"${node.id}" answers read ${id} by {${sets.flat().filter((id) => !counts(id))}}, which have forgotten`;
  });
  ghost.must(sets.length > 0 && isQuorum(sets, has), "R2", () => {
    return `"${node.id}" answers read ${id}, which came before all that ${
      sets.flat().filter((id) => !has(id))
    } answered`;
  });
}
