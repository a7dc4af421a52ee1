import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { serverCommand } from "../../examples/kv/programs.ts";
import { test } from "../harness.ts";
import { sendOnce } from "./http_client.ts";
import { freePorts } from "./ports.ts";
import { ServerProcess, withCluster } from "./process.ts";
import { until } from "./until.ts";

/** A server that asks this member to add it. */
async function newcomer(id: string, member: ServerProcess, more: readonly string[] = []): Promise<ServerProcess> {
  const [http, raft] = await freePorts(2);
  const own = ["--id", id, "--http", `127.0.0.1:${http}`, "--listen", `127.0.0.1:${raft}`];
  const data = ["--data", join(member.directory, "..", id)];
  const args = [...own, ...data, "--join", member.url, ...more];
  return new ServerProcess(id, `http://127.0.0.1:${http}`, "deno", await serverCommand("deno"), args);
}

async function votersOf({ url }: ServerProcess): Promise<string> {
  const { text } = await sendOnce("GET", `${url}/raft/configuration`, undefined, 5_000);
  const { servers } = JSON.parse(text) as { servers: { id: string; suffrage: string }[] };
  return servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id).join(" ");
}

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
