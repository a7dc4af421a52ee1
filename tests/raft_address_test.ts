import { assertEquals } from "@std/assert";
import { test } from "./harness.ts";
import { VirtualCluster } from "./virtual_cluster.ts";

test("Raft.addVoter() with another address: a server that moved is found there, under its id and with its log", async () => {
  const cluster = new VirtualCluster(3);
  await cluster.startAll();
  const { leader, followers: [moving, other] } = await cluster.elect();
  await cluster.settled(leader.apply("before"));
  await cluster.settled(moving!.shutdown());
  await cluster.settled(leader.apply("meanwhile"));
  const { id } = moving!;
  // Cut off until the others know where it is.
  const moved = await cluster.start(id, { transport: cluster.network.transport("elsewhere") });
  for (const at of [leader.id, other!.id]) cluster.network.disconnect("elsewhere", at);
  await cluster.environment.advance(3_000);
  const before = leader.configuration;
  const { index } = await cluster.settled(leader.addVoter(id, "elsewhere", { prevIndex: before.index }));
  // One change of one server: no vote is added or taken.
  const servers = before.servers.map((server) => server.id === id ? { ...server, address: "elsewhere" } : server);
  const now = leader.configuration;
  assertEquals([now.index, now.servers.map(({ id, address, suffrage }) => `${id} ${address} ${suffrage}`)], [
    index,
    servers.map(({ id, address, suffrage }) => `${id} ${address} ${suffrage}`),
  ]);
  for (const at of [leader.id, other!.id]) cluster.network.connect("elsewhere", at);
  await cluster.environment.until(() => moved.appliedIndex === leader.appliedIndex, 30_000);
  assertEquals(cluster.machine(id).values, ["before", "meanwhile"]);
  // It votes: with the other one gone there is a majority still.
  await cluster.settled(other!.shutdown());
  const text = (await cluster.outcome(leader.apply("after"), 30_000)).text;
  assertEquals(text, "3");
  // The same again changes nothing.
  const { lastIndex } = leader;
  await cluster.settled(leader.addVoter(id, "elsewhere"));
  assertEquals(leader.lastIndex, lastIndex);
  await cluster.stopAll();
});

test("Raft.addVoter() with the address of another server is refused", async () => {
  const cluster = new VirtualCluster(3);
  await cluster.startAll();
  const { leader, followers: [one, two] } = await cluster.elect();
  const { lastIndex } = leader;
  const { error } = await cluster.outcome(leader.addVoter(one!.id, two!.id));
  assertEquals([(error as { reason?: string }).reason, leader.lastIndex], ["invalid", lastIndex]);
  await cluster.stopAll();
});
