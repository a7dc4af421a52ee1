/**
 * Entries of the own log that can't be read from disk any more (BD03): what a server may do that has some, and how it gets
 * them back.
 *
 * It votes, as it knows how far its log reached. It does not campaign, and neither acknowledges nor takes for committed
 * anything from the first of them on, until they have come from a leader again and are durable.
 *
 * @module
 */
import { addDamage, type DamagedRange, removeDamage, replaceRuns } from "../damage.ts";
import { mark } from "../marks.ts";
import type { AppendRequest } from "../message.ts";
import type { LogIndex } from "../types.ts";
import { acknowledgePersisted } from "./append.ts";
import type { Event } from "./event.ts";
import { insertConfigurations } from "./membership.ts";
import { becomeFollower } from "./role.ts";
import type { CoreState, Step } from "./state.ts";
import { firstMissing, termAt } from "./term_index.ts";

/** Index of the first entry that is damaged and was not asked to be repaired; Infinity when there is none. */
export function firstDamaged({ damaged }: CoreState): LogIndex {
  return damaged[0]?.from ?? Infinity;
}

/** Up to here entries are whole on our disk, as far as they are durable at all. */
export function soundIndex({ damaged, repairing }: CoreState): LogIndex {
  return Math.min(damaged[0]?.from ?? Infinity, ...repairing.map(({ from }) => from)) - 1;
}

/** Whether nothing is damaged. */
export function isSound({ damaged, repairing }: CoreState): boolean {
  return damaged.length === 0 && repairing.length === 0;
}

/** The disk could not give these entries: a leader makes way first of all. */
export function onDamageFound(step: Step, { from, end }: Extract<Event, { type: "damage-found" }>): void {
  const { state } = step;
  const { firstIndex, lastIndex } = state.log;
  const found = { from: Math.max(from, firstIndex), end: Math.min(end, lastIndex + 1), isTermKnown: true };
  if (found.from >= found.end || state.repairing.some((it) => it.from <= found.from && found.end <= it.end)) return;
  state.damaged = addDamage(state.damaged, found);
  if (state.role !== "follower") becomeFollower(step, state.term, undefined, "disk-damaged");
  announceDamage(step);
}

/** A leader whose disk takes nothing more makes way; nobody with such a disk campaigns. */
export function onStorageFilled(step: Step, isFull: boolean): void {
  const { state } = step;
  state.isFull = isFull;
  if (isFull && state.role !== "follower") becomeFollower(step, state.term, undefined, "disk-full");
}

/** Whether the term of this entry of the log is known: where it is not, the log has the most that it can be. */
export function knowsTermAt({ damaged }: CoreState, index: LogIndex): boolean {
  return !damaged.some(({ from, end, isTermKnown }) => !isTermKnown && from <= index && index < end - 1);
}

/**
 * The first of the entries `[from, end)` that the log lacks or has with another term. Of a damaged one whose term is not
 * known, any up to that of the last one may be its own: if that last one is the leader's, all before it are.
 */
export function firstConflict(state: CoreState, request: AppendRequest, end: LogIndex): LogIndex {
  const { log } = state;
  const { runs } = request;
  for (let from = request.prevIndex + 1;;) {
    const at = firstMissing(log, runs, from, end);
    if (at >= end || at > log.lastIndex) return at;
    const term = runs.findLast((run) => run.from <= at)!.term;
    if (knowsTermAt(state, at) || term > termAt(log, at)!) return at;
    from = at + 1;
  }
}

/** Asks for what is damaged among the leader's entries `[prevIndex + 1, end)`, which are ours too, to be written anew. */
export function repairEntries(step: Step, request: AppendRequest, end: LogIndex): void {
  const { state, effects } = step;
  const pieces = state.damaged
    .map((range) => ({ from: Math.max(range.from, request.prevIndex + 1), end: Math.min(range.end, end) }))
    .filter(({ from, end }) => from < end);
  for (const { from, end } of pieces) {
    state.log.runs = replaceRuns(state.log.runs, state.log.lastIndex, request.runs, from, end);
    state.damaged = removeDamage(state.damaged, from, end);
    const sequence = ++state.repairsAsked;
    state.repairing.push({ from, end, sequence });
    effects.push({ type: "repair", from, end, sequence });
    insertConfigurations(step, request.configurations, from, end);
  }
}

/** They are whole again. */
export function onEntriesRepaired(step: Step, { sequence }: Extract<Event, { type: "entries-repaired" }>): void {
  const { state } = step;
  const left = state.repairing.filter((it) => it.sequence !== sequence);
  if (left.length === state.repairing.length) return;
  state.repairing = left;
  mark("damage-repaired");
  announceDamage(step);
  // Whoever found one damaged on the way to the machine waits for it.
  step.effects.push({ type: "apply", upTo: state.commitIndex });
  acknowledgePersisted(step);
}

/** Entries are gone, by a truncation or into a snapshot: damage to them harms nobody. */
export function forgetDamage({ state }: Step, from: LogIndex, end: LogIndex): void {
  if (isSound(state)) return;
  state.damaged = removeDamage(state.damaged, from, end);
  state.repairing = removeDamage(
    state.repairing.map((it) => ({ ...it, isTermKnown: true })),
    from,
    end,
  ).map(({ from, end, sequence }) => ({ from, end, sequence }));
}

/** What is damaged, what is being repaired included. */
export function allDamage({ damaged, repairing }: Pick<CoreState, "damaged" | "repairing">): DamagedRange[] {
  let all = damaged;
  for (const { from, end } of repairing) all = addDamage(all, { from, end, isTermKnown: true });
  return all;
}

/** Tells the driver what is damaged. */
export function announceDamage({ state, effects }: Step): void {
  effects.push({ type: "announce-damage", damaged: allDamage(state) });
}

/** Whether a snapshot that ends here takes the place of something damaged. */
export function mendsDamage(state: CoreState, index: LogIndex): boolean {
  return soundIndex(state) < index;
}
