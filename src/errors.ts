/**
 * Errors, named by what the caller may do. Compare `code`: it survives duplicate installs, `instanceof` does not.
 *
 * @module
 */
import type { LogIndex, ServerAddress, ServerId, Term } from "./types.ts";

/**
 * What became of the command: certainly not applied, applied (of what it came to nothing is known), or unknown (it may be applied
 * now, later or never).
 */
export type Outcome = "not-applied" | "applied" | "unknown";

/** A leader as a hint for the caller. */
export interface LeaderHint {
  /** Its id. */
  readonly id: ServerId;
  /** Its Raft address, when it is in the configuration. */
  readonly address: ServerAddress | undefined;
}

/** What is known of an error besides its message and outcome. */
export interface RaftErrorOptions {
  /** What caused it. */
  readonly cause?: unknown;
  /** See {@linkcode RaftError.leader}. */
  readonly leader?: LeaderHint | undefined;
  /** See {@linkcode RaftError.retryAfterMs}. */
  readonly retryAfterMs?: number | undefined;
}

/** About as long as an election takes, milliseconds. */
const electionMs = 500;

/** About as long as it takes a leader that is overloaded to apply what it has, milliseconds. */
const overloadMs = 50;

/** Every error of this library that a caller is expected to tell apart. */
export abstract class RaftError extends Error {
  /** A stable name: `not-leader`, `overloaded`, … */
  abstract readonly code: string;
  /** What became of the command or call. */
  readonly outcome: Outcome;
  /** The leader, when it is known. */
  readonly leader: LeaderHint | undefined;
  /**
   * In how many milliseconds it is worth trying the same again, on this server; undefined where that helps nobody, or may
   * apply a command twice.
   */
  readonly retryAfterMs: number | undefined;

  /** Takes the message, the outcome and what else is known. */
  constructor(message: string, outcome: Outcome, options: RaftErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.outcome = outcome;
    this.leader = options.leader;
    this.retryAfterMs = options.retryAfterMs;
    this.name = new.target.name;
  }
}

/** No leader is known, or the one asked is none: try again there or later. Not applied. */
export class NotLeaderError extends RaftError {
  /** `not-leader`. */
  override readonly code = "not-leader";
  /** Names the leader when one is known. */
  constructor(leader?: LeaderHint, message?: string) {
    super(
      message ?? `Cannot reach a leader: ${leader ? `the last known one is "${leader.id}"` : "none is known"}`,
      "not-applied",
      { leader, retryAfterMs: electionMs },
    );
  }
}

/** Too much is in flight: try again later. Not applied. */
export class OverloadedError extends RaftError {
  /** `overloaded`. */
  override readonly code = "overloaded";
  /** Commands that wait. */
  readonly pendingCount: number;
  /** Their bytes. */
  readonly pendingBytes: number;
  /** Takes what is in flight. */
  constructor(pendingCount: number, pendingBytes: number, message?: string) {
    super(
      message ??
        `Cannot take the command as too much is in flight: ${pendingCount} commands with ${pendingBytes} bytes`,
      "not-applied",
      { retryAfterMs: overloadMs },
    );
    this.pendingCount = pendingCount;
    this.pendingBytes = pendingBytes;
  }
}

/** What this server could show is too old: ask another one, or allow for more. Nothing was read. */
export class StaleReadError extends RaftError {
  /** `stale-read`. */
  override readonly code = "stale-read";
  /**
   * Milliseconds since a leader was heard by whose word all is there, those included that the machine has slept; undefined when
   * never. On a server that leads no more that is another one.
   */
  readonly lastContactMs: number | undefined;
  /** Takes how long it was, how long it may be, and whether the server has led itself since. */
  constructor(lastContactMs: number | undefined, maxStalenessMs: number, hasLed: boolean = false) {
    const ms = lastContactMs === undefined ? undefined : Math.round(lastContactMs);
    const what = hasLed
      ? `this server leads no more, and no other leader was ${ms === undefined ? "ever heard" : `heard for ${ms} ms`}`
      : ms === undefined
      ? "no leader was ever heard"
      : `what this server has is ${ms} ms old`;
    super(`Cannot read as ${what}: at most ${maxStalenessMs} ms are allowed`, "not-applied");
    this.lastContactMs = lastContactMs;
  }
}

