/**
 * Snapshots of whole servers: taken, sent, received, installed, and what a start makes of them.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes } from "@std/assert";
import { NoSnapshotsError, NothingNewToSnapshotError, StorageError } from "../src/errors.ts";
import type { RaftEvent } from "../src/events.ts";
import type { RaftOptions } from "../src/options.ts";
import type { Raft } from "../src/raft.ts";
import { crc32c } from "../src/wire/crc32c.ts";
import { verifySnapshot } from "../src/wire/snapshot_reader.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, type VirtualCluster, withCluster } from "./virtual_cluster.ts";

type Options = Partial<RaftOptions<unknown, unknown>>;
type AnyRaft = Raft<unknown, unknown>;

const eager: Options = { snapshotThreshold: 10, snapshotIntervalMs: 20, trailingLogs: 2 };
/** Snapshots only when somebody asks. */
const never: Options = { snapshotThreshold: 2 ** 40, trailingLogs: 0 };

function withSnapshots(
  size: number,
  over: Options,
  body: (cluster: VirtualCluster) => Promise<void>,
  makeMachine: () => SnapshotJournal = () => new SnapshotJournal(),
): Promise<void> {
  return withCluster(size, body, over, (id, cluster) => {
    const machine = makeMachine();
    cluster.machines.set(id, machine);
    return machine;
  });
}

const machineOf = (cluster: VirtualCluster, id: string) => cluster.machine(id) as SnapshotJournal;

/** All events of a server from now on. */
function record(raft: AnyRaft): RaftEvent[] {
  const events: RaftEvent[] = [];
  void (async () => {
    for await (const event of raft.events()) events.push(event);
  })();
  return events;
}

type OfType<T extends RaftEvent["type"]> = Extract<RaftEvent, { type: T }>;
const ofType = <T extends RaftEvent["type"]>(events: readonly RaftEvent[], type: T): OfType<T>[] =>
  events.filter((event): event is OfType<T> => event.type === type);

async function applyMany(cluster: VirtualCluster, raft: AnyRaft, count: number, name = "value"): Promise<void> {
  for (let i = 0; i < count; i++) await cluster.settled(raft.apply(`${name}${i}`));
}

/** Cuts a follower off and lets the others go on until their log begins after all that it has. */
async function leaveBehind(cluster: VirtualCluster, count = 40) {
  const { leader, followers: [behind, other] } = await cluster.elect();
  cluster.isolate(behind!.id);
  await applyMany(cluster, leader, count);
  await cluster.environment.until(() => leader.status.firstIndex > behind!.lastIndex + 1);
  return { leader, behind: behind!, other: other! };
}

async function assertSame(cluster: VirtualCluster): Promise<void> {
  await cluster.converged();
  const [first, ...others] = cluster.ids.map((id) => cluster.machine(id));
  for (const other of others) assertEquals([other.values, other.indexes], [first!.values, first!.indexes]);
}

test("snapshots: the log stays bounded while commands go on", () =>
  withSnapshots(3, eager, async (cluster) => {
    const { leader } = await cluster.elect();
    const events = record(leader);
    await applyMany(cluster, leader, 100);
    await cluster.environment.advance(200);
    for (const id of cluster.ids) {
      const { firstIndex, lastIndex } = cluster.raft(id).status;
      assertGreater(firstIndex, 80);
      assert(lastIndex - firstIndex < 20, `${id}: ${firstIndex} to ${lastIndex}`);
    }
    const taken = ofType(events, "snapshot-taken");
    // At least one for ten entries would be too many: it is looked now and then only (P16).
    assert(taken.length >= 3 && taken.length <= 10, `${taken.length} taken`);
    assert(taken.every(({ index }, i) => i === 0 || index > taken[i - 1]!.index), "S1: each later than the one before");
    assertEquals(ofType(events, "log-compacted").at(-1)!.firstIndex, leader.status.firstIndex);
    await assertSame(cluster);
  }));

