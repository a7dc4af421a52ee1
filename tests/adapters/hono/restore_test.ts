import { assertEquals, assertStringIncludes } from "@std/assert";
import { adminApp, type AdminTarget } from "../../../adapters/hono/mod.ts";
import { AbortedByRestoreError } from "../../../src/errors.ts";
import { test } from "../../harness.ts";
import { SnapshotJournal, type VirtualCluster, withCluster } from "../../virtual_cluster.ts";
import { fakeTarget } from "./fake_target.ts";

interface Kept {
  readonly index: number;
  readonly term: number;
  readonly bytes: number;
  readonly checksum: number;
}

const never = { snapshotThreshold: 2 ** 40 };

const withJournals = (size: number, body: (cluster: VirtualCluster) => Promise<void>) =>
  withCluster(size, body, never, (id, cluster) => {
    const machine = new SnapshotJournal();
    cluster.machines.set(id, machine);
    return machine;
  });

/** A body in pieces. */
function inPieces(bytes: Uint8Array, pieceBytes: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += pieceBytes));
    },
  }, { highWaterMark: 0 });
}

async function put(
  target: AdminTarget,
  { index, term, bytes, checksum }: Kept,
  body: ReadableStream<Uint8Array> | null,
  timeoutMs = 60_000,
): Promise<[number, Record<string, unknown>]> {
  const query = new URLSearchParams(Object.entries({ index, term, bytes, checksum }).map(([k, v]) => [k, `${v}`]));
  const init = { method: "PUT", body, duplex: "half" } as RequestInit;
  const response = await adminApp(target, { insecure: true, timeoutMs }).fetch(
    new Request(`http://127.0.0.1:1/restore?${query}`, init),
  );
  return [response.status, await response.json()];
}

/** A snapshot of these commands, as it is downloaded. */
async function downloaded(commands: readonly string[]): Promise<{ kept: Kept; bytes: Uint8Array }> {
  let found: { kept: Kept; bytes: Uint8Array } | undefined;
  await withJournals(1, async (cluster) => {
    const raft = await cluster.leader();
    for (const command of commands) await cluster.settled(raft.apply(command));
    await cluster.settled(raft.snapshot());
    const app = adminApp(raft, { insecure: true });
    const list = await (await app.fetch(new Request("http://127.0.0.1:1/snapshots"))).json();
    const [kept] = list.snapshots;
    const response = await app.fetch(new Request(`http://127.0.0.1:1/snapshots/${kept.id}`));
    found = { kept, bytes: new Uint8Array(await response.arrayBuffer()) };
  });
  return found!;
}

test("PUT restore gives a cluster the state of bytes that GET snapshots/:id gave", async () => {
  const { kept, bytes } = await downloaded(["one", "two", "three"]);
  await withJournals(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(leader.apply("before"));
    const [status, { code, leader: named }] = await cluster.settled(put(follower!, kept, inPieces(bytes, 100)));
    assertEquals([status, code, (named as { id: string }).id], [503, "not-leader", leader.id]);
    const restored = await cluster.settled(put(leader, kept, inPieces(bytes, 7)));
    assertEquals(restored, [200, { index: leader.appliedIndex }]);
    await cluster.settled(leader.apply("after"));
    await cluster.environment.until(() => cluster.ids.every((id) => cluster.machine(id).values.includes("after")));
    for (const id of cluster.ids) assertEquals(cluster.machine(id).values, ["one", "two", "three", "after"]);
  });
});

