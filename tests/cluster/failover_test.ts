/**
 * A leader whose process dies closes its connections, and is succeeded for that; one that lives is not.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { sendOnce } from "./http_client.ts";
import { asked } from "./members.ts";
import { type Cluster, type ServerProcess, type Status, withCluster } from "./process.ts";
import { Proxy } from "./proxy.ts";
import { pause, until } from "./until.ts";

const DENO = { runtimes: ["deno"], timeoutMs: 120_000 } as const;

/** Longer than any wait of these tests: no election begins for it. */
const never = { electionMinMs: 300_000, electionMaxMs: 600_000, leaseMs: 300_000 };

async function reconfigure(servers: readonly ServerProcess[], changes: Record<string, number>): Promise<void> {
  for (const server of servers) assertEquals((await asked("PATCH", server, "config", changes))?.status, 200);
}

async function statusOf(server: ServerProcess): Promise<Status> {
  return await until(`the status of ${server.id}`, () => server.status());
}

test(
  "cluster: a leader that is killed is succeeded without an election timeout, one that is halted is not",
  async () => {
    await withCluster({ runtimes: ["deno", "deno", "deno"] }, async (cluster) => {
      await reconfigure(cluster.servers, never);
      const leader = await cluster.agreedLeader();
      const others = cluster.servers.filter((server) => server !== leader);
      const { term } = await statusOf(others[0]!);
      leader.halt();
      // Longer than elections take to begin by default.
      await pause(1_500);
      for (const server of others) assertEquals((await statusOf(server)).leader, leader.id);
      await leader.kill();
      const next = await until("another leader", async () => {
        const agreed = await cluster.agreedLeader(others);
        return agreed !== leader && agreed;
      });
      assert((await statusOf(next)).term > term);
    });
  },
  DENO,
);

/** Servers whose connections a test breaks as often as it likes; there is one of each two. */
async function withProxy(use: (cluster: Cluster, proxy: Proxy) => Promise<void>): Promise<void> {
  let proxy: Proxy | undefined;
  const prepare = async (servers: readonly ServerProcess[]) => {
    proxy = await Proxy.open(servers.map(({ route }) => route!));
    return () => proxy!.close();
  };
  const options = { runtimes: ["deno", "deno", "deno"] as const, isProxied: true, prepare };
  await withCluster(options, (cluster) => use(cluster, proxy!));
}

/** Breaks connections, and waits until there are new ones and the leader was heard over them. */
async function reset(cluster: Cluster, proxy: Proxy, between?: readonly [string, string]): Promise<void> {
  const leader = await cluster.agreedLeader();
  let { connections } = proxy;
  await until("a connection to break", () => {
    const count = proxy.reset(between);
    connections += count;
    return count > 0;
  });
  await until("new connections", () => proxy.connections >= connections && proxy.open >= 3);
  const { commitIndex } = await statusOf(leader);
  assertEquals((await sendOnce("PUT", `${leader.url}/kv/k`, "v", 15_000)).status, 200);
  await until("all to hear the leader", async () => {
    const statuses = await Promise.all(cluster.servers.map((server) => server.status()));
    return statuses.every((status) => status !== undefined && status.commitIndex > commitIndex);
  });
}

test("cluster: a leader whose connections break one after the other leads on, in the same term", async () => {
  await withProxy(async (cluster, proxy) => {
    // A machine may be busy with other tests: silence must not decide.
    await reconfigure(cluster.servers, never);
    const leader = await cluster.agreedLeader();
    const { term } = await statusOf(leader);
    const others = cluster.servers.filter((server) => server !== leader);
    await until("all connections", () => proxy.open >= 3);
    // The other one hears the leader all the time, and refuses.
    for (let i = 0; i < 20; i++) await reset(cluster, proxy, [leader.id, others[i % 2]!.id]);
    for (const server of cluster.servers) {
      const status = await statusOf(server);
      assertEquals([status.leader, status.term], [leader.id, term]);
    }
  });
}, DENO);

test(
  "cluster: a leader all of whose connections break at once leads on, in the same term, when it is back in time",
  async () => {
    await withProxy(async (cluster, proxy) => {
      // A machine may be busy with other tests: how soon they are back must not decide.
      await reconfigure(cluster.servers, { ...never, reconnectWaitMs: 100_000 });
      const leader = await cluster.agreedLeader();
      const { term } = await statusOf(leader);
      await until("all connections", () => proxy.open >= 3);
      for (let i = 0; i < 10; i++) await reset(cluster, proxy);
      for (const server of cluster.servers) {
        const status = await statusOf(server);
        assertEquals([status.leader, status.term], [leader.id, term]);
      }
    });
  },
  DENO,
);
