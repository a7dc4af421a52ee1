/**
 * What servers say to one another. The core sees only these: the bytes of entries and commands travel beside
 * a message ({@linkcode Envelope} of src/wire) and the core knows them by index and term alone.
 *
 * `term` is the sender's current term in every message but a `pre-vote-request`, where it is the term the
 * sender would campaign in and claims nothing.
 *
 * @module
 */
import type { Configuration, IndexedConfiguration, LogIndex, ServerId, Term, TermRun } from "./types.ts";

/** Asks for a vote (Raft §5.2), or, as `pre`, whether a vote would be given (thesis §9.6). */
export interface VoteRequest {
  readonly type: "vote-request";
  /** The candidate's term; for a pre-vote the term it would campaign in. */
  readonly term: Term;
  readonly pre: boolean;
  /** Index and term of the candidate's last entry, 0 when its log is empty. */
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** Whether the leader itself asked for this election: a live leader is then no reason to refuse. */
  readonly transfer: boolean;
}

/** Answers a {@linkcode VoteRequest}. */
export interface VoteResponse {
  readonly type: "vote-response";
  /** The voter's term. */
  readonly term: Term;
  readonly pre: boolean;
  /** The term of the request that is answered: an answer to an older campaign is not counted (BE07). */
  readonly campaign: Term;
  readonly granted: boolean;
}

/** Entries from the leader, or none (a heartbeat); Raft §5.3. The records travel beside it. */
export interface AppendRequest {
  readonly type: "append-request";
  readonly term: Term;
  /** Counts the requests of this leadership to this peer; the answer repeats it. */
  readonly sequence: number;
  /** The entry before the first one. */
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  /** Entries are `[prevIndex + 1, end)`; none when `end === prevIndex + 1`. */
  readonly end: LogIndex;
  /** Terms of the entries; the first run starts at `prevIndex + 1`. Empty when there is no entry. */
  readonly runs: readonly TermRun[];
  /** The entries among them that are configurations. */
  readonly configurations: readonly IndexedConfiguration[];
  /** The leader's commit index. */
  readonly commitIndex: LogIndex;
  /** Latest round of heartbeats, see {@linkcode AppendResponse}. */
  readonly round: number;
  /**
   * Whether the leader may read by a lease: then its followers vote for nobody else for a while, even if its connections
   * are closed. Leaders of protocol 1 never say, and always may.
   */
  readonly isLeased: boolean;
}

/** Answers an {@linkcode AppendRequest}. */
export interface AppendResponse {
  readonly type: "append-response";
  readonly term: Term;
  /** The request's. */
  readonly sequence: number;
  /** The request's round: proves that the leader was still followed after that round began (thesis §6.4). */
  readonly round: number;
  /**
   * Accepted: up to here (inclusive) the follower's log is durable and verified to equal the leader's.
   * Rejected: 0.
   */
  readonly matchIndex: LogIndex;
  /** Set when the entry at `prevIndex` is missing or of another term. */
  readonly rejected: AppendRejection | undefined;
}

/** Why an append did not fit, and where the leader should look next (Raft §5.3, end). */
export interface AppendRejection {
  /** The request's `prevIndex`. */
  readonly prevIndex: LogIndex;
  /**
   * The largest index at which the logs may agree: the follower's last index when `prevIndex` lies beyond
   * it, else the last entry at or below `prevIndex` whose term is at most the request's `prevTerm`.
   */
  readonly hintIndex: LogIndex;
  /** The follower's term at `hintIndex`. */
  readonly hintTerm: Term;
  /**
   * Whether the follower's disk has lost what comes after `hintIndex`: the leader forgets that it was acknowledged, and
   * sends it again.
   */
  readonly isDamaged: boolean;
}

/** Tells a follower to campaign at once; obeyed only from the current leader of the current term (thesis §3.10). */
export interface TimeoutNow {
  readonly type: "timeout-now";
  readonly term: Term;
}

/** The leader lets a server know that it was removed, so that it does not campaign. */
export interface Removed {
  readonly type: "removed";
  readonly term: Term;
  /** Index of the (committed) configuration without it. */
  readonly index: LogIndex;
}

/** Asks the leader for an index that is safe to read at (Raft §8, thesis §6.4). */
export interface ReadRequest {
  readonly type: "read-request";
  readonly term: Term;
  /** The asker's own number, given back. */
  readonly id: number;
  /** Whether the leader's lease will do, while it has one. */
  readonly isLease: boolean;
}

/** Answers a {@linkcode ReadRequest}. */
export interface ReadResponse {
  readonly type: "read-response";
  readonly term: Term;
  readonly id: number;
  /** Undefined when the asked server does not lead (or ceased to). */
  readonly index: LogIndex | undefined;
}

/** Hands commands to the leader; their bytes travel beside it. */
export interface ForwardRequest {
  readonly type: "forward-request";
  readonly term: Term;
  /** The asker's own number, given back. */
  readonly id: number;
  /** How many commands. */
  readonly count: number;
}

/** Answers a {@linkcode ForwardRequest} as soon as the commands have an index. */
export interface ForwardResponse {
  readonly type: "forward-response";
  readonly term: Term;
  readonly id: number;
  /**
   * The commands are the entries `[from, from + count)` of `entryTerm`; 0 when none was appended: the
   * commands are then certainly not applied.
   */
  readonly from: LogIndex;
  readonly entryTerm: Term;
  /** Why nothing was appended. */
  readonly refusal: "not-leader" | "overloaded" | "transferring" | "too-large" | undefined;
  /** The leader that the asked server knows of, for `not-leader`. */
  readonly leader: ServerId | undefined;
}

