/**
 * What every snapshot store must do, as cases for any test runner.
 *
 * @module
 */
import { InvariantError, ProtocolError, SnapshotNotFoundError, StorageError } from "../errors.ts";
import type { SnapshotMeta, SnapshotOrigin, SnapshotStore } from "../store/snapshot_store.ts";
import { crc32c } from "../wire/crc32c.ts";
import { SNAPSHOT_VERSION } from "../wire/snapshot.ts";
import { check, equal, equalBytes, rejects, sampleBytes } from "./case_checks.ts";

/** How the cases get at a snapshot store. */
export interface SnapshotHarness {
  /** A store on the same disk, the one before being closed or killed. On the first call the disk is empty. */
  next(): Promise<SnapshotStore>;
  /** How many snapshots it keeps; at least 1. */
  readonly retain: number;
  /** Changes one byte of a snapshot on the disk, when the store can be made to notice that. */
  damage?(id: string): Promise<void>;
  /** Operations of the disk so far. Needed with `haltAfter`. */
  operationCount?(): number;
  /**
   * Lets so many more operations of the disk be done; the next one and all after it fail, until `next`. With it the
   * suite kills the store at every operation.
   */
  haltAfter?(operations: number): void;
  /** Called at the end of each case. */
  dispose?(): Promise<void>;
}

/** One thing that a snapshot store must do. */
export interface SnapshotCase {
  /** A sentence beginning with what is called. */
  readonly name: string;
  /** What the harness must offer. */
  readonly needs?: "damage" | "haltAfter";
  /** Rejects when the store doesn't. */
  run(harness: SnapshotHarness): Promise<void>;
}

/** An origin for tests. */
export function originOf(index: number, term = 1): SnapshotOrigin {
  const servers = [
    { id: "a", address: "a:1", suffrage: "voter" as const },
    { id: "b", address: "[::1]:7001", suffrage: "nonvoter" as const, priority: 7 },
  ];
  const configuration = { servers, outgoing: ["a", "c"] };
  return { index, term, configuration, configurationIndex: Math.max(1, index - 3), timeMs: 1_000 * index };
}

/** Writes a snapshot in pieces. */
export async function writeSnapshot(
  store: SnapshotStore,
  origin: SnapshotOrigin,
  bytes: Uint8Array,
  pieceBytes = 100_000,
): Promise<SnapshotMeta> {
  const sink = await store.create(origin);
  for (let at = 0; at < bytes.length; at += pieceBytes) await sink.write(bytes.slice(at, at + pieceBytes));
  return await sink.close();
}

/** Reads all of a snapshot. */
export async function readSnapshot(store: SnapshotStore, id: string, bytesMax = 70_000): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const part = await store.read(id, length, bytesMax);
    check(part.length <= bytesMax, `read() gave ${part.length} bytes instead of ${bytesMax} at most`);
    if (part.length === 0) break;
    parts.push(part);
    length += part.length;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function opened(harness: SnapshotHarness): Promise<SnapshotStore> {
  const store = await harness.next();
  await store.open();
  return store;
}

async function idsOf(store: SnapshotStore): Promise<string[]> {
  return (await store.list()).map(({ id }) => id);
}

/** Everything that a meta says must be true. */
function checkMeta(meta: SnapshotMeta, origin: SnapshotOrigin, bytes: Uint8Array): void {
  const { id, version, bytes: length, checksum, ...rest } = meta;
  equal(rest, origin);
  equal([version, length, checksum], [SNAPSHOT_VERSION, bytes.length, crc32c(bytes)]);
  check(id.length > 0, "the id is empty");
}

