/**
 * Linearizable reads without a log entry (ReadIndex: Raft §8, thesis §6.4).
 *
 * @module
 */
import { mark } from "../marks.ts";
import { isUpright } from "./identity.ts";
import { beginRound, holdsLease, wantLease } from "./lease.ts";
import { configurationOf } from "./membership.ts";
import { quorumValue } from "./quorum.ts";
import type { Leading, Step } from "./state.ts";

/**
 * Somebody wants an index to read at: it waits for a round that begins after now. A lease will do for some, while there
 * is one (thesis §6.4.1).
 */
export function onReadRequested(step: Step, id: number, isLease: boolean): void {
  const { state, now, effects } = step;
  const { leading, leader, commitIndex } = state;
  if (isLease && leading !== undefined) wantLease(step, leading);
  if (leading === undefined) {
    effects.push({ type: "refuse-read", id, leader });
  } else if (isLease && holdsLease(state, now)) {
    mark("lease-read-answered");
    effects.push({ type: "answer-read", id, index: commitIndex });
  } else {
    if (isLease) mark("lease-read-in-doubt");
    leading.readsWaiting.push(id);
  }
}

/**
 * Begins a round for all reads that wait, when none is under way and an entry of this term is committed (before that a
 * leader does not know what is: BR02). Only answers to requests sent from now on carry the new round (BR03).
 */
export function startReadRound(step: Step): void {
  const { state } = step;
  const leading = state.leading!;
  if (leading.readsWaiting.length === 0 || leading.readRound !== undefined) return;
  if (state.commitIndex < leading.firstIndex) return mark("read-waited-for-own-term");
  beginRound(step, leading);
  leading.readRound = { round: leading.round, index: state.commitIndex, ids: leading.readsWaiting };
  leading.readsWaiting = [];
  tryReadRound(step);
}

/** Answers the reads of the round once a quorum still followed this leader after it began. */
export function tryReadRound(step: Step): void {
  const { leading } = step.state;
  if (leading?.readRound === undefined) return;
  const { round, index, ids } = leading.readRound;
  if (answeredRound(step, leading) < round) return;
  mark("read-confirmed");
  leading.readRound = undefined;
  for (const id of ids) step.effects.push({ type: "answer-read", id, index });
}

function answeredRound(step: Step, leading: Leading): number {
  const { state } = step;
  return quorumValue(
    configurationOf(state),
    (id) => {
      if (id === state.id) return leading.round;
      const progress = leading.progress.get(id);
      return isUpright(state, id, progress) ? progress.ackedRound : 0;
    },
  );
}
