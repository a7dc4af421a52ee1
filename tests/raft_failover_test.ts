/**
 * How soon a leader is succeeded whose connections close, and one that is only silent, in virtual time.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Transport } from "../src/transport/transport.ts";
import { test } from "./harness.ts";
import { VirtualCluster } from "./virtual_cluster.ts";

const [electionMinMs, reconnectWaitMs] = [5_000, 50];

/** Three servers that wait for long, the leader among them, and how its system closes what it had open. */
async function scene(wait = reconnectWaitMs) {
  const cluster = new VirtualCluster(3);
  const opened = new Map<string, Transport>();
  for (const id of cluster.ids) {
    const factory = cluster.network.transport(id);
    const transport = {
      open: async (options: Parameters<typeof factory.open>[0]) => {
        const transport = await factory.open(options);
        opened.set(id, transport);
        return transport;
      },
    };
    const waits = { electionMinMs, electionMaxMs: 2 * electionMinMs, leaseMs: electionMinMs, reconnectWaitMs: wait };
    await cluster.start(id, { ...waits, leaderWaitMs: 2 * electionMinMs, transport });
  }
  const leader = await cluster.leader(cluster.ids, 10 * electionMinMs);
  await cluster.settled(leader.apply("x"));
  await cluster.converged();
  const others = cluster.ids.filter((id) => id !== leader.id);
  /** How long it takes until one of the others leads. */
  const succession = async () => {
    const before = cluster.environment.now();
    await cluster.leader(others, 10 * electionMinMs);
    return cluster.environment.now() - before;
  };
  return { cluster, leader, others, succession, die: () => opened.get(leader.id)!.close() };
}

test("failover: a leader whose connections close is succeeded at once", async () => {
  const { cluster, die, succession } = await scene();
  await die();
  const tookMs = await succession();
  assert(tookMs >= reconnectWaitMs / 5 && tookMs < 10 * reconnectWaitMs, `${tookMs} ms`);
  await cluster.stopAll();
});

test("failover: with reconnectWaitMs 0 it is found by its silence", async () => {
  const { cluster, die, succession } = await scene(0);
  await die();
  const tookMs = await succession();
  assert(tookMs >= electionMinMs - 100, `${tookMs} ms`);
  await cluster.stopAll();
});

test("failover: a leader that is cut off is found by its silence", async () => {
  const { cluster, leader, others, succession } = await scene();
  cluster.isolate(leader.id);
  await cluster.environment.advance(electionMinMs - 100);
  for (const id of others) assertEquals(cluster.raft(id).leader?.id, leader.id);
  await succession();
  cluster.heal();
  await cluster.stopAll();
});

test("failover: while somebody reads by leases a closed connection shortens no promise", async () => {
  const { cluster, leader, die, succession } = await scene();
  for (let i = 0; i < 2; i++) await cluster.settled(leader.read(() => i, { consistency: "lease" }));
  await die();
  const tookMs = await succession();
  assert(tookMs >= electionMinMs - 100 && tookMs < electionMinMs + 10 * reconnectWaitMs, `${tookMs} ms`);
  await cluster.stopAll();
});