const basicCases: readonly SnapshotCase[] = [
  {
    name: "open() of an empty disk lists nothing",
    async run(harness) {
      const store = await opened(harness);
      equal([await store.list(), store.damaged], [[], []]);
      await store.close();
    },
  },
  {
    name: "close() of a sink makes the snapshot visible, with all that was said of it",
    async run(harness) {
      const store = await opened(harness);
      const bytes = sampleBytes(5_000, 1);
      const sink = await store.create(originOf(10, 3));
      await sink.write(bytes.slice(0, 3_000));
      equal(sink.bytes, 3_000);
      await sink.write(bytes.slice(3_000));
      equal(await store.list(), [], "before close()");
      const meta = await sink.close();
      checkMeta(meta, originOf(10, 3), bytes);
      equal([meta.id, await store.list()], [sink.id, [meta]]);
      equalBytes(await readSnapshot(store, meta.id, 1_000), bytes, "read()");
      await store.close();
    },
  },
  {
    name: "open() finds what was there, of any size",
    async run(harness) {
      for (const length of [0, 1, 65_535, 65_536, 65_537, 3_000_000]) {
        const bytes = sampleBytes(length, length);
        let store = await opened(harness);
        const meta = await writeSnapshot(store, originOf(length + 1), bytes);
        await store.close();
        store = await opened(harness);
        equal((await store.list())[0], meta);
        equalBytes(await readSnapshot(store, meta.id), bytes, `${length} bytes`);
        await store.close();
      }
    },
  },
  {
    name: "write() takes pieces of any size, and keeps none of the arrays",
    async run(harness) {
      const store = await opened(harness);
      const bytes = sampleBytes(300_000, 2);
      const sink = await store.create(originOf(1));
      const piece = new Uint8Array(150_000);
      let at = 0;
      for (const length of [0, 1, 63, 64 << 10, 0, 7, 150_000, 84_393]) {
        piece.set(bytes.subarray(at, at + length));
        await sink.write(piece.subarray(0, length));
        piece.fill(0xee);
        at += length;
      }
      equal(at, bytes.length);
      const meta = await sink.close();
      checkMeta(meta, originOf(1), bytes);
      equalBytes(await readSnapshot(store, meta.id), bytes, "read()");
      await store.close();
    },
  },
  {
    name: "read() gives any range, and nothing at the end",
    async run(harness) {
      const store = await opened(harness);
      const bytes = sampleBytes(200_000, 3);
      const { id } = await writeSnapshot(store, originOf(1), bytes, 33_333);
      for (const offset of [0, 1, 33_332, 33_333, 65_535, 65_536, 65_537, 131_071, 199_999]) {
        for (const bytesMax of [1, 2, 40_000, 300_000]) {
          const part = await store.read(id, offset, bytesMax);
          check(part.length > 0 && part.length <= bytesMax, `${part.length} bytes at ${offset} instead of ${bytesMax}`);
          equalBytes(part, bytes.slice(offset, offset + part.length), `at ${offset}`);
        }
      }
      for (const offset of [200_000, 200_001, 1_000_000]) equal((await store.read(id, offset, 10)).length, 0);
      for (const [offset, bytesMax] of [[-1, 1], [0, 0], [0.5, 1], [NaN, 1]]) {
        await rejects(() => store.read(id, offset, bytesMax), RangeError, `read(${offset}, ${bytesMax})`);
      }
      await store.close();
    },
  },
  {
    name: "read() gives bytes that the caller may change, to several readers at once",
    async run(harness) {
      const store = await opened(harness);
      const bytes = sampleBytes(500_000, 4);
      const { id } = await writeSnapshot(store, originOf(1), bytes);
      (await store.read(id, 0, 1_000)).fill(0);
      const all = await Promise.all([10_000, 70_001, 500_000].map((size) => readSnapshot(store, id, size)));
      for (const found of all) equalBytes(found, bytes, "read()");
      await store.close();
    },
  },
  {
    name: "read(), verify() and hold() of what isn't there say so",
    async run(harness) {
      const store = await opened(harness);
      const { id } = await writeSnapshot(store, originOf(1), sampleBytes(10, 1));
      await store.remove(id);
      for (const gone of [id, "", "../x", "snapshot-1-1-99", "__proto__"]) {
        await rejects(() => store.read(gone, 0, 1), SnapshotNotFoundError, `read("${gone}")`);
        await rejects(() => store.verify(gone), SnapshotNotFoundError, `verify("${gone}")`);
        await rejects(() => store.hold(gone), SnapshotNotFoundError, `hold("${gone}")`);
        await store.remove(gone);
      }
      await store.close();
    },
  },
  {
    name: "create() refuses an origin that can't be",
    async run(harness) {
      const store = await opened(harness);
      for (const wrong of [{ index: 0 }, { term: 0 }, { configurationIndex: 11 }, { configuration: { servers: [] } }]) {
        await rejects(() => store.create({ ...originOf(10), ...wrong }), InvariantError, JSON.stringify(wrong));
      }
      equal(await store.list(), []);
      await store.close();
    },
  },
  {
    name: "close() can be called twice; a closed store refuses everything",
    async run(harness) {
      await (await harness.next()).close();
      const store = await opened(harness);
      const { id } = await writeSnapshot(store, originOf(1), sampleBytes(10, 1));
      await Promise.all([store.close(), store.close()]);
      await store.close();
      await rejects(() => store.list(), StorageError, "list()");
      await rejects(() => store.create(originOf(2)), StorageError, "create()");
      await rejects(() => store.read(id, 0, 1), StorageError, "read()");
      await rejects(() => store.remove(id), StorageError, "remove()");
    },
  },
  {
    name: "open() refuses to be called twice",
    async run(harness) {
      const store = await opened(harness);
      await rejects(() => store.open(), StorageError, "open()");
      equal(await store.list(), []);
      await store.close();
    },
  },
];

