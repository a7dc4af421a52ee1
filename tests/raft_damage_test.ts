/**
 * Whole servers on write-ahead logs in memory, of which bits flip.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DamagedEntryError, NothingNewToSnapshotError } from "../src/errors.ts";
import type { RaftEvent } from "../src/events.ts";
import type { StoreFactory } from "../src/store/store.ts";
import { kvLog } from "../src/store/kv/kv_store.ts";
import { fileSnapshots } from "../src/store/snapshot_files.ts";
import { walStore } from "../src/store/wal/wal_store.ts";
import type { MemoryDirectory } from "../src/testing/memory_directory.ts";
import { MemoryFiles } from "../src/testing/memory_files.ts";
import { MemoryKv } from "../src/testing/memory_kv.ts";
import type { ServerId } from "../src/types.ts";
import { test } from "./harness.ts";
import { damageEntry, keyOfEntry } from "./store/kv_damage.ts";
import { SnapshotJournal, VirtualCluster } from "./virtual_cluster.ts";

/** Servers with a disk each. */
class Disks {
  readonly cluster: VirtualCluster;
  readonly files: Map<ServerId, MemoryFiles>;
  readonly events: Map<ServerId, RaftEvent[]> = new Map();

  constructor(size: number) {
    this.cluster = new VirtualCluster(size);
    this.files = new Map(this.cluster.ids.map((id) => [id, new MemoryFiles({ location: `disk of ${id}` })]));
  }

  /** So many servers, all of which have written and applied so many values. */
  static async filled(size: number, count: number): Promise<Disks> {
    const disks = new Disks(size);
    await disks.start(...disks.cluster.ids);
    await disks.write(1, count);
    await disks.cluster.converged();
    return disks;
  }

  async start(...ids: ServerId[]): Promise<void> {
    for (const id of ids) {
      const store: StoreFactory = {
        open: () => {
          let texts = 0;
          const options = { segmentBytes: 64 << 10, random: () => `${id}-${texts++}`, now: () => 0 };
          return Promise.resolve(walStore(this.files.get(id)!, options));
        },
      };
      const raft = await this.cluster.start(id, { store, logCacheBytesMax: 1_000 });
      const events: RaftEvent[] = [];
      this.events.set(id, events);
      const stream = raft.events();
      void (async () => {
        for await (const event of stream) events.push(event);
      })();
    }
  }

  async write(from: number, count: number): Promise<void> {
    const { cluster } = this;
    const leader = await cluster.leader(cluster.ids.filter((id) => cluster.raft(id).state !== "shutdown"));
    for (let i = from; i < from + count; i++) await cluster.settled(leader.apply(`value ${i} `.repeat(30)));
  }

  async stop(id: ServerId): Promise<void> {
    await this.cluster.settled(this.cluster.raft(id).shutdown());
  }

  /** Flips a bit of the first record of `value n`. */
  damage(id: ServerId, n: number): void {
    damageText(this.files.get(id)!, `value ${n} value`);
  }
}

/** Three servers whose machines take snapshots, and a disk for each. */
function snapshotCluster() {
  const cluster = new VirtualCluster(3, (id, cluster) => {
    const machine = new SnapshotJournal();
    cluster.machines.set(id, machine);
    return machine;
  });
  return { cluster, files: new Map(cluster.ids.map((id) => [id, new MemoryFiles()])) };
}

/** Flips a bit in the first place of a disk where this text is. */
function damageText(files: MemoryDirectory, text: string): void {
  for (const name of files.names()) {
    const image = files.image(name);
    const at = new TextDecoder("latin1").decode(image).indexOf(text);
    if (at < 0) continue;
    image[at + 6]! ^= 1;
    files.setImage(name, image);
    return;
  }
  throw new Error(`"${text}" is not on the disk`);
}

test("a follower with flipped bits in its log gets the entries again, and does not lead before", async () => {
  const disks = await Disks.filled(3, 40);
  const { cluster } = disks;
  const leader = await cluster.leader();
  const [victim, other] = cluster.ids.filter((id) => id !== leader.id);
  await disks.stop(victim!);
  for (const n of [3, 4, 17, 40]) disks.damage(victim!, n);
  await disks.start(victim!);
  const { damaged } = cluster.raft(victim!).status;
  assertEquals(damaged.reduce((sum, { from, end }) => sum + end - from, 0), 4);
  await disks.write(41, 5);
  await cluster.converged();
  assertEquals(cluster.machine(victim!).values, cluster.machine(other!).values);
  assertEquals(cluster.raft(victim!).status.damaged, []);
  const types = disks.events.get(victim!)!.map(({ type }) => type);
  assert(types.includes("disk-repaired"), `${types}`);
  // It is whole on its own disk: it starts again without the others' help.
  await disks.stop(victim!);
  await disks.start(victim!);
  assertEquals(cluster.raft(victim!).status.damaged, []);
  await cluster.converged();
  await cluster.stopAll();
});

