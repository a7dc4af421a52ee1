/**
 * The parts of a server: opened in order, closed in reverse.
 *
 * @module
 */
import { bootstrapConfiguration, bootstrapEntry, bootstrapTerm, fingerprint } from "./bootstrap.ts";
import type { Beginning } from "./driver/beginning.ts";
import type { SessionTable } from "./driver/session_table.ts";
import { removeDamage } from "./damage.ts";
import { CannotBootstrapError, DamagedEntryError, StorageError } from "./errors.ts";
import { forceConfiguration } from "./forced_recovery.ts";
import { Histogram } from "./metrics.ts";
import type { Logger, RaftOptions, RaftSettings } from "./options.ts";
import { readEitherJson } from "./peers_json.ts";
import { recover } from "./recovery.ts";
import type { SnapshotMeta, SnapshotStore } from "./store/snapshot_store.ts";
import type { Store, StoreFactory, StoreState } from "./store/store.ts";
import type { Transport } from "./transport/transport.ts";
import type { Configuration, ServerId } from "./types.ts";
import { fingerprintOf } from "./wire/configuration.ts";
import { isStoredDisk } from "./wire/handshake_codec.ts";
import { SNAPSHOT_CHUNK_BYTES_MAX } from "./wire/snapshot.ts";

/** Closes what was opened, the last first. */
export type Closers = (() => Promise<void>)[];

/** Parts that are open. */
export interface OpenParts {
  readonly store: Store;
  /** What the store holds. */
  readonly found: StoreState;
  /** Where snapshots are kept; undefined when this server keeps none. */
  readonly snapshots: SnapshotStore | undefined;
  /** The snapshot that the machine was restored from. */
  readonly snapshot: SnapshotMeta | undefined;
  /** The sessions that came with it. */
  readonly sessions: SessionTable;
  /** How the cluster began, as the snapshot says. */
  readonly beginning: Beginning;
  readonly transport: Transport;
  /** Never throws. */
  readonly logger: Logger;
  /** Durations of the store's syncs. */
  readonly syncs: Histogram;
  /** Closes what was opened here; what was given open is not among it. */
  readonly closers: Closers;
}

/** What is on this machine. */
export type LocalParts = Pick<OpenParts, "store" | "found" | "snapshots" | "logger">;

/** The options that say where that is. */
type LocalOptions<C, R> =
  & Pick<RaftOptions<C, R>, "id" | "store" | "snapshots" | "clusterId" | "logger">
  & Partial<Pick<RaftOptions<C, R>, "machine">>;

/** Opens store and snapshots, also without a machine that needs any when `needsSnapshots`, and closes them after use. */
export async function withLocalParts<C, R, T>(
  options: LocalOptions<C, R>,
  use: (parts: LocalParts) => Promise<T>,
  needsSnapshots = false,
): Promise<T> {
  const closers: Closers = [];
  try {
    return await use(await openLocal(options, new Histogram(), closers, closers, needsSnapshots));
  } finally {
    await closeAll(closers);
  }
}

async function openLocal<C, R>(
  options: LocalOptions<C, R>,
  syncs: Histogram,
  closers: Closers,
  borrowed: Closers,
  needsSnapshots = false,
): Promise<LocalParts> {
  const store = await openStore(options, syncs, closers);
  const found = await store.open(options.id);
  // Left open while and after its server runs; without a server it goes back as it came.
  if (store === options.store) borrowed.push(() => store.close());
  checkDisk(options.id, found);
  checkCluster(options, found);
  const snapshots = await openSnapshots(options, store, needsSnapshots || found.firstIndex > 1, closers, borrowed);
  return { store, found, snapshots, logger: safeLogger(options.logger) };
}

/** Opens all parts and starts what uses them. When anything fails, what was opened is closed again. */
export async function openParts<C, R, T>(options: RaftOptions<C, R>, start: (parts: OpenParts) => T): Promise<T> {
  const { id, bootstrap, clusterId } = options;
  const first = bootstrap === undefined ? undefined : bootstrapConfiguration(bootstrap, id);
  const syncs = new Histogram();
  const closers: Closers = [];
  const borrowed: Closers = [];
  try {
    const local = await openLocal(options, syncs, closers, borrowed);
    const { store, snapshots, logger } = local;
    const before = await forcedByFile(options, local);
    const recovered = await recover({ store, found: before, snapshots, machine: options.machine, logger });
    const { snapshot, sessions, beginning } = recovered;
    if (first !== undefined) checkBootstrap(id, first, beginning.of(recovered.found.configurations));
    const left = await withoutMended(store, recovered.found, snapshot);
    const found = await begin(store, left, first, clusterId);
    checkDamage(id, found, snapshot);
    const transport = await openTransport(options, logger, closers);
    return start({ store, found, snapshots, snapshot, sessions, beginning, transport, logger, syncs, closers });
  } catch (error) {
    await closeAll(closers);
    await closeAll(borrowed);
    throw error;
  }
}

