/**
 * Counters and histograms of one server, cheap enough to leave on.
 *
 * @module
 */
import type { LogIndex, Role, ServerId, Term } from "./types.ts";

/** A histogram of durations with fixed bounds. */
export interface HistogramSnapshot {
  /** Upper bounds of the buckets, milliseconds, ascending; one more bucket follows for what is larger. */
  readonly boundsMs: readonly number[];
  /** How many fell into each bucket (not cumulative); one longer than the bounds. */
  readonly counts: readonly number[];
  /** Sum of all. */
  readonly sumMs: number;
  /** How many in all. */
  readonly count: number;
}

/** What `raft.metrics()` gives. Counters count since the server was started. */
export interface RaftMetrics {
  /** What the server is doing. */
  readonly role: Role | "shutdown";
  /** Its term. */
  readonly term: Term;
  /** Whether it knows a leader, itself included. */
  readonly hasLeader: boolean;
  /** The last entry in its log. */
  readonly lastIndex: LogIndex;
  /** Up to here entries are known to be committed. */
  readonly commitIndex: LogIndex;
  /** Up to here entries are applied to the machine. */
  readonly appliedIndex: LogIndex;
  /** Elections this server started (terms it campaigned in). */
  readonly elections: number;
  /** Changes of the known leader. */
  readonly leaderChanges: number;
  /** Commands taken here, committed or not. */
  readonly proposals: number;
  /** Commands that were refused or lost. */
  readonly proposalsFailed: number;
  /** Commands that wait for their result. */
  readonly proposalsPending: number;
  /** Their bytes. */
  readonly proposalsPendingBytes: number;
  /** Linearizable reads asked for here. */
  readonly reads: number;
  /** Frames that could not be decoded, refused handshakes and the like. */
  readonly protocolErrors: number;
  /** Messages that were not sent as a queue was full or a peer away. */
  readonly sendsDropped: number;
  /** How long a write with its fdatasync took. */
  readonly syncMs: HistogramSnapshot;
  /** From a command's arrival to its result. */
  readonly commitMs: HistogramSnapshot;
  /** When commands that were handed to this server, a leader, came to each stage. */
  readonly stagesMs: StageHistograms;
  /** What this leader knows of its peers; empty on others. */
  readonly peers: readonly PeerMetrics[];
}

/**
 * A stage on a command's way: its entry is in the leader's log; durable there; durable on some other server; committed;
 * applied by the leader's machine; and its caller goes on. The second and the third come in either order.
 */
export type Stage = "appended" | "durable" | "replicated" | "committed" | "applied" | "answered";

/** All of them, in the order of the way. */
export const STAGES: readonly Stage[] = ["appended", "durable", "replicated", "committed", "applied", "answered"];

/**
 * From a command's arrival to each stage, milliseconds; the difference of two stages is what lies between them. Of many
 * commands at a time one is followed, then the next, so that it costs next to nothing.
 */
export type StageHistograms = Readonly<Record<Stage, HistogramSnapshot>>;

/** One peer as the leader sees it. */
export interface PeerMetrics {
  /** The peer. */
  readonly id: ServerId;
  /** Entries it is behind the leader's last. */
  readonly lag: number;
  /** Milliseconds since it was heard from; undefined when never. */
  readonly lastContactMs: number | undefined;
}

// Each bound is twice the one before: good to a factor of two from 10 µs to 21 s, in 22 counters.
const boundsMs: readonly number[] = Array.from({ length: 22 }, (_, i) => 0.01 * 2 ** i);

/** Counts durations. */
export class Histogram {
  readonly #counts: number[] = new Array(boundsMs.length + 1).fill(0);
  #sumMs = 0;
  #count = 0;

  /** Adds one duration. */
  add(ms: number): void {
    let bucket = 0;
    while (bucket < boundsMs.length && ms > boundsMs[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#sumMs += ms;
    this.#count++;
  }

  /** A copy. */
  snapshot(): HistogramSnapshot {
    return { boundsMs, counts: [...this.#counts], sumMs: this.#sumMs, count: this.#count };
  }
}
