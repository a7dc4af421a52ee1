/**
 * Snapshots in a key-value database.
 *
 * One key, the directory, lists the complete snapshots and those that are unfinished or to be removed; it changes with a
 * check of its version, so that a store that was opened before fails at its next change. The bytes of a snapshot are in
 * values of 64 KiB under keys with its number, and mean nothing before the directory lists it.
 *
 * @module
 */
import { CorruptionError, SnapshotNotFoundError, StorageError, StoreLockedError } from "../../errors.ts";
import { concatenate } from "../../wire/bytes.ts";
import { crc32c } from "../../wire/crc32c.ts";
import { failureOf } from "../failure.ts";
import { Holds } from "../holds.ts";
import { checkOrigin, checkRange, compareSnapshots, sequenceOf, snapshotId, surplusOf } from "../snapshot_meta.ts";
import { decodeMeta, encodeMeta } from "../snapshot_meta_text.ts";
import { StoredSink } from "../snapshot_sink.ts";
import type { DamagedSnapshot, SnapshotMeta, SnapshotOrigin, SnapshotSink, SnapshotStore } from "../snapshot_store.ts";
import { bytesOf, groupsOf, type Kv, type KvChange, type KvKey, piecesOf, VALUE_BYTES_MAX, withChanges } from "./kv.ts";
import { KvSnapshotMedium } from "./kv_snapshot_medium.ts";
import { decodeText, encodeText } from "./kv_text.ts";

/** What {@linkcode kvSnapshots} takes. */
export interface KvSnapshotsOptions {
  /** What all keys begin with. */
  readonly prefix: KvKey;
  /** Whether `close` closes the database. */
  readonly closes: boolean;
  /** How many snapshots are kept, 1 to 100. @default {2} */
  readonly retain?: number;
  /** False when the database is in memory. @default {true} */
  readonly isDurable?: boolean;
}

/** What the directory says. */
interface Directory {
  /** Ids of complete snapshots. */
  readonly complete: readonly string[];
  /** Numbers of snapshots of which there may be keys that mean nothing. */
  readonly doomed: readonly number[];
  /** The highest number so far. */
  readonly sequence: number;
}

const FORM = 1;
const RETAIN_MAX = 100;

/** Values that a read gets at once, at most. */
const READ_VALUES_MAX = 16;

/** A snapshot store under keys that it has for itself. Nothing is touched before `open`. */
export function kvSnapshots(kv: Kv, options: KvSnapshotsOptions): SnapshotStore {
  return new KvSnapshots(kv, options);
}

