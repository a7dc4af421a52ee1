/**
 * Which disk a server has, and whether the log knows it by that disk. A server that comes back with an empty disk, or an
 * older copy of its own, has forgotten votes and entries that others rely on: it counts for nothing until it has caught up and
 * an entry of the log says that it is known by this disk from now on (M8).
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { AppendResponse } from "../message.ts";
import type { Disk, LogIndex, Server, ServerId } from "../types.ts";
import { configurationOf } from "./membership.ts";
import { becomeProbing, type Progress } from "./progress.ts";
import type { CoreState, Step } from "./state.ts";

/** What a server's disk is to the log: known, not recorded yet, changed by a mere restart, or one to be wary of. */
export type DiskVerdict = "known" | "new" | "restarted" | "replaced" | "older";

/** The disk that a server has now, as it said when it connected; undefined when it never did. */
export function diskOf(state: CoreState, id: ServerId): Disk | undefined {
  return id === state.id ? state.disk : state.peerDisks.get(id);
}

/** The server's disk against what the configuration in force says. One that never said which it has passes for known. */
export function verdictOn(state: CoreState, id: ServerId): DiskVerdict {
  const disk = diskOf(state, id);
  if (disk === undefined) return "known";
  const recorded = serverOf(state, id)?.disk;
  if (recorded === undefined) return "new";
  if (recorded.incarnation !== disk.incarnation) return "replaced";
  if (disk.starts === recorded.starts) return "known";
  return disk.starts > recorded.starts ? "restarted" : "older";
}

function serverOf(state: CoreState, id: ServerId): Server | undefined {
  return configurationOf(state).servers.find((server) => server.id === id);
}

/** Whether a vote by this server may be counted, or one given to it: not when it has forgotten others. */
export function isTrusted(state: CoreState, id: ServerId): boolean {
  const verdict = verdictOn(state, id);
  return verdict !== "replaced" && verdict !== "older";
}

/**
 * Whether what this peer acknowledges counts for its leader. What a disk acknowledged before it was recorded does not: a
 * later leader without that record could not tell it from another.
 */
export function isCounted(state: CoreState, id: ServerId, progress: Progress | undefined): progress is Progress {
  return isRecorded(state, id, progress) && progress.matchIndex >= progress.countsFrom;
}

/** A peer says which disk it has. One that has forgotten what it acknowledged is sent everything again. */
export function onDisk(step: Step, peer: ServerId, disk: Disk | undefined): void {
  const { state } = step;
  if (disk === undefined) return;
  const before = state.peerDisks.get(peer);
  state.peerDisks.set(peer, disk);
  const progress = state.leading?.progress.get(peer);
  if (progress === undefined) return;
  const verdict = verdictOn(state, peer);
  if (verdict !== "known") state.leading!.reconfigures = true;
  // Only a new connection: what it has got since it was first seen it still has.
  if (progress.hasForgotten && isSameDisk(before, disk)) return;
  if (verdict === "new") {
    progress.admitAfter = state.log.lastIndex;
    // No log knows it, but this leader has seen it with another disk.
    if (before !== undefined && before.incarnation !== disk.incarnation) forget(step, peer, progress, "replaced");
    else if (before !== undefined && before.starts > disk.starts) forget(step, peer, progress, "older");
  }
  if (verdict === "replaced" || verdict === "older") forget(step, peer, progress, verdict);
}

/**
 * A peer answers this leader for the first time: so the disk that it was last seen with is the one that it has. Before
 * that, this server may have seen it before another one recorded the disk that it has now.
 */
export function onFirstAnswer(step: Step, peer: ServerId, progress: Progress): void {
  progress.hasAnswered = true;
  const verdict = verdictOn(step.state, peer);
  if (progress.hasForgotten || (verdict !== "replaced" && verdict !== "older")) return;
  forget(step, peer, progress, verdict);
}

/** Whether what this peer says is worth something: it upholds what it said before. */
export function isUpright(state: CoreState, id: ServerId, progress: Progress | undefined): progress is Progress {
  return progress !== undefined && !progress.hasForgotten && isTrusted(state, id);
}

/** Whether the log also knows it by the disk that it has, whichever start of it this is. */
export function isRecorded(state: CoreState, id: ServerId, progress: Progress | undefined): progress is Progress {
  if (progress === undefined || progress.hasForgotten) return false;
  const verdict = verdictOn(state, id);
  return verdict === "known" || verdict === "restarted";
}

