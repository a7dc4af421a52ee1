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

test("Raft.shutdown() waits for the store to answer who asked for snapshots or their bytes (K4); nobody gets more", async () => {
  const cluster = new VirtualCluster(1, () => new SnapshotJournal());
  const [answers, store] = [Promise.withResolvers<void>(), memorySnapshotStore()];
  const order: string[] = [];
  let isSlow = false;
  const slowly = async <T>(what: string, use: () => Promise<T>): Promise<T> => {
    if (!isSlow) return await use();
    order.push(what);
    await answers.promise;
    return await use();
  };
  cluster.snapshots.set("a", {
    ...{ isDurable: false, damaged: [], open: () => store.open(), create: (origin) => store.create(origin) },
    ...{ verify: (id) => store.verify(id), hold: (id) => store.hold(id), remove: (id) => store.remove(id) },
    list: () => slowly("list", () => store.list()),
    read: (...at) => slowly("read", () => store.read(...at)),
    close: () => {
      order.push("closed");
      return store.close();
    },
  });
  const raft = await cluster.start("a");
  await cluster.leader();
  await cluster.settled(raft.apply("one"));
  const reader = (await cluster.settled(raft.snapshot())).open().getReader();
  isSlow = true;
  const listed = raft.snapshots().then(() => order.push("listed"));
  const given = reader.read().then(() => order.push("given"));
  const stopped = raft.shutdown().then(() => order.push("stopped"));
  await cluster.settled(Promise.resolve());
  assertEquals(order, ["list", "read"]);
  answers.resolve();
  await cluster.settled(Promise.all([listed, given, stopped]));
  assertEquals([order.slice(0, 4).sort(), order.slice(4)], [["given", "list", "listed", "read"], [
    "closed",
    "stopped",
  ]]);
  await assertRejects(() => reader.read(), ShutdownError);
});
