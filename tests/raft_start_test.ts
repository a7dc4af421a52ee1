import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import type { TransportFactory } from "../src/transport/transport.ts";
import { test } from "./harness.ts";
import { VirtualCluster, withCluster } from "./virtual_cluster.ts";

// --- restarts ---

test("Raft started again on its store applies the log anew and goes on", () =>
  withCluster(1, async (cluster) => {
    await cluster.settled((await cluster.leader()).apply("before"));
    const { currentTerm } = cluster.raft("a");
    await cluster.settled(cluster.raft("a").shutdown());
    const raft = await cluster.start("a");
    assertEquals(await cluster.settled(raft.apply("after")), 2);
    assertEquals(cluster.machine("a").values, ["before", "after"]);
    assertEquals(raft.currentTerm, currentTerm + 1);
  }));

test("Raft follower started again catches up", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply(1));
    await cluster.settled(follower!.shutdown());
    await cluster.settled(leader.apply(2));
    await cluster.start(follower!.id);
    await cluster.environment.until(() => cluster.machine(follower!.id).values.length === 2);
    assertEquals(cluster.machine(follower!.id).values, [1, 2]);
    assertEquals(leader.state, "leader");
  }));

test("Raft cluster whose servers are all stopped and started again has lost nothing", () =>
  withCluster(3, async (cluster) => {
    for (let round = 1; round <= 3; round++) {
      await cluster.leader();
      await cluster.settled(cluster.raft("b").apply(round));
      await cluster.stopAll();
      await cluster.startAll();
    }
    await cluster.leader();
    await cluster.settled(cluster.raft("c").apply(4));
    await cluster.converged();
    for (const id of cluster.ids) assertEquals(cluster.machine(id).values, [1, 2, 3, 4]);
  }));

// --- identity ---

test("Raft without bootstrap and without a log waits, and never campaigns", () =>
  withCluster(1, async (cluster) => {
    await cluster.environment.advance(60_000);
    const { role, term, clusterId, servers } = cluster.raft("a").status;
    assertEquals([role, term, clusterId, servers.length], ["follower", 0, "", 0]);
    assertEquals((await cluster.outcome(cluster.raft("a").apply(1))).text, "not-leader not-applied");
  }, { bootstrap: undefined! }));

test("Raft without bootstrap is found by the leader of a configuration that names it, and adopts its cluster", async () => {
  const cluster = new VirtualCluster(3);
  for (const id of ["a", "b"]) await cluster.start(id);
  const leader = await cluster.leader(["a", "b"]);
  await cluster.settled(leader.apply(1));
  const late = await cluster.start("c", { bootstrap: undefined! });
  assertEquals(late.status.clusterId, "");
  await cluster.environment.until(() => cluster.machine("c").values.length === 1);
  assertEquals([late.status.clusterId, late.status.servers.length], [leader.status.clusterId, 3]);
  await cluster.settled(late.shutdown());
  const again = await cluster.start("c", { bootstrap: undefined! });
  assertEquals(again.status.clusterId, leader.status.clusterId);
  assertEquals(await cluster.settled(again.apply(2)), 2);
  await cluster.stopAll();
});

test("Raft without bootstrap but with a clusterId is never adopted by another cluster", () =>
  withCluster(2, async (cluster) => {
    await cluster.leader();
    await cluster.settled(cluster.raft("b").shutdown());
    cluster.stores.delete("b");
    const raft = await cluster.start("b", { bootstrap: undefined!, clusterId: "another" });
    await cluster.environment.advance(10_000);
    assertEquals([raft.status.clusterId, raft.lastIndex, raft.currentTerm], ["another", 0, 0]);
  }));

test("Raft refuses a store of another cluster when a clusterId is given", () =>
  withCluster(1, async (cluster) => {
    await cluster.settled(cluster.raft("a").shutdown());
    const { message } = await assertRejects(() => cluster.start("a", { clusterId: "other" }), Error, '"other"');
    assertNotEquals(message, "");
    // What was opened is closed again.
    await cluster.start("a");
  }));

// --- transport ---

test("Raft does not start on a transport that moves no frame as long as its commands may be", async () => {
  const options = { commandBytesMax: 500_000, appendBytesMax: 400_000 };
  const needed = 500_000 + 65_536;
  for (
    const [frameBytesMax, more, words] of [
      [needed - 1, {}, `'commandBytesMax' is 500000: make it at least ${needed} on every server`],
      [needed, {}, undefined],
      [needed, { appendBytesMax: 500_001 }, "'appendBytesMax' is 500001"],
      [200_000, { commandBytesMax: 100, appendBytesMax: 100 }, "a chunk of a snapshot has 262144 bytes"],
    ] as const
  ) {
    const cluster = new VirtualCluster(1);
    const memory = cluster.network.transport("a");
    const transport: TransportFactory = {
      open: async (options) => Object.assign(await memory.open(options), { frameBytesMax }),
    };
    const start = cluster.start("a", { ...options, ...more, transport });
    if (words === undefined) await start;
    else {await assertRejects(
        () => start,
        RangeError,
        `Cannot use the transport as its 'frameBytesMax' is ${frameBytesMax} and ${words}`,
      );}
    await cluster.stopAll();
  }
});
