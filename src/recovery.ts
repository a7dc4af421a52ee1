/**
 * A server's start from its newest snapshot.
 *
 * @module
 */
import { Beginning } from "./driver/beginning.ts";
import { SessionTable } from "./driver/session_table.ts";
import { restoreMachine } from "./driver/snapshots.ts";
import { DamagedEntryError, StorageError } from "./errors.ts";
import type { StateMachine } from "./machine.ts";
import { mark } from "./marks.ts";
import type { Logger } from "./options.ts";
import type { SnapshotMeta, SnapshotStore } from "./store/snapshot_store.ts";
import type { Store, StoreState, StoreWrite } from "./store/store.ts";
import type { LogIndex, Term } from "./types.ts";

/** What a server starts from: a snapshot, or none, and a log that goes on after it. */
export interface Recovered {
  readonly found: StoreState;
  readonly snapshot: SnapshotMeta | undefined;
  /** The sessions that came with it. */
  readonly sessions: SessionTable;
  /** How the cluster began, as the snapshot says. */
  readonly beginning: Beginning;
}

/** What there is to recover from. */
export interface RecoveryParts<C, R> {
  readonly store: Store;
  readonly found: StoreState;
  /** Undefined when this server keeps no snapshots. */
  readonly snapshots: SnapshotStore | undefined;
  readonly machine: StateMachine<C, R>;
  readonly logger: Logger;
}

/**
 * Restores the machine from the newest good snapshot. A log that does not reach it, or has another entry where it ends, is
 * from before a crash in the middle of an install, and is set to go on after it: it includes nothing but committed entries.
 *
 * @throws {StorageError} When log and snapshots leave a gap, or the machine can't be restored.
 */
export async function recover<C, R>(parts: RecoveryParts<C, R>): Promise<Recovered> {
  const { store, found, snapshots, machine } = parts;
  const snapshot = await newestGood(parts);
  checkGap(found, snapshot, snapshots);
  const sessions = new SessionTable();
  const beginning = new Beginning();
  if (snapshot === undefined) return { found, snapshot, sessions, beginning };
  if (machine.restore === undefined) {
    throw new StorageError(
      `Cannot start from the snapshot of entry ${snapshot.index} as the machine has no restore()`,
      "restore",
    );
  }
  const unclear = found.damaged.find((it) =>
    !it.isTermKnown && it.from <= snapshot.index && snapshot.index < it.end - 1
  );
  // Whether the log and the snapshot are of the same history can't be told.
  if (unclear !== undefined) throw new DamagedEntryError(unclear.from, unclear.file, unclear.offset, unclear.detail);
  const isInLog = snapshot.index <= found.lastIndex && termAt(found, snapshot.index) === snapshot.term;
  const log = isInLog ? found : await resetLog(store, found, snapshot);
  await restoreMachine({ machine, sessions, beginning }, snapshots!, snapshot);
  return { found: log, snapshot, sessions, beginning };
}

/** Says which ones are damaged; the one before takes their place, when the log still reaches it. */
async function newestGood<C, R>({ snapshots, logger }: RecoveryParts<C, R>): Promise<SnapshotMeta | undefined> {
  if (snapshots === undefined) return undefined;
  const metas = await snapshots.list();
  let good: SnapshotMeta | undefined;
  for (const meta of metas) {
    if (!await snapshots.verify(meta.id)) continue;
    good = meta;
    break;
  }
  if (good !== undefined && good !== metas[0]) mark("older-snapshot-used");
  for (const { id, problem } of snapshots.damaged) logger.warn(`the snapshot "${id}" is not used as ${problem}`);
  return good;
}

function checkGap(
  { firstIndex, prevTerm }: StoreState,
  snapshot: SnapshotMeta | undefined,
  snapshots: SnapshotStore | undefined,
): void {
  const before = firstIndex - 1;
  const isEnough = snapshot === undefined ? before === 0 : snapshot.index > before ||
    (snapshot.index === before && snapshot.term === prevTerm);
  if (isEnough) return;
  const words = (snapshots?.damaged ?? []).map(({ id, problem }) => `; "${id}" cannot be used as ${problem}`);
  const damaged = words.join("");
  const newest = snapshot === undefined
    ? `there is no snapshot of what was before`
    : `the newest good snapshot ends at entry ${snapshot.index} of term ${snapshot.term}`;
  throw new StorageError(
    `Cannot start as the log begins after entry ${before} of term ${prevTerm}, and ${newest}${damaged}: ` +
      `restore the snapshots, or remove all data of this server and let it catch up`,
    "open",
  );
}

/** Term of an entry that is in the log, or the one before the first. */
function termAt({ firstIndex, prevTerm, terms }: StoreState, index: LogIndex): Term | undefined {
  if (index === firstIndex - 1) return prevTerm;
  return terms.findLast(({ from }) => from <= index)?.term;
}

async function resetLog(store: Store, found: StoreState, { index, term }: SnapshotMeta): Promise<StoreState> {
  mark("log-reset-to-snapshot");
  const compactTo = { firstIndex: index + 1, prevTerm: term };
  // The snapshot may have become durable before the term in which it came: nobody was given a vote in it.
  const vote = found.vote.term < term ? { term, votedFor: undefined } : undefined;
  let write: StoreWrite = { records: [], vote, compactTo };
  if (index <= found.lastIndex) write = { ...write, truncateFrom: index };
  await store.write(write);
  return {
    ...found,
    ...compactTo,
    vote: vote ?? found.vote,
    lastIndex: index,
    terms: [],
    configurations: [],
    damaged: [],
  };
}
