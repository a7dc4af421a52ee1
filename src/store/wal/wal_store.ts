/**
 * The write-ahead log: a store on files that survives a crash at any moment.
 *
 * The log is a chain of batches (src/wire/batch.ts) in segments: files that are only ever appended to. A write is one
 * batch, written and synced in one operation; removing entries is a note in a batch, and so is writing damaged ones anew.
 * What is on disk is therefore never changed, and recovery (recovery.ts) has only to find where the chain ends and what
 * of it is damaged.
 *
 * @module
 */
import { isWhole, shown } from "../../checks.ts";
import { addDamage, damageFrom } from "../../damage.ts";
import { DamagedEntryError, EntryNotFoundError, RaftError, StorageError, StorageFullError } from "../../errors.ts";
import type { Identity, LogIndex } from "../../types.ts";
import { REPAIRS_MAX } from "../../wire/batch.ts";
import type { Records } from "../../wire/record.ts";
import type { Files } from "../files.ts";
import type { Damage, Store, StoreState, StoreWrite } from "../store.ts";
import { boundsAfter, checkCluster } from "../write_check.ts";
import { type BatchContent, LogWriter } from "./log_writer.ts";
import { recover } from "./recovery.ts";
import { segmentOf } from "./segment.ts";
import { isFull, UNFINISHED_NAME } from "./segment_file.ts";
import { sequenceOfName } from "./segment_header.ts";
import { readEntries } from "./segment_reader.ts";

/** What {@linkcode walStore} takes. */
export interface WalOptions {
  /**
   * Size of a segment, in bytes. The log is deleted by whole segments; each is filled with zeros before it is used.
   *
   * @default {67108864}
   */
  readonly segmentBytes?: number;
  /** Makes incarnation and salt; at most 64 characters that nobody can guess. @default {crypto.randomUUID} */
  readonly random?: () => string;
  /** Milliseconds of a clock that never goes back, for `onSync`. @default {performance.now} */
  readonly now?: () => number;
  /** Called with the duration in milliseconds of every write, sync included. */
  readonly onSync?: ((ms: number) => void) | undefined;
}

const SEGMENT_BYTES_MIN = 4_096;

/** With the oversize and a batch of 2 GiB on top, offsets still fit into 32 bits. */
const SEGMENT_BYTES_MAX = 512 << 20;

/** A store over a directory of files, which it has for itself. Nothing is touched before `open`. */
export function walStore(files: Files, options: WalOptions = {}): Store {
  return new WalStore(files, options);
}

class WalStore implements Store {
  readonly #files: Files;
  readonly #segmentBytes: number;
  readonly #random: () => string;
  readonly #now: () => number;
  readonly #onSync: ((ms: number) => void) | undefined;
  #phase: "new" | "open" | "closed" = "new";
  #opening: Promise<StoreState> | undefined;
  #closing: Promise<void> | undefined;
  #lock: { release(): Promise<void> } | undefined;
  /** Why no write is taken any more. */
  #failure: StorageError | undefined;
  /** Settles when the write under way does; never rejects. */
  #busy: Promise<void> | undefined;
  #log!: LogWriter;

  constructor(files: Files, options: WalOptions) {
    const { segmentBytes = 64 << 20 } = options;
    if (!(isWhole(segmentBytes) && segmentBytes >= SEGMENT_BYTES_MIN && segmentBytes <= SEGMENT_BYTES_MAX)) {
      const range = `${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}`;
      throw new RangeError(`Cannot make segments of ${shown(segmentBytes)} bytes: use ${range}`);
    }
    this.#files = files;
    this.#segmentBytes = segmentBytes;
    this.#random = options.random ?? (() => crypto.randomUUID());
    this.#now = options.now ?? (() => performance.now());
    this.#onSync = options.onSync;
  }

