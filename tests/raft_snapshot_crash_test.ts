/**
 * A server that loses power at any step of receiving, installing and taking snapshots, on its production stores.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { RaftOptions } from "../src/options.ts";
import { fileSnapshots } from "../src/store/snapshot_files.ts";
import { walStore } from "../src/store/wal/wal_store.ts";
import { type Choose, keepAll, loseAll, MemoryFiles } from "../src/testing/memory_files.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, VirtualCluster } from "./virtual_cluster.ts";

const eager = { snapshotThreshold: 10, snapshotIntervalMs: 20, trailingLogs: 2 };

/** The stores of a server on this disk. */
function on(files: MemoryFiles): Partial<RaftOptions<unknown, unknown>> {
  let texts = 0;
  const options = { segmentBytes: 8192, random: () => `text ${texts++}`, now: () => 0 };
  return {
    ...eager,
    store: { open: () => Promise.resolve(walStore(files.directory("log") as MemoryFiles, options)) },
    snapshots: { open: () => Promise.resolve(fileSnapshots(files.directory("snapshots"))) },
  };
}

/** A cluster whose third server is on this disk and, having been away, needs a snapshot. */
async function behind(files: MemoryFiles): Promise<VirtualCluster> {
  const cluster = new VirtualCluster(3, (id, cluster) => {
    const machine = new SnapshotJournal();
    cluster.machines.set(id, machine);
    return machine;
  });
  for (const id of ["a", "b"]) await cluster.start(id, eager);
  await cluster.start("c", on(files));
  const leader = await cluster.leader();
  if (leader.id === "c") await cluster.settled(leader.transferLeadership("a"));
  const { settled, environment } = cluster;
  for (let i = 0; i < 5; i++) await settled.call(cluster, cluster.raft("a").apply(`early ${i}`));
  await environment.until(() => cluster.raft("c").appliedIndex === cluster.raft("a").appliedIndex);
  cluster.isolate("c");
  const last = await cluster.leader(["a", "b"]);
  for (let i = 0; i < 40; i++) await settled.call(cluster, last.apply(`late ${i}`));
  await environment.until(() => last.status.firstIndex > cluster.raft("c").lastIndex + 1);
  return cluster;
}

/** Lets it come back until its disk halts, cuts the power, and starts it again. Says how many operations there were. */
async function run(halt: number, choose: Choose): Promise<{ operations: number; installed: boolean }> {
  const files = new MemoryFiles();
  for (const name of ["log", "snapshots"]) await files.directory(name).ensure();
  await files.syncDirectory();
  const cluster = await behind(files);
  const before = files.operationCount;
  files.haltAfter(halt);
  cluster.heal();
  const journal = cluster.machine("c") as SnapshotJournal;
  // Enough that it then takes snapshots of its own.
  for (let i = 0; i < 30; i++) {
    cluster.raft("a").apply(`meanwhile ${i}`).catch(() => {});
    await cluster.environment.advance(50);
  }
  await cluster.environment.advance(1_000);
  const operations = files.operationCount - before;
  const installed = journal.restores > 0;
  files.crash(choose);
  await cluster.settled(cluster.raft("c").shutdown());
  await cluster.start("c", on(files));
  const leader = await cluster.leader();
  await cluster.settled(leader.apply("after"));
  await cluster.converged();
  const [a, c] = [cluster.machine("a"), cluster.machine("c")];
  assertEquals(c.values, a.values, `halted after ${halt}`);
  assertEquals(c.indexes, a.indexes);
  assertEquals(cluster.errors.filter((line) => !line.startsWith("c ")), []);
  await cluster.stopAll();
  return { operations, installed };
}

for (const [name, choose] of Object.entries({ loseAll, keepAll })) {
  test(`S3: power is cut at every step of catching up by a snapshot (${name}): it comes back whole`, async () => {
    const { operations, installed } = await run(1e9, choose);
    assertGreater(operations, 40);
    assert(installed, "it took a snapshot");
    let installs = 0;
    for (let halt = 0; halt < operations; halt++) if ((await run(halt, choose)).installed) installs++;
    // Some were cut off before, some after.
    assert(installs > 5 && installs < operations - 5, `${installs} of ${operations}`);
  }, { timeoutMs: 120_000 });
}
