import { assertEquals, assertRejects } from "@std/assert";
import type { FileHandle } from "../../src/store/files.ts";
import { SnapshotFileMedium } from "../../src/store/snapshot_file_medium.ts";
import { metaOf } from "../../src/store/snapshot_meta.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { type Deferred, deferred } from "../driver/stores.ts";
import { test } from "../harness.ts";
import { drain } from "../virtual_environment.ts";

const MIB = new Uint8Array(1 << 20);
const META = metaOf(
  { index: 1, term: 1, configuration: { servers: [] }, configurationIndex: 0, timeMs: 0 },
  "a",
  4 << 20,
  0,
);

/** A medium whose syncs are done when told. */
function setUp() {
  const done: string[] = [];
  const syncs: Deferred<void>[] = [];
  const file: FileHandle = {
    size: () => Promise.resolve(0),
    read: () => Promise.resolve(0),
    write: (_parts, offset) => Promise.resolve(void done.push(`write ${offset / MIB.length}`)),
    sync: () => {
      const sync = deferred();
      syncs.push(sync);
      done.push("sync");
      return sync.promise;
    },
    truncate: () => Promise.resolve(),
    close: () => Promise.resolve(void done.push("close")),
  };
  const files = new MemoryFiles();
  const medium = new SnapshotFileMedium(files, file);
  const append = (at: number) => medium.append(MIB, at * MIB.length);
  return { medium, done, syncs, append, files };
}

test("SnapshotFileMedium.append() writes while what came before is synced, but never two syncs behind", async () => {
  const { done, syncs, append } = setUp();
  await append(0);
  assertEquals(done, ["write 0", "sync"]);
  let isAppended = false;
  const second = append(1).then(() => isAppended = true);
  await drain();
  assertEquals([done, isAppended], [["write 0", "sync", "write 1"], false]);
  syncs[0]!.resolve();
  await second;
  assertEquals(done, ["write 0", "sync", "write 1", "sync"]);
});

test("SnapshotFileMedium fails with a sync that failed, and makes no snapshot of it", async () => {
  for (const then of ["append", "finish"] as const) {
    const { medium, syncs, append, files } = setUp();
    await append(0);
    syncs[0]!.reject(new Error("EIO"));
    await drain();
    await assertRejects(() => then === "append" ? append(1) : medium.finish(META), Error, "EIO");
    assertEquals(await files.list(), [], "there is no meta");
  }
});

test("SnapshotFileMedium.release() closes the file once, when no sync of it is under way", async () => {
  const { medium, done, syncs, append } = setUp();
  await append(0);
  const released = medium.release();
  await drain();
  assertEquals(done, ["write 0", "sync"]);
  syncs[0]!.reject(new Error("EIO"));
  await released;
  await medium.release();
  assertEquals(done, ["write 0", "sync", "close"]);
});
