/**
 * What a server that has data makes of the option `bootstrap`: that of its cluster's beginning is right for ever, another
 * one is refused.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes } from "@std/assert";
import { bootstrapConfiguration } from "../src/bootstrap.ts";
import { Beginning } from "../src/driver/beginning.ts";
import { CannotBootstrapError } from "../src/errors.ts";
import { recoverCluster } from "../src/offline.ts";
import type { RaftOptions } from "../src/options.ts";
import { kvLog } from "../src/store/kv/kv_store.ts";
import { kvSnapshots } from "../src/store/kv/kv_snapshots.ts";
import { fileSnapshots } from "../src/store/snapshot_files.ts";
import { walStore } from "../src/store/wal/wal_store.ts";
import { MemoryFiles } from "../src/testing/memory_files.ts";
import { MemoryKv } from "../src/testing/memory_kv.ts";
import { fingerprintOf } from "../src/wire/configuration.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, VirtualCluster } from "./virtual_cluster.ts";

type Options = Partial<RaftOptions<unknown, unknown>>;

/** Snapshots only when somebody asks, and no entries before them. */
const asked: Options = { snapshotThreshold: 2 ** 40, trailingLogs: 0 };

const prefix = ["raft"];

/** Where a server keeps its data: made once, opened at each start. The first is the cluster's own, in memory. */
const places: Readonly<Record<string, () => Options>> = {
  memory: () => ({}),
  wal: () => {
    const files = new MemoryFiles();
    let texts = 0;
    const options = { segmentBytes: 8192, random: () => `text ${texts++}`, now: () => 0 };
    return {
      store: { open: () => Promise.resolve(walStore(files.directory("log") as MemoryFiles, options)) },
      snapshots: { open: () => Promise.resolve(fileSnapshots(files.directory("snapshots"))) },
    };
  },
  kv: () => {
    const kv = new MemoryKv();
    return {
      store: { open: () => Promise.resolve(kvLog(kv, { prefix, closes: false, random: () => "one" })) },
      snapshots: { open: () => Promise.resolve(kvSnapshots(kv, { prefix, closes: false })) },
    };
  },
};

function clusterOf(size: number): VirtualCluster {
  return new VirtualCluster(size, (id, cluster) => {
    const machine = new SnapshotJournal();
    cluster.machines.set(id, machine);
    return machine;
  });
}

const listOf = (...ids: string[]) => Object.fromEntries(ids.map((id) => [id, id]));
const fingerprint = (...ids: string[]) => fingerprintOf(bootstrapConfiguration(listOf(...ids), ids[0]!));

/** It does not start with that option; the error has both fingerprints. */
async function refused(cluster: VirtualCluster, id: string, over: Options, began: string[], given: string[]) {
  await cluster.settled(cluster.raft(id).shutdown());
  const start = () => cluster.start(id, { ...over, bootstrap: listOf(...given) });
  const { message } = await assertRejects(start, CannotBootstrapError, `Cannot bootstrap server "${id}"`);
  for (const ids of [began, given]) assertStringIncludes(message, `"${fingerprint(...ids)}"`);
  assertStringIncludes(message, `a cluster that began with ${began.map((id) => `${id}=${id}`).join(", ")} (`);
}

for (const [name, place] of Object.entries(places)) {
  test(`bootstrap: ${name}: a server with a log goes on with the option it began with, or none, and with no other`, async () => {
    const cluster = clusterOf(1);
    const over = { ...asked, ...place() };
    await cluster.start("a", over);
    for (const isCompacted of [false, true]) {
      const leader = await cluster.leader();
      await cluster.settled(leader.apply(isCompacted));
      if (isCompacted) await cluster.settled(leader.snapshot());
      await cluster.environment.until(() => !isCompacted || leader.status.firstIndex > 2);
      await refused(cluster, "a", over, ["a"], ["a", "b"]);
      // Nothing was changed by that.
      for (const bootstrap of [undefined!, listOf("a")]) {
        const raft = await cluster.start("a", { ...over, bootstrap });
        assertEquals(raft.status.firstIndex > 2, isCompacted);
        await cluster.leader();
        if (bootstrap === undefined) await cluster.settled(raft.shutdown());
      }
    }
    assertEquals(cluster.machine("a").values, [false, true]);
    await cluster.stopAll();
  });
}

