/**
 * R3: as long as clocks keep the stated bound, nobody else leads while a leader holds a lease, and what it answers by that
 * misses nothing that anybody knows to be committed.
 *
 * @module
 */
import { holdsLease } from "../../../core/lease.ts";
import type { ServerId, Term } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { NodeView, StepView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** Looks at every leader that there is whenever there is another. */
export const leases: Checker = {
  onStart(ghost, node) {
    for (const [leader] of ghost.leading) if (leader.id === node.id) ghost.leading.delete(leader);
    noteSettings(ghost, node);
  },

  onStep(ghost, node, step) {
    if (step.event.type === "settings-changed") noteSettings(ghost, node);
    kept(ghost, node, step);
    if (ghost.keepsTime) upheld(ghost, node, step);
    if (node.core.role !== "leader") return void ghost.leading.delete(node);
    if (step.before.role !== "leader") exclusive(ghost, node);
    ghost.leading.set(node, node.clock.stoppedMs);
    answered(ghost, node, step);
  },
};

/** What a server has promised it may have promised by any of the settings that it ever had. */
function noteSettings(ghost: Ghost, { id, core }: NodeView): void {
  ghost.promiseMs.set(id, Math.min(ghost.promiseMs.get(id) ?? Infinity, core.settings.electionMinMs));
}

/**
 * Whoever hears a leader that counts on it votes for nobody else for as long as it had to wait by then, also when it is
 * given other settings meanwhile.
 */
function kept(ghost: Ghost, node: NodeView, { before, event, now }: StepView): void {
  const { id, core } = node;
  const { from, message } = event.type === "message-received" ? event : { from: undefined, message: undefined };
  const until = ghost.promised.get(node) ?? -Infinity;
  // What somebody has handed back to a leader is no leader's.
  const isLeaders = core.role === "follower" && core.leader === from;
  if (message?.type === "append-request" && message.isLeased && message.term === core.term && isLeaders) {
    ghost.promised.set(node, Math.max(until, now + core.settings.electionMinMs));
  }
  const isVote = core.votedFor !== undefined && !(before.votedFor === core.votedFor && before.term === core.term);
  const isWish = message?.type === "timeout-now" || (message?.type === "vote-request" && message.transfer);
  ghost.must(!isVote || isWish || now >= until, "R3", () => {
    return `"${id}" votes for "${core.votedFor}" in term ${core.term} at ${now}, its promise to another lasts until ${until}`;
  });
}

/** Whoever's answer a leader may count on votes for nobody else meanwhile, but for that leader's own wish. */
function upheld(ghost: Ghost, { id, core }: NodeView, { before, event }: StepView): void {
  if (event.type !== "message-received" || event.message.type !== "vote-request" || event.message.transfer) return;
  if (core.votedFor !== event.from || (before.votedFor === event.from && before.term === core.term)) return;
  // What was promised is gone with the disk.
  if (ghost.forgetful.has(id)) return;
  for (const other of earlierLeaders(ghost, core.term)) {
    const { leaseFrom, progress } = other.core.leading!;
    const { clockDriftMax = 0 } = other.core.settings;
    const promisedAt = progress.get(id)?.promisedAt ?? -Infinity;
    const until = promisedAt + promiseMsOf(ghost, id, other) * (1 - clockDriftMax) / (1 + clockDriftMax);
    ghost.must(promisedAt < leaseFrom || other.clock.now() >= until, "R3", () => {
      return `"${id}" votes for "${event.from}" in term ${core.term}, while its answer binds it to "${other.id}"`;
    });
  }
}

function promiseMsOf({ promiseMs }: Ghost, id: ServerId, { core }: NodeView): number {
  return promiseMs.get(id) ?? core.settings.electionMinMs;
}

/** Those that lead an earlier term and know of it how late it is: one that has just slept looks at its clocks first. */
function* earlierLeaders(ghost: Ghost, term: Term): Generator<NodeView> {
  for (const [other, stoppedMs] of ghost.leading) {
    const { core, clock } = other;
    if (core.role === "leader" && core.term < term && clock.stoppedMs === stoppedMs) yield other;
  }
}

function exclusive(ghost: Ghost, { id, core }: NodeView): void {
  if (!ghost.keepsTime) return;
  for (const other of earlierLeaders(ghost, core.term)) {
    ghost.must(!holdsLease(other.core, other.clock.now()), "R3", () => {
      return `"${id}" becomes leader of term ${core.term} while "${other.id}" holds a lease in term ${other.core.term}`;
    });
  }
}

function answered(ghost: Ghost, { id, core }: NodeView, { event, effects }: StepView): void {
  if (event.type !== "read-requested" || event.isLease !== true || !ghost.keepsTime) return;
  for (const effect of effects) {
    if (effect.type !== "answer-read") continue;
    ghost.must(effect.index >= ghost.commits.last, "R3", () => {
      return `"${id}" lets a read see ${effect.index} by its lease in term ${core.term}, ` +
        `while ${ghost.commits.last} is committed`;
    });
  }
}
