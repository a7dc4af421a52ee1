import { memoryStore } from "../../src/store/memory.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import { testStore } from "../../src/testing/conformance/store_suite.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { test } from "../harness.ts";

testStore(test, {
  name: "memoryStore",
  start() {
    const store = memoryStore();
    const next = async () => {
      await store.close();
      return store;
    };
    return { next };
  },
});

for (const segmentBytes of [4_096, 64 << 10]) {
  testStore(test, {
    name: `walStore with segments of ${segmentBytes}`,
    canHalt: true,
    start() {
      const files = new MemoryFiles();
      return {
        // Killed rather than closed: what was acknowledged must be there.
        next() {
          files.kill();
          return Promise.resolve(walStore(files, { segmentBytes }));
        },
        operationCount: () => files.operationCount,
        haltAfter: (operations) => files.haltAfter(operations),
      };
    },
  });
}
