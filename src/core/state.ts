/**
 * Everything a core knows, in one plain record that can be cloned, saved and loaded (Raft, figure 2).
 *
 * @module
 */
import type { DamagedRange } from "../damage.ts";
import type { Buggify } from "../points.ts";
import type { ConfigurationChange, Disk, IndexedConfiguration, LogIndex, Role, ServerId, Term } from "../types.ts";
import type { Effect, SmallMessage } from "./effect.ts";
import type { Progress } from "./progress.ts";
import type { RandomState } from "./random.ts";
import type { TermIndex } from "./term_index.ts";

/** What a core runs by. Times in milliseconds. */
export interface CoreSettings {
  readonly heartbeatMs: number;
  readonly electionMinMs: number;
  readonly electionMaxMs: number;
  readonly leaseMs: number;
  /** By how much a clock may run fast or slow, as a part of true time; 0 by default. */
  readonly clockDriftMax?: number;
  readonly preVote: boolean;
  /** How long a leader has to be back whose end has closed the connection; 0, the default, for an election timeout. */
  readonly reconnectWaitMs?: number;
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  readonly windowAppendsMax: number;
  readonly windowBytesMax: number;
  /** Entries that stay in the log after a snapshot, so that a follower that is a little behind needs no snapshot. */
  readonly trailingLogs: number;
  /** A leader whose oldest write is not durable after this gives up leadership. */
  readonly diskStallMs: number;
}

/** An election, or the question whether one could be won. */
export interface Campaign {
  readonly pre: boolean;
  /** The term that is campaigned in. */
  readonly term: Term;
  /** Whether the leader asked for it. */
  readonly transfer: boolean;
  /** Who answered what. */
  readonly votes: Map<ServerId, boolean>;
}

/** Reads that wait for a quorum to answer one round. */
export interface ReadRound {
  readonly round: number;
  readonly index: LogIndex;
  readonly ids: number[];
}

/** What only a leader knows. Made anew at each election. */
export interface Leading {
  /** Index of the entry with which this leadership began: nothing is committed or read before it is (Raft §5.4.2). */
  readonly firstIndex: LogIndex;
  readonly progress: Map<ServerId, Progress>;
  heartbeatAt: number;
  /** When peers were last given time to answer anew after the clock jumped; -Infinity when never. */
  creditedAt: number;
  /** Counts rounds of heartbeats: one each interval, and one for reads that wait. */
  round: number;
  /** Rounds that began before this count for no lease; Infinity when none does in this term any more. */
  leaseFrom: number;
  /** When a read by lease was last asked for; -Infinity while followers need keep no promise for one. */
  leaseWantedAt: number;
  readRound: ReadRound | undefined;
  /** Reads that came while a round was under way, or before the first entry was committed. */
  readsWaiting: number[];
  transfer: Transfer | undefined;
  /** Wishes for other servers that have no answer yet, in the order they came. */
  reconfigurations: Reconfiguration[];
  /** Whether there may be something to do about the configuration. */
  reconfigures: boolean;
  /** No server of higher priority is handed the leadership before this. */
  preferAt: number;
  /** Since when entries of its own wait for its disk; Infinity when none does. */
  unsyncedSince: number;
}

/** A wish for other servers. */
export interface Reconfiguration {
  readonly id: number;
  readonly changes: readonly ConfigurationChange[];
  /** The configuration it was made for; any when undefined. */
  readonly prevIndex: LogIndex | undefined;
  /** Whether to go on although too few servers answer. */
  readonly force: boolean;
  /** Waits for its turn; for servers that are to vote to catch up; for its last entry to be committed. */
  phase: "waiting" | "catching-up" | "committing";
  /** Whether an entry was appended for it. */
  begun: boolean;
}

/** A leadership transfer under way. */
export interface Transfer {
  /** The server that is to lead next. */
  to: ServerId;
  /** Whether it must be that one: another is chosen in its place otherwise, when its connection closes. */
  isNamed: boolean;
  readonly deadline: number;
  /** Whether the target has been told, on the connection that it has now. */
  told: boolean;
}