test("bootstrap: the option is right though servers have come and gone, and the list of today is not", async () => {
  const cluster = clusterOf(3);
  await cluster.startAll(asked);
  const { leader, followers: [one, other] } = await cluster.elect();
  await cluster.settled(leader.removeServer(other!.id));
  await cluster.settled(other!.shutdown());
  await cluster.settled(one!.snapshot());
  await cluster.environment.until(() => one!.status.firstIndex > 2);
  const today = cluster.ids.filter((id) => id !== other!.id);
  await refused(cluster, one!.id, asked, [...cluster.ids], today);
  const again = await cluster.start(one!.id, asked);
  assertEquals(await cluster.settled(again.apply("x")), 1);
  assertEquals(again.configuration.servers.map(({ id }) => id), today);
  await cluster.stopAll();
});

test("bootstrap: a server that joined by a snapshot knows how its cluster began, and tells the next one", async () => {
  const cluster = clusterOf(4);
  const first = listOf("a", "b", "c");
  for (const id of ["a", "b", "c"]) await cluster.start(id, { ...asked, bootstrap: first });
  const leader = await cluster.leader(["a", "b", "c"]);
  await cluster.settled(leader.apply("x"));
  await cluster.settled(leader.snapshot());
  await cluster.environment.until(() => leader.status.firstIndex > 2);
  await cluster.start("d", { ...asked, bootstrap: undefined! });
  await cluster.settled(leader.addVoter("d", "d"));
  assertGreater((cluster.machine("d") as SnapshotJournal).restores, 0);
  // Its own snapshot, which takes the place of the leader's, says so, too.
  await cluster.settled(cluster.raft("d").apply("y"));
  await cluster.settled(cluster.raft("d").snapshot());
  await refused(cluster, "d", asked, ["a", "b", "c"], ["a", "b", "c", "d"]);
  const again = await cluster.start("d", { ...asked, bootstrap: undefined! });
  assertEquals(await cluster.settled(again.apply("z")), 3);
  await cluster.stopAll();
});

test("bootstrap: a server that a lost quorum was recovered with goes on with the option it began with", async () => {
  const cluster = clusterOf(3);
  await cluster.startAll(asked);
  await cluster.leader();
  await cluster.settled(cluster.raft("a").apply("x"));
  await cluster.converged();
  await cluster.stopAll();
  const [store, snapshots] = [cluster.stores.get("a")!, cluster.snapshots.get("a")!];
  await recoverCluster({
    id: "a",
    machine: new SnapshotJournal(),
    store: { open: () => Promise.resolve(store), snapshots: { open: () => Promise.resolve(snapshots) } },
    transport: cluster.network.transport("a"),
  }, bootstrapConfiguration(listOf("a"), "a"));
  cluster.rafts.clear();
  await cluster.start("a", asked);
  await cluster.leader(["a"]);
  await refused(cluster, "a", asked, ["a", "b", "c"], ["a"]);
  await cluster.stopAll();
});

test("bootstrap: another beginning under one clusterId is refused when snapshots have taken the place of both, too", async () => {
  const cluster = clusterOf(3);
  const over = { ...asked, clusterId: "shop" };
  for (const id of ["a", "b"]) await cluster.start(id, { ...over, bootstrap: listOf("a", "b") });
  const leader = await cluster.leader(["a", "b"]);
  const alone = await cluster.start("c", { ...over, bootstrap: listOf("c") });
  await cluster.leader(["c"]);
  for (const raft of [leader, alone]) {
    await cluster.settled(raft.apply("x"));
    await cluster.settled(raft.snapshot());
    await cluster.environment.until(() => raft.status.firstIndex > 2);
  }
  const troubles = leader.events({ filter: ({ type }) => type === "peer-trouble" });
  await cluster.settled(leader.addNonvoter("c", "c"));
  const { reason } = (await cluster.settled(troubles.next())).value as { reason: string };
  for (const ids of [["a", "b"], ["c"]]) assertStringIncludes(reason, `"${fingerprint(...ids)}"`);
  assert(reason.startsWith("another bootstrap"), reason);
  assertEquals(cluster.machine("c").values, ["x"]);
  await cluster.stopAll();
});

test("Beginning knows entry 1 as long as it is in the log, then what snapshots say, and nothing when they don't", () => {
  const configuration = bootstrapConfiguration(listOf("a"), "a");
  const beginning = new Beginning();
  const other = bootstrapConfiguration(listOf("a", "b"), "a");
  assertEquals(beginning.fingerprint([{ index: 2, configuration }]), "");
  assertEquals(beginning.of([{ index: 1, configuration }]), configuration);
  assertEquals(beginning.fingerprint([{ index: 2, configuration: other }]), fingerprint("a"));
  beginning.restore(other);
  assertEquals(beginning.fingerprint([]), fingerprint("a", "b"));
  beginning.restore(undefined);
  assertEquals(beginning.of([{ index: 2, configuration }]), undefined);
});
