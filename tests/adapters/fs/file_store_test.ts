import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directoryFiles, fileSnapshotStore, fileStore } from "../../../adapters/fs/mod.ts";
import { StorageError, StoreLockedError } from "../../../src/errors.ts";
import { testSnapshotStore } from "../../../src/testing/conformance/snapshot_suite.ts";
import { testStore } from "../../../src/testing/conformance/store_suite.ts";
import { commandsOf, textsOf } from "../../../src/testing/store_cases.ts";
import type { SnapshotStore } from "../../../src/store/snapshot_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { test } from "../../harness.ts";

async function withDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const root = await fs.mkdtemp(join(tmpdir(), "store-test-"));
  try {
    await run(join(root, "data", "a"));
  } finally {
    await fs.rm(root, { recursive: true });
  }
}

testStore(test, {
  name: "fileStore",
  async start() {
    const root = await fs.mkdtemp(join(tmpdir(), "store-test-"));
    const factory = fileStore(join(root, "data", "a"), { segmentBytes: 64 << 10 });
    let last: Store | undefined;
    return {
      async next() {
        await last?.close();
        return last = await factory.open({});
      },
      async dispose() {
        await last?.close();
        await fs.rm(root, { recursive: true });
      },
    };
  },
});

testSnapshotStore(test, {
  name: "fileSnapshotStore",
  offers: ["damage"],
  async start() {
    const root = await fs.mkdtemp(join(tmpdir(), "store-test-"));
    const factory = fileSnapshotStore(root, { retain: 2 });
    let last: SnapshotStore | undefined;
    return {
      retain: 2,
      async next() {
        await last?.close();
        return last = await factory.open();
      },
      async damage(id) {
        const path = join(root, "snapshots", id, "container");
        const bytes = await fs.readFile(path);
        bytes[bytes.length >> 1] ^= 0x10;
        await fs.writeFile(path, bytes);
      },
      async dispose() {
        await last?.close();
        await fs.rm(root, { recursive: true });
      },
    };
  },
});

test("fileStore() touches nothing until the store is opened", () =>
  withDirectory(async (directory) => {
    const store = await fileStore(directory).open({});
    await assertRejects(() => fs.stat(directory));
    await store.close();
    await assertRejects(() => fs.stat(directory));
  }));

test("fileStore() keeps a log of many segments and reports each sync", () =>
  withDirectory(async (directory) => {
    let syncs = 0;
    const factory = fileStore(directory, { segmentBytes: 16 << 10 });
    const store = await factory.open({ onSync: (ms) => void (syncs += ms >= 0 ? 1 : 0) });
    await store.open("a");
    const count = 300;
    for (let index = 1; index <= count; index++) {
      await store.write({ records: [commandsOf(index, 1, `${index}`, "x".repeat(800)).slice(index, index + 1)] });
    }
    assertEquals(syncs, count);
    await store.write({ records: [commandsOf(count + 1, 1, "x".repeat(3 << 20), "last")] });
    await store.close();
    assertGreater((await fs.readdir(directory)).length, 3);

    const again = await factory.open({});
    const state = await again.open("a");
    assertEquals(state.lastIndex, count + 2);
    const texts: string[] = [];
    for (let next = 1; next <= count;) {
      const parts = await again.read(next, count + 1, 20_000);
      texts.push(...textsOf(parts));
      next = parts.at(-1)!.end;
    }
    assertEquals(texts, Array.from({ length: count }, (_, i) => `${i + 1}`));
    assertEquals(textsOf(await again.read(count + 2, count + 3, 0)), ["last"]);
    await again.close();
  }));

test("fileStore() refuses a directory that another store has open", () =>
  withDirectory(async (directory) => {
    const store = await fileStore(directory).open({});
    await store.open("a");
    const other = await fileStore(directory).open({});
    await assertRejects(() => other.open("a"), StoreLockedError, directory);
    await store.close();
    const third = await fileStore(directory).open({});
    assertEquals((await third.open("a")).identity.starts, 2);
    await third.close();
  }));

test("fileStore() refuses a directory with other things in it, and leaves it alone", () =>
  withDirectory(async (directory) => {
    await fs.mkdir(directory, { recursive: true });
    await fs.writeFile(join(directory, "notes.txt"), "mine");
    const store = await fileStore(directory).open({});
    await assertRejects(() => store.open("a"), StorageError, "notes.txt");
    assertEquals(await fs.readdir(directory), ["notes.txt"]);
  }));

test("directoryFiles() reads and writes at offsets, grows, cuts, renames and removes", () =>
  withDirectory(async (directory) => {
    const files = directoryFiles(directory);
    await files.ensure();
    await files.ensure();
    for (const durable of [false, true]) {
      const file = await files.open("x", { create: true, durable });
      await file.truncate(0);
      const parts = Array.from({ length: 9 }, (_, i) => new Uint8Array(300_000).fill(i + 1));
      await file.write(parts, 5);
      await file.write([new Uint8Array([1, 2]), new Uint8Array(0), new Uint8Array([3])], 1);
      await file.sync();
      assertEquals(await file.size(), 5 + 2_700_000);
      const into = new Uint8Array(8);
      assertEquals(await file.read(into, 0), 8);
      assertEquals([...into], [0, 1, 2, 3, 0, 1, 1, 1]);
      assertEquals(await file.read(into, 2_700_000 + 2), 3);
      assertEquals([...into.subarray(0, 3)], [9, 9, 9]);
      await file.truncate(4);
      assertEquals(await file.size(), 4);
      await file.close();
    }
    await files.rename("x", "y");
    await files.syncDirectory();
    assertEquals(await files.list(), ["y"]);
    await assertRejects(() => files.open("x", { create: false, durable: false }));
    await files.remove("y");
    assert((await files.list()).length === 0);
  }));