const sinkCases: readonly SnapshotCase[] = [
  {
    name: "abort() leaves nothing behind",
    async run(harness) {
      const store = await opened(harness);
      const sink = await store.create(originOf(5));
      await sink.write(sampleBytes(100_000, 1));
      await sink.abort();
      await sink.abort();
      equal(await store.list(), []);
      await rejects(() => sink.write(new Uint8Array(1)), StorageError, "write() after abort()");
      await rejects(() => sink.close(), StorageError, "close() after abort()");
      equal(await store.list(), []);
      await store.close();
    },
  },
  {
    name: "close() of a sink called again gives the same; then it takes nothing more, and abort() does nothing",
    async run(harness) {
      const store = await opened(harness);
      const bytes = sampleBytes(100, 1);
      const sink = await store.create(originOf(5));
      await sink.write(bytes);
      const [meta, again] = await Promise.all([sink.close(), sink.close()]);
      equal([again, await sink.close()], [meta, meta]);
      await sink.abort();
      await rejects(() => sink.write(bytes), StorageError, "write() after close()");
      equalBytes(await readSnapshot(store, meta.id), bytes, "after abort()");
      await store.close();
    },
  },
  {
    name: "close() of a sink takes what its sender announced, and refuses anything else",
    async run(harness) {
      const store = await opened(harness);
      const bytes = sampleBytes(1_000, 1);
      const expected = { bytes: bytes.length, checksum: crc32c(bytes) };
      for (const wrong of [{ bytes: 999 }, { checksum: expected.checksum ^ 1 }, { bytes: 1_001 }]) {
        const sink = await store.create(originOf(5));
        await sink.write(bytes);
        await rejects(() => sink.close({ ...expected, ...wrong }), ProtocolError, JSON.stringify(wrong));
        equal(await store.list(), []);
        await sink.abort();
      }
      const sink = await store.create(originOf(5));
      await sink.write(bytes);
      const meta = await sink.close(expected);
      equal(await store.list(), [meta]);
      await store.close();
    },
  },
  {
    name: "close() of the store aborts what is being written",
    async run(harness) {
      let store = await opened(harness);
      const sink = await store.create(originOf(5));
      await sink.write(sampleBytes(100_000, 1));
      await store.close();
      await rejects(() => sink.write(new Uint8Array(1)).then(() => sink.close()), StorageError, "after close()");
      store = await opened(harness);
      equal(await store.list(), []);
      await store.close();
    },
  },
  {
    name: "open() removes what was being written when the store was killed",
    async run(harness) {
      let store = await opened(harness);
      const { id } = await writeSnapshot(store, originOf(4), sampleBytes(10, 1));
      const sink = await store.create(originOf(5));
      await sink.write(sampleBytes(100_000, 1));
      store = await opened(harness);
      equal(await idsOf(store), [id]);
      const { id: next } = await writeSnapshot(store, originOf(5), sampleBytes(20, 1));
      check(next !== id && next !== sink.id, "an id was used again");
      equalBytes(await readSnapshot(store, next), sampleBytes(20, 1), "the next one");
      await store.close();
    },
  },
  {
    name: "create() serves two at once, one taken here and one received",
    async run(harness) {
      const store = await opened(harness);
      const [a, b] = [sampleBytes(200_000, 1), sampleBytes(150_000, 2)];
      const first = await store.create(originOf(5));
      const second = await store.create(originOf(6));
      check(first.id !== second.id, "both have one id");
      for (let at = 0; at < a.length; at += 10_000) {
        await Promise.all([first.write(a.slice(at, at + 10_000)), second.write(b.slice(at, at + 10_000))]);
      }
      await Promise.all([second.close(), first.close()]);
      equalBytes(await readSnapshot(store, second.id), b, "the newer one");
      equal((await idsOf(store))[0], second.id);
      await store.close();
    },
  },
  {
    name: "create() gives each snapshot another id, also of the same entry",
    async run(harness) {
      let store = await opened(harness);
      const first = await writeSnapshot(store, originOf(5), sampleBytes(10, 1));
      const second = await writeSnapshot(store, originOf(5), sampleBytes(10, 2));
      await store.close();
      store = await opened(harness);
      const third = await writeSnapshot(store, originOf(5), sampleBytes(10, 3));
      equal(new Set([first.id, second.id, third.id]).size, 3);
      equalBytes(await readSnapshot(store, (await idsOf(store))[0]), sampleBytes(10, 3), "the newest");
      await store.close();
    },
  },
];