/** Asks the leader for other servers; the changes travel beside it. Sent again, under its number, until answered. */
export interface ChangeRequest {
  readonly type: "change-request";
  readonly term: Term;
  /** The asker's own number, given back. */
  readonly id: number;
  /** Index of the configuration that the changes were made for; any when undefined. */
  readonly prevIndex: LogIndex | undefined;
  /** Whether to go on although too few servers answer. */
  readonly force: boolean;
  /** How many changes. */
  readonly count: number;
}

/** Answers a {@linkcode ChangeRequest} when all is committed, or given up. */
export interface ChangeResponse {
  readonly type: "change-response";
  readonly term: Term;
  readonly id: number;
  /** Index of the configuration that has the changes. */
  readonly index: LogIndex | undefined;
  readonly refusal: ChangeRefusal | undefined;
}

/** Why a change of the servers is not (wholly) made. */
export interface ChangeRefusal {
  readonly reason:
    | "not-leader"
    | "leadership-lost"
    | "overloaded"
    | "conflict"
    | "invalid"
    | "no-quorum"
    | "unreachable"
    | "too-slow"
    | "removed";
  /** In words, for the end of a sentence. At most 1,000 characters. */
  readonly detail: string;
  /** Whether a first entry of it was appended, which stays. */
  readonly begun: boolean;
}

/** Asks the leader to hand over, to the most caught-up voter when nobody is named. */
export interface TransferRequest {
  readonly type: "transfer-request";
  readonly term: Term;
  readonly to: ServerId | undefined;
}

/** The leader asked by a {@linkcode TransferRequest} did not hand over. */
export interface TransferResponse {
  readonly type: "transfer-response";
  readonly term: Term;
  /** One word. */
  readonly reason: TransferFailure;
}

/** Why leadership was not handed over. */
export type TransferFailure = "timeout" | "no-target" | "not-leader" | "busy";

/**
 * Offers a snapshot to a follower that needs entries which its leader's log no longer holds (Raft §7). Its bytes follow
 * in chunks. Said again, it asks how far the follower has come.
 */
export interface SnapshotRequest {
  readonly type: "snapshot-request";
  readonly term: Term;
  /** The leader's own number of the transfer, given back. */
  readonly id: number;
  /** The last entry that the snapshot includes, and its term. */
  readonly index: LogIndex;
  readonly lastTerm: Term;
  /** The configuration in force at that entry, and where it is. */
  readonly configuration: Configuration;
  readonly configurationIndex: LogIndex;
  /** The time stamp of the last entry, milliseconds since 1970. */
  readonly timeMs: number;
  /** Length and CRC32C of the whole container. */
  readonly bytes: number;
  readonly checksum: number;
}

/** Bytes of a snapshot's container; they travel beside it. */
export interface SnapshotChunk {
  readonly type: "snapshot-chunk";
  readonly term: Term;
  /** The request's. */
  readonly id: number;
  /** Where in the container the bytes belong. */
  readonly offset: number;
  /** Their CRC32C. */
  readonly checksum: number;
}

/** Answers a {@linkcode SnapshotRequest}, and its chunks now and then. */
export interface SnapshotResponse {
  readonly type: "snapshot-response";
  /** The follower's own term, not the request's (BS21). */
  readonly term: Term;
  /** The request's. */
  readonly id: number;
  /**
   * `receiving`: bytes before `offset` have been taken, send those after it. `installing`: all bytes are here. `done`: the
   * follower's log reaches as far as the snapshot, and that is durable. `refused`: not here, or not now.
   */
  readonly status: "receiving" | "installing" | "done" | "refused";
  readonly offset: number;
}

/** Asks the leader for a snapshot that goes beyond an entry, as the sender's machine holds something else. Sent again and again. */
export interface SnapshotWanted {
  readonly type: "snapshot-wanted";
  readonly term: Term;
  /** The last entry that the sender's machine has applied. */
  readonly beyond: LogIndex;
}

/** There will be none for who asked for it with {@linkcode SnapshotWanted}. */
export interface SnapshotUnavailable {
  readonly type: "snapshot-unavailable";
  readonly term: Term;
  readonly reason: SnapshotUnavailability;
}

/** Why not: the asked server does not lead, or could not take or send one, as its log says. */
export type SnapshotUnavailability = "not-leader" | "failed";

/** What a server's machine holds at an entry, for others to compare with their own. */
export interface StateHash {
  readonly type: "state-hash";
  readonly term: Term;
  /** The last entry that was applied. */
  readonly index: LogIndex;
  /** Equal for equal states, and hardly ever for others. */
  readonly hash: number;
}

/** What cores say to one another. */
export type CoreMessage =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | TimeoutNow
  | Removed
  | SnapshotRequest
  | SnapshotResponse;

/** Everything that travels between servers: what is not the cores' is the drivers' business. */
export type Message =
  | CoreMessage
  | ReadRequest
  | ReadResponse
  | ForwardRequest
  | ForwardResponse
  | ChangeRequest
  | ChangeResponse
  | TransferRequest
  | TransferResponse
  | StateHash
  | SnapshotWanted
  | SnapshotUnavailable
  | SnapshotChunk;
