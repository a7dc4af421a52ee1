/**
 * Stores in Deno KV: a database in a file of SQLite, or one that is reached over the network.
 *
 * @module
 */
import { nameOf } from "../../src/checks.ts";
import { StorageError } from "../../src/errors.ts";
import type { Kv, KvKey } from "../../src/store/kv/kv.ts";
import { kvSnapshots } from "../../src/store/kv/kv_snapshots.ts";
import { kvLog } from "../../src/store/kv/kv_store.ts";
import type { SnapshotStoreFactory } from "../../src/store/snapshot_store.ts";
import type { StoreFactory } from "../../src/store/store.ts";

/** What {@linkcode kvStore} and {@linkcode kvSnapshotStore} take. */
export interface KvStoreOptions {
  /**
   * The database, as `Deno.openKv` takes it: a file, or the address of one that is elsewhere. By default the one that
   * Deno keeps for the program.
   */
  readonly path?: string;
  /**
   * A database that is open, instead of `path`; it is left open. Its values are `Uint8Array` alone, so it may also be one of
   * npm's `@deno/kv`, on Node and Bun.
   */
  readonly kv?: Kv;
  /**
   * What all keys begin with. Servers that share a database need one each.
   *
   * @default {["raft"]}
   */
  readonly prefix?: KvKey;
  /**
   * How many snapshots are kept, 1 to 100; the older ones are there for the case that the newest is damaged.
   *
   * @default {2}
   */
  readonly retain?: number;
}

/**
 * A log, a vote and snapshots in Deno KV. A write is done when the database has it durably: one atomic operation, or
 * several of which the last one counts when the entries have more than some 700 KiB.
 *
 * The keys belong to one server for all time; those of another server or of a newer version are refused and left as they
 * are. Of two processes that use the same keys, the one that was started last goes on, and the other one fails at its
 * next write with a {@linkcode StoreLockedError}. Until then both answer: see to it that a server is gone before its
 * successor is started, as a database has no lock.
 *
 * Entries that are damaged or missing are fetched again from the leader and written anew, as those of a `fileStore` are. Only
 * the one key that says which entries there are, and what the vote is, must be whole: else the start is refused with a
 * {@linkcode CorruptionError}, and what is left to do is to remove all keys of that server and let it catch up.
 *
 * Deno needs `--unstable-kv` (or `"unstable": ["kv"]` in `deno.json`), and read and write access to the file. At a start
 * all entries of the log are read once, some 200,000 a second.
 *
 * @example
 * ```ts
 * import { kvStore } from "@securecollc/raft/deno";
 *
 * const store = kvStore({ path: "./data/a.sqlite" }); // nothing is touched before createRaft opens it
 * ```
 */
export function kvStore(options: KvStoreOptions = {}): StoreFactory {
  return {
    snapshots: kvSnapshotStore(options),
    async open({ onSync }) {
      return kvLog(await opened(options), { ...optionsOf(options), onSync });
    },
  };
}

/** Snapshots in Deno KV; they come with a {@linkcode kvStore}. */
export function kvSnapshotStore(options: KvStoreOptions = {}): SnapshotStoreFactory {
  const { retain } = options;
  return {
    async open() {
      return kvSnapshots(await opened(options), { ...optionsOf(options), ...retain === undefined ? {} : { retain } });
    },
  };
}

function optionsOf({ kv, path, prefix = ["raft"] }: KvStoreOptions) {
  if (!Array.isArray(prefix)) {
    throw new TypeError(`Cannot use the database as 'prefix' must be an array, not ${nameOf(prefix)}`);
  }
  return { prefix, closes: kv === undefined, isDurable: kv !== undefined || path !== ":memory:" };
}

async function opened({ kv, path }: KvStoreOptions): Promise<Kv> {
  if (kv !== undefined) return kv;
  const { openKv } = (globalThis as { Deno?: { openKv?: (path?: string) => Promise<Kv> } }).Deno ?? {};
  if (openKv === undefined) {
    throw new StorageError(
      "Cannot open a key-value database as there is no Deno.openKv: run Deno with --unstable-kv, or pass an open 'kv'",
      "open",
    );
  }
  return await openKv(path).catch((cause) => {
    throw new StorageError(
      `Cannot open the key-value database "${path ?? "default"}": ${(cause as Error).message}`,
      "open",
      cause,
    );
  });
}
