import { memoryStore } from "../../src/store/memory.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { storeCases } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";

for (const { name, run } of storeCases) {
  test(`memoryStore: ${name}`, async () => {
    const store = memoryStore();
    await run({
      next: async () => {
        await store.close();
        return store;
      },
    });
  });

  for (const segmentBytes of [4_096, 64 << 10]) {
    test(`walStore with segments of ${segmentBytes}: ${name}`, async () => {
      const files = new MemoryFiles();
      // Killed rather than closed: what was acknowledged must be there.
      await run({
        next: () => {
          files.kill();
          return Promise.resolve(walStore(files, { segmentBytes }));
        },
      });
    });
  }
}