  open(serverId: string): Promise<StoreState> {
    if (this.#phase !== "new" || this.#opening !== undefined) {
      const error = new StorageError(`Cannot open "${this.#files.location}" twice: make another store`, "open");
      return Promise.reject(error);
    }
    return this.#opening = this.#open(serverId).catch(async (cause) => {
      this.#phase = "closed";
      await this.#log?.close(false);
      await this.#lock?.release();
      if (cause instanceof RaftError) throw cause;
      if (isFull(cause)) throw new StorageFullError(this.#files.location);
      throw new StorageError(`Cannot open "${this.#files.location}": ${messageOf(cause)}`, "open", cause);
    });
  }

  write(write: StoreWrite): Promise<void> {
    return this.#exclusively(async () => {
      boundsAfter(write, this.#log.state);
      checkCluster(write, this.#log.state.clusterId);
      let repairs = write.repairs ?? [];
      // More than one batch has room for. They change nothing that anybody could miss the rest of.
      for (; repairs.length > REPAIRS_MAX; repairs = repairs.slice(REPAIRS_MAX)) {
        const part = repairs.slice(0, REPAIRS_MAX);
        await this.#append({ repairs: part.filter(({ end }) => end <= this.#log.state.lastIndex + 1) });
      }
      await this.#append({ ...write, repairs });
    });
  }

  mark(): Promise<void> | undefined {
    if (this.#phase !== "open" || this.#log.isMarked || this.#failure !== undefined) return undefined;
    return this.#exclusively(async () => {
      if (this.#log.isMarked) return;
      await this.#append({});
      this.#log.isMarked = true;
    });
  }

  async read(from: LogIndex, end: LogIndex, bytesMax: number): Promise<Records[]> {
    if (this.#phase !== "open") throw this.#notOpen("read");
    const { state, segments, repairs } = this.#log;
    const { firstIndex, lastIndex, damaged } = state;
    if (!(from >= firstIndex && from <= lastIndex && end > from)) {
      throw new EntryNotFoundError(from, firstIndex, lastIndex);
    }
    const hole = damageFrom(damaged, from);
    if (hole !== undefined && hole.from <= from) {
      throw new DamagedEntryError(from, hole.file, hole.offset, hole.detail);
    }
    const repaired = repairs.find(from);
    const place = repaired === undefined
      ? segmentOf(segments, from)
      : { entries: repaired.entries, name: repaired.segment.name };
    const limit = Math.min(end, hole?.from ?? Infinity, repairs.nextFrom(from));
    try {
      return [await readEntries(this.#files, place, from, limit, bytesMax)];
    } catch (error) {
      // Its file may have been removed meanwhile, or its place changed.
      if (from < state.firstIndex) throw new EntryNotFoundError(from, state.firstIndex, state.lastIndex);
      if (repairs.find(from) !== repaired) return await this.read(from, end, bytesMax);
      if (error instanceof DamagedEntryError) this.#noteDamage(error);
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #open(serverId: string): Promise<StoreState> {
    const files = this.#files;
    await files.ensure();
    await refuseForeign(files);
    this.#lock = await files.lock();
    // Again, now that nobody else changes it.
    await refuseForeign(files);
    const recovered = await recover(files, serverId);
    const { incarnation = this.#random(), salt = this.#random() } = recovered.header ?? {};
    const options = { segmentBytes: this.#segmentBytes, now: this.#now, onSync: this.#onSync };
    this.#log = new LogWriter(files, options, { serverId, incarnation, salt });
    await this.#log.start(recovered);
    this.#phase = "open";
    const { state } = this.#log;
    const { firstIndex, prevTerm, lastIndex, vote, configurations, damaged, clusterId, starts } = state;
    const identity: Identity = { clusterId, serverId, incarnation, starts };
    const lastTimeMs = await this.#lastTimeMs();
    const bounds = { firstIndex, prevTerm, lastIndex };
    return { vote, ...bounds, terms: [...state.terms], configurations, damaged, lastTimeMs, identity };
  }

  /** The time of the last entry that can be read. */
  async #lastTimeMs(): Promise<number> {
    const { state } = this.#log;
    for (let index = state.lastIndex; index >= state.firstIndex; index--) {
      const hole = damageFrom(state.damaged, index);
      if (hole !== undefined && hole.from <= index) {
        index = hole.from;
        continue;
      }
      const [records] = await this.read(index, index + 1, 0);
      return records.timeMs(index);
    }
    return 0;
  }

  /** The entry will have to be repaired, unless it is gone by now. */
  #noteDamage({ index, file, offset, message }: DamagedEntryError): void {
    const { state } = this.#log;
    if (index > state.lastIndex) return;
    const damage: Damage = { from: index, end: index + 1, isTermKnown: true, file, offset, detail: message };
    state.damaged = addDamage(state.damaged, damage);
  }

  /** Writes a batch; an error is the end of this store, unless there was no room. */
  async #append(content: BatchContent): Promise<void> {
    try {
      await this.#log.append(content);
    } catch (cause) {
      if (cause instanceof StorageFullError) throw cause;
      throw this.#fail("write", cause);
    }
  }

  /** Runs tasks that write one after the other, in the order of the calls. */
  async #exclusively(task: () => Promise<void>): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#phase !== "open") throw this.#notOpen("write");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#busy = promise;
    try {
      await task();
    } finally {
      this.#busy = undefined;
      resolve();
    }
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {});
    // A failing mark costs nothing but the mark.
    await this.mark()?.catch(() => {});
    while (this.#busy !== undefined) await this.#busy;
    if (this.#phase !== "open") return;
    this.#phase = "closed";
    await this.#log.close(this.#failure === undefined);
    await this.#lock?.release();
  }

  /** What failed once, and again in a new file, is not tried any more. */
  #fail(operation: string, cause: unknown): StorageError {
    const { location } = this.#files;
    const message = `Cannot ${operation} to "${location}": ${messageOf(cause)}: see to the disk, then restart`;
    return this.#failure ??= new StorageError(message, operation, cause);
  }

  #notOpen(operation: string): StorageError {
    return new StorageError(`Cannot ${operation} as "${this.#files.location}" is not open`, operation);
  }
}

/** Refuses a directory that holds something, but no log. */
async function refuseForeign(files: Files): Promise<void> {
  const names = await files.list();
  if (names.some((name) => sequenceOfName(name) !== undefined)) return;
  const foreign = names.find((name) => name !== UNFINISHED_NAME);
  if (foreign === undefined) return;
  throw new StorageError(
    `Cannot make a log in "${files.location}" as "${foreign}" is in it, but no log: use an empty directory`,
    "open",
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
