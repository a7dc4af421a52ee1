/**
 * A log and a vote in a key-value database.
 *
 * One key, the meta, says what holds: identity, vote, and which entries there are. Every write is an atomic operation
 * that checks the meta's version and sets the meta; entries under other keys mean nothing until it does. A write that is
 * too large for one operation puts its entries under keys that mean nothing yet and then sets the meta; when it also
 * truncates, these are keys of another epoch, so that what it replaces is there until then.
 *
 * The check also fences: a start sets the meta, so whoever had the database open before fails at its next write.
 *
 * Keys that mean nothing any more are removed afterwards, in several operations if need be; a start removes what a crash
 * left of them.
 *
 * An entry that the meta says there is was durable: one that is missing or has a wrong checksum is damaged, and may be
 * written anew under the same keys. There is no tail to cut, as the meta is set together with the last of a write's entries.
 *
 * @module
 */
import { addDamage, damageFrom } from "../../damage.ts";
import { DamagedEntryError, EntryNotFoundError, type RaftError, StorageError, StoreLockedError } from "../../errors.ts";
import type { LogIndex, Term } from "../../types.ts";
import type { Records } from "../../wire/record.ts";
import { failureOf } from "../failure.ts";
import type { Store, StoreState, StoreWrite } from "../store.ts";
import { boundsAfter, checkCluster, type LogBounds } from "../write_check.ts";
import { bytesOf, groupsOf, type Kv, type KvChange, type KvKey, VALUE_BYTES_MAX, withChanges } from "./kv.ts";
import { contentAfter, type KvContent, LogScan } from "./kv_content.ts";
import { inspected, LogKeys, wholeOf } from "./kv_entries.ts";
import { decodeKvMeta, encodeKvMeta, type KvMeta, runsTo } from "./kv_meta.ts";

/** What {@linkcode kvLog} takes. */
export interface KvLogOptions {
  /** What all keys begin with. */
  readonly prefix: KvKey;
  /** Whether `close` closes the database. */
  readonly closes: boolean;
  /** Makes the incarnation. @default {crypto.randomUUID} */
  readonly random?: () => string;
  /** False when the database is in memory. @default {true} */
  readonly isDurable?: boolean;
  /** Called with the duration in milliseconds of every operation that made a write durable. */
  readonly onSync?: ((ms: number) => void) | undefined;
}

/** More runs than that would not fit into the meta: a truncation that needs one more is then a write of its own. */
const RUNS_MAX = 64;

const SWEPT_AT_ONCE = 500;

const INDEX_MAX = Number.MAX_SAFE_INTEGER;

/** A store under keys that it has for itself. Nothing is touched before `open`. */
export function kvLog(kv: Kv, options: KvLogOptions): Store {
  return new KvStore(kv, options);
}

class KvStore implements Store {
  readonly isDurable: boolean;
  readonly #kv: Kv;
  readonly #options: KvLogOptions;
  readonly #keys: LogKeys;
  readonly #metaKey: KvKey;
  readonly #location: string;
  #phase: "new" | "open" | "closed" = "new";
  #opening: Promise<StoreState> | undefined;
  #closing: Promise<void> | undefined;
  #failure: RaftError | undefined;
  /** Settles when what changes the database does; never rejects. */
  #busy: Promise<unknown> = Promise.resolve();
  /** Removal of what was compacted away. Never rejects. */
  #sweeping: Promise<unknown> = Promise.resolve();
  #meta!: KvMeta;
  #content!: KvContent;
  #versionstamp: string | null = null;
  /** Counts beginnings and ends of truncations: a read during one may have seen both sides of it. */
  #truncations = 0;

  constructor(kv: Kv, options: KvLogOptions) {
    this.#kv = kv;
    this.#options = options;
    this.isDurable = options.isDurable ?? true;
    this.#keys = new LogKeys(options.prefix);
    this.#metaKey = [...options.prefix, "meta"];
    this.#location = `key-value database, ${options.prefix.join("/")}`;
  }

