import { memorySnapshotStore } from "../../src/store/memory_snapshots.ts";
import { fileSnapshots } from "../../src/store/snapshot_files.ts";
import { testSnapshotStore } from "../../src/testing/conformance/snapshot_suite.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { test } from "../harness.ts";

testSnapshotStore(test, {
  name: "memorySnapshotStore",
  start() {
    const store = memorySnapshotStore();
    const next = async () => {
      await store.close();
      return store;
    };
    return { next, retain: 1 };
  },
});

for (const retain of [1, 3]) {
  testSnapshotStore(test, {
    name: `fileSnapshots that keeps ${retain}`,
    offers: ["damage", "haltAfter"],
    start() {
      const files = new MemoryFiles();
      return {
        retain,
        next() {
          files.kill();
          return Promise.resolve(fileSnapshots(files, { retain }));
        },
        async damage(id) {
          const file = await files.directory(id).open("container", { create: false, durable: false });
          const byte = new Uint8Array(1);
          await file.read(byte, 77);
          await file.write([byte.map((it) => it ^ 0x10)], 77);
          await file.close();
        },
        operationCount: () => files.operationCount,
        haltAfter: (operations) => files.haltAfter(operations),
      };
    },
  });
}
