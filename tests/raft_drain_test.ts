import { assertEquals } from "@std/assert";
import type { ShutdownError } from "../src/errors.ts";
import type { Raft } from "../src/raft.ts";
import { test } from "./harness.ts";
import { type VirtualCluster, watch, withCluster } from "./virtual_cluster.ts";

/** A command that has its result when `release` lets the disk of its server write. */
async function slowCommand(cluster: VirtualCluster, raft: Raft<unknown, unknown>, advanceMs: number) {
  const store = cluster.stores.get(raft.id)!;
  store.slowWrites = true;
  const stuck = watch(raft.apply("slow"));
  await cluster.environment.advance(advanceMs);
  const release = () => {
    store.slowWrites = false;
    for (const write of store.writing) write.resolve();
  };
  return { stuck, release };
}

for (const role of ["leader", "follower"] as const) {
  test(`Raft.drain() of a ${role}: commands under way get their results before it stops`, () =>
    withCluster(3, async (cluster) => {
      const { leader, followers } = await cluster.elect();
      const raft = role === "leader" ? leader : followers[0]!;
      const before = watch(raft.apply("before"));
      const drained = watch(raft.drain());
      // A leader that hands over lets commands wait, and passes them on to the new one.
      const during = role === "leader" ? watch(raft.apply("during")) : undefined;
      assertEquals((await cluster.settled(drained)).text, "undefined");
      assertEquals(raft.state, "shutdown");
      assertEquals((await cluster.settled(before)).text, "1");
      if (during !== undefined) assertEquals((await cluster.settled(during)).text, "2");
    }));
}

for (const going of [0, 1]) {
  test(`Raft.drain() of a leader and of its follower ${going} in the same moment: the one that stays leads at once`, () =>
    withCluster(3, async (cluster) => {
      const { leader, followers } = await cluster.elect();
      const start = cluster.environment.now();
      const gone = watch(followers[going]!.drain());
      const commands = Array.from({ length: 20 }, (_, i) => watch(leader.apply(i)));
      const drained = watch(leader.drain());
      assertEquals((await cluster.settled(drained)).text, "undefined");
      assertEquals(cluster.environment.now() - start < 100, true);
      assertEquals([leader.state, followers[1 - going]!.state], ["shutdown", "leader"]);
      assertEquals((await cluster.settled(gone)).text, "undefined");
      const results = await cluster.settled(Promise.all(commands));
      assertEquals(results.map(({ value }) => value), Array.from({ length: 20 }, (_, i) => i + 1));
    }));
}

test("Raft.drain(): who comes later is refused, with the name of the leader", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [raft] } = await cluster.elect();
    const { stuck, release } = await slowCommand(cluster, raft!, 20);
    const drained = watch(raft!.drain());
    // It waits, as its disk has not yet said that the command is there.
    const late = async (call: Promise<unknown>) => {
      const { text, error } = await cluster.outcome(call);
      return [raft!.state, text, (error as ShutdownError).leader?.id];
    };
    const refused = ["shutdown not-applied", leader.id];
    assertEquals(await late(raft!.apply("late")), ["follower", ...refused]);
    assertEquals(await late(raft!.read(() => 1)), ["follower", ...refused]);
    release();
    await cluster.settled(drained);
    assertEquals((await cluster.settled(stuck)).text, "1");
    assertEquals(await late(raft!.apply("later")), ["shutdown", ...refused]);
  }));

test("Raft.drain() waits leaderWaitMs for a command that nobody answers, and no longer", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const { stuck, release } = await slowCommand(cluster, raft, 10);
    const start = cluster.environment.now();
    const drained = watch(raft.drain());
    await cluster.environment.advance(399);
    assertEquals(raft.state, "leader");
    await cluster.environment.advance(2);
    assertEquals([raft.state, (await cluster.settled(stuck)).text], ["shutdown", "shutdown unknown"]);
    release();
    await cluster.settled(drained);
    assertEquals(cluster.environment.now() - start < 500, true);
  }, { leaderWaitMs: 400 }));

test("Raft.drain() whose signal ends the waiting leaves the server at work", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const { stuck, release } = await slowCommand(cluster, raft, 10);
    const enough = new AbortController();
    const drained = watch(raft.drain({ signal: enough.signal }));
    await cluster.environment.advance(100);
    assertEquals((await cluster.outcome(raft.apply("refused"))).text, "shutdown not-applied");
    enough.abort("enough");
    assertEquals((await cluster.settled(drained)).error, "enough");
    release();
    assertEquals([(await cluster.settled(stuck)).text, (await cluster.outcome(raft.apply("next"))).text], ["1", "2"]);
    assertEquals(raft.state, "leader");
  }));

test("Raft.drain() goes on for those who still wait when another one gives up", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const { stuck, release } = await slowCommand(cluster, raft, 10);
    const drained = watch(raft.drain());
    await cluster.environment.advance(10);
    assertEquals((await cluster.outcome(raft.drain({ signal: AbortSignal.abort("enough") }))).error, "enough");
    assertEquals((await cluster.outcome(raft.apply("refused"))).text, "shutdown not-applied");
    release();
    assertEquals([(await cluster.settled(stuck)).text, (await cluster.settled(drained)).text], ["1", "undefined"]);
  }));