test("damage on all servers but at different entries ends in a halt, which every status tells, and not in a loss", async () => {
  const disks = await Disks.filled(3, 20);
  const { cluster } = disks;
  await cluster.stopAll();
  for (const [i, id] of cluster.ids.entries()) disks.damage(id, 5 + i);
  await disks.start(...cluster.ids);
  await cluster.environment.advance(20_000);
  for (const id of cluster.ids) {
    const { role, damaged, leader } = cluster.raft(id).status;
    assertEquals([role, leader, damaged.length], ["follower", undefined, 1]);
  }
  const { text } = await cluster.outcome(cluster.raft("a").apply("x"));
  assertEquals(text, "not-leader not-applied");
  await cluster.stopAll();
});

test("damage on one less than that is repaired from the one that is whole, which alone can lead", async () => {
  const disks = await Disks.filled(3, 20);
  const { cluster } = disks;
  await cluster.stopAll();
  disks.damage("a", 5);
  disks.damage("b", 5);
  await disks.start(...cluster.ids);
  assertEquals((await cluster.leader()).id, "c");
  await disks.write(21, 1);
  await cluster.converged();
  for (const id of cluster.ids) {
    assertEquals([cluster.machine(id).values.length, cluster.raft(id).status.damaged], [21, []]);
  }
  await cluster.stopAll();
});

test("a leader that finds one of its entries damaged on the way to a follower makes way, and is repaired", async () => {
  const disks = await Disks.filled(3, 30);
  const { cluster } = disks;
  const leader = await cluster.leader();
  const behind = cluster.ids.find((id) => id !== leader.id)!;
  await disks.stop(behind);
  // More than a segment, so that the file that is damaged is not the one that is written.
  await disks.write(31, 400);
  disks.damage(leader.id, 35);
  await disks.start(behind);
  await cluster.environment.until(() => cluster.raft(leader.id).state !== "leader", 20_000);
  await cluster.converged();
  assertEquals(cluster.machine(behind).values.length, 430);
  assertEquals(cluster.raft(leader.id).status.damaged, []);
  const events = disks.events.get(leader.id)!;
  assert(events.some((event) => event.type === "role" && event.reason === "disk-damaged"));
  const damage = events.find((event) => event.type === "disk-damaged")!;
  assert(damage.file.startsWith(`disk of ${leader.id}/`) && damage.end === damage.from + 1);
  await cluster.stopAll();
});

test("a server that is alone does not start with damage, and says where it is", async () => {
  const disks = new Disks(1);
  const { cluster } = disks;
  await disks.start("a");
  await disks.write(1, 10);
  await cluster.stopAll();
  disks.damage("a", 5);
  const error = await assertRejects(() => disks.start("a"), DamagedEntryError);
  assert(error.file.startsWith("disk of a/") && error.offset > 0);
});

test("a leader whose disk is full makes way, votes, and has all that was written when there is room again", async () => {
  const disks = await Disks.filled(3, 5);
  const { cluster } = disks;
  const full = (await cluster.leader()).id;
  const files = disks.files.get(full)!;
  files.bytesMax = files.bytesUsed;
  const others = cluster.ids.filter((id) => id !== full);
  // More than what is left of its segment.
  let written = 0;
  while (cluster.raft(full).state === "leader" && written < 600) {
    const call = cluster.raft(others[0]!).apply(`value ${6 + written} `.repeat(30));
    await cluster.outcome(call);
    written++;
  }
  assert(written < 600, "its disk was never full");
  const next = await cluster.leader(others, 20_000);
  assert(next.id !== full);
  for (let i = 0; i < 20; i++) await cluster.settled(next.apply(`more ${i}`));
  // It serves reads meanwhile, of what it has and of what the leader has committed.
  const count = () => cluster.machine(full).values.length;
  assert(await cluster.settled(cluster.raft(full).read(count, { consistency: "stale" })) > 5);
  assertEquals(await cluster.settled(cluster.raft(full).read(count)), cluster.machine(next.id).values.length);
  const events = disks.events.get(full)!;
  assert(events.some((event) => event.type === "disk-full" && event.isFull));
  assert(events.some((event) => event.type === "role" && event.reason === "disk-full"));
  files.bytesMax = Infinity;
  await cluster.environment.advance(3_000);
  await cluster.converged();
  assert(events.some((event) => event.type === "disk-full" && !event.isFull));
  assertEquals(cluster.machine(full).values, cluster.machine(others[0]!).values);
  await cluster.stopAll();
});

