/**
 * What every snapshot store must do: opening, reading, and what is refused.
 *
 * @module
 */
import { InvariantError, SnapshotNotFoundError, StorageError } from "../../errors.ts";
import { check, equal, equalBytes, rejects, sampleBytes } from "../case_checks.ts";
import { checkMeta, opened, originOf, readSnapshot, type SnapshotCase, writeSnapshot } from "./snapshot_support.ts";

/** Cases. */
export const snapshotBasicCases: readonly SnapshotCase[] = [
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
      const again = await store.read(id, 0, 1_000);
      equalBytes(again, bytes.slice(0, again.length), "read() again");
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
