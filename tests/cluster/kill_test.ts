import { assert } from "@std/assert";
import { type Runtime, test } from "../harness.ts";
import type { Cluster } from "./process.ts";
import { withCluster } from "./process.ts";
import { pause } from "./until.ts";
import { Workload } from "./workload.ts";

// Longer than any election takes to begin, and than a leader's lease lasts.
const HALT_MS = 2_500;

async function killLeader(cluster: Cluster, workload: Workload): Promise<void> {
  const leader = await cluster.agreedLeader();
  await workload.burst(leader);
  await leader.kill();
  await cluster.agreedLeader(cluster.servers.filter((server) => server !== leader));
  await workload.untilAcknowledged(300);
  leader.start();
  await cluster.agreedLeader();
  await workload.untilAcknowledged(300);
}

async function haltFollower(cluster: Cluster, workload: Workload): Promise<void> {
  const leader = await cluster.agreedLeader();
  const follower = cluster.servers.find((server) => server !== leader)!;
  follower.halt();
  await Promise.all([pause(HALT_MS), workload.untilAcknowledged(300)]);
  follower.resume();
  await cluster.agreedLeader();
  await workload.untilAcknowledged(300);
}

async function haltLeader(cluster: Cluster, workload: Workload): Promise<void> {
  const leader = await cluster.agreedLeader();
  leader.halt();
  await cluster.agreedLeader(cluster.servers.filter((server) => server !== leader));
  await Promise.all([pause(HALT_MS), workload.untilAcknowledged(300)]);
  leader.resume();
  await cluster.agreedLeader();
  await workload.untilAcknowledged(300);
}

async function killAll(cluster: Cluster, workload: Workload): Promise<void> {
  await Promise.all(cluster.servers.map((server) => workload.burst(server)));
  await Promise.all(cluster.servers.map((server) => server.kill()));
  for (const server of cluster.servers) server.start();
  await cluster.agreedLeader();
  await workload.untilAcknowledged(300);
}

/** A follower loses its whole directory and comes back under its name, told to bootstrap as ever. */
async function wipeFollower(cluster: Cluster, workload: Workload, place = 0): Promise<void> {
  const leader = await cluster.agreedLeader();
  const follower = cluster.servers.filter((server) => server !== leader)[place]!;
  await workload.burst(follower);
  await follower.kill();
  await follower.wipe();
  await workload.untilAcknowledged(300);
  follower.start();
  await cluster.agreedLeader();
  await workload.untilAcknowledged(300);
}

type Fault = (cluster: Cluster, workload: Workload) => Promise<void>;

/** Clients are at work before, during and after each fault; then everything they saw is judged. */
function testFaults(name: string, runtimes: readonly Runtime[], faults: readonly Fault[]): void {
  const body = () =>
    withCluster({ runtimes }, async (cluster) => {
      const workload = Workload.start(cluster);
      try {
        await workload.untilAcknowledged(300);
        for (const fault of faults) await fault(cluster, workload);
        await workload.stop();
        const report = await workload.check();
        // Otherwise no fault came at a bad moment, and little was tested.
        assert(report.unknown > 0, `no outcome was unknown among ${JSON.stringify(report)}`);
      } finally {
        await workload.stop();
      }
    });
  // The processes are of all runtimes, so the test is needed once.
  test(`cluster: ${name}`, body, { runtimes: ["deno"], timeoutMs: 180_000 });
}

const DENO: readonly Runtime[] = ["deno", "deno", "deno"];

testFaults("nothing is lost when the leader is killed, servers are halted and all are killed at once", DENO, [
  killLeader,
  haltFollower,
  haltLeader,
  killAll,
]);
testFaults("nothing is lost when a follower, and then another one, loses its whole directory", DENO, [
  wipeFollower,
  // The one that came back has to make the majority now.
  (cluster, workload) => wipeFollower(cluster, workload, 1),
  killAll,
]);
testFaults("nothing is lost when the leader is killed, on Bun", ["bun", "bun", "bun"], [killLeader]);
testFaults("nothing is lost when the leader is killed, on Node", ["node", "node", "node"], [killLeader]);
testFaults("nothing is lost when the leader is killed, on a mix of runtimes", ["deno", "bun", "node"], [killLeader]);
