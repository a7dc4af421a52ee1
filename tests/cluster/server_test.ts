import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Child } from "../../examples/kv/child.ts";
import { ROOT, serverCommand } from "../../examples/kv/programs.ts";
import { type Runtime, test } from "../harness.ts";
import { freePorts } from "./ports.ts";
import { type ServerProcess, withCluster } from "./process.ts";
import { pause, until } from "./until.ts";

const RUNTIMES: readonly Runtime[] = ["deno", "bun", "node"];
const STOP_MAX_MS = 2_000;
const MIB = 1024 * 1024;

/** The processes are of all runtimes, so the tests are needed once. */
function testProcess(name: string, body: () => Promise<void>): void {
  test(`server: ${name}`, body, { runtimes: ["deno"], timeoutMs: 60_000 });
}

function withServer(runtime: Runtime, use: (server: ServerProcess) => Promise<void>): Promise<void> {
  return withCluster({ runtimes: [runtime] }, ({ servers }) => use(servers[0]!));
}

async function statusAndCode(answer: Promise<Response>): Promise<[number, string]> {
  const response = await answer;
  return [response.status, (await response.json()).code];
}

async function statusOf(answer: Promise<Response>): Promise<number> {
  const response = await answer;
  await response.body?.cancel();
  return response.status;
}

/** A body whose length nobody announces. */
function streamOf(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new Blob([bytes]).stream();
}

async function takesValues(url: string): Promise<void> {
  const value = Uint8Array.from({ length: MIB }, (_, i) => i * 17);
  const path = `${url}/kv/${encodeURIComponent("a/b c%2F")}`;
  for (const body of [value, streamOf(value)]) {
    assertEquals((await (await fetch(path, { method: "PUT", body })).json()).index > 0, true);
    assertEquals(new Uint8Array(await (await fetch(path)).arrayBuffer()), value);
  }
  for (const body of [new Uint8Array(MIB + 1), streamOf(new Uint8Array(2 * MIB))]) {
    assertEquals(await statusAndCode(fetch(path, { method: "PUT", body })), [413, "too-large"]);
  }
  assertEquals(await statusAndCode(fetch(`${url}/kv/%ff`)), [400, "bad-request"]);
  assertEquals(await statusAndCode(fetch(`${url}/kv/none`)), [404, "no-such-key"]);
}

async function watches(url: string): Promise<void> {
  const response = await fetch(`${url}/watch?prefix=w`);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader.read()).value ?? "";
  assertStringIncludes(text, "event: ready");
  await (await fetch(`${url}/kv/w`, { method: "PUT", body: "now" })).body?.cancel();
  while (!text.includes("event: put")) text += (await reader.read()).value;
  assertMatch(text, /data: \{"key":"w","index":\d+,"value":"now"\}/);
  await reader.cancel();
}

for (const runtime of RUNTIMES) {
  testProcess(`takes what it should and refuses the rest, on ${runtime}`, async () => {
    await withServer(runtime, async ({ url }) => {
      await takesValues(url);
      await watches(url);
    });
  });

  testProcess(`stops in order within 2 s, with a watch open and a connection idle, on ${runtime}`, async () => {
    await withServer(runtime, async (server) => {
      const watch = await fetch(`${server.url}/watch`);
      const watched = watch.text();
      await (await fetch(`${server.url}/kv/k`, { method: "PUT", body: "v" })).body?.cancel();
      const { code, ms } = await server.terminate();
      assertEquals([code, ms < STOP_MAX_MS], [0, true], `${code} after ${ms} ms\n${server.describe()}`);
      assertStringIncludes(await watched, "event: put");
      server.start();
      const value = await until("the server to be back", async () => {
        const response = await fetch(`${server.url}/kv/k`).catch(() => undefined);
        const text = await response?.text();
        return response?.status === 200 && text;
      });
      assertEquals(value, "v");
    });
  });
}

testProcess("a leader hands over when it stops, in time", async () => {
  await withCluster({ runtimes: ["deno", "deno", "deno"] }, async (cluster) => {
    const leader = await cluster.agreedLeader();
    const { code, ms } = await leader.terminate("SIGINT");
    assertEquals([code, ms < STOP_MAX_MS], [0, true], `${code} after ${ms} ms\n${leader.describe()}`);
    const others = cluster.servers.filter((server) => server !== leader);
    await cluster.agreedLeader(others);
    for (const { url } of others) assertEquals(await statusOf(fetch(`${url}/raft/health`)), 200);
  });
});