class KvSnapshots implements SnapshotStore {
  readonly isDurable: boolean;
  readonly #kv: Kv;
  readonly #options: KvSnapshotsOptions;
  readonly #retain: number;
  readonly #location: string;
  readonly #directoryKey: KvKey;
  readonly #holds = new Holds();
  readonly #metas = new Map<string, SnapshotMeta>();
  readonly #damaged = new Map<string, string>();
  readonly #sinks = new Set<SnapshotSink>();
  #phase: "new" | "open" | "closed" = "new";
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #directory: Directory = { complete: [], doomed: [], sequence: 0 };
  #versionstamp: string | null = null;
  #sequence = 0;
  /** Settles when the last change that was asked for is done; never rejects. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(kv: Kv, options: KvSnapshotsOptions) {
    const { retain = 2, prefix } = options;
    if (!Number.isSafeInteger(retain) || retain < 1 || retain > RETAIN_MAX) {
      throw new RangeError(`Cannot retain ${retain} snapshots: keep 1 to ${RETAIN_MAX}`);
    }
    this.isDurable = options.isDurable ?? true;
    this.#kv = kv;
    this.#options = options;
    this.#retain = retain;
    this.#location = `key-value database, ${prefix.join("/")}`;
    this.#directoryKey = [...prefix, "snapshots"];
  }

  get damaged(): readonly DamagedSnapshot[] {
    return Array.from(this.#damaged, ([id, problem]) => ({ id, problem }));
  }

  open(): Promise<void> {
    if (this.#phase !== "new" || this.#opening !== undefined) {
      const message = `Cannot open the snapshots in the ${this.#location} twice: make another store`;
      return Promise.reject(new StorageError(message, "open"));
    }
    return this.#opening = this.#open().catch((cause) => {
      this.#phase = "closed";
      if (this.#options.closes) this.#kv.close();
      throw failureOf("open", `the snapshots in the ${this.#location}`, cause);
    });
  }

  async create(origin: SnapshotOrigin): Promise<SnapshotSink> {
    this.#checkOpen("create");
    checkOrigin(origin);
    const sequence = ++this.#sequence;
    const id = snapshotId(origin, sequence);
    const errorOf = (operation: string, cause: unknown) => failureOf(operation, this.#nameOf(id), cause);
    // Said before the first byte is there, so that a start finds what a crash leaves.
    await this.#change(() => this.#update(({ doomed }) => ({ doomed: [...doomed, sequence], sequence })))
      .catch((cause) => {
        throw errorOf("create", cause);
      });
    const medium = new KvSnapshotMedium((first, bytes) => this.#change(() => this.#put(sequence, first, bytes)));
    const sink: SnapshotSink = new StoredSink(origin, id, medium, {
      publish: (meta) => this.#change(() => this.#publish(meta, sequence)),
      discard: () => this.#change(() => this.#reap()),
      over: () => this.#sinks.delete(sink),
      errorOf,
    });
    this.#sinks.add(sink);
    return sink;
  }

  // deno-lint-ignore require-await -- so that it rejects rather than throws
  async list(): Promise<readonly SnapshotMeta[]> {
    this.#checkOpen("list");
    return [...this.#metas.values()].sort(compareSnapshots);
  }

  async read(id: string, offset: number, bytesMax: number): Promise<Uint8Array> {
    const { bytes } = this.#find(id, "read");
    checkRange(offset, bytesMax);
    const end = Math.min(bytes, offset + bytesMax);
    if (offset >= end) return new Uint8Array(0);
    try {
      const first = Math.floor(offset / VALUE_BYTES_MAX);
      const last = Math.min(Math.ceil(end / VALUE_BYTES_MAX), first + READ_VALUES_MAX);
      const found = concatenate(await this.#pieces(id, first, last));
      const skipped = offset - first * VALUE_BYTES_MAX;
      const length = Math.min(end, last * VALUE_BYTES_MAX) - offset;
      if (found.length < skipped + length) throw new Error(`bytes from ${offset} on are missing`);
      return found.slice(skipped, skipped + length);
    } catch (cause) {
      if (!this.#metas.has(id)) throw new SnapshotNotFoundError(id);
      throw failureOf("read", this.#nameOf(id), cause);
    }
  }

  async verify(id: string): Promise<boolean> {
    const { bytes, checksum } = this.#find(id, "verify");
    let [at, sum] = [0, 0];
    const count = Math.ceil(bytes / VALUE_BYTES_MAX);
    for (let piece = 0; piece < count; piece += READ_VALUES_MAX) {
      const found = await this.#pieces(id, piece, Math.min(count, piece + READ_VALUES_MAX)).catch((cause) => {
        throw failureOf("verify", this.#nameOf(id), cause);
      });
      for (const part of found) {
        sum = crc32c(part, 0, part.length, sum);
        at += part.length;
      }
    }
    if (at === bytes && sum === checksum) return true;
    if (!this.#metas.delete(id)) throw new SnapshotNotFoundError(id);
    const problem = at === bytes ? `its checksum is ${sum} instead of ${checksum}` : `it has ${at} bytes of ${bytes}`;
    this.#damaged.set(id, problem);
    return false;
  }

  hold(id: string): () => void {
    this.#find(id, "hold");
    return this.#holds.take(id);
  }

  async remove(id: string): Promise<void> {
    this.#checkOpen("remove");
    if (!this.#metas.has(id) && !this.#damaged.has(id)) return;
    await this.#change(() => this.#doom([id])).catch((cause) => {
      throw failureOf("remove", this.#nameOf(id), cause);
    });
    // It is gone for everybody; its bytes are only in the way.
    await this.#change(() => this.#reap()).catch(() => {});
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #open(): Promise<void> {
    const found = await this.#kv.get(this.#directoryKey);
    this.#versionstamp = found.versionstamp;
    if (found.versionstamp !== null) this.#directory = decodeDirectory(bytesOf(found), this.#location);
    // From here on whoever had them open before can't change them any more.
    await this.#update(() => ({}));
    this.#sequence = this.#directory.sequence;
    for (const id of this.#directory.complete) await this.#load(id);
    await this.#reap();
    // Older ones stay until there is a newer one again: those that are kept may turn out to be damaged.
    this.#phase = "open";
  }

  async #load(id: string): Promise<void> {
    const parts: Uint8Array[] = [];
    const [start, end] = [this.#metaKey(sequenceOf(id), 0), this.#metaKey(sequenceOf(id), Infinity)];
    for await (const entry of this.#kv.list({ start, end })) parts.push(bytesOf(entry) ?? new Uint8Array(0));
    const decoded = decodeMeta(concatenate(parts), id);
    if ("meta" in decoded) this.#metas.set(id, decoded.meta);
    else if (decoded.isNewer) {
      throw new StorageError(`Cannot open ${this.#nameOf(id)} as ${decoded.problem}: upgrade this server`, "open");
    } else this.#damaged.set(id, decoded.problem);
  }

  /** Values of a snapshot, those that are there. */
  async #pieces(id: string, first: number, last: number): Promise<Uint8Array[]> {
    const [start, end] = [this.#pieceKey(sequenceOf(id), first), this.#pieceKey(sequenceOf(id), last)];
    const found: Uint8Array[] = [];
    for await (const entry of this.#kv.list({ start, end }, { batchSize: READ_VALUES_MAX })) {
      found.push(bytesOf(entry) ?? new Uint8Array(0));
    }
    return found;
  }

