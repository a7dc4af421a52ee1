/**
 * What is done to data while no server runs: bootstrap, and the way out of a lost quorum.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { CannotBootstrapError, CannotRecoverError, DamagedEntryError, StorageError } from "../src/errors.ts";
import { bootstrapCluster, hasExistingState, recoverCluster } from "../src/offline.ts";
import type { RaftOptions } from "../src/options.ts";
import { memoryStore } from "../src/store/memory.ts";
import { memorySnapshotStore } from "../src/store/memory_snapshots.ts";
import type { SnapshotStore } from "../src/store/snapshot_store.ts";
import type { Store } from "../src/store/store.ts";
import { originOf, writeSnapshot } from "../src/testing/conformance/snapshot_support.ts";
import { commandsOf } from "../src/testing/store_cases.ts";
import type { Configuration, ServerId } from "../src/types.ts";
import { test } from "./harness.ts";
import { Journal, SnapshotJournal, VirtualCluster } from "./virtual_cluster.ts";

type Options = RaftOptions<unknown, unknown>;

const never: Partial<Options> = { snapshotThreshold: 2 ** 40, trailingLogs: 0 };

function configurationOf(...ids: readonly ServerId[]): Configuration {
  return { servers: ids.map((id) => ({ id, address: id, suffrage: "voter" })) };
}

function clusterOf(size: number): VirtualCluster {
  return new VirtualCluster(size, (id, cluster) => {
    const machine = new SnapshotJournal();
    cluster.machines.set(id, machine);
    return machine;
  });
}

/** What an operator passes for a server of this cluster that does not run. */
function optionsFor(cluster: VirtualCluster, id: ServerId, over: Partial<Options> = {}): Options {
  const [store, snapshots] = [cluster.stores.get(id) as Store, cluster.snapshots.get(id)!];
  return {
    id,
    machine: new SnapshotJournal(),
    store: { open: () => Promise.resolve(store), snapshots: { open: () => Promise.resolve(snapshots) } },
    transport: cluster.network.transport(id),
    ...over,
  };
}

/** Three servers that agree on these values, and are then stopped. */
async function stoppedCluster(values: readonly unknown[], snapshotAfter = Infinity): Promise<VirtualCluster> {
  const cluster = clusterOf(3);
  await cluster.startAll(never);
  await cluster.leader();
  for (const [i, value] of values.entries()) {
    await cluster.settled(cluster.raft("a").apply(value));
    if (i + 1 === snapshotAfter) await cluster.settled(cluster.raft("a").snapshot());
  }
  await cluster.converged();
  await cluster.stopAll();
  return cluster;
}

/** Starts only that server, once it leads. */
async function startAlone(cluster: VirtualCluster, id: ServerId) {
  cluster.rafts.clear();
  const raft = await cluster.start(id, never);
  await cluster.leader([id]);
  return raft;
}

test("recoverCluster() lets one of three go on alone with all it has, and grow again", async () => {
  for (const snapshotAfter of [Infinity, 2, 5]) {
    const cluster = await stoppedCluster([1, 2, 3, 4, 5], snapshotAfter);
    const report = await recoverCluster(optionsFor(cluster, "a"), configurationOf("a"));
    assertEquals([report.isDone, report.before.servers.length, report.after.servers.length], [true, 3, 1]);
    assertEquals(report.snapshotIndex > 0, snapshotAfter !== Infinity);
    const raft = await startAlone(cluster, "a");
    assertEquals(cluster.machine("a").values, [1, 2, 3, 4, 5]);
    assertEquals(raft.configuration.servers.map(({ id }) => id), ["a"]);
    assertGreater(raft.currentTerm, 100_000);
    assertEquals(await cluster.settled(raft.apply(6)), 6);

    for (const id of ["b", "c"]) {
      cluster.stores.delete(id);
      cluster.snapshots.delete(id);
      await cluster.start(id, { ...never, bootstrap: undefined! });
      await cluster.settled(raft.addVoter(id, id));
    }
    await cluster.converged();
    for (const id of cluster.ids) assertEquals(cluster.machine(id).values, [1, 2, 3, 4, 5, 6]);
    await cluster.stopAll();
  }
});

