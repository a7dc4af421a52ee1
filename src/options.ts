/**
 * Options of a server: what they are, and their defaults.
 *
 * @module
 */
import type { Codec, StateMachine } from "./machine.ts";
import type { SnapshotStore, SnapshotStoreFactory } from "./store/snapshot_store.ts";
import type { Store, StoreFactory } from "./store/store.ts";
import type { Transport, TransportFactory } from "./transport/transport.ts";
import type { ServerAddress, ServerId } from "./types.ts";

/** Where a server's log lines go. Never given payloads or tokens. */
export interface Logger {
  /** Details for whoever looks into a problem. */
  debug(message: string): void;
  /** Things worth knowing: elections, peers that come and go. */
  info(message: string): void;
  /** Things that somebody should look at. */
  warn(message: string): void;
  /** Things that ended the server. */
  error(message: string): void;
}

/** The numbers a server runs by. Times are milliseconds, sizes bytes. */
export interface RaftSettings {
  /**
   * How often a leader lets its followers hear from it.
   *
   * @default {50}
   */
  readonly heartbeatMs: number;
  /**
   * A follower that hears no leader for this long, at least, campaigns.
   *
   * @default {500}
   */
  readonly electionMinMs: number;
  /**
   * … and at most for this long: each wait is drawn anew between the two.
   *
   * @default {1000}
   */
  readonly electionMaxMs: number;
  /**
   * A leader that hears from no quorum for this long steps down. At most `electionMinMs`.
   *
   * @default {500}
   */
  readonly leaseMs: number;
  /**
   * By how much any server's monotonic clock may run fast or slow, as a part of true time; the same on every server. Reads
   * with `consistency: "lease"` rely on it, and nothing else does.
   *
   * @default {0.01}
   */
  readonly clockDriftMax: number;
  /**
   * Whether a server asks whether it could win before it campaigns (thesis §9.6).
   *
   * @default {true}
   */
  readonly preVote: boolean;
  /**
   * A follower whose connection from the leader was closed at the other end waits at most so long for the leader to be back
   * before it asks for votes; each wait is drawn anew between a fifth of this and this. With 0, or without `preVote`, it
   * waits for an election timeout, as for a leader that falls silent.
   *
   * @default {50}
   */
  readonly reconnectWaitMs: number;
  /**
   * The largest command. The same on every server: a leader refuses larger ones that others forward.
   *
   * @default {4_194_304}
   */
  readonly commandBytesMax: number;
  /**
   * Entries of one append request.
   *
   * @default {1024}
   */
  readonly appendEntriesMax: number;
  /**
   * Bytes of entries of one append request; a larger single entry travels alone.
   *
   * @default {1_048_576}
   */
  readonly appendBytesMax: number;
  /**
   * Bytes on their way to one peer.
   *
   * @default {4_194_304}
   */
  readonly windowBytesMax: number;
  /**
   * Append requests on their way to one peer.
   *
   * @default {64}
   */
  readonly windowAppendsMax: number;
  /**
   * Commands that wait for their result here; on a leader also those that others forwarded, counted apart.
   *
   * @default {65_536}
   */
  readonly inFlightCountMax: number;
  /**
   * Bytes of commands that wait for their result here; on a leader also of those that others forwarded, counted apart.
   *
   * @default {67_108_864}
   */
  readonly inFlightBytesMax: number;
  /**
   * How long `apply` waits for room when too much is in flight, before it rejects with an `OverloadedError`. As much may
   * wait as may be in flight; who comes when that is full too is refused at once.
   *
   * @default {0}
   */
  readonly enqueueTimeoutMs: number;
  /**
   * Bytes of entries kept in memory, so that followers that are up to date cost no disk read. When all of them are applied, a
   * quarter of it.
   *
   * @default {67_108_864}
   */
  readonly logCacheBytesMax: number;
  /**
   * … and entries: what is beyond either is read from the disk. Entries that are not durable yet are kept in any case.
   *
   * @default {262_144}
   */
  readonly logCacheEntriesMax: number;
  /**
   * How long `apply` and `read` wait for a leader to be known before they reject as not applied.
   *
   * @default {3000}
   */
  readonly leaderWaitMs: number;
  /**
   * A leader whose disk has kept a write for this long gives up leadership, so that one with a disk that works can lead.
   *
   * @default {10_000}
   */
  readonly diskStallMs: number;
  /**
   * How long a shutdown may wait to hand leadership over.
   *
   * @default {1000}
   */
  readonly shutdownTransferMs: number;
  /**
   * A session that was not used for so long, by the time stamps in the log, is forgotten. Like the next two, in force for
   * all servers from the last session that was opened.
   *
   * @default {3_600_000}
   */
  readonly sessionTtlMs: number;
  /**
   * Sessions (and commands known by keys) at a time; beyond that the one that was unused longest is forgotten.
   *
   * @default {100_000}
   */
  readonly sessionsMax: number;
  /**
   * Bytes of results that are kept for sessions; likewise.
   *
   * @default {67_108_864}
   */
  readonly sessionsBytesMax: number;
  /**
   * After so many entries a machine with `hash` is compared with those of the other servers; 0 for never. The same on
   * every server.
   *
   * @default {10_000}
   */
  readonly hashEvery: number;
  /**
   * A snapshot is due when so many entries were applied since the last one …
   *
   * @default {8192}
   */
  readonly snapshotThreshold: number;
  /**
   * … or entries of so many bytes.
   *
   * @default {67_108_864}
   */
  readonly snapshotThresholdBytes: number;
  /**
   * How often it is looked whether a snapshot is due, at the least; each wait is drawn anew between this and twice as
   * long, so that not all servers take one at the same time.
   *
   * @default {2000}
   */
  readonly snapshotIntervalMs: number;
  /**
   * Entries that stay in the log when a snapshot lets the rest go, so that a server that was away for a short time need
   * not be sent the whole state.
   *
   * @default {10_240}
   */
  readonly trailingLogs: number;
  /**
   * Bytes of a snapshot that are sent to one peer in a second; 0 for as many as it takes.
   *
   * @default {0}
   */
  readonly snapshotBytesPerSecondMax: number;
}

