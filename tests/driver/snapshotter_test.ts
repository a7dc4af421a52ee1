import { assertEquals, assertRejects } from "@std/assert";
import type { Applier } from "../../src/driver/applier.ts";
import { Beginning } from "../../src/driver/beginning.ts";
import type { Peers } from "../../src/driver/peers.ts";
import { SessionTable } from "../../src/driver/session_table.ts";
import { Snapshotter } from "../../src/driver/snapshotter.ts";
import { NothingNewToSnapshotError } from "../../src/errors.ts";
import { memorySnapshotStore } from "../../src/store/memory_snapshots.ts";
import { leaderOf } from "../core/states.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

/** A server that has applied three entries and whose core takes no turn, so that it hears of no snapshot. */
async function idle() {
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
  const settings = { snapshotThreshold: 2, snapshotThresholdBytes: 2 ** 30, snapshotIntervalMs: 10 };
  const machine = { apply: () => undefined, snapshot: () => new Blob(["x"]).stream(), restore: async () => {} };
  const snapshotter = new Snapshotter(machine, store, applier as unknown as Applier<unknown, unknown>, host, settings);
  const indexes = async () => (await store.list()).map(({ index }) => index);
  return { applier, environment, snapshotter, indexes };
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
