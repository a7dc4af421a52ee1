import { assertEquals } from "@std/assert";
import type { CoreState } from "../../src/core/state.ts";
import { Beginning } from "../../src/driver/beginning.ts";
import type { Applier } from "../../src/driver/applier.ts";
import type { Peers } from "../../src/driver/peers.ts";
import { SessionTable } from "../../src/driver/session_table.ts";
import type { SnapshotHost } from "../../src/driver/snapshot_host.ts";
import { Snapshots } from "../../src/driver/snapshots.ts";
import type { RaftEvent } from "../../src/events.ts";
import { memorySnapshotStore } from "../../src/store/memory_snapshots.ts";
import type { SnapshotMeta, SnapshotStore } from "../../src/store/snapshot_store.ts";
import { encodeSnapshot } from "../../src/wire/snapshot.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

const configuration = { servers: [{ id: "a", address: "a:1", suffrage: "voter" }] } as const;

async function received(store: SnapshotStore, index: number, text: string): Promise<SnapshotMeta> {
  const origin = { index, term: 1, configuration, configurationIndex: 1, timeMs: 5 };
  const sink = await store.create(origin);
  for await (const piece of encodeSnapshot({ origin, user: new Blob([text]).stream() })) await sink.write(piece);
  return await sink.close();
}

test("Snapshots.installation(): a snapshot stays until it is restored, whatever newer ones come meanwhile", async () => {
  const store = memorySnapshotStore();
  await store.open();
  const restored: string[] = [];
  const told: RaftEvent[] = [];
  const machine = {
    apply: () => undefined,
    snapshot: () => new Blob([]).stream(),
    restore: async (bytes: ReadableStream<Uint8Array>) => void restored.push(await new Response(bytes).text()),
  };
  const host: SnapshotHost = {
    environment: new VirtualEnvironment(),
    peers: {} as Peers,
    state: {} as CoreState,
    beginning: new Beginning(),
    durableTerm: () => 1,
    enqueue: () => {},
    emit: (event) => told.push(event),
    warn: () => {},
  };
  const settings = {
    snapshotThreshold: 1,
    snapshotThresholdBytes: 1,
    snapshotIntervalMs: 1,
    snapshotBytesPerSecondMax: 0,
  };
  const applier = { sessions: new SessionTable() } as unknown as Applier<unknown, unknown>;
  const snapshots = new Snapshots({ machine, store, applier, host, settings });
  const ids = async () => (await store.list()).map(({ index }) => index);
  const one = snapshots.installation(await received(store, 3, "three"));
  await received(store, 5, "five");
  assertEquals(await ids(), [5, 3]);
  await one.restore();
  assertEquals([restored, told.map(({ type }) => type)], [["three"], ["snapshot-installed"]]);
  const next = snapshots.installation(await received(store, 7, "seven"));
  assertEquals(await ids(), [7]);
  next.release();
  await received(store, 9, "nine");
  assertEquals(await ids(), [9]);
});
