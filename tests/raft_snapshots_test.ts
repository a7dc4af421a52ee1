import { assertEquals, assertRejects } from "@std/assert";
import { NoSnapshotsError, ShutdownError, SnapshotNotFoundError } from "../src/errors.ts";
import { memoryStore } from "../src/store/memory.ts";
import { memorySnapshotStore } from "../src/store/memory_snapshots.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, VirtualCluster, withCluster } from "./virtual_cluster.ts";

const never = { snapshotThreshold: 2 ** 40, trailingLogs: 0 };

test("Raft.snapshots() lists all that are kept, the newest first; what is let go can't be opened", () =>
  withCluster(
    1,
    async (cluster) => {
      const raft = await cluster.leader();
      assertEquals(await raft.snapshots(), []);
      await cluster.settled(raft.apply("one"));
      const first = await cluster.settled(raft.snapshot());
      assertEquals((await raft.snapshots()).map(({ meta }) => meta), [first.meta]);
      // It is kept for as long as it is read, although the store keeps one.
      const reader = (await raft.snapshots())[0]!.open().getReader();
      assertEquals((await reader.read()).done, false);
      await cluster.settled(raft.apply("two"));
      const second = await cluster.settled(raft.snapshot());
      assertEquals((await raft.snapshots()).map(({ meta }) => meta.id), [second.meta.id, first.meta.id]);
      await reader.cancel();
      await cluster.settled(raft.apply("three"));
      const third = await cluster.settled(raft.snapshot());
      assertEquals((await raft.snapshots()).map(({ meta }) => meta.id), [third.meta.id]);
      await assertRejects(() => first.open().getReader().read(), SnapshotNotFoundError);
      await cluster.settled(raft.shutdown());
      await assertRejects(() => raft.snapshots(), ShutdownError);
    },
    never,
    () => new SnapshotJournal(),
  ));

test("Raft.snapshots() of a server without a place for them says so", async () => {
  const cluster = new VirtualCluster(1);
  const raft = await cluster.start("a", { store: memoryStore() });
  await assertRejects(() => raft.snapshots(), NoSnapshotsError);
  await cluster.stopAll();
});

test("Raft.shutdown() waits for the store to answer who asked for its snapshots (K4)", async () => {
  const cluster = new VirtualCluster(1, () => new SnapshotJournal());
  const [asked, store] = [Promise.withResolvers<void>(), memorySnapshotStore()];
  const order: string[] = [];
  let isSlow = false;
  cluster.snapshots.set("a", {
    ...{ isDurable: false, damaged: [], open: () => store.open(), create: (origin) => store.create(origin) },
    ...{ read: (...at) => store.read(...at), verify: (id) => store.verify(id), hold: (id) => store.hold(id) },
    remove: (id) => store.remove(id),
    list: async () => {
      order.push("asked");
      if (isSlow) await asked.promise;
      return await store.list();
    },
    close: () => {
      order.push("closed");
      return store.close();
    },
  });
  const raft = await cluster.start("a");
  order.length = 0;
  isSlow = true;
  const listed = raft.snapshots().then(() => order.push("answered"));
  const stopped = raft.shutdown().then(() => order.push("stopped"));
  await cluster.settled(Promise.resolve());
  assertEquals(order, ["asked"]);
  asked.resolve();
  await cluster.settled(Promise.all([listed, stopped]));
  assertEquals(order, ["asked", "answered", "closed", "stopped"]);
});
