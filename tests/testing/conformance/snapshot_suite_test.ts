import { assertGreaterOrEqual, assertLess } from "@std/assert";
import { memorySnapshotStore } from "../../../src/store/memory_snapshots.ts";
import { fileSnapshots } from "../../../src/store/snapshot_files.ts";
import type { SnapshotMeta, SnapshotSink, SnapshotStore } from "../../../src/store/snapshot_store.ts";
import { testSnapshotStore } from "../../../src/testing/conformance/snapshot_suite.ts";
import { MemoryFiles } from "../../../src/testing/memory_files.ts";
import { test } from "../../harness.ts";
import { countOf, failuresOf } from "./gather.ts";

/** What a store does otherwise. */
type Fault = (store: SnapshotStore) => Partial<SnapshotStore>;

function faulty(store: SnapshotStore, fault: Fault): SnapshotStore {
  const right: SnapshotStore = {
    isDurable: store.isDurable,
    get damaged() {
      return store.damaged;
    },
    open: () => store.open(),
    create: (origin) => store.create(origin),
    list: () => store.list(),
    read: (id, offset, bytesMax) => store.read(id, offset, bytesMax),
    verify: (id) => store.verify(id),
    hold: (id) => store.hold(id),
    remove: (id) => store.remove(id),
    close: () => store.close(),
  };
  return Object.defineProperties(right, Object.getOwnPropertyDescriptors(fault(store)));
}

function sinkWith(sink: SnapshotSink, change: Partial<SnapshotSink>): SnapshotSink {
  return {
    id: sink.id,
    get bytes() {
      return sink.bytes;
    },
    write: (chunk) => sink.write(chunk),
    close: (expected) => sink.close(expected),
    abort: () => sink.abort(),
    ...change,
  };
}

const faults: Readonly<Record<string, Fault>> = {
  "lists the oldest first": (store) => ({ list: async () => [...await store.list()].reverse() }),
  "forgets the configuration's index": (store) => ({
    list: async () => (await store.list()).map((meta): SnapshotMeta => ({ ...meta, configurationIndex: 0 })),
  }),
  "gives one byte too many": (store) => ({ read: (id, offset, bytesMax) => store.read(id, offset, bytesMax + 1) }),
  "gives the same array to everybody": (store) => {
    const cache = new Map<string, Promise<Uint8Array>>();
    return {
      read(id, offset, bytesMax) {
        const key = `${id} ${offset} ${bytesMax}`;
        return cache.get(key) ?? cache.set(key, store.read(id, offset, bytesMax)).get(key)!;
      },
    };
  },
  "does not check what was announced": (store) => ({
    create: async (origin) => {
      const sink = await store.create(origin);
      return sinkWith(sink, { close: () => sink.close() });
    },
  }),
  "keeps what was aborted": (store) => ({
    create: async (origin) => {
      const sink = await store.create(origin);
      return sinkWith(sink, { abort: async () => void await sink.close().catch(() => {}) });
    },
  }),
  "does not hold": (store) => ({
    hold: (id) => {
      store.hold(id)();
      return () => {};
    },
  }),
  "holds for ever": (store) => ({
    hold: (id) => {
      store.hold(id);
      return () => {};
    },
  }),
  "removes nothing": () => ({ remove: () => Promise.resolve() }),
  "calls everything whole": () => ({ verify: () => Promise.resolve(true) }),
};

for (const [what, fault] of Object.entries(faults)) {
  test(`testSnapshotStore() finds a store that ${what}`, async () => {
    const failed = await failuresOf((register) =>
      testSnapshotStore(register, {
        name: "faulty",
        offers: ["damage"],
        start() {
          const files = new MemoryFiles();
          return {
            retain: 2,
            next() {
              files.kill();
              return Promise.resolve(faulty(fileSnapshots(files, { retain: 2 }), fault));
            },
            async damage(id) {
              const file = await files.directory(id).open("container", { create: false, durable: false });
              const byte = new Uint8Array(1);
              await file.read(byte, 77);
              await file.write([byte.map((it) => it ^ 0x10)], 77);
              await file.close();
            },
          };
        },
      })
    );
    assertGreaterOrEqual(failed.length, 1);
  });
}

test("testSnapshotStore() finds a store that keeps less than it says, and one that keeps nothing", async () => {
  const subject = (retain: number, makes: () => SnapshotStore) => ({
    name: "faulty",
    start() {
      const store = makes();
      const next = async () => {
        await store.close();
        return store;
      };
      return { retain, next };
    },
  });
  const failed = await failuresOf((register) => testSnapshotStore(register, subject(2, memorySnapshotStore)));
  assertGreaterOrEqual(failed.length, 1);
});

test("testSnapshotStore() has a test for each thing that a harness may offer", () => {
  const start = () => ({ retain: 1, next: () => Promise.reject(new Error("not called")) });
  const all = countOf((register) => testSnapshotStore(register, { name: "x", start, offers: ["damage", "haltAfter"] }));
  const some = countOf((register) => testSnapshotStore(register, { name: "x", start }));
  assertGreaterOrEqual(some, 15);
  assertLess(some + 1, all);
});