test("P16: no snapshot follows while nothing happens", () =>
  withSnapshots(3, eager, async (cluster) => {
    const { leader } = await cluster.elect();
    await applyMany(cluster, leader, 20);
    await cluster.environment.advance(200);
    const events = record(leader);
    await cluster.environment.advance(10_000);
    assertEquals(ofType(events, "snapshot-taken"), []);
  }));

test("snapshots: by bytes, too", () =>
  withSnapshots(1, { ...eager, snapshotThreshold: 1e9, snapshotThresholdBytes: 5_000 }, async (cluster) => {
    const leader = await cluster.leader();
    const events = record(leader);
    await cluster.settled(leader.apply("x".repeat(4_000)));
    await cluster.environment.advance(200);
    assertEquals(ofType(events, "snapshot-taken").length, 0);
    await cluster.settled(leader.apply("x".repeat(1_000)));
    await cluster.environment.advance(200);
    assertEquals(ofType(events, "snapshot-taken").length, 1);
  }));

test("snapshots: a follower far behind gets one, and then the entries after it (P10)", () =>
  withSnapshots(3, eager, async (cluster) => {
    const { leader, behind } = await leaveBehind(cluster);
    const [sent, received] = [record(leader), record(behind)];
    cluster.heal();
    await cluster.settled(leader.apply("last"));
    await assertSame(cluster);
    assertEquals(machineOf(cluster, behind.id).restores, 1);
    const [installed] = ofType(received, "snapshot-installed");
    assertEquals(ofType(received, "snapshot-installed").length, 1);
    for (
      const [events, direction, peer] of [[sent, "sending", behind.id], [received, "receiving", leader.id]] as const
    ) {
      const progress = ofType(events, "snapshot-progress");
      assertEquals(progress[0]!.bytes, 0);
      const { bytes, total, index } = progress.at(-1)!;
      assertEquals({ bytes, total, index }, {
        bytes: installed!.bytes,
        total: installed!.bytes,
        index: installed!.index,
      });
      assert(progress.every((it) => it.direction === direction && it.peer === peer));
    }
    assertEquals(behind.status.configurationIndex, leader.status.configurationIndex);
  }));

test("snapshots: a server that lost its disk comes back by one", () =>
  withSnapshots(3, eager, async (cluster) => {
    const { leader, behind } = await leaveBehind(cluster);
    await cluster.settled(behind.shutdown());
    cluster.stores.delete(behind.id);
    cluster.snapshots.delete(behind.id);
    cluster.heal();
    const { bootstrap: _, ...over } = { ...eager, bootstrap: undefined };
    await cluster.start(behind.id, over);
    await cluster.settled(leader.apply("last"));
    await assertSame(cluster);
  }));

test("snapshots: a start goes on from the newest one (BS05, BS22)", () =>
  withSnapshots(3, eager, async (cluster) => {
    const { leader } = await cluster.elect();
    await applyMany(cluster, leader, 35);
    await cluster.environment.advance(200);
    await assertSame(cluster);
    await cluster.stopAll();
    await cluster.startAll(eager);
    const again = await cluster.leader();
    for (const id of cluster.ids) assertEquals(machineOf(cluster, id).restores, 1);
    assertGreater(again.status.firstIndex, 1);
    assertGreater(again.status.configurationIndex, 0);
    await cluster.settled(again.apply("after"));
    await assertSame(cluster);
    assertEquals(cluster.machine("a").values.length, 36);
  }));

test("Raft.snapshot() gives what it took, and bytes that prove it", () =>
  withSnapshots(3, never, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await applyMany(cluster, leader, 3);
    await assertSame(cluster);
    for (const raft of [leader, follower!]) {
      const { meta, open } = await cluster.settled(raft.snapshot());
      assertEquals([meta.index, meta.configurationIndex], [raft.appliedIndex, 2]);
      const bytes = new Uint8Array(
        await cluster.settled(new Response(open() as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer()),
      );
      const found = await verifySnapshot((offset, max) => Promise.resolve(bytes.slice(offset, offset + max)));
      assertEquals([found.bytes, crc32c(bytes), found.origin.index], [meta.bytes, meta.checksum, meta.index]);
      await cluster.environment.until(() => raft.status.firstIndex === meta.index + 1);
    }
  }));

