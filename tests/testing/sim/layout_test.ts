import { assertEquals, assertGreater } from "@std/assert";
import type { StoreWrite } from "../../../src/store/store.ts";
import { walStore } from "../../../src/store/wal/wal_store.ts";
import { loseAll, MemoryFiles } from "../../../src/testing/memory_files.ts";
import { Copies } from "../../../src/testing/sim/disk/copies.ts";
import { damageAtRest, unprovenOf } from "../../../src/testing/sim/disk/damage.ts";
import { DAMAGE_KINDS } from "../../../src/testing/sim/disk/disk_actions.ts";
import { layoutOf } from "../../../src/testing/sim/disk/layout.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";

/** Segments of seven batches of a sector each. */
const storeOf = (files: MemoryFiles) => walStore(files, { segmentBytes: 4096, random: () => "r", now: () => 0 });

const entry = (index: number, truncateFrom?: number): StoreWrite => ({
  records: [commandsOf(index, 1, `entry ${index}`)],
  ...truncateFrom === undefined ? {} : { truncateFrom },
});

/** A log that ends with entry `last`, and which of its entries may be damaged by what has happened to it. */
class Damaged {
  readonly files: MemoryFiles = new MemoryFiles();
  readonly last: number;
  readonly #maybe = new Set<number>();

  constructor(last: number) {
    this.last = last;
  }

  static async of(writes: readonly StoreWrite[], last: number): Promise<Damaged> {
    const log = new Damaged(last);
    const store = storeOf(log.files);
    await store.open("a");
    for (const write of writes) await store.write(write);
    await store.close();
    log.files.crash(loseAll);
    return log;
  }

  get batches() {
    return layoutOf(this.files.durableFiles()).flatMap(({ name, batches }) => batches.map((it) => ({ ...it, name })));
  }

  /** The latest batch that begins with this entry. */
  at(index: number) {
    return this.batches.findLast(({ head, records }) => head.from === index && records.count > 0)!;
  }

  damage(name: string, change: (image: Uint8Array) => void): void {
    const copies = new Copies(this.files);
    const image = this.files.image(name);
    change(image);
    this.files.setImage(name, image);
    const whole = copies.wholeIn(this.files);
    for (let index = 1; index <= this.last; index++) if (!whole.has(index)) this.#maybe.add(index);
  }

