import { kvSnapshots } from "../../src/store/kv/kv_snapshots.ts";
import { kvLog } from "../../src/store/kv/kv_store.ts";
import { testSnapshotStore } from "../../src/testing/conformance/snapshot_suite.ts";
import { testStore } from "../../src/testing/conformance/store_suite.ts";
import { KvSwitch, MemoryKv } from "../../src/testing/memory_kv.ts";
import { test } from "../harness.ts";
import { damageEntry } from "./kv_damage.ts";

testStore(test, {
  name: "kvLog",
  canHalt: true,
  canDamage: true,
  start() {
    const kv = new MemoryKv();
    const line = new KvSwitch();
    return {
      // Killed rather than closed: what was acknowledged must be there.
      next: () => Promise.resolve(kvLog(line.user(kv), { prefix: ["raft"], closes: true })),
      damage: (index) => damageEntry(kv, ["raft"], index),
      operationCount: () => line.operationCount,
      haltAfter: (operations) => void (line.operationsLeft = operations),
    };
  },
});

for (const retain of [1, 3]) {
  testSnapshotStore(test, {
    name: `kvSnapshots that keeps ${retain}`,
    offers: ["damage", "haltAfter"],
    start() {
      const kv = new MemoryKv();
      const line = new KvSwitch();
      return {
        retain,
        next: () => Promise.resolve(kvSnapshots(line.user(kv), { prefix: ["raft"], closes: true, retain })),
        damage(id) {
          kv.damage(["raft", "snapshot", Number(id.split("-").at(-1)), 1, 1], 77);
          return Promise.resolve();
        },
        operationCount: () => line.operationCount,
        haltAfter: (operations) => void (line.operationsLeft = operations),
      };
    },
  });
}
