import { assertEquals, assertInstanceOf } from "@std/assert";
import { EntryAwaitedError, StaleReadError } from "../src/errors.ts";
import { test } from "./harness.ts";
import { watch, withCluster } from "./virtual_cluster.ts";

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

test("Raft.read() with a bound of staleness sees what the leader has said is committed, also when that has not come yet", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower, other] } = await cluster.elect();
    const count = () => cluster.machine(follower!.id).values.length;
    const bounded = () => follower!.read(count, { consistency: "stale", maxStalenessMs: 500 });
    cluster.isolate(follower!.id);
    for (let i = 1; i <= 40; i++) await cluster.settled(leader.apply(i));
    cluster.heal();
    // The first thing that it hears is how far the others are; the entries are still to come.
    await cluster.environment.until(() => follower!.lastContact! < 5);
    assertEquals([count(), other!.appliedIndex - follower!.appliedIndex], [0, 40]);
    const read = watch(bounded());
    assertEquals((await cluster.settled(read)).text, "40");
  }, { electionMinMs: 2000, electionMaxMs: 3000 }));

test("Raft.read() with a bound of staleness counts the time that the machine has slept", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.converged();
    const read = async (maxStalenessMs: number) => {
      const { text } = await cluster.outcome(follower!.read(() => 1, { consistency: "stale", maxStalenessMs }));
      return text;
    };
    assertEquals(await read(100), "1");
    cluster.environment.wallOffsetMs += 60_000;
    assertEquals([await read(59_999), await read(60_100)], ["stale-read not-applied", "1"]);
    await cluster.environment.advance(100);
    assertEquals(await read(100), "1", "the leader was heard since");
  }));

test("Raft.read() with a bound of staleness counts a sleep after the wall clock was set back", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.converged();
    cluster.isolate(follower!.id);
    const read = async (maxStalenessMs?: number) => {
      const { text } = await cluster.outcome(follower!.read(() => 1, { consistency: "stale", maxStalenessMs }));
      return text;
    };
    cluster.environment.wallOffsetMs -= 10_000;
    assertEquals(await read(), "1", "it has had a turn");
    cluster.environment.wallOffsetMs += 10_000;
    assertEquals([await read(9_999), await read(10_100)], ["stale-read not-applied", "1"]);
  }));

test("Raft.read() with a bound of staleness on a server that leads no more says that it heard no other leader", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    const read = (raft: typeof leader) =>
      cluster.outcome(raft.read(() => 1, { consistency: "stale", maxStalenessMs: 1_000 }));
    assertEquals((await read(leader)).text, "1");
    cluster.isolate(leader.id);
    await cluster.environment.until(() => leader.state !== "leader");
    const { error } = await read(leader);
    assertInstanceOf(error, StaleReadError);
    const why = "this server leads no more, and no other leader was ever heard";
    assertEquals([error.lastContactMs, error.message], [
      undefined,
      `Cannot read as ${why}: at most 1000 ms are allowed`,
    ]);
    const next = await cluster.leader(followers.map(({ id }) => id));
    cluster.heal();
    await cluster.environment.until(() => leader.leader?.id === next.id);
    assertEquals((await read(leader)).text, "1");
  }));

test("Raft.read() with a bound of staleness on a leader counts what it has slept since the last turn", () =>
  withCluster(3, async (cluster) => {
    const leader = await cluster.leader();
    const read = (maxStalenessMs: number) => leader.read(() => 1, { consistency: "stale", maxStalenessMs });
    assertEquals((await cluster.outcome(read(0))).text, "1");
    cluster.environment.wallOffsetMs += 10_000;
    const [refused, allowed] = [cluster.outcome(read(9_999)), cluster.outcome(read(10_000))];
    assertEquals([(await refused).text, (await allowed).text], ["stale-read not-applied", "1"]);
    assertEquals((await cluster.outcome(read(0))).text, "1", "it has had a turn");
  }));

test("Raft.read() with a bound of staleness that has waited goes by what the leader has said since", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.converged();
    cluster.isolate(follower!.id);
    const options = { consistency: "stale", maxStalenessMs: 100, minIndex: follower!.appliedIndex + 1 } as const;
    const read = watch(follower!.read(() => cluster.machine(follower!.id).values.length, options));
    await cluster.settled(leader.apply("y"));
    await cluster.environment.advance(300);
    cluster.heal();
    assertEquals((await cluster.settled(read)).text, "2");
  }, { electionMinMs: 2000, electionMaxMs: 3000 }));

test("Raft.read() by a lease costs no time on the leader and one way there and back on others", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.converged();
    await cluster.environment.advance(100);
    const timed = async (raft: typeof leader, consistency: "lease" | "linearizable") => {
      const before = cluster.environment.now();
      const count = () => cluster.machine(raft.id).values.length;
      assertEquals((await cluster.outcome(raft.read(count, { consistency }))).text, "1");
      return cluster.environment.now() - before;
    };
    assertEquals(await timed(leader, "lease"), 2, "the first one asks for the promises that a lease is made of");
    assertEquals([await timed(leader, "lease"), await timed(leader, "linearizable")], [0, 2]);
    assertEquals([await timed(follower!, "lease"), await timed(follower!, "linearizable")], [2, 4]);
  }));

test("Raft.read() by a lease asks a quorum when the lease is over, and after the machine has slept", () =>
  withCluster(3, async (cluster) => {
    const { leader } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.environment.advance(100);
    const read = () => watch(leader.read(() => 0, { consistency: "lease" }));
    cluster.environment.wallOffsetMs += 60_000;
    const before = cluster.environment.now();
    await cluster.settled(read());
    assertEquals(cluster.environment.now() - before, 2);
    cluster.isolate(leader.id);
    assertEquals((await cluster.settled(read())).text, "0", "the last round was answered a moment ago");
    // 500 ms, less 1 % either way and the tolerance, after the last round that was answered began.
    await cluster.environment.advance(485);
    const late = read();
    const rest = cluster.ids.filter((id) => id !== leader.id);
    const next = await cluster.leader(rest);
    await cluster.settled(next.apply("y"));
    assertEquals((await cluster.settled(late, 60_000)).text, "not-leader not-applied");
  }));

test("Raft.read() by a lease sees what the next leader has taken when leadership was handed over", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.settled(leader.transferLeadership(follower!.id));
    await cluster.settled(follower!.apply("y"));
    for (const raft of [leader, follower!]) {
      const count = () => cluster.machine(raft.id).values.length;
      assertEquals((await cluster.outcome(raft.read(count, { consistency: "lease" }))).text, "2");
    }
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
      [{ consistency: "lease", minIndex: 1 }, RangeError],
      [{ consistency: "lease", maxStalenessMs: 1 }, RangeError],
      [{ consistency: "lease", session }, TypeError],
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
