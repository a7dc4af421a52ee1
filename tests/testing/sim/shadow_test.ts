import { assertEquals, assertGreater } from "@std/assert";
import type { StoreWrite } from "../../../src/store/store.ts";
import { walStore } from "../../../src/store/wal/wal_store.ts";
import { loseAll, MemoryFiles } from "../../../src/testing/memory_files.ts";
import { LogShadow } from "../../../src/testing/sim/disk/shadow.ts";
import { type DurableWrite, isSameView, viewOf } from "../../../src/testing/sim/disk_view.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { DiskView } from "../../../src/testing/sim/view.ts";
import { drawCrash } from "../../../src/testing/sim/disk/crash.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";

const storeOf = (files: MemoryFiles) => walStore(files, { segmentBytes: 4096, random: () => "r", now: () => 0 });

async function recovered(files: MemoryFiles): Promise<DiskView> {
  const image = files.clone();
  image.crash(loseAll);
  const store = storeOf(image);
  return await viewOf(store, await store.open("a"));
}

const words = ({ term, votedFor, log }: DiskView) => `${term} ${votedFor} ${log.last} ${log.hashAt(log.last)}`;

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
      shadow.rebuild(files.durableFiles());
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
  const all = [one, two, three, four, five];
  for (const [i, a] of all.entries()) {
    for (const [j, b] of all.entries()) assertEquals(isSameView(a, b), i === j, `${i} ${j}`);
  }
});
