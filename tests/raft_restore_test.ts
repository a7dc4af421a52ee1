/**
 * The user's own snapshot into a running cluster.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type AbortedByRestoreError,
  NoSnapshotsError,
  NotLeaderError,
  ProtocolError,
  SessionExpiredError,
  ShutdownError,
  StorageError,
} from "../src/errors.ts";
import type { RaftOptions } from "../src/options.ts";
import type { Raft, Snapshot } from "../src/raft.ts";
import { concatenate } from "../src/wire/bytes.ts";
import { test } from "./harness.ts";
import { Journal, SnapshotJournal, VirtualCluster, watch, withCluster } from "./virtual_cluster.ts";

type Server = Raft<unknown, unknown>;

const journals = (id: string, cluster: VirtualCluster) => {
  const machine = new SnapshotJournal();
  machine.pieceBytes = 1_000;
  cluster.machines.set(id, machine);
  return machine;
};

/** Parts of a few bytes, so that there are many. */
const small: Partial<RaftOptions<unknown, unknown>> = { commandBytesMax: 64 };

function withJournals(
  size: number,
  body: (cluster: VirtualCluster) => Promise<void>,
  over: Partial<RaftOptions<unknown, unknown>> = {},
): Promise<void> {
  return withCluster(size, body, { ...small, ...over }, journals);
}

/** More than a chunk of a snapshot: what comes of the first one is in the log before the second one is read. */
const large = "x".repeat(300_000);

/** A snapshot of the values 0 to 9 (after this one), as an operator would keep it, and five commands after it. */
async function kept(cluster: VirtualCluster, first?: string) {
  const leader = await cluster.leader();
  if (first !== undefined) await cluster.settled(leader.apply(first));
  for (let at = 0; at < 10; at++) await cluster.settled(leader.apply(at));
  const snapshot = await cluster.settled(leader.snapshot());
  const bytes = await bytesOf(cluster, snapshot);
  for (let at = 0; at < 5; at++) await cluster.settled(leader.apply(`wrong ${at}`));
  return { leader, meta: snapshot.meta, bytes };
}

async function bytesOf(cluster: VirtualCluster, snapshot: Snapshot): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const reader = snapshot.open().getReader();
  for (;;) {
    const { done, value } = await cluster.settled(reader.read());
    if (done) return concatenate(pieces);
    pieces.push(value);
  }
}

/** The bytes in pieces, which tells how it ended. */
function pieces(bytes: Uint8Array, size = 100) {
  let at = 0;
  const given = { count: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      given.count++;
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += size));
    },
    cancel: () => void (given.cancelled = true),
  }, { highWaterMark: 0 });
  return { stream, given };
}

const ten = Array.from({ length: 10 }, (_, at) => at);

function valuesOf(cluster: VirtualCluster): unknown[][] {
  return cluster.ids.map((id) => cluster.machine(id).values);
}

test("Raft.restore(): all servers end with the snapshot's state, and commands go on from there", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster);
    const before = leader.lastIndex;
    const { index } = await cluster.settled(leader.restore(meta, pieces(bytes).stream));
    assert(index > before, `${index} > ${before}`);
    assertEquals([leader.appliedIndex >= index, cluster.machine(leader.id).values], [true, ten]);
    assertEquals(await cluster.settled(leader.apply("after")), 11);
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, [...ten, "after"]);
    assertEquals(await cluster.settled(leader.barrier()), leader.lastIndex);
    // The log says it again to whoever starts anew.
    for (const id of cluster.ids) {
      await cluster.settled(cluster.raft(id).shutdown());
      await cluster.start(id, small);
    }
    await cluster.leader();
    await cluster.settled(cluster.raft("a").barrier());
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, [...ten, "after"]);
  }));

test("Raft.restore(): a snapshot of another cluster, of a machine without any bytes", () =>
  withJournals(3, async (cluster) => {
    const { meta, bytes } = await kept(cluster);
    await withJournals(1, async (other) => {
      const leader = await other.leader();
      await other.settled(leader.apply("theirs"));
      await other.settled(leader.restore(meta, pieces(bytes, 1_000_000).stream));
      assertEquals([other.machine("a").values, leader.configuration.servers.length], [ten, 1]);
    });
    await withCluster(
      1,
      async (other) => {
        const leader = await other.leader();
        await other.settled(leader.apply("x"));
        const snapshot = await other.settled(leader.snapshot());
        const empty = await bytesOf(other, snapshot);
        await other.settled(leader.apply("y"));
        await other.settled(leader.restore(snapshot.meta, pieces(empty).stream));
        assertEquals(other.machine("a").values, []);
      },
      small,
      (id, other) => {
        const machine = new class extends SnapshotJournal {
          override snapshot(): ReadableStream<Uint8Array> {
            return new Blob([]).stream();
          }
          override async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
            assertEquals(await new Response(bytes as ReadableStream<Uint8Array<ArrayBuffer>>).text(), "");
            this.values.length = 0;
          }
        }();
        other.machines.set(id, machine);
        return machine;
      },
    );
  }));