test("a follower whose key-value database lost and changed entries, its configuration among them, gets them again", async () => {
  const cluster = new VirtualCluster(3);
  const databases = new Map(cluster.ids.map((id) => [id, new MemoryKv()]));
  const prefix = ["raft"];
  const start = (id: ServerId) => {
    const open = () =>
      Promise.resolve(kvLog(databases.get(id)!, { prefix, closes: false, random: () => `disk of ${id}` }));
    return cluster.start(id, { store: { open }, logCacheBytesMax: 1_000 });
  };
  for (const id of cluster.ids) await start(id);
  const { leader, followers: [victim] } = await cluster.elect();
  for (let i = 0; i < 40; i++) await cluster.settled(leader.apply(i));
  await cluster.converged();
  const { id, lastIndex } = victim!;
  await cluster.settled(victim!.shutdown());
  const kv = databases.get(id)!;
  for (const index of [3, 17, lastIndex]) await damageEntry(kv, prefix, index);
  for (const index of [1, 2, 30]) await kv.atomic().delete(await keyOfEntry(kv, prefix, index)).commit();
  const again = await start(id);
  assert(again.status.damaged.length >= 4, JSON.stringify(again.status.damaged));
  await cluster.settled((await cluster.leader()).apply("more"));
  await cluster.converged();
  await cluster.environment.until(() => again.status.damaged.length === 0);
  assertEquals(cluster.machine(id).values, cluster.machine(leader.id).values);
  await cluster.settled(again.shutdown());
  assertEquals((await start(id)).status.damaged, []);
  await cluster.converged();
  await cluster.stopAll();
  // Alone it has nobody to ask.
  const one = new VirtualCluster(1);
  const store = () => ({ open: () => Promise.resolve(kvLog(kv, { prefix: ["one"], closes: false })) });
  await one.start("a", { store: store() });
  await one.settled((await one.leader()).apply(1));
  await one.stopAll();
  await damageEntry(kv, ["one"], 1);
  await assertRejects(() => one.start("a", { store: store() }), DamagedEntryError);
});

/** Damage to these entries of a follower, some of which its leader has in a snapshot only, in a cluster where nobody writes. */
async function mendedBySnapshot(texts: readonly string[]): Promise<void> {
  const { cluster, files } = snapshotCluster();
  const start = (id: ServerId) => {
    let texts = 0;
    const options = { segmentBytes: 64 << 10, random: () => `${id}-${texts++}`, now: () => 0 };
    const store: StoreFactory = { open: () => Promise.resolve(walStore(files.get(id)!, options)) };
    const snapshots = fileSnapshots(files.get(id)!.directory("snapshots"));
    return cluster.start(id, {
      store,
      snapshots: { open: () => Promise.resolve(snapshots) },
      ...{ snapshotThreshold: 2 ** 40, trailingLogs: 0, logCacheBytesMax: 1_000 },
    });
  };
  for (const id of cluster.ids) await start(id);
  const { leader, followers: [victim] } = await cluster.elect();
  for (let i = 1; i <= 20; i++) await cluster.settled(leader.apply(`value ${i} `.repeat(30)));
  const { index } = (await cluster.settled(leader.snapshot())).meta;
  for (let i = 21; i <= 30; i++) await cluster.settled(leader.apply(`value ${i} `.repeat(30)));
  await cluster.converged();
  const { id, lastIndex } = victim!;
  await cluster.settled(victim!.shutdown());
  for (const text of texts) damageText(files.get(id)!, text);
  const failed: string[] = [];
  const events = leader.events({ filter: ({ type }) => type === "snapshot-failed" });
  void (async () => {
    for await (const event of events) failed.push((event as { reason: string }).reason);
  })();
  const again = await start(id);
  assertEquals(again.status.damaged.length, texts.length);
  const repaired = again.events({ filter: ({ type }) => type === "disk-repaired" }).next();
  await cluster.environment.until(() => again.status.damaged.length === 0, 20_000);
  const { from, end } = (await repaired).value as { from: number; end: number };
  assertEquals([failed, end - from], [[], 1]);
  assert(index < lastIndex && leader.status.firstIndex === index + 1, `${leader.status.firstIndex}`);
  await cluster.converged();
  assertEquals(cluster.machine(id).values, cluster.machine(leader.id).values);
  await cluster.stopAll();
}

test("damage below a leader's snapshot is mended by that, and the log goes on after it", () => {
  return mendedBySnapshot(["value 7 value"]);
});

test("damage on both sides of a leader's snapshot is mended by that and by what follows it, where nobody writes too", () => {
  return mendedBySnapshot(["value 7 value", "value 25 value"]);
});

test("a leader whose only snapshot is damaged takes it again for a follower that needs it, though nothing happened since", async () => {
  const { cluster, files } = snapshotCluster();
  for (const id of cluster.ids) {
    const snapshots = fileSnapshots(files.get(id)!);
    await cluster.start(id, {
      snapshots: { open: () => Promise.resolve(snapshots) },
      ...{ snapshotThreshold: 2 ** 40, trailingLogs: 0 },
    });
  }
  const { leader, followers: [behind] } = await cluster.elect();
  cluster.isolate(behind!.id);
  for (let i = 1; i <= 20; i++) await cluster.settled(leader.apply(`value ${i} `.repeat(30)));
  const { meta } = await cluster.settled(leader.snapshot());
  await cluster.environment.until(() => leader.status.firstIndex > meta.index);
  damageText(files.get(leader.id)!.child(meta.id), "value 7 value");
  cluster.heal();
  await cluster.converged();
  assertEquals(cluster.machine(behind!.id).values, cluster.machine(leader.id).values);
  const kept = await cluster.settled(leader.snapshots());
  assertEquals(kept.map(({ meta: { index, id } }) => [index, id === meta.id]), [[meta.index, false]]);
  // This one is whole: there is nothing new.
  await assertRejects(() => cluster.settled(leader.snapshot()), NothingNewToSnapshotError);
  await cluster.stopAll();
});
