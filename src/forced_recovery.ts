/**
 * The way out of a lost quorum: what one server has becomes what the cluster has.
 *
 * @module
 */
import { msgpackCodec } from "./codec.ts";
import { Applier } from "./driver/applier.ts";
import { systemEnvironment } from "./driver/environment.ts";
import { CannotRecoverError } from "./errors.ts";
import type { Codec, StateMachine } from "./machine.ts";
import type { Logger } from "./options.ts";
import { recover } from "./recovery.ts";
import { LogCache } from "./store/log_cache.ts";
import type { SnapshotMeta, SnapshotStore } from "./store/snapshot_store.ts";
import type { Store, StoreState } from "./store/store.ts";
import type { Configuration, LogIndex, ServerId, Term } from "./types.ts";
import { encodeSnapshot, type SnapshotContent } from "./wire/snapshot.ts";

/**
 * A recovered log goes on in a term that is so much later than its last one: whatever terms those that are lost may have
 * reached without it, its entries outrank theirs, should one of them come back in spite of everything.
 */
const TERMS_SKIPPED = 100_000;

/**
 * It goes on at an index that is later by so much for each of its terms. Several survivors may be recovered, and each calls
 * committed what it has, though their last entries may differ. Then the one whose log is more recent (Raft §5.4.1) is
 * ahead in both term and index, so that it leads, and the others get its snapshot in the place of all they have. Logs
 * with the same last entry are the same, and go on at the same place.
 */
const INDEXES_SKIPPED_PER_TERM = 1_000_000;

/** What a recovery does, or has done. */
export interface ClusterRecovery {
  /** Whether it was done; false for a dry run. */
  readonly isDone: boolean;
  /** The last entry. It and all before it count as committed, whether they were or not. */
  readonly index: LogIndex;
  /** That entry's term. */
  readonly term: Term;
  /** The log goes on after this index; no entry has one between the two. */
  readonly continuesAfter: LogIndex;
  /** The last entry of the snapshot that the machine was restored from; 0 when there was none. */
  readonly snapshotIndex: LogIndex;
  /** The servers before, as far as this server knew. */
  readonly before: Configuration;
  /** The servers from now on. */
  readonly after: Configuration;
  /** The same for a person: what is done, step by step, and what it destroys. */
  readonly steps: readonly string[];
}

/** What is there to recover from. */
export interface ForcedRecoveryParts<C, R> {
  readonly id: ServerId;
  readonly store: Store;
  readonly found: StoreState;
  readonly snapshots: SnapshotStore | undefined;
  readonly machine: StateMachine<C, R>;
  readonly codec: Codec<C> | undefined;
  readonly logger: Logger;
}

/** What came of it. */
export interface ForcedConfiguration {
  readonly report: ClusterRecovery;
  /** What the store holds now. */
  readonly found: StoreState;
}

/**
 * Makes a snapshot of all that this server has, with the new servers, and lets the log begin after it. The machine is
 * used for that: it must be restored or thrown away.
 *
 * @throws {CannotRecoverError} When there is nothing to recover, or the server could not be one of the cluster.
 * @throws {StorageError} When the disk fails, or does not have what it should.
 */
export async function forceConfiguration<C, R>(
  parts: ForcedRecoveryParts<C, R>,
  after: Configuration,
  isDry: boolean,
): Promise<ForcedConfiguration> {
  const { store, machine, snapshots } = parts;
  checkServers(parts.id, after);
  if (snapshots === undefined || machine.snapshot === undefined) {
    throw new CannotRecoverError("its machine has no snapshot() and restore(), or there is no place for snapshots");
  }
  const log = isDry ? readOnly(store) : store;
  const { found, snapshot, sessions, beginning } = await recover({ ...parts, store: log });
  const index = Math.max(found.lastIndex, snapshot?.index ?? 0);
  if (index === 0) throw new CannotRecoverError("it has no entry and no snapshot: bootstrap a cluster instead");
  const term = found.terms.at(-1)?.term ?? found.prevTerm;
  const before = found.configurations.at(-1)?.configuration ?? snapshot?.configuration;
  if (before === undefined) throw new CannotRecoverError("it never learned which servers there are");
  const applier = await applyAll(parts, log, { index, snapshot, sessions });
  const end = placeAfter(index, term);
  const facts = { index, term, continuesAfter: end.index, snapshotIndex: snapshot?.index ?? 0, before, after };
  const report = reportOf({ isDone: !isDry, ...facts });
  if (isDry) return { report, found };
  const { appliedTimeMs: timeMs } = applier;
  const origin = { ...end, configuration: after, configurationIndex: end.index, timeMs };
  await persist(snapshots, {
    origin,
    // Those that are left go on with the command lines that they began with.
    beginning: beginning.of(found.configurations),
    sessions: applier.sessions.capture(),
    user: machine.snapshot(),
  });
  // Cut off here, the next start finds a snapshot that is ahead of the log, and does the same.
  const compactTo = { firstIndex: end.index + 1, prevTerm: end.term };
  const vote = end.term > found.vote.term ? { term: end.term, votedFor: undefined } : found.vote;
  await store.write({ records: [], compactTo, vote });
  const empty = { lastIndex: end.index, terms: [], configurations: [], damaged: [], lastTimeMs: 0 };
  return { report, found: { ...found, ...compactTo, ...empty, vote } };
}

