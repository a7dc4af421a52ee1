import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { EntryNotFoundError, StorageError } from "../../src/errors.ts";
import { logCache } from "../../src/store/cached_store.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { memorySnapshotStore } from "../../src/store/memory_snapshots.ts";
import type { RecoverySource, StoreContext } from "../../src/store/store.ts";
import { testStore } from "../../src/testing/conformance/store_suite.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { ManualStore } from "../driver/stores.ts";
import { test } from "../harness.ts";
import { walSubject } from "./wal_subject.ts";

testStore(test, walSubject("logCache(walStore)", 4_096, (store) => logCache(store, { entries: 3, bytes: 300 })));

const ENTRY_BYTES = 49;

/** A cached store with entries 1 to 10, each written by itself, and the indexes that its store is asked for. */
async function filled(options: Parameters<typeof logCache>[1]) {
  const inner = new ManualStore();
  const store = logCache(inner, options);
  await store.open("a");
  for (let index = 1; index <= 10; index++) await store.write({ records: [commandsOf(index, 1, String(index % 10))] });
  const asked = async (index: number) => {
    inner.reads.length = 0;
    assertEquals(textsOf(await store.read(index, index + 1, 1_000)), [String(index % 10)]);
    return inner.reads.length > 0;
  };
  const indexesAsked = async () => {
    const found: number[] = [];
    for (let index = 1; index <= 10; index++) if (await asked(index)) found.push(index);
    return found;
  };
  return { inner, store, indexesAsked };
}

for (
  const [what, options, firstHeld] of [
    ["no more entries than it may", { entries: 4 }, 7],
    ["no more bytes than it may", { bytes: 4 * ENTRY_BYTES }, 7],
    ["one less where a byte is missing", { bytes: 4 * ENTRY_BYTES - 1 }, 8],
    ["the fewer of both", { entries: 2, bytes: 4 * ENTRY_BYTES }, 9],
    ["nothing where it may hold none", { entries: 0 }, 11],
    ["all by default", {}, 1],
  ] as const
) {
  test(`logCache() holds ${what}, and asks the store for all others`, async () => {
    const { indexesAsked } = await filled(options);
    assertEquals(await indexesAsked(), Array.from({ length: firstHeld - 1 }, (_, at) => at + 1));
  });
}

test("logCache() holds what its store has made durable, and nothing before", async () => {
  const { inner, store } = await filled({});
  inner.slowWrites = true;
  const written = store.write({ records: [commandsOf(11, 1, "x")] });
  await assertRejects(async () => await store.read(11, 12, 100), EntryNotFoundError);
  inner.writing[0]!.resolve(undefined);
  await written;
  inner.reads.length = 0;
  assertEquals(textsOf(await store.read(11, 12, 100)), ["x"]);
  assertEquals(inner.reads, []);
});

test("logCache() forgets all when a write fails, so that it never gives what the store has refused (#429)", async () => {
  const { inner, store, indexesAsked } = await filled({});
  inner.writeError = new Error("EIO");
  await assertRejects(async () => await store.write({ records: [commandsOf(11, 1, "x")] }), Error, "EIO");
  await assertRejects(async () => await store.read(11, 12, 100), EntryNotFoundError);
  assertEquals((await indexesAsked()).length, 10);
});

test("logCache() gives what replaced others, nothing that was truncated, and nothing once it is closed", async () => {
  const { store } = await filled({});
  await store.write({ truncateFrom: 9, records: [commandsOf(9, 2, "new")] });
  assertEquals(textsOf(await store.read(8, 11, 1_000)), ["8", "new"]);
  await assertRejects(async () => await store.read(10, 11, 100), EntryNotFoundError);
  await store.write({ compactTo: { firstIndex: 9, prevTerm: 1 }, records: [] });
  await assertRejects(async () => await store.read(8, 9, 100), EntryNotFoundError);
  await store.close();
  await assertRejects(async () => await store.read(9, 10, 100), StorageError);
});

test("logCache() of a factory is one, with all that it brings", async () => {
  const recovery: RecoverySource = { name: "peers.json", read: () => Promise.resolve(undefined), done: async () => {} };
  const snapshots = { open: () => Promise.resolve(memorySnapshotStore()) };
  const contexts: StoreContext[] = [];
  const inner = memoryStore();
  const factory = logCache({
    recovery,
    snapshots,
    open: (context: StoreContext) => {
      contexts.push(context);
      return Promise.resolve(inner);
    },
  }, { entries: 5 });
  assertStrictEquals(factory.recovery, recovery);
  assertStrictEquals(factory.snapshots, snapshots);
  const context = { onSync() {} };
  const store = await factory.open(context);
  assertStrictEquals(contexts[0], context);
  assertEquals([store.isDurable, store.snapshots === inner.snapshots, store.mark], [false, true, undefined]);
});

test("logCache() refuses bounds that are none", () => {
  for (
    const options of [{ entries: -1 }, { entries: 1.5 }, { bytes: -1 }, { bytes: Number.NaN }, { bytes: Infinity }]
  ) {
    const [name, value] = Object.entries(options)[0]!;
    assertThrows(() => logCache(memoryStore(), options), RangeError, `'${name}' must be a whole number`);
    assertThrows(() => logCache(memoryStore(), options), RangeError, String(value));
  }
});
