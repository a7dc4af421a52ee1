/**
 * One running server behind the facade: opens the parts, wires them to a driver, closes them.
 *
 * @module
 */
import { bootstrapEntry, checkFirst, fingerprint } from "./bootstrap.ts";
import { checkObject, signalOf } from "./checks.ts";
import { msgpackCodec } from "./codec.ts";
import { diagnose, type Diagnosis } from "./doctor.ts";
import { Driver } from "./driver/driver.ts";
import type { Environment } from "./driver/environment.ts";
import type { ProposalResult } from "./driver/proposal.ts";
import { CannotBootstrapError, type LeaderHint, NoSnapshotsError, NotLeaderError, type RaftError } from "./errors.ts";
import { EventHub, type EventsOptions, type EventStream } from "./events.ts";
import { mark } from "./marks.ts";
import type { Histogram, RaftMetrics } from "./metrics.ts";
import { Operator, peerId } from "./operator.ts";
import type { RaftOptions, RaftSettings } from "./options.ts";
import { checkParts, validateOptions } from "./options_check.ts";
import { checkFrames, type OpenParts, openParts } from "./parts.ts";
import { Proposer } from "./proposer.ts";
import { Reader } from "./reader.ts";
import type {
  AddOptions,
  Applied,
  ApplyOptions,
  ChangeOptions,
  Raft,
  ReadOptions,
  Session,
  Snapshot,
  WaitOptions,
} from "./raft.ts";
import { checkRestored, PART_WAIT_MS, type RestoreHost, restoreThroughLog, type SnapshotIdentity } from "./restorer.ts";
import { type ReloadableSettings, reloaded } from "./reload.ts";
import { keyBlock, marked, Sessions } from "./session.ts";
import { Shutdown } from "./shutdown.ts";
import { type RaftStats, statsOf } from "./stats.ts";
import type { ConfigurationView, RaftStatus } from "./status.ts";
import { configurationView, hasOtherVoters, lastContactMs, measured, surveyed } from "./survey.ts";
import type { SnapshotMeta } from "./store/snapshot_store.ts";
import type { TransportLink } from "./transport/transport.ts";
import {
  type Configuration,
  type ConfigurationChange,
  EntryType,
  type LogIndex,
  type Role,
  type ServerAddress,
  type ServerId,
  type Term,
} from "./types.ts";
import { TroubleLog } from "./troubles.ts";
import { type WaitCondition, Waits } from "./wait.ts";
import type { ClientBlock } from "./wire/client_block.ts";

/** {@linkcode createRaft} in any environment: the simulator's too. */
export async function startServer<Command, Result>(
  options: RaftOptions<Command, Result>,
  environment: Environment,
): Promise<Raft<Command, Result>> {
  checkParts(options);
  const settings = validateOptions(options);
  return await openParts(options, (parts) => {
    checkFrames(settings, parts.transport);
    return new Server(options, settings, environment, parts);
  });
}

/** What becomes an entry. */
interface LooseEntry<Command> {
  readonly data: Command;
  readonly extensions?: Uint8Array;
}

class Server<Command, Result> implements Raft<Command, Result> {
  readonly id: ServerId;
  readonly closed: Promise<RaftError | undefined>;
  readonly #settings: RaftSettings;
  readonly #environment: Environment;
  readonly #driver: Driver<Command, Result>;
  readonly #operator: Operator;
  readonly #proposer: Proposer<Command>;
  readonly #reader: Reader;
  readonly #sessions: Sessions<Command, Result>;
  readonly #troubles: TroubleLog;
  readonly #events: EventHub;
  readonly #waits = new Waits(() => this.status);
  readonly #link: TransportLink;
  readonly #syncs: Histogram;
  readonly #shutdown: Shutdown;