test("S1: equal states give equal snapshots on every server", () =>
  withSnapshots(3, never, async (cluster) => {
    const { leader } = await cluster.elect();
    await applyMany(cluster, leader, 3);
    await assertSame(cluster);
    const metas = await Promise.all(cluster.ids.map((id) => cluster.settled(cluster.raft(id).snapshot())));
    const told = metas.map(({ meta: { index, term, checksum, bytes } }) => ({ index, term, checksum, bytes }));
    assertEquals([told[1], told[2]], [told[0], told[0]]);
  }));

test("Raft.snapshot() with nothing new says so, until there is something new", () =>
  withSnapshots(1, never, async (cluster) => {
    const leader = await cluster.leader();
    await cluster.settled(leader.barrier());
    await cluster.settled(leader.snapshot());
    await assertRejects(() => cluster.settled(leader.snapshot()), NothingNewToSnapshotError);
    await cluster.settled(leader.apply("new"));
    await cluster.settled(leader.snapshot());
  }));

test("Raft.snapshot() called twice at once takes one after the other", () =>
  withSnapshots(1, never, async (cluster) => {
    const leader = await cluster.leader();
    await cluster.settled(leader.barrier());
    const first = leader.snapshot();
    const second = cluster.outcome(leader.snapshot());
    await cluster.settled(first);
    assertEquals((await second).text, "nothing-new not-applied");
  }));

test("P17: a snapshot right after a change of the servers has the new configuration", () =>
  withSnapshots(1, never, async (cluster) => {
    const leader = await cluster.leader();
    const { meta } = await cluster.settled(leader.snapshot());
    // The leader began with an entry that says which disk it has.
    assertEquals([meta.index, meta.configurationIndex, meta.configuration.servers[0]!.disk?.starts], [2, 2, 1]);
  }));

test("Raft.snapshot() of a machine that takes none says so", () =>
  withCluster(1, async (cluster) => {
    const leader = await cluster.leader();
    await assertRejects(() => cluster.settled(leader.snapshot()), NoSnapshotsError);
    assertEquals(leader.status.firstIndex, 1);
  }, eager));

test("snapshots: a machine that can be restored but takes none, or the other way round, is refused", async () => {
  const { snapshot, restore } = SnapshotJournal.prototype;
  for (const half of [{ snapshot }, { restore }]) {
    await assertRejects(
      () => withCluster(1, () => Promise.resolve(), {}, () => ({ apply: () => 0, ...half })),
      TypeError,
      "without the other",
    );
  }
});

test("snapshots: heartbeats go on while one is sent slowly, and nobody campaigns", () =>
  withSnapshots(3, { ...eager, snapshotBytesPerSecondMax: 200_000 }, async (cluster) => {
    const { leader } = await cluster.elect();
    for (let i = 0; i < 5; i++) await cluster.settled(leader.apply("x".repeat(200_000)));
    const { behind } = await leaveBehind(cluster);
    const { term } = leader.status;
    const events = record(behind);
    const startedAt = cluster.environment.now();
    cluster.heal();
    await cluster.environment.until(() => ofType(events, "snapshot-installed").length > 0);
    assertGreater(cluster.environment.now() - startedAt, 3_500);
    assertEquals(cluster.ids.map((id) => cluster.raft(id).status.term), [term, term, term]);
    assertGreater(ofType(events, "snapshot-progress").length, 3);
    await assertSame(cluster);
  }));

test("BS20: a transfer whose connection is lost goes on where it was", () =>
  withSnapshots(3, { ...eager, snapshotBytesPerSecondMax: 200_000 }, async (cluster) => {
    const { leader } = await cluster.elect();
    for (let i = 0; i < 5; i++) await cluster.settled(leader.apply("x".repeat(200_000)));
    const { behind } = await leaveBehind(cluster);
    let creations = 0;
    const store = cluster.snapshots.get(behind.id)!;
    const create = store.create.bind(store);
    store.create = (origin) => (creations++, create(origin));
    const events = record(behind);
    cluster.heal();
    const received = () => Math.max(0, ...ofType(events, "snapshot-progress").map(({ bytes }) => bytes));
    for (const share of [1, 2]) {
      await cluster.environment.until(() => received() > share * 300_000);
      cluster.isolate(behind.id);
      await cluster.environment.advance(300);
      cluster.heal();
    }
    await cluster.environment.until(() => ofType(events, "snapshot-installed").length > 0);
    const all = ofType(events, "snapshot-progress").map(({ bytes }) => bytes);
    assert(all.every((bytes, i) => i === 0 || bytes > all[i - 1]!), `never back: ${all}`);
    assertEquals(creations, 1);
    await assertSame(cluster);
  }));

