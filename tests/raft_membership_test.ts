import { assertEquals, assertInstanceOf } from "@std/assert";
import { MembershipError } from "../src/errors.ts";
import type { RaftEvent } from "../src/events.ts";
import type { Raft } from "../src/raft.ts";
import type { ConfigurationChange } from "../src/types.ts";
import { test } from "./harness.ts";
import { VirtualCluster, watch } from "./virtual_cluster.ts";

type Server = Raft<unknown, unknown>;

/** A cluster of the first `founders` of `size` servers; the others run and wait to be found. */
async function withFounders(
  founders: number,
  size: number,
  body: (cluster: VirtualCluster, leader: Server) => Promise<void>,
): Promise<void> {
  const cluster = new VirtualCluster(size);
  const first = cluster.ids.slice(0, founders);
  const bootstrap = Object.fromEntries(first.map((id) => [id, id]));
  for (const id of cluster.ids) await cluster.start(id, { bootstrap: first.includes(id) ? bootstrap : undefined! });
  await body(cluster, await cluster.leader(first));
  cluster.heal();
  await cluster.stopAll();
  await cluster.environment.advance(5_000);
  assertEquals(cluster.environment.timerCount, 0);
}

const voters = (raft: Server) =>
  raft.configuration.servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id).join(" ");

/** What it tells from now on, as `type`s. */
function watchEvents(raft: Server): RaftEvent[] {
  const events: RaftEvent[] = [];
  (async () => {
    for await (const event of raft.events()) events.push(event);
  })();
  return events;
}

test("Raft.addVoter() on any server: it gets the log, then votes; the answer is the committed configuration", () =>
  withFounders(3, 5, async (cluster, leader) => {
    for (let i = 0; i < 20; i++) await cluster.settled(leader.apply(i));
    const follower = cluster.raft(cluster.ids.find((id) => id !== leader.id && id < "d")!);
    const { index } = await cluster.settled(follower.addVoter("d", "d"));
    assertEquals([voters(leader), leader.configuration.index, leader.configuration.committed], [
      "a b c d",
      index,
      true,
    ]);
    await cluster.settled(leader.addVoter("e", "e", { priority: 0 }));
    assertEquals(voters(leader), "a b c d e");
    await cluster.converged();
    for (const id of cluster.ids) {
      assertEquals(cluster.machine(id).values, cluster.machine("a").values);
      assertEquals(voters(cluster.raft(id)), "a b c d e");
    }
    assertEquals(leader.configuration.servers.at(-1)!.priority, 0);
    // The new ones count: with two of the old ones gone there is still a majority.
    const gone = cluster.ids.filter((id) => id < "d" && id !== leader.id);
    for (const id of gone) await cluster.settled(cluster.raft(id).shutdown());
    assertEquals((await cluster.outcome(leader.apply("more"))).text, "21");
  }));

test("Raft.addVoter() of a server that is one already changes nothing and appends nothing", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const { index, lastIndex } = { index: leader.configuration.index, lastIndex: leader.lastIndex };
    assertEquals((await cluster.settled(leader.addVoter("b", "b"))).index, index);
    assertEquals((await cluster.settled(leader.removeServer("x"))).index, index);
    assertEquals(leader.lastIndex, lastIndex);
  }));

test("Raft.addVoter() of a server that does not answer ends, and says that it stays staging", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const { error } = await cluster.outcome(leader.addVoter("x", "x"), 60_000);
    assertInstanceOf(error, MembershipError);
    assertEquals([error.reason, error.outcome], ["unreachable", "unknown"]);
    assertEquals(leader.configuration.servers.at(-1), { id: "x", address: "x", suffrage: "staging" });
    await cluster.settled(leader.removeServer("x"));
    assertEquals(leader.configuration.servers.length, 3);
  }));

