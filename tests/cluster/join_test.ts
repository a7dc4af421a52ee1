import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { test } from "../harness.ts";
import { sendOnce } from "./http_client.ts";
import { newcomer, votersOf } from "./members.ts";
import { type ServerProcess, withCluster } from "./process.ts";
import { until } from "./until.ts";

/** The one that both follow. */
function leaderOf(servers: readonly ServerProcess[]): Promise<ServerProcess> {
  return until("a leader", async () => {
    const leaders = await Promise.all(servers.map(async (server) => (await server.status())?.leader));
    return leaders[0] === leaders[1] && servers.find(({ id }) => id === leaders[0]);
  });
}

const says = ({ child }: ServerProcess, words: string) => child.lastLines.some((line) => line.includes(words));

test("cluster: one server grows to three by --join, and the first one may go", async () => {
  await withCluster({ runtimes: ["deno"] }, async (cluster) => {
    const [first] = cluster.servers;
    await sendOnce("PUT", `${first!.url}/kv/k`, "kept", 10_000);
    const joined: ServerProcess[] = [];
    try {
      for (const id of ["n2", "n3"]) {
        const server = await newcomer(id, first!);
        joined.push(server);
        server.start();
        await until(`${id} to vote`, () => says(server, `joined: ${id} votes`));
      }
      assertEquals(await votersOf(first!), "n1 n2 n3");
      const drained = await sendOnce("POST", `${first!.url}/raft/drain`, undefined, 10_000);
      assertEquals([drained.status, drained.text], [200, '{"drained":true}']);
      assertEquals((await first!.child.exited).code, 0);
      const leader = await leaderOf(joined);
      assertEquals((await sendOnce("DELETE", `${leader.url}/raft/servers/n1`, undefined, 10_000)).status, 200);
      assertEquals(await votersOf(leader), "n2 n3");
      for (const { url } of joined) {
        assertEquals((await sendOnce("GET", `${url}/kv/k`, undefined, 10_000)).text, "kept");
      }
      // It has what it needs now, and does not ask again.
      const follower = joined.find((server) => server !== leader)!;
      await follower.terminate();
      follower.start();
      await leaderOf(joined);
      assertEquals(says(follower, "joining:"), false, follower.describe());
    } finally {
      for (const server of joined) await server.kill();
    }
  });
}, { runtimes: ["deno"], timeoutMs: 90_000 });

test("cluster: a server that may not join says why and stops", async () => {
  await withCluster({ runtimes: ["deno"], args: ["--token", "t"], isGuarded: true }, async (cluster) => {
    const server = await newcomer("n2", cluster.servers[0]!, ["--token", "wrong"]);
    server.start();
    const { code } = await server.child.exited;
    assert(code === 1, server.describe());
    assertStringIncludes(server.describe(), "Cannot join the cluster of");
  });
}, { runtimes: ["deno"], timeoutMs: 90_000 });
