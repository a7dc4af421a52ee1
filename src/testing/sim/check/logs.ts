/**
 * Logs and acknowledgements: L1 to L8, E9. L9 is in stale.ts.
 *
 * @module
 */
import { termAt } from "../../../core/term_index.ts";
import type { AppendRequest, AppendResponse } from "../../../message.ts";
import { getU32 } from "../../../wire/integers.ts";
import type { DecodedMessage } from "../../../wire/message_codec.ts";
import { ChainLog } from "../chain.ts";
import type { Ghost } from "../ghost.ts";
import type { DiskView, NodeView, StepView } from "../view.ts";
import type { Checker } from "./checker.ts";
import { hasSeenLastLoss } from "./identity.ts";

/** Raft §5.3. */
export const logs: Checker = {
  onStep(ghost, node, step) {
    leaderAppendOnly(ghost, node, step);
    truncation(ghost, node, step);
    noteShown(ghost, node, step);
    noteDifference(ghost, node, step);
    matchSoundness(ghost, node, step);
    readableWhenAcknowledged(ghost, node, step);
  },

  onSend(ghost, node, _to, decoded) {
    const { message } = decoded;
    if (message.type === "append-request") wellFormed(ghost, node, message, decoded);
    else if (message.type === "append-response" && message.rejected === undefined) onAcknowledged(ghost, node, message);
    else if (message.type === "append-response") onRejected(ghost, node, message);
  },

  onEvent(ghost, node) {
    shape(ghost, node);
    logMatching(ghost, node);
  },

  onPersisted(ghost, { id, disk, core }, { truncateFrom, records }) {
    if (truncateFrom !== undefined) ackStable(ghost, id, disk, core?.term ?? disk.term);
    for (const run of records) {
      ghost.must(disk.log.last >= run.end - 1, "L2", () => `"${id}" has a gap in its durable log before ${run.from}`);
    }
  },

  onReplaced(ghost, id) {
    // Whoever counts on it without having seen the new disk does so rightly (L7), and nobody can find it any more.
    for (const [key, { index }] of ghost.acknowledged) {
      if (!key.startsWith(`${id} `)) continue;
      ghost.lostAcknowledged.set(key, Math.max(index, ghost.lostAcknowledged.get(key) ?? 0));
      ghost.acknowledged.delete(key);
    }
  },

  onRecovered(ghost, id, { found }) {
    ackStable(ghost, id, found, found.term);
  },
};

/** E9: a leader removes nothing from its log. When it ceases to lead, its log is kept as it was. */
function leaderAppendOnly(ghost: Ghost, { id, core, log }: NodeView, { before, effects }: StepView): void {
  if (before.role !== "leader") return;
  if (core.role === "leader" && core.term === before.term) {
    const removes = effects.some(({ type }) => type === "truncate") || core.log.lastIndex < before.lastIndex;
    ghost.must(!removes, "E9", () => `leader "${id}" removes entries from its log`);
    return;
  }
  const leadership = ghost.leaders.get(before.term);
  if (leadership?.leader === id) ghost.leaders.set(before.term, { leader: id, log: log.clone() });
}

/** L3: no committed entry is removed, but by a leader of an earlier term where it may be. */
function truncation(ghost: Ghost, { id, core, log }: NodeView, { before, effects }: StepView): void {
  for (const effect of effects) {
    if (effect.type !== "truncate") continue;
    const { from } = effect;
    ghost.must(from > before.commitIndex, "L3", () => {
      return `"${id}" removes entries from ${from} on and knows ${before.commitIndex} to be committed`;
    });
    for (let index = from; index <= Math.min(log.last, ghost.commits.last); index++) {
      const committed = ghost.commits.at(index)!;
      if (log.hashAt(index) !== committed.hash) break;
      ghost.must(core.term < committed.committedIn, "L3", () => {
        return `"${id}" removes entry ${index} in term ${core.term}, committed in term ${committed.committedIn}`;
      });
    }
  }
}

/** What a leader has shown a follower in its term: no more may be acknowledged (L5) or taken as committed (C6). */
function noteShown(ghost: Ghost, { id, life, core }: NodeView, { event }: StepView): void {
  if (event.type === "snapshot-received") return note(ghost, `${id} ${life} ${core.term}`, event.index);
  if (event.type !== "message-received") return;
  const { message } = event;
  if (message.type === "snapshot-request" && message.term === core.term && core.role !== "leader") {
    return note(ghost, `${id} ${life} ${core.term}`, message.index);
  }
  if (message.type !== "append-request") return;
  const { term, prevIndex, prevTerm, end, runs } = message;
  if (term !== core.term || core.role === "leader") return;
  const last = end - 1;
  const lastTerm = last === prevIndex ? prevTerm : runs[runs.length - 1]!.term;
  // What was let go was committed, so it is the leader's too.
  if (last >= core.log.firstIndex - 1 && termAt(core.log, last) !== lastTerm) return;
  note(ghost, `${id} ${life} ${term}`, last);
}

