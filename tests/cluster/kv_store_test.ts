import { assert, assertEquals } from "@std/assert";
import type { Kv } from "../../src/store/kv/kv.ts";
import { test } from "../harness.ts";
import { damageEntry, keyOfEntry } from "../store/kv_damage.ts";
import { withCluster } from "./process.ts";
import { until } from "./until.ts";

test("cluster on Deno KV: servers that are killed come back with all acknowledged writes", async () => {
  const options = { runtimes: ["deno", "deno", "deno"], args: ["--store", "kv"] } as const;
  await withCluster(options, async (cluster) => {
    const values = Array.from({ length: 20 }, (_, i) => `value ${i}`.repeat(1 + 20 * i));
    let last = 0;
    for (const [i, body] of values.entries()) {
      const { url } = cluster.servers[i % 3]!;
      const answer = await fetch(`${url}/kv/k${i}`, { method: "PUT", body });
      last = (await answer.json()).index;
      assertEquals(answer.status, 200);
    }
    await cluster.untilApplied(last);
    await Promise.all(cluster.servers.map((server) => server.kill()));
    for (const server of cluster.servers) server.start();
    await cluster.agreedLeader();
    for (const { url } of cluster.servers) {
      for (const [i, value] of values.entries()) assertEquals(await (await fetch(`${url}/kv/k${i}`)).text(), value);
    }
  });
}, { runtimes: ["deno"], timeoutMs: 60_000 });

test("cluster on Deno KV: a server whose database lost some entries and changed others gets them again", async () => {
  const options = { runtimes: ["deno", "deno", "deno"], args: ["--store", "kv"] } as const;
  await withCluster(options, async (cluster) => {
    let last = 0;
    for (let i = 0; i < 30; i++) {
      const { url } = cluster.servers[i % 3]!;
      last = (await (await fetch(`${url}/kv/k${i}`, { method: "PUT", body: `value ${i}` })).json()).index;
    }
    await cluster.untilApplied(last);
    const leader = await cluster.agreedLeader();
    const victim = cluster.servers.find((server) => server !== leader)!;
    await victim.kill();
    const kv: Kv = await Deno.openKv(`${victim.directory}/kv.sqlite`);
    for (const index of [last - 20, last - 7, last - 6]) await damageEntry(kv, ["raft"], index);
    for (const index of [last - 15, last]) await kv.atomic().delete(await keyOfEntry(kv, ["raft"], index)).commit();
    kv.close();
    victim.start();
    await cluster.untilApplied(last);
    await until("the server to be repaired", async () => (await victim.status())?.damaged.length === 0);
    assert(victim.child.lastLines.some((line) => line.includes("damaged")), victim.describe());
    for (let i = 0; i < 30; i++) {
      const answer = await fetch(`${victim.url}/kv/k${i}?consistency=stale`);
      assertEquals(await answer.text(), `value ${i}`);
    }
    // It is whole by itself: nothing is said to be damaged at the next start.
    await victim.terminate();
    victim.start();
    await cluster.untilApplied(last);
    assert(!victim.child.lastLines.some((line) => line.includes("damaged")), victim.describe());
  });
}, { runtimes: ["deno"], timeoutMs: 60_000 });
