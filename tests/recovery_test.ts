/**
 * What a start makes of a log and snapshots, also of those that a crash left between two steps.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { StorageError } from "../src/errors.ts";
import type { Logger } from "../src/options.ts";
import { recover } from "../src/recovery.ts";
import { memoryStore } from "../src/store/memory.ts";
import { discardSnapshotStore, memorySnapshotStore } from "../src/store/memory_snapshots.ts";
import { fileSnapshots } from "../src/store/snapshot_files.ts";
import type { SnapshotStore } from "../src/store/snapshot_store.ts";
import type { Store, StoreState } from "../src/store/store.ts";
import { MemoryFiles } from "../src/testing/memory_files.ts";
import { encodeSnapshot } from "../src/wire/snapshot.ts";
import { entries } from "./driver/stores.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, VirtualCluster } from "./virtual_cluster.ts";

const configuration = { servers: [{ id: "a", address: "a", suffrage: "voter" }] } as const;

/** A durable snapshot of a journal with these values. */
async function addSnapshot(store: SnapshotStore, index: number, term: number, values: unknown[]): Promise<string> {
  const origin = { index, term, configuration, configurationIndex: 1, timeMs: 5 };
  const journal = new SnapshotJournal();
  journal.values.push(...values);
  const sink = await store.create(origin);
  for await (const piece of encodeSnapshot({ origin, user: journal.snapshot() })) await sink.write(piece);
  return (await sink.close()).id;
}

/** Snapshots in files, of which two are kept. */
async function files(): Promise<{ disk: MemoryFiles; store: SnapshotStore }> {
  const disk = new MemoryFiles();
  const store = fileSnapshots(disk);
  await store.open();
  return { disk, store };
}

/** A log of two entries of term 1 and two of term 2, in term 2, from which the first ones were removed. */
async function logOf(about: { readonly firstIndex?: number; readonly lastIndex?: number } = {}) {
  const store = memoryStore();
  await store.open("a");
  await store.write({ records: [entries(1, 1, 1, 2), entries(3, 2, 3, 4)], vote: { term: 2, votedFor: "b" } });
  const { firstIndex = 1, lastIndex = 4 } = about;
  if (lastIndex < 4) await store.write({ records: [], truncateFrom: lastIndex + 1 });
  if (firstIndex > 1) await store.write({ records: [], compactTo: { firstIndex, prevTerm: firstIndex > 3 ? 2 : 1 } });
  await store.close();
  return { store, found: await store.open("a") };
}

function collect() {
  const lines: string[] = [];
  const logger: Logger = { debug() {}, info() {}, warn: (line) => void lines.push(line), error() {} };
  return { lines, logger };
}

async function start(store: Store, found: StoreState, snapshots: SnapshotStore | undefined) {
  const machine = new SnapshotJournal();
  const { lines, logger } = collect();
  const recovered = await recover({ store, found, snapshots, machine, logger });
  await store.close();
  const { firstIndex, prevTerm, lastIndex, vote, terms } = await store.open("a");
  return { recovered, machine, lines, disk: { firstIndex, prevTerm, lastIndex, vote, terms } };
}

const vote = { term: 2, votedFor: "b" };

test("recover() without snapshots changes nothing", async () => {
  for (const snapshots of [undefined, memorySnapshotStore()]) {
    await snapshots?.open();
    const { store, found } = await logOf();
    const { recovered, machine } = await start(store, found, snapshots);
    assertEquals([recovered.found, recovered.snapshot, machine.restores], [found, undefined, 0]);
  }
});

test("recover() restores the machine from a snapshot in the log, or right before it, and leaves the log alone", async () => {
  for (const [index, term, firstIndex] of [[1, 1, 1], [4, 2, 1], [2, 1, 3], [3, 2, 3], [4, 2, 5]] as const) {
    const snapshots = memorySnapshotStore();
    await snapshots.open();
    await addSnapshot(snapshots, index, term, ["x"]);
    const { store, found } = await logOf({ firstIndex });
    const { recovered, machine, disk } = await start(store, found, snapshots);
    assertEquals([recovered.found, recovered.snapshot?.index, machine.values], [found, index, ["x"]]);
    assertEquals([disk.firstIndex, disk.lastIndex, disk.vote], [firstIndex, 4, vote]);
  }
});

test("BS04: a snapshot beyond the log, of a crash before the log was set, takes its place", async () => {
  const snapshots = memorySnapshotStore();
  await snapshots.open();
  await addSnapshot(snapshots, 9, 2, ["x"]);
  const { store, found } = await logOf();
  const { recovered, machine, disk } = await start(store, found, snapshots);
  assertEquals(disk, { firstIndex: 10, prevTerm: 2, lastIndex: 9, vote, terms: [] });
  const { firstIndex, prevTerm, lastIndex, terms, configurations } = recovered.found;
  assertEquals({ firstIndex, prevTerm, lastIndex, terms }, { firstIndex: 10, prevTerm: 2, lastIndex: 9, terms: [] });
  assertEquals([configurations, machine.values], [[], ["x"]]);
});

