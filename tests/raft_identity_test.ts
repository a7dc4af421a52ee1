import { assertEquals } from "@std/assert";
import { decodeConfiguration, encodeConfiguration } from "../src/wire/configuration.ts";
import { ManualStore } from "./driver/stores.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

test("a server whose disk is gone comes back under its id: it counts for nothing until it has all of it again", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    for (let i = 0; i < 30; i++) await cluster.settled(leader.apply(i));
    await cluster.converged();
    const events: string[] = [];
    (async () => {
      for await (const event of leader.events()) events.push(event.type);
    })();
    const [wiped, other] = [followers[0]!.id, followers[1]!.id];
    await cluster.settled(cluster.raft(wiped).shutdown());
    cluster.stores.set(wiped, new ManualStore());
    // Only the wiped one could complete a majority now.
    cluster.isolate(other);
    // Its command line tells it to bootstrap, as ever.
    await cluster.start(wiped);
    const write = cluster.outcome(leader.apply("while it catches up"), 60_000);
    await cluster.environment.advance(1_000);
    assertEquals(events.includes("server-distrusted"), true);
    assertEquals(cluster.ids.map((id) => cluster.raft(id).state).includes("leader"), false);
    cluster.heal();
    await cluster.leader(cluster.ids, 60_000);
    await write;
    await cluster.converged();
    for (const id of cluster.ids) {
      assertEquals(cluster.machine(id).values.slice(0, 30), cluster.machine(leader.id).values.slice(0, 30));
    }
    // Re-admitted, it makes a majority with any one of the others.
    const now = await cluster.leader();
    const known = () => now.configuration.servers.find(({ id }) => id === wiped)!.disk?.incarnation;
    await cluster.environment.until(() => known() !== undefined, 20_000);
    await cluster.environment.advance(3_000);
    const third = cluster.ids.find((id) => id !== now.id && id !== wiped)!;
    await cluster.settled(cluster.raft(third).shutdown());
    assertEquals((await cluster.outcome(now.apply("with the one that was wiped"), 60_000)).text.includes("not"), false);
  }));

test("a server that is only started again is trusted at once, and its start is recorded", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.converged();
    const [again, other] = [followers[0]!.id, followers[1]!.id];
    const starts = () => leader.configuration.servers.find(({ id }) => id === again)!.disk?.starts;
    assertEquals(starts(), 1);
    await cluster.settled(cluster.raft(again).shutdown());
    await cluster.start(again);
    await cluster.settled(cluster.raft(other).shutdown());
    assertEquals((await cluster.outcome(leader.apply("y"), 60_000)).text, "2");
    await cluster.environment.until(() => starts() === 2);
  }));

test("configurations keep the disks that servers are known by", () => {
  const servers = [
    { id: "a", address: "a:1", suffrage: "voter" as const, disk: { incarnation: "x", starts: 3 } },
    { id: "b", address: "b:1", suffrage: "voter" as const },
  ];
  assertEquals(decodeConfiguration(encodeConfiguration({ servers })), { servers });
});