  /** A start takes nothing for damaged to which nothing has happened, and cuts nothing off. */
  async judge(): Promise<void> {
    const { damaged, lastIndex } = await storeOf(this.files.clone()).open("a");
    assertEquals(lastIndex, this.last);
    const found = damaged.flatMap(({ from, end }) => Array.from({ length: end - from }, (_, i) => from + i));
    assertEquals(found.filter((index) => !this.#maybe.has(index)), []);
  }
}

test("layoutOf() has every batch that can be read, in the order of writing, where a copy lies in a lost one's place", async () => {
  const log = await Damaged.of([1, 2, 3, 4, 5].map((index) => entry(index)), 5);
  const [two, three, four] = [2, 3, 4].map((index) => log.at(index));
  const before = log.batches.map(({ head }) => head.sequence);
  log.damage(two!.name, (image) => image.copyWithin(two!.offset, four!.offset, four!.end));
  log.damage(two!.name, (image) => image.fill(0, three!.offset, three!.end));
  const lost = [two!, three!].map(({ head }) => head.sequence);
  assertEquals(log.batches.map(({ head }) => head.sequence), before.filter((sequence) => !lost.includes(sequence)));
  await log.judge();
});

test("Copies: what a truncation has replaced is in doubt where a copy in a segment's first place hides that", async () => {
  const writes = [1, 2, 3, 4].map((index) => entry(index));
  writes.push(entry(3, 3), entry(4), entry(5), entry(6), entry(6, 6), entry(7), entry(8));
  const log = await Damaged.of(writes, 8);
  const [first, ...others] = log.batches.filter(({ name }) => name.endsWith("2.wal"));
  const later = others.findLast(({ records }) => records.count > 0)!;
  log.damage(first!.name, (image) => image.copyWithin(first!.offset, later.offset, later.end));
  await log.judge();
});

test("Copies: a batch whose entries are damaged still says what it truncates", async () => {
  const writes = [1, 2, 3, 4, 5].map((index) => entry(index));
  writes.push(entry(3, 3), entry(4), entry(5), entry(6), entry(6, 6), entry(7));
  const log = await Damaged.of(writes, 7);
  const { name, head, offset, end } = log.at(6);
  log.damage(name, (image) => image[offset + head.headBytes + head.recordBytes - 1]! ^= 1);
  await log.judge();
  log.damage(name, (image) => image.fill(0, offset, end));
  await log.judge();
});

test("Copies: of a batch of which only what it repairs is damaged the rest is known", async () => {
  const log = await Damaged.of([1, 2, 3, 4].map((index) => entry(index)), 5);
  const two = log.at(2);
  log.damage(two.name, (image) => image[two.offset + two.head.headBytes + two.head.recordBytes - 1]! ^= 1);
  const store = storeOf(log.files);
  await store.open("a");
  await store.write({ ...entry(5), repairs: [commandsOf(2, 1, "entry 2")] });
  await store.close();
  log.files.crash(loseAll);
  const { name, offset, head } = log.batches.find(({ head }) => head.repaired.length > 0)!;
  log.damage(name, (image) => image[offset + head.headBytes + head.repaired[0]!.bytes - 1]! ^= 1);
  assertEquals([...new Copies(log.files).wholeIn(log.files)], [1, 3, 4, 5]);
  await log.judge();
});

test("Copies: what was repaired counts where it was written anew, and nowhere else", async () => {
  const repair = { records: [], repairs: [commandsOf(2, 1, "entry 2")] };
  const log = await Damaged.of([entry(1), entry(2), entry(3), repair], 3);
  const { name, offset, head } = log.batches.find(({ head }) => head.repaired.length > 0)!;
  log.damage(name, (image) => image[offset + head.headBytes + head.repaired[0]!.bytes - 1]! ^= 1);
  assertEquals([...new Copies(log.files).wholeIn(log.files)], [1, 3]);
  await log.judge();
});

test("unprovenOf() goes by a header as recovery does: only of one of which nothing is left it supposes a batch", async () => {
  const files = new MemoryFiles();
  const store = storeOf(files);
  await store.open("a");
  for (let index = 1; index <= 7; index++) await store.write(entry(index));
  const crashed = files.clone();
  await store.close();
  crashed.crash(loseAll);
  const segments = layoutOf(crashed.durableFiles());
  const last = segments.findLast(({ batches }) => batches.length > 0)!;
  assertEquals([last.hasBatch, last.batches.length, unprovenOf(segments)?.segment.name], [false, 1, last.name]);
  const image = crashed.image(last.name);
  image[100]! ^= 1;
  crashed.setImage(last.name, image);
  assertEquals(unprovenOf(layoutOf(crashed.durableFiles()))?.segment.name, last.name);
  image.fill(0, 0, 512);
  crashed.setImage(last.name, image);
  assertEquals(unprovenOf(layoutOf(crashed.durableFiles())), undefined);
});

for (const what of ["is lost", "would be taken for a torn write"]) {
  test(`damageAtRest() leaves the only proof of a batch that ${what}: nobody could tell then`, async () => {
    const log = await Damaged.of([1, 2, 3].map((index) => entry(index)), 3);
    const { name, offset, end } = log.at(3);
    log.damage(name, (image) => what === "is lost" ? image.fill(0, offset, end) : image[end - 1]! ^= 1);
    let opened = 0;
    for (let seed = 0; seed < 400; seed++) {
      const files = log.files.clone();
      const random = Random.seeded(seed);
      const where = damageAtRest(files, random, random.pick(DAMAGE_KINDS));
      const found = await storeOf(files).open("a").catch(() => undefined);
      if (found === undefined) continue;
      opened++;
      assertEquals(found.lastIndex, 3, `seed ${seed}: ${where}`);
    }
    assertGreater(opened, 200);
  });
}
