/**
 * Disks that read wrongly once: no reason to believe that anything is damaged, or the end of the log.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CorruptionError, DamagedEntryError } from "../../src/errors.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import { type FileOperation, MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import { loseBatch } from "./damaged_wal.ts";
import { after, contentOf, NOTHING, runHistory, smallStore, twoSegments } from "./scenario.ts";

const whole = twoSegments.reduce(after, NOTHING);

/** Which reads are wrong, counted from 0, and what about them. */
type Lie = (read: number, bytes: Uint8Array) => void;

/** The disk with these steps on it, whose reads go through `lie`; nothing on it is changed. */
async function lying(
  lie: Lie,
  history = twoSegments,
): Promise<{ readonly files: MemoryFiles; readonly reads: () => number }> {
  const good = new MemoryFiles();
  await runHistory(good, history);
  let reads = 0;
  const files = new MemoryFiles({
    misread: ({ kind }: FileOperation, bytes) => void (kind === "read" && lie(reads++, bytes)),
  });
  files.copyFrom(good);
  return { files, reads: () => reads };
}

/** Turns a bit here and there of each read, one in each run, until there are no more reads. */
async function eachLie(
  run: (lie: Lie) => Promise<{ readonly reads: number }>,
): Promise<number> {
  let tried = 0;
  for (let at = 0;; at++) {
    let length = Infinity;
    for (let offset = 0; offset < length; offset += 37) {
      let bytes = 0;
      const { reads } = await run((read, found) => {
        if (read !== at) return;
        bytes = found.length;
        if (offset < bytes) found[offset]! ^= 1 << offset % 8;
      });
      if (reads <= at) return tried;
      // Behind what was ever written there are only zeros.
      length = Math.min(bytes, 3_000);
      tried++;
    }
  }
}

for (
  const [what, history] of [["two segments", twoSegments], [
    "one",
    twoSegments.filter((step) => step !== "reopen"),
  ]] as const
) {
  test(`walStore: one wrong bit in any one read of a start changes nothing of what is found in ${what}`, async () => {
    const tried = await eachLie(async (lie) => {
      const { files, reads } = await lying(lie, history);
      const store = smallStore(files);
      const state = await store.open("a");
      const count = reads();
      assertEquals([state.damaged, state.lastIndex, state.vote], [[], 5, whole.vote]);
      const entries = [];
      for (let index = 1; index <= 5; index++) entries.push(...textsOf(await store.read(index, index + 1, 10_000)));
      assertEquals(entries, whole.entries.map((entry) => entry.slice(2)));
      await store.close();
      return { reads: count };
    });
    assert(tried > 100, `${tried} places were tried`);
  });
}

test("read() reads once more what seems damaged, and believes the second reading, whatever that is", async () => {
  for (const lies of [1, 2]) {
    let left = 0;
    const { files, reads } = await lying((_, bytes) => {
      if (left > 0 && left--) bytes[60]! ^= 4;
    });
    const store = smallStore(files);
    await store.open("a");
    left = lies;
    const before = reads();
    const read = async () => textsOf(await store.read(2, 3, 1_000));
    if (lies === 1) {
      assertEquals(await read(), ["two".repeat(70)]);
      assertEquals(reads() - before, 2);
      left = 0;
    } else await assertRejects(read, DamagedEntryError);
    // What was believed to be damaged once is, until it is repaired.
    if (lies === 2) await assertRejects(read, DamagedEntryError);
    await store.close();
    assertEquals((await contentOf(files)).content, whole);
  }
});

test("read() tries once more what the disk could not read", async () => {
  for (const failures of [1, 2]) {
    let left = 0;
    const { files } = await lying(() => {});
    files.fault = ({ kind }) =>
      kind === "read" && left > 0 && left-- ? Object.assign(new Error("EIO: i/o error"), { code: "EIO" }) : undefined;
    const store = smallStore(files);
    await store.open("a");
    left = failures;
    const read = async () => textsOf(await store.read(1, 3, 1_000));
    // The second one is for the first entry alone.
    if (failures === 1) assertEquals(await read(), ["one"]);
    else await assertRejects(read, DamagedEntryError, "EIO");
    await store.close();
  }
});

test("read() takes what is damaged for that, in the same place, both times", async () => {
  const { files } = await lying(() => {});
  const store = smallStore(files);
  await store.open("a");
  const name = files.names()[0]!;
  const image = files.image(name);
  image[new TextDecoder("latin1").decode(image).indexOf("twotwo")]! ^= 1;
  files.setImage(name, image);
  await assertRejects(async () => await store.read(2, 3, 1_000), DamagedEntryError, name);
  await store.close();
});

test("walStore comes to an end whenever a batch can't be read any more that was found behind damage", async () => {
  // More than is read at a time lies behind it, so that it has to be read again.
  const texts = ["first", "second", "third", "fourth", "fifth", "x".repeat(1_500_000)];
  const open = (files: MemoryFiles) => {
    const store = walStore(files, { segmentBytes: 4 << 20, random: () => "random", now: () => 0 });
    return store.open("a").then((state) => ({ store, state }));
  };
  const files = new MemoryFiles();
  const { store } = await open(files);
  for (const [i, text] of texts.entries()) await store.write({ records: [commandsOf(i + 1, 1, text)] });
  await store.close();
  loseBatch(files, "second");
  loseBatch(files, "fourth");
  const ends = new Set<string>();
  for (let from = 0; from < 20; from++) {
    let reads = 0;
    const unsteady = new MemoryFiles({
      misread: ({ kind }: FileOperation, bytes) => {
        if (kind !== "read") return;
        if (++reads > 1_000) throw new Error("it goes on for ever");
        const at = new TextDecoder("latin1").decode(bytes).indexOf("fifth");
        if (at >= 0 && reads > from) bytes.fill(0, at - at % 512, at - at % 512 + 512);
      },
    });
    unsteady.copyFrom(files);
    ends.add(
      await open(unsteady).then(
        ({ state }) => state.damaged.map(({ from, end }) => `${from} to ${end}`).join(),
        (error) => {
          if (!(error instanceof CorruptionError)) {
            throw error;
          }
          return error.message.replace(/.*: /, "");
        },
      ),
    );
  }
  assertEquals([...ends].sort(), ["2 to 3,4 to 5", "2 to 3,4 to 6", "it reads differently each time"]);
});
