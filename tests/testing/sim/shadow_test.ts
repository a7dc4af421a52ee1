import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { DamagedEntryError } from "../../../src/errors.ts";
import { fileSnapshots } from "../../../src/store/snapshot_files.ts";
import type { SnapshotStore } from "../../../src/store/snapshot_store.ts";
import type { Store, StoreWrite } from "../../../src/store/store.ts";
import { walStore } from "../../../src/store/wal/wal_store.ts";
import { loseAll, MemoryFiles } from "../../../src/testing/memory_files.ts";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { Copies } from "../../../src/testing/sim/disk/copies.ts";
import { layoutOf } from "../../../src/testing/sim/disk/layout.ts";
import { LogShadow } from "../../../src/testing/sim/disk/shadow.ts";
import { SNAPSHOTS_NAME } from "../../../src/testing/sim/disk/snapshot_layout.ts";
import { type DurableWrite, isSameView, nobody, type Prefix, viewOf } from "../../../src/testing/sim/disk_view.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { DiskView } from "../../../src/testing/sim/view.ts";
import { drawCrash } from "../../../src/testing/sim/disk/crash.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";

const storeOf = (files: MemoryFiles) => walStore(files, { segmentBytes: 4096, random: () => "r", now: () => 0 });

const snapshotsOf = (files: MemoryFiles) => fileSnapshots(files.directory(SNAPSHOTS_NAME));

async function recovered(files: MemoryFiles, prefix: Prefix = nobody): Promise<DiskView> {
  const image = files.clone();
  image.crash(loseAll);
  const store = storeOf(image);
  const view = await viewOf(store, await store.open("a"), prefix);
  const snapshots = snapshotsOf(image);
  await snapshots.open();
  const [newest] = await snapshots.list();
  return { ...view, snapshot: newest === undefined || !await snapshots.verify(newest.id) ? 0 : newest.index };
}

const words = ({ term, votedFor, log, snapshot }: DiskView) =>
  `${term} ${votedFor} ${log.last} ${log.hashAt(log.last)} ${snapshot}`;

/** Writes that come to so many entries, some of them in the place of others. */
function* writes(random: Random, last: number, count: number): Generator<StoreWrite> {
  for (let i = 0; i < count; i++) {
    const truncateFrom = last > 0 && random.chance(0.3) ? last + 1 - random.below(Math.min(last, 5)) : undefined;
    const from = truncateFrom ?? last + 1;
    const texts = Array.from({ length: random.below(4) }, () => `${random.u32()}`.repeat(1 + random.below(200)));
    const vote = random.chance(0.3) || texts.length === 0 ? { term: random.below(9), votedFor: "b" } : undefined;
    yield { records: texts.length === 0 ? [] : [commandsOf(from, 1, ...texts)], vote, truncateFrom };
    last = from + texts.length - 1;
  }
}

/** A snapshot of all up to this entry. */
async function takeSnapshot(snapshots: SnapshotStore, index: number, size: number): Promise<void> {
  const configuration = { servers: [{ id: "a", address: "a:1", suffrage: "voter" as const }] };
  const sink = await snapshots.create({ index, term: 1, configuration, configurationIndex: 1, timeMs: 0 });
  await sink.write(new Uint8Array(size).fill(index));
  await sink.close();
}

/** A log that loses its beginning, or all that it holds, to snapshots, as the writes of `writes` are made. */
class CompactedLog {
  readonly #random: Random;
  #log = new ChainLog();
  #firstIndex = 1;

  constructor(random: Random) {
    this.#random = random;
  }

  /** What a snapshot stands for. */
  readonly prefix: Prefix = (index) => {
    const log = this.#log.clone();
    log.truncateFrom(index + 1);
    return log;
  };

