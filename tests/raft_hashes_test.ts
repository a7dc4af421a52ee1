/**
 * Machines that are compared: `hash` and `hashEvery`.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { RaftEvent } from "../src/events.ts";
import type { RaftOptions } from "../src/options.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, type VirtualCluster, withCluster } from "./virtual_cluster.ts";

/** Its hash is what it holds; some take the command "odd" for another one. */
class Hashed extends SnapshotJournal {
  isOdd: boolean = false;
  hashes: number = 0;

  override apply(command: unknown, context: { readonly index: number }): unknown {
    return super.apply(command === "odd" && this.isOdd ? "other" : command, context);
  }

  hash(): string {
    this.hashes++;
    return JSON.stringify(this.values);
  }
}

async function withHashes(
  body: (cluster: VirtualCluster, machine: (id: string) => Hashed) => Promise<void>,
  over: Partial<RaftOptions<unknown, unknown>> = {},
): Promise<void> {
  const machines = new Map<string, Hashed>();
  const machine = (id: string) => machines.get(id)!;
  await withCluster(3, (cluster) => body(cluster, machine), { hashEvery: 4, ...over }, (id) => {
    machines.set(id, new Hashed());
    return machine(id);
  });
}

/** What this server tells of others' machines from now on. */
function watched(cluster: VirtualCluster, id: string): RaftEvent[] {
  const events: RaftEvent[] = [];
  void (async () => {
    for await (const event of cluster.raft(id).events({ filter: ({ type }) => type.startsWith("state-") })) {
      events.push(event);
    }
  })();
  return events;
}

async function applyUntil(cluster: VirtualCluster, index: number): Promise<void> {
  const leader = await cluster.leader();
  while (leader.lastIndex < index) await cluster.settled(leader.apply("x"));
  await cluster.converged();
}

test("machines are compared every so many entries; equal ones are not spoken of", () =>
  withHashes(async (cluster, machine) => {
    const events = cluster.ids.map((id) => watched(cluster, id));
    await applyUntil(cluster, 13);
    await cluster.environment.advance(100);
    assertEquals(events.flat(), []);
    assertEquals(cluster.ids.map((id) => machine(id).hashes), [3, 3, 3]);
  }));

test("a machine that went its own way is told of at the first entry that shows it, and doctor() says whose it is", () =>
  withHashes(async (cluster, machine) => {
    const { leader, followers: [odd, other] } = await cluster.elect();
    machine(odd!.id).isOdd = true;
    await applyUntil(cluster, 5);
    const events = watched(cluster, leader.id);
    await cluster.settled(leader.apply("odd"));
    await applyUntil(cluster, 16);
    await cluster.environment.advance(100);
    assertEquals(events, [{ type: "state-diverged", peer: odd!.id, index: 8, agreedIndex: 4 }]);
    for (const raft of [leader, odd!, other!]) {
      const { healthy, findings } = raft.doctor();
      const [finding] = findings.filter(({ code }) => code === "state-diverged");
      assertEquals([healthy, finding!.servers, finding!.index], [false, [odd!.id], 8]);
    }
    // It is emptied, and sent what the others have.
    await cluster.settled(odd!.shutdown());
    for (const one of [leader, other!]) await cluster.settled(one.snapshot());
    cluster.stores.delete(odd!.id);
    cluster.snapshots.delete(odd!.id);
    await cluster.start(odd!.id, { hashEvery: 4 });
    const next = await cluster.leader();
    while (next.lastIndex < 40) await cluster.settled(next.apply("x"));
    await cluster.environment.until(() => next.doctor().findings.every(({ code }) => code !== "state-diverged"));
    assertEquals(events.slice(1).map(({ type }) => type), next === leader ? ["state-agrees"] : []);
  }, { trailingLogs: 0 }));

test("machines are not compared with hashEvery 0, nor those without hash()", () =>
  withHashes(async (cluster, machine) => {
    await applyUntil(cluster, 13);
    assertEquals(cluster.ids.map((id) => machine(id).hashes), [0, 0, 0]);
  }, { hashEvery: 0 }));

test("a hash() that throws is warned of, and stops nothing", () => {
  const warnings: string[] = [];
  const logger = { debug() {}, info() {}, error() {}, warn: (line: string) => void warnings.push(line) };
  return withHashes(async (cluster, machine) => {
    machine("a").hash = () => {
      throw new Error("my own");
    };
    await applyUntil(cluster, 8);
    assertEquals(warnings.filter((line) => line.includes("my own")), [
      "a: hash() of the machine failed: Error: my own",
      "a: hash() of the machine failed: Error: my own",
    ]);
  }, { logger });
});