/** What {@linkcode createRaft} takes. */
export interface RaftOptions<Command, Result> extends Partial<RaftSettings> {
  /** This server's id for all time: `[A-Za-z0-9._-]{1,64}`. */
  readonly id: ServerId;
  /** What the commands are applied to. */
  readonly machine: StateMachine<Command, Result>;
  /** A factory (`fileStore(dir)`) is opened and closed by the server; an open store is borrowed and left open. */
  readonly store: Store | StoreFactory;
  /** Likewise. */
  readonly transport: Transport | TransportFactory;
  /**
   * Where snapshots are kept: a factory (`fileSnapshotStore(dir)`) or an open store. By default those that come
   * with the store: `fileStore(dir)` keeps them beside the log, `memoryStore()` the newest in memory. Not needed by a machine
   * without `snapshot` and `restore`.
   */
  readonly snapshots?: SnapshotStore | SnapshotStoreFactory;
  /**
   * The first configuration: every server's id and address, this one among them. Give the same to every server that
   * starts the cluster: one with another is refused by all others. A server that has a log may be given it again, whatever
   * servers have come and gone since, and does not start with another one. A server without it and without a log waits to
   * be found by a leader.
   */
  readonly bootstrap?: Readonly<Record<ServerId, ServerAddress>>;
  /**
   * Keeps clusters apart that can reach one another: 1 to 255 bytes of text without control characters. By default a
   * fingerprint of `bootstrap`.
   */
  readonly clusterId?: string;
  /**
   * Whether the server shuts down when it learns that it was removed from the cluster.
   *
   * @default {false}
   */
  readonly shutdownOnRemove?: boolean;
  /** How commands become bytes. By default MessagePack; `Uint8Array` commands pass untouched. */
  readonly codec?: Codec<Command>;
  /** Silent by default. */
  readonly logger?: Logger;
}

const defaults: RaftSettings = {
  heartbeatMs: 50,
  electionMinMs: 500,
  electionMaxMs: 1000,
  leaseMs: 500,
  clockDriftMax: 0.01,
  preVote: true,
  reconnectWaitMs: 50,
  commandBytesMax: 4 * 1024 * 1024,
  appendEntriesMax: 1024,
  appendBytesMax: 1024 * 1024,
  windowBytesMax: 4 * 1024 * 1024,
  windowAppendsMax: 64,
  inFlightCountMax: 65_536,
  inFlightBytesMax: 64 * 1024 * 1024,
  enqueueTimeoutMs: 0,
  logCacheBytesMax: 64 * 1024 * 1024,
  logCacheEntriesMax: 262_144,
  leaderWaitMs: 3000,
  diskStallMs: 10_000,
  shutdownTransferMs: 1000,
  sessionTtlMs: 3_600_000,
  sessionsMax: 100_000,
  sessionsBytesMax: 64 * 1024 * 1024,
  hashEvery: 10_000,
  snapshotThreshold: 8192,
  snapshotThresholdBytes: 64 * 1024 * 1024,
  snapshotIntervalMs: 2000,
  trailingLogs: 10_240,
  snapshotBytesPerSecondMax: 0,
};

/** The defaults of every number a server runs by. */
export function defaultOptions(): RaftSettings {
  return { ...defaults };
}