test("Raft.addNonvoter(), demoteVoter(), addPeer() and removePeer()", () =>
  withFounders(3, 4, async (cluster, leader) => {
    await cluster.settled(leader.addNonvoter("d", "d"));
    assertEquals([voters(leader), leader.configuration.servers.length], ["a b c", 4]);
    await cluster.settled(leader.addPeer("d"));
    assertEquals(voters(leader), "a b c d");
    const other = cluster.ids.find((id) => id !== leader.id)!;
    await cluster.settled(leader.demoteVoter(other));
    assertEquals(voters(leader).includes(other), false);
    await cluster.settled(leader.removePeer(other));
    assertEquals(leader.configuration.servers.some(({ id }) => id === other), false);
    assertEquals(leader.stats().num_peers, "2");
  }));

test("Raft.changeMembership(): three servers become three others in one step, and nothing is lost", () =>
  withFounders(3, 6, async (cluster, leader) => {
    for (let i = 0; i < 10; i++) await cluster.settled(leader.apply(i));
    const changes = [
      ...["d", "e", "f"].map((id) => ({ type: "add-voter", id, address: id }) as const),
      ...["a", "b", "c"].map((id) => ({ type: "remove-server", id }) as const),
    ];
    const events = watchEvents(cluster.raft("a"));
    await cluster.settled(leader.changeMembership(changes), 60_000);
    const newcomers = ["d", "e", "f"];
    const next = await cluster.leader(newcomers, 60_000);
    assertEquals(voters(next), "d e f");
    assertEquals((await cluster.outcome(next.apply("after"))).text, "11");
    for (const id of newcomers) {
      await cluster.environment.until(() => cluster.machine(id).values.length === 11);
      assertEquals(cluster.machine(id).values, cluster.machine("d").values);
    }
    // The old ones know that they are none of it, and stay quiet.
    await cluster.environment.until(() => ["a", "b", "c"].every((id) => cluster.raft(id).status.isRemoved));
    const term = next.currentTerm;
    await cluster.environment.advance(20_000);
    assertEquals(next.currentTerm, term);
    assertEquals(events.some(({ type }) => type === "removed"), true);
  }));

for (const by of ["leader", "follower"] as const) {
  test(`Raft.changeMembership() on a ${by} does what the type says, also when a whole server is spread into the change`, () =>
    withFounders(3, 3, async (cluster, leader) => {
      const [one, two] = cluster.ids.filter((id) => id !== leader.id);
      const raft = by === "leader" ? leader : cluster.raft(two!);
      const whole = () => raft.configuration.servers.find(({ id }) => id === one)!;
      const suffrages = async (type: ConfigurationChange["type"]) => {
        await cluster.settled(raft.changeMembership([{ type, ...whole() }]));
        return leader.configuration.servers.filter(({ id }) => id === one).map(({ suffrage }) => suffrage);
      };
      assertEquals(await suffrages("demote-voter"), ["nonvoter"]);
      await cluster.environment.until(() => whole().suffrage === "nonvoter");
      assertEquals(await suffrages("add-voter"), ["voter"]);
      assertEquals(await suffrages("remove-server"), []);
      assertEquals(raft.metrics().protocolErrors, 0);
    }));
}

test("Raft.removeServer() of the leader: it leads until that is committed, hands over, and its caller knows", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const others = cluster.ids.filter((id) => id !== leader.id);
    await cluster.settled(leader.removeServer(leader.id));
    const next = await cluster.leader(others);
    assertEquals(voters(next), others.join(" "));
    assertEquals([leader.state, leader.status.isRemoved], ["follower", true]);
    assertEquals((await cluster.outcome(next.apply("x"))).text, "1");
    // It is asked like any other server, and knows nobody to ask.
    assertEquals((await cluster.outcome(leader.apply("y"), 60_000)).text, "not-leader not-applied");
  }));

