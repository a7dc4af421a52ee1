import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { withCluster } from "./process.ts";

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