testProcess("a second signal ends it at once", async () => {
  await withCluster({ runtimes: ["deno", "deno", "deno"] }, async (cluster) => {
    const leader = await cluster.agreedLeader();
    // Nobody is there to hand over to, so stopping takes its time.
    for (const server of cluster.servers) if (server !== leader) server.halt();
    leader.child.kill("SIGTERM");
    await until("the server to stop", () => leader.child.lastLines.some((line) => line.includes("stopping because")));
    // Sooner it would be taken for an echo of the first.
    await pause(150);
    const { code, ms } = await leader.terminate("SIGTERM");
    assertEquals([code, ms < 700], [130, true], `${code} after ${ms} ms\n${leader.describe()}`);
  });
});

/** Runs a server that is expected to end by itself. */
async function runToEnd(...args: string[]): Promise<[code: number | null, lines: string]> {
  const child = new Child({ command: [...await serverCommand("deno"), ...args], cwd: ROOT });
  const { code } = await child.exited;
  return [code, child.lastLines.join("\n")];
}

testProcess("a port that is in use is said so, with what to do", async () => {
  await withServer("deno", async (server) => {
    const [listen] = await freePorts(1);
    const data = await Deno.makeTempDir();
    const http = new URL(server.url).host;
    const args = ["--id", "other", "--data"];
    const free = ["--http", http, "--listen", `127.0.0.1:${listen}`];
    const [code, lines] = await runToEnd(...args, `${data}/one`, ...free);
    assertStringIncludes(
      lines,
      `Cannot listen at "${http}" as the port is in use: stop the program that uses it`,
    );
    const [code2, lines2] = await runToEnd(...args, `${data}/two`, "--listen", http);
    assertStringIncludes(lines2, `Cannot listen at "${http}" as the port is in use: stop the program that uses it`);
    assertEquals([code, code2], [1, 1]);
    await Deno.remove(data, { recursive: true });
  });
});

testProcess("a directory that is in use is refused, and one of a killed process is not", async () => {
  await withServer("deno", async (server) => {
    const [listen, http] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
    const [code, lines] = await runToEnd(...server.args, "--listen", listen!, "--http", http!);
    assertStringIncludes(lines, "as another process has it open");
    assertEquals(code, 1);
    await server.kill();
    server.start();
    await until("the server to be up again", async () => (await server.status())?.role === "leader");
  });
});

testProcess("a directory of a cluster that began otherwise is refused, with what that began with", async () => {
  await withServer("deno", async (server) => {
    await server.terminate();
    const own = server.args[server.args.indexOf("--cluster") + 1]!;
    const [port] = await freePorts(1);
    for (const other of [`${own},n2=127.0.0.1:${port}`, `n1=127.0.0.1:${port}`]) {
      const [code, lines] = await runToEnd(...server.args, "--cluster", other);
      assertStringIncludes(lines, `Cannot bootstrap server "n1" as its data are of a cluster that began with ${own} (`);
      assertEquals(lines.match(/\(fingerprint "[0-9a-f]{8}"\)/g)?.length, 2, lines);
      assertEquals(code, 1);
    }
    server.start();
    await until("the server to be back", async () => (await server.status())?.role === "leader");
  });
});

testProcess("the command line is explained, and a wrong one refused", async () => {
  const [help, wrong] = await Promise.all([runToEnd("--help"), runToEnd("--id", "n1", "--http", "0.0.0.0:8001")]);
  // What it prints is HELP, which has its own test; nothing of it goes where errors go.
  assertEquals(help, [0, ""]);
  assertEquals(wrong[0], 2);
  assertStringIncludes(wrong[1], "Cannot serve on 0.0.0.0 without --token");
});

testProcess("with a token nobody comes in without", async () => {
  await withCluster(
    { runtimes: ["deno"], args: ["--token", "s3cret"], isGuarded: true },
    async ({ servers: [server] }) => {
      const { url } = server!;
      const headers = { authorization: "Bearer s3cret" };
      const isReady = async () => await statusOf(fetch(`${url}/raft/health`, { headers })) === 200;
      await until("the server to lead", () => isReady().catch(() => false));
      assertEquals(await statusOf(fetch(`${url}/kv/k`, { method: "PUT", body: "v", headers })), 200);
      for (const path of ["/kv/k", "/kv", "/watch", "/raft/status", "/raft/metrics"]) {
        assertEquals(await statusAndCode(fetch(`${url}${path}`)), [401, "unauthorized"]);
      }
    },
  );
});

testProcess("a server that is told to stops when its parent is gone", async () => {
  await withServer("deno", async (server) => {
    server.child.closeStdin();
    assertEquals((await server.child.exited).code, 0);
  });
});
