import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { CorruptionError, StorageError, StoreLockedError } from "../../src/errors.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import { type FileOperation, loseAll, MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf } from "../../src/testing/store_cases.ts";
import { SegmentScanner } from "../../src/store/wal/scanner.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { encodeRecords } from "../../src/wire/record.ts";
import { test } from "../harness.ts";
import { after, type Content, contentOf, NOTHING, runHistory, smallStore, type Step } from "./scenario.ts";

const FIRST = "0000000000000001.wal";
const SECOND = "0000000000000002.wal";

/** Short, so that each byte can be tried. */
const steps: readonly Step[] = [
  // Not so little that a start would merge it with what comes next.
  { records: [commandsOf(1, 1, "one", "two".repeat(70))], vote: { term: 1, votedFor: "a" }, clusterId: "cluster" },
  { records: [commandsOf(3, 1, "three")] },
  "reopen",
  { truncateFrom: 3, records: [commandsOf(3, 2, "THREE")], vote: { term: 2, votedFor: "b" } },
  { records: [commandsOf(4, 2, "four", "x".repeat(600))] },
];

const whole: Content = steps.reduce(after, NOTHING);

/** A disk with these steps on it, closed (which writes a mark) or killed. */
async function written(end: "close" | "kill" = "close"): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  if (end === "close") await runHistory(files, steps);
  else {
    const store = smallStore(files);
    await store.open("a");
    for (const step of steps) if (typeof step !== "string") await store.write(step);
    files.crash(loseAll);
  }
  return files;
}

function flip(files: MemoryFiles, name: string, at: number): MemoryFiles {
  const damaged = files.clone();
  const bytes = damaged.image(name);
  bytes[at] ^= 1 << at % 8;
  damaged.setImage(name, bytes);
  return damaged;
}

/** Where the written part of a file ends: behind it are zeros that were never used. */
function usedBytes(image: Uint8Array): number {
  return Math.ceil((image.findLastIndex((byte) => byte !== 0) + 1) / 512) * 512;
}

test("walStore refuses every flipped bit at or below the mark, and cuts only the mark itself", async () => {
  const files = await written();
  for (const name of files.names()) {
    const end = usedBytes(files.image(name));
    const isLast = name === files.names().at(-1);
    for (let at = 0; at < end; at++) {
      const damaged = flip(files, name, at);
      const before = damaged.image(name);
      if (isLast && at >= end - 512) {
        assertEquals((await contentOf(damaged)).content, whole, `${name} at ${at}`);
        continue;
      }
      const error = await assertRejects(() => contentOf(damaged), CorruptionError, name, `${name} at ${at}`);
      assert(error.offset <= at && error.offset % 512 === 0, `${name} at ${at}: ${error.message}`);
      assertStringIncludes(error.message, `at offset ${error.offset}`);
      assertEquals(damaged.image(name), before);
    }
  }
});

test("walStore cuts a flipped bit in the last write when nothing says that it was durable, and no other", async () => {
  const files = await written("kill");
  const [name] = files.names();
  const end = usedBytes(files.image(name));
  const lastBytes = 1_024;
  const cut = steps.slice(0, -1).reduce(after, NOTHING);
  for (let at = 0; at < end; at++) {
    const damaged = flip(files, name, at);
    if (at < end - lastBytes) await assertRejects(() => contentOf(damaged), CorruptionError, name, `at ${at}`);
    else assertEquals((await contentOf(damaged)).content, cut, `at ${at}`);
  }
});

test("walStore refuses a sector that is zero or was never written below the mark", async () => {
  const files = await written();
  for (const name of files.names()) {
    const image = files.image(name);
    const end = usedBytes(image) - (name === files.names().at(-1) ? 512 : 0);
    for (let at = 0; at < end; at += 512) {
      const damaged = files.clone();
      damaged.setImage(name, image.slice().fill(0, at, at + 512));
      await assertRejects(() => contentOf(damaged), CorruptionError, name);
    }
  }
});

