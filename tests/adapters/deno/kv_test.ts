import { assert, assertEquals, assertRejects } from "@std/assert";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kvStore } from "../../../adapters/deno/mod.ts";
import { StoreLockedError } from "../../../src/errors.ts";
import type { Kv } from "../../../src/store/kv/kv.ts";
import { kvSnapshots } from "../../../src/store/kv/kv_snapshots.ts";
import { kvLog } from "../../../src/store/kv/kv_store.ts";
import type { SnapshotStore } from "../../../src/store/snapshot_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { testSnapshotStore } from "../../../src/testing/conformance/snapshot_suite.ts";
import { testStore } from "../../../src/testing/conformance/store_suite.ts";
import { KvSwitch } from "../../../src/testing/memory_kv.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";
import { damageEntry } from "../../store/kv_damage.ts";

const onDeno = (name: string, body: () => Promise<void>) => test(name, body, { runtimes: ["deno"], timeoutMs: 60_000 });

const openMemory = (): Promise<Kv> => Deno.openKv(":memory:");

testStore(onDeno, {
  name: "kvStore in memory",
  canHalt: true,
  canDamage: true,
  async start() {
    const kv = await openMemory();
    const line = new KvSwitch();
    return {
      damage: (index) => damageEntry(kv, ["raft", "a"], index),
      next: () => Promise.resolve(kvLog(line.user(kv), { prefix: ["raft", "a"], closes: true })),
      operationCount: () => line.operationCount,
      haltAfter: (operations) => void (line.operationsLeft = operations),
      dispose: () => Promise.resolve(kv.close()),
    };
  },
});

testSnapshotStore(onDeno, {
  name: "kvSnapshotStore in memory",
  offers: ["haltAfter"],
  async start() {
    const kv = await openMemory();
    const line = new KvSwitch();
    return {
      retain: 2,
      next: () => Promise.resolve(kvSnapshots(line.user(kv), { prefix: ["raft", "a"], closes: true, retain: 2 })),
      operationCount: () => line.operationCount,
      haltAfter: (operations) => void (line.operationsLeft = operations),
      dispose: () => Promise.resolve(kv.close()),
    };
  },
});

async function withFile(run: (path: string) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "kv-test-"));
  try {
    await run(join(directory, "kv.sqlite"));
  } finally {
    await fs.rm(directory, { recursive: true });
  }
}

testStore(onDeno, {
  name: "kvStore in a file",
  canDamage: true,
  async start() {
    const directory = await fs.mkdtemp(join(tmpdir(), "kv-test-"));
    const path = join(directory, "kv.sqlite");
    const factory = kvStore({ path });
    let last: Store | undefined;
    return {
      async damage(index) {
        await last?.close();
        const kv: Kv = await Deno.openKv(path);
        await damageEntry(kv, ["raft"], index).finally(() => kv.close());
      },
      async next() {
        await last?.close();
        return last = await factory.open({});
      },
      async dispose() {
        await last?.close();
        await fs.rm(directory, { recursive: true });
      },
    };
  },
});

testSnapshotStore(onDeno, {
  name: "kvSnapshotStore in a file",
  async start() {
    const directory = await fs.mkdtemp(join(tmpdir(), "kv-test-"));
    const factory = kvStore({ path: join(directory, "kv.sqlite") }).snapshots!;
    let last: SnapshotStore | undefined;
    return {
      retain: 2,
      async next() {
        await last?.close();
        return last = await factory.open();
      },
      async dispose() {
        await last?.close();
        await fs.rm(directory, { recursive: true });
      },
    };
  },
});

onDeno(
  "kvStore() of two processes: the one that was started last goes on, the other fails at its first write",
  () =>
    withFile(async (path) => {
      const [first, second] = await Promise.all([kvStore({ path }).open({}), kvStore({ path }).open({})]);
      await first.open("a");
      await first.write({ records: [commandsOf(1, 1, "acknowledged")] });
      const { lastIndex } = await second.open("a");
      assertEquals(lastIndex, 1);
      await assertRejects(async () => await first.write({ records: [commandsOf(2, 1, "lost")] }), StoreLockedError);
      await assertRejects(async () => await first.write({ records: [commandsOf(2, 1, "lost")] }), StoreLockedError);
      await second.write({ records: [commandsOf(2, 2, "kept")] });
      await first.close();
      await second.close();
      const third = await kvStore({ path }).open({});
      assertEquals((await third.open("a")).terms, [{ term: 1, from: 1 }, { term: 2, from: 2 }]);
      await third.close();
    }),
);

onDeno("kvStore() keeps servers with other prefixes apart, and leaves an open database open", async () => {
  const kv = await openMemory();
  for (const id of ["a", "b"]) {
    const store = await kvStore({ kv, prefix: ["raft", id] }).open({});
    assertEquals((await store.open(id)).lastIndex, 0);
    await store.write({ records: [commandsOf(1, 1, id)] });
    await store.close();
  }
  assert((await kv.get(["raft", "a", "meta"])).versionstamp !== null);
  kv.close();
});
