/**
 * Raft consensus for Deno, Bun, Node and the browser: replicates a log over several servers and runs a state machine on
 * it.
 *
 * @example Three servers in one process
 * ```ts
 * import { createRaft, memoryNetwork, memoryStore } from "@securecollc/raft";
 *
 * const network = memoryNetwork();
 * const bootstrap = { a: "a", b: "b", c: "c" };
 * const servers = await Promise.all(Object.keys(bootstrap).map((id) => {
 *   const values = new Map<string, string>();
 *   return createRaft<{ key: string; value: string }, number>({
 *     id,
 *     machine: { apply: ({ key, value }) => values.set(key, value).size },
 *     store: memoryStore(),
 *     transport: network.transport(id),
 *     bootstrap,
 *   });
 * }));
 * console.log(await servers[0].apply({ key: "k", value: "v" })); // 1, on any of the three
 * await Promise.all(servers.map((raft) => raft.shutdown()));
 * ```
 *
 * @module
 */
export {
  type AddOptions,
  type Applied,
  type ApplyOptions,
  type ChangeOptions,
  createRaft,
  type Raft,
  type ReadOptions,
  type Session,
  type Snapshot,
  type WaitOptions,
} from "./src/raft.ts";
export type { SnapshotIdentity } from "./src/restorer.ts";
export { defaultOptions, type Logger, type RaftOptions, type RaftSettings } from "./src/options.ts";
export { isServerId, validateOptions } from "./src/options_check.ts";
export { clusterIdOf } from "./src/bootstrap.ts";
export { bootstrapCluster, hasExistingState, recoverCluster, type RecoverOptions } from "./src/offline.ts";
export type { ClusterRecovery } from "./src/forced_recovery.ts";
export { readConfigJson, readPeersJson } from "./src/peers_json.ts";
export { msgpackCodec } from "./src/codec.ts";
export {
  type ArgumentsOf,
  type CommandCalls,
  type CommandContext,
  type CommandThis,
  defineMachine,
  type Handler,
  type Handlers,
  type MachineDefinition,
  type QueryCalls,
  type TypedCommand,
  type TypedMachine,
  type TypedRaft,
  type TypedRaftOptions,
} from "./src/typed_machine.ts";
export { NondeterminismError } from "./src/guard.ts";
export type { ApplyContext, BatchedCommand, BatchedResult, Codec, StateMachine } from "./src/machine.ts";
export type { EventsOptions, EventStream, RaftEvent } from "./src/events.ts";
export type { HistogramSnapshot, PeerMetrics, RaftMetrics, Stage, StageHistograms } from "./src/metrics.ts";
export type { Diagnosis, Finding, FindingCode } from "./src/doctor.ts";
export type { ReloadableSettings } from "./src/reload.ts";
export type { WaitCondition } from "./src/wait.ts";
export { protocolVersion, snapshotVersion, type VersionRange } from "./src/versions.ts";
export type { RaftStats, StatsKey } from "./src/stats.ts";
export type { ConfigurationView, RaftStatus, ServerStatus } from "./src/status.ts";
export {
  AbortedByRestoreError,
  CannotBootstrapError,
  CannotRecoverError,
  ConfigurationChangedError,
  CorruptionError,
  DamagedEntryError,
  EntryAwaitedError,
  EntryNotFoundError,
  InvariantError,
  IsLeaderError,
  type LeaderHint,
  LeadershipLostError,
  MembershipError,
  NoSnapshotsError,
  NothingNewToSnapshotError,
  NotLeaderError,
  type Outcome,
  OverloadedError,
  ProtocolError,
  RaftError,
  type RaftErrorOptions,
  ResultLostError,
  SessionExpiredError,
  ShutdownError,
  SnapshotNotFoundError,
  StaleReadError,
  StorageError,
  StorageFullError,
  StoreLockedError,
  TransferFailedError,
  TransportClosedError,
} from "./src/errors.ts";
export {
  type Configuration,
  type ConfigurationChange,
  type Disk,
  EntryType,
  type Identity,
  type IndexedConfiguration,
  type LogIndex,
  type LogStart,
  type Role,
  type Server,
  type ServerAddress,
  type ServerId,
  type Suffrage,
  type Term,
  type TermRun,
  type Vote,
} from "./src/types.ts";
export { memoryStore, type MemoryStoreOptions } from "./src/store/memory.ts";
export { logCache, type LogCacheOptions } from "./src/store/cached_store.ts";
export type { DamagedRange } from "./src/damage.ts";
export type {
  Damage,
  DamagePlace,
  RecoverySource,
  Store,
  StoreContext,
  StoreFactory,
  StoreState,
  StoreWrite,
} from "./src/store/store.ts";
export { discardSnapshotStore, memorySnapshotStore } from "./src/store/memory_snapshots.ts";
export type {
  DamagedSnapshot,
  SnapshotMeta,
  SnapshotOrigin,
  SnapshotSink,
  SnapshotStore,
  SnapshotStoreFactory,
} from "./src/store/snapshot_store.ts";
export type { EntryParts, Records } from "./src/wire/record.ts";
export {
  type MemoryNetwork,
  memoryNetwork,
  type MemoryNetworkOptions,
  type MemoryTransportFactory,
} from "./src/transport/memory.ts";
export { networkTransport } from "./src/transport/network.ts";
export type { NetworkOptions } from "./src/transport/network_options.ts";
export type { AddressResolver } from "./src/transport/resolver.ts";
export type { Clock } from "./src/transport/clock.ts";
export type { TransportCounters } from "./src/transport/counters.ts";
export type {
  Channel,
  LocalServer,
  RemoteServer,
  Transport,
  TransportFactory,
  TransportHandler,
  TransportLink,
  TransportTrouble,
} from "./src/transport/transport.ts";
export type { Stream, StreamLayer } from "./src/transport/stream_layer.ts";
