/**
 * The key that says what of a log in a key-value database holds.
 *
 * @module
 */
import { CorruptionError, StorageError } from "../../errors.ts";
import type { LogIndex, Term, Vote } from "../../types.ts";
import type { LogBounds } from "../write_check.ts";
import { decodeText, encodeText } from "./kv_text.ts";

/** Entries from `from` on, up to the next run, are under keys of this epoch. */
export interface EpochRun {
  readonly from: LogIndex;
  readonly epoch: number;
}

/** Everything but entries. What no run and no bound covers is left over and means nothing. */
export interface KvMeta extends LogBounds {
  readonly serverId: string;
  readonly incarnation: string;
  readonly clusterId: string;
  readonly starts: number;
  readonly vote: Vote;
  /**
   * Term of the last entry, or of the one before the first when there is none: known also when that entry is lost. Undefined
   * after a version that did not write it, until the next write.
   */
  readonly lastTerm: Term | undefined;
  /** Ascending; the first covers the first entry, the last the one to come. */
  readonly runs: readonly EpochRun[];
  /** The next epoch: no key was ever made under it, or only by a write that never held. */
  readonly nextEpoch: number;
}

/** The form that is written. The first had no `lastTerm`. */
const FORM = 2;

/** Encodes it: less than a value may have. */
export function encodeKvMeta(meta: KvMeta): Uint8Array {
  const { vote, runs } = meta;
  return encodeText({
    form: FORM,
    ...meta,
    vote: [vote.term, vote.votedFor ?? null],
    runs: runs.map(({ from, epoch }) => [from, epoch]),
  });
}

/**
 * Decodes it.
 *
 * @throws {CorruptionError} When it is damaged.
 * @throws {StorageError} When a newer version wrote it.
 */
export function decodeKvMeta(bytes: Uint8Array, location: string): KvMeta {
  const fields = decodeText(bytes);
  if (fields === undefined) throw new CorruptionError(location, 0, "the checksum of its meta is wrong");
  const { form, vote, runs, ...rest } = fields;
  if (form !== FORM && form !== 1) {
    throw new StorageError(
      `Cannot open "${location}" as its meta has the form ${form}, and ${FORM} is the newest known one: upgrade this server`,
      "open",
    );
  }
  const [term, votedFor] = vote as [number, string | null];
  return {
    ...rest as unknown as KvMeta,
    vote: { term, votedFor: votedFor ?? undefined },
    runs: (runs as [number, number][]).map(([from, epoch]) => ({ from, epoch })),
  };
}

/** The runs that matter to a log that begins at `firstIndex` and goes on at `end`: one at least. */
export function runsTo(runs: readonly EpochRun[], firstIndex: LogIndex, end: LogIndex): EpochRun[] {
  const begun = runs.filter(({ from }) => from <= end);
  return begun.filter((_, i) => i + 1 >= begun.length || begun[i + 1].from > firstIndex);
}
