/**
 * Partitions, lost leaders, disks that fail: what callers are told.
 *
 * @module
 */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { InvariantError, ShutdownError, StorageError } from "../src/errors.ts";
import type { Raft } from "../src/raft.ts";
import { drain } from "./virtual_environment.ts";
import { test } from "./harness.ts";
import { type VirtualCluster, watch, withCluster } from "./virtual_cluster.ts";

type AnyRaft = Raft<unknown, unknown>;

/** What became of the values that were proposed: nothing may contradict the logs of the servers. */
async function checkOutcomes(cluster: VirtualCluster, told: ReadonlyMap<string, string>): Promise<void> {
  await cluster.settled(cluster.raft(cluster.ids[0]!).barrier());
  await cluster.converged();
  const applied = cluster.machine(cluster.ids[0]!).values;
  for (const [value, text] of told) {
    const count = applied.filter((one) => one === value).length;
    if (text.endsWith("not-applied")) assertEquals(count, 0, `${value}: ${text} (K5)`);
    else if (text.endsWith("unknown")) assertEquals(count <= 1, true, `${value}: ${text} (K1)`);
    else assertEquals(count, 1, `${value}: ${text} (K3)`);
  }
}

function stopped(cluster: VirtualCluster): AnyRaft[] {
  return [...cluster.rafts.values()].filter(({ state }) => state === "shutdown");
}

/** Proposes and notes what became of it. */
function collect() {
  const told = new Map<string, string>();
  const calls: Promise<unknown>[] = [];
  const apply = (raft: AnyRaft, value: string) => {
    const call = watch(raft.apply(value)).then(({ text }) => told.set(value, text));
    calls.push(call);
    return call;
  };
  return { told, apply, all: () => Promise.all(calls) };
}

test("Raft.apply() on a leader that is cut off is told in the end, and what it is told is true (K4, K5)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    cluster.isolate(leader.id);
    const { told, apply, all } = collect();
    for (let i = 0; i < 5; i++) apply(leader, `lost${i}`);
    const others = followers.map(({ id }) => id);
    const next = await cluster.leader(others);
    await cluster.settled(apply(next, "kept"));
    await cluster.settled(all(), 10_000);
    assertEquals(new Set(told.values()), new Set(["1", "leadership-lost unknown"]));
    assertEquals(leader.metrics().proposalsPending, 0);
    cluster.heal();
    await checkOutcomes(cluster, told);
  }));

test("Raft.apply() on a leader that is cut off is not-applied once another entry stands in its place", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    cluster.isolate(leader.id);
    const call = watch(leader.apply("lost"));
    await cluster.leader(followers.map(({ id }) => id));
    cluster.heal();
    assertEquals((await cluster.settled(call)).text, "leadership-lost not-applied");
    await checkOutcomes(cluster, new Map([["lost", "not-applied"]]));
  }));

test("Raft.apply() on a follower that is cut off is told not-leader after leaderWaitMs", () =>
  withCluster(3, async (cluster) => {
    const { followers: [follower] } = await cluster.elect();
    cluster.isolate(follower!.id);
    await cluster.environment.advance(1_500);
    const before = cluster.environment.now();
    const calls = [follower!.apply("x"), follower!.barrier(), follower!.read(() => 0)].map(watch);
    const ended = await cluster.settled(Promise.all(calls));
    assertEquals(ended.map(({ text }) => text), Array(3).fill("not-leader not-applied"));
    const waited = cluster.environment.now() - before;
    assertEquals(waited >= 3_000 && waited <= 3_100, true, `waited ${waited} ms`);
  }));

test("Raft.apply() on a follower whose forward was on its way when it was cut off is unknown (BK02)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const call = watch(follower!.apply("x"));
    await drain();
    cluster.isolate(follower!.id);
    assertEquals((await cluster.settled(call)).text, "leadership-lost unknown");
    cluster.heal();
    await checkOutcomes(cluster, new Map([["x", "unknown"]]));
    assertEquals(leader.state, "leader");
  }));