test("snapshots: a new leader goes on with what the old one began, when it is the same state", () =>
  withSnapshots(3, { ...never, snapshotBytesPerSecondMax: 200_000 }, async (cluster) => {
    const { leader } = await cluster.elect();
    for (let i = 0; i < 5; i++) await cluster.settled(leader.apply("x".repeat(200_000)));
    const [behind, other] = cluster.ids.filter((id) => id !== leader.id).map((id) => cluster.raft(id));
    cluster.isolate(behind!.id);
    await applyMany(cluster, leader, 3);
    await cluster.environment.until(() => other!.appliedIndex === leader.appliedIndex);
    for (const raft of [leader, other!]) await cluster.settled(raft.snapshot());
    const events = record(behind!);
    cluster.heal();
    const progress = () => ofType(events, "snapshot-progress").map(({ bytes }) => bytes);
    await cluster.environment.until(() => Math.max(0, ...progress()) > 300_000);
    await cluster.settled(leader.shutdown());
    await cluster.environment.until(() => ofType(events, "snapshot-installed").length > 0);
    assertEquals(progress().filter((bytes) => bytes === 0).length, 1);
    await cluster.start(leader.id, never);
    await cluster.leader();
    await assertSame(cluster);
  }));

test("snapshots: a machine that fails to give one, or its stream, stops nothing and is asked again", async () => {
  let failures = 2;
  class Failing extends SnapshotJournal {
    override snapshot(): ReadableStream<Uint8Array> {
      failures--;
      if (failures === 1) throw new Error("not now");
      if (failures < 0) return super.snapshot();
      return new ReadableStream({ pull: () => Promise.reject(new Error("torn")) });
    }
  }
  await withSnapshots(1, eager, async (cluster) => {
    const leader = await cluster.leader();
    const events = record(leader);
    await applyMany(cluster, leader, 20);
    await cluster.environment.until(() => ofType(events, "snapshot-taken").length > 0);
    const failed = ofType(events, "snapshot-failed").map(({ operation, reason }) => `${operation}: ${reason}`);
    assertEquals(failed, ["take: not now", "take: torn"]);
    await cluster.settled(leader.apply("still here"));
  }, () => new Failing());
});

test("snapshots: a full disk stops nothing, and nothing is compacted without a durable one (S4)", () =>
  withSnapshots(1, eager, async (cluster) => {
    const leader = await cluster.leader();
    const store = cluster.snapshots.get("a")!;
    const create = store.create.bind(store);
    let isFull = true;
    store.create = async (origin) => {
      const sink = await create(origin);
      const write = sink.write.bind(sink);
      sink.write = (chunk) => isFull ? Promise.reject(new StorageError("ENOSPC", "write")) : write(chunk);
      return sink;
    };
    const events = record(leader);
    await applyMany(cluster, leader, 50);
    await cluster.environment.until(() => ofType(events, "snapshot-failed").length > 2);
    assertEquals(leader.status.firstIndex, 1);
    isFull = false;
    await cluster.environment.until(() => leader.status.firstIndex > 40);
  }));

