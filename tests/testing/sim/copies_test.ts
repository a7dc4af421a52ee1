import { assert, assertEquals, assertGreater } from "@std/assert";
import type { StoreWrite } from "../../../src/store/store.ts";
import { walStore } from "../../../src/store/wal/wal_store.ts";
import { loseAll, MemoryFiles } from "../../../src/testing/memory_files.ts";
import { Copies } from "../../../src/testing/sim/disk/copies.ts";
import { damageAtRest } from "../../../src/testing/sim/disk/damage.ts";
import { DAMAGE_KINDS } from "../../../src/testing/sim/disk/disk_actions.ts";
import { layoutOf } from "../../../src/testing/sim/disk/layout.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";

const storeOf = (files: MemoryFiles) => walStore(files, { segmentBytes: 4096, random: () => "r", now: () => 0 });

/** A log that was appended to, truncated, compacted and started again by chance. */
async function drawLog(random: Random): Promise<MemoryFiles> {
  const files = new MemoryFiles({ location: "/data" });
  let [first, last, term] = [1, 0, 1];
  for (let life = random.between(1, 3); life > 0; life--) {
    const store = storeOf(files);
    await store.open("a");
    for (let i = random.between(3, 12); i > 0; i--) {
      let write: StoreWrite = { records: [] };
      if (random.chance(0.15) && last > first) {
        last = random.between(first, last);
        write = { ...write, truncateFrom: ++last };
        term++;
      } else if (random.chance(0.1) && last > first + 2) {
        first = random.between(first, last - 1) + 1;
        write = { ...write, compactTo: { firstIndex: first, prevTerm: 1 } };
        await store.write(write);
        continue;
      }
      if (write.truncateFrom !== undefined) last = write.truncateFrom - 1;
      const texts = Array.from({ length: random.between(1, 3) }, () => "x".repeat(random.below(700)));
      await store.write({ ...write, records: [commandsOf(last + 1, term, ...texts)] });
      last += texts.length;
    }
    if (random.chance(0.5)) await store.close();
    files.crash(loseAll);
  }
  return files;
}

test("Copies: whatever is damaged, recovery finds every entry to which nothing has happened", async () => {
  let [whole, damaged] = [0, 0];
  for (let seed = 0; seed < 150; seed++) {
    const random = Random.seeded(seed);
    const files = await drawLog(random);
    for (const how of DAMAGE_KINDS) {
      const now = files.clone();
      const copies = new Copies(now);
      const where = damageAtRest(now, random, how);
      const left = copies.wholeIn(now);
      const found = await storeOf(now.clone()).open("a").catch(() => undefined);
      if (found === undefined) continue;
      for (const { from, end } of found.damaged) {
        for (let index = from; index < end; index++) {
          assert(!left.has(index), `seed ${seed}: ${where}: ${index} is there, and recovery takes it for damaged`);
        }
        damaged += end - from;
      }
      whole += left.size;
      for (const index of left) assert(index >= found.firstIndex && index <= found.lastIndex, `seed ${seed}: ${where}`);
    }
  }
  assertGreater(whole, 5000);
  assertGreater(damaged, 200);
}, { timeoutMs: 60_000 });

test("Copies: the same where a log is damaged again and again", async () => {
  let damaged = 0;
  for (let seed = 0; seed < 150; seed++) {
    const random = Random.seeded(seed);
    const files = await drawLog(random);
    const maybe = new Set<number>();
    const { firstIndex, lastIndex } = await storeOf(files.clone()).open("a");
    for (let times = random.between(2, 5); times > 0; times--) {
      const copies = new Copies(files);
      const where = damageAtRest(files, random, random.pick(DAMAGE_KINDS));
      const left = copies.wholeIn(files);
      for (let index = firstIndex; index <= lastIndex; index++) if (!left.has(index)) maybe.add(index);
      const found = await storeOf(files.clone()).open("a").catch(() => undefined);
      if (found === undefined) break;
      assertEquals([found.firstIndex, found.lastIndex], [firstIndex, lastIndex], `seed ${seed}: ${where}`);
      for (const { from, end } of found.damaged) {
        for (let index = from; index < end; index++) assert(maybe.has(index), `seed ${seed}: ${where}: ${index}`);
        damaged += end - from;
      }
    }
  }
  assertGreater(damaged, 200);
}, { timeoutMs: 60_000 });

test("Copies: an entry is whole until its record, or what it is found by, changes", async () => {
  const files = new MemoryFiles();
  const store = storeOf(files);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, "one")] });
  await store.write({ records: [commandsOf(2, 1, "two", "three", "four")] });
  await store.close();
  files.crash(loseAll);
  const [{ name, batches }] = layoutOf(files.durableFiles());
  const { offset, head, records } = batches.find(({ head }) => head.from === 2)!;
  const body = (i: number) => offset + head.headBytes + records.offsets[i + 1]! - 1;
  const leaves = (at: number) => {
    const now = files.clone();
    const copies = new Copies(now);
    const image = now.image(name);
    image[at]! ^= 1;
    now.setImage(name, image);
    return [...copies.wholeIn(now)];
  };
  assertEquals(leaves(body(0)), [1, 3, 4]);
  assertEquals(leaves(body(2)), [1, 2, 3]);
  assertEquals(leaves(offset + head.headBytes + records.offsets[1]!), [1], "where the third is is not known");
  assertEquals(leaves(offset), [1], "nor that there is anything");
  assertEquals(leaves(body(2) + 1), [1, 2, 3, 4], "what fills up a batch is nobody's");
});