test("Raft.apply() while leaders fall one after the other: everything is told, nothing contradicts the log (K1–K5)", () =>
  withCluster(5, async (cluster) => {
    const { told, apply, all } = collect();
    for (let round = 0; round < 6; round++) {
      const leader = await cluster.leader();
      for (const id of cluster.ids) for (let i = 0; i < 4; i++) apply(cluster.raft(id), `${round}${id}${i}`);
      // Anywhere between "not sent" and "applied everywhere".
      await cluster.environment.advance(round);
      cluster.isolate(leader.id);
      for (const id of cluster.ids) for (let i = 4; i < 6; i++) apply(cluster.raft(id), `${round}${id}${i}`);
      await cluster.leader(cluster.ids.filter((id) => id !== leader.id));
      cluster.heal();
    }
    await cluster.settled(all(), 10_000);
    assertEquals(told.size, 180);
    await checkOutcomes(cluster, told);
    for (const id of cluster.ids) {
      const { proposalsPending, proposalsPendingBytes } = cluster.raft(id).metrics();
      assertEquals([proposalsPending, proposalsPendingBytes], [0, 0]);
    }
  }));

// --- reads in a partition ---

test("Raft.read() on a leader that is cut off is never answered with what is old (P3, BR01, BR03)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    await cluster.settled(leader.apply("old"));
    // Its followers' answers to earlier heartbeats are still on their way when the read comes.
    await cluster.environment.advance(50);
    cluster.isolate(leader.id);
    const stale = watch(leader.read(() => cluster.machine(leader.id).values.at(-1)));
    const next = await cluster.leader(followers.map(({ id }) => id));
    await cluster.settled(next.apply("new"));
    const { text } = await cluster.settled(stale, 10_000);
    assertEquals(text, "not-leader not-applied");
    cluster.heal();
    assertEquals(await cluster.settled(leader.read(() => cluster.machine(leader.id).values.at(-1))), "new");
  }));

test("Raft.read() that waits on a cut off leader is answered by the next one when it is back in time", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    cluster.isolate(leader.id);
    const read = watch(leader.read(() => cluster.machine(leader.id).values.at(-1)));
    const next = await cluster.leader(followers.map(({ id }) => id));
    await cluster.settled(next.apply("new"));
    cluster.heal();
    assertEquals((await cluster.settled(read)).text, "new");
  }));

test("Raft.read() on a new leader waits for its first entry to be committed (BR02, P3)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    await cluster.settled(leader.apply("acknowledged"));
    cluster.isolate(leader.id);
    await cluster.environment.until(() => followers.some(({ state }) => state === "leader"));
    const next = followers.find(({ state }) => state === "leader")!;
    const { commitIndex, lastIndex } = next;
    assertEquals(commitIndex < lastIndex, true);
    assertEquals(await cluster.settled(next.read(() => cluster.machine(next.id).values.at(-1))), "acknowledged");
    assertEquals(next.commitIndex >= lastIndex, true);
  }));

test("Raft.read() on every server sees what was acknowledged before, while leaders change (R1)", () =>
  withCluster(3, async (cluster) => {
    for (let round = 1; round <= 6; round++) {
      const leader = await cluster.leader();
      await cluster.settled(cluster.raft(cluster.ids[round % 3]!).apply(round));
      const reads = cluster.ids.map((id) => watch(cluster.raft(id).read(() => cluster.machine(id).values.at(-1))));
      cluster.isolate(leader.id);
      for (const { text } of await cluster.settled(Promise.all(reads), 10_000)) {
        assertEquals([`${round}`, "not-leader not-applied"].includes(text), true, text);
      }
      cluster.heal();
    }
  }));