test("walStore refuses damage to what a start has said again, whatever came after it", async () => {
  // Without anything after it only the header says that it was durable; with one write only what follows says it.
  for (const more of [0, 1, 2, 3]) {
    const files = new MemoryFiles();
    let store = smallStore(files);
    await store.open("a");
    // Too much to be merged into what the next start writes.
    await store.write({ records: [commandsOf(1, 1, "x".repeat(2_000))] });
    await store.write({ records: [commandsOf(2, 1, "two")] });
    files.crash(loseAll);
    store = smallStore(files);
    await store.open("a");
    for (let i = 0; i < more; i++) await store.write({ records: [commandsOf(3 + i, 1, "x".repeat(700))] });
    files.crash(loseAll);
    const last = files.names().at(-1)!;
    for (const at of [512, 600, 700]) {
      const damaged = flip(files, last, at);
      await assertRejects(() => contentOf(damaged), CorruptionError, last, `${more} more, ${at}`);
    }
  }
});

test("walStore refuses a batch in another batch's place", async () => {
  const files = await written();
  const image = files.image(SECOND);
  const moved = image.slice();
  moved.set(image.subarray(1_024, 1_536), 512);
  files.setImage(SECOND, moved);
  await assertRejects(() => contentOf(files), CorruptionError, SECOND);
});

test("walStore refuses a segment of another history of the same disk", async () => {
  const forks: MemoryFiles[] = [];
  for (const text of ["ours", "hers"]) {
    const files = new MemoryFiles();
    const write = { records: [commandsOf(1, 1, text.repeat(70))] };
    await runHistory(files, [write, { records: [commandsOf(2, 1, "x")] }, "reopen", {
      records: [commandsOf(3, 1, "y")],
    }]);
    forks.push(files);
  }
  // Sequences, seeds and indexes are the same; only the chain of checksums tells.
  forks[0].setImage(SECOND, forks[1].image(SECOND));
  await assertRejects(() => contentOf(forks[0]), CorruptionError, "does not follow the batch before");
});

test("walStore refuses a last write that is whole but of a newer kind, rather than cutting it", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  const newer = encodeRecords(1, 1, 1_000, [{ type: 99 as 0, payload: new Uint8Array(3) }]);
  await store.write({ records: [newer] });
  files.crash(loseAll);
  await assertRejects(() => contentOf(files), CorruptionError, "type 99 is unknown");
});

test("mark() writes once after each write, and takes turns with writes", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  for (let index = 1; index <= 3; index++) {
    const both = [store.mark!(), store.write({ records: [commandsOf(index, 1, "x")] }), store.mark!(), store.mark!()];
    await Promise.all(both);
    assertEquals(store.mark!(), undefined);
    const before = files.image(FIRST);
    await store.mark!();
    assertEquals(files.image(FIRST), before);
  }
  // Each mark is there: damage to the write before it is not taken for a torn one.
  files.crash(loseAll);
  const image = files.image(FIRST);
  const last = usedBytes(image) - 1_024;
  await assertRejects(() => contentOf(flip(files, FIRST, last)), CorruptionError, FIRST);
});

test("SegmentScanner.proofAfter() finds a batch wherever its window ends", async () => {
  const head = { segment: 1, sequence: 9, mark: 8, chain: 0, group: 0, vote: { term: 1, votedFor: "a".repeat(64) } };
  const batch = Uint8Array.from(encodeBatch(head, [], 5).parts.flatMap((part) => [...part]));
  const files = new MemoryFiles();
  for (const at of [512, 2 ** 20 - 1_024, 2 ** 20 - 512, 2 ** 20, 2 ** 20 + 512, 3 * 2 ** 20 - 512]) {
    const image = new Uint8Array(3 * 2 ** 20);
    image.set(batch, at);
    files.setImage("x", image);
    const scanner = new SegmentScanner(await files.open("x", { create: false, durable: false }), "x", 5);
    assertEquals(await scanner.proofAfter(512, 8), at);
    assertEquals(await scanner.proofAfter(512, 9), undefined);
  }
});

