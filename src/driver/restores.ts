/**
 * Restores on their way through the log: parts, one after another, then their end, all by one leader in one term. Whether an
 * end is right follows from the entries before it alone, so every server finds the same.
 *
 * @module
 */
import { AbortedByRestoreError, DamagedEntryError, StorageError } from "../errors.ts";
import type { StateMachine } from "../machine.ts";
import { mark } from "../marks.ts";
import { EntryType, type LogIndex, type Term } from "../types.ts";
import type { Records } from "../wire/record.ts";
import { decodeRestoreEntry } from "../wire/restore_codec.ts";
import type { Applied } from "./applier.ts";

/** A restore whose parts are in the log. */
export interface LoggedRestore {
  readonly id: number;
  readonly term: Term;
  /** The entry with its first part. */
  readonly from: LogIndex;
  /** Parts so far. */
  count: number;
}

/** What follows from an entry: the machine is to be restored, or it is applied with that. */
export type RestoreVerdict = { readonly restore: LoggedRestore } | { readonly applied: Applied };

/** The restore that is open where the log is applied. */
export class Restores {
  #open: LoggedRestore | undefined;
  /** The one whose end was reached: the machine is restored from its parts now. */
  #ended: LoggedRestore | undefined;

  /**
   * Whether the machine's state is not all there is to know at this entry: the parts before it are needed, so no snapshot may
   * take their place. An open one ends with its end, with another, or with the next leader.
   */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** The first part that may still be read; undefined when none is. */
  get neededFrom(): LogIndex | undefined {
    return (this.#ended ?? this.#open)?.from;
  }

  /** An entry of this term is applied. */
  onTerm(term: Term): void {
    if (this.#open !== undefined && this.#open.term !== term) this.#open = undefined;
  }

  /** A snapshot took the place of what was before. */
  forget(): void {
    this.#open = undefined;
  }

  /** The machine is restored. */
  onRestored(): void {
    this.#ended = undefined;
  }

  /** This entry, which is of type `restore`, is applied. */
  onEntry(records: Records, index: LogIndex): RestoreVerdict {
    const entry = decodeRestoreEntry(records.payload(index));
    const term = records.term(index);
    if (entry?.kind === "part" && entry.sequence === 0) this.#open = { id: entry.id, term, from: index, count: 0 };
    const open = this.#open;
    const isNext = entry !== undefined && open?.id === entry.id && open.count === entry.sequence;
    if (entry?.kind === "part") {
      if (isNext) open!.count++;
      return { applied: { ok: true, value: isNext } };
    }
    if (entry?.kind === "given-up" && open?.id === entry.id) this.#open = undefined;
    if (entry?.kind !== "end") return { applied: { ok: true, value: undefined } };
    if (!isNext) return { applied: { ok: false, error: notRestored(index, term) } };
    this.#open = undefined;
    return { restore: this.#ended = open! };
  }
}

function notRestored(index: LogIndex, term: Term): AbortedByRestoreError {
  mark("restore-overtaken");
  const message = `Cannot restore as of entry ${index} as another restore came between its parts`;
  return new AbortedByRestoreError(message, { outcome: "not-applied", index, term });
}

/**
 * Restores a machine from the log: what of it the disk could not give, where that is why it is not restored.
 *
 * @throws {StorageError} The machine can't be restored.
 */
export async function restoreFrom(
  machine: Pick<StateMachine<never, unknown>, "restore">,
  restore: LoggedRestore,
  end: LogIndex,
  recordsAt: (index: LogIndex) => Promise<Records>,
): Promise<DamagedEntryError | undefined> {
  let damage: DamagedEntryError | undefined;
  const read = async (index: LogIndex) => {
    try {
      return await recordsAt(index);
    } catch (error) {
      if (error instanceof DamagedEntryError) damage = error;
      throw error;
    }
  };
  try {
    if (machine.restore === undefined) throw new Error("the machine has no restore()");
    await machine.restore(bytesOf(restore, end, read));
  } catch (cause) {
    if (damage !== undefined) return damage;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `Cannot restore the machine from the entries ${restore.from} to ${end}: ${reason}`;
    throw new StorageError(message, "restore", cause);
  }
  return damage;
}

/** The bytes of a restore out of the log, read when they are asked for. */
export function bytesOf(
  { id, from }: LoggedRestore,
  end: LogIndex,
  recordsAt: (index: LogIndex) => Records | Promise<Records>,
): ReadableStream<Uint8Array> {
  let at = from;
  let sequence = 0;
  let records: Records | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      while (at < end) {
        if (records === undefined || at >= records.end) records = await recordsAt(at);
        const index = at++;
        if (records.type(index) !== EntryType.restore) continue;
        const entry = decodeRestoreEntry(records.payload(index));
        if (entry?.kind !== "part" || entry.id !== id || entry.sequence !== sequence) continue;
        sequence++;
        // A copy: what the machine keeps or changes must not be the log.
        if (entry.bytes.length > 0) return controller.enqueue(entry.bytes.slice());
      }
      controller.close();
    },
  }, { highWaterMark: 0 });
}
