/**
 * The Kv port: what stores need of a key-value database with versions and atomic operations. `Deno.Kv` is one, and so is
 * what `openKv` of npm's `@deno/kv` gives.
 *
 * @module
 */

/** A key; keys sort part by part, text before numbers. */
export type KvKey = readonly (string | number)[];

/** What is under a key. */
export interface KvEntry {
  /** The key. */
  readonly key: readonly unknown[];
  /** The value; null when there is none. */
  readonly value: unknown;
  /** Changes with every change of the value; null when there is none. */
  readonly versionstamp: string | null;
}

/** Changes that are made together, or not at all when a check fails. */
export interface KvAtomic {
  /** Asks that the key has this version. */
  check(check: { readonly key: KvKey; readonly versionstamp: string | null }): KvAtomic;
  /** Sets a value. */
  set(key: KvKey, value: Uint8Array): KvAtomic;
  /** Removes a key. */
  delete(key: KvKey): KvAtomic;
  /** Makes the changes, durably; `ok` is false when a check failed. */
  commit(): Promise<{ readonly ok: boolean; readonly versionstamp?: string }>;
}

/** The database. */
export interface Kv {
  /** What is under a key. */
  get(key: KvKey): Promise<KvEntry>;
  /** What is under the keys of a range, in order. */
  list(
    range: { readonly start: KvKey; readonly end: KvKey },
    options?: { readonly batchSize?: number },
  ): AsyncIterable<KvEntry>;
  /** Begins an atomic operation. */
  atomic(): KvAtomic;
  /** Closes it. */
  close(): void;
}

/** The most bytes of a value. */
export const VALUE_BYTES_MAX = 65_536;

/** Of the 819,200 bytes that the keys and values of an atomic operation may have. */
const ATOMIC_BYTES_MAX = 800_000;

/** Of the 81,920 bytes that the keys of an atomic operation may have. */
const ATOMIC_KEY_BYTES_MAX = 80_000;

/** Of the 1,000 changes that an atomic operation may make; one more is for the key that says that they hold. */
const ATOMIC_CHANGES_MAX = 990;

/** A change of one key. */
export interface KvChange {
  readonly key: KvKey;
  /** Undefined: the key is removed. */
  readonly value: Uint8Array | undefined;
}

/** Cuts changes into groups that an atomic operation has room for, with so many bytes to spare. One group at least. */
export function groupsOf(changes: readonly KvChange[], spareBytes: number): KvChange[][] {
  const groups: KvChange[][] = [[]];
  let [bytes, keyBytes] = [spareBytes, 0];
  for (const change of changes) {
    const key = keyBytesOf(change.key);
    const size = key + (change.value?.length ?? 0);
    const last = groups[groups.length - 1];
    const isFull = last.length >= ATOMIC_CHANGES_MAX || bytes + size > ATOMIC_BYTES_MAX ||
      keyBytes + key > ATOMIC_KEY_BYTES_MAX;
    if (isFull && last.length > 0) {
      groups.push([]);
      [bytes, keyBytes] = [spareBytes, 0];
    }
    groups[groups.length - 1].push(change);
    bytes += size;
    keyBytes += key;
  }
  return groups;
}

/** Adds changes to an atomic operation. */
export function withChanges(atomic: KvAtomic, changes: readonly KvChange[]): KvAtomic {
  for (const { key, value } of changes) {
    if (value === undefined) atomic.delete(key);
    else atomic.set(key, value);
  }
  return atomic;
}

/** The bytes of an entry's value, which some databases wrap. */
export function bytesOf({ value }: KvEntry): Uint8Array | undefined {
  if (!(value instanceof Uint8Array)) return undefined;
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

/** Bytes in pieces that a value has room for; one piece at least. */
export function piecesOf(bytes: Uint8Array): Uint8Array[] {
  const pieces = [bytes.subarray(0, VALUE_BYTES_MAX)];
  for (let at = VALUE_BYTES_MAX; at < bytes.length; at += VALUE_BYTES_MAX) {
    pieces.push(bytes.subarray(at, at + VALUE_BYTES_MAX));
  }
  return pieces;
}

/** What a key takes, at most: three bytes for each character, and two around each text. */
function keyBytesOf(key: KvKey): number {
  return key.reduce((sum: number, part) => sum + (typeof part === "number" ? 9 : 3 * part.length + 2), 0);
}