test("BS03: a log with another entry where the snapshot ends goes as a whole", async () => {
  const snapshots = memorySnapshotStore();
  await snapshots.open();
  await addSnapshot(snapshots, 2, 2, ["x"]);
  const { store, found } = await logOf();
  const { disk } = await start(store, found, snapshots);
  assertEquals(disk, { firstIndex: 3, prevTerm: 2, lastIndex: 2, vote, terms: [] });
});

test("E4: a snapshot of a later term than the vote brings its term, with a vote for nobody", async () => {
  const snapshots = memorySnapshotStore();
  await snapshots.open();
  await addSnapshot(snapshots, 9, 3, ["x"]);
  const { store, found } = await logOf();
  const { recovered, disk } = await start(store, found, snapshots);
  assertEquals([recovered.found.vote, disk.vote], [{ term: 3, votedFor: undefined }, { term: 3, votedFor: undefined }]);
});

/** Two snapshots, with a byte of the newest overwritten. */
async function damagedSnapshots() {
  const { disk, store: snapshots } = await files();
  await addSnapshot(snapshots, 2, 1, ["old"]);
  const newest = await addSnapshot(snapshots, 4, 2, ["new"]);
  const file = await disk.directory(newest).open("container", { create: false, durable: true });
  await file.write([new Uint8Array([1])], 60);
  await file.close();
  return { snapshots, newest };
}

test("recover() falls back to an older snapshot when the newest is damaged and the log still reaches it, and says so", async () => {
  const { snapshots, newest } = await damagedSnapshots();
  const { store, found } = await logOf({ firstIndex: 3 });
  const { recovered, machine, lines } = await start(store, found, snapshots);
  assertEquals([recovered.snapshot?.index, machine.values], [2, ["old"]]);
  assertEquals(lines.length, 1);
  assertEquals(lines[0]!.includes(newest), true);
});

test("BS05: recover() refuses a log that begins after what the newest good snapshot has", async () => {
  const { snapshots, newest } = await damagedSnapshots();
  const { store, found } = await logOf({ firstIndex: 4 });
  await assertRejects(
    () => start(store, found, snapshots),
    StorageError,
    `Cannot start as the log begins after entry 3 of term 2, and the newest good snapshot ends at entry 2 of term 1; ` +
      `"${newest}" cannot be used as its checksum`,
  );
});

test("BS05: recover() refuses a compacted log without any snapshot, or with another entry right before it", async () => {
  const none = memorySnapshotStore();
  const other = memorySnapshotStore();
  for (const store of [none, other]) await store.open();
  await addSnapshot(other, 2, 2, ["x"]);
  for (const snapshots of [undefined, none, other]) {
    const { store, found } = await logOf({ firstIndex: 3 });
    await assertRejects(() => start(store, found, snapshots), StorageError, "log begins after entry 2 of term 1, and");
  }
});

test("recover() refuses a snapshot that the machine can't take, or fails to", async () => {
  const snapshots = memorySnapshotStore();
  await snapshots.open();
  await addSnapshot(snapshots, 4, 2, ["x"]);
  const { store, found } = await logOf();
  const { logger } = collect();
  const parts = { store, found, snapshots, logger };
  await assertRejects(
    () => recover({ ...parts, machine: { apply: () => 0 } }),
    StorageError,
    "snapshot of entry 4 as the machine has no restore()",
  );
  const restore = () => Promise.reject(new Error("no such form"));
  await assertRejects(
    () => recover({ ...parts, machine: { apply: () => 0, restore } }),
    StorageError,
    "no such form",
  );
});

test("createRaft() refuses snapshots that a power cut takes beside a log that outlives it", async () => {
  for (const snapshots of [memorySnapshotStore(), discardSnapshotStore()]) {
    const cluster = new VirtualCluster(1, () => new SnapshotJournal());
    const durable = memoryStore();
    const store: Store = {
      open: (id) => durable.open(id),
      write: (write) => durable.write(write),
      read: (from, end, bytesMax) => durable.read(from, end, bytesMax),
      close: () => durable.close(),
    };
    await assertRejects(() => cluster.start("a", { store, snapshots }), TypeError, "power cut");
    // Both are given back as they came.
    await durable.open("a");
    await snapshots.open();
    const { store: inFiles } = await files();
    await inFiles.close();
  }
});

test("memoryStore() brings snapshots with it, which outlive a restart as the log does", async () => {
  const cluster = new VirtualCluster(1, (id, cluster) => {
    const machine = new SnapshotJournal();
    cluster.machines.set(id, machine);
    return machine;
  });
  const store = memoryStore();
  const over = { store, trailingLogs: 0, snapshotThreshold: 1e9 };
  const first = await cluster.start("a", over);
  await cluster.leader();
  await cluster.settled(first.apply("x"));
  await cluster.settled(first.snapshot());
  await cluster.environment.until(() => first.status.firstIndex > 1);
  await cluster.stopAll();
  await store.close();
  const second = await cluster.start("a", over);
  assertEquals(cluster.machine("a").values, ["x"]);
  assertEquals(second.status.firstIndex, first.status.firstIndex);
  await cluster.stopAll();
});
