/**
 * Real servers, one of them on a disk that runs full: the others go on, it says so, and has everything when there is room again.
 */
import { assert } from "@std/assert";
import { test } from "../harness.ts";
import { KvClient } from "./client.ts";
import { type ServerProcess, withCluster } from "./process.ts";
import { canMount, mountSmallDisk, type SmallDisk } from "./small_disk.ts";
import { until } from "./until.ts";
import { Workload } from "./workload.ts";

const MIB = 1 << 20;

/** Room for one segment of 64 MiB beside the first, and none for it while the disk is filled. */
const DISK_BYTES = 128 * MIB;
const BALLAST_BYTES = 80 * MIB;

function says(server: ServerProcess, line: string): Promise<boolean> {
  return until(`${server.id} to say "${line}"`, () => server.child.lastLines.some((it) => it.includes(line)));
}

/** More than what the segment in use has room for, acknowledged by the others. */
async function writeMuch(servers: readonly ServerProcess[]): Promise<void> {
  const client = new KvClient();
  const value = "x".repeat(60_000);
  let written = 0;
  await until("2 MiB to be written", async () => {
    const { url } = servers[written % servers.length]!;
    const { outcome } = await client.perform(url, `much/${written}`, { type: "put", value });
    if (outcome === "ok") written++;
    return written * value.length > 2 * MIB;
  });
}

test(
  "cluster: it goes on when the disk of one server is full, which has everything when there is room again",
  async () => {
    let disk: SmallDisk | undefined;
    await withCluster({
      runtimes: ["deno", "deno", "deno"],
      async prepare([first]) {
        disk = await mountSmallDisk(first!.directory, DISK_BYTES);
        await disk.fill(BALLAST_BYTES);
        return () => disk!.unmount();
      },
    }, async (cluster) => {
      const [full, ...others] = cluster.servers;
      const workload = Workload.start(cluster);
      try {
        await workload.untilAcknowledged(200);
        await writeMuch(others);
        await says(full!, "disk is full: make room");
        // It leads no more, if it did, and the others do without it.
        const leader = await cluster.agreedLeader(others);
        assert(leader !== full, "who can't write must not lead");
        await workload.untilAcknowledged(300);
        const { commitIndex } = (await leader.status())!;
        const behind = (await full!.status())!;
        assert(behind.role !== "leader" && behind.role !== "shutdown", behind.role);
        await disk!.free();
        await says(full!, "disk has room again");
        await cluster.untilApplied(commitIndex);
        await workload.untilAcknowledged(200);
        await workload.stop();
        const report = await workload.check();
        assert(report.acknowledged > 700, JSON.stringify(report));
      } finally {
        await workload.stop();
      }
    });
  },
  {
    runtimes: ["deno"],
    timeoutMs: 180_000,
    lacks: canMount() ? undefined : "root and a tmpfs to mount",
  },
);