  open(serverId: string): Promise<StoreState> {
    if (this.#phase !== "new" || this.#opening !== undefined) {
      return Promise.reject(new StorageError(`Cannot open the ${this.#location} twice: make another store`, "open"));
    }
    return this.#opening = this.#open(serverId).catch((cause) => {
      this.#phase = "closed";
      if (this.#options.closes) this.#kv.close();
      throw this.#errorOf("open", cause);
    });
  }

  write(write: StoreWrite): Promise<void> {
    return this.#exclusively(async () => {
      const before = this.#meta;
      const bounds = boundsAfter(write, before);
      checkCluster(write, before.clusterId);
      const isTruncated = write.truncateFrom !== undefined && write.truncateFrom <= before.lastIndex;
      const content = contentAfter(this.#content, write, bounds);
      try {
        await this.#publish(write, { ...before, ...bounds, lastTerm: lastTermOf(content, bounds) });
      } catch (cause) {
        throw this.#failure = this.#errorOf("write", cause);
      }
      this.#content = content;
      // It holds. What it replaced is in nobody's way, so it does no harm if that can't be removed now.
      if (isTruncated) await this.#sweepTruncated(before).catch(() => {});
      if (bounds.firstIndex > before.firstIndex) this.#sweepCompacted(before);
    });
  }

  async read(from: LogIndex, end: LogIndex, bytesMax: number): Promise<Records[]> {
    for (let looks = 1;; looks++) {
      if (this.#phase !== "open") throw this.#notOpen("read");
      if (this.#isTruncating) await this.#busy;
      const { firstIndex, lastIndex } = this.#meta;
      if (!(from >= firstIndex && from <= lastIndex && end > from)) {
        throw new EntryNotFoundError(from, firstIndex, lastIndex);
      }
      const hole = damageFrom(this.#content.damaged, from);
      if (hole !== undefined && hole.from <= from) {
        throw new DamagedEntryError(from, hole.file, hole.offset, hole.detail);
      }
      const before = this.#truncations;
      const limit = Math.min(end, lastIndex + 1, hole?.from ?? Infinity);
      const parts = await this.#collect(from, limit, bytesMax).catch((cause) => {
        throw this.#errorOf("read", cause);
      });
      if (this.#truncations !== before) continue;
      const records = wholeOf(parts, from, this.#file);
      if (records !== undefined) return [records];
      // It may have been compacted away meanwhile; and it is looked at once more before it is given up.
      if (from >= this.#meta.firstIndex && looks > 1) this.#noteDamage(from, parts[0]);
    }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #open(serverId: string): Promise<StoreState> {
    const found = await this.#kv.get(this.#metaKey);
    const before = found.versionstamp === null
      ? await this.#fresh(serverId)
      : decodeKvMeta(bytesOf(found) ?? new Uint8Array(0), this.#location);
    if (before.serverId !== serverId) {
      throw new StorageError(
        `Cannot open the ${this.#location} for server "${serverId}" as it belongs to server "${before.serverId}": ` +
          `use another prefix`,
        "open",
      );
    }
    this.#versionstamp = found.versionstamp;
    this.#meta = before;
    // From here on whoever had it open before can't write any more.
    await this.#commit([], { ...before, starts: before.starts + 1 });
    const state = await this.#scan();
    this.#phase = "open";
    return state;
  }

  /** The meta of a log that has never been. */
  async #fresh(serverId: string): Promise<KvMeta> {
    for await (const { key } of this.#kv.list({ start: this.#keys.epoch(0), end: this.#keys.epoch(INDEX_MAX) })) {
      throw new StorageError(
        `Cannot make a log in the ${this.#location} as "${key.join("/")}" is in it, but no log: use another prefix`,
        "open",
      );
    }
    return {
      ...{ serverId, incarnation: (this.#options.random ?? (() => crypto.randomUUID()))(), clusterId: "", starts: 0 },
      ...{ vote: { term: 0, votedFor: undefined }, firstIndex: 1, prevTerm: 0, lastIndex: 0, lastTerm: 0 },
      ...{ runs: [{ from: 1, epoch: 0 }], nextEpoch: 1 },
    };
  }

  /** The entry will have to be repaired: the next look at it fails. */
  #noteDamage(index: LogIndex, bytes: Uint8Array | undefined): void {
    const detail = bytes === undefined ? "it is missing" : inspected(bytes, index, this.#file).detail ?? "";
    const damage = { from: index, end: index + 1, isTermKnown: true, file: this.#file, offset: index, detail };
    this.#content = { ...this.#content, damaged: addDamage(this.#content.damaged, damage) };
  }

  /** Verifies all entries, and removes what a crash left over. */
  async #scan(): Promise<StoreState> {
    let [scan, left] = await this.#look();
    // Once more, before it is believed.
    if (scan.damaged.length > 0) [scan, left] = await this.#look();
    const { vote, firstIndex, prevTerm, lastIndex, runs, clusterId, serverId, incarnation, starts } = this.#meta;
    for (const group of groupsOf(left, 0)) if (group.length > 0) await this.#change(group);
    await this.#sweep(this.#keys.epoch(0), this.#keys.epoch(runs[0].epoch));
    for (const [i, { from, epoch }] of runs.entries()) {
      await this.#sweep(this.#keys.epoch(epoch), this.#keys.entry(epoch, Math.max(from, firstIndex)));
      const end = this.#keys.entry(epoch, Math.min(runs[i + 1]?.from ?? Infinity, lastIndex + 1));
      await this.#sweep(end, this.#keys.epoch(runs[i + 1]?.epoch ?? INDEX_MAX));
    }
    const { terms, damaged, configurations, lastTimeMs } = scan;
    this.#content = { terms, damaged };
    const state = { vote, firstIndex, prevTerm, lastIndex, terms, configurations, damaged, lastTimeMs };
    return { ...state, identity: { clusterId, serverId, incarnation, starts } };
  }

  /** Reads all entries; gives the keys that are left over beside them, too. */
  async #look(): Promise<[scan: LogScan, left: KvChange[]]> {
    const { firstIndex, lastIndex, runs } = this.#meta;
    const scan = new LogScan(this.#meta, this.#file);
    const left: KvChange[] = [];
    for (const [i, { from, epoch }] of runs.entries()) {
      const end = Math.min(runs[i + 1]?.from ?? Infinity, lastIndex + 1);
      for await (
        const { index, bytes, left: key } of this.#keys.list(this.#kv, epoch, Math.max(from, firstIndex), end)
      ) {
        if (key === undefined) scan.add(index, bytes);
        else left.push({ key, value: undefined });
      }
    }
    scan.end();
    return [scan, left];
  }

  /** Makes a write durable: in one operation, or in several of which the last counts. */
  async #publish(write: StoreWrite, next: KvMeta): Promise<void> {
    const { vote, clusterId, records, truncateFrom } = write;
    const start = performance.now();
    const before = this.#meta;
    const end = next.lastIndex + 1 - records.reduce((sum, { count }) => sum + count, 0);
    const runs = runsTo(before.runs, next.firstIndex, end);
    const meta: KvMeta = { ...next, vote: vote ?? next.vote, clusterId: clusterId ?? next.clusterId, runs };
    const isTruncated = truncateFrom !== undefined && truncateFrom <= before.lastIndex;
    if (isTruncated) this.#truncations++;
    const repairs = this.#keys.changesOf(write.repairs ?? [], runs);
    const groups = this.#groupsOf(repairs, records, runs);
    if (groups.length === 1 || !isTruncated) await this.#stage(groups, meta);
    else if (runs.length < RUNS_MAX) {
      const begun = [...runs.filter(({ from }) => from < end), { from: end, epoch: meta.nextEpoch }];
      const moved = { ...meta, runs: runsTo(begun, next.firstIndex, end), nextEpoch: meta.nextEpoch + 1 };
      await this.#stage(this.#groupsOf(repairs, records, moved.runs), moved);
    } else {
      const cut = { records: [], truncateFrom };
      const bounds = boundsAfter(cut, before);
      const lastTerm = lastTermOf(contentAfter(this.#content, cut, bounds), bounds);
      await this.#commit([], { ...before, ...bounds, lastTerm });
      await this.#stage(groups, meta);
    }
    if (isTruncated) this.#truncations++;
    this.#options.onSync?.(performance.now() - start);
  }

  /** Operations that set these entries, after those that are repaired, which are what they were. */
  #groupsOf(repairs: readonly KvChange[], records: readonly Records[], runs: KvMeta["runs"]): KvChange[][] {
    return groupsOf([...repairs, ...this.#keys.changesOf(records, runs)], VALUE_BYTES_MAX);
  }

  /** Sets entries under keys that mean nothing before the last operation, or mean the same after it. */
  async #stage(groups: readonly KvChange[][], meta: KvMeta): Promise<void> {
    for (const group of groups.slice(0, -1)) await this.#change(group);
    await this.#commit(groups[groups.length - 1], meta);
  }

  /** Changes keys that mean nothing. */
  async #change(changes: readonly KvChange[]): Promise<void> {
    const atomic = this.#kv.atomic().check({ key: this.#metaKey, versionstamp: this.#versionstamp });
    const { ok } = await withChanges(atomic, changes).commit();
    if (!ok) throw this.#fenced();
  }

  async #commit(changes: readonly KvChange[], meta: KvMeta): Promise<void> {
    const atomic = this.#kv.atomic().check({ key: this.#metaKey, versionstamp: this.#versionstamp });
    const { ok, versionstamp } = await withChanges(atomic, changes).set(this.#metaKey, encodeKvMeta(meta)).commit();
    if (!ok) throw this.#fenced();
    this.#versionstamp = versionstamp!;
    this.#meta = meta;
  }

  /** The records of entries that follow one another, not verified; none when the first is missing. */
  async #collect(from: LogIndex, end: LogIndex, bytesMax: number): Promise<Uint8Array[]> {
    const { runs } = this.#meta;
    const parts: Uint8Array[] = [];
    let [next, length] = [from, 0];
    for (const [i, { epoch }] of runs.entries()) {
      const runEnd = Math.min(end, runs[i + 1]?.from ?? Infinity);
      if (next >= runEnd) continue;
      for await (const { index, bytes } of this.#keys.list(this.#kv, epoch, next, runEnd)) {
        if (bytes === undefined) continue;
        if (index !== next || (parts.length > 0 && length + bytes.length > bytesMax)) return parts;
        parts.push(bytes);
        length += bytes.length;
        next++;
      }
    }
    return parts;
  }

  /** Removes what a truncation replaced. */
  async #sweepTruncated({ runs }: KvMeta): Promise<void> {
    const { lastIndex, runs: kept } = this.#meta;
    for (const { epoch } of runs) {
      if (kept.some((run) => run.epoch === epoch)) continue;
      await this.#sweep(this.#keys.epoch(epoch), this.#keys.epoch(epoch + 1));
    }
    for (const [i, { epoch }] of kept.entries()) {
      const end = Math.min(kept[i + 1]?.from ?? Infinity, lastIndex + 1);
      await this.#sweep(this.#keys.entry(epoch, end), this.#keys.epoch(epoch + 1));
    }
  }

  /**
   * Removes what was compacted away, beside writes: nothing is ever written there again, whoever has the database, so
   * this needs no check.
   */
  #sweepCompacted({ runs }: KvMeta): void {
    const { firstIndex, runs: kept } = this.#meta;
    const sweep = async () => {
      for (const { epoch } of runs) {
        const isKept = kept.some((run) => run.epoch === epoch);
        const end = isKept ? this.#keys.entry(epoch, firstIndex) : this.#keys.epoch(epoch + 1);
        await this.#sweep(this.#keys.epoch(epoch), end, false);
      }
    };
    this.#sweeping = this.#sweeping.then(sweep).catch(() => {});
  }

  /** Removes the keys of a range. */
  async #sweep(start: KvKey, end: KvKey, isChecked = true): Promise<void> {
    let keys: KvChange[] = [];
    const remove = async () => {
      for (const group of groupsOf(keys, 0)) {
        if (isChecked) await this.#change(group);
        else await withChanges(this.#kv.atomic(), group).commit();
      }
      keys = [];
    };
    for await (const { key } of this.#kv.list({ start, end })) {
      keys.push({ key: key as KvKey, value: undefined });
      if (keys.length >= SWEPT_AT_ONCE) await remove();
    }
    if (keys.length > 0) await remove();
  }

  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(() => {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#phase !== "open") throw this.#notOpen("write");
      return task();
    });
    this.#busy = done.catch(() => {});
    return done;
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {});
    await this.#busy;
    await this.#sweeping;
    const isOpen = this.#phase === "open";
    this.#phase = "closed";
    if ((isOpen || this.#opening === undefined) && this.#options.closes) this.#kv.close();
  }

  /** Whether a truncation is under way; also after one that failed. */
  get #isTruncating(): boolean {
    return this.#truncations % 2 === 1;
  }

  /** How errors name where entries are; the offset is the index. */
  get #file(): string {
    return `${this.#location}, log`;
  }

  #fenced(): StorageError {
    return new StoreLockedError(this.#location);
  }

  #errorOf(operation: string, cause: unknown): RaftError {
    return failureOf(operation, `the ${this.#location}`, cause);
  }

  #notOpen(operation: string): StorageError {
    return new StorageError(`Cannot ${operation} as the ${this.#location} is not open`, operation);
  }
}

function lastTermOf({ terms }: KvContent, { prevTerm }: LogBounds): Term {
  return terms[terms.length - 1]?.term ?? prevTerm;
}
