import type { Store } from "../../src/store/store.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import type { StoreSubject } from "../../src/testing/conformance/store_suite.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";

/** A write-ahead log for the suite of stores, that is killed rather than closed: what was acknowledged must be there. */
export function walSubject(
  name: string,
  segmentBytes: number,
  wrap: (store: Store) => Store = (store) => store,
): StoreSubject {
  return {
    name,
    canHalt: true,
    start() {
      const files = new MemoryFiles();
      return {
        next() {
          files.kill();
          return Promise.resolve(wrap(walStore(files, { segmentBytes })));
        },
        operationCount: () => files.operationCount,
        haltAfter: (operations) => files.haltAfter(operations),
      };
    },
  };
}