/** The whole state of a core. */
export interface CoreState {
  readonly id: ServerId;
  /** Replaced as a whole, see settings.ts. */
  settings: CoreSettings;
  random: RandomState;

  // Persistent: every change is asked of the driver before anything that depends on it leaves.
  term: Term;
  votedFor: ServerId | undefined;
  log: TermIndex;
  /** Every configuration since the snapshot's, ascending; the last one is in force from when it is appended (Raft §6). */
  configurations: IndexedConfiguration[];

  /** Sequence of the latest vote asked to be persisted, and of the latest that was. */
  voteAsked: number;
  votePersisted: number;
  /** Entries up to here are durable. */
  persistedIndex: LogIndex;
  /** Whether our disk has no room for entries: then others had better lead. */
  isFull: boolean;
  /** Entries that can't be read from our disk, ascending and apart. */
  damaged: DamagedRange[];
  /** Entries of them that are being written anew, and the sequence of that. */
  repairing: { readonly from: LogIndex; readonly end: LogIndex; readonly sequence: number }[];
  /** Sequence of the latest repair. */
  repairsAsked: number;
  /** Grows with each truncation: a completion from before it is not credited (BL06). */
  epoch: number;
  /** Messages of this term, which may leave once the term is durable. */
  withheld: { readonly to: ServerId; readonly message: SmallMessage }[];

  /** The last entry that a durable snapshot of ours includes; 0 and 0 without one. The log begins right after it at the latest (Raft §7). */
  snapshot: { readonly index: LogIndex; readonly term: Term };
  /** The log is to be compacted up to and including this entry as soon as nobody needs it; nothing is asked where it begins later. */
  compactionTarget: LogIndex;
  /** A snapshot that goes beyond this entry is taken although the log has what it includes; undefined when none is wanted. */
  wantedBeyond: LogIndex | undefined;
  /** Index of a snapshot whose place in the log is not durable yet; this server does not campaign meanwhile (E11). */
  installing: LogIndex | undefined;

  role: Role;
  /** The leader that is followed now; undefined when none is known or the last one fell silent. */
  leader: ServerId | undefined;
  /** The leader of this term, once seen: there can be no other (Raft §5.2). */
  termLeader: ServerId | undefined;
  commitIndex: LogIndex;
  /**
   * What the machine has applied and needs no more (see `applied`). The log may begin later while the machine is being restored
   * from a snapshot.
   */
  appliedIndex: LogIndex;
  /** Up to here the log was verified against this term's leader. */
  verifiedIndex: LogIndex;
  /** When the leader was last heard, -Infinity when never. */
  leaderHeardAt: number;
  /** This server votes for nobody else before this, whatever its term and leader are by then: leases count on it. */
  promisedUntil: number;
  /**
   * Set from when the leader's end has closed the connection until one is heard again: when an election was due before, and
   * the longest wait for the next one.
   */
  leaderClosed: { readonly electionAt: number; readonly waitMs: number } | undefined;
  electionAt: number;
  /** The latest round of this term's leader that was answered. */
  roundAnswered: number;
  /** This server's own disk; undefined where nobody needs to know. */
  readonly disk: Disk | undefined;
  /** The disk of each peer that connected since the start. */
  peerDisks: Map<ServerId, Disk>;
  /** Index of the configuration with which this server was removed, as its leader said; 0 when none did. */
  removedAt: LogIndex;
  /** The latest append that is answered when its entries are durable. */
  ackOwed: { readonly sequence: number; readonly round: number } | undefined;
  campaign: Campaign | undefined;
  leading: Leading | undefined;
}

/** One step under way: what its functions share. */
export interface Step {
  readonly state: CoreState;
  /** Milliseconds of the driver's monotonic clock. */
  readonly now: number;
  readonly effects: Effect[];
  /** Undefined but in simulations. */
  readonly buggify?: Buggify | undefined;
}