test("walStore refuses a log with a file missing, cut short, exchanged or from another disk", async () => {
  const files = await written();
  assertEquals(files.names(), [FIRST, SECOND]);

  const short = files.clone();
  short.setImage(FIRST, files.image(FIRST).slice(0, 1_024));
  await assertRejects(() => contentOf(short), CorruptionError, FIRST);

  const empty = files.clone();
  empty.setImage(SECOND, new Uint8Array(0));
  await assertRejects(() => contentOf(empty), CorruptionError, SECOND);

  const exchanged = files.clone();
  exchanged.setImage(FIRST, files.image(SECOND));
  await assertRejects(() => contentOf(exchanged), CorruptionError, "by its header");

  const missing = files.clone();
  missing.discard(FIRST);
  await assertRejects(() => contentOf(missing), CorruptionError, "missing");

  const three = files.clone();
  await contentOf(three, "close");
  three.discard(SECOND);
  await assertRejects(() => contentOf(three), CorruptionError, "missing");

  const gap = files.clone();
  gap.setImage("0000000000000004.wal", files.image(SECOND));
  await assertRejects(() => contentOf(gap), CorruptionError, "by its header");

  const mixed = new MemoryFiles();
  const store = walStore(mixed, { segmentBytes: 4_096, random: () => "another" });
  await store.open("a");
  await store.close();
  files.setImage(FIRST, mixed.image(FIRST));
  await assertRejects(() => contentOf(files), CorruptionError, "another disk");
});

test("walStore refuses a newer format and says so", async () => {
  const files = await written("kill");
  const image = files.image(FIRST);
  image[8] = 2;
  new DataView(image.buffer).setUint32(0, crc32c(image, 4, 512), true);
  files.setImage(FIRST, image);
  const error = await assertRejects(() => contentOf(files), StorageError, "newer");
  assertMatch(error.message, /format version 2 is newer than 1: use a newer release/);
  assertEquals(files.image(FIRST), image);
});

test("walStore refuses a directory with other things in it, and leaves it alone", async () => {
  const files = new MemoryFiles({ location: "/data" });
  files.setImage("holiday.jpg", new Uint8Array(10));
  const error = await assertRejects(() => smallStore(files).open("a"), StorageError);
  assertStringIncludes(error.message, '"/data"');
  assertStringIncludes(error.message, '"holiday.jpg"');
  assertEquals(files.names(), ["holiday.jpg"]);
});

test("walStore begins anew over what an interrupted first start left", async () => {
  const files = new MemoryFiles();
  files.setImage("segment.tmp", new Uint8Array(700).fill(7));
  assertEquals((await contentOf(files)).content, NOTHING);
});

test("walStore takes the directory for itself and gives it back", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  await assertRejects(() => smallStore(files).open("a"), StoreLockedError);
  await store.close();
  await contentOf(files);
});

test("read() refuses an entry that was damaged since, and names file and offset", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, "one", "two", "three")] });
  const image = files.image(FIRST);
  const at = new TextDecoder("latin1").decode(image).indexOf("two");
  image[at] ^= 1;
  files.setImage(FIRST, image);
  assertEquals((await store.read(1, 2, 1_000))[0].count, 1);
  const error = await assertRejects(async () => await store.read(1, 4, 1_000), CorruptionError, FIRST);
  assertEquals(error.offset, at - 48);
});