/** The entry that the read is to see did not come in time: ask another server, or later. Nothing was read. */
export class EntryAwaitedError extends RaftError {
  /** `entry-awaited`. */
  override readonly code = "entry-awaited";
  /** The entry. */
  readonly index: LogIndex;
  /** Takes the entry. */
  constructor(index: LogIndex) {
    super(`Cannot read as entry ${index} has not come to this server in time`, "not-applied");
    this.index = index;
  }
}

/** The session is not known any more: it was unused too long, closed, or had to make room. Open another one. */
export class SessionExpiredError extends RaftError {
  /** `session-expired`. */
  override readonly code = "session-expired";
  /** Its number. */
  readonly session: number;
  /** Takes its number, and what became of the command. */
  constructor(session: number, outcome: Outcome = "not-applied") {
    super(`Cannot apply the command as session ${session} is not known any more: open another one`, outcome);
    this.session = session;
  }
}

/**
 * A command that was sent again, in a session or by its key, was applied before, and its result is not kept: do not send it again,
 * read what it did.
 */
export class ResultLostError extends RaftError {
  /** `result-lost`. */
  override readonly code = "result-lost";
  /** Says so. */
  constructor() {
    super(
      "Cannot repeat the result of the command, which was applied before, as there was no room to keep it or MessagePack " +
        "cannot hold it: do not send the command again, read what it did",
      "applied",
    );
  }
}

/** The configuration is not the one that the change was made for: read it and decide again. Not applied. */
export class ConfigurationChangedError extends RaftError {
  /** `configuration-changed`. */
  override readonly code = "configuration-changed";
  /** Says which one it is. */
  constructor(message: string) {
    super(message, "not-applied");
  }
}

/** The server has data already, of this cluster or of another one, or another cluster has it: nothing was changed. */
export class CannotBootstrapError extends RaftError {
  /** `cannot-bootstrap`. */
  override readonly code = "cannot-bootstrap";
  /** Takes the server and the reason, for the end of a sentence; without one it has data. */
  constructor(id: ServerId, why = "it has a term, entries or a snapshot: start it, or use an empty store") {
    super(`Cannot bootstrap server "${id}" as ${why}`, "not-applied");
  }
}

/** A lost quorum can't be recovered from what this server has: nothing was changed. */
export class CannotRecoverError extends RaftError {
  /** `cannot-recover`. */
  override readonly code = "cannot-recover";
  /** Takes what is in the way, for the end of a sentence. */
  constructor(why: string) {
    super(`Cannot recover the cluster from this server as ${why}`, "not-applied");
  }
}

/** The servers can't be changed as asked: `reason` says what to do about it. */
export class MembershipError extends RaftError {
  /** `membership`. */
  override readonly code = "membership";
  /**
   * `invalid`: no such configuration can be; `no-quorum`: too few of its voters answer, see `force`; `unreachable`,
   * `too-slow`: the new server did not catch up, stays `staging` and votes when it has; `removed`: it was taken out
   * again meanwhile.
   */
  readonly reason: "invalid" | "no-quorum" | "unreachable" | "too-slow" | "removed";
  /** Takes why, and whether something of it stays. */
  constructor(message: string, reason: MembershipError["reason"], outcome: Outcome) {
    super(message, outcome);
    this.reason = reason;
  }
}

