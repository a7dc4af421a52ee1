import { assert } from "@std/assert";
import { test } from "../harness.ts";
import { type Cluster, type ServerProcess, withCluster } from "./process.ts";
import { Proxy } from "./proxy.ts";
import { pause } from "./until.ts";
import { Workload } from "./workload.ts";

/** Longer than a leader's lease lasts, and than any election takes to begin. */
const FAULT_MS = 1_200;

/** Who is there. */
interface Scene {
  readonly cluster: Cluster;
  readonly proxy: Proxy;
  readonly workload: Workload;
  /** It leads, or did a moment ago. */
  readonly leader: ServerProcess;
  readonly follower: ServerProcess;
}

/** What is done to a cluster under load. */
type Fault = (scene: Scene) => Promise<void>;

const during = async (mend: () => void): Promise<void> => {
  await pause(FAULT_MS);
  mend();
};

const faults: readonly Fault[] = [
  // Nobody hears the leader, which hears everybody; then the other way round.
  ({ proxy, leader }) => during(proxy.blackhole({ from: leader.id })),
  ({ proxy, leader }) => during(proxy.blackhole({ to: leader.id })),
  // One follower hears nothing more, or is not heard any more.
  ({ proxy, leader, follower }) => during(proxy.blackhole({ from: leader.id, to: follower.id })),
  ({ proxy, leader, follower }) => during(proxy.blackhole({ from: follower.id, to: leader.id })),
  // Answers take about as long as a lease lasts.
  ({ proxy, leader }) => during(proxy.delay({ to: leader.id }, 300)),
  ({ proxy, leader }) => during(proxy.delay({ from: leader.id }, 150)),
  async ({ proxy }) => {
    for (let i = 0; i < 4; i++) {
      assert(proxy.reset() > 0);
      await pause(FAULT_MS / 4);
    }
  },
  // A leader that was halted knows of nothing that was written meanwhile, and is asked before it hears of it.
  async ({ cluster, proxy, workload, leader }) => {
    leader.halt();
    const mend = proxy.blackhole({ to: leader.id });
    await cluster.agreedLeader(cluster.servers.filter((server) => server !== leader));
    await workload.untilAcknowledged(100);
    workload.readByLease(leader);
    await pause(100);
    leader.resume();
    await during(mend);
  },
  async ({ proxy, leader }) => {
    const mend = proxy.blackhole({ from: leader.id });
    await pause(FAULT_MS / 3);
    await leader.kill();
    leader.start();
    await pause(FAULT_MS);
    mend();
  },
];

async function breakAndMend(cluster: Cluster, proxy: Proxy, workload: Workload): Promise<void> {
  for (const fault of faults) {
    const leader = await cluster.agreedLeader();
    const follower = cluster.servers.find((server) => server !== leader)!;
    await fault({ cluster, proxy, workload, leader, follower });
    await cluster.agreedLeader();
    await workload.untilAcknowledged(100);
  }
}

test(
  "cluster: what clients see is linearizable, by leases too, over a network that is cut one way, late and broken",
  async () => {
    let proxy: Proxy | undefined;
    const prepare = async (servers: readonly ServerProcess[]) => {
      proxy = await Proxy.open(servers.map(({ route }) => route!));
      return () => proxy!.close();
    };
    await withCluster({ runtimes: ["deno", "deno", "deno"], isProxied: true, prepare }, async (cluster) => {
      const workload = Workload.start(cluster);
      try {
        await workload.untilAcknowledged(100);
        await breakAndMend(cluster, proxy!, workload);
        await workload.stop();
        const report = await workload.check();
        // Otherwise the servers found a way around it, or no fault came at a bad moment.
        assert(proxy!.connections >= 6, `${proxy!.connections} connections`);
        assert(proxy!.heldBytes > 0);
        assert(report.unknown + report.failed > 0, JSON.stringify(report));
      } finally {
        await workload.stop();
      }
    });
  },
  { runtimes: ["deno"], timeoutMs: 180_000 },
);