test("Raft.removeServer() with shutdownOnRemove: the removed server stops by itself, a demoted one does not (P12)", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const [one, two] = cluster.ids.filter((id) => id !== leader.id);
    for (const id of [one!, two!]) {
      await cluster.settled(cluster.raft(id).shutdown());
      await cluster.start(id, { shutdownOnRemove: true });
    }
    await cluster.environment.advance(2_000);
    await cluster.settled(leader.demoteVoter(one!), 60_000);
    await cluster.settled(leader.removeServer(two!), 60_000);
    assertEquals(await cluster.settled(cluster.raft(two!).closed, 60_000), undefined);
    assertEquals(cluster.raft(one!).state, "follower");
  }));

test("membership changes are refused with a reason: no voter, no quorum, another configuration, nonsense", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const [one, two] = cluster.ids.filter((id) => id !== leader.id);
    const reason = async (promise: Promise<unknown>) => {
      const { error } = await cluster.outcome(promise);
      const { reason, code, outcome } = error as MembershipError;
      return `${reason ?? code} ${outcome}`;
    };
    const all = cluster.ids.map((id) => ({ type: "remove-server", id }) as const);
    assertEquals(await reason(leader.changeMembership(all)), "invalid not-applied");
    const stale = { prevIndex: leader.configuration.index + 1 };
    assertEquals(await reason(leader.removeServer(one!, stale)), "configuration-changed not-applied");
    const endless = { prevIndex: Number.MAX_SAFE_INTEGER };
    assertEquals(await reason(cluster.raft(one!).removeServer(two!, endless)), "configuration-changed not-applied");
    assertEquals(await reason(leader.addVoter("x", one!)), "invalid not-applied");
    for (const bad of ["", "a b", "x".repeat(65)]) {
      assertInstanceOf((await cluster.outcome(leader.addVoter(bad, "x"))).error, TypeError);
    }
    assertInstanceOf((await cluster.outcome(leader.addVoter("x", ""))).error, TypeError);
    for (const type of ["add-voter", "add-nonvoter"]) {
      const { error } = await cluster.outcome(leader.changeMembership([{ type, id: "x" } as never]));
      assertInstanceOf(error, TypeError);
    }
    assertInstanceOf((await cluster.outcome(leader.addVoter("x", "x", { priority: -1 }))).error, TypeError);
    assertInstanceOf((await cluster.outcome(leader.removeServer("x", { prevIndex: -1 }))).error, RangeError);
    const listener = (i: number) => ({ type: "add-nonvoter", id: `n${i}`, address: `n${i}` }) as const;
    const many = Array.from({ length: 998 }, (_, i) => listener(i));
    assertEquals(await reason(leader.changeMembership(many)), "invalid not-applied");
    await cluster.settled(leader.changeMembership([listener(0)]));
    const inItsPlace = [{ type: "add-voter", id: "x", address: "n0" }, { type: "remove-server", id: "n0" }] as const;
    assertEquals(await reason(leader.changeMembership(inItsPlace)), "invalid not-applied");
    cluster.isolate(two!);
    await cluster.environment.advance(600);
    assertEquals(await reason(leader.removeServer(one!)), "no-quorum not-applied");
    await cluster.settled(leader.removeServer(two!));
    assertEquals(voters(leader).split(" ").length, 2);
  }));

test("a change whose leader falls is answered, and its outcome is unknown when it was begun", () =>
  withFounders(3, 4, async (cluster, leader) => {
    const follower = cluster.raft(cluster.ids.find((id) => id !== leader.id && id < "d")!);
    cluster.isolate("d");
    const ends = [watch(leader.addVoter("d", "d")), watch(follower.addVoter("d", "d"))];
    await cluster.environment.advance(200);
    cluster.isolate(leader.id);
    const [own, forwarded] = await cluster.settled(Promise.all(ends), 60_000);
    assertEquals(own!.text, "leadership-lost unknown");
    assertEquals(forwarded!.text, "leadership-lost unknown");
  }));