/** Leadership was not handed over; the leader goes on. */
export class TransferFailedError extends RaftError {
  /** `transfer-failed`. */
  override readonly code = "transfer-failed";
  /** `timeout`, `no-target`, `busy`, or what happened instead. */
  readonly reason: string;
  /** Takes why and who was to lead. */
  constructor(reason: string, to: ServerId | undefined, leader?: LeaderHint) {
    const why = {
      "no-target": "there is no such voter that answers",
      "busy": "it is being handed to another server",
      "timeout": "the other server did not take over in time",
      "not-leader": "this server does not lead",
    }[reason] ?? reason;
    super(`Cannot hand leadership over${to === undefined ? "" : ` to "${to}"`}: ${why}`, "unknown", { leader });
    this.reason = reason;
  }
}

/** This server leads, and what was asked is for others. */
export class IsLeaderError extends RaftError {
  /** `is-leader`. */
  override readonly code = "is-leader";
  /** Says what was asked. */
  constructor(message: string) {
    super(message, "not-applied");
  }
}

/**
 * A restore has taken the place of what the command did, or was about to do: see {@linkcode Raft.restore}. For a restore: another one came
 * between. `unknown` for a command: should the restore not come about, the command may be applied.
 */
export class AbortedByRestoreError extends RaftError {
  /** `aborted-by-restore`. */
  override readonly code = "aborted-by-restore";
  /** Where it was in the log. */
  readonly index: LogIndex;
  /** The entry's term. */
  readonly term: Term;
  /** Takes the entry's place. */
  constructor(message: string, place: { readonly outcome: Outcome; readonly index: LogIndex; readonly term: Term }) {
    super(message, place.outcome);
    this.index = place.index;
    this.term = place.term;
  }
}

/** The leader lost its leadership before the command was committed: read before trying again. Outcome unknown. */
export class LeadershipLostError extends RaftError {
  /** `leadership-lost`. */
  override readonly code = "leadership-lost";
  /** Where the command was in the log, when that is known. */
  readonly index: LogIndex | undefined;
  /** The entry's term, when that is known. */
  readonly term: Term | undefined;
  /** Takes the entry's place. */
  constructor(
    message: string,
    options: { outcome?: Outcome; index?: LogIndex; term?: Term; leader?: LeaderHint | undefined } = {},
  ) {
    const { outcome = "unknown", leader } = options;
    // There is another leader already, which takes it at once.
    super(message, outcome, { leader, retryAfterMs: outcome === "not-applied" ? 0 : undefined });
    this.index = options.index;
    this.term = options.term;
  }
}

/** The server is shutting down or was: use another one. */
export class ShutdownError extends RaftError {
  /** `shutdown`. */
  override readonly code = "shutdown";
  /** Takes the outcome of the call that it ends, and who led when the server stopped. */
  constructor(outcome: Outcome = "not-applied", cause?: unknown, leader?: LeaderHint) {
    super("Cannot go on as the server is shut down", outcome, cause === undefined ? { leader } : { cause, leader });
  }
}

/** The transport is closed. */
export class TransportClosedError extends RaftError {
  /** `transport-closed`. */
  override readonly code = "transport-closed";
  /** Says so. */
  constructor() {
    super("Cannot send as the transport is closed", "not-applied");
  }
}

/** A disk failed: replace it or make room, then restart. Ends the server. */
export class StorageError extends RaftError {
  /** `storage`. */
  override readonly code: string = "storage";
  /** What was done: `open`, `write`, `sync`, … */
  readonly operation: string;
  /** Takes the operation and the cause. */
  constructor(message: string, operation: string, cause?: unknown) {
    super(message, "unknown", cause === undefined ? {} : { cause });
    this.operation = operation;
  }
}

/** The disk has no room for more entries: make some, or try again later or elsewhere. Not applied. */
export class StorageFullError extends RaftError {
  /** `storage-full`. */
  override readonly code = "storage-full";
  /** Disks are looked at again about so often, in milliseconds. */
  declare readonly retryAfterMs: number;
  /** Takes the directory. */
  constructor(location: string) {
    super(`Cannot write to "${location}" as the disk is full: make room`, "not-applied", { retryAfterMs: 1_000 });
  }
}