test("read() says which file can't be read, and takes writes and reads afterwards", async () => {
  for (const kind of ["open", "read"] as const) {
    const files = new MemoryFiles({ location: "/data" });
    const store = smallStore(files);
    await store.open("a");
    await store.write({ records: [commandsOf(1, 1, "one")] });
    let failed = 0;
    files.fault = (operation) => operation.kind === kind && failed++ === 0 ? new Error("EIO: i/o error") : undefined;
    const error = await assertRejects(async () => await store.read(1, 2, 1_000), StorageError);
    assertEquals(error.operation, "read");
    assertEquals(error.message, `Cannot read "/data/${FIRST}": EIO: i/o error: see to the disk, then restart`);
    await store.write({ records: [commandsOf(2, 1, "two")] });
    assertEquals((await store.read(1, 3, 1_000))[0].count, 2);
  }
});

test("walStore takes no write after a failed one, whatever failed, and tries nothing twice (BL17, BL19)", async () => {
  for (const kind of ["write", "rename", "sync", "sync-directory", "truncate", "open"] as const) {
    const files = new MemoryFiles();
    const store = smallStore(files);
    await store.open("a");
    let failed = 0;
    files.fault = (operation) => operation.kind === kind && failed++ === 0 ? new Error("EIO: i/o error") : undefined;
    let acknowledged = 0;
    const error = await assertRejects(
      async () => {
        for (; acknowledged < 50; acknowledged++) {
          await store.write({ records: [commandsOf(acknowledged + 1, 1, "x".repeat(500))] });
        }
      },
      StorageError,
      "EIO",
    );
    assertEquals(error.operation, "write");
    const again = await assertRejects(async () => await store.write({ records: [], vote: { term: 9, votedFor: "a" } }));
    assertEquals(again, error);
    assertEquals(store.mark!(), undefined);
    assertEquals(failed, 1, kind);
    await store.close();
    files.crash(loseAll);
    const { content } = await contentOf(files);
    assertEquals([content.entries.length, content.vote.term], [acknowledged, 0], kind);
  }
});

test("open() gives the directory back when the disk fails, and finds everything when it is whole again", async () => {
  const files = await written();
  for (let at = 0;; at++) {
    const damaged = files.clone();
    let count = 0;
    damaged.fault = (_: FileOperation) => count++ === at ? new Error("EIO: i/o error") : undefined;
    const store = smallStore(damaged);
    const error = await store.open("a").then(() => undefined, (error) => error);
    if (error === undefined) break;
    assertInstanceOf(error, StorageError);
    assertMatch(error.message, /^Cannot (open "memory"|read "memory\/\d+.wal"): EIO/);
    damaged.fault = () => undefined;
    damaged.crash(loseAll);
    assertEquals((await contentOf(damaged)).content, whole);
  }
});

test("walStore stops when the disk is full, and opens again when there is room", async () => {
  const files = new MemoryFiles({ bytesMax: 20_000 });
  const store = smallStore(files);
  await store.open("a");
  let count = 0;
  await assertRejects(
    async () => {
      for (;; count++) await store.write({ records: [commandsOf(count + 1, 1, "x".repeat(900))] });
    },
    StorageError,
    "ENOSPC",
  );
  await store.close();
  const roomy = files.clone();
  assertEquals((await contentOf(roomy)).content.entries.length, count);
});

test("walStore doesn't take a payload that looks like a batch for one", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, "one")] });
  // A batch as another segment would hold it, with a mark far ahead, at the start of a sector.
  const forged = encodeBatch({ segment: 1, sequence: 99, mark: 98, chain: 0, group: 0 }, [], 0).parts[0];
  const payload = new Uint8Array(2_000);
  for (let at = 0; at < 512 - forged.length; at += forged.length) payload.set(forged, 512 + at);
  files.haltAfter(0);
  await assertRejects(async () => {
    await store.write({ records: [encodeRecords(2, 1, 1_000, [{ type: 0, payload }])] });
  });
  let sector = 0;
  files.crash((options, what) => what.startsWith("sector") && sector++ === 0 ? 0 : options - 1);
  assertEquals((await contentOf(files)).content.entries, ["1:one"]);
});
