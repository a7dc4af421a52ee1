import { memoryStore } from "../../src/store/memory.ts";
import { testStore } from "../../src/testing/conformance/store_suite.ts";
import { test } from "../harness.ts";
import { walSubject } from "./wal_subject.ts";

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
  testStore(test, walSubject(`walStore with segments of ${segmentBytes}`, segmentBytes));
}