test("snapshots: commands are applied while one is streamed, and it has none of them (BS14)", async () => {
  const gate = Promise.withResolvers<void>();
  class Slow extends SnapshotJournal {
    override snapshot(): ReadableStream<Uint8Array> {
      const bytes = super.snapshot().getReader();
      return new ReadableStream({
        async pull(controller) {
          await gate.promise;
          const { done, value } = await bytes.read();
          if (done) controller.close();
          else controller.enqueue(value);
        },
      });
    }
  }
  await withSnapshots(1, never, async (cluster) => {
    const leader = await cluster.leader();
    await applyMany(cluster, leader, 3, "before");
    const index = leader.appliedIndex;
    const taking = leader.snapshot();
    await applyMany(cluster, leader, 3, "after");
    gate.resolve();
    const { meta } = await cluster.settled(taking);
    assertEquals(meta.index, index);
    await cluster.settled(leader.shutdown());
    await cluster.start("a", never);
    await cluster.leader();
    await cluster.environment.until(() => cluster.machine("a").values.length === 6);
    assertEquals(machineOf(cluster, "a").restores, 1);
  }, () => new Slow());
});

test("snapshots: a stream that never ends does not keep a shutdown waiting", async () => {
  let cancelled = 0;
  class Endless extends SnapshotJournal {
    override snapshot(): ReadableStream<Uint8Array> {
      return new ReadableStream({ pull: () => new Promise(() => {}), cancel: () => void cancelled++ });
    }
  }
  await withSnapshots(1, never, async (cluster) => {
    const leader = await cluster.leader();
    await applyMany(cluster, leader, 3);
    const taking = cluster.outcome(leader.snapshot());
    await cluster.settled(leader.shutdown());
    assertEquals((await taking).text, "shutdown not-applied");
  }, () => new Endless());
  assertEquals(cancelled, 1);
});

test("BS14: a machine that asks for a snapshot while it applies gets one from between two entries", async () => {
  const taken: Promise<unknown>[] = [];
  await withSnapshots(1, never, async (cluster) => {
    const machine = machineOf(cluster, "a");
    const apply = machine.apply.bind(machine);
    machine.apply = (command, context) => {
      machine.values.push("half");
      if (taken.length === 0) taken.push(cluster.raft("a").snapshot().then(({ meta }) => meta.index));
      machine.values.pop();
      return apply(command, context);
    };
    const leader = await cluster.leader();
    const { index } = await cluster.settled(leader.applyEntry({ data: "whole" }));
    assertEquals(await cluster.settled(taken[0]!), index);
  });
});

test("snapshots: reads wait while the machine is restored, and heartbeats do not (M1)", async () => {
  const gate = Promise.withResolvers<void>();
  let isRestoring = false;
  class Slow extends SnapshotJournal {
    override async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
      isRestoring = true;
      await gate.promise;
      await super.restore(bytes);
      isRestoring = false;
    }
  }
  await withSnapshots(3, eager, async (cluster) => {
    const { leader, behind } = await leaveBehind(cluster);
    const { term } = leader.status;
    cluster.heal();
    await cluster.environment.until(() => isRestoring);
    const machine = machineOf(cluster, behind.id);
    const reads = (["stale", "linearizable"] as const).map((consistency) =>
      behind.read(() => ({ isRestoring, count: machine.values.length }), { consistency })
    );
    await cluster.environment.advance(2_000);
    assertEquals(behind.leader?.id, leader.id);
    gate.resolve();
    for (const read of reads) {
      const found = await cluster.settled(read);
      assertEquals([found.isRestoring, found.count >= 10], [false, true]);
    }
    assertEquals(leader.status.term, term);
    await assertSame(cluster);
  }, () => new Slow());
});

test("snapshots: a machine that can't be restored stops its server, and nobody else's", async () => {
  let isBroken = false;
  class Broken extends SnapshotJournal {
    override restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
      return isBroken ? Promise.reject(new Error("no such form")) : super.restore(bytes);
    }
  }
  await withSnapshots(3, eager, async (cluster) => {
    const { leader, behind } = await leaveBehind(cluster);
    isBroken = true;
    cluster.heal();
    const error = await cluster.settled(behind.closed);
    assertStringIncludes(error!.message, "no such form");
    await cluster.settled(leader.apply("still here"));
    // Nor does it start again, until the machine can be restored.
    await assertRejects(() => cluster.start(behind.id, eager), StorageError, "no such form");
    isBroken = false;
    await cluster.start(behind.id, eager);
    await assertSame(cluster);
  }, () => new Broken());
});