test("recoverCluster() on two survivors with the same servers: the one with more leads, the other one follows", async () => {
  const cluster = await stoppedCluster([1, 2]);
  cluster.rafts.clear();
  for (const id of ["a", "c"]) await cluster.start(id, never);
  await cluster.settled((await cluster.leader(["a", "c"])).apply("without b"));
  await cluster.stopAll();
  for (const id of ["a", "b"]) await recoverCluster(optionsFor(cluster, id), configurationOf("a", "b"));
  cluster.rafts.clear();
  for (const id of ["a", "b"]) await cluster.start(id, never);
  await cluster.settled((await cluster.leader(["a", "b"])).apply("afterwards"));
  await cluster.environment.until(() => cluster.machine("b").values.length === 4);
  for (const id of ["a", "b"]) assertEquals(cluster.machine(id).values, [1, 2, "without b", "afterwards"]);
  await cluster.stopAll();
});

test("recoverCluster() keeps what was in the log and never known to be committed", async () => {
  const cluster = clusterOf(3);
  await cluster.startAll(never);
  const leader = await cluster.leader();
  await cluster.settled(leader.apply("committed"));
  await cluster.converged();
  cluster.isolate(leader.id);
  const lost = cluster.outcome(leader.apply("uncommitted"));
  await cluster.environment.until(() => leader.lastIndex > leader.commitIndex);
  await cluster.stopAll();
  await lost;
  await recoverCluster(optionsFor(cluster, leader.id), configurationOf(leader.id));
  await startAlone(cluster, leader.id);
  assertEquals(cluster.machine(leader.id).values, ["committed", "uncommitted"]);
  await cluster.stopAll();
});

test("recoverCluster() is not undone by a lost server that comes back in spite of everything", async () => {
  const cluster = await stoppedCluster([1, 2, 3]);
  await recoverCluster(optionsFor(cluster, "a"), configurationOf("a"));
  const raft = await startAlone(cluster, "a");
  await cluster.settled(raft.apply("acknowledged"));
  await cluster.start("b", never);
  await cluster.environment.advance(30_000);
  await cluster.settled(raft.shutdown());
  await cluster.environment.advance(30_000);
  const again = await cluster.start("a", never);
  await cluster.environment.until(() => again.state === "leader", 60_000);
  await cluster.settled(again.apply("and on"));
  assertEquals(cluster.machine("a").values, [1, 2, 3, "acknowledged", "and on"]);
  await cluster.stopAll();
});

async function contentOf(cluster: VirtualCluster, id: ServerId) {
  const [store, snapshots] = [cluster.stores.get(id)!, cluster.snapshots.get(id)!];
  const { identity: _, ...state } = await store.open(id);
  await snapshots.open();
  const list = await snapshots.list();
  await Promise.all([store.close(), snapshots.close()]);
  return { state, list };
}

test("recoverCluster() as a dry run says what it would do, and writes nothing", async () => {
  for (const snapshotAfter of [Infinity, 2]) {
    const cluster = await stoppedCluster([1, 2, 3], snapshotAfter);
    const before = await contentOf(cluster, "b");
    const machine = new SnapshotJournal();
    const options = optionsFor(cluster, "b", { machine });
    const plan = await recoverCluster(options, configurationOf("b"), { dryRun: true });
    assertEquals(await contentOf(cluster, "b"), before);
    assertEquals(machine.values, [1, 2, 3]);
    const done = await recoverCluster(optionsFor(cluster, "b"), configurationOf("b"));
    assertEquals([plan.isDone, { ...plan, isDone: true }], [false, done]);
    assert(plan.steps.some((step) => step.includes("leaves out a, c")), plan.steps.join("\n"));
    assert((await contentOf(cluster, "b")).list[0]!.index === plan.continuesAfter);
  }
});