test("Raft.restore(): commands go on meanwhile; those in flight at its end are aborted, and have no effect", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster);
    const calls: Promise<{ readonly text: string; readonly value?: unknown; readonly error?: unknown }>[] = [];
    let isOver = false;
    const step = () => {
      calls.push(watch(leader.applyEntry({ data: `call ${calls.length}` })));
      if (!isOver) cluster.environment.setTimeout(step, 0.5);
    };
    step();
    const { index } = await cluster.settled(leader.restore(meta, pieces(bytes).stream));
    isOver = true;
    await cluster.settled(leader.barrier());
    const outcomes = await cluster.settled(Promise.all(calls));
    const aborted = outcomes.filter(({ text }) => text === "aborted-by-restore unknown");
    assert(aborted.length > 0, "none was in flight");
    for (const { error } of aborted) assert((error as AbortedByRestoreError).index < index);
    const applied = outcomes.flatMap(({ value }, at) =>
      value === undefined ? [] : [{ at, ...value as { index: number } }]
    );
    assertEquals(applied.length + aborted.length, outcomes.length);
    assert(applied.some((it) => it.index < index), "none was applied before");
    const left = applied.filter((it) => it.index > index).map(({ at }) => `call ${at}`);
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, [...ten, ...left]);
  }));

test("Raft.restore() is for the leader: others name it, and leave the stream alone", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster);
    const follower = cluster.raft(cluster.ids.find((id) => id !== leader.id)!);
    const { stream, given } = pieces(bytes);
    const error = await assertRejects(() => follower.restore(meta, stream), NotLeaderError);
    assertEquals([error.leader?.id, error.outcome, given], [leader.id, "not-applied", { count: 0, cancelled: false }]);
    await cluster.settled(leader.restore(meta, stream));
    await cluster.settled(follower.shutdown());
    await assertRejects(() => follower.restore(meta, pieces(bytes).stream), ShutdownError);
  }));

for (
  const [what, damage] of [
    ["with a bit turned", (bytes: Uint8Array, at: number) => bytes.map((byte, i) => i === at ? byte ^ 1 : byte)],
    ["cut off", (bytes: Uint8Array, at: number) => bytes.slice(0, at)],
  ] as const
) {
  test(`Raft.restore() of a snapshot ${what} anywhere changes nothing, and another try succeeds`, () =>
    withJournals(1, async (cluster) => {
      const { leader, meta, bytes } = await kept(cluster);
      const before = [...cluster.machine("a").values];
      for (let at = 0; at < bytes.length; at += 1 + Math.floor(bytes.length / 40)) {
        const { stream, given } = pieces(damage(bytes, at));
        const { error } = await cluster.outcome(leader.restore(meta, stream));
        assertInstanceOf(error, ProtocolError, `byte ${at}: ${error}`);
        assertEquals([given.cancelled || given.count > 0, error.outcome], [true, "not-applied"]);
      }
      assertEquals(cluster.machine("a").values, before);
      // What was given up keeps nobody from taking snapshots.
      await cluster.settled(leader.barrier());
      await cluster.settled(leader.snapshot());
      await cluster.settled(leader.restore(meta, pieces(bytes).stream));
      assertEquals(cluster.machine("a").values, ten);
    }));
}

test("Raft.restore() refuses bytes that are not what the meta says", () =>
  withJournals(1, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster);
    const before = [...cluster.machine("a").values];
    for (
      const wrong of [
        { ...meta, bytes: meta.bytes + 1 },
        { ...meta, bytes: meta.bytes - 1 },
        { ...meta, checksum: meta.checksum ^ 1 },
        { ...meta, index: meta.index + 1 },
        { ...meta, term: meta.term + 1 },
      ]
    ) {
      const { error } = await cluster.outcome(leader.restore(wrong, pieces(bytes).stream));
      assertInstanceOf(error, ProtocolError);
      assertStringIncludes(error.message, "Cannot restore the snapshot as it");
    }
    const more = concatenate([bytes, Uint8Array.of(0)]);
    assertInstanceOf((await cluster.outcome(leader.restore(meta, pieces(more).stream))).error, ProtocolError);
    const text = new Response("no bytes").body!.pipeThrough(new TextDecoderStream()) as unknown;
    const { error } = await cluster.outcome(leader.restore(meta, text as ReadableStream<Uint8Array>));
    assertInstanceOf(error, TypeError);
    assertEquals(cluster.machine("a").values, before);
  }));

