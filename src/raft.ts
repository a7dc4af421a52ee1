/**
 * The facade: what a program holds of one server.
 *
 * @module
 */
import type { LeaderHint, RaftError } from "./errors.ts";
import type { EventsOptions, EventStream } from "./events.ts";
import type { Diagnosis } from "./doctor.ts";
import type { RaftMetrics } from "./metrics.ts";
import type { RaftOptions } from "./options.ts";
import { systemEnvironment } from "./driver/environment.ts";
import { startServer } from "./server.ts";
import { type Handlers, TypedMachine, type TypedRaft, type TypedRaftOptions } from "./typed_machine.ts";
import type { ReloadableSettings } from "./reload.ts";
import type { SnapshotIdentity } from "./restorer.ts";
import type { RaftStats } from "./stats.ts";
import type { ConfigurationView, RaftStatus } from "./status.ts";
import type { SnapshotMeta } from "./store/snapshot_store.ts";
import type { Configuration, ConfigurationChange, LogIndex, Role, ServerAddress, ServerId, Term } from "./types.ts";
import type { WaitCondition } from "./wait.ts";

/** Options of {@linkcode Raft.apply}. */
export interface ApplyOptions {
  /** Ends the waiting, never the command: it may be applied all the same. The promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * A name for this one command, 1 to 1024 characters, the same at every attempt, on any server: it is applied once, and
   * every attempt gets the first one's result. Kept for `sessionTtlMs`. For callers who can't hold a
   * {@linkcode Raft.session}, such as an HTTP server with its clients' `Idempotency-Key`.
   */
  readonly key?: string;
  /**
   * How long to wait for room when too much is in flight, milliseconds. Callers take turns: a session counts as one, and all
   * others of this server as another.
   *
   * @default the option `enqueueTimeoutMs`
   */
  readonly enqueueTimeoutMs?: number;
}

/** Options of {@linkcode Raft.read}. */
export interface ReadOptions {
  /** Ends the waiting; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * `linearizable`: the query sees every command whose `apply` had resolved, anywhere, before `read` was called; costs
   * a round of messages to a quorum, shared by all reads of that moment. `lease`: the same without the round, as long as
   * clocks run apart by no more than `clockDriftMax` (docs/leases.md); a round where there is no lease. `session`: it sees all that this session was
   * shown before, by results of its commands and by its reads, and costs no message. `stale`: it sees this server's machine
   * as it is, which may be far behind.
   *
   * @default {"linearizable"}
   */
  readonly consistency?: "linearizable" | "lease" | "session" | "stale";
  /** Whose session, for `session`; by default all callers of this server are one. */
  readonly session?: Pick<Session<never, unknown>, "seenIndex">;
  /**
   * An entry that must be seen, as {@linkcode Applied.index} or {@linkcode Raft.readIndex} named it, for `session` and `stale`.
   * When this server does not get it within `leaderWaitMs`, the promise rejects with an {@linkcode EntryAwaitedError}.
   */
  readonly minIndex?: LogIndex;
  /**
   * For `stale`: all is seen that the leader had said is committed at a moment when this server heard it, and when the query
   * runs that is at most so many milliseconds ago, those included that the machine has slept. Else the promise rejects with a
   * {@linkcode StaleReadError}, at once or when the read has waited until it is too old, or with an
   * {@linkcode EntryAwaitedError} when what the leader spoke of does not come within `leaderWaitMs`. On the leader: what it
   * knows itself; one that has just slept for longer than that refuses until its next turn.
   */
  readonly maxStalenessMs?: number;
}

