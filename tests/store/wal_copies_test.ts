import { assertEquals } from "@std/assert";
import type { Store, StoreState } from "../../src/store/store.ts";
import type { MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import { assertHonest, entriesOf, FIRST, usedBytes, written } from "./damaged_wal.ts";
import { smallStore, type Step } from "./scenario.ts";

const SECTOR = 512;

/** Batches of one sector each, with one entry each; closing writes one more, which proves all before it. */
const steps: readonly Step[] = Array.from({ length: 5 }, (_, i) => ({ records: [commandsOf(i + 1, 1, `${i}`)] }));

/** Copies a sector to another place and loses one more; undefined for none. */
function misplace(files: MemoryFiles, from: number, to: number, lost: number | undefined): MemoryFiles {
  const damaged = files.clone();
  const before = damaged.image(FIRST);
  const image = new Uint8Array(Math.max(before.length, to + SECTOR));
  image.set(before);
  image.set(before.subarray(from, from + SECTOR), to);
  if (lost !== undefined) image.fill(0, lost, lost + SECTOR);
  damaged.setImage(FIRST, image);
  return damaged;
}

/** From any entry that is whole on, as many as there are room for come at a time, and none of them is another one. */
async function assertReadable(store: Store, { damaged, lastIndex }: StoreState, where: string): Promise<void> {
  const isDamaged = (index: number) => damaged.some(({ from, end }) => from <= index && index < end);
  for (let from = 1; from <= lastIndex; from++) {
    if (isDamaged(from)) continue;
    const texts = textsOf(await store.read(from, lastIndex + 1, 100_000));
    assertEquals(texts, Array.from({ length: Math.max(1, texts.length) }, (_, i) => `${from - 1 + i}`), where);
  }
}

/** The entries of which something is damaged, and that the store takes for damaged. */
async function damagedIn(files: MemoryFiles, where: string): Promise<number[]> {
  const store = smallStore(files);
  const state = await store.open("a");
  assertEquals([state.firstIndex, state.lastIndex], [1, steps.length], where);
  await assertHonest(store, state, entriesOf(steps), where);
  await assertReadable(store, state, where);
  return state.damaged.flatMap(({ from, end }) => Array.from({ length: end - from }, (_, i) => from + i));
}

test("walStore finds every entry that is where it was, whatever is copied to another place and whatever else is lost", async () => {
  const files = await written(steps);
  const image = files.image(FIRST);
  const end = usedBytes(image);
  const entryAt = (offset: number) => {
    const text = new TextDecoder("latin1").decode(image.subarray(offset, offset + SECTOR));
    return [...entriesOf(steps)].find(([, entry]) => text.includes(new TextDecoder("latin1").decode(entry.bytes)))?.[0];
  };
  // The first batch of a segment says what the log begins with, and the last one proves those before it.
  const mark = end - SECTOR;
  const places = Array.from({ length: end / SECTOR - 3 }, (_, i) => (i + 2) * SECTOR);
  assertEquals(places.flatMap((place) => entryAt(place) ?? []).length >= steps.length - 1, true);
  let count = 0;
  for (let from = SECTOR; from < end; from += SECTOR) {
    for (const to of [...places, mark, end, end + SECTOR]) {
      // Without its mark nothing says that the last entry was there but that entry itself.
      const losses = to === mark ? places.slice(0, -1) : places;
      for (const lost of [undefined, ...losses]) {
        const hit = [to, lost].flatMap((place) =>
          place === undefined || place === from && place !== lost ? [] : [place]
        );
        const expected = hit.flatMap((place) => entryAt(place) ?? []);
        const where = `copy of ${from} at ${to}, ${lost} lost`;
        const found = await damagedIn(misplace(files, from, to, lost), where);
        assertEquals(found.every((index) => expected.includes(index)), true, `${where}: ${found} of ${expected}`);
        count += found.length;
      }
    }
  }
  assertEquals(count > 100, true);
});

test("walStore finds what lies behind a batch of which anything is damaged, and a copy of a later one in the next place", async () => {
  const files = await written(steps);
  const text = new TextDecoder("latin1");
  const image = text.decode(files.image(FIRST));
  const placeOf = (index: number) => {
    const at = image.indexOf(text.decode(entriesOf(steps).get(index)!.bytes));
    return Math.floor(at / SECTOR) * SECTOR;
  };
  const copied = misplace(files, placeOf(5), placeOf(3), undefined);
  assertEquals(await damagedIn(copied, "a copy"), [3]);
  let both = 0;
  for (let at = placeOf(2); at < placeOf(2) + SECTOR; at++) {
    const damaged = copied.clone();
    const bytes = damaged.image(FIRST);
    bytes[at]! ^= 1;
    damaged.setImage(FIRST, bytes);
    const found = await damagedIn(damaged, `a copy, and another bit at ${at}`);
    assertEquals(found.every((index) => index === 2 || index === 3), true, `${at}: ${found}`);
    if (found.length === 2) both++;
  }
  assertEquals(both > 50, true);
});
