/**
 * A key-value database in memory that refuses what Deno KV refuses, and can be made to fail.
 *
 * @module
 */
import type { Kv, KvAtomic, KvChange, KvEntry, KvKey } from "../store/kv/kv.ts";

/** Cuts off whoever uses a database, after so many operations. */
export class KvSwitch {
  /** Operations that were asked for so far. */
  operationCount = 0;
  /** Operations that are done before everything fails. */
  operationsLeft: number = Infinity;
  #life = 0;

  /** A user of the database. A user from before is dead. */
  user(kv: Kv): Kv {
    const life = ++this.#life;
    this.operationsLeft = Infinity;
    const isAlive = (): boolean => life === this.#life;
    const pass = (): boolean => {
      this.operationCount++;
      if (!isAlive() || this.operationsLeft <= 0) return false;
      this.operationsLeft--;
      return true;
    };
    const halt = (): Error => new Error("The database is gone");
    return {
      get: (key) => pass() ? kv.get(key) : Promise.reject(halt()),
      async *list(range, options) {
        if (!pass()) throw halt();
        for await (const entry of kv.list(range, options)) {
          if (!isAlive()) throw halt();
          yield entry;
        }
      },
      atomic: () => guarded(kv.atomic(), pass, halt),
      close: () => {},
    };
  }
}

function guarded(atomic: KvAtomic, pass: () => boolean, halt: () => Error): KvAtomic {
  const self: KvAtomic = {
    check: (check) => (atomic.check(check), self),
    set: (key, value) => (atomic.set(key, value), self),
    delete: (key) => (atomic.delete(key), self),
    commit: () => pass() ? atomic.commit() : Promise.reject(halt()),
  };
  return self;
}

interface Item {
  readonly key: KvKey;
  readonly value: Uint8Array;
  readonly versionstamp: string;
}

/** The database; it outlives whoever uses it. */
export class MemoryKv implements Kv {
  #items: readonly Item[] = [];
  #version = 0;

  /** How many keys there are. */
  get keyCount(): number {
    return this.#items.length;
  }

  /** All keys, in order. */
  get keys(): readonly KvKey[] {
    return this.#items.map(({ key }) => key);
  }

  /** What is under a key. */
  get(key: KvKey): Promise<KvEntry> {
    const item = this.#items.find((it) => compareKeys(it.key, key) === 0);
    return Promise.resolve(item === undefined ? { key, value: null, versionstamp: null } : copyOf(item));
  }

  /** What is under the keys of a range; in batches, each of one moment. */
  async *list(
    { start, end }: { readonly start: KvKey; readonly end: KvKey },
    { batchSize = 100 }: { readonly batchSize?: number } = {},
  ): AsyncGenerator<KvEntry, void, void> {
    let last: KvKey | undefined;
    for (;;) {
      await Promise.resolve();
      const batch = this.#items.filter(({ key }) =>
        compareKeys(key, start) >= 0 && compareKeys(key, end) < 0 && (last === undefined || compareKeys(key, last) > 0)
      ).slice(0, batchSize);
      for (const item of batch) yield copyOf(item);
      if (batch.length < batchSize) return;
      last = batch[batch.length - 1].key;
    }
  }

  /** Begins an atomic operation. */
  atomic(): KvAtomic {
    const checks: { readonly key: KvKey; readonly versionstamp: string | null }[] = [];
    const changes: KvChange[] = [];
    const self: KvAtomic = {
      check: (check) => (checks.push(check), self),
      set: (key, value) => (changes.push({ key, value: value.slice() }), self),
      delete: (key) => (changes.push({ key, value: undefined }), self),
      commit: () => Promise.resolve().then(() => this.#commit(checks, changes)),
    };
    return self;
  }

  /** Nothing: the database is for the next one, too. */
  close(): void {}

  /** Changes a byte of a value in place. */
  damage(key: KvKey, at: number): void {
    this.#items.find((it) => compareKeys(it.key, key) === 0)!.value[at] ^= 0x10;
  }

  #commit(
    checks: readonly { readonly key: KvKey; readonly versionstamp: string | null }[],
    changes: readonly KvChange[],
  ): { readonly ok: boolean; readonly versionstamp?: string } {
    checkLimits(checks.length, changes);
    for (const { key, versionstamp } of checks) {
      const found = this.#items.find((it) => compareKeys(it.key, key) === 0)?.versionstamp ?? null;
      if (found !== versionstamp) return { ok: false };
    }
    const versionstamp = (++this.#version).toString(16).padStart(20, "0");
    const items = new Map(this.#items.map((item) => [JSON.stringify(item.key), item]));
    for (const { key, value } of changes) {
      if (value === undefined) items.delete(JSON.stringify(key));
      else items.set(JSON.stringify(key), { key, value, versionstamp });
    }
    this.#items = [...items.values()].sort((a, b) => compareKeys(a.key, b.key));
    return { ok: true, versionstamp };
  }
}

/** The limits of Deno KV. */
function checkLimits(checkCount: number, changes: readonly KvChange[]): void {
  const keyBytes = changes.reduce((sum, { key }) => sum + keyBytesOf(key), 0);
  const valueBytes = changes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
  const value = Math.max(0, ...changes.map(({ value }) => value?.length ?? 0));
  if (checkCount > 10) throw new TypeError(`Too many checks: ${checkCount}`);
  if (changes.length > 1_000) throw new TypeError(`Too many mutations: ${changes.length}`);
  if (value > 65_536) throw new TypeError(`Value too large: ${value} bytes`);
  if (keyBytes > 81_920) throw new TypeError(`Total key size too large: ${keyBytes} bytes`);
  if (keyBytes + valueBytes > 819_200) throw new TypeError(`Total mutation size too large: ${valueBytes} bytes`);
}

function keyBytesOf(key: KvKey): number {
  return key.reduce(
    (sum: number, part) => sum + (typeof part === "number" ? 9 : new TextEncoder().encode(part).length + 2),
    0,
  );
}

/** Text comes before numbers, and a key before those that it begins. */
function compareKeys(a: KvKey, b: KvKey): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (x === y) continue;
    if (typeof x !== typeof y) return typeof x === "string" ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

/** As a value read from disk: an array of its own. */
function copyOf({ key, value, versionstamp }: Item): KvEntry {
  return { key, value: value.slice(), versionstamp };
}