test("Raft.read() that has its index on a follower that is then cut off does not hang (K4)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    // The follower's disk is slow, so it can't apply what it is told to read at.
    const applied = watch(leader.apply("x"));
    const read = watch(follower!.read(() => 0));
    await cluster.environment.advance(3);
    cluster.isolate(follower!.id);
    assertEquals((await cluster.settled(applied)).text, "1");
    const { text } = await cluster.settled(read, 5_000);
    assertEquals(["0", "not-leader not-applied"].includes(text), true, text);
  }));

// --- disks ---

for (const role of ["leader", "follower"] as const) {
  test(`Raft whose disk fails as ${role} stops with a StorageError, and everybody is told (D1)`, () =>
    withCluster(3, async (cluster) => {
      const { leader, followers } = await cluster.elect();
      const raft = role === "leader" ? leader : followers[0]!;
      const events = raft.events({ filter: ({ type }) => type === "fatal" });
      cluster.stores.get(raft.id)!.writeError = new Error("EIO");
      const calls = [raft.apply("x"), raft.barrier(), raft.read(() => 0), raft.apply("y")].map(watch);
      const closed = await cluster.settled(raft.closed);
      assertInstanceOf(closed, StorageError);
      assertEquals(closed.message, "Cannot write the log: EIO: see to the disk, then restart");
      assertEquals([raft.state, raft.leader], ["shutdown", undefined]);
      for (const { error, text } of await Promise.all(calls)) {
        assertEquals(text.startsWith("shutdown ") || text === "0", true, text);
        if (text !== "0") assertEquals((error as Error).cause, closed);
      }
      assertEquals((await events.next()).value, { type: "fatal", error: closed });
      assertEquals((await events.next()).done, true);
      assertEquals((await watch(raft.apply("late"))).text, "shutdown not-applied");
      assertEquals(raft.metrics().proposalsPending, 0);
      assertEquals(cluster.stores.get(raft.id)!.closes, 1);
      assertEquals(cluster.errors.length, 1);
      await raft.shutdown();
      // The others go on.
      const rest = cluster.ids.filter((id) => id !== raft.id);
      await cluster.settled((await cluster.leader(rest)).apply("after"));
    }));
}

test("Raft passes on a StorageError of the store as it is", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const error = new StorageError("Cannot write: no space left", "write");
    cluster.stores.get("a")!.writeError = error;
    const { text } = await watch(raft.apply("x"));
    assertEquals([text, await raft.closed === error], ["shutdown unknown", true]);
  }));

test("Raft whose disk can't be read stops too", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    cluster.isolate(follower!.id);
    for (let i = 0; i < 3; i++) await cluster.settled(leader.apply("x"));
    cluster.stores.get(leader.id)!.readError = new Error("EIO");
    cluster.heal();
    const closed = await cluster.settled(leader.closed);
    assertInstanceOf(closed, StorageError);
    assertEquals(closed.message, "Cannot read the log: EIO: see to the disk, then restart");
  }, { logCacheBytesMax: 0 }));

test("Raft that meets an error of its own says so, and blames no disk", () =>
  withCluster(3, async (cluster) => {
    const { leader } = await cluster.elect();
    const bug = new TypeError("x is undefined");
    // The turn looks at the clock once before it takes the command, which then gets its time stamp.
    const now = cluster.environment.wallNow();
    let looks = 0;
    cluster.environment.wallNow = () => {
      if (++looks > 1) throw bug;
      return now;
    };
    const call = watch(leader.apply("x"));
    const closed = await cluster.settled(leader.closed);
    assertInstanceOf(closed, InvariantError);
    assertEquals([closed.message, closed.cause], ["Cannot go on: x is undefined", bug]);
    assertEquals((await call).text, "shutdown unknown");
  }));

