/**
 * Everything that can happen to a core. Past participles: the thing has happened.
 *
 * @module
 */
import type { CoreMessage } from "../message.ts";
import type { Configuration, ConfigurationChange, Disk, LogIndex, ServerId, Term } from "../types.ts";
import type { CoreSettings } from "./state.ts";

/** What {@linkcode step} takes. */
export type Event =
  /** Time has passed; `now` is at or beyond `deadline`. */
  | { readonly type: "deadline-reached" }
  /** The driver has no more events in this turn: what should be sent may be sent now, in one piece. */
  | { readonly type: "drained" }
  /** A message came in. Its entries, checked against their checksums, wait in the driver. */
  | { readonly type: "message-received"; readonly from: ServerId; readonly message: CoreMessage }
  /** The user (or a forwarding peer) has commands, which wait in the driver. */
  | { readonly type: "proposed"; readonly count: number }
  /** Somebody wants an index to read at; a lease will do if `isLease`. */
  | { readonly type: "read-requested"; readonly id: number; readonly isLease?: boolean }
  /** The vote of `persist-vote` with this sequence is durable, and so is all that was asked before it. */
  | { readonly type: "vote-persisted"; readonly sequence: number }
  /** The disk has no room for entries, or has some again. Votes are written all the same, as long as they can be. */
  | { readonly type: "storage-filled"; readonly isFull: boolean }
  /** These entries could not be read from disk: their records are damaged. */
  | { readonly type: "damage-found"; readonly from: LogIndex; readonly end: LogIndex }
  /** The entries of `repair` with this sequence are durable again. */
  | { readonly type: "entries-repaired"; readonly sequence: number }
  /** Entries up to (not including) `end` are durable, as asked under that epoch. */
  | { readonly type: "entries-persisted"; readonly end: LogIndex; readonly epoch: number }
  /** The sender answered `replicate`: it sent `[from, end)`, that many bytes, under this sequence. */
  | {
    readonly type: "sent";
    readonly to: ServerId;
    readonly term: Term;
    readonly sequence: number;
    readonly end: LogIndex;
    readonly bytes: number;
  }
  /** The sender could not send what `replicate` asked for: no connection, or its queue is full. */
  | { readonly type: "send-failed"; readonly to: ServerId; readonly term: Term; readonly sequence: number }
  /** A connection to that peer came up. */
  | { readonly type: "peer-connected"; readonly peer: ServerId; readonly disk?: Disk | undefined }
  /** The connection to that peer is gone, with an unknown part of what was sent; closed by its end if `isClosedByPeer`. */
  | { readonly type: "peer-disconnected"; readonly peer: ServerId; readonly isClosedByPeer?: boolean }
  /** The machine has applied all entries up to and including this one, and needs none of them any more, as it may for a restore. */
  | { readonly type: "applied"; readonly upTo: LogIndex }
  /** A snapshot of our own machine is durable: it includes all entries up to and including this one, of that term. */
  | { readonly type: "snapshot-persisted"; readonly index: LogIndex; readonly term: Term }
  /** A snapshot from a leader is whole, verified and durable. */
  | {
    readonly type: "snapshot-received";
    readonly index: LogIndex;
    readonly term: Term;
    readonly configuration: Configuration;
    readonly configurationIndex: LogIndex;
  }
  /**
   * The machine is to begin anew, from a leader's snapshot that goes beyond this entry, the last one that it has applied; it
   * applies nothing meanwhile. Undefined: not any more.
   */
  | { readonly type: "snapshot-wanted"; readonly beyond: LogIndex | undefined }
  /** That peer wants a snapshot that goes beyond this entry, whatever its log has. */
  | { readonly type: "snapshot-asked"; readonly peer: ServerId; readonly beyond: LogIndex }
  /** The snapshot that is being sent to that peer includes all entries up to this one: those after it are needed. */
  | { readonly type: "snapshot-sending"; readonly to: ServerId; readonly term: Term; readonly index: LogIndex }
  /** That peer has all that the snapshot with this index includes. */
  | { readonly type: "snapshot-sent"; readonly to: ServerId; readonly term: Term; readonly index: LogIndex }
  /** That peer did not get it; what there is to wait for before another try has been waited for. */
  | { readonly type: "snapshot-failed"; readonly to: ServerId; readonly term: Term }
  /** Hand leadership over, to the most caught-up voter when nobody is named (thesis §3.10). */
  | { readonly type: "transfer-requested"; readonly to: ServerId | undefined }
  /** Somebody wants other servers: all changes at once, answered by `settle-change` with this number. */
  | {
    readonly type: "change-requested";
    readonly id: number;
    readonly changes: readonly ConfigurationChange[];
    /** The index of the configuration that the changes were made for; any when undefined. */
    readonly prevIndex: LogIndex | undefined;
    /** Whether to go on although too few of the servers can be reached. */
    readonly force: boolean;
  }
  /** The user begins a cluster with these servers; entry 1 waits in the driver. */
  | { readonly type: "bootstrap-requested"; readonly configuration: Configuration }
  /** The user wants other settings, checked as a whole. */
  | { readonly type: "settings-changed"; readonly settings: CoreSettings }
  /** The process slept, or a turn came so late that leases can't be trusted. */
  | { readonly type: "clock-jumped" }
  /** The wall clock ran ahead of the monotonic one: the machine may have slept and not know it. */
  | { readonly type: "clock-doubted" };