/** Options of calls that wait. */
export interface WaitOptions {
  /** Ends the waiting, never what was asked for; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of changes of the servers. */
export interface ChangeOptions extends WaitOptions {
  /** Only when the configuration in force is the one of this index; see {@linkcode Raft.configuration}. */
  readonly prevIndex?: LogIndex;
  /**
   * Also when too few of the servers answer to get anything committed afterwards.
   *
   * @default {false}
   */
  readonly force?: boolean;
}

/** Options of {@linkcode Raft.addVoter} and {@linkcode Raft.addNonvoter}. */
export interface AddOptions extends ChangeOptions {
  /** A whole number: leadership goes to the voter with the highest that is up to date; 0 never leads. Default: 1. */
  readonly priority?: number;
}

/**
 * A client whose commands are applied exactly once each, however often they have to be sent: through lost answers, new
 * leaders, restarts and snapshots (thesis §6.3).
 */
export interface Session<Command, Result> extends AsyncDisposable {
  /** Its number, the same on every server. */
  readonly id: number;
  /** The latest entry that its commands' results have shown; see `consistency: "session"` of {@linkcode Raft.read}. */
  readonly seenIndex: LogIndex;
  /**
   * Like {@linkcode Raft.apply}, and sends the command again while nobody knows what became of it, until the signal
   * aborts. Results travel through MessagePack when they are repeated; of what the machine threw, name and message.
   *
   * @throws {SessionExpiredError} The session is not known any more; see `outcome`.
   * @throws {ResultLostError} It was applied at an earlier attempt, and its result is not kept.
   * @throws {ShutdownError} The server is shut down: see `outcome`.
   */
  apply(command: Command, options?: WaitOptions): Promise<Result>;
  /** Lets it be forgotten. What is under way still gets its answer. */
  close(): Promise<void>;
}

/** A command's place in the log and its result. */
export interface Applied<Result> {
  /** The entry's index. */
  readonly index: LogIndex;
  /** The entry's term. */
  readonly term: Term;
  /** What the machine returned. */
  readonly result: Result;
}

/** What {@linkcode Raft.snapshot} took, or {@linkcode Raft.snapshots} found. */
export interface Snapshot {
  /** What it is. */
  readonly meta: SnapshotMeta;
  /**
   * Its bytes, checksums included, to be kept elsewhere. The stream fails with a {@linkcode SnapshotNotFoundError} when newer
   * ones have taken its place before it was opened, and with a {@linkcode ShutdownError} when the server stops.
   */
  open(): ReadableStream<Uint8Array>;
}

/**
 * One server of a cluster. Every method works on every server: commands and reads go to the leader by themselves.
 *
 * @typeParam Command What the machine is given.
 * @typeParam Result What it returns.
 */
export interface Raft<Command, Result> extends AsyncDisposable {
  /** This server's id. */
  readonly id: ServerId;
  /**
   * Resolves with the machine's result once the command is committed and applied on this server. Waits for a leader
   * for up to `leaderWaitMs`. What the machine throws, the promise rejects with.
   *
   * @param command Encoded at once; a `Uint8Array` must not be changed before the promise settles.
   * @throws {NotLeaderError} No leader could be reached: not applied.
   * @throws {OverloadedError} Too much is in flight, for longer than `enqueueTimeoutMs`: not applied.
   * @throws {LeadershipLostError} The leader fell: see `outcome`.
   * @throws {ResultLostError} A command with this `key` was applied before, and its result is not kept.
   * @throws {ShutdownError} The server is shut down: see `outcome`.
   * @throws {TypeError | RangeError} The command is larger than `commandBytesMax`, or an option is not what it must be.
   */
  apply(command: Command, options?: ApplyOptions): Promise<Result>;
  /**
   * Like {@linkcode Raft.apply}, with the entry's place in the log. `extensions` are bytes beside the command, 65,536 at
   * most, that no codec looks at: for layers between a program and its machine, which find them in
   * {@linkcode ApplyContext.extensions}. They must not be changed before the promise settles.
   *
   * @throws {TypeError} The entry is no object. Else as {@linkcode Raft.apply} does.
   */
  applyEntry(
    entry: { readonly data: Command; readonly extensions?: Uint8Array },
    options?: ApplyOptions,
  ): Promise<Applied<Result>>;
  /**
   * Opens a session in the replicated log; sends again until it is open or the signal aborts. It lives while it is used
   * or this server runs, and for `sessionTtlMs` after.
   */
  session(options?: WaitOptions): Promise<Session<Command, Result>>;
  /**
   * Runs the query on this server's machine, in the turn in which it has reached an index that is safe to read at; it
   * should read and return, not wait. What it throws, the promise rejects with.
   *
   * @throws {NotLeaderError} No leader could be reached.
   * @throws {StaleReadError | EntryAwaitedError} This server is too far behind for what was asked.
   * @throws {TypeError | RangeError} The query is no function. An option is not what it must be, or not for this `consistency`.
   * @throws {ShutdownError} The server is shut down.
   */
  read<T>(query: () => T, options?: ReadOptions): Promise<T>;
  /**
   * An index that is safe to read at, on any server whose machine has reached it: every command whose `apply` had resolved
   * before the call is at or below it. This server's machine has reached it.
   */
  readIndex(options?: WaitOptions): Promise<LogIndex>;
  /**
   * Appends an entry that no machine sees and resolves with its index when everything before it is applied on this
   * server. Rejects as {@linkcode Raft.apply} does.
   */
  barrier(options?: ApplyOptions): Promise<LogIndex>;
  /**
   * Adds a server that is to vote, or changes address (and priority) of one that does. A new one is `staging` first: it
   * gets the log and counts for nothing. The leader of the day promotes it when it has caught up (thesis §4.2.1), and
   * then the promise resolves with the index of the configuration in which it votes, committed. What is so already
   * appends nothing. Works on every server, as all that follows.
   *
   * @throws {MembershipError} The server can't be had so: see `reason`; what was begun stays, see `outcome`.
   * @throws {ConfigurationChangedError} `prevIndex` is not the index of the configuration in force: not applied.
   * @throws {LeadershipLostError} The leader fell meanwhile: see `outcome`; read {@linkcode Raft.configuration}.
   * @throws {NotLeaderError} No leader could be reached: not applied.
   * @throws {TypeError} Id or address can't be one.
   */
  addVoter(id: ServerId, address: ServerAddress, options?: AddOptions): Promise<{ readonly index: LogIndex }>;
  /** Adds a server that gets the log and never counts. A voter stays one: see {@linkcode Raft.demoteVoter}. */
  addNonvoter(id: ServerId, address: ServerAddress, options?: AddOptions): Promise<{ readonly index: LogIndex }>;
  /** Takes a server's vote; it goes on as a nonvoter. A leader leads until that is committed, then hands over. */
  demoteVoter(id: ServerId, options?: ChangeOptions): Promise<{ readonly index: LogIndex }>;
  /** Takes a server out. It is told: see `removed` in {@linkcode Raft.events} and `shutdownOnRemove`. */
  removeServer(id: ServerId, options?: ChangeOptions): Promise<{ readonly index: LogIndex }>;
  /**
   * Several changes as one: all new voters catch up first, then the cluster moves in one step, through a joint
   * configuration when more than one vote changes (Raft §6). At no moment are there two majorities.
   *
   * @throws {TypeError} They are no array of changes, or one of them can't be made. Else as {@linkcode Raft.addVoter} does.
   */
  changeMembership(
    changes: readonly ConfigurationChange[],
    options?: ChangeOptions,
  ): Promise<{ readonly index: LogIndex }>;
  /**
   * {@linkcode Raft.addVoter} for a server known by its address: that is its id too, with `_` for what no id may hold.
   *
   * @throws {TypeError} The address can't be one. Else as {@linkcode Raft.addVoter} does.
   */
  addPeer(address: ServerAddress, options?: AddOptions): Promise<{ readonly index: LogIndex }>;
  /**
   * {@linkcode Raft.removeServer} for the server with that address.
   *
   * @throws {TypeError} The address can't be one. Else as {@linkcode Raft.addVoter} does.
   */
  removePeer(address: ServerAddress, options?: ChangeOptions): Promise<{ readonly index: LogIndex }>;
  /**
   * Begins a cluster on this server, which was started without `bootstrap` and has nothing; resolves when that is durable.
   * Do the same on each server that is to begin it, with the same configuration, or only on this one: the others learn
   * it from its leader.
   *
   * @throws {CannotBootstrapError} It has a term, an entry or a snapshot, or belongs to another cluster; also when it has
   * just learned of this one from another server that began it.
   * @throws {TypeError} It is no configuration, no cluster could have these servers, or this one does not vote.
   * @throws {ShutdownError} The server is shut down.
   */
  bootstrap(configuration: Configuration): Promise<void>;
  /** The servers in force, committed or not. */
  readonly configuration: ConfigurationView;
  /**
   * Hands leadership to a voter and resolves when it leads. When none is named that is the most caught-up one of those that
   * answer, and another one if its connection closes; one that is named may come back in time. Meanwhile, for at most one
   * election timeout, the leader takes no commands: they wait.
   *
   * @throws {TransferFailedError} It did not take over; the leader goes on.
   * @throws {NotLeaderError} No leader could be reached.
   * @throws {TypeError} What was named can be no server's id.
   */
  transferLeadership(to?: ServerId, options?: WaitOptions): Promise<LeaderHint>;
  /**
   * Resolves when this server led when the call came: a quorum has answered to requests sent since.
   *
   * @throws {NotLeaderError} It does not lead, or lost leadership meanwhile.
   */
  verifyLeader(options?: WaitOptions): Promise<void>;
  /**
   * For a rolling restart: a leader hands over first and stays when it can't (a {@linkcode TransferFailedError}), unlike
   * {@linkcode Raft.shutdown}. Then the server takes no more commands and reads (they reject with a
   * {@linkcode ShutdownError} that names the leader), waits up to `leaderWaitMs` for the results of the commands under way,
   * and stops.
   */
  drain(options?: WaitOptions): Promise<void>;
  /** hashicorp/raft's `Stats()`: the same keys, all values text. */
  stats(): RaftStats;
  /**
   * Takes a snapshot of this server's machine now, whatever its role, and lets the log begin after it (but for
   * `trailingLogs` entries). Waits for the snapshot that is being taken, if any.
   *
   * @throws {NothingNewToSnapshotError} The last snapshot has all that is applied.
   * @throws {NoSnapshotsError} The server has no place for snapshots, or its machine takes none.
   * @throws {StorageError} The disk failed or is full; the server goes on.
   */
  snapshot(): Promise<Snapshot>;
  /**
   * The snapshots that this server keeps, taken or received, the newest first.
   *
   * @throws {NoSnapshotsError} The server has no place for snapshots.
   */
  snapshots(): Promise<readonly Snapshot[]>;
  /**
   * Lets this server's machine begin anew from a snapshot of the leader's: for one that holds something else than the others, as
   * {@linkcode Raft.doctor} says (`state-diverged`). A leader hands over first. The machine applies nothing more from now on until
   * the snapshot, which the leader takes then, is here and the machine restored from it (Raft §7), however long that takes and
   * whether or not somebody still waits for it: commands given to this server and linearizable reads on it wait, and reads that may be
   * stale see what it held before. Another leader ends it. The log, the vote and what is acknowledged stay, so the cluster misses nobody meanwhile. Commands that
   * were given to this server and wait for their result may reject with a {@linkcode LeadershipLostError}, outcome unknown.
   *
   * @param options The signal ends the waiting, not what has begun.
   * @returns The last entry that the snapshot includes: the machine has the state that the leader's had after it.
   * @throws {NoSnapshotsError} The machine has no `restore`, the server no place for snapshots, or the leader could not send one.
   * @throws {LeadershipLostError} Another leader came between; the machine goes on as it was, so ask again.
   * @throws {NotLeaderError} No leader could be reached.
   * @throws {TransferFailedError} This server leads and nobody took over.
   * @throws {ShutdownError} The server is shut down.
   */
  installSnapshot(options?: WaitOptions): Promise<{ readonly index: LogIndex }>;
  /**
   * Replaces the state of every machine in the cluster by a snapshot of the user's own, taken here or in another cluster: the way
   * back from a command that should not have been given. On the leader only. The servers stay what they are, whatever
   * the snapshot says of them, and sessions and keys are forgotten: their next command is told so.
   *
   * The bytes travel through the log, as commands do, in parts of up to 256 KiB. Once all of them are verified and committed one more
   * entry tells every machine to restore itself from them, so no server is ever ahead of the others, and what fails before has changed
   * nothing. Commands go on meanwhile; those that this server has in flight when that last entry is appended reject with an
   * {@linkcode AbortedByRestoreError}. No snapshots are taken while the parts are on their way.
   *
   * @param meta What {@linkcode Raft.snapshot} gave: the bytes must be those.
   * @param stream The bytes that {@linkcode Snapshot.open} gave, in pieces of any size; cancelled when it fails.
   * @param options The signal gives up, unless the last entry is in the log: then it ends the waiting only.
   * @returns The entry as of which every machine has that state; this server's has it.
   * @throws {TypeError} The meta is no object, or the stream none: nothing was touched.
   * @throws {NotLeaderError} This server does not lead: not applied, and the stream not touched.
   * @throws {ProtocolError} The bytes are damaged, or not that snapshot: not applied.
   * @throws {NoSnapshotsError} The machine has no `restore`.
   * @throws {LeadershipLostError} The leader fell: see `outcome`.
   * @throws {AbortedByRestoreError} Another restore came between: not applied.
   * @throws {ShutdownError} The server is shut down, whatever the stream does: see `outcome`.
   */
  restore(
    meta: SnapshotIdentity,
    stream: ReadableStream<Uint8Array>,
    options?: WaitOptions,
  ): Promise<{ readonly index: LogIndex }>;
  /** The leader that this server follows now, or itself; undefined when none is known. */
  readonly leader: LeaderHint | undefined;
  /** What the server is doing. */
  readonly state: Role | "shutdown";
  /** Everything about the server at this moment. */
  readonly status: RaftStatus;
  /** Milliseconds since the leader was heard; 0 on the leader, undefined when never. */
  readonly lastContact: number | undefined;
  /**
   * Resolves with the status as soon as this server is as asked. It is looked at whenever something happened to the server,
   * not when mere time has passed.
   *
   * @throws {ShutdownError} The server is shut down, or was before.
   * @throws {TypeError | RangeError} The condition is none. What the function throws, the promise rejects with.
   */
  wait(condition: WaitCondition, options?: WaitOptions): Promise<RaftStatus>;
  /**
   * Changes settings while the server runs, at once: those given, checked together with all others. When one is wrong, all
   * stay as they were.
   *
   * @throws {RangeError} A number is out of its bounds; names the option, the bound and the current value.
   * @throws {TypeError} They are no object, or one of them takes a restart or is no setting.
   * @throws {ShutdownError} The server is shut down.
   */
  reloadConfig(changes: Partial<ReloadableSettings>): void;
  /** Up to here entries are applied to the machine. */
  readonly appliedIndex: LogIndex;
  /** Up to here entries are known to be committed. */
  readonly commitIndex: LogIndex;
  /** The last entry in the log. */
  readonly lastIndex: LogIndex;
  /** The server's term. */
  readonly currentTerm: Term;
  /** What is wrong with the cluster as this server sees it, and what to do about it, in data and in words. */
  doctor(): Diagnosis;
  /** Counters and histograms. */
  metrics(): RaftMetrics;
  /** What happens from now on. Leaving the loop, or the signal, ends it. */
  events(options?: EventsOptions): EventStream;
  /**
   * Stops the server: a leader first hands over, for up to `shutdownTransferMs`; every call that waits is rejected; what
   * the server opened is closed. Never rejects. Idempotent.
   *
   * Waits for the write under way, however long the disk takes: nobody else may have the store while it is written to. A
   * program that can't wait for a disk that hangs has to exit, which is safe at any moment.
   */
  shutdown(): Promise<void>;
  /** Resolves when the server has stopped: with the error that stopped it, or undefined after `shutdown`. */
  readonly closed: Promise<RaftError | undefined>;
  /** The same as {@linkcode Raft.shutdown}. */
  [Symbol.asyncDispose](): Promise<void>;
  /** For logs: `Raft n1 [leader]`. */
  toString(): string;
}

/**
 * Starts a server: opens the store and the transport, recovers what the disk holds, and takes part in the cluster.
 *
 * @throws {TypeError | RangeError} An option is wrong; nothing was opened.
 * @throws {StoreLockedError} Another process uses the store.
 * @throws {CannotBootstrapError} The data are of a cluster that began otherwise than `bootstrap` says; nothing was changed.
 * @throws {CorruptionError} The disk does not hold what was acknowledged.
 * @throws {StorageError} The disk fails or belongs to another server.
 *
 * @example A cluster of one, in memory
 * ```ts
 * import { createRaft, memoryNetwork, memoryStore } from "@securecollc/raft";
 *
 * let sum = 0;
 * await using raft = await createRaft<number, number>({
 *   id: "a",
 *   machine: { apply: (n) => sum += n },
 *   store: memoryStore(),
 *   transport: memoryNetwork().transport("a"),
 *   bootstrap: { a: "a" },
 * });
 * console.log(await raft.apply(2), await raft.read(() => sum)); // 2 2
 * ```
 */
export function createRaft<State, C extends Handlers<State>, Q extends Handlers<State>>(
  options: TypedRaftOptions<State, C, Q>,
): Promise<TypedRaft<C, Q>>;
/** Starts a server; see above. */
export function createRaft<Command, Result>(options: RaftOptions<Command, Result>): Promise<Raft<Command, Result>>;
export async function createRaft<Command, Result>(
  options: RaftOptions<Command, Result>,
): Promise<Raft<Command, Result>> {
  const { machine } = options;
  if (!(machine instanceof TypedMachine)) return await startServer(options, systemEnvironment);
  const raft = await startServer(
    { codec: machine.codec, ...options } as RaftOptions<never, unknown>,
    systemEnvironment,
  );
  return Object.assign(raft, machine.callsOf(raft as never)) as unknown as Raft<Command, Result>;
}
