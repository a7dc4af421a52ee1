import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { CorruptionError, StorageError, StorageFullError, StoreLockedError } from "../../src/errors.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import { type FileOperation, loseAll, MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { LogState } from "../../src/store/wal/log_state.ts";
import { SegmentScanner } from "../../src/store/wal/scanner.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { concatenate } from "../../src/wire/bytes.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { encodeRecords } from "../../src/wire/record.ts";
import { test } from "../harness.ts";
import { after, type Content, contentOf, NOTHING, runHistory, smallStore, twoSegments } from "./scenario.ts";

const FIRST = "0000000000000001.wal";
const SECOND = "0000000000000002.wal";

const whole: Content = twoSegments.reduce(after, NOTHING);

/** A disk with these steps on it, closed (which writes a mark) or killed. */
async function written(end: "close" | "kill" = "close"): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  if (end === "close") await runHistory(files, twoSegments);
  else {
    const store = smallStore(files);
    await store.open("a");
    for (const step of twoSegments) if (typeof step !== "string") await store.write(step);
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
  const last = usedBytes(image) - 512;
  const { damaged } = await smallStore(flip(files, FIRST, last)).open("a");
  assertEquals(damaged.map(({ from, end }) => [from, end]), [[3, 4]]);
});

test("SegmentScanner.find() finds a batch wherever its window ends", async () => {
  const vote = { term: 1, votedFor: "a".repeat(64) };
  const head = {
    segment: 1,
    sequence: 9,
    mark: 8,
    chain: 0,
    group: 0,
    starts: 1,
    before: new LogState().before(0),
    vote,
  };
  const batch = Uint8Array.from(encodeBatch(head, [], 5).parts.flatMap((part) => [...part]));
  const files = new MemoryFiles();
  for (const at of [512, 2 ** 20 - 1_024, 2 ** 20 - 512, 2 ** 20, 2 ** 20 + 512, 3 * 2 ** 20 - 512]) {
    const image = new Uint8Array(3 * 2 ** 20);
    image.set(batch, at);
    files.setImage("x", image);
    const scanner = new SegmentScanner(await files.open("x", { create: false, durable: false }), "x", 5);
    assertEquals((await scanner.find(512))?.offset, at);
    assertEquals(await scanner.find(at + 512), undefined);
  }
});

test("SegmentScanner.heads() finds all batches, and reads each byte about once", async () => {
  const count = 3_000;
  const batches = Array.from({ length: count }, (_, i) => {
    const head = { segment: 1, sequence: i + 1, mark: i, chain: 0, group: 0, starts: 1 };
    const before = new LogState().before(0);
    return encodeBatch({ ...head, before, vote: { term: 1, votedFor: "a" } }, [], 5).parts;
  });
  let bytes = 0;
  const files = new MemoryFiles({ misread: (_, read) => void (bytes += read.length) });
  files.setImage("x", concatenate([new Uint8Array(512), ...batches.flat()]));
  const scanner = new SegmentScanner(await files.open("x", { create: false, durable: false }), "x", 5);
  const found: number[] = [];
  for await (const { head } of scanner.heads(512)) found.push(head.sequence);
  assertEquals(found, Array.from({ length: count }, (_, i) => i + 1));
  assertLess(bytes, 1.1 * files.image("x").length);
});