/** Recovers the cluster when somebody has put servers beside the log to recover it with; once for each time. */
async function forcedByFile<C, R>(options: RaftOptions<C, R>, parts: LocalParts): Promise<StoreState> {
  const { recovery } = options.store as Partial<StoreFactory>;
  const text = await recovery?.read();
  if (recovery === undefined || text === undefined) return parts.found;
  const { id, machine, codec } = options;
  const { logger } = parts;
  const { name } = recovery;
  const servers = readEitherJson(text);
  logger.warn(`recovers the cluster with the servers in "${name}"`);
  const { report, found } = await forceConfiguration({ ...parts, id, machine, codec }, servers, false);
  for (const step of report.steps) logger.warn(`recovery from "${name}": ${step}`);
  await recovery.done();
  logger.warn(`recovered the cluster as of entry ${report.index}`);
  return found;
}

/**
 * What the snapshot that the machine was restored from includes need not be in the log: damage to it is gone with a
 * compaction.
 */
async function withoutMended(store: Store, found: StoreState, snapshot: SnapshotMeta | undefined): Promise<StoreState> {
  const damage = snapshot && found.damaged.find(({ from }) => from <= snapshot.index);
  if (damage === undefined) return found;
  const { index, term } = snapshot!;
  const compactTo = { firstIndex: index + 1, prevTerm: term };
  await store.write({ records: [], compactTo });
  return {
    ...found,
    ...compactTo,
    lastIndex: Math.max(found.lastIndex, index),
    terms: found.terms
      .filter((_, i) => (found.terms[i + 1]?.from ?? found.lastIndex + 1) > index + 1)
      .map(({ term, from }) => ({ term, from: Math.max(from, index + 1) })),
    configurations: found.configurations.filter((it) => it.index > index),
    damaged: removeDamage(found.damaged, 0, index + 1),
  };
}

/** A server that is the only voter has nobody to ask for what is damaged: it does not start. */
function checkDamage(id: string, { damaged, configurations }: StoreState, snapshot: SnapshotMeta | undefined): void {
  const damage = damaged[0];
  const configuration = configurations.at(-1)?.configuration ?? snapshot?.configuration;
  if (damage === undefined || configuration === undefined) return;
  const voters = configuration.servers.filter(({ suffrage }) => suffrage === "voter");
  if (voters.some((server) => server.id !== id)) return;
  throw new DamagedEntryError(damage.from, damage.file, damage.offset, damage.detail);
}

/**
 * A server is started again with the `bootstrap` that its cluster began with, whatever servers have come and gone since. With
 * another one it would say that it is of another cluster: the data are not those that somebody takes them for, or whoever
 * changed the option believes that it changes the cluster.
 */
function checkBootstrap(id: ServerId, given: Configuration, began: Configuration | undefined): void {
  if (began === undefined) return;
  const [ours, theirs] = [fingerprintOf(given), fingerprintOf(began)];
  if (ours === theirs) return;
  const servers = began.servers.map(({ id, address }) => `${id}=${address}`).join(", ");
  throw new CannotBootstrapError(
    id,
    `its data are of a cluster that began with ${servers} (fingerprint "${theirs}"), and the option 'bootstrap' says ` +
      `otherwise (fingerprint "${ours}"): give the servers that it began with, whatever they are now, or leave the option ` +
      `out; for another cluster use other data, or none`,
  );
}

/** Writes what a fresh store needs to know: the cluster it belongs to and, when it is given, the first configuration. */
async function begin(
  store: Store,
  found: StoreState,
  first: Configuration | undefined,
  name: string | undefined,
): Promise<StoreState> {
  const isFirst = first !== undefined && found.lastIndex === 0 && found.vote.term === 0;
  const clusterId = name ?? (isFirst ? await fingerprint(first) : "");
  const isNamed = found.identity.clusterId === "" && clusterId !== "";
  if (!isNamed && !isFirst) return found;
  const vote = { term: bootstrapTerm, votedFor: undefined };
  await store.write({
    records: isFirst ? [bootstrapEntry(first)] : [],
    ...(isFirst ? { vote } : {}),
    ...(isNamed ? { clusterId } : {}),
  });
  const named = isNamed ? { ...found, identity: { ...found.identity, clusterId } } : found;
  if (!isFirst) return named;
  return {
    ...named,
    vote,
    lastIndex: 1,
    terms: [{ term: bootstrapTerm, from: 1 }],
    configurations: [{ index: 1, configuration: first }],
  };
}

