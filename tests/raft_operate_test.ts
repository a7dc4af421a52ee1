/**
 * What operators ask of a running server: to wait, to run by other settings.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { readFile } from "node:fs/promises";
import { ShutdownError } from "../src/errors.ts";
import type { RaftEvent } from "../src/events.ts";
import { defaultOptions } from "../src/options.ts";
import { type ReloadableSettings, reloaded } from "../src/reload.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, withCluster } from "./virtual_cluster.ts";

test("Raft.wait() resolves with the status as soon as all that is asked for holds", () =>
  withCluster(3, async (cluster) => {
    const [a, b] = [cluster.raft("a"), cluster.raft("b")];
    assertEquals((await cluster.settled(a.wait({ leader: true }))).leader, a.leader!.id);
    const leader = await cluster.leader();
    const follower = leader === a ? b : a;
    assertEquals((await cluster.settled(leader.wait({ role: "leader", term: leader.currentTerm }))).id, leader.id);
    let reached = false;
    const index = leader.lastIndex + 2;
    const waiting = follower.wait({ appliedIndex: index, commitIndex: index }).then(() => reached = true);
    await cluster.settled(leader.apply("one"));
    await cluster.environment.advance(200);
    assertEquals([reached, follower.appliedIndex], [false, index - 1]);
    await cluster.settled(leader.apply("two"));
    await cluster.settled(waiting);
    assertEquals(follower.appliedIndex, index);
    const gone = follower.wait(({ leader: id }) => id === undefined);
    cluster.isolate(follower.id);
    await cluster.settled(gone);
    assertEquals((await cluster.settled(follower.wait({ leader: false }))).leader, undefined);
  }));

test("Raft.wait() ends with its signal, with what the function throws, and with the server", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = assertRejects(
      () => raft.wait({ appliedIndex: 1e9 }, { signal: controller.signal }),
      Error,
      "enough",
    );
    controller.abort(reason);
    await aborted;
    await assertRejects(() => raft.wait({ leader: true }, { signal: controller.signal }), Error, "enough");
    const broken = () => {
      throw new Error("my own");
    };
    await assertRejects(() => raft.wait(broken), Error, "my own");
    const waiting = assertRejects(() => raft.wait({ role: "candidate" }), ShutdownError);
    await cluster.settled(raft.shutdown());
    await waiting;
    await assertRejects(() => raft.wait({ leader: false }), ShutdownError);
  }));

test("Raft.wait() refuses conditions that are none", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    for (const condition of [{}, undefined, null]) {
      await assertRejects(() => raft.wait(condition as never), TypeError, "Cannot wait for nothing");
    }
    for (const appliedIndex of [-1, 1.5, NaN, "1"]) {
      await assertRejects(() => raft.wait({ appliedIndex } as never), RangeError, "'appliedIndex'");
    }
  }));

test("Raft.lastContact is 0 on the leader, the time since it was heard on others, undefined before", () =>
  withCluster(3, async (cluster) => {
    assertEquals(cluster.raft("a").lastContact, undefined);
    const { leader, followers: [follower] } = await cluster.elect();
    assertEquals(leader.lastContact, 0);
    cluster.isolate(follower!.id);
    await cluster.environment.advance(300);
    const contact = follower!.lastContact!;
    assert(contact > 240 && contact <= 300, `${contact}`);
  }));

test("reloaded() checks all settings together, and refuses what takes a restart", () => {
  const settings = defaultOptions();
  assertEquals(reloaded(settings, { heartbeatMs: 100, leaseMs: undefined! }), { ...settings, heartbeatMs: 100 });
  assertThrows(
    () => reloaded(settings, { electionMinMs: 400 }),
    RangeError,
    "'leaseMs' must be at most 'electionMinMs'",
  );
  assertEquals(reloaded(settings, { electionMinMs: 400, leaseMs: 400 }).electionMinMs, 400);
  for (const name of ["commandBytesMax", "leaderWaitMs", "preVote", "logCacheBytesMax"]) {
    assertThrows(() => reloaded(settings, { [name]: 1 }), TypeError, `Cannot reload '${name}': it takes a restart`);
  }
  for (const name of ["heartbeat", "__proto__", "toString"]) {
    const changes = Object.fromEntries([[name, 1]]) as Partial<ReloadableSettings>;
    assertThrows(() => reloaded(settings, changes), TypeError, "there is no such setting");
  }
});

test("docs/operating.md names the settings that can be reloaded", async () => {
  const page = await readFile(new URL("../docs/operating.md", import.meta.url), "utf8");
  const [, list] = /These can be reloaded:\n([^]*?)\. They/.exec(page)!;
  const named = list!.match(/\w+/g);
  const settings = defaultOptions();
  const taken = Object.entries(settings).filter(([name, value]) => {
    try {
      return reloaded(settings, { [name]: value });
    } catch {
      return false;
    }
  });
  assertEquals(named?.toSorted(), taken.map(([name]) => name).toSorted());
});

test("Raft.reloadConfig() that is refused leaves all as it was", () =>
  withCluster(3, async (cluster) => {
    const { followers: [follower] } = await cluster.elect();
    const bad = { electionMinMs: 100, electionMaxMs: 50, leaseMs: 100, heartbeatMs: 10 };
    assertThrows(() => follower!.reloadConfig(bad), RangeError, "'electionMaxMs'");
    cluster.isolate(follower!.id);
    await cluster.environment.advance(400);
    assertEquals(follower!.state, "follower");
  }));

test("Raft.reloadConfig() shortens an election that is being waited for", () =>
  withCluster(3, async (cluster) => {
    const { leader } = await cluster.elect();
    const shorter = { heartbeatMs: 10, leaseMs: 50, electionMinMs: 50, electionMaxMs: 100 };
    for (const id of cluster.ids) cluster.raft(id).reloadConfig(shorter);
    // What was promised for the longer time is kept.
    await cluster.environment.advance(500);
    assertEquals(leader.state, "leader", "nobody loses an office by it");
    cluster.isolate(leader.id);
    const before = cluster.environment.now();
    await cluster.leader(cluster.ids.filter((id) => id !== leader.id));
    assertLess(cluster.environment.now() - before, 400);
  }));

test("Raft.reloadConfig() reaches the limits of what is in flight", () =>
  withCluster(3, async (cluster) => {
    const { followers: [follower] } = await cluster.elect();
    cluster.isolate(follower!.id);
    const first = follower!.apply(1).catch(() => {});
    follower!.reloadConfig({ inFlightCountMax: 1 });
    assertEquals((await cluster.outcome(follower!.apply(2))).text, "overloaded not-applied");
    follower!.reloadConfig({ inFlightCountMax: 2 });
    const second = follower!.apply(3).catch(() => {});
    await cluster.settled(Promise.all([first, second]));
  }));

test("Raft.reloadConfig() makes snapshots due sooner, also while the longer interval is being waited for", () => {
  const over = { snapshotIntervalMs: 1_000_000, snapshotThreshold: 1000 };
  return withCluster(
    1,
    async (cluster) => {
      const raft = await cluster.leader();
      const events: RaftEvent[] = [];
      void (async () => {
        for await (const event of raft.events({ filter: ({ type }) => type === "snapshot-taken" })) events.push(event);
      })();
      for (let i = 0; i < 20; i++) await cluster.settled(raft.apply(i));
      await cluster.environment.advance(5_000);
      assertEquals([events.length, raft.status.firstIndex], [0, 1]);
      raft.reloadConfig({ snapshotIntervalMs: 50, snapshotThreshold: 10, trailingLogs: 0 });
      await cluster.environment.advance(200);
      assertEquals([events.length, raft.status.firstIndex], [1, raft.lastIndex + 1]);
    },
    over,
    (id, cluster) => {
      const machine = new SnapshotJournal();
      cluster.machines.set(id, machine);
      return machine;
    },
  );
});

test("Raft.reloadConfig() is refused by a server that is shut down", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    await cluster.settled(raft.shutdown());
    assertThrows(() => raft.reloadConfig({ heartbeatMs: 60 }), ShutdownError);
  }));

test("Raft.events() tells of servers and configurations: added, changed, removed, committed, silent and back", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower, other] } = await cluster.elect();
    const lines: string[] = [];
    const wanted = /^(server-(added|updated|removed)|configuration-committed|heartbeat)/;
    void (async () => {
      for await (const event of leader.events({ filter: ({ type }) => wanted.test(type) })) {
        if (event.type === "heartbeat-failed" || event.type === "heartbeat-resumed") {
          lines.push(`${event.type} ${event.peer}`);
        } else if ("server" in event && typeof event.server === "object") {
          lines.push(`${event.type} ${event.server.id} ${event.server.suffrage}`);
        } else if ("index" in event) lines.push(event.type);
      }
    })();
    await cluster.settled(leader.addNonvoter("x", "x"));
    await cluster.settled(leader.demoteVoter(other!.id));
    await cluster.settled(leader.removeServer("x"));
    await cluster.environment.advance(100);
    // Disks are noted in configurations of their own.
    assertEquals(lines.splice(0).filter((line, i, all) => line !== all[i - 1]), [
      ...["server-added x nonvoter", "configuration-committed"],
      ...[`server-updated ${other!.id} nonvoter`, "configuration-committed"],
      ...["server-removed x nonvoter", "configuration-committed"],
    ]);
    cluster.isolate(other!.id);
    await cluster.environment.advance(2_000);
    assertEquals(lines.splice(0), [`heartbeat-failed ${other!.id}`]);
    cluster.heal();
    await cluster.environment.advance(3_000);
    assertEquals(lines.splice(0), [`heartbeat-resumed ${other!.id}`]);
    assertEquals([leader.state, follower!.state], ["leader", "follower"]);
  }));
