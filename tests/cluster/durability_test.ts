/**
 * Real servers, looked at from the side of the kernel: nothing is acknowledged that is not on the disks of a quorum.
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { KvClient } from "./client.ts";
import { type Cluster, withCluster } from "./process.ts";
import {
  canTrace,
  durableSince,
  type FileCall,
  isDurableDescriptor,
  parseFileCalls,
  traceFileCalls,
} from "./syscalls.ts";

/** An acknowledged write: what stands in its record, and when its client had the answer, rounded up. */
interface Acknowledged {
  readonly text: string;
  readonly at: number;
}

/** Writes by some clients at a time, at the leader. */
async function writeMany(cluster: Cluster): Promise<Acknowledged[]> {
  const { url } = await cluster.agreedLeader();
  const client = new KvClient();
  const acknowledged: Acknowledged[] = [];
  await Promise.all(Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; i < 40; i++) {
      const text = `value ${writer}/${i}.`;
      const { outcome } = await client.perform(url, `key${writer}`, { type: "put", value: text });
      if (outcome === "ok") acknowledged.push({ text, at: Date.now() + 1 });
    }
  }));
  return acknowledged;
}

/** Texts that were acknowledged before they were on the disks of two of the three. */
function tooSoon(
  acknowledged: readonly Acknowledged[],
  servers: readonly { readonly calls: readonly FileCall[]; waitsForDisk(fd: number): boolean }[],
): string[] {
  return acknowledged.filter(({ text, at }) => {
    const since = servers.map(({ calls, waitsForDisk }) => durableSince(calls, text, waitsForDisk));
    return since.filter((time) => time !== undefined && time <= at).length < 2;
  }).map(({ text }) => text);
}

test(
  "cluster: every write that is acknowledged was on the disks of two of three before",
  () =>
    withCluster({ runtimes: ["deno", "deno", "deno"] }, async (cluster) => {
      const tracing = await Promise.all(cluster.servers.map(async (server) => {
        const pid = server.child.pid!;
        const trace = await traceFileCalls(pid, `${server.directory}.calls`);
        const durable = new Map<number, boolean>();
        const waitsForDisk = (fd: number) => {
          if (!durable.has(fd)) durable.set(fd, isDurableDescriptor(pid, fd));
          return durable.get(fd)!;
        };
        return { trace, waitsForDisk };
      }));
      const acknowledged = await writeMany(cluster);
      const servers = await Promise.all(
        tracing.map(async ({ trace, waitsForDisk }) => ({ calls: await trace.stop(), waitsForDisk })),
      );
      assert(acknowledged.length >= 300, `only ${acknowledged.length} writes were acknowledged`);
      assertEquals(tooSoon(acknowledged, servers), []);
      // The same calls without their waiting for the disk: nothing of it may pass.
      const volatile = servers.map(({ calls }) => ({
        calls: calls.filter(({ name }) => !name.includes("sync")),
        waitsForDisk: () => false,
      }));
      assertEquals(tooSoon(acknowledged, volatile).length, acknowledged.length);
    }),
  { runtimes: ["deno"], timeoutMs: 120_000, lacks: canTrace() ? undefined : "strace, and the right to use it" },
);

const traced = [
  '7    100.000100 pwrite64(5</d/a>, "one", 3, 0) = 3 <0.000400>',
  '8 100.000200 pwrite64(6</d/b>, "two", 3, 0 <unfinished ...>',
  "7 100.001000 fdatasync(5</d/a> <unfinished ...>",
  "8 100.001500 <... pwrite64 resumed>) = 3 <0.001300>",
  "7 100.004000 <... fdatasync resumed>) = 0 <0.003000>",
  "8 100.005000 fdatasync(6</d/b>) = -1 EIO (Input/output error) <0.000100>",
  '9 100.006000 pwrite64(6</d/b>, "three", 5, 3 <unfinished ...>',
].join("\n");

test(
  "durableSince() wants a sync of the same file that began after the write and did not fail, or a descriptor that waits",
  () => {
    const calls = parseFileCalls(traced);
    assertEquals(calls.map(({ name, fd, endedAt }) => [name, fd, endedAt]), [
      ["pwrite64", 5, 100_000.5],
      ["pwrite64", 6, 100_001.5],
      ["fdatasync", 5, 100_004],
      ["fdatasync", 6, 100_005.1],
    ]);
    const since = (text: string, fds: readonly number[] = []) => durableSince(calls, text, (fd) => fds.includes(fd));
    assertEquals([since("one"), since("two"), since("three"), since("four")], [
      100_004,
      undefined,
      undefined,
      undefined,
    ]);
    assertEquals([since("one", [5]), since("two", [6])], [100_000.5, 100_001.5]);
    const early = parseFileCalls(traced.replace("7 100.001000 fdatasync", "7 100.000300 fdatasync"));
    assertEquals(durableSince(early, "one", () => false), undefined);
  },
  { runtimes: ["deno"] },
);

test("tooSoon() names what one disk only had, or two too late", () => {
  const server = (endedAt: number) => ({
    calls: [{ name: "write", fd: 3, path: "/d", bytes: '"x"', beganAt: 0, endedAt, result: 1 }],
    waitsForDisk: () => true,
  });
  const none = { calls: [], waitsForDisk: () => true };
  const acknowledged = [{ text: "x", at: 10 }];
  assertEquals(tooSoon(acknowledged, [server(9), server(10), none]), []);
  assertEquals(tooSoon(acknowledged, [server(9), server(10.1), none]), ["x"]);
  assertEquals(tooSoon(acknowledged, [server(9), none, none]), ["x"]);
}, { runtimes: ["deno"] });