function note(ghost: Ghost, key: string, last: number): void {
  ghost.shown.set(key, Math.max(ghost.shown.get(key) ?? 0, last));
}

/**
 * L7: a leader believes no more than what was acknowledged in its term, and forgets nothing of it but what the peer says
 * that its disk has lost.
 */
function matchSoundness(ghost: Ghost, node: NodeView, { event, before }: StepView): void {
  const { id, core } = node;
  if (event.type !== "message-received" || event.message.type !== "append-response") return;
  const progress = core.leading?.progress.get(event.from);
  if (progress === undefined) return;
  const { matchIndex, nextIndex } = progress;
  const key = `${event.from} ${core.term}`;
  // What another disk acknowledged is worth nothing to whoever has seen that it is gone (M8).
  const lost = hasSeenLastLoss(ghost, node, event.from) ? 0 : ghost.lostAcknowledged.get(key) ?? 0;
  const index = Math.max(ghost.acknowledged.get(key)?.index ?? 0, lost);
  ghost.must(matchIndex <= index, "L7", () => {
    return `leader "${id}" of term ${core.term} believes that "${event.from}" holds ${matchIndex}, it acknowledged ${index}`;
  });
  const { rejected } = event.message;
  if (rejected?.isDamaged === true) return;
  const known = before.term === core.term ? before.peer?.matchIndex ?? 0 : 0;
  // It denies the last entry that it has acknowledged, and counts for nothing any more.
  if (rejected?.prevIndex === known && progress.hasForgotten) return;
  ghost.must(matchIndex >= known, "L7", () => {
    return `leader "${id}" of term ${core.term} believes that "${event.from}" holds ${matchIndex}, and knew of ${known}`;
  });
  ghost.must(
    nextIndex > matchIndex,
    "L7",
    () => `leader "${id}": next ${nextIndex} of "${event.from}" at ${matchIndex}`,
  );
}

/** L8: a request says what the leader's log says. */
function wellFormed(ghost: Ghost, node: NodeView, request: AppendRequest, { records }: DecodedMessage): void {
  const { id, log, core } = node;
  const { prevIndex, prevTerm, end, commitIndex, term } = request;
  const what = () =>
    `"${id}" sends entries ${prevIndex + 1} to ${end - 1} in term ${term} after ${prevIndex} of ${prevTerm}`;
  ghost.must(log.termAt(prevIndex) === prevTerm, "L8", () => `${what()}, where its log has ${log.termAt(prevIndex)}`);
  ghost.must(commitIndex <= core.commitIndex, "L8", () => `${what()} and claims that ${commitIndex} is committed`);
  if (records === undefined) return;
  const offsets = records.offsets;
  let hash = log.hashAt(prevIndex);
  for (let index = prevIndex + 1; index < end; index++) {
    hash = ChainLog.link(hash, records.term(index), getU32(records.bytes, offsets[index - records.from]!));
  }
  ghost.must(hash === log.hashAt(end - 1), "L8", () => `${what()} that are not its own`);
}

/** L4, L5: an acknowledgement is on disk, is the leader's, and is about no more than what was sent. */
function onAcknowledged(ghost: Ghost, node: NodeView, { term, matchIndex }: AppendResponse): void {
  const { id, life, disk } = node;
  if (matchIndex === 0) return;
  const shown = ghost.shown.get(`${id} ${life} ${term}`) ?? 0;
  ghost.must(
    matchIndex <= shown,
    "L5",
    () => `"${id}" acknowledges ${matchIndex} in term ${term} and was shown ${shown}`,
  );
  ghost.must(matchIndex <= disk.log.last, "L4", () => {
    return `"${id}" acknowledges ${matchIndex} in term ${term} while its disk holds ${disk.log.last}`;
  });
  const leadership = ghost.leaders.get(term);
  const hash = disk.log.hashAt(matchIndex);
  ghost.must(leadership?.log.hashAt(matchIndex) === hash, "L4", () => {
    return `"${id}" acknowledges ${matchIndex} in term ${term} and its disk holds another one than "${leadership?.leader}"`;
  });
  const key = `${id} ${term}`;
  const before = ghost.acknowledged.get(key);
  if (before === undefined || matchIndex > before.index) ghost.acknowledged.set(key, { index: matchIndex, hash });
}