test("recoverCluster() that is cut off after its snapshot has recovered the cluster all the same", async () => {
  const cluster = await stoppedCluster([1, 2, 3]);
  const store = cluster.stores.get("a")!;
  const broken: Store = {
    isDurable: false,
    open: (id) => store.open(id),
    write: () => Promise.reject(new StorageError("Cannot write as the power is gone", "write")),
    read: (from, end, bytesMax) => store.read(from, end, bytesMax),
    close: () => store.close(),
  };
  const snapshots = cluster.snapshots.get("a")!;
  const options = optionsFor(cluster, "a", { store: { ...factory(broken, snapshots) } });
  await assertRejects(() => recoverCluster(options, configurationOf("a")), StorageError, "power is gone");
  const raft = await startAlone(cluster, "a");
  assertEquals(raft.configuration.servers.map(({ id }) => id), ["a"]);
  await cluster.settled(raft.apply(4));
  assertEquals(cluster.machine("a").values, [1, 2, 3, 4]);
  await cluster.stopAll();
});

function factory(store: Store, snapshots: SnapshotStore) {
  return { open: () => Promise.resolve(store), snapshots: { open: () => Promise.resolve(snapshots) } };
}

test("recoverCluster() whose snapshot can't be written changes nothing", async () => {
  const cluster = await stoppedCluster([1, 2, 3]);
  const before = await contentOf(cluster, "a");
  const machine = new SnapshotJournal();
  machine.snapshot = () => new ReadableStream({ pull: (controller) => controller.error(new Error("no room")) });
  await assertRejects(
    () => recoverCluster(optionsFor(cluster, "a", { machine }), configurationOf("a")),
    Error,
    "no room",
  );
  assertEquals(await contentOf(cluster, "a"), before);
});

test("recoverCluster() of a server whose log is damaged names the entry and changes nothing", async () => {
  const cluster = await stoppedCluster([1, 2, 3]);
  const before = await contentOf(cluster, "a");
  const store = cluster.stores.get("a")!;
  const damaged: Store = {
    isDurable: false,
    open: (id) => store.open(id),
    write: (write) => store.write(write),
    read: () => Promise.reject(new DamagedEntryError(4, "0001.wal", 512, "its checksum is wrong")),
    close: () => store.close(),
  };
  const options = optionsFor(cluster, "a", { store: factory(damaged, cluster.snapshots.get("a")!) });
  for (const dryRun of [true, false]) {
    await assertRejects(() => recoverCluster(options, configurationOf("a"), { dryRun }), DamagedEntryError, "entry 4");
  }
  assertEquals(await contentOf(cluster, "a"), before);
});

test("recoverCluster() refuses what would destroy something or help nobody", async () => {
  const cluster = await stoppedCluster([1, 2, 3], 2);
  const before = await contentOf(cluster, "a");
  const self = (suffrage: "nonvoter" | "staging"): Configuration => ({
    servers: [{ id: "a", address: "a", suffrage }, { id: "b", address: "b", suffrage: "voter" }],
  });
  const refusals: [Configuration, string][] = [
    [configurationOf("b", "c"), '"a" is not among the servers: b, c'],
    [self("nonvoter"), '"a" is to be a nonvoter'],
    [self("staging"), '"a" is to be a staging'],
    [{ ...configurationOf("a", "b"), outgoing: ["c"] }, "in the middle of a change"],
  ];
  for (const [configuration, message] of refusals) {
    await assertRejects(() => recoverCluster(optionsFor(cluster, "a"), configuration), CannotRecoverError, message);
  }
  await assertRejects(() => recoverCluster(optionsFor(cluster, "a"), { servers: [] }), TypeError, "it has no voter");
  await assertRejects(
    () => recoverCluster(optionsFor(cluster, "a", { clusterId: "another" }), configurationOf("a")),
    StorageError,
    'in cluster "another"',
  );
  assertEquals(await contentOf(cluster, "a"), before);
});

test("recoverCluster() refuses a server that has nothing, and a machine that takes no snapshots", async () => {
  const cluster = new VirtualCluster(1);
  const options = { id: "a", transport: cluster.network.transport("a") };
  const empty = { ...options, machine: new SnapshotJournal(), store: memoryStore() };
  await assertRejects(() => recoverCluster(empty, configurationOf("a")), CannotRecoverError, "no entry");
  await bootstrapCluster(empty, configurationOf("a"));
  const plain = { ...empty, machine: new Journal() };
  await assertRejects(() => recoverCluster(plain, configurationOf("a")), CannotRecoverError, "no snapshot()");
  assertEquals((await recoverCluster(empty, configurationOf("a"))).index, 1);
});