for (const over of [{ logCacheBytesMax: 0 }, { logCacheEntriesMax: 0 }]) {
  test(`Raft with ${Object.keys(over)[0]} of 0 reads all from disk, and loses nothing`, () =>
    withCluster(3, async (cluster) => {
      const { leader, followers: [follower] } = await cluster.elect();
      cluster.isolate(follower!.id);
      for (let i = 0; i < 20; i++) await cluster.settled(leader.apply(i));
      cluster.heal();
      await cluster.environment.until(() => cluster.machine(follower!.id).values.length === 20);
      assertEquals(cluster.machine(follower!.id).values, cluster.machine(leader.id).values);
      assertEquals(cluster.stores.get(leader.id)!.reads.length > 0, true);
    }, over));
}

test("Raft whose machine reports an InvariantError stops with it, on each server that applies the command", () =>
  withCluster(
    3,
    async (cluster) => {
      const leader = await cluster.leader();
      const calls = [leader.apply("fine"), leader.apply("bad"), leader.apply("after"), leader.read(() => 0)].map(watch);
      const texts = (await cluster.settled(Promise.all(calls))).map(({ text }) => text);
      assertEquals(texts.slice(0, 3), ["fine", "shutdown unknown", "shutdown unknown"]);
      assertInstanceOf(await cluster.settled(leader.closed), InvariantError);
      // The next leader commits the command and stops as well; the last server learns of no commit any more.
      await cluster.environment.until(() => stopped(cluster).length === 2);
      for (const raft of stopped(cluster)) assertInstanceOf(await cluster.settled(raft.closed), InvariantError);
    },
    {},
    () => ({
      apply: (command) => {
        if (command === "bad") throw new InvariantError("the books don't balance");
        return command;
      },
    }),
  ));

test("Raft is not ended by a logger that throws", () => {
  const fail = () => {
    throw new Error("log disk full");
  };
  const logger = { debug: fail, info: fail, warn: fail, error: fail };
  return withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    assertEquals(await cluster.settled(leader.apply(1)), 1);
    cluster.isolate(leader.id);
    await cluster.settled((await cluster.leader(followers.map(({ id }) => id))).apply(2));
    cluster.stores.get(leader.id)!.writeError = new Error("EIO");
    cluster.heal();
    assertInstanceOf(await cluster.settled(leader.closed), StorageError);
  }, { logger });
});

// --- time ---

test("Raft leader that slept takes its time anew instead of trusting what it heard before", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    await cluster.environment.jump(60_000);
    assertEquals(raft.state, "leader");
    assertEquals(await cluster.settled(raft.apply(1)), 1);
  }));

test("Raft cluster whose process slept as a whole keeps its leader: heartbeats that wait are heard first (P20)", () =>
  withCluster(3, async (cluster) => {
    const { leader } = await cluster.elect();
    const { currentTerm } = leader;
    for (let i = 0; i < 5; i++) {
      await cluster.environment.jump(30_000);
      await cluster.environment.advance(2_000);
      assertEquals(await cluster.settled(leader.apply(i)), i + 1);
    }
    assertEquals([leader.state, leader.currentTerm], ["leader", currentTerm]);
  }));

test("Raft stamps entries with time that never decreases, whatever the wall clock does", () => {
  const times: number[] = [];
  return withCluster(
    1,
    async (cluster) => {
      const raft = await cluster.leader();
      for (const offset of [1e12, 9e11, -5e12, 1e12 + 7]) {
        cluster.environment.wallOffsetMs = offset;
        await cluster.settled(raft.apply(0));
      }
      assertEquals(times, times.toSorted((a, b) => a - b));
      assertEquals(times.every((time) => Number.isSafeInteger(time) && time >= 0), true);
    },
    {},
    () => ({ apply: (_, { timeMs }) => times.push(timeMs) }),
  );
});

test("Raft.shutdown() after a failure is done, and closed keeps the failure", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    cluster.stores.get("a")!.writeError = new Error("EIO");
    await watch(raft.apply(1));
    await cluster.settled(raft.shutdown());
    assertInstanceOf(await raft.closed, StorageError);
    assertInstanceOf((await watch(raft.read(() => 0))).error, ShutdownError);
  }));