  /** Snapshots that are taken before a write, and what they let go with it. */
  async compact(store: Store, snapshots: SnapshotStore, last: number): Promise<number> {
    const random = this.#random;
    const reach = random.chance(0.3) ? last + random.between(1, 5) : random.between(this.#firstIndex, last + 1) - 1;
    if (reach < this.#firstIndex) return last;
    const truncateFrom = reach > last && last >= this.#firstIndex && random.chance(0.5) ? last : undefined;
    if (truncateFrom !== undefined) this.#log.truncateFrom(truncateFrom);
    while (this.#log.last < reach) this.#log.add(1, reach);
    await takeSnapshot(snapshots, reach, random.between(1, 2000));
    await store.write({ records: [], truncateFrom, compactTo: { firstIndex: reach + 1, prevTerm: 1 } });
    this.#firstIndex = reach + 1;
    return Math.max(last, reach);
  }

  /** One more write that leaves alone what is let go. */
  async write(store: Store, last: number): Promise<number> {
    const [write] = writes(this.#random, last - this.#firstIndex + 1, 1);
    const shift = this.#firstIndex - 1;
    const truncateFrom = write!.truncateFrom === undefined ? undefined : write!.truncateFrom + shift;
    const texts = write!.records.flatMap((run) => Array.from({ length: run.count }, (_, i) => `${i}`.repeat(300)));
    const from = truncateFrom ?? last + 1;
    const records = texts.length === 0 ? [] : [commandsOf(from, 1, ...texts)];
    this.#log.truncateFrom(from);
    for (const run of records) this.#log.append(run);
    await store.write({ ...write!, truncateFrom, records });
    return this.#log.last;
  }
}

test("LogShadow goes along with compaction and snapshots, through starts and crashes", async () => {
  let looked = 0;
  for (let seed = 0; seed < 6; seed++) {
    const random = Random.seeded(seed);
    const log = new CompactedLog(random);
    let check: Promise<void> = Promise.resolve();
    const shadow = new LogShadow(() => {}, log.prefix);
    const files: MemoryFiles = new MemoryFiles({
      observer: shadow,
      schedule: async () => {
        const said = words(shadow.view);
        const image = files.clone();
        check = check.then(async () => assertEquals(words(await recovered(image, log.prefix)), said, `seed ${seed}`));
        looked++;
        await check;
      },
    });
    let mostFiles = 0;
    for (let life = 0; life < 4; life++) {
      const store = storeOf(files);
      let { lastIndex } = await store.open("a");
      const snapshots = snapshotsOf(files);
      await snapshots.open();
      for (let i = 0; i < 15; i++) {
        lastIndex = await log.write(store, lastIndex);
        if (random.chance(0.3)) lastIndex = await log.compact(store, snapshots, lastIndex);
        mostFiles = Math.max(mostFiles, files.names().length);
      }
      if (random.chance(0.3)) await store.close();
      files.haltAfter(random.below(12));
      await takeSnapshot(snapshots, lastIndex, 10).catch(() => {});
      files.crash(drawCrash(random));
      shadow.rebuild(files);
      assertEquals(words(await recovered(files, log.prefix)), words(shadow.view), `seed ${seed} after crash ${life}`);
    }
    assert(mostFiles > 2 && mostFiles < 20, `${mostFiles} files`);
  }
  assertGreater(looked, 500);
}, { timeoutMs: 60_000 });

test("LogShadow tells how far a log is compacted once, however often that is said on the disk", async () => {
  const told: DurableWrite[] = [];
  const shadow = new LogShadow((write) => told.push(write), nobody);
  const files = new MemoryFiles({ observer: shadow });
  for (let life = 0; life < 3; life++) {
    const store = storeOf(files);
    await store.open("a");
    if (life === 0) await store.write({ records: [commandsOf(1, 1, "one", "two")] });
    if (life === 0) await store.write({ records: [], compactTo: { firstIndex: 2, prevTerm: 1 } });
    files.crash(loseAll);
    shadow.rebuild(files);
  }
  assertEquals(told.flatMap(({ compactTo }) => compactTo ?? []), [{ firstIndex: 2, prevTerm: 1 }]);
});

test("LogShadow takes a snapshot for one when a power cut would leave all of it, and not before", async () => {
  const shadow = new LogShadow(() => {});
  const files = new MemoryFiles({ observer: shadow });
  const directory = files.directory(SNAPSHOTS_NAME);
  const snapshots = snapshotsOf(files);
  await snapshots.open();
  await takeSnapshot(snapshots, 3, 1000);
  assertEquals(shadow.view.snapshot, 3);
  const [{ id }] = await snapshots.list();
  // Its name is durable, its bytes are not.
  const twin = "snapshot-9-1-9";
  await directory.directory(twin).ensure();
  for (const name of ["container", "meta.json"]) {
    const file = await directory.directory(twin).open(name, { create: true, durable: false });
    await file.write([files.child(SNAPSHOTS_NAME).child(id).image(name)], 0);
  }
  await directory.directory(twin).syncDirectory();
  await directory.syncDirectory();
  assertEquals(shadow.view.snapshot, 3);
  await snapshots.remove(id);
  assertEquals(shadow.view.snapshot, 0);
});

test("what is damaged is what is known of it, where a later batch says that it was there", async () => {
  const shadow = new LogShadow(() => {});
  const files = new MemoryFiles({ observer: shadow });
  const store = storeOf(files);
  await store.open("a");
  for (const write of writes(Random.seeded(5), 0, 12)) await store.write(write);
  await store.write({ records: [], vote: { term: 9, votedFor: "b" } });
  files.crash(loseAll);
  shadow.rebuild(files);
  const before = shadow.view;
  const batches = layoutOf(files.durableFiles()).flatMap(({ name, batches }) => batches.map((it) => ({ ...it, name })));
  const { name, offset } = batches.slice(0, -2).findLast(({ records }) => records.count > 0)!;
  const image = files.image(name);
  image[offset + 20]! ^= 1;
  files.setImage(name, image);
  shadow.rebuild(files);
  assertEquals(words(shadow.view), words(before));
  const damaged = storeOf(files.clone());
  const state = await damaged.open("a");
  assertGreater(state.damaged.length, 0);
  assertEquals(words(await viewOf(damaged, state, nobody, before.log)), words(before));
  await assertRejects(() => viewOf(damaged, state), DamagedEntryError);
  // What nobody knows is not made up.
  await assertRejects(() => viewOf(damaged, state, nobody, new ChainLog()));
  const other = new LogShadow(() => {});
  other.rebuild(files);
  assertEquals(isSameView(other.view, before), false);
});

test("LogShadow goes on after a start that had to say a damaged batch again", async () => {
  const shadow = new LogShadow(() => {});
  const files = new MemoryFiles({ observer: shadow });
  const started = async () => {
    const store = storeOf(files);
    return { store, ...await store.open("a") };
  };
  const first = await started();
  await first.store.write({ records: [commandsOf(1, 1, "one", "two", "three")] });
  await first.store.close();
  await (await started()).store.close();
  // Of the start's two batches the mark is lost, and an entry of the other one.
  const [{ name, batches }] = layoutOf(files.durableFiles());
  const image = files.image(name);
  const copies = new Copies(files);
  image[new TextDecoder("latin1").decode(image).indexOf("two")]! ^= 1;
  image.fill(0, batches[1]!.offset, batches[1]!.end);
  files.setImage(name, image);
  shadow.rebuildDamaged(files, copies.wholeIn(files));
  assertEquals([...shadow.view.damaged!], [2]);
  const { store, damaged } = await started();
  assertEquals(damaged.map(({ from, end }) => [from, end]), [[2, 3]]);
  await store.write({ records: [commandsOf(4, 7, "four")], vote: { term: 7, votedFor: "b" } });
  assertEquals([shadow.view.term, shadow.view.votedFor, shadow.view.log.last], [7, "b", 4]);
});

test("LogShadow: log and snapshots leave no gap when a whole one reaches the first entry", async () => {
  const shadow = new LogShadow(() => {});
  const files = new MemoryFiles({ observer: shadow });
  const store = storeOf(files);
  await store.open("a");
  const snapshots = snapshotsOf(files);
  await snapshots.open();
  assertEquals(shadow.isGapless, true);
  await store.write({ records: [commandsOf(1, 1, "one", "two", "three")] });
  await takeSnapshot(snapshots, 1, 10);
  await takeSnapshot(snapshots, 2, 10);
  const [newest, older] = await snapshots.list();
  await store.write({ records: [], compactTo: { firstIndex: 2, prevTerm: 1 } });
  assertEquals(shadow.isGapless, true);
  files.child(SNAPSHOTS_NAME).child(newest!.id).setImage("container", new Uint8Array(10));
  shadow.findSnapshots(files);
  assertEquals([shadow.isGapless, shadow.view.snapshot], [true, 1]);
  files.child(SNAPSHOTS_NAME).discard(older!.id);
  shadow.findSnapshots(files);
  assertEquals([shadow.isGapless, shadow.view.snapshot], [false, 0]);
});

test("LogShadow says after every operation what a power cut would leave, through starts and crashes", async () => {
  let looked = 0;
  for (let seed = 0; seed < 12; seed++) {
    const random = Random.seeded(seed);
    let check: Promise<void> = Promise.resolve();
    const shadow = new LogShadow(() => {});
    const files: MemoryFiles = new MemoryFiles({
      observer: shadow,
      schedule: async () => {
        const said = words(shadow.view);
        const image = files.clone();
        check = check.then(async () => assertEquals(words(await recovered(image)), said, `seed ${seed}`));
        looked++;
        await check;
      },
    });
    for (let life = 0; life < 4; life++) {
      const store = storeOf(files);
      const { lastIndex } = await store.open("a");
      for (const write of writes(random, lastIndex, 15)) await store.write(write);
      if (random.chance(0.3)) await store.close();
      files.haltAfter(random.below(3));
      await Promise.resolve(store.write({ records: [], vote: { term: 99, votedFor: undefined } })).catch(() => {});
      files.crash(drawCrash(random));
      shadow.rebuild(files);
      assertEquals(words(await recovered(files)), words(shadow.view), `seed ${seed} after crash ${life}`);
    }
  }
  assertGreater(looked, 500);
});

test("LogShadow tells of a write when it is durable and not before", async () => {
  const told: DurableWrite[] = [];
  let isSlow = false;
  let release = () => {};
  const shadow = new LogShadow((write) => told.push(write));
  const files = new MemoryFiles({
    observer: shadow,
    schedule: () => isSlow ? new Promise((resolve) => release = resolve) : Promise.resolve(),
  });
  const store = storeOf(files);
  await store.open("a");
  told.length = 0;
  isSlow = true;
  const done = store.write({ records: [commandsOf(1, 1, "one")], vote: { term: 1, votedFor: "a" } });
  await Promise.resolve();
  assertEquals([told.length, shadow.view.log.last, shadow.view.term], [0, 0, 0]);
  release();
  await done;
  assertEquals([told.length, told[0].records[0].count, shadow.view.log.last, shadow.view.term], [1, 1, 1, 1]);
});

test("LogShadow takes no batch from the cache, out of its place or in a file without a durable name", async () => {
  const shadow = new LogShadow(() => {});
  const files = new MemoryFiles({ observer: shadow });
  const store = storeOf(files);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, "one")] });
  await store.write({ records: [commandsOf(2, 1, "two")] });
  const [name] = files.names();
  const image = files.image(name);
  const before = words(shadow.view);
  const file = await files.open(name, { create: false, durable: true });
  // The second batch once more, where the fourth would go: its sequence is that of another place.
  await file.write([image.subarray(1024, 1536)], 2048);
  assertEquals(words(shadow.view), before);
  // A whole batch in its place, but in the cache only.
  const twin = files.clone();
  const next = storeOf(twin);
  twin.kill();
  await next.open("a");
  const cached = await files.open("0000000000000009.wal", { create: true, durable: true });
  await cached.write([twin.image(twin.names().at(-1)!)], 0);
  assertEquals(words(shadow.view), before);
});

test("views are the same only with the same vote and the same log", async () => {
  const files = new MemoryFiles();
  const store = storeOf(files);
  await store.open("a");
  const view = async (write: StoreWrite) => {
    await store.write(write);
    return await recovered(files);
  };
  const one = await view({ records: [commandsOf(1, 1, "one")], vote: { term: 1, votedFor: "a" } });
  assertEquals(isSameView(one, await recovered(files)), true);
  const two = await view({ records: [], vote: { term: 1, votedFor: "b" } });
  const three = await view({ records: [], vote: { term: 2, votedFor: "b" } });
  const four = await view({ records: [commandsOf(1, 1, "uno")], truncateFrom: 1 });
  const five = await view({ records: [commandsOf(2, 1, "two")] });
  const all = [one, two, three, four, five, { ...five, snapshot: 1 }];
  for (const [i, a] of all.entries()) {
    for (const [j, b] of all.entries()) assertEquals(isSameView(a, b), i === j, `${i} ${j}`);
  }
});
