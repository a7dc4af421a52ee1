import { assertEquals, assertInstanceOf } from "@std/assert";
import { EntryAwaitedError, StaleReadError } from "../src/errors.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

test("Raft.read() of a session sees what the session was shown, on a server that lags too", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [lagging] } = await cluster.elect();
    const count = () => cluster.machine(lagging!.id).values.length;
    const session = await cluster.settled(leader.session());
    await cluster.settled(session.apply("x"));
    await cluster.converged();
    cluster.isolate(lagging!.id);
    assertEquals((await cluster.outcome(session.apply("y"))).text, "2");
    // Nothing is asked for: what is there is enough.
    assertEquals(await cluster.settled(lagging!.read(count, { consistency: "stale" })), 1);
    assertEquals(await cluster.settled(lagging!.read(count, { consistency: "session" })), 1);
    const waiting = cluster.outcome(lagging!.read(count, { consistency: "session", session }), 60_000);
    await cluster.environment.advance(500);
    cluster.heal();
    assertEquals((await waiting).text, "2");
  }));

test("Raft.read() of a session of all callers sees what any of them was shown, and reads see no less than those before", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const count = () => cluster.machine(follower!.id).values.length;
    for (let i = 1; i <= 5; i++) {
      await cluster.settled(follower!.apply(i));
      assertEquals(await cluster.settled(follower!.read(count, { consistency: "session" })), i);
    }
    const { index } = await cluster.settled(leader.applyEntry({ data: "other" }));
    assertEquals(await cluster.settled(follower!.read(count, { consistency: "stale", minIndex: index })), 6);
  }));

test("Raft.read() with an entry that does not come ends, and says so", () =>
  withCluster(3, async (cluster) => {
    const leader = await cluster.leader();
    const read = leader.read(() => 0, { consistency: "stale", minIndex: leader.lastIndex + 1 });
    const { error } = await cluster.outcome(read, 60_000);
    assertInstanceOf(error, EntryAwaitedError);
    assertEquals([error.index, error.outcome], [leader.lastIndex + 1, "not-applied"]);
  }));

test("Raft.read() with a bound of staleness: refused just past it, and by who never heard a leader", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.converged();
    const count = () => cluster.machine(follower!.id).values.length;
    const bounded = (maxStalenessMs: number) => follower!.read(count, { consistency: "stale", maxStalenessMs });
    assertEquals(await cluster.settled(bounded(60)), 1);
    cluster.isolate(follower!.id);
    await cluster.environment.advance(1_000);
    const lastContact = follower!.lastContact!;
    const { error } = await cluster.outcome(bounded(lastContact - 1));
    assertInstanceOf(error, StaleReadError);
    assertEquals(error.lastContactMs, lastContact);
    assertEquals((await cluster.outcome(bounded(lastContact))).text, "1");
  }));

test("Raft.readIndex() names an entry that covers every command that was answered before", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    const { index } = await cluster.settled(leader.applyEntry({ data: "x" }));
    for (const raft of [leader, ...followers]) {
      const safe = await cluster.settled(raft.readIndex());
      assertEquals([safe >= index, raft.appliedIndex >= safe], [true, true]);
    }
  }));

test("Raft.read() refuses options that contradict one another", () =>
  withCluster(1, async (cluster) => {
    const leader = await cluster.leader();
    const session = await cluster.settled(leader.session());
    const refused = [
      [{ consistency: "fresh" }, TypeError],
      [{ session }, TypeError],
      [{ consistency: "stale", session }, TypeError],
      [{ minIndex: 1 }, RangeError],
      [{ consistency: "stale", minIndex: -1 }, RangeError],
      [{ consistency: "stale", minIndex: 1.5 }, RangeError],
      [{ consistency: "session", maxStalenessMs: 5 }, RangeError],
      [{ consistency: "stale", maxStalenessMs: -1 }, RangeError],
      [{ consistency: "stale", maxStalenessMs: NaN }, RangeError],
    ] as const;
    for (const [options, kind] of refused) {
      assertInstanceOf((await cluster.outcome(leader.read(() => 0, options as never))).error, kind);
    }
  }));
