import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kvStore } from "../../../adapters/deno/mod.ts";
import type { Kv } from "../../../src/store/kv/kv.ts";
import type { SnapshotStore } from "../../../src/store/snapshot_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { testSnapshotStore } from "../../../src/testing/conformance/snapshot_suite.ts";
import { testStore } from "../../../src/testing/conformance/store_suite.ts";
import { test } from "../../harness.ts";
import { damageEntry } from "../../store/kv_damage.ts";

const elsewhere = (name: string, body: () => Promise<void>) => test(name, body, { runtimes: ["node", "bun"] });

/** Only Uint8Array is stored, so the encoder of other values, which Bun's is not compatible with, is never called. */
const refuse = () => {
  throw new Error("Only bytes are stored");
};

async function openNpmKv(path: string): Promise<Kv> {
  // A variable, as Deno would look for its types; it has no need of the package.
  const name = "@deno/kv";
  const { openKv } = await import(name);
  return await openKv(path, { encodeV8: refuse, decodeV8: refuse });
}

testStore(elsewhere, {
  name: "kvStore on @deno/kv",
  canDamage: true,
  async start() {
    const directory = await fs.mkdtemp(join(tmpdir(), "kv-test-"));
    const kv = await openNpmKv(join(directory, "kv.sqlite"));
    let last: Store | undefined;
    return {
      damage: (index) => damageEntry(kv, ["raft"], index),
      async next() {
        await last?.close();
        return last = await kvStore({ kv }).open({});
      },
      async dispose() {
        await last?.close();
        kv.close();
        await fs.rm(directory, { recursive: true });
      },
    };
  },
});

testSnapshotStore(elsewhere, {
  name: "kvSnapshotStore on @deno/kv",
  async start() {
    const directory = await fs.mkdtemp(join(tmpdir(), "kv-test-"));
    const kv = await openNpmKv(join(directory, "kv.sqlite"));
    let last: SnapshotStore | undefined;
    return {
      retain: 2,
      async next() {
        await last?.close();
        return last = await kvStore({ kv }).snapshots!.open();
      },
      async dispose() {
        await last?.close();
        kv.close();
        await fs.rm(directory, { recursive: true });
      },
    };
  },
});