async function openStore<C, R>(options: LocalOptions<C, R>, syncs: Histogram, closers: Closers): Promise<Store> {
  const { store } = options;
  if ("write" in store) return store;
  const opened = await store.open({ onSync: (ms) => syncs.add(ms) });
  closers.push(() => opened.close());
  return opened;
}

/** The snapshots that are asked for, or those that come with the store, when the machine or the log needs any. */
async function openSnapshots<C, R>(
  { snapshots, machine, store: from }: LocalOptions<C, R>,
  store: Store,
  isNeededBesides: boolean,
  closers: Closers,
  borrowed: Closers,
): Promise<SnapshotStore | undefined> {
  if ((machine?.snapshot === undefined) !== (machine?.restore === undefined)) {
    throw new TypeError("Cannot use the machine as it has one of snapshot() and restore() without the other");
  }
  const isNeeded = machine?.restore !== undefined || isNeededBesides;
  const given = snapshots ?? (isNeeded ? store.snapshots ?? (from as StoreFactory).snapshots : undefined);
  if (given === undefined) return undefined;
  const opened = "create" in given ? given : await given.open();
  if (store.isDurable !== false && !opened.isDurable) {
    throw new TypeError(
      "Cannot keep snapshots that a power cut takes beside a log that outlives it: use durable ones, or a log in memory",
    );
  }
  await opened.open();
  (opened === given ? borrowed : closers).push(() => opened.close());
  return opened;
}

async function openTransport<C, R>(
  { transport }: RaftOptions<C, R>,
  logger: Logger,
  closers: Closers,
): Promise<Transport> {
  if ("attach" in transport) return transport;
  const opened = await transport.open({ logger: (line) => logger.debug(line) });
  closers.push(() => opened.close());
  return opened;
}

/** What travels with a command, or with the entries of one request: generously. */
const envelopeBytes = 64 << 10;

/**
 * Compares what a server sends in one piece with what its transport moves in one piece: a command that no peer takes
 * would be sent for ever.
 *
 * @throws {RangeError} When something doesn't fit; names both options.
 */
export function checkFrames(settings: RaftSettings, { frameBytesMax = Infinity }: Transport): void {
  const { commandBytesMax, appendBytesMax } = settings;
  const pieces = [
    { bytes: commandBytesMax, words: `'commandBytesMax' is ${commandBytesMax}` },
    { bytes: appendBytesMax, words: `'appendBytesMax' is ${appendBytesMax}` },
    { bytes: SNAPSHOT_CHUNK_BYTES_MAX, words: `a chunk of a snapshot has ${SNAPSHOT_CHUNK_BYTES_MAX} bytes` },
  ];
  for (const { bytes, words } of pieces) {
    const needed = bytes + envelopeBytes;
    if (frameBytesMax >= needed) continue;
    throw new RangeError(
      `Cannot use the transport as its 'frameBytesMax' is ${frameBytesMax} and ${words}: ` +
        `make it at least ${needed} on every server`,
    );
  }
}

/** A store may be the user's own: what other servers would not take as its disk is found out here. */
function checkDisk(id: ServerId, { identity }: StoreState): void {
  if (isStoredDisk(identity)) return;
  throw new StorageError(
    `Cannot start server "${id}" as its store must give an incarnation of 1 to 64 printable characters, and count its starts from 1`,
    "open",
  );
}

function checkCluster<C, R>({ id, clusterId }: LocalOptions<C, R>, { identity }: StoreState): void {
  if (clusterId === undefined || identity.clusterId === "" || identity.clusterId === clusterId) return;
  throw new StorageError(
    `Cannot start server "${id}" in cluster "${clusterId}" as its disk belongs to cluster "${identity.clusterId}": ` +
      `use another store or that cluster id`,
    "open",
  );
}

/** Closes all, whatever fails. */
export async function closeAll(closers: Closers): Promise<void> {
  for (const close of closers.reverse()) {
    try {
      await close();
    } catch {
      // Nothing more can be done about a part that does not even close.
    }
  }
  closers.length = 0;
}

/** A logger that never throws, as what it says is no reason for a server to end; silent without the user's. */
function safeLogger(logger: Logger | undefined): Logger {
  const say = (level: keyof Logger) => (message: string) => {
    try {
      logger?.[level](message);
    } catch {
      // The user's logger is broken, and there is nobody to tell.
    }
  };
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}
