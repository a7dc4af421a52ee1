/**
 * What `raft.status` tells.
 *
 * @module
 */
import type { DamagedRange } from "./damage.ts";
import type { Configuration, LogIndex, Role, ServerAddress, ServerId, Suffrage, Term } from "./types.ts";

/** One server as this one sees it. */
export interface ServerStatus {
  /** Its id. */
  readonly id: ServerId;
  /** Where it is dialled. */
  readonly address: ServerAddress;
  /** What it may do. */
  readonly suffrage: Suffrage;
  /** Whether there is a connection to it now; true for this server itself. */
  readonly connected: boolean;
  /** On the leader: up to here that server's durable log is known to equal the leader's. */
  readonly matchIndex?: LogIndex;
  /** On the leader: entries it is behind. */
  readonly lag?: number;
  /** On the leader: milliseconds since it was heard from. */
  readonly lastContactMs?: number;
}

/** The servers of the cluster, as `raft.configuration` gives them. */
export interface ConfigurationView extends Configuration {
  /** The entry that holds it; 0 when none is known. */
  readonly index: LogIndex;
  /** Whether that entry is known to be committed: before, it is in force but may be taken back. */
  readonly committed: boolean;
}

/** A server at one moment. A copy: it does not change. */
export interface RaftStatus {
  /** This server. */
  readonly id: ServerId;
  /** Its cluster; empty until it is known. */
  readonly clusterId: string;
  /** What it is doing. */
  readonly role: Role | "shutdown";
  /** Its term. */
  readonly term: Term;
  /** The leader that it follows now. */
  readonly leader: ServerId | undefined;
  /** Whom it voted for in this term. */
  readonly votedFor: ServerId | undefined;
  /** Up to here all entries are known to be committed. */
  readonly commitIndex: LogIndex;
  /** Up to here all entries are applied to the machine. */
  readonly appliedIndex: LogIndex;
  /** First entry in the log. */
  readonly firstIndex: LogIndex;
  /** Last entry in the log. */
  readonly lastIndex: LogIndex;
  /** Up to here the log is durable. */
  readonly durableIndex: LogIndex;
  /** Entries that this server's disk can't give any more, ascending; empty as a rule. They come again from a leader. */
  readonly damaged: readonly DamagedRange[];
  /** Entry of the configuration in force. */
  readonly configurationIndex: LogIndex;
  /** Whether this server was told that it is no longer part of the cluster. */
  readonly isRemoved: boolean;
  /** Milliseconds since the leader was heard; 0 on the leader, undefined when never. */
  readonly lastContactMs: number | undefined;
  /** Every server of the configuration in force. */
  readonly servers: readonly ServerStatus[];
}
