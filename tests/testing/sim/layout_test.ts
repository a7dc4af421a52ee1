import { assert, assertEquals, assertGreater } from "@std/assert";
import { walStore } from "../../../src/store/wal/wal_store.ts";
import { loseAll, MemoryFiles } from "../../../src/testing/memory_files.ts";
import { Copies } from "../../../src/testing/sim/disk/copies.ts";
import { damageAtRest } from "../../../src/testing/sim/disk/damage.ts";
import { DAMAGE_KINDS } from "../../../src/testing/sim/disk/disk_actions.ts";
import { layoutOf } from "../../../src/testing/sim/disk/layout.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { SECTOR_BYTES } from "../../../src/wire/batch.ts";
import { test } from "../../harness.ts";

const storeOf = (files: MemoryFiles) => walStore(files, { segmentBytes: 8192, random: () => "r", now: () => 0 });

/** Batches of a sector each. */
async function logOf(count: number): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  const store = storeOf(files);
  await store.open("a");
  for (let index = 1; index <= count; index++) await store.write({ records: [commandsOf(index, 1, `entry ${index}`)] });
  await store.close();
  files.crash(loseAll);
  return files;
}

const sequencesOf = (files: MemoryFiles) =>
  layoutOf(files.durableFiles()).flatMap(({ batches }) => batches.map(({ head }) => head.sequence));

for (
  const [name, damage] of [
    ["lost before and after one", { 4: undefined, 6: undefined }],
    ["lost, and a copy of a later one after them", { 4: undefined, 5: 7 }],
    ["lost, and a copy of a later one in their place", { 4: 7, 5: undefined }],
    ["lost, and a copy of an earlier one after them", { 4: undefined, 5: 2 }],
  ] as const
) {
  test(`layoutOf() has every batch that can be read, in the order of writing: ${name}`, async () => {
    const files = await logOf(9);
    const [segment] = layoutOf(files.durableFiles());
    const all = sequencesOf(files);
    const image = files.image(segment.name);
    const before = image.slice();
    const lost: number[] = [];
    for (const [at, source] of Object.entries(damage)) {
      const { offset, head } = segment.batches[Number(at)]!;
      const from = source === undefined ? undefined : segment.batches[source]!.offset;
      image.set(from === undefined ? new Uint8Array(SECTOR_BYTES) : before.subarray(from, from + SECTOR_BYTES), offset);
      lost.push(head.sequence);
    }
    files.setImage(segment.name, image);
    assertEquals(sequencesOf(files), all.filter((sequence) => !lost.includes(sequence)));
  });
}

test(
  "layoutOf() is right where recovery is: what it has of a log that is damaged again and again is found by a start",
  async () => {
    let [whole, damaged] = [0, 0];
    for (let seed = 0; seed < 300; seed++) {
      const random = Random.seeded(seed);
      const files = await logOf(random.between(6, 40));
      for (let i = random.between(2, 5); i > 0; i--) {
        const where = damageAtRest(files, random, random.pick(DAMAGE_KINDS));
        const there = new Copies(files).wholeIn(files);
        const found = await storeOf(files.clone()).open("a").catch(() => undefined);
        if (found === undefined) break;
        for (const { from, end } of found.damaged) {
          for (let index = from; index < end; index++) assert(!there.has(index), `seed ${seed}: ${where}: ${index}`);
          damaged += end - from;
        }
        whole += there.size;
      }
    }
    assertGreater(whole, 5_000);
    assertGreater(damaged, 200);
  },
  { timeoutMs: 60_000 },
);