  /** Writes bytes that mean nothing yet. */
  async #put(sequence: number, first: number, bytes: Uint8Array): Promise<void> {
    const changes = piecesOf(bytes).map((value, i) => ({ key: this.#pieceKey(sequence, first + i), value }));
    for (const group of groupsOf(changes, 0)) await this.#apply(group);
  }

  /** Lists a snapshot whose bytes are all there, and lets go of what it replaces. */
  async #publish(meta: SnapshotMeta, sequence: number): Promise<void> {
    this.#checkOpen("close");
    const changes = piecesOf(encodeMeta(meta)).map((value, i) => ({ key: this.#metaKey(sequence, i), value }));
    for (const group of groupsOf(changes, 0)) await this.#apply(group);
    await this.#update(({ complete, doomed }) => ({
      complete: [...complete, meta.id],
      doomed: doomed.filter((it) => it !== sequence),
    }));
    this.#metas.set(meta.id, meta);
    // It is safe by now, whatever becomes of the old ones: the next snapshot or start tries again.
    await this.#letGo().catch(() => {});
  }

  /** Removes the snapshots that are no longer to be kept, and damaged ones that a newer one replaces. */
  async #letGo(): Promise<void> {
    const metas = [...this.#metas.values()];
    const newest = Math.max(0, ...metas.map(({ id }) => sequenceOf(id)));
    const replaced = [...this.#damaged.keys()].filter((id) => sequenceOf(id) < newest);
    const surplus = surplusOf(metas, this.#retain, (id) => this.#holds.has(id)).map(({ id }) => id);
    if (surplus.length + replaced.length === 0) return;
    await this.#doom([...surplus, ...replaced]);
    await this.#reap();
  }

  /** Takes snapshots off the list. */
  async #doom(ids: readonly string[]): Promise<void> {
    await this.#update(({ complete, doomed }) => ({
      complete: complete.filter((id) => !ids.includes(id)),
      doomed: [...doomed, ...ids.filter((id) => complete.includes(id)).map(sequenceOf)],
    }));
    for (const id of ids) {
      this.#metas.delete(id);
      this.#damaged.delete(id);
    }
  }

  /** Removes the keys of all that is neither listed nor being written. */
  async #reap(): Promise<void> {
    const writing = new Set(Array.from(this.#sinks, ({ id }) => sequenceOf(id)));
    const doomed = this.#directory.doomed.filter((sequence) => !writing.has(sequence));
    for (const sequence of doomed) await this.#sweep(sequence);
    if (doomed.length === 0) return;
    await this.#update((directory) => ({ doomed: directory.doomed.filter((it) => !doomed.includes(it)) }));
  }

  async #sweep(sequence: number): Promise<void> {
    const [start, end] = [this.#metaKey(sequence, 0), this.#metaKey(sequence + 1, 0)];
    let keys: KvChange[] = [];
    const remove = async () => {
      for (const group of groupsOf(keys, 0)) await this.#apply(group);
      keys = [];
    };
    for await (const { key } of this.#kv.list({ start, end }, { batchSize: READ_VALUES_MAX })) {
      keys.push({ key: key as KvKey, value: undefined });
      if (keys.length >= 500) await remove();
    }
    if (keys.length > 0) await remove();
  }

  /** Changes the directory. */
  async #update(change: (before: Directory) => Partial<Directory>): Promise<void> {
    const directory = { ...this.#directory, ...change(this.#directory) };
    const value = encodeText({ form: FORM, ...directory });
    const { ok, versionstamp } = await this.#checked().set(this.#directoryKey, value).commit();
    if (!ok) throw new StoreLockedError(this.#location);
    this.#versionstamp = versionstamp!;
    this.#directory = directory;
  }

  /** Changes keys that the directory does not list. */
  async #apply(changes: readonly KvChange[]): Promise<void> {
    const { ok } = await withChanges(this.#checked(), changes).commit();
    if (!ok) throw new StoreLockedError(this.#location);
  }

  #checked() {
    return this.#kv.atomic().check({ key: this.#directoryKey, versionstamp: this.#versionstamp });
  }

  /** Runs tasks that change the database one after the other. */
  #change<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(task);
    this.#changing = done.catch(() => {});
    return done;
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {});
    const isOpen = this.#phase === "open";
    if (isOpen) { for (const sink of this.#sinks) await sink.abort().catch(() => {}); }
    this.#phase = "closed";
    await this.#changing;
    if ((isOpen || this.#opening === undefined) && this.#options.closes) this.#kv.close();
  }

  #find(id: string, operation: string): SnapshotMeta {
    this.#checkOpen(operation);
    const meta = this.#metas.get(id);
    if (meta === undefined) throw new SnapshotNotFoundError(id);
    return meta;
  }

  /** Before all other keys of a snapshot. */
  #metaKey(sequence: number, part: number): KvKey {
    return [...this.#options.prefix, "snapshot", sequence, 0, part];
  }

  #pieceKey(sequence: number, piece: number): KvKey {
    return [...this.#options.prefix, "snapshot", sequence, 1, piece];
  }

  #nameOf(id: string): string {
    return `the snapshot "${id}" in the ${this.#location}`;
  }

  #checkOpen(operation: string): void {
    if (this.#phase === "open") return;
    throw new StorageError(`Cannot ${operation} as the snapshots in the ${this.#location} are not open`, operation);
  }
}

function decodeDirectory(bytes: Uint8Array | undefined, location: string): Directory {
  const fields = decodeText(bytes ?? new Uint8Array(0));
  if (fields === undefined) throw new CorruptionError(location, 0, "the checksum of its list of snapshots is wrong");
  const { form, complete, doomed, sequence } = fields;
  if (form === FORM) return { complete, doomed, sequence } as unknown as Directory;
  throw new StorageError(
    `Cannot open the ${location} as its list of snapshots has the form ${form}, and ${FORM} is the newest known one: ` +
      `upgrade this server`,
    "open",
  );
}
