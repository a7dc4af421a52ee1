import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { CorruptionError, StorageError, StoreLockedError } from "../../src/errors.ts";
import { kvSnapshots } from "../../src/store/kv/kv_snapshots.ts";
import { kvLog } from "../../src/store/kv/kv_store.ts";
import { encodeText } from "../../src/store/kv/kv_text.ts";
import type { Store } from "../../src/store/store.ts";
import { originOf, writeSnapshot } from "../../src/testing/conformance/snapshot_support.ts";
import { StoreModel } from "../../src/testing/conformance/store_model.ts";
import { manyCommands, sizedCommands } from "../../src/testing/conformance/store_support.ts";
import { MemoryKv } from "../../src/testing/memory_kv.ts";
import { sampleBytes } from "../../src/testing/case_checks.ts";
import { commandsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";

const prefix = ["raft"];

const logOn = (kv: MemoryKv): Store => kvLog(kv, { prefix, closes: false });
const snapshotsOn = (kv: MemoryKv, retain = 1) => kvSnapshots(kv, { prefix, closes: false, retain });

/** More than one atomic operation has room for. */
const large = (from: number, term: number) => sizedCommands(from, term, 400_000, 400_000, 400_000);

test("kvLog() leaves no key behind of what was truncated or compacted", async () => {
  const kv = new MemoryKv();
  const store = logOn(kv);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, "a"), large(2, 1), manyCommands(5, 1, 1_200)] });
  await store.write({ truncateFrom: 3, records: [large(3, 2)] });
  await store.write({ truncateFrom: 4, records: [commandsOf(4, 3, "x", "y")] });
  await store.write({ compactTo: { firstIndex: 4, prevTerm: 2 }, records: [] });
  await store.close();
  const indexes = kv.keys.filter((key) => key[1] === "log").map((key) => key[3]);
  // The seven parts of each large entry that was there before are beyond what a small one has, and harmless.
  assertEquals([...new Set(indexes)], [4, 5]);
});

test("kvLog() removes at its start what a crash left, and nothing else", async () => {
  const kv = new MemoryKv();
  const first = logOn(kv);
  await first.open("a");
  await first.write({ records: [commandsOf(1, 1, "a", "b")] });
  await first.close();
  const count = kv.keyCount;
  const junk = new Uint8Array([1]);
  for (const [epoch, index, part] of [[0, 2, 1], [0, 3, 0], [0, 700, 0], [1, 1, 0], [5, 9, 0]]) {
    await kv.atomic().set([...prefix, "log", epoch, index, part], junk).commit();
  }
  await kv.atomic().set(["mine"], junk).commit();
  const second = logOn(kv);
  const state = await second.open("a");
  assertEquals([state.lastIndex, kv.keyCount], [2, count + 1]);
  await second.close();
});

test("kvLog() replaces more than an operation has room for as often as need be", async () => {
  const kv = new MemoryKv();
  let store = logOn(kv);
  await store.open("a");
  let model = new StoreModel();
  const write = async (change: Parameters<Store["write"]>[0]) => {
    await store.write(change);
    model = model.after(change);
  };
  await write({ records: [commandsOf(1, 1, ...Array.from({ length: 150 }, (_, i) => `${i}`))] });
  // Each is longer by one than the last, so that each begins a run of its own: more than the meta has room for.
  for (let i = 1; i <= 75; i++) {
    await write({ truncateFrom: model.lastIndex, records: [sizedCommands(model.lastIndex, i + 1, 500_000, 500_000)] });
  }
  await store.close();
  store = logOn(kv);
  await model.checkAll(store, await store.open("a"), "after 75 replacements", 10_000_000);
  await store.close();
}, { timeoutMs: 60_000 });

test("kvLog() refuses a damaged meta, a newer form, and keys that belong to no log, and changes nothing", async () => {
  const damaged = new MemoryKv();
  const store = logOn(damaged);
  await store.open("a");
  await store.close();
  damaged.damage([...prefix, "meta"], 20);
  await assertRejects(() => logOn(damaged).open("a"), CorruptionError, "meta");

  for (
    const [key, message] of [[[...prefix, "meta"], "upgrade this server"], [[...prefix, "log", 0, 1, 0], "but no log"]]
  ) {
    const kv = new MemoryKv();
    await kv.atomic().set(key as string[], encodeText({ form: 3 })).commit();
    await assertRejects(() => logOn(kv).open("a"), StorageError, message as string);
    assertEquals(kv.keyCount, 1);
  }
});

test("kvLog() that was opened before another one writes nothing more, staged or not", async () => {
  for (const records of [commandsOf(2, 1, "lost"), large(2, 1)]) {
    const kv = new MemoryKv();
    const [first, second] = [logOn(kv), logOn(kv)];
    await first.open("a");
    await first.write({ records: [commandsOf(1, 1, "kept")] });
    await second.open("a");
    const before = kv.keyCount;
    await assertRejects(async () => await first.write({ records: [records] }), StoreLockedError);
    assertEquals(kv.keyCount, before);
    await second.write({ records: [commandsOf(2, 2, "kept")] });
    await Promise.all([first.close(), second.close()]);
  }
});

test("kvSnapshots() leaves no key behind of what was replaced, aborted or left by a crash", async () => {
  const kv = new MemoryKv();
  const first = snapshotsOn(kv);
  await first.open();
  const empty = kv.keyCount;
  await writeSnapshot(first, originOf(1), sampleBytes(200_000, 1));
  await writeSnapshot(first, originOf(2), sampleBytes(100, 2));
  const aborted = await first.create(originOf(3));
  await aborted.write(sampleBytes(900_000, 3));
  await aborted.abort();
  assertEquals(kv.keyCount, empty + 2);
  const left = await first.create(originOf(4));
  await left.write(sampleBytes(900_000, 4));
  assertGreater(kv.keyCount, empty + 2);
  const second = snapshotsOn(kv);
  await second.open();
  assertEquals([kv.keyCount, (await second.list()).length], [empty + 2, 1]);
  await second.close();
});

test("kvSnapshots() that was opened before another one changes nothing more", async () => {
  const kv = new MemoryKv();
  const [first, second] = [snapshotsOn(kv), snapshotsOn(kv)];
  await first.open();
  const sink = await first.create(originOf(1));
  await sink.write(sampleBytes(10, 1));
  await second.open();
  const { id } = await writeSnapshot(second, originOf(2), sampleBytes(10, 2));
  await assertRejects(() => sink.close(), StoreLockedError);
  await assertRejects(() => first.create(originOf(3)), StoreLockedError);
  assert(await second.verify(id));
  await Promise.all([first.close(), second.close()]);
});
