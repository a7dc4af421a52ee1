/**
 * The words every part shares: ids, indexes, terms, servers, configurations.
 *
 * @module
 */

/** A server's id for all time: `[A-Za-z0-9._-]{1,64}`. */
export type ServerId = string;

/** Where a server can be reached: `host:port`, `[::1]:7001`. May change; the id does not. */
export type ServerAddress = string;

/** A Raft term: 0 before the first election, then only growing. A safe integer. */
export type Term = number;

/** Position of an entry in the log, from 1. 0 means "before the first entry". A safe integer. */
export type LogIndex = number;

/**
 * What a server is allowed to do: a `voter` counts for elections and commits, a `nonvoter` only receives the
 * log, a `staging` server catches up before it becomes a voter.
 */
export type Suffrage = "voter" | "nonvoter" | "staging";

/** One server of a {@linkcode Configuration}. */
export interface Server {
  /** The server's id. */
  readonly id: ServerId;
  /** Where the others dial it. */
  readonly address: ServerAddress;
  /** What it may do. */
  readonly suffrage: Suffrage;
  /** Preference for leadership; 0 never leads. Undefined means 1. */
  readonly priority?: number;
  /** The disk that it is known by; undefined until a leader has recorded it. */
  readonly disk?: Disk;
  /** While joint: a nonvoter that is gone when the joint configuration is left. */
  readonly leaving?: true;
}

/** What tells a disk from another one under the same server's id, and from an older copy of itself. */
export interface Disk {
  /** Random, made when the disk was first used. */
  readonly incarnation: string;
  /** How often the server was started on it. */
  readonly starts: number;
}

/** The servers of a cluster, sorted by id. */
export interface Configuration {
  /** Every server, sorted by id. */
  readonly servers: readonly Server[];
  /** While joint (Raft §6): the voters of the configuration that is being left. Undefined otherwise. */
  readonly outgoing?: readonly ServerId[];
}

/** The most servers a configuration may hold. */
export const SERVERS_MAX = 1_000;

/**
 * One wish for the servers of a cluster. What is so already is no change.
 *
 * - `add-voter`: a server that is to vote. One that does not vote yet becomes `staging` first and votes when it has
 *   caught up; of a voter only the address (and priority, when given) change.
 * - `add-nonvoter`: a server that only receives the log; of a voter only the address (and priority) change.
 * - `demote-voter`: a voter or staging server becomes a nonvoter.
 * - `remove-server`: it is no longer part of the cluster.
 */
export type ConfigurationChange =
  | {
    readonly type: "add-voter" | "add-nonvoter";
    readonly id: ServerId;
    readonly address: ServerAddress;
    /** See {@linkcode Server.priority}; left as it is when undefined. */
    readonly priority?: number | undefined;
  }
  | { readonly type: "demote-voter" | "remove-server"; readonly id: ServerId };

/**
 * Whether a change adds a server, or gives it another address. By its type, whatever else it holds: who spreads a server into
 * a change gives an address with any.
 */
export function isAddition(
  change: ConfigurationChange,
): change is Extract<ConfigurationChange, { readonly address: ServerAddress }> {
  return change.type === "add-voter" || change.type === "add-nonvoter";
}

/** A configuration and the log index of the entry that holds it. */
export interface IndexedConfiguration {
  /** The entry's index. */
  readonly index: LogIndex;
  /** What it says. */
  readonly configuration: Configuration;
}

/** Entries of one term that follow one another: they start at `from` and end where the next run starts. */
export interface TermRun {
  /** The term of all entries of the run. */
  readonly term: Term;
  /** Index of the first one. */
  readonly from: LogIndex;
}

/** What an entry holds. The numbers are written to disk and wire: never renumber. */
export const EntryType = {
  /** A command of the user's for the state machine. */
  command: 0,
  /** Appended by a new leader so that it can commit (Raft §8). */
  noop: 1,
  /** Applied by nobody: tells that all before it are applied. */
  barrier: 4,
  /** A {@linkcode Configuration}. */
  configuration: 5,
  /** A part, or the end, of what every machine is to be restored from; see {@linkcode Raft.restore}. */
  restore: 6,
} as const;

/** One of the numbers of {@linkcode EntryType}. */
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** What a server is doing in its term. `pre-candidate` asks whether an election could be won (thesis §9.6). */
export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** A vote that is durable in one piece: both fields change together. */
export interface Vote {
  /** The latest term the server has seen. */
  readonly term: Term;
  /** Whom it voted for in that term. */
  readonly votedFor: ServerId | undefined;
}

/** Where a log begins once it was compacted: what was before is in a snapshot. */
export interface LogStart {
  /** Index of the first entry that is kept. */
  readonly firstIndex: LogIndex;
  /** Term of the entry before it; 0 at index 0. */
  readonly prevTerm: Term;
}

/** What a disk says about whom it belongs to. */
export interface Identity {
  /** The cluster; empty until the server has bootstrapped or met its first leader. */
  readonly clusterId: string;
  /** The server. */
  readonly serverId: ServerId;
  /** Random, made when the disk was first used: tells a wiped disk from the one before. 1 to 64 printable characters. */
  readonly incarnation: string;
  /** How often the server was started on this disk, from 1. */
  readonly starts: number;
}