  constructor(
    options: RaftOptions<Command, Result>,
    settings: RaftSettings,
    environment: Environment,
    { store, found, snapshots, snapshot, sessions, beginning, transport, logger, syncs, closers }: OpenParts,
  ) {
    this.id = options.id;
    this.#settings = settings;
    this.#environment = environment;
    const troubles = this.#troubles = new TroubleLog(environment.now());
    this.#events = new EventHub((event) => troubles.note(event, environment.now()));
    this.#syncs = syncs;
    const { id, machine, codec = msgpackCodec<Command>() } = options;
    const parts = {
      id,
      settings,
      machine,
      codec,
      store,
      found,
      snapshots,
      snapshot,
      sessions,
      beginning,
      environment,
      events: this.#events,
      logger,
    };
    const driver = this.#driver = new Driver<Command, Result>(parts, {
      onFatal: (error) => void this.#shutdown.stop(error),
      onRole: () => driver.state.role === "leader" || this.#shutdown.onTransferOver(),
      onTransferFailed: () => this.#shutdown.onTransferOver(),
      onTurn: () => this.#waits.look(),
      onRemoved: () => options.shutdownOnRemove === true && void this.shutdown(),
    });
    const { calls, snapshots: taken } = driver;
    this.#operator = new Operator(calls, taken, environment);
    const throwIfShutdown = () => this.#shutdown.throwIfDraining();
    this.#proposer = new Proposer({ calls, codec, settings, environment, throwIfShutdown });
    this.#reader = new Reader({
      calls,
      environment,
      throwIfShutdown,
      heard: () => driver.heard,
      appliedIndex: () => driver.appliedIndex,
    });
    this.#sessions = new Sessions(this.#proposer, environment, settings);
    this.#shutdown = new Shutdown({
      driver,
      operator: this.#operator,
      sessions: this.#sessions,
      waits: this.#waits,
      events: this.#events,
      closers,
      settings,
      environment,
    });
    this.closed = this.#shutdown.closed;
    const { incarnation, starts } = found.identity;
    this.#link = transport.attach(
      {
        group: 0,
        serverId: id,
        clusterId: () => driver.clusterId,
        incarnation,
        starts,
        firstEntry: () => driver.firstEntry,
      },
      driver.receiver,
    );
    closers.push(() => this.#link.close());
    driver.start(this.#link);
  }

  apply(command: Command, options?: ApplyOptions): Promise<Result> {
    if (options?.key !== undefined) return this.applyEntry({ data: command }, options).then(({ result }) => result);
    return this.#proposer.propose(() => this.#proposer.encode(command), this.#resultOf, options);
  }

  readonly #resultOf = ({ index, applied }: ProposalResult): Result => {
    this.#reader.saw(index);
    if (!applied.ok) throw applied.error;
    return applied.value as Result;
  };

  applyEntry(entry: LooseEntry<Command>, options?: ApplyOptions): Promise<Applied<Result>> {
    if (options?.key === undefined) return this.#applyAs(entry, undefined, options);
    return keyBlock(options.key, this.#environment).then((block) => this.#applyAs(entry, block, options));
  }

  #applyAs(
    loose: LooseEntry<Command>,
    block: ClientBlock | undefined,
    options: ApplyOptions | undefined,
  ): Promise<Applied<Result>> {
    const encode = () => {
      checkObject("apply the command", "the entry, such as { data },", loose);
      return marked(this.#proposer.encode(loose.data, loose.extensions), block);
    };
    return this.#proposer.propose(encode, (entry) => {
      return { index: entry.index, term: entry.term, result: this.#resultOf(entry) };
    }, options);
  }

  barrier(options?: ApplyOptions): Promise<LogIndex> {
    const entry = { type: EntryType.barrier, flags: 0, payload: new Uint8Array() };
    return this.#proposer.propose(() => entry, ({ index }) => index, options);
  }

  async session(options?: WaitOptions): Promise<Session<Command, Result>> {
    return await this.#sessions.open(signalOf("open a session", options));
  }

  read<T>(query: () => T, options?: ReadOptions): Promise<T> {
    return this.#reader.read(query, options);
  }

  readIndex(options?: WaitOptions): Promise<LogIndex> {
    return this.#reader.index(options);
  }

  addVoter(id: ServerId, address: ServerAddress, options?: AddOptions): Promise<{ readonly index: LogIndex }> {
    return this.#operator.add("add-voter", id, address, options);
  }

  addNonvoter(id: ServerId, address: ServerAddress, options?: AddOptions): Promise<{ readonly index: LogIndex }> {
    return this.#operator.add("add-nonvoter", id, address, options);
  }

  demoteVoter(id: ServerId, options?: ChangeOptions): Promise<{ readonly index: LogIndex }> {
    return this.#operator.change([{ type: "demote-voter", id }], options);
  }

  removeServer(id: ServerId, options?: ChangeOptions): Promise<{ readonly index: LogIndex }> {
    return this.#operator.change([{ type: "remove-server", id }], options);
  }

  changeMembership(
    changes: readonly ConfigurationChange[],
    options?: ChangeOptions,
  ): Promise<{ readonly index: LogIndex }> {
    return this.#operator.change(changes, options);
  }

  async addPeer(address: ServerAddress, options?: AddOptions): Promise<{ readonly index: LogIndex }> {
    return await this.addVoter(this.#peerId(address), address, options);
  }

  async removePeer(address: ServerAddress, options?: ChangeOptions): Promise<{ readonly index: LogIndex }> {
    return await this.removeServer(this.#peerId(address), options);
  }

  #peerId(address: ServerAddress): ServerId {
    const known = this.#driver.configuration.servers.find((server) => server.address === address);
    if (known !== undefined) mark("peer-known-by-address");
    return known?.id ?? peerId(address);
  }

  drain(options?: WaitOptions): Promise<void> {
    return this.#shutdown.drain(options);
  }

  transferLeadership(to?: ServerId, options?: WaitOptions): Promise<LeaderHint> {
    return this.#operator.transfer(to, options);
  }

  verifyLeader(options?: WaitOptions): Promise<void> {
    return this.#operator.verify(options);
  }

  async bootstrap(configuration: Configuration): Promise<void> {
    checkFirst(configuration, this.id);
    const clusterId = this.#driver.clusterId || await fingerprint(configuration);
    this.#shutdown.throwIfDraining();
    const durable = this.#driver.bootstrap(configuration, bootstrapEntry(configuration), clusterId);
    if (durable === undefined) throw new CannotBootstrapError(this.id);
    await durable;
  }

  get configuration(): ConfigurationView {
    return configurationView(this.#driver);
  }

  stats(): RaftStats {
    return statsOf(this.status, {
      lastLogTerm: this.#driver.lastTerm,
      configuration: this.#driver.configuration,
      snapshot: this.#driver.state.snapshot,
    });
  }

  async snapshot(): Promise<Snapshot> {
    this.#shutdown.throwIfAsked();
    return this.#snapshotOf(await this.#driver.snapshots.take());
  }

  async snapshots(): Promise<readonly Snapshot[]> {
    this.#shutdown.throwIfAsked();
    return (await this.#driver.snapshots.list()).map((meta) => this.#snapshotOf(meta));
  }

  async installSnapshot(options?: WaitOptions): Promise<{ readonly index: LogIndex }> {
    const signal = signalOf("install a snapshot", options);
    this.#shutdown.throwIfDraining();
    this.#driver.snapshots.checkInstallable();
    if (this.state === "leader") {
      if (!hasOtherVoters(this.#driver)) throw new NoSnapshotsError("no other server could send it one");
      await this.transferLeadership(undefined, options);
    }
    const follows = () => this.leader !== undefined && this.leader.id !== this.id;
    await this.#waits.within(follows, this.#settings.leaderWaitMs, this.#environment, signal);
    return await this.#operator.install(options);
  }

  #snapshotOf(meta: SnapshotMeta): Snapshot {
    return { meta, open: () => this.#driver.snapshots.open(meta) };
  }

  async restore(
    meta: SnapshotIdentity,
    stream: ReadableStream<Uint8Array>,
    options?: WaitOptions,
  ): Promise<{ readonly index: LogIndex }> {
    const signal = signalOf("restore", options);
    checkRestored(meta, stream);
    this.#shutdown.throwIfDraining();
    if (this.state !== "leader") {
      mark("restore-refused");
      throw new NotLeaderError(this.leader);
    }
    this.#driver.snapshots.checkRestorable();
    const host: RestoreHost = {
      propose: (entry) => this.#proposer.propose(() => entry, (result) => result, { enqueueTimeoutMs: PART_WAIT_MS }),
      owe: (entry) => this.#proposer.owe(entry),
      id: this.#environment.randomSeed(),
      commandBytesMax: this.#settings.commandBytesMax,
      stopped: this.#shutdown.signal,
    };
    return { index: await restoreThroughLog(host, meta, stream, signal) };
  }

  get leader(): LeaderHint | undefined {
    return this.#shutdown.leader;
  }

  get state(): Role | "shutdown" {
    return this.#shutdown.hasStopped ? "shutdown" : this.#driver.state.role;
  }

  get appliedIndex(): LogIndex {
    return this.#driver.appliedIndex;
  }

  get commitIndex(): LogIndex {
    return this.#driver.state.commitIndex;
  }

  get lastIndex(): LogIndex {
    return this.#driver.state.log.lastIndex;
  }

  get currentTerm(): Term {
    return this.#driver.state.term;
  }

  get status(): RaftStatus {
    return surveyed(this.#driver, this.#environment.now(), this.#shutdown.hasStopped);
  }

  get lastContact(): number | undefined {
    return lastContactMs(this.#driver, this.#environment.now(), this.state);
  }

  wait(condition: WaitCondition, options?: WaitOptions): Promise<RaftStatus> {
    return this.#waits.until(condition, options);
  }

  reloadConfig(changes: Partial<ReloadableSettings>): void {
    this.#shutdown.throwIfDraining();
    Object.assign(this.#settings, reloaded(this.#settings, changes));
    this.#driver.reconfigure();
  }

  doctor(): Diagnosis {
    return diagnose(this.status, this.configuration, this.#troubles.at(this.#environment.now()));
  }

  metrics(): RaftMetrics {
    return measured(this.#driver, this.status, this.#syncs);
  }

  events(options?: EventsOptions): EventStream {
    return this.#events.subscribe(options);
  }

  shutdown(): Promise<void> {
    return this.#shutdown.ask();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  toString(): string {
    return `Raft ${this.id} [${this.state}]`;
  }
}