/** Whether the peer answers that it lacks the last entry that it has acknowledged: then its disk has lost it. */
export function isDenial(
  progress: Progress,
  sequence: number,
  { isDamaged, prevIndex }: NonNullable<AppendResponse["rejected"]>,
): boolean {
  const { matchIndex, nextIndex, stateSequence } = progress;
  if (isDamaged || prevIndex !== matchIndex || matchIndex === 0) return false;
  return progress.state === "probe" && nextIndex === matchIndex + 1 && sequence >= stateSequence;
}

/**
 * The peer denies what it has acknowledged. The first time it may be an answer from before that, so it is asked again.
 * Then the log says that it is known by no disk, for every leader to see, until it is re-admitted.
 */
export function onDenial(step: Step, peer: ServerId, progress: Progress): void {
  if (progress.isDoubted) return forget(step, peer, progress, "older");
  progress.isDoubted = true;
  becomeProbing(progress, progress.matchIndex + 1);
}

/** Stands for the disk of a server that has lost what it acknowledged: no server has it. */
const lostDisk: Disk = { incarnation: "lost", starts: 1 };

function forget(step: Step, peer: ServerId, progress: Progress, reason: "replaced" | "older"): void {
  const { state, now, effects } = step;
  mark(reason === "replaced" ? "disk-replaced" : "disk-older");
  if (!progress.hasForgotten) effects.push({ type: "announce-distrust", peer, reason });
  progress.hasForgotten = true;
  progress.isDoubted = false;
  progress.admitAfter = state.log.lastIndex;
  progress.matchIndex = 0;
  becomeProbing(progress, progress.nextIndex);
  progress.catchUp = { round: 1, target: state.log.lastIndex, startedAt: now, ready: false };
  state.leading!.reconfigures = true;
}

/** Which servers are known by another disk than the one they have, and may be known by that from now on, or not yet. */
export interface DiskChanges {
  /** All servers, with the disks that may be recorded. */
  readonly servers: readonly Server[];
  /** An entry beyond this index has to be committed before more may; 0 when that is not what is missing. */
  readonly waitsFor: LogIndex;
}

/**
 * A start of the same disk is recorded at once. Another disk, or one that no leader has recorded yet, is recorded when an
 * entry that was appended after it was seen is committed without its help: so no leader of a later term was elected, or
 * had anything committed, by what the disk before it said and this one has forgotten.
 *
 * @param isFirst Whether the record is the first entry of a leadership: disks that nobody ever recorded need not wait then.
 * @param isReady Whether a server that has forgotten entries has them again.
 */
export function diskChanges(state: CoreState, isFirst: boolean, isReady: (progress: Progress) => boolean): DiskChanges {
  let waitsFor = 0;
  const servers = configurationOf(state).servers.map((server) => {
    const { id } = server;
    const verdict = verdictOn(state, id);
    const disk = diskOf(state, id);
    const progress = state.leading?.progress.get(id);
    if (disk === undefined) return server;
    if (progress?.hasForgotten === true && isTrusted(state, id) && verdict !== "new") {
      return { ...server, disk: lostDisk };
    }
    if (verdict === "known") return server;
    const isFree = verdict === "restarted" || progress === undefined || (isFirst && verdict === "new");
    if (isFree) return { ...server, disk };
    if (verdict !== "new" && !(progress.hasForgotten && isReady(progress))) return server;
    if (state.commitIndex > progress.admitAfter) return { ...server, disk };
    waitsFor = Math.max(waitsFor, progress.admitAfter);
    return server;
  });
  return { servers, waitsFor };
}

/** An entry says with which disks servers are known from now on. */
export function onRecorded(step: Step, index: LogIndex, before: readonly Server[]): void {
  const { state, effects } = step;
  for (const { id, disk } of configurationOf(state).servers) {
    const progress = state.leading!.progress.get(id);
    const earlier = before.find((server) => server.id === id)?.disk;
    if (progress === undefined || disk === undefined || (earlier !== undefined && isSameDisk(earlier, disk))) continue;
    mark("disk-recorded");
    if (earlier === undefined || progress.hasForgotten) progress.countsFrom = index;
    if (!progress.hasForgotten || !isSameDisk(disk, diskOf(state, id))) continue;
    mark("server-readmitted");
    progress.hasForgotten = false;
    effects.push({ type: "announce-readmission", peer: id });
  }
}

/** Whether two descriptions are of the same disk in the same life. */
export function isSameDisk(a: Disk | undefined, b: Disk | undefined): boolean {
  return a?.incarnation === b?.incarnation && a?.starts === b?.starts;
}
