/**
 * What is done to a server's data while it does not run.
 *
 * @module
 */
import { bootstrapEntry, bootstrapTerm, checkFirst, fingerprint } from "./bootstrap.ts";
import { checkBoolean } from "./checks.ts";
import { CannotBootstrapError } from "./errors.ts";
import { type ClusterRecovery, forceConfiguration } from "./forced_recovery.ts";
import type { Codec } from "./machine.ts";
import type { RaftOptions } from "./options.ts";
import { checkParts, validateOptions } from "./options_check.ts";
import { type LocalParts, withLocalParts } from "./parts.ts";
import type { SnapshotStore, SnapshotStoreFactory } from "./store/snapshot_store.ts";
import type { Store, StoreFactory } from "./store/store.ts";
import { TypedMachine } from "./typed_machine.ts";
import type { Configuration, ServerId } from "./types.ts";
import { problemOf } from "./wire/configuration.ts";

/** Options of {@linkcode recoverCluster}. */
export interface RecoverOptions {
  /**
   * Whether it is only told what would be done: everything is read and applied, and nothing is written but that the store
   * was opened once more.
   *
   * @default {false}
   */
  readonly dryRun?: boolean;
}

/**
 * Whether a server has anything that it must not forget: a term, an entry or a snapshot.
 *
 * @param store Opened, which makes an empty one when there is none, and closed again; give a factory unless it can be opened
 * twice.
 * @param snapshots By default those that come with the store.
 * @throws {StorageError} When the disk fails or belongs to another server.
 *
 * @example
 * ```ts
 * import { hasExistingState, memoryStore } from "@securecollc/raft";
 *
 * console.log(await hasExistingState(memoryStore(), undefined, "a")); // false
 * ```
 */
export async function hasExistingState(
  store: Store | StoreFactory,
  snapshots: SnapshotStore | SnapshotStoreFactory | undefined,
  id: ServerId,
): Promise<boolean> {
  const given = snapshots === undefined ? {} : { snapshots };
  return await withLocalParts({ id, store, ...given }, hasState, true);
}

/**
 * Makes a server the beginning of a cluster, without starting it: what the option `bootstrap` does, for configurations
 * with nonvoters and priorities. Do the same on each server of it, with the same configuration, before any is started;
 * or only on one, and the others learn it from that one.
 *
 * @throws {CannotBootstrapError} When the server has a term, an entry or a snapshot.
 * @throws {TypeError} When no cluster could have these servers, or this one does not vote.
 * @throws {StorageError} When the disk fails or belongs to another server.
 */
export async function bootstrapCluster<C, R>(options: RaftOptions<C, R>, configuration: Configuration): Promise<void> {
  checkOptions(options);
  checkFirst(configuration, options.id);
  await withLocalParts(options, async (parts) => {
    if (await hasState(parts)) throw new CannotBootstrapError(options.id);
    const { clusterId } = parts.found.identity;
    await parts.store.write({
      records: [bootstrapEntry(configuration)],
      vote: { term: bootstrapTerm, votedFor: undefined },
      ...clusterId === "" ? { clusterId: options.clusterId ?? await fingerprint(configuration) } : {},
    });
  }, true);
}

/**
 * The way out of a lost quorum: lets this server go on with the servers given, though most of those before are lost for
 * good. All that it has in its log counts as committed from then on; what only the lost ones had is gone. None of those
 * that are left out may be started again before its data are removed. Read docs/recovery.md first, and try a `dryRun`.
 *
 * The server must not run. A snapshot of its machine's state with the new servers is made, and the log begins after it. The
 * machine that is passed must be thrown away.
 *
 * @throws {CannotRecoverError} When there is nothing to recover, the machine takes no snapshots, or this server is not to
 * vote.
 * @throws {TypeError} When no cluster could have these servers.
 * @throws {StoreLockedError} When the server runs.
 * @throws {StorageError} When the disk fails, or log and snapshots leave a gap: nothing was changed.
 */
export async function recoverCluster<C, R>(
  options: RaftOptions<C, R>,
  configuration: Configuration,
  { dryRun = false }: RecoverOptions = {},
): Promise<ClusterRecovery> {
  checkOptions(options);
  checkBoolean("recover the cluster", "dryRun", dryRun);
  checkConfiguration(configuration);
  const { id, machine } = options;
  const codec = options.codec ?? (machine instanceof TypedMachine ? machine.codec as unknown as Codec<C> : undefined);
  return await withLocalParts(options, async (parts) => {
    return (await forceConfiguration({ ...parts, id, machine, codec }, configuration, dryRun)).report;
  });
}

function checkOptions<C, R>(options: RaftOptions<C, R>): void {
  checkParts(options);
  validateOptions(options);
}

function checkConfiguration(configuration: Configuration): void {
  const problem = problemOf(configuration);
  if (problem !== undefined) throw new TypeError(`Cannot use the configuration: ${problem}`);
}

async function hasState({ found, snapshots }: LocalParts): Promise<boolean> {
  if (found.lastIndex > 0 || found.vote.term > 0) return true;
  return snapshots !== undefined && ((await snapshots.list()).length > 0 || snapshots.damaged.length > 0);
}