const retentionCases: readonly SnapshotCase[] = [
  {
    name: "list() has the newest first, and as many as are retained",
    async run(harness) {
      let store = await opened(harness);
      const ids: string[] = [];
      for (let index = 1; index <= harness.retain + 2; index++) {
        ids.unshift((await writeSnapshot(store, originOf(index), sampleBytes(1_000, index))).id);
        equal(await idsOf(store), ids.slice(0, harness.retain));
      }
      await store.close();
      store = await opened(harness);
      equal(await idsOf(store), ids.slice(0, harness.retain));
      for (const gone of ids.slice(harness.retain)) {
        await rejects(() => store.read(gone, 0, 1), SnapshotNotFoundError, "a snapshot beyond those retained");
      }
      await store.close();
    },
  },
  {
    name: "list() goes by the index: one that was begun early and closed late is not the newest",
    async run(harness) {
      const store = await opened(harness);
      const late = await store.create(originOf(9));
      await late.write(sampleBytes(10, 9));
      const newer = await writeSnapshot(store, originOf(10), sampleBytes(10, 10));
      const far = await writeSnapshot(store, originOf(1_000, 2), sampleBytes(10, 11));
      await late.close();
      equal(await idsOf(store), [far.id, newer.id, late.id].slice(0, harness.retain));
      await store.close();
    },
  },
  {
    name: "hold() keeps a snapshot while it is read, as often as it is held",
    async run(harness) {
      const store = await opened(harness);
      const bytes = sampleBytes(100_000, 1);
      const { id } = await writeSnapshot(store, originOf(1), bytes);
      const [release, again] = [store.hold(id), store.hold(id)];
      const start = await store.read(id, 0, 50_000);
      let index = 2;
      const more = async () => {
        for (let i = 0; i < harness.retain; i++) await writeSnapshot(store, originOf(index++), sampleBytes(10, index));
      };
      await more();
      const rest = await store.read(id, start.length, 100_000);
      equalBytes(rest, bytes.slice(start.length, start.length + rest.length), "what is held");
      release();
      release();
      await more();
      equalBytes(await readSnapshot(store, id), bytes, "what is held once more");
      again();
      await more();
      await rejects(() => store.read(id, 0, 1), SnapshotNotFoundError, "what nobody holds");
      equal((await store.list()).length, harness.retain);
      await store.close();
    },
  },
  {
    name: "remove() removes at once and for good, held or not, and twice is no error",
    async run(harness) {
      let store = await opened(harness);
      const { id } = await writeSnapshot(store, originOf(1), sampleBytes(100_000, 1));
      const release = store.hold(id);
      await store.read(id, 0, 10);
      await Promise.all([store.remove(id), store.remove(id)]);
      equal(await store.list(), []);
      await rejects(() => store.read(id, 10, 10), SnapshotNotFoundError, "read() of what was removed");
      release();
      await store.close();
      store = await opened(harness);
      equal(await store.list(), []);
      await store.close();
    },
  },
];

