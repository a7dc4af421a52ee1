import { assertEquals, assertRejects } from "@std/assert";
import type { Applier } from "../../src/driver/applier.ts";
import { Beginning } from "../../src/driver/beginning.ts";
import type { Peers } from "../../src/driver/peers.ts";
import { SessionTable } from "../../src/driver/session_table.ts";
import { Snapshotter, type SnapshotterSettings } from "../../src/driver/snapshotter.ts";
import { NothingNewToSnapshotError } from "../../src/errors.ts";
import { memorySnapshotStore } from "../../src/store/memory_snapshots.ts";
import { leaderOf } from "../core/states.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

/** A server that has applied three entries and whose core takes no turn, so that it hears of no snapshot. */
async function idle(over: Partial<SnapshotterSettings> = {}) {
  const environment = new VirtualEnvironment();
  const store = memorySnapshotStore();
  await store.open();
  const applier = {
    appliedIndex: 3,
    appliedTimeMs: 0,
    appliedBytes: 0,
    isRestoring: false,
    sessions: new SessionTable(),
    whenFree: (task: () => void) => task(),
  };
  const host = {
    environment,
    peers: {} as Peers,
    state: leaderOf({ terms: [1, 1, 2, 2, 2] }).state,
    beginning: new Beginning(),
    durableTerm: () => 2,
    enqueue: () => {},
    emit: () => {},
    warn: () => {},
  };
  const settings = { snapshotThreshold: 2, snapshotThresholdBytes: 2 ** 30, snapshotIntervalMs: 10, ...over };
  const machine = { apply: () => undefined, snapshot: () => new Blob(["x"]).stream(), restore: async () => {} };
  const snapshotter = new Snapshotter(machine, store, applier as unknown as Applier<unknown, unknown>, host, settings);
  const indexes = async () => (await store.list()).map(({ index }) => index);
  return { applier, environment, store, snapshotter, indexes };
}

test("Snapshotter counts from the last one that was taken, before the core has heard of it (K6, P16)", async () => {
  const { applier, environment, snapshotter, indexes } = await idle();
  snapshotter.start();
  await environment.advance(100);
  assertEquals(await indexes(), [3]);
  applier.appliedIndex = 4;
  await environment.advance(100);
  assertEquals(await indexes(), [3]);
  applier.appliedIndex = 5;
  await environment.advance(100);
  assertEquals(await indexes(), [5]);
  await snapshotter.close();
});

test("Snapshotter.take() has nothing new right after another, before the core has heard of that (P16)", async () => {
  const { snapshotter, indexes } = await idle();
  await snapshotter.take();
  await assertRejects(() => snapshotter.take(), NothingNewToSnapshotError);
  assertEquals(await indexes(), [3]);
  await snapshotter.close();
});

test("Snapshotter takes one that is due for its bytes again when that has failed (S4)", async () => {
  const { applier, environment, store, snapshotter, indexes } = await idle({
    ...{ snapshotThreshold: 1_000, snapshotThresholdBytes: 1_000 },
  });
  const create = store.create.bind(store);
  let failures = 2;
  store.create = (origin) => failures-- > 0 ? Promise.reject(new Error("no room")) : create(origin);
  applier.appliedBytes = 1_500;
  snapshotter.start();
  await environment.advance(10_000);
  assertEquals(await indexes(), [3]);
  applier.appliedIndex = 4;
  applier.appliedBytes = 2_499;
  await environment.advance(10_000);
  assertEquals(await indexes(), [3]);
  applier.appliedBytes = 2_500;
  await environment.advance(10_000);
  assertEquals(await indexes(), [4]);
  await snapshotter.close();
});