test("Raft.restore() during a change of the servers: both come about, and the new server has the state", async () => {
  const cluster = new VirtualCluster(4, journals);
  const over = { ...small, clusterId: "c" };
  for (const id of ["a", "b", "c"]) await cluster.start(id, { ...over, bootstrap: { a: "a", b: "b", c: "c" } });
  const leader = await cluster.leader(["a", "b", "c"]);
  for (const at of ten) await cluster.settled(leader.apply(at));
  const snapshot = await cluster.settled(leader.snapshot());
  const bytes = await bytesOf(cluster, snapshot);
  await cluster.settled(leader.apply("wrong"));
  // It waits for the server, which is not there yet.
  const added = leader.addVoter("d", "d");
  await cluster.environment.until(() => leader.configuration.servers.length === 4);
  await cluster.settled(leader.restore(snapshot.meta, pieces(bytes).stream));
  await cluster.start("d", { ...over, bootstrap: undefined! });
  await cluster.settled(added);
  await cluster.converged();
  assertEquals(leader.configuration.servers.map(({ suffrage }) => suffrage), Array(4).fill("voter"));
  for (const values of valuesOf(cluster)) assertEquals(values, ten);
  await cluster.stopAll();
});

/** A stream that stops in the middle until it is let go on. */
function halting(bytes: Uint8Array) {
  const go = Promise.withResolvers<void>();
  let at = 0;
  const given = { cancelled: false, halted: false };
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (at >= bytes.length) return controller.close();
      if (at > bytes.length - 10_000) {
        given.halted = true;
        await go.promise;
      }
      controller.enqueue(bytes.slice(at, at += 5_000));
    },
    cancel: () => void (given.cancelled = true),
  }, { highWaterMark: 0 });
  return { stream, given, go: go.resolve };
}

test("Raft.restore() whose leader is lost on the way changes nothing, and keeps nobody from taking snapshots", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster, large);
    const before = [...cluster.machine(leader.id).values];
    const others = cluster.ids.filter((id) => id !== leader.id);
    const { stream, given, go } = halting(bytes);
    const restored = leader.restore(meta, stream);
    await cluster.environment.until(() => given.halted);
    // All servers have parts in their logs.
    await cluster.settled(leader.barrier());
    await cluster.converged();
    cluster.isolate(leader.id);
    go();
    const { text } = await cluster.outcome(restored, 30_000);
    assertStringIncludes(text, "not-applied");
    const next = await cluster.leader(others);
    await cluster.settled(next.apply("next"));
    cluster.heal();
    await cluster.environment.until(() => cluster.machine(leader.id).values.includes("next"));
    for (const values of valuesOf(cluster)) assertEquals(values, [...before, "next"]);
    for (const id of cluster.ids) await cluster.settled(cluster.raft(id).snapshot());
    await cluster.settled(next.restore(meta, pieces(bytes).stream));
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, [large, ...ten]);
  }, { commandBytesMax: 400_000 }));

test("Raft.restore() that a restart interrupts changes nothing, and neither does the next start", () =>
  withJournals(1, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster, large);
    const before = [...cluster.machine("a").values];
    const { stream, given, go } = halting(bytes);
    const restored = watch(leader.restore(meta, stream));
    await cluster.environment.until(() => given.halted);
    await cluster.settled(leader.barrier());
    await cluster.settled(leader.shutdown());
    go();
    assertEquals((await cluster.settled(restored)).text, "shutdown not-applied");
    for (let starts = 0; starts < 2; starts++) {
      await cluster.start("a", small);
      const again = await cluster.leader();
      await cluster.settled(again.barrier());
      assertEquals(cluster.machine("a").values, before);
      if (starts === 0) await cluster.settled(again.snapshot());
      await cluster.settled(again.shutdown());
    }
  }, { commandBytesMax: 400_000 }));

test("Raft.restore() and snapshots: none is taken while parts are on their way; afterwards they hold what was restored", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster, large);
    const { stream, given, go } = halting(bytes);
    const restored = leader.restore(meta, stream);
    await cluster.environment.until(() => given.halted);
    await cluster.settled(leader.apply("meanwhile"));
    const { error } = await cluster.outcome(leader.snapshot());
    assertInstanceOf(error, NoSnapshotsError);
    // Nor by themselves, however much is due.
    const taken = () => cluster.ids.map((id) => Number(cluster.raft(id).stats().last_snapshot_index));
    const before = taken();
    await cluster.environment.advance(20_000);
    assertEquals(taken(), before);
    go();
    const { index } = await cluster.settled(restored);
    await cluster.environment.until(() => taken().every((at) => at >= index));
    for (const id of cluster.ids) {
      await cluster.settled(cluster.raft(id).shutdown());
      await cluster.start(id, small);
    }
    await cluster.leader();
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, [large, ...ten]);
  }, { snapshotThreshold: 1, snapshotIntervalMs: 100, trailingLogs: 0, commandBytesMax: 400_000 }));