/** The request shows a follower that another entry stands in its log where the leader's begin to follow. */
function noteDifference(ghost: Ghost, { id, life, core }: NodeView, { event }: StepView): void {
  if (event.type !== "message-received" || event.message.type !== "append-request") return;
  const { term, sequence, prevIndex, prevTerm } = event.message;
  // Whoever took the entries has no other there any more.
  const ours = termAt(core.log, prevIndex);
  const isSame = term !== core.term || core.role === "leader" || ours === undefined || ours === prevTerm;
  if (!isSame) ghost.differed.set(`${id} ${life} ${term} ${sequence}`, prevTerm);
  // Of a server that was taken in again requests are counted anew, in the same term.
  else if (ghost.differed.size > 0) ghost.differed.delete(`${id} ${life} ${term} ${sequence}`);
}

/**
 * L5: a rejection is about no more than what was sent, either: it names the last entry up to there that the leader may have
 * as well, and none of a term that the leader's log did not come to.
 */
function onRejected(ghost: Ghost, { id, life }: NodeView, { term, sequence, rejected }: AppendResponse): void {
  const { prevIndex, hintIndex, hintTerm, isDamaged } = rejected!;
  const prevTerm = ghost.differed.get(`${id} ${life} ${term} ${sequence}`);
  const isOfUse = isDamaged || prevTerm === undefined || hintTerm <= prevTerm;
  ghost.must(hintIndex <= prevIndex && isOfUse, "L5", () => {
    return `"${id}" does not have what stands at ${prevIndex} and tells its leader to look at ${hintIndex} of ${hintTerm}`;
  });
}

/** L4: what is damaged is not acknowledged until it is repaired. What waited for a vote to be durable was said before. */
function readableWhenAcknowledged(ghost: Ghost, { id, core }: NodeView, { event, effects }: StepView): void {
  const { damaged, repairing } = core;
  if (damaged.length + repairing.length === 0 || event.type === "vote-persisted") return;
  const first = Math.min(...[...damaged, ...repairing].map(({ from }) => from));
  for (const effect of effects) {
    if (effect.type !== "send" || effect.message.type !== "append-response") continue;
    const { matchIndex, rejected } = effect.message;
    ghost.must(rejected !== undefined || matchIndex < first, "L4", () => {
      return `"${id}" acknowledges ${matchIndex} while its entry ${first} is damaged`;
    });
  }
}

/** L6: what was acknowledged stays on disk while the term lasts. */
function ackStable(ghost: Ghost, id: string, disk: DiskView, term: number): void {
  const acknowledged = ghost.acknowledged.get(`${id} ${term}`);
  if (acknowledged === undefined) return;
  const { index, hash } = acknowledged;
  ghost.must(disk.log.hashAt(index) === hash, "L6", () => {
    return `"${id}" acknowledged ${index} in term ${term} and has lost it: its disk holds ${disk.log.last} entries`;
  });
}

/** L2: the core's picture of the log is the log's. */
function shape(ghost: Ghost, { id, core, log }: NodeView): void {
  const { lastIndex, firstIndex, runs } = core.log;
  ghost.must(lastIndex === log.last, "L2", () => `"${id}" believes in ${lastIndex} entries and has ${log.last}`);
  const last = runs[runs.length - 1];
  ghost.must(
    (last?.term ?? core.log.prevTerm) === log.lastTerm,
    "L2",
    () => `"${id}" is wrong about the term of entry ${lastIndex}`,
  );
  ghost.must(
    log.lastTerm <= core.term,
    "L2",
    () => `"${id}" in term ${core.term} has an entry of term ${log.lastTerm}`,
  );
  ghost.must(
    firstIndex <= lastIndex + 1,
    "L2",
    () => `the log of "${id}" begins at ${firstIndex}, ends at ${lastIndex}`,
  );
}

/** L1: an entry of a term at an index is the same in every log at every time, and so is all before it. */
function logMatching(ghost: Ghost, { id, log }: NodeView): void {
  const { first } = log;
  const from = ghost.matched.get(log) ?? first;
  // After a truncation the new entries lie below what was looked at.
  for (let index = Math.min(from, log.last + 1); index > first && isNews(ghost, log, index - 1);) {
    ghost.matched.set(log, --index);
  }
  for (let index = ghost.matched.get(log) ?? first; index <= log.last; index++) {
    const term = log.termAt(index);
    const ofTerm = ghost.entries.get(term) ?? new Map<number, number>();
    ghost.entries.set(term, ofTerm);
    const known = ofTerm.get(index);
    ghost.must(known === undefined || known === log.hashAt(index), "L1", () => {
      return `"${id}" has another entry ${index} of term ${term}, or others before it, than some log had`;
    });
    ofTerm.set(index, log.hashAt(index));
  }
  ghost.matched.set(log, log.last + 1);
}

function isNews(ghost: Ghost, log: ChainLog, index: number): boolean {
  return ghost.entries.get(log.termAt(index))?.get(index) !== log.hashAt(index);
}