/** The data directory is in use by another process: stop that one, or use another directory. */
export class StoreLockedError extends StorageError {
  /** `store-locked`. */
  override readonly code = "store-locked";
  /** Takes the directory. */
  constructor(location: string) {
    super(
      `Cannot open "${location}" as another process has it open: stop that process or use another directory`,
      "lock",
    );
  }
}

/** What was acknowledged can't be read from disk: restore it. Ends the server. */
export class CorruptionError extends StorageError {
  /** `corrupt`. */
  override readonly code: string = "corrupt";
  /** The file. */
  readonly file: string;
  /** Where in it, in bytes. */
  readonly offset: number;
  /** Takes the place and what is wrong there. */
  constructor(file: string, offset: number, detail: string) {
    super(`Cannot trust "${file}" at offset ${offset}: ${detail}`, "read");
    this.file = file;
    this.offset = offset;
  }
}

/** An entry can't be read from disk any more: it has to come from another server. */
export class DamagedEntryError extends CorruptionError {
  /** `damaged-entry`. */
  override readonly code = "damaged-entry";
  /** The entry's index. */
  readonly index: LogIndex;
  /** Takes the entry, its place and what is wrong there. */
  constructor(index: LogIndex, file: string, offset: number, detail: string) {
    super(file, offset, `entry ${index} is damaged: ${detail}`);
    this.index = index;
  }
}

/** The entry asked for is not in the log. */
export class EntryNotFoundError extends RaftError {
  /** `entry-not-found`. */
  override readonly code = "entry-not-found";
  /** The index. */
  readonly index: LogIndex;
  /** Takes the index and what there is. */
  constructor(index: LogIndex, firstIndex: LogIndex, lastIndex: LogIndex) {
    super(`Cannot read entry ${index}: the log holds ${firstIndex} to ${lastIndex}`, "not-applied");
    this.index = index;
  }
}

/** The last snapshot has all that is applied: there is nothing to take. */
export class NothingNewToSnapshotError extends RaftError {
  /** `nothing-new`. */
  override readonly code = "nothing-new";
  /** Takes the last entry that is applied. */
  constructor(index: LogIndex) {
    super(`Cannot take a snapshot as there is nothing new: the last one has all up to entry ${index}`, "not-applied");
  }
}

/** This server takes no snapshots: give it a store for them, and its machine `snapshot` and `restore`. */
export class NoSnapshotsError extends RaftError {
  /** `no-snapshots`. */
  override readonly code = "no-snapshots";
  /** Takes what is missing, for the end of a sentence. */
  constructor(why: string) {
    super(`Cannot use snapshots on this server as ${why}`, "not-applied");
  }
}

/** The snapshot asked for is not in the store, or no longer: take the newest one that is listed. */
export class SnapshotNotFoundError extends RaftError {
  /** `snapshot-not-found`. */
  override readonly code = "snapshot-not-found";
  /** Its name. */
  readonly id: string;
  /** Takes the name. */
  constructor(id: string) {
    super(`Cannot find the snapshot "${id}": take the newest one that is listed`, "not-applied");
    this.id = id;
  }
}

/** Bytes from a peer or a disk are not what they should be. Closes the connection, never the server. */
export class ProtocolError extends RaftError {
  /** `protocol`. */
  override readonly code = "protocol";
  /** Takes what is wrong. */
  constructor(message: string) {
    super(message, "not-applied");
  }
}

/** The library itself is wrong: the server stops before harm is done. Please report it. */
export class InvariantError extends RaftError {
  /** `invariant`. */
  override readonly code = "invariant";
  /** Takes what does not hold, with the state. */
  constructor(message: string, cause?: unknown) {
    super(message, "unknown", cause === undefined ? {} : { cause });
  }
}

/** The error, naming the leader when it named none. */
export function namingLeader(error: unknown, leader: LeaderHint | undefined): unknown {
  if (error instanceof RaftError && error.leader === undefined) {
    (error as { leader: LeaderHint | undefined }).leader = leader;
  }
  return error;
}
