/**
 * Real servers on real files that rot while they do not run: each time everything that was acknowledged is on all three.
 */
import { assert } from "@std/assert";
import { open, readdir, readFile, truncate } from "node:fs/promises";
import {
  decodeSegmentHeader,
  seedOf,
  SEGMENT_HEADER_BYTES,
  sequenceOfName,
} from "../../src/store/wal/segment_header.ts";
import { decodeBatchHead } from "../../src/wire/batch.ts";
import { test } from "../harness.ts";
import { type Cluster, type ServerProcess, withCluster } from "./process.ts";
import { until } from "./until.ts";
import { Workload } from "./workload.ts";

/** Segments with something in them, oldest first, and where that ends. */
async function segmentsOf(server: ServerProcess): Promise<{ readonly path: string; readonly end: number }[]> {
  const names = (await readdir(server.directory)).filter((name) => sequenceOfName(name) !== undefined).sort();
  const segments: { path: string; end: number }[] = [];
  for (const name of names) {
    const path = `${server.directory}/${name}`;
    const end = (await readFile(path)).findLastIndex((byte) => byte !== 0) + 1;
    if (end > 512) segments.push({ path, end });
  }
  return segments;
}

/**
 * Where the first batch of a segment ends. A start has written it, with all that was there when that was little, and says
 * that it is durable: who has lost some of it, and nothing later that says what, stays down.
 */
async function firstBatchEnd(path: string): Promise<number> {
  const bytes = new Uint8Array(await readFile(path));
  const decoded = decodeSegmentHeader(bytes.subarray(0, SEGMENT_HEADER_BYTES));
  assert("header" in decoded, JSON.stringify(decoded));
  return SEGMENT_HEADER_BYTES + decodeBatchHead(bytes, SEGMENT_HEADER_BYTES, seedOf(decoded.header)).byteLength;
}

/** Flips one bit in each of some places that hold records, but not in the last sectors, of which nothing may tell. */
async function flipBits(server: ServerProcess, count: number): Promise<number> {
  const segments = await segmentsOf(server);
  let flipped = 0;
  for (let i = 0; i < count; i++) {
    const { path, end } = segments[Math.floor(Math.random() * segments.length)]!;
    if (end < 4_096) continue;
    const at = 512 + Math.floor(Math.random() * (end - 3_000));
    const file = await open(path, "r+");
    const byte = new Uint8Array(1);
    await file.read(byte, 0, 1, at);
    byte[0]! ^= 1 << Math.floor(Math.random() * 8);
    await file.write(byte, 0, 1, at);
    await file.close();
    flipped++;
  }
  return flipped;
}

/** Three servers under load: each time a follower is killed, its disk damaged, and it has to be well again. */
async function withDamage(
  damage: (follower: ServerProcess) => Promise<void>,
  untilWell: (cluster: Cluster, follower: ServerProcess, leader: ServerProcess, workload: Workload) => Promise<void>,
): Promise<void> {
  await withCluster({ runtimes: ["deno", "deno", "deno"] }, async (cluster) => {
    const workload = Workload.start(cluster);
    try {
      for (let round = 0; round < 3; round++) {
        await workload.untilAcknowledged(300);
        const leader = await cluster.agreedLeader();
        const follower = cluster.servers.filter((server) => server !== leader)[round % 2]!;
        await follower.kill();
        await workload.untilAcknowledged(100);
        await damage(follower);
        follower.start();
        await cluster.agreedLeader();
        await untilWell(cluster, follower, leader, workload);
      }
      await workload.stop();
      const report = await workload.check();
      assert(report.acknowledged > 300, JSON.stringify(report));
    } finally {
      await workload.stop();
    }
  });
}

test("cluster: nothing is lost when a follower comes back with flipped bits in its log", async () => {
  await withDamage(async (follower) => {
    assert(await flipBits(follower, 20) > 0);
  }, async (_, follower) => {
    await until(`${follower.id} to be repaired`, async () => {
      const status = await follower.status();
      return status !== undefined && status.damaged.length === 0 && status.role !== "shutdown";
    });
  });
}, { runtimes: ["deno"], timeoutMs: 180_000 });

test(
  "cluster: nothing is lost when the newest segment of a follower comes back cut off at any byte after its start",
  async () => {
    await withDamage(async (follower) => {
      const { path, end } = (await segmentsOf(follower)).at(-1)!;
      const start = await firstBatchEnd(path);
      assert(end > start, `nothing was written after its start: ${end} of ${start} bytes`);
      await truncate(path, start + Math.floor(Math.random() * (end - start)));
    }, async (cluster, _, leader, workload) => {
      await workload.untilAcknowledged(100);
      const { commitIndex } = (await leader.status())!;
      // Wherever it was cut, it has all of it again.
      await cluster.untilApplied(commitIndex);
    });
  },
  { runtimes: ["deno"], timeoutMs: 180_000 },
);