test("walStore refuses a log with a file exchanged, from another disk, or missing where nobody can tell what was in it", async () => {
  const files = await written();
  assertEquals(files.names(), [FIRST, SECOND]);

  const empty = files.clone();
  empty.setImage(SECOND, new Uint8Array(0));
  await assertRejects(() => contentOf(empty), CorruptionError, SECOND);

  const exchanged = files.clone();
  exchanged.setImage(FIRST, files.image(SECOND));
  await assertRejects(() => contentOf(exchanged), CorruptionError, "by its header");

  const gap = files.clone();
  gap.setImage("0000000000000004.wal", files.image(SECOND));
  await assertRejects(() => contentOf(gap), CorruptionError, "by its header");

  // A prepared segment says that there was one before it.
  const current = new MemoryFiles();
  const store = smallStore(current);
  await store.open("a");
  for (let i = 1; i <= 20; i++) await store.write({ records: [commandsOf(i, 1, "y".repeat(900))] });
  for (let i = 0; i < 100; i++) await Promise.resolve();
  current.crash(loseAll);
  const used = current.clone();
  const [prepared, last] = current.names().filter((name) => name.endsWith(".wal")).reverse();
  assertEquals(current.image(prepared).findLastIndex((byte) => byte !== 0) < 512, true);
  used.discard(last);
  await assertRejects(() => contentOf(used), CorruptionError, "the file is missing");

  const mixed = new MemoryFiles();
  const other = walStore(mixed, { segmentBytes: 4_096, random: () => "another" });
  await other.open("a");
  await other.close();
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

test("read() says which file can't be read, and takes writes and reads afterwards", async () => {
  for (const kind of ["open", "read"] as const) {
    const files = new MemoryFiles({ location: "/data" });
    const store = smallStore(files);
    await store.open("a");
    await store.write({ records: [commandsOf(1, 1, "one")] });
    let failed = 0;
    files.fault = (operation) =>
      operation.kind === kind && failed++ === 0 ? new Error("EACCES: permission denied") : undefined;
    const error = await assertRejects(async () => await store.read(1, 2, 1_000), StorageError);
    assertEquals(error.operation, "read");
    assertEquals(
      error.message,
      `Cannot read "/data/${FIRST}": EACCES: permission denied: see to the disk, then restart`,
    );
    await store.write({ records: [commandsOf(2, 1, "two")] });
    assertEquals((await store.read(1, 3, 1_000))[0].count, 2);
  }
});

test("walStore writes anew what failed, to a new file and nothing more to the old one, whatever failed (BD05)", async () => {
  for (const kind of ["write", "rename", "sync", "sync-directory", "truncate", "open"] as const) {
    const files = new MemoryFiles();
    const store = smallStore(files);
    await store.open("a");
    let failed: string | undefined;
    const later: string[] = [];
    files.fault = ({ kind: found, name }) => {
      if (failed !== undefined) {
        if (found === "write" || found === "sync") later.push(name);
      } else if (found === kind) {
        failed = name;
        return Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
      }
      return undefined;
    };
    const names = files.names();
    for (let index = 1; index <= 30; index++) {
      await store.write({ records: [commandsOf(index, 1, "x".repeat(500))], vote: { term: index, votedFor: "a" } });
    }
    assert(failed !== undefined, kind);
    if (kind === "write") assert(names.includes(failed) && !later.includes(failed), `${failed} ${later}`);
    // What the disk forgets of what it failed to write is forgotten by nobody else.
    files.crash(loseAll);
    const { content } = await contentOf(files);
    assertEquals([content.entries.length, content.vote.term], [30, 30], kind);
  }
});

test("walStore takes no write after one that failed twice, and tries nothing more (BL17, BL19)", async () => {
  for (const kind of ["write", "sync"] as const) {
    const files = new MemoryFiles();
    const store = smallStore(files);
    await store.open("a");
    await store.write({ records: [commandsOf(1, 1, "x")] });
    let failed = 0;
    files.fault = ({ kind: found, name }) => {
      // The first one, and the one that is to write it anew.
      const isNew = name === "segment.tmp";
      const fails = isNew ? found === kind : found === "write" && failed === 0;
      if (fails) failed++;
      return fails ? new Error("EIO: i/o error") : undefined;
    };
    const error = await assertRejects(
      async () => await store.write({ records: [commandsOf(2, 1, "y")], vote: { term: 9, votedFor: "a" } }),
      StorageError,
      "EIO",
    );
    assertEquals(error.operation, "write");
    assertEquals(failed, 2, kind);
    const again = await assertRejects(async () => await store.write({ records: [], vote: { term: 9, votedFor: "a" } }));
    assertEquals(again, error);
    assertEquals(store.mark!(), undefined);
    assertEquals(failed, 2, kind);
    await store.close();
    files.fault = () => undefined;
    files.crash(loseAll);
    const { content } = await contentOf(files);
    assertEquals([content.entries.length, content.vote.term], [1, 0], kind);
  }
});

test("walStore that finds no room says so, still takes votes, and goes on when there is room", async () => {
  const files = new MemoryFiles({ bytesMax: 40_000 });
  const store = walStore(files, { segmentBytes: 16 << 10 });
  await store.open("a");
  let count = 0;
  const fill = async () => {
    for (; count < 200; count++) await store.write({ records: [commandsOf(count + 1, 1, "x".repeat(900))] });
    throw new Error("200 entries found room");
  };
  const full = await assertRejects(fill, StorageFullError);
  assertEquals([full.code, full.outcome], ["storage-full", "not-applied"]);
  assertGreater(full.retryAfterMs, 0);
  // What the attempt to prepare a segment took is free again.
  await assertRejects(fill, StorageFullError);
  const before = count;
  await store.write({ records: [], vote: { term: 3, votedFor: "b" } });
  await assertRejects(fill, StorageFullError);
  assertEquals(count, before, `${count}`);
  files.bytesMax = 80_000;
  await assertRejects(fill, StorageFullError);
  assertGreater(count, before + 10);
  assertEquals(textsOf(await store.read(1, 2, 0)), ["x".repeat(900)]);
  files.crash(loseAll);
  const { content } = await contentOf(files.clone());
  assertEquals([content.entries.length, content.vote.term], [count, 3]);
});

test("open() on a full disk says so; a little room is enough", async () => {
  const files = new MemoryFiles({ bytesMax: 1_000 });
  await assertRejects(() => smallStore(files).open("a"), StorageFullError);
  files.bytesMax = 2_000;
  assertEquals((await contentOf(files)).content, NOTHING);
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

test("walStore doesn't take a payload that looks like a batch for one", async () => {
  const files = new MemoryFiles();
  const store = smallStore(files);
  await store.open("a");
  await store.write({ records: [commandsOf(1, 1, "one")] });
  // A batch as another segment would hold it, with a mark far ahead, at the start of a sector.
  const state = new LogState();
  const head = {
    segment: 1,
    sequence: 99,
    mark: 98,
    chain: 0,
    group: 0,
    starts: 1,
    before: state.before(0),
    vote: state.vote,
  };
  const forged = encodeBatch(head, [], 0).parts[0];
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
