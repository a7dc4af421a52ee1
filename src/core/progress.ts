/**
 * One peer as its leader sees it.
 *
 * @module
 */
import type { LogIndex } from "../types.ts";
import { invariant } from "./invariant.ts";

/** An append on its way. */
export interface InFlight {
  readonly sequence: number;
  /** End of its entries, exclusive. */
  readonly end: LogIndex;
  readonly bytes: number;
}

/** What the leader asked the sender for and has no answer to yet. */
export interface Sending {
  readonly sequence: number;
  readonly commitIndex: LogIndex;
  readonly round: number;
}

/** How a staging server catches up: in rounds, each over when it has what was there when the round began. */
export interface CatchUp {
  /** Counts from 1. */
  readonly round: number;
  /** Last index when the round began. */
  readonly target: LogIndex;
  readonly startedAt: number;
  /** Whether the last round took no longer than an election timeout. */
  readonly ready: boolean;
}

/**
 * What a leader knows of one peer. In `probe` it does not know where the logs agree and sends one append at a time; in
 * `replicate` it does, and keeps a window full (Raft §5.3; the split follows thesis §10.2.1). In `snapshot` the entries that the peer needs are no
 * longer in the log: it gets heartbeats until a snapshot has brought it back to where the log begins (Raft §7).
 */
export interface Progress {
  state: "probe" | "replicate" | "snapshot";
  /** Up to here the peer's durable log equals ours. Never decreases in a leadership. */
  matchIndex: LogIndex;
  /** Next entry to send. */
  nextIndex: LogIndex;
  /** Sequence of the next request. */
  sequence: number;
  /** Requests before this one were sent in an earlier state: their rejections say nothing about this one (L9). */
  stateSequence: number;
  /** Set while the sender works on entries for this peer. */
  sending: Sending | undefined;
  /** The append that a probe waits for; no other is sent until it is answered or a heartbeat is due. */
  probe: InFlight | undefined;
  /** Appends with entries on their way, oldest first. */
  inFlight: InFlight[];
  inFlightBytes: number;
  /** Whether the driver is seeing to it that the peer gets a snapshot. */
  snapshotAsked: boolean;
  /** The last entry of the snapshot that the peer gets, or got and catches up from: what comes after it stays in the log. */
  snapshotIndex: LogIndex | undefined;
  /** Until when a peer that got it may take to acknowledge something new before that ends. */
  snapshotUntil: number;
  /** Nothing could be sent: wait for a connection or the next heartbeat. */
  blocked: boolean;
  /** Send something in this turn, with or without entries. */
  heartbeatDue: boolean;
  /** Latest commit index the peer was told. */
  commitSent: LogIndex;
  /** Latest round the peer has answered. */
  ackedRound: number;
  /** A round that the peer is to answer, and when it began: what a lease is counted from. */
  askedRound: { readonly round: number; readonly at: number } | undefined;
  /** When the latest such round began that the peer has answered; -Infinity when none did. */
  promisedAt: number;
  /** When the peer last answered an append of this leadership; when that began, before it has. */
  heardAt: number;
  /** Whether the peer has answered an append of this leadership. */
  hasAnswered: boolean;
  /** Whether the peer has lost what it acknowledged, and was not re-admitted since (M8). */
  hasForgotten: boolean;
  /** Whether the peer denied, once, what it had acknowledged: it is asked again. */
  isDoubted: boolean;
  /** Its disk is recorded when an entry beyond this one is committed without its help. */
  admitAfter: LogIndex;
  /** Acknowledgements count from here on: where its disk was first recorded. */
  countsFrom: LogIndex;
  /** Set while the peer is to catch up: it is `staging`, or has lost its disk. */
  catchUp: CatchUp | undefined;
  /** Set when the peer was removed: by which entry, and until when it is still sent the log. */
  leaving: { readonly index: LogIndex; readonly until: number } | undefined;
}

/** A peer that nothing is known of. */
export function newProgress(nextIndex: LogIndex, now: number): Progress {
  return {
    state: "probe",
    matchIndex: 0,
    nextIndex,
    sequence: 1,
    stateSequence: 1,
    sending: undefined,
    probe: undefined,
    inFlight: [],
    inFlightBytes: 0,
    snapshotAsked: false,
    snapshotIndex: undefined,
    snapshotUntil: 0,
    blocked: false,
    heartbeatDue: true,
    commitSent: 0,
    ackedRound: 0,
    askedRound: undefined,
    promisedAt: -Infinity,
    heardAt: now,
    hasAnswered: false,
    hasForgotten: false,
    isDoubted: false,
    admitAfter: 0,
    countsFrom: 0,
    catchUp: undefined,
    leaving: undefined,
  };
}

/** Where the logs agree is unknown from now on: forget what is on its way and look from `nextIndex`. */
export function becomeProbing(progress: Progress, nextIndex: LogIndex): void {
  progress.state = "probe";
  progress.nextIndex = Math.max(nextIndex, progress.matchIndex + 1);
  progress.stateSequence = progress.sequence;
  progress.sending = undefined;
  progress.probe = undefined;
  progress.inFlight = [];
  progress.inFlightBytes = 0;
}

/** The logs agree up to `nextIndex - 1`: fill the window from there. */
export function becomeReplicating(progress: Progress, nextIndex: LogIndex): void {
  becomeProbing(progress, nextIndex);
  progress.state = "replicate";
  progress.isDoubted = false;
}

/** What the peer needs is no longer in the log: a snapshot must come first. Heartbeats ask for what the log begins with. */
export function becomeAwaitingSnapshot(progress: Progress, firstIndex: LogIndex): void {
  becomeProbing(progress, firstIndex);
  progress.state = "snapshot";
}

/** The peer's durable log equals ours up to here. Frees what is thereby answered; true when that is news. */
export function acknowledge(progress: Progress, matchIndex: LogIndex): boolean {
  if (matchIndex <= progress.matchIndex) return false;
  progress.matchIndex = matchIndex;
  progress.nextIndex = Math.max(progress.nextIndex, matchIndex + 1);
  let answered = 0;
  while (answered < progress.inFlight.length && progress.inFlight[answered]!.end <= matchIndex + 1) {
    progress.inFlightBytes -= progress.inFlight[answered]!.bytes;
    answered++;
  }
  if (answered > 0) progress.inFlight.splice(0, answered);
  invariant(
    progress.inFlight.length > 0 || progress.inFlightBytes === 0,
    () => `bytes in flight must be 0 when nothing is: ${progress.inFlightBytes}`,
  );
  return true;
}

/** Whether the window has room for one more append with entries. */
export function hasRoom(progress: Progress, appendsMax: number, bytesMax: number): boolean {
  return progress.inFlight.length < appendsMax && progress.inFlightBytes < bytesMax;
}
