/**
 * Scenarios of hashicorp/raft's own tests, for those that no other test here has in one piece.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { RaftEvent } from "../src/events.ts";
import type { Raft } from "../src/raft.ts";
import { memoryStore } from "../src/store/memory.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, VirtualCluster, withCluster } from "./virtual_cluster.ts";

type AnyRaft = Raft<unknown, unknown>;

const voters = (raft: AnyRaft) =>
  raft.configuration.servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id).join(" ");

/** All events from now on. */
function record(raft: AnyRaft): RaftEvent[] {
  const events: RaftEvent[] = [];
  void (async () => {
    for await (const event of raft.events()) events.push(event);
  })();
  return events;
}

test("one server leads alone, applies a command and says where it is (SingleNode)", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const { index, result } = await cluster.settled(raft.applyEntry({ data: "x" }));
    assertEquals([result, index > 0, cluster.machine("a").values], [1, true, ["x"]]);
  }));

test("an isolated leader is replaced in a higher term, and both commands that were acknowledged are on all (LeaderFail)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    const term = leader.currentTerm;
    await cluster.settled(leader.apply("one"));
    cluster.isolate(leader.id);
    const next = await cluster.leader(followers.map(({ id }) => id), 30_000);
    assertGreater(next.currentTerm, term);
    const lost = await cluster.outcome(leader.apply("lost"), 30_000);
    assert(/^(leadership-lost|not-leader)/.test(lost.text), lost.text);
    await cluster.settled(next.apply("two"));
    cluster.heal();
    await cluster.leader(undefined, 30_000);
    await cluster.converged();
    for (const id of cluster.ids) assertEquals(cluster.machine(id).values, ["one", "two"]);
  }));

test("a follower that was cut off for a hundred commands catches up by the log (BehindFollower)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [behind] } = await cluster.elect();
    cluster.isolate(behind!.id);
    for (let i = 0; i < 100; i++) await cluster.settled(leader.apply(i));
    cluster.heal();
    await cluster.environment.until(() => behind!.appliedIndex === leader.appliedIndex, 30_000);
    assertEquals(cluster.machine(behind!.id).values, cluster.machine(leader.id).values);
  }));

test("all that was committed before it is applied when a barrier resolves (Barrier)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const applied = Array.from({ length: 100 }, (_, i) => leader.apply(i));
    await cluster.settled(Promise.all(applied));
    await cluster.settled(follower!.barrier());
    assertEquals(cluster.machine(follower!.id).values.length, 100);
  }));

test("a leader that one of two followers answers leads still (VerifyLeader_PartialConnect)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [cut] } = await cluster.elect();
    cluster.isolate(cut!.id);
    await cluster.settled(leader.verifyLeader());
    await cluster.environment.advance(3_000);
    await cluster.settled(leader.verifyLeader());
  }));

test("every server knows the leader's id and address (LeaderID_Propagated)", () =>
  withCluster(3, async (cluster) => {
    const leader = await cluster.leader();
    for (const id of cluster.ids) {
      assertEquals(cluster.raft(id).leader, { id: leader.id, address: leader.id });
    }
  }));

test("gaining and losing leadership is told, to everybody who listens and in order (NotifyCh)", () =>
  withCluster(2, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    const [first, second] = [record(leader), record(leader)];
    cluster.isolate(leader.id);
    await cluster.environment.until(() => leader.state !== "leader", 30_000);
    cluster.heal();
    await cluster.leader(undefined, 30_000);
    await cluster.settled(followers[0]!.transferLeadership(leader.id)).catch(() => {});
    await cluster.environment.until(() => leader.state === "leader", 30_000);
    await cluster.environment.advance(1);
    const roles = (events: RaftEvent[]) => events.flatMap((event) => event.type === "role" ? [event.role] : []);
    assertEquals(roles(first), roles(second));
    assertEquals([roles(first)[0] === "leader", roles(first).at(-1)], [false, "leader"]);
    const leaders = first.flatMap((event) => event.type === "leader" ? [event.leader?.id] : []);
    assertEquals([leaders[0], leaders.at(-1)], [undefined, leader.id]);
  }));

test("a leader that nobody answers knows so within its lease, and neither side knows a leader (LeaderLeaseExpire)", () =>
  withCluster(2, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    cluster.isolate(leader.id);
    // Its lease and a heartbeat; the default of both is 500 and 50 ms.
    await cluster.environment.advance(600);
    assertEquals([leader.state === "leader", leader.leader], [false, undefined]);
    const contact = follower!.lastContact!;
    await cluster.environment.advance(2_000);
    assertEquals(follower!.leader, undefined);
    // The contact is as long ago as it is: nothing has renewed it.
    assertEquals(Math.round(follower!.lastContact! - contact), 2_000);
    // It never followed anybody, so there is no contact to tell of.
    assertEquals(leader.lastContact, undefined);
  }));

