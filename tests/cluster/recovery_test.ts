import { assertEquals, assertStringIncludes } from "@std/assert";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../harness.ts";
import { type ServerProcess, withCluster } from "./process.ts";
import { until } from "./until.ts";

const directoryOf = ({ args }: ServerProcess): string => args[args.indexOf("--data") + 1]!;

const addressOf = ({ id, args }: ServerProcess): string => {
  const cluster = args[args.indexOf("--cluster") + 1]!;
  return cluster.split(",").find((server) => server.startsWith(`${id}=`))!.slice(id.length + 1);
};

async function put(url: string, key: string, value: string): Promise<number> {
  const answer = await fetch(`${url}/kv/${key}`, { method: "PUT", body: value });
  assertEquals(answer.status, 200);
  return (await answer.json()).index;
}

async function get(url: string, key: string): Promise<string> {
  return await (await fetch(`${url}/kv/${key}`)).text();
}

test(
  "cluster: of three servers two are lost for good; peers.json lets the third go on with all acknowledged writes",
  async () => {
    const options = {
      runtimes: ["deno", "bun", "node"],
      args: ["--snapshot-after", "20", "--keep-entries", "5"],
    } as const;
    await withCluster(options, async (cluster) => {
      const [survivor, ...lost] = [cluster.servers[2]!, cluster.servers[0]!, cluster.servers[1]!];
      let last = 0;
      for (let i = 0; i < 50; i++) last = await put(cluster.servers[i % 3]!.url, `k${i}`, `value ${i}`);
      await cluster.untilApplied(last);
      await Promise.all(cluster.servers.map((server) => server.kill()));
      for (const server of lost) await rm(directoryOf(server), { recursive: true });

      // Alone it has no quorum.
      survivor.start();
      await until("the survivor to answer", async () => await survivor.status() !== undefined);
      const before = (await survivor.status())!;
      assertEquals(before.leader, null);
      await survivor.kill();

      const servers = [{ id: survivor.id, address: addressOf(survivor) }];
      await writeFile(join(directoryOf(survivor), "peers.json"), JSON.stringify(servers));
      survivor.start();
      await cluster.agreedLeader([survivor]);
      assertStringIncludes(survivor.child.lastLines.join("\n"), "leaves out n1, n2");
      for (let i = 0; i < 50; i++) assertEquals(await get(survivor.url, `k${i}`), `value ${i}`);
      await put(survivor.url, "after", "the disaster");

      // Applied once: what happens afterwards is not undone by the next start.
      const names = await readdir(directoryOf(survivor));
      assertEquals(names.filter((name) => name.startsWith("peers")), ["peers.json.applied"]);
      const { term } = (await survivor.status())!;
      await survivor.kill();
      survivor.start();
      await cluster.agreedLeader([survivor]);
      assertEquals([await get(survivor.url, "after"), await get(survivor.url, "k0")], ["the disaster", "value 0"]);
      assertEquals((await survivor.status())!.term < term + 1_000, true);
    });
  },
  { runtimes: ["deno"], timeoutMs: 90_000 },
);

test("cluster: a peers.json that can't be used keeps the server from starting, and says why", async () => {
  await withCluster({ runtimes: ["deno"] }, async ({ servers: [server] }) => {
    await put(server!.url, "k", "v");
    for (
      const [text, message] of [
        ["{", "Cannot read the servers"],
        ['[{ "id": "n9", "address": "127.0.0.1:9" }]', '"n1" is not among the servers: n9'],
      ] as const
    ) {
      await server!.kill();
      await writeFile(join(directoryOf(server!), "peers.json"), text);
      server!.start();
      const { code } = await server!.child.exited;
      assertEquals(code, 1);
      assertStringIncludes(server!.describe(), message);
    }
    await rm(join(directoryOf(server!), "peers.json"));
    server!.start();
    await until("the server to lead again", async () => (await server!.status())?.role === "leader");
    assertEquals(await get(server!.url, "k"), "v");
  });
}, { runtimes: ["deno"], timeoutMs: 60_000 });