test("PUT restore of other bytes than the query says, or of too many, is refused and changes nothing", async () => {
  const { kept, bytes } = await downloaded(["one", "two"]);
  const flipped = bytes.slice();
  flipped[bytes.length - 20]! ^= 1;
  await withJournals(1, async (cluster) => {
    const raft = await cluster.leader();
    await cluster.settled(raft.apply("stays"));
    const cases: [Kept, Uint8Array | null, string][] = [
      [kept, flipped, "protocol"],
      [kept, bytes.slice(0, -1), "protocol"],
      [kept, null, "protocol"],
      [{ ...kept, checksum: (kept.checksum ^ 1) >>> 0 }, bytes, "protocol"],
      [{ ...kept, index: kept.index + 1 }, bytes, "protocol"],
      [kept, Uint8Array.from([...bytes, 0]), "bad-request"],
      [{ ...kept, bytes: kept.bytes - 1 }, bytes, "bad-request"],
    ];
    for (const [meta, body, expected] of cases) {
      const stream = body === null ? null : inPieces(body, 50);
      const [status, { code, outcome }] = await cluster.settled(put(raft, meta, stream), 60_000);
      assertEquals([status, code, outcome], [400, expected, "not-applied"]);
    }
    assertEquals(cluster.machine(raft.id).values, ["stays"]);
    assertEquals((await cluster.settled(put(raft, kept, inPieces(bytes, 50))))[0], 200);
    assertEquals(cluster.machine(raft.id).values, ["one", "two"]);
  });
});

test("PUT restore without all of the four asks nobody", async () => {
  const app = adminApp(fakeTarget(), { insecure: true });
  for (
    const query of [
      "",
      "?index=1&term=1&bytes=1",
      "?index=1&term=1&bytes=1&checksum=x",
      "?index=1&term=1&bytes=-1&checksum=1",
    ]
  ) {
    const response = await app.fetch(new Request(`http://127.0.0.1:1/restore${query}`, { method: "PUT", body: "x" }));
    const { code, error } = await response.json();
    assertEquals([query, response.status, code], [query, 400, "bad-request"]);
    assertStringIncludes(error, "must be a whole number");
  }
});

/** Timers that go off when the test says so. */
async function withTimers(body: (timers: Map<number, () => void>) => Promise<void>): Promise<void> {
  const { setTimeout, clearTimeout } = globalThis;
  const timers = new Map<number, () => void>();
  let last = 0;
  const start = (callback: () => void) => {
    timers.set(--last, callback);
    return last;
  };
  const stop = (handle?: unknown) => {
    if (!timers.delete(handle as number)) clearTimeout(handle as ReturnType<typeof setTimeout>);
  };
  Object.assign(globalThis, { setTimeout: start, clearTimeout: stop });
  try {
    await body(timers);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}

test("PUT restore may take as long as it brings something, and no longer", () =>
  withTimers(async (timers) => {
    const running: number[][] = [];
    const target: AdminTarget = {
      ...fakeTarget(),
      restore: (_, stream, { signal } = {}) =>
        new Promise((_, reject) => {
          signal!.addEventListener("abort", () => reject(signal!.reason), { once: true });
          void (async () => {
            running.push([...timers.keys()]);
            for await (const _ of stream) running.push([...timers.keys()]);
          })();
        }),
    };
    let sent = 0;
    const stalls = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent++ < 3) return controller.enqueue(new Uint8Array(1));
        stalls.resolve();
        return new Promise(() => {});
      },
    }, { highWaterMark: 0 });
    const answered = put(target, { index: 1, term: 1, bytes: 100, checksum: 1 }, body);
    await stalls.promise;
    // One at a time, and another one after each piece.
    assertEquals([running.map((keys) => keys.length), new Set(running.flat()).size], [[1, 1, 1, 1], 4]);
    const [[, expire] = []] = timers;
    expire!();
    const [status, { code, outcome }] = await answered;
    assertEquals([status, code, outcome, timers.size], [504, "timeout", "unknown", 0]);
  }));

test("PUT restore that another one came between is a conflict", async () => {
  const error = new AbortedByRestoreError("Cannot", { outcome: "not-applied", index: 3, term: 1 });
  const target = { ...fakeTarget(), restore: () => Promise.reject(error) };
  const [status, { code, outcome }] = await put(target, { index: 1, term: 1, bytes: 1, checksum: 1 }, null);
  assertEquals([status, code, outcome], [409, "aborted-by-restore", "not-applied"]);
});