test("a removed follower is told, stays follower and is missed by nobody; added again it follows (RemoveFollower, ReJoinFollower)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower, other] } = await cluster.elect();
    const gone = follower!.id;
    const events = record(follower!);
    await cluster.settled(leader.removeServer(gone));
    await cluster.environment.until(() => events.some(({ type }) => type === "removed"), 30_000);
    const term = leader.currentTerm;
    await cluster.environment.advance(10_000);
    assertEquals([voters(leader), voters(other!)].map((ids) => ids.split(" ").length), [2, 2]);
    assertEquals([follower!.state, follower!.status.isRemoved, leader.currentTerm], ["follower", true, term]);
    await cluster.settled(leader.addVoter(gone, gone), 60_000);
    await cluster.settled(leader.apply("again"));
    await cluster.environment.until(() => cluster.machine(gone).values.includes("again"), 30_000);
    assertEquals([follower!.status.isRemoved, voters(follower!)], [false, voters(leader)]);
    assertEquals(leader.currentTerm, term);
  }));

test("a server of a far higher term joins as nonvoter, then as voter, and the cluster stays stable (ClusterCanRegainStability)", async () => {
  const cluster = new VirtualCluster(4);
  const first = Object.fromEntries(["a", "b", "c"].map((id) => [id, id]));
  for (const id of ["a", "b", "c"]) await cluster.start(id, { bootstrap: first });
  const before = await cluster.leader(["a", "b", "c"]);
  const term = before.currentTerm + 20;
  const store = memoryStore();
  await store.open("d");
  await store.write({ records: [], vote: { term, votedFor: undefined } });
  await store.close();
  const joining = await cluster.start("d", { store, bootstrap: undefined! });
  assertEquals(joining.currentTerm, term);
  await cluster.settled(before.addNonvoter("d", "d"), 60_000).catch(() => {});
  await cluster.environment.until(() => joining.leader !== undefined, 60_000);
  const leader = await cluster.leader(undefined, 60_000);
  assert(leader.currentTerm >= term && leader.id !== "d", `${leader.id} in term ${leader.currentTerm}`);
  await cluster.settled(leader.addVoter("d", "d"), 60_000);
  const settledTerm = leader.currentTerm;
  await cluster.environment.advance(20_000);
  assertEquals([leader.state, leader.currentTerm, voters(joining)], ["leader", settledTerm, "a b c d"]);
  await cluster.stopAll();
});

test("how far a snapshot has come is told on both sides, to the last byte (SnapshotRestore_Progress)", () =>
  withCluster(
    3,
    async (cluster) => {
      const { leader, followers: [behind] } = await cluster.elect();
      cluster.isolate(behind!.id);
      for (let i = 0; i < 20; i++) await cluster.settled(leader.apply("x".repeat(10_000)));
      const { meta } = await cluster.settled(leader.snapshot());
      const [sending, receiving] = [record(leader), record(behind!)];
      cluster.heal();
      await cluster.environment.until(() => behind!.appliedIndex === leader.appliedIndex, 60_000);
      await cluster.environment.advance(100);
      for (const [events, direction] of [[sending, "sending"], [receiving, "receiving"]] as const) {
        const told = events.flatMap((event) => event.type === "snapshot-progress" ? [event] : []);
        assertGreater(told.length, 0);
        assertEquals([told.at(-1)!.direction, told.at(-1)!.bytes], [direction, meta.bytes]);
        assert(told.every(({ total }) => total === meta.bytes));
      }
    },
    { snapshotThreshold: 2 ** 40, trailingLogs: 0 },
    (id, cluster) => {
      const machine = new SnapshotJournal();
      cluster.machines.set(id, machine);
      return machine;
    },
  ));

test("with long timeouts at first a restarted follower changes no leader; shorter ones by reload need no vote (LongInitialHeartbeat)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const term = leader.currentTerm;
    await cluster.settled(follower!.shutdown());
    const slow = { electionMinMs: 5_000, electionMaxMs: 6_000 };
    const again = await cluster.start(follower!.id, slow);
    await cluster.leader();
    again.reloadConfig({ electionMinMs: 500, electionMaxMs: 1_000 });
    await cluster.environment.advance(10_000);
    assertEquals([leader.state, again.currentTerm], ["leader", term]);
    // It works: without the leader it takes no more than the shorter ones.
    cluster.isolate(leader.id);
    const others = cluster.ids.filter((id) => id !== leader.id);
    assertGreater((await cluster.leader(others, 4_000)).currentTerm, term);
  }));
