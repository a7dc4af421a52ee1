/**
 * What every snapshot store must do, as cases for any test runner.
 *
 * @module
 */
import { ProtocolError, SnapshotNotFoundError, StorageError } from "../../errors.ts";
import { crc32c } from "../../wire/crc32c.ts";
import { check, equal, equalBytes, rejects, sampleBytes } from "../case_checks.ts";
import { snapshotBasicCases } from "./snapshot_basic_cases.ts";
import {
  idsOf,
  opened,
  originOf,
  readSnapshot,
  type SnapshotCase,
  type SnapshotHarness,
  writeSnapshot,
} from "./snapshot_support.ts";

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
    name: "open() removes what was being written when the store was killed or closed",
    async run(harness) {
      let store = await opened(harness);
      const { id } = await writeSnapshot(store, originOf(4), sampleBytes(10, 1));
      const sink = await store.create(originOf(5));
      await sink.write(sampleBytes(100_000, 1));
      store = await opened(harness);
      equal(await idsOf(store), [id]);
      const { id: next } = await writeSnapshot(store, originOf(5), sampleBytes(20, 1));
      check(next !== id, "an id was used again");
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
  {
    name: "open() removes none that is whole: those that are newer may turn out to be damaged",
    needs: "damage",
    async run(harness) {
      let store = await opened(harness);
      const oldest = await writeSnapshot(store, originOf(1), sampleBytes(200_000, 1));
      store.hold(oldest.id);
      const newer: string[] = [];
      for (let i = 0; i < harness.retain; i++) {
        newer.unshift((await writeSnapshot(store, originOf(i + 2), sampleBytes(200_000, i + 2))).id);
      }
      equal(await idsOf(store), [...newer, oldest.id]);
      await store.close();
      for (const id of newer) await harness.damage!(id);
      store = await opened(harness);
      for (const id of newer) if (!store.damaged.some((it) => it.id === id)) equal(await store.verify(id), false);
      equal(await idsOf(store), [oldest.id]);
      equalBytes(await readSnapshot(store, oldest.id), sampleBytes(200_000, 1), "the one that is left");
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
  ...snapshotBasicCases,
  ...sinkCases,
  ...retentionCases,
  ...damageCases,
  ...killCases,
];
