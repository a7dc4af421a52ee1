/**
 * Commands that a machine is given together, and how many of them.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";
import type { ApplyContext, BatchedCommand, BatchedResult, Codec } from "../machine.ts";
import { EntryType, type LogIndex } from "../types.ts";
import { CLIENT_BLOCK_BYTES } from "../wire/client_block.ts";
import { RecordFlag, type Records } from "../wire/record.ts";
import { Room } from "../wire/room.ts";
import type { Applied } from "./applier.ts";

/** No machine is given more at once, so that a slow one is noticed in time. */
const countMax = 1024;

/** A command from its record: a copy, so that nothing the machine does or keeps can touch the log. */
export function commandOf<Command>(
  records: Records,
  index: LogIndex,
  codec: Codec<Command>,
  copies: CopyRoom,
): Command {
  const payload = copies.copy(records.payload(index));
  return (records.flags(index) & RecordFlag.raw) === 0 ? codec.decode(payload) : payload as unknown as Command;
}

/** Copies of commands, small ones beside others. A copy that is kept keeps up to 4 KiB of others alive with it. */
export class CopyRoom {
  // Where a command lies differs from server to server: whether numbers of eight bytes can be read there must not.
  readonly #room = new Room(4096, 1024, 8);

  /** A copy that is the caller's. */
  copy(bytes: Uint8Array): Uint8Array {
    const copy = this.#room.take(bytes.length);
    copy.set(bytes);
    return copy;
  }
}

/** What the command of that record may know besides itself. */
export function contextOf(records: Records, index: LogIndex): ApplyContext {
  const context = { index, term: records.term(index), timeMs: records.timeMs(index) };
  const before = (records.flags(index) & RecordFlag.client) === 0 ? 0 : CLIENT_BLOCK_BYTES;
  if (records.extensionBytes(index) <= before) return context;
  return { ...context, extensions: records.extensions(index).slice(before) };
}

/**
 * The commands from `from` on, up to what no batch can hold: entries of other types, such as can't be decoded, and clients' that may be
 * repeated ones, as what became of an earlier one must be known before the next is looked at.
 */
export function batchOf<Command>(
  records: Records,
  from: LogIndex,
  codec: Codec<Command>,
  copies: CopyRoom,
): BatchedCommand<Command>[] {
  const batch: BatchedCommand<Command>[] = [];
  for (let index = from; index < records.end; index++) {
    const isPlain = records.type(index) === EntryType.command && (records.flags(index) & RecordFlag.client) === 0;
    if (!isPlain) break;
    try {
      const command = commandOf(records, index, codec, copies);
      batch.push({ command, context: contextOf(records, index) });
    } catch {
      // It is its caller's to hear of, when its turn comes.
      break;
    }
  }
  return batch;
}

/**
 * What came of each command of a batch.
 *
 * @throws {InvariantError} When these are not the results of so many commands: nobody knows then what was applied.
 */
export function outcomesOf(results: readonly BatchedResult<unknown>[], count: number): Applied[] {
  const length = Array.isArray(results) ? results.length : undefined;
  if (length !== count) {
    throw new InvariantError(
      `applyBatch() must give ${count} results for as many commands, not ${length ?? typeof results}`,
    );
  }
  return results.map((result, at) => {
    const isOne = typeof result === "object" && result !== null;
    if (isOne && "error" in result) return { ok: false, error: result.error };
    if (isOne && "value" in result) return { ok: true, value: result.value };
    throw new InvariantError(`applyBatch() must give { value } or { error } for each command: number ${at} is neither`);
  });
}

/** How many commands a machine can take in a slice of time, going by those before. */
export class BatchSize {
  readonly #sliceMs: number;
  #count: number;

  /** Begins with so many. */
  constructor(count: number, sliceMs: number) {
    this.#count = count;
    this.#sliceMs = sliceMs;
  }

  /** Commands of the next batch, at most. */
  get count(): number {
    return this.#count;
  }

  /** So many took so long. */
  note(count: number, ms: number): void {
    if (ms > this.#sliceMs / 2) this.#count = Math.max(1, Math.floor(this.#count / 2));
    else if (count === this.#count && ms < this.#sliceMs / 8) this.#count = Math.min(countMax, this.#count * 2);
  }
}