/** A restore of which the stream gives nothing any more. */
async function halted(cluster: VirtualCluster) {
  const { leader, meta, bytes } = await kept(cluster, large);
  const { stream, given } = halting(bytes);
  const controller = new AbortController();
  const restored = watch(leader.restore(meta, stream, { signal: controller.signal }));
  await cluster.environment.until(() => given.halted);
  return { leader, meta, bytes, given, controller, restored };
}

test("Raft.restore() ends when its caller gives up, also while the stream gives nothing", () =>
  withJournals(1, async (cluster) => {
    const { leader, meta, bytes, given, controller, restored } = await halted(cluster);
    controller.abort(new Error("enough"));
    assertEquals(((await cluster.settled(restored)).error as Error).message, "enough");
    assertEquals(given.cancelled, true);
    await cluster.settled(leader.barrier());
    await cluster.settled(leader.snapshot());
    assertEquals(cluster.machine("a").values.length, 16);
    const { text } = await cluster.outcome(leader.restore(meta, pieces(bytes).stream, { signal: controller.signal }));
    assertEquals(text, "Error: enough");
  }, { commandBytesMax: 400_000 }));

test("Raft.restore() ends with its server, also while the stream gives nothing: not applied", () =>
  withJournals(1, async (cluster) => {
    const { leader, given, restored } = await halted(cluster);
    await cluster.settled(leader.shutdown());
    assertEquals([(await cluster.settled(restored)).text, given.cancelled], ["shutdown not-applied", true]);
  }, { commandBytesMax: 400_000 }));

test("Raft.restore() while another one is on its way: the later one wins, the other is told so", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster, large);
    const { stream, given, go } = halting(bytes);
    const first = watch(leader.restore(meta, stream));
    await cluster.environment.until(() => given.halted);
    await cluster.settled(leader.restore(meta, pieces(bytes).stream));
    await cluster.settled(leader.apply("after"));
    go();
    assertEquals((await cluster.settled(first)).text, "aborted-by-restore not-applied");
    await cluster.settled(leader.barrier());
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, [large, ...ten, "after"]);
  }, { commandBytesMax: 400_000 }));

test("Raft.restore(): a server that was away gets it from the log, or by the snapshot of others", async () => {
  for (const trailingLogs of [10_240, 0]) {
    await withJournals(3, async (cluster) => {
      const { leader, meta, bytes } = await kept(cluster);
      const away = cluster.ids.find((id) => id !== leader.id)!;
      cluster.isolate(away);
      await cluster.settled(leader.restore(meta, pieces(bytes).stream));
      await cluster.settled(leader.apply("after"));
      await cluster.settled(leader.snapshot());
      cluster.heal();
      await cluster.environment.until(() => cluster.machine(away).values.includes("after"));
      assertEquals(cluster.machine(away).values, [...ten, "after"]);
    }, { trailingLogs });
  }
});

test("Raft.restore() reads its parts from disk where memory does not hold them", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster);
    await cluster.settled(leader.restore(meta, pieces(bytes).stream));
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, ten);
    for (const id of cluster.ids) assert(cluster.stores.get(id)!.reads.length > 0);
  }, { logCacheBytesMax: 0 }));

test("Raft.restore() forgets sessions: their next command is told so, and is not applied", () =>
  withJournals(3, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster);
    const session = await cluster.settled(leader.session());
    await cluster.settled(session.apply("mine"));
    await cluster.settled(leader.restore(meta, pieces(bytes).stream));
    const { error } = await cluster.outcome(session.apply("again"));
    assertInstanceOf(error, SessionExpiredError);
    await cluster.converged();
    for (const values of valuesOf(cluster)) assertEquals(values, ten);
  }));

test("Raft.restore() needs a machine that can be restored; one that fails at it stops its server", async () => {
  await withCluster(
    1,
    async (cluster) => {
      const leader: Server = await cluster.leader();
      const meta = { index: 1, term: 1, bytes: 0, checksum: 0 };
      await assertRejects(
        () => leader.restore(meta, pieces(new Uint8Array()).stream),
        NoSnapshotsError,
        "no restore()",
      );
    },
    {},
    (id, cluster) => {
      const journal = new Journal();
      cluster.machines.set(id, journal);
      return journal;
    },
  );
  await withJournals(1, async (cluster) => {
    const { leader, meta, bytes } = await kept(cluster);
    (cluster.machine("a") as SnapshotJournal).restore = () => Promise.reject(new Error("no such form"));
    const restored = watch(leader.restore(meta, pieces(bytes).stream));
    const stopped = await cluster.settled(leader.closed);
    assertInstanceOf(stopped, StorageError);
    assertStringIncludes(stopped.message, "Cannot restore the machine from the entries");
    assertEquals((await restored).text, "shutdown unknown");
  });
});