/** Where a log goes on whose last entry is this one. */
function placeAfter(index: LogIndex, term: Term): { readonly index: LogIndex; readonly term: Term } {
  const place = { index: index + term * INDEXES_SKIPPED_PER_TERM, term: term + TERMS_SKIPPED };
  if (place.index < Number.MAX_SAFE_INTEGER / 2) return place;
  throw new CannotRecoverError(`its log goes on at entry ${place.index}, where numbers end: move to a new cluster`);
}

/** A server that is not to vote can't lead anybody out of this. */
function checkServers(id: ServerId, { servers, outgoing }: Configuration): void {
  const self = servers.find((server) => server.id === id);
  if (self === undefined) {
    throw new CannotRecoverError(`"${id}" is not among the servers: ${servers.map((server) => server.id).join(", ")}`);
  }
  if (self.suffrage !== "voter") throw new CannotRecoverError(`"${id}" is to be a ${self.suffrage} and can't lead`);
  if (outgoing !== undefined) throw new CannotRecoverError("the servers are given in the middle of a change");
}

/** A store that nothing is written to. */
function readOnly(store: Store): Store {
  return {
    open: (id) => store.open(id),
    write: () => undefined,
    read: (from, end, bytesMax) => store.read(from, end, bytesMax),
    close: () => store.close(),
  };
}

/** Gives the machine every entry after the snapshot. */
function applyAll<C, R>(
  { machine, codec }: ForcedRecoveryParts<C, R>,
  store: Store,
  { index, snapshot, sessions }: {
    readonly index: LogIndex;
    readonly snapshot: SnapshotMeta | undefined;
    readonly sessions: Applier<C, R>["sessions"];
  },
): Promise<Applier<C, R>> {
  return new Promise((resolve, reject) => {
    const applier: Applier<C, R> = new Applier(
      machine,
      codec ?? msgpackCodec<C>(),
      { cache: new LogCache(0, index + 1), store },
      systemEnvironment,
      {
        onApplied() {},
        onInstalled() {},
        onPause: (upTo) => upTo === index ? resolve(applier) : undefined,
        onDamage: reject,
        onFailure: reject,
      },
      { index: snapshot?.index ?? 0, timeMs: snapshot?.timeMs ?? 0, sessions },
    );
    applier.advance(index);
  });
}

async function persist(store: SnapshotStore, content: SnapshotContent): Promise<void> {
  const sink = await store.create(content.origin);
  try {
    for await (const piece of encodeSnapshot(content)) await sink.write(piece);
    await sink.close();
  } catch (error) {
    await sink.abort().catch(() => {});
    throw error;
  }
}

function reportOf(facts: Omit<ClusterRecovery, "steps">): ClusterRecovery {
  const { index, term, continuesAfter, snapshotIndex, before, after } = facts;
  const from = snapshotIndex === 0 ? "an empty machine" : `the snapshot of entry ${snapshotIndex}`;
  const lost = before.servers.filter(({ id }) => !after.servers.some((server) => server.id === id));
  const steps = [
    `takes ${from} and applies entries ${snapshotIndex + 1} to ${index} of the log, committed or not`,
    `keeps a snapshot of that with the servers ${textOf(after)} instead of ${textOf(before)}`,
    `removes all entries up to ${index} of term ${term} from the log, and goes on after ${continuesAfter} in a term after ` +
    `${term + TERMS_SKIPPED}`,
    ...lost.length === 0 ? [] : [
      `leaves out ${
        lost.map(({ id }) => id).join(", ")
      }: entries that only they have are lost, and none of them may be ` +
      `started again before its data are removed`,
    ],
  ];
  return { ...facts, steps };
}

function textOf({ servers }: Configuration): string {
  return servers.map(({ id, address, suffrage }) => `${id}=${address}${suffrage === "voter" ? "" : ` (${suffrage})`}`)
    .join(", ");
}