test("bootstrapCluster() does what the option does, so that servers of both kinds are of one cluster", async () => {
  const cluster = new VirtualCluster(2);
  await cluster.start("a");
  const { clusterId } = cluster.raft("a").status;
  const store = memoryStore();
  const options = { id: "b", machine: new Journal(), store, transport: cluster.network.transport("b") };
  await bootstrapCluster(options, configurationOf("a", "b"));
  const { identity, configurations, vote } = await store.open("b");
  assertEquals([identity.clusterId, vote.term, configurations[0]!.index], [clusterId, 1, 1]);
  await store.close();
  const raft = await cluster.start("b", { store, bootstrap: undefined! });
  await cluster.settled((await cluster.leader()).apply(1));
  assertEquals(raft.status.clusterId, clusterId);
  await cluster.stopAll();
});

test("bootstrapCluster() refuses a server with anything in it, and leaves it alone", async () => {
  const transport = new VirtualCluster(1).network.transport("a");
  const machine = new SnapshotJournal();
  const ways: ((store: Store, snapshots: SnapshotStore) => unknown)[] = [
    (store) => store.write({ records: [], vote: { term: 1, votedFor: undefined } }),
    (store) => store.write({ records: [commandsOf(1, 1, "x")] }),
    (_, snapshots) => writeSnapshot(snapshots, originOf(1), new Uint8Array(3)),
  ];
  for (const change of ways) {
    const [store, snapshots] = [memoryStore(), memorySnapshotStore()];
    assertEquals(await hasExistingState(store, snapshots, "a"), false);
    await Promise.all([store.open("a"), snapshots.open()]);
    await change(store, snapshots);
    await Promise.all([store.close(), snapshots.close()]);
    assertEquals(await hasExistingState(store, snapshots, "a"), true);
    const options = { id: "a", machine, store, snapshots, transport };
    await assertRejects(() => bootstrapCluster(options, configurationOf("a")), CannotBootstrapError);
  }
  const fresh = { id: "a", machine, store: memoryStore(), transport };
  for (const wrong of [configurationOf("b"), { servers: [] }]) {
    await assertRejects(() => bootstrapCluster(fresh, wrong), TypeError);
  }
  await bootstrapCluster(fresh, configurationOf("a"));
  await assertRejects(() => bootstrapCluster(fresh, configurationOf("a")), CannotBootstrapError, '"a"');
});

test("recoverCluster() on survivors that differ in their last entries: the more recent log is the truth for both", async () => {
  // However many entries the older log has that nobody else had.
  for (const count of [1, 2, 10, 100]) {
    const cluster = clusterOf(3);
    await cluster.startAll(never);
    const { leader, followers } = await cluster.elect();
    await cluster.settled(leader.apply("committed"));
    await cluster.converged();
    cluster.isolate(leader.id);
    const lost = Promise.all(Array.from({ length: count }, (_, i) => cluster.outcome(leader.apply(`lost ${i}`))));
    await cluster.environment.until(() => leader.lastIndex >= leader.commitIndex + count);
    const next = await cluster.leader(followers.map(({ id }) => id));
    await cluster.settled(next.apply("acknowledged"));
    await cluster.stopAll();
    await lost;
    cluster.heal();
    const ids = [leader.id, next.id].sort();
    for (const id of ids) await recoverCluster(optionsFor(cluster, id), configurationOf(...ids));
    cluster.rafts.clear();
    for (const id of ids) await cluster.start(id, never);
    const recovered = await cluster.leader(ids, 60_000);
    assertEquals(recovered.id, next.id);
    await cluster.settled(cluster.raft(leader.id).apply("and on"));
    const values = ["committed", "acknowledged", "and on"];
    await cluster.environment.until(() => ids.every((id) => cluster.machine(id).values.at(-1) === "and on"));
    for (const id of ids) assertEquals(cluster.machine(id).values, values);
    await cluster.stopAll();
  }
});