const damageCases: readonly SnapshotCase[] = [
  {
    name: "verify() is true of what is whole",
    async run(harness) {
      const store = await opened(harness);
      for (const length of [0, 1, 2_500_000]) {
        const { id } = await writeSnapshot(store, originOf(length + 1), sampleBytes(length, 1));
        check(await store.verify(id), `${length} bytes`);
      }
      equal(store.damaged, []);
      await store.close();
    },
  },
  {
    name: "verify() finds damage: the snapshot is named and no longer listed, and goes with the next one",
    needs: "damage",
    async run(harness) {
      let store = await opened(harness);
      const older = await writeSnapshot(store, originOf(1), sampleBytes(200_000, 1));
      const newer = await writeSnapshot(store, originOf(2), sampleBytes(200_000, 2));
      await store.close();
      await harness.damage!(newer.id);
      store = await opened(harness);
      if (store.damaged.length === 0) equal(await store.verify(newer.id), false);
      equal(store.damaged.map(({ id }) => id), [newer.id]);
      check(store.damaged[0].problem.length > 0, "it isn't said what is wrong");
      equal(await idsOf(store), harness.retain > 1 ? [older.id] : []);
      if (harness.retain > 1) equalBytes(await readSnapshot(store, older.id), sampleBytes(200_000, 1), "the older one");
      await rejects(() => store.read(newer.id, 0, 1), SnapshotNotFoundError, "read() of a damaged one");
      const next = await writeSnapshot(store, originOf(3), sampleBytes(10, 3));
      equal([(await idsOf(store))[0], store.damaged], [next.id, []]);
      await store.close();
    },
  },
];

/** The history of the kill case: what was acknowledged is there afterwards, what wasn't is whole or absent. */
async function runKilled(harness: SnapshotHarness): Promise<{ acknowledged: number; attempted: number }> {
  const result = { acknowledged: 0, attempted: 0 };
  const store = await harness.next();
  try {
    await store.open();
    for (let index = 1; index <= harness.retain + 2; index++) {
      const sink = await store.create(originOf(index));
      for (let i = 0; i < 3; i++) await sink.write(sampleBytes(1_000, index));
      if (index === 2) {
        await sink.abort();
        continue;
      }
      result.attempted = index;
      await sink.close();
      result.acknowledged = index;
    }
  } catch {
    // Killed: the store is left as it is.
  }
  return result;
}

const killCases: readonly SnapshotCase[] = [
  {
    name: "killed at every operation: what was acknowledged is there, and all that is there is whole",
    needs: "haltAfter",
    async run(harness) {
      for (let halt = 0;; halt++) {
        let store = await opened(harness);
        for (const { id } of await store.list()) await store.remove(id);
        await store.close();
        const before = harness.operationCount!();
        harness.haltAfter!(halt);
        const { acknowledged, attempted } = await runKilled(harness);
        const isOver = harness.operationCount!() - before <= halt;
        store = await opened(harness);
        const found = await store.list();
        const newest = found[0]?.index ?? 0;
        const at = `killed after ${halt} operations`;
        check(newest === acknowledged || newest === attempted, `${at}: ${newest} instead of ${acknowledged}`);
        check(found.length <= harness.retain, `${at}: ${found.length} snapshots`);
        equal(store.damaged, [], at);
        for (const { id, index } of found) {
          const one = sampleBytes(1_000, index);
          equalBytes((await readSnapshot(store, id)).slice(2_000), one, `${at}: ${index}`);
          check(await store.verify(id), `${at}: ${index} is damaged`);
        }
        await store.close();
        if (isOver) return;
      }
    },
  },
];

/** All cases. */
export const snapshotStoreCases: readonly SnapshotCase[] = [
  ...basicCases,
  ...sinkCases,
  ...retentionCases,
  ...damageCases,
  ...killCases,
];