test("Raft.transferLeadership() to a named server, from any server; resolves when it leads", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const [one, two] = cluster.ids.filter((id) => id !== leader.id);
    assertEquals((await cluster.settled(leader.transferLeadership(one))).id, one);
    await cluster.leader();
    assertEquals(cluster.raft(one!).state, "leader");
    assertEquals((await cluster.settled(leader.transferLeadership(two))).id, two);
    await cluster.leader();
    const { id } = await cluster.settled(cluster.raft(two!).transferLeadership());
    assertEquals(id === two, false);
    // To the one that leads already.
    assertEquals((await cluster.settled(cluster.raft(two!).transferLeadership((await cluster.leader()).id))).id, id);
  }));

test("Raft.transferLeadership() that can't be done fails with a reason, and the leader goes on (P6)", () =>
  withFounders(3, 4, async (cluster, leader) => {
    const [one, two] = cluster.ids.filter((id) => id !== leader.id && id < "d");
    const failed = async (raft: Server, to: string) => {
      const { error } = await cluster.outcome(raft.transferLeadership(to), 60_000);
      return (error as { reason: string }).reason;
    };
    assertEquals(await failed(leader, "x"), "no-target");
    assertEquals(await failed(cluster.raft(one!), "d"), "no-target");
    cluster.isolate(two!);
    assertEquals(await failed(leader, two!), "timeout");
    assertEquals((await cluster.outcome(leader.apply("x"))).text, "1");
  }));

test("Raft.transferLeadership() to nobody in particular says who did not take over in time", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const others = cluster.ids.filter((id) => id !== leader.id);
    await cluster.environment.until(() => others.every((id) => cluster.raft(id).appliedIndex === leader.lastIndex));
    // They hear their leader, and never have what it has.
    for (const id of others) cluster.stores.get(id)!.slowWrites = true;
    const stuck = watch(leader.apply("stuck"));
    const { error } = await cluster.outcome(leader.transferLeadership());
    assertEquals(
      (error as Error).message,
      `Cannot hand leadership over to "${others[0]}": the other server did not take over in time`,
    );
    for (const id of others) {
      const store = cluster.stores.get(id)!;
      store.slowWrites = false;
      for (const write of store.writing) write.resolve();
    }
    assertEquals((await cluster.settled(stuck)).text, "1");
  }));

test("Raft.transferLeadership() to what can be no server's id is refused by the server that is asked (BE24)", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const follower = cluster.raft(cluster.ids.find((id) => id !== leader.id)!);
    for (const raft of [leader, follower]) {
      for (const to of ["x y", "", null, 5, { signal: undefined }]) {
        const start = cluster.environment.now();
        const { error } = await cluster.outcome(raft.transferLeadership(to as never));
        assertInstanceOf(error, TypeError);
        assertEquals(cluster.environment.now(), start);
      }
    }
    // Nobody's connection is closed for it.
    assertEquals([leader.state, leader.metrics().protocolErrors], ["leader", 0]);
  }));

/** Makes the disks of these write nothing, so that they lack a command, until `release` is called. */
function stall(cluster: VirtualCluster, leader: Server, ids: readonly string[]) {
  const stores = ids.map((id) => cluster.stores.get(id)!);
  for (const store of stores) store.slowWrites = true;
  const stuck = watch(leader.apply("stuck"));
  const release = () => {
    for (const store of stores) {
      store.slowWrites = false;
      for (const write of store.writing) write.resolve();
    }
  };
  return { stuck, release };
}

test("Raft.transferLeadership() to another while one is under way is refused; those who wait for that one hear nothing of it", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const others = cluster.ids.filter((id) => id !== leader.id);
    const [one, two] = others as [string, string];
    const third = cluster.raft(two);
    await cluster.environment.until(() => others.every((id) => cluster.raft(id).appliedIndex === leader.lastIndex));
    const { stuck, release } = stall(cluster, leader, others);
    const waiting = [leader.transferLeadership(one), leader.transferLeadership(), third.transferLeadership()].map(
      watch,
    );
    const refused = [leader, third].map((raft) => watch(raft.transferLeadership(two)));
    for (const { error } of await cluster.settled(Promise.all(refused))) {
      assertEquals((error as { reason: string }).reason, "busy");
    }
    assertEquals(leader.state, "leader");
    release();
    for (const { value } of await cluster.settled(Promise.all(waiting))) {
      assertEquals((value as { id: string }).id, one);
    }
    assertEquals((await cluster.settled(stuck)).text, "1");
  }));

