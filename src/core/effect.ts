/**
 * Everything a core can ask for. Imperatives, to be performed in the order given.
 *
 * @module
 */
import type { DamagedRange } from "../damage.ts";
import type { AppendRequest, ChangeRefusal, CoreMessage, SnapshotRequest, TransferFailure } from "../message.ts";
import type { Configuration, LogIndex, Role, ServerId, Term } from "../types.ts";

/** Messages that the core makes in one piece; entries and snapshots are cut and sent by the driver. */
export type SmallMessage = Exclude<CoreMessage, AppendRequest | SnapshotRequest>;

/** What {@linkcode step} gives back. */
export type Effect =
  /** Write {term, votedFor} as one record; answer `vote-persisted` with the sequence. FIFO with append and truncate. */
  | {
    readonly type: "persist-vote";
    readonly sequence: number;
    readonly term: Term;
    readonly votedFor: ServerId | undefined;
  }
  /** Remove all entries from this index on. FIFO with append. */
  | { readonly type: "truncate"; readonly from: LogIndex }
  /**
   * Write the entries `[from, end)`; answer `entries-persisted` with the end and the epoch. Where they come from:
   * `message`: the records of the message being stepped; `proposals`: the commands of the `proposed` event being
   * stepped; `noop` and `configuration`: made by the driver. All are of `term` unless they come from a message.
   */
  | {
    readonly type: "append";
    readonly source: "message" | "proposals" | "noop" | "configuration";
    readonly from: LogIndex;
    readonly end: LogIndex;
    readonly term: Term;
    readonly epoch: number;
    readonly configuration?: Configuration;
  }
  /**
   * Remove all entries before `firstIndex`: a durable snapshot holds them, and the machine has applied them or begins anew after
   * them, as it was asked to before. `prevTerm` is the term of the last one. FIFO with append and truncate.
   */
  | { readonly type: "compact"; readonly firstIndex: LogIndex; readonly prevTerm: Term }
  /**
   * See to it that this peer gets a snapshot that reaches at least as far as the log is compacted, and beyond `beyond` when that
   * is given, while the core leads `term`. Say so with `snapshot-sending`, and answer `snapshot-sent` or `snapshot-failed`. Asked again while one is on its way,
   * it changes nothing.
   */
  | {
    readonly type: "send-snapshot";
    readonly to: ServerId;
    readonly term: Term;
    readonly beyond?: LogIndex | undefined;
  }
  /** Receive the snapshot that is offered (or say how far it has come); `snapshot-received` when it is whole and durable. */
  | { readonly type: "receive-snapshot"; readonly from: ServerId; readonly request: SnapshotRequest }
  /**
   * A durable snapshot takes the log's place: remove the entries from `truncateFrom` on, when given, then all others, and go
   * on at `index + 1`, in one write; answer `entries-persisted` with the end `index + 1` and the epoch. Restore the machine
   * from it, skipping what it has not applied, and answer `applied`.
   */
  | {
    readonly type: "install-snapshot";
    readonly index: LogIndex;
    readonly term: Term;
    readonly truncateFrom: LogIndex | undefined;
    readonly epoch: number;
  }
  /** Restore the machine from the snapshot that was received, skipping what it has not applied, and answer `applied`. */
  | { readonly type: "restore-snapshot"; readonly index: LogIndex }
  /** The commands of the `proposed` event being stepped are not in the log and will not be. */
  | {
    readonly type: "refuse-proposals";
    readonly reason: "not-leader" | "transferring";
    readonly leader: ServerId | undefined;
  }
  /** Write these entries of the message being stepped anew, as they are damaged; answer `entries-repaired`. */
  | { readonly type: "repair"; readonly from: LogIndex; readonly end: LogIndex; readonly sequence: number }
  /** What is damaged in the log has changed: all of it. */
  | { readonly type: "announce-damage"; readonly damaged: readonly DamagedRange[] }
  /** Send a message without entries. Best effort. */
  | { readonly type: "send"; readonly to: ServerId; readonly message: SmallMessage }
  /**
   * Send an append: entries from `from` on, as many as fit under the limits, none when `end === from` (a heartbeat or
   * a new commit index). Answer `sent` or `send-failed` with the sequence. Must not be sent unless the core still
   * leads `term` at that moment.
   */
  | {
    readonly type: "replicate";
    readonly to: ServerId;
    readonly term: Term;
    readonly sequence: number;
    readonly prevTerm: Term;
    readonly from: LogIndex;
    /** There are entries up to here; at most `[from, end)` may be sent. */
    readonly end: LogIndex;
    readonly entriesMax: number;
    readonly bytesMax: number;
    readonly commitIndex: LogIndex;
    readonly round: number;
    readonly isLeased: boolean;
  }
  /** All entries up to and including this one are committed: apply them in order, answer `applied`. */
  | { readonly type: "apply"; readonly upTo: LogIndex }
  /** The read may be answered once the machine has applied `index`. */
  | { readonly type: "answer-read"; readonly id: number; readonly index: LogIndex }
  /** The read can't be answered here. */
  | { readonly type: "refuse-read"; readonly id: number; readonly leader: ServerId | undefined }
  /** Role, term or known leader changed. */
  | {
    readonly type: "announce-role";
    readonly role: Role;
    readonly term: Term;
    readonly leader: ServerId | undefined;
    readonly reason: RoleReason;
  }
  /** The configuration in force changed (appended, truncated or loaded). */
  | { readonly type: "announce-configuration"; readonly index: LogIndex; readonly configuration: Configuration }
  /** The leadership transfer ended without a new leader; `to` is who was to lead, when one under way ended. */
  | {
    readonly type: "announce-transfer-failed";
    readonly reason: TransferFailure;
    readonly to?: ServerId | undefined;
  }
  /** A `change-requested` is done, with the index of the configuration that has it, or given up. */
  | {
    readonly type: "settle-change";
    readonly id: number;
    readonly index: LogIndex | undefined;
    readonly refusal: ChangeRefusal | undefined;
  }
  /** A staging server has what was there when this round began. */
  | {
    readonly type: "announce-catch-up";
    readonly peer: ServerId;
    readonly matchIndex: LogIndex;
    readonly lastIndex: LogIndex;
    readonly round: number;
  }
  /** A peer came back without what it acknowledged: it counts for nothing until it has caught up and was re-admitted. */
  | { readonly type: "announce-distrust"; readonly peer: ServerId; readonly reason: "replaced" | "older" }
  /** It has, and counts again. */
  | { readonly type: "announce-readmission"; readonly peer: ServerId }
  /** This server is no longer part of the cluster, as of the configuration at that index. */
  | { readonly type: "announce-removed"; readonly index: LogIndex }
  /** A removed server need not be talked to any more. */
  | { readonly type: "forget-peer"; readonly peer: ServerId };

/** Why a role, term or leader changed. */
export type RoleReason =
  | "started"
  | "election-timeout"
  | "leader-closed"
  | "timeout-now"
  | "pre-vote-won"
  | "election-won"
  | "election-lost"
  | "higher-term"
  | "leader-heard"
  | "quorum-lost"
  | "disk-damaged"
  | "disk-full"
  | "disk-stalled"
  | "removed"
  | "snapshot-installed";
