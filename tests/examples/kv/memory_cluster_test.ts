import { assertEquals } from "@std/assert";
import { kvApp } from "../../../examples/kv/http.ts";
import { type Command, KvMachine, type Result } from "../../../examples/kv/machine.ts";
import { createRaft, type MemoryNetwork, memoryNetwork, memoryStore, type Raft } from "../../../mod.ts";
import { test } from "../../harness.ts";

// As fast as a busy machine allows, so that nobody waits long for a leader, or for its absence.
const SETTINGS = { heartbeatMs: 20, electionMinMs: 150, electionMaxMs: 300, leaseMs: 150, leaderWaitMs: 200 };

interface MemoryServer {
  readonly raft: Raft<Command, Result>;
  ask(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<Response>;
}

/** Starts servers in this process, lets the test use them once there is a leader, and stops them. */
async function withServers(
  ids: readonly string[],
  use: (servers: readonly MemoryServer[], network: MemoryNetwork) => Promise<void>,
): Promise<void> {
  const network = memoryNetwork();
  const servers = await Promise.all(ids.map((id) => startServer(id, ids, network)));
  try {
    await Promise.all(servers.map(({ raft }) => untilLeader(raft, true)));
    await servers[0]!.raft.barrier();
    await use(servers, network);
  } finally {
    await Promise.all(servers.map(({ raft }) => raft.shutdown()));
  }
}

async function startServer(id: string, ids: readonly string[], network: MemoryNetwork): Promise<MemoryServer> {
  const machine = new KvMachine();
  const raft = await createRaft<Command, Result>({
    ...SETTINGS,
    id,
    machine,
    store: memoryStore(),
    transport: network.transport(id),
    bootstrap: Object.fromEntries(ids.map((id) => [id, id])),
  });
  const app = kvApp({ raft, machine, timeoutMs: 1_000 });
  const ask = async (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
    await app.fetch(new Request(`http://127.0.0.1${path}`, { method, headers, ...body === undefined ? {} : { body } }));
  return { raft, ask };
}

async function statusAndJson(answer: Promise<Response>): Promise<[number, Record<string, unknown>]> {
  const response = await answer;
  return [response.status, await response.json()];
}

test("what is written at one server is read at all others, in order", async () => {
  await withServers(["a", "b", "c"], async (servers) => {
    for (const [i, writer] of servers.entries()) {
      const [status, { index }] = await statusAndJson(writer.ask("PUT", "/kv/k%2F1", `v${i}`));
      assertEquals(status, 200);
      for (const reader of servers) {
        const response = await reader.ask("GET", "/kv/k%2F1");
        assertEquals(await response.text(), `v${i}`);
        assertEquals(response.headers.get("raft-index"), String(index));
      }
    }
    const [, cas] = await statusAndJson(servers[1]!.ask("POST", "/kv/k%2F1/cas", '{"expect":"v2","value":"v3"}'));
    assertEquals(cas.swapped, true);
    const [, lost] = await statusAndJson(servers[2]!.ask("POST", "/kv/k%2F1/cas", '{"expect":"v2","value":"v4"}'));
    assertEquals(lost.swapped, false);
    const [, list] = await statusAndJson(servers[0]!.ask("GET", "/kv?prefix=k/"));
    assertEquals(list.keys, [{ key: "k/1", index: cas.index, bytes: 2 }]);
    const [, deletion] = await statusAndJson(servers[2]!.ask("DELETE", "/kv/k%2F1"));
    assertEquals(deletion.deleted, true);
    assertEquals((await statusAndJson(servers[0]!.ask("GET", "/kv/k%2F1")))[0], 404);
  });
});

test("of many that compare and set at once, at all servers, one wins", async () => {
  await withServers(["a", "b", "c"], async (servers) => {
    const all = Array.from({ length: 30 }, (_, i) => {
      return statusAndJson(servers[i % 3]!.ask("POST", "/kv/k/cas", JSON.stringify({ expect: null, value: `v${i}` })));
    });
    const answers = await Promise.all(all);
    assertEquals(answers.every(([status]) => status === 200), true);
    const winner = answers.findIndex(([, { swapped }]) => swapped);
    assertEquals(answers.filter(([, { swapped }]) => swapped).length, 1);
    assertEquals(await (await servers[0]!.ask("GET", "/kv/k")).text(), `v${winner}`);
  });
});

test("a server without a quorum says 503 to reads and to what it does not take, and still reads stale", async () => {
  await withServers(["a", "b", "c"], async (servers, network) => {
    await statusAndJson(servers[0]!.ask("PUT", "/kv/k", "v"));
    await Promise.all(servers.map(({ ask }) => ask("GET", "/kv/k").then((response) => response.text())));
    const alone = servers.find(({ raft }) => raft.state !== "leader")!;
    network.disconnectAll(alone.raft.id);
    await untilLeader(alone.raft, false);
    for (const [method, path] of [["PUT", "/kv/k"], ["GET", "/kv/k"], ["GET", "/kv"]] as const) {
      const [status, { code, outcome }] = await statusAndJson(
        alone.ask(method, path, method === "PUT" ? "w" : undefined),
      );
      assertEquals([status, code, outcome], [503, "not-leader", "not-applied"]);
    }
    assertEquals((await statusAndJson(alone.ask("GET", "/raft/health")))[0], 503);
    assertEquals(await (await alone.ask("GET", "/kv/k?consistency=stale")).text(), "v");
  });
});

test("a leader that is cut off never says 200: what it took is unknown", async () => {
  await withServers(["a", "b", "c"], async (servers, network) => {
    const leader = servers.find(({ raft }) => raft.state === "leader")!;
    network.disconnectAll(leader.raft.id);
    const [status, { outcome }] = await statusAndJson(leader.ask("PUT", "/kv/k", "v"));
    assertEquals([status, outcome], [504, "unknown"]);
    const [readStatus] = await statusAndJson(leader.ask("GET", "/kv/k"));
    assertEquals(readStatus, 503);
  });
});

test("a server that is shut down says 503", async () => {
  await withServers(["a"], async ([server]) => {
    await server!.raft.shutdown();
    for (const [method, path] of [["DELETE", "/kv/k"], ["GET", "/kv/k"]] as const) {
      const [status, { code }] = await statusAndJson(server!.ask(method, path));
      assertEquals([status, code], [503, "shutdown"]);
    }
    assertEquals((await statusAndJson(server!.ask("GET", "/raft/health")))[0], 503);
  });
});

test("a watch at any server tells of writes at another", async () => {
  await withServers(["a", "b", "c"], async (servers) => {
    const response = await servers[0]!.ask("GET", "/watch?prefix=k");
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const [, { index }] = await statusAndJson(servers[1]!.ask("PUT", "/kv/k", "v"));
    let text = "";
    while (!text.includes("event: put")) text += (await reader.read()).value;
    assertEquals(text.split("\n\n")[1], `id: ${index}\nevent: put\ndata: {"key":"k","index":${index},"value":"v"}`);
    await reader.cancel();
  });
});

test("the admin surface of a real server has what its readers expect", async () => {
  await withServers(["a", "b", "c"], async (servers) => {
    const leader = servers.find(({ raft }) => raft.state === "leader")!;
    const [, status] = await statusAndJson(leader.ask("GET", "/raft/status"));
    assertEquals([status.id, status.role, status.leader], [leader.raft.id, "leader", leader.raft.id]);
    for (const name of ["term", "commitIndex", "appliedIndex"]) assertEquals(typeof status[name], "number");
    assertEquals((status.servers as { id: string }[]).map(({ id }) => id), ["a", "b", "c"]);
    const [health] = await statusAndJson(leader.ask("GET", "/raft/health"));
    const metrics = await (await leader.ask("GET", "/raft/metrics")).text();
    assertEquals([health, /^raft_role\{role="leader"\} 1$/m.test(metrics)], [200, true]);
    assertEquals(/^raft_peer_lag_entries\{peer="[abc]"\} 0$/m.test(metrics), true, metrics);
  });
});

/** Waits until the server knows a leader, or none. */
async function untilLeader(raft: Raft<Command, Result>, isWanted: boolean): Promise<void> {
  const events = raft.events();
  while ((raft.leader !== undefined) !== isWanted) await events.next();
  await events.return!();
}

test("no two requests are taken for one by their Idempotency-Keys, however long what they are about", () =>
  withServers(["a"], async ([server]) => {
    const put = async (key: string, value: string, idempotencyKey: string) => {
      const path = `/kv/${encodeURIComponent(key)}`;
      const [status] = await statusAndJson(server!.ask("PUT", path, value, { "idempotency-key": idempotencyKey }));
      assertEquals(status, 200);
      return await (await server!.ask("GET", path)).text();
    };
    const long = "k".repeat(1024);
    for (
      const [key, value, name] of [[long, "1", "first"], [long, "2", "second"], [`${long.slice(1)}!`, "3", "first"]]
    ) {
      assertEquals(await put(key!, value!, name!), value);
    }
    assertEquals(await put("a b", "1", "c"), "1");
    assertEquals(await put("a", "2", "b c"), "2");
    // Another value is another request, whatever its client believes: who is told 200 finds it there.
    assertEquals(await put("a", "3", "b c"), "3");
    // The first one again.
    assertEquals(await put("a", "2", "b c"), "3");
  }));

test("a request that is sent again under its Idempotency-Key, to any server, is applied once and answered alike", async () => {
  await withServers(["a", "b", "c"], async (servers) => {
    const cas = JSON.stringify({ expect: null, value: "v" });
    const send = (server: MemoryServer, key: string) =>
      statusAndJson(server.ask("POST", "/kv/k/cas", cas, { "idempotency-key": key }));
    for (const server of servers) {
      const [status, { swapped }] = await send(server, "first");
      assertEquals([status, swapped], [200, true]);
    }
    assertEquals((await send(servers[0]!, "second"))[1].swapped, false);
    // Another request under the same key is another command.
    const [status] = await statusAndJson(servers[1]!.ask("DELETE", "/kv/k", undefined, { "idempotency-key": "first" }));
    assertEquals([status, (await servers[2]!.ask("GET", "/kv/k")).status], [200, 404]);
    const [refused, { code }] = await send(servers[0]!, "x".repeat(256));
    assertEquals([refused, code], [400, "bad-request"]);
  });
});