test("Raft.shutdown() of a leader goes on handing over while a transfer to another is refused", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const others = cluster.ids.filter((id) => id !== leader.id);
    const [one, two] = others as [string, string];
    await cluster.environment.until(() => others.every((id) => cluster.raft(id).appliedIndex === leader.lastIndex));
    const { stuck, release } = stall(cluster, leader, others);
    const gone = watch(leader.shutdown());
    const { error } = await cluster.outcome(cluster.raft(one).transferLeadership(two));
    assertEquals([(error as { reason: string }).reason, leader.state], ["busy", "leader"]);
    release();
    const start = cluster.environment.now();
    await cluster.settled(gone);
    await cluster.leader(others);
    // Nobody has to wait for an election timeout.
    assertEquals(cluster.environment.now() - start < 50, true);
    await cluster.settled(stuck);
  }));

test("Raft.verifyLeader(): true for a leader that is followed, not for a follower or a leader that is cut off", () =>
  withFounders(3, 3, async (cluster, leader) => {
    await cluster.settled(leader.verifyLeader());
    const follower = cluster.raft(cluster.ids.find((id) => id !== leader.id)!);
    assertEquals((await cluster.outcome(follower.verifyLeader())).text, "not-leader not-applied");
    cluster.isolate(leader.id);
    assertEquals((await cluster.outcome(leader.verifyLeader())).text, "not-leader not-applied");
    await cluster.settled(leader.shutdown());
    assertEquals((await cluster.outcome(leader.verifyLeader())).text, "shutdown not-applied");
    assertEquals((await cluster.outcome(leader.addVoter("x", "x"))).text, "shutdown not-applied");
    assertEquals((await cluster.outcome(leader.transferLeadership())).text, "shutdown not-applied");
  }));

test("Raft.drain(): another server leads before this one stops; without another to lead it does not stop", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const others = cluster.ids.filter((id) => id !== leader.id);
    const term = leader.currentTerm;
    await cluster.settled(leader.drain());
    const next = await cluster.leader(others);
    assertEquals([leader.state, next.currentTerm], ["shutdown", term + 1]);
    cluster.isolate(next.id);
    const { error } = await cluster.outcome(next.drain(), 60_000);
    assertEquals([(error as { code: string }).code, next.state === "shutdown"], ["transfer-failed", false]);
  }));

test("priority: leadership goes to the server with the highest, and comes back to it", () =>
  withFounders(3, 3, async (cluster, leader) => {
    const other = cluster.ids.find((id) => id !== leader.id)!;
    await cluster.settled(leader.addVoter(other, other, { priority: 9 }));
    await cluster.environment.until(() => cluster.raft(other).state === "leader", 60_000);
    await cluster.settled(cluster.raft(other).transferLeadership(leader.id));
    await cluster.environment.until(() => cluster.raft(other).state === "leader", 60_000);
  }));

test("Raft.stats() has upstream's keys, all text", () =>
  withFounders(3, 3, async (cluster, leader) => {
    await cluster.settled(leader.apply("x"));
    const { latest_configuration, last_contact, term, last_log_term, ...rest } = leader.stats();
    assertEquals([term, last_log_term], [`${leader.currentTerm}`, `${leader.currentTerm}`]);
    assertEquals(JSON.parse(latest_configuration).length, 3);
    assertEquals(last_contact, "0");
    assertEquals(rest, {
      state: "Leader",
      last_log_index: "3",
      commit_index: "3",
      applied_index: "3",
      fsm_pending: "0",
      last_snapshot_index: "0",
      last_snapshot_term: "0",
      protocol_version: "2",
      protocol_version_min: "1",
      protocol_version_max: "2",
      snapshot_version_min: "1",
      snapshot_version_max: "1",
      latest_configuration_index: "2",
      num_peers: "2",
    });
  }));
