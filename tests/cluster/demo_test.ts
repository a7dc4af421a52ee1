import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { Child } from "../../examples/kv/child.ts";
import { ROOT } from "../../examples/kv/programs.ts";
import { test } from "../harness.ts";
import { freePorts } from "./ports.ts";
import { until } from "./until.ts";

/** The demo as its user starts it, and what it prints. */
class DemoProcess {
  readonly #process: ChildProcess;
  readonly exited: Promise<number | null>;
  output = "";

  constructor(...args: string[]) {
    const stdio = ["ignore", "pipe", "pipe"] as const;
    const command = ["run", "-A", "--quiet", "examples/kv/demo.ts", ...args];
    this.#process = spawn(process.execPath, command, {
      cwd: ROOT,
      stdio: [...stdio],
      env: { ...process.env, NO_COLOR: "1" },
    });
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.on("data", (chunk) => void (this.output += chunk));
    }
    this.exited = new Promise((resolve) => this.#process.once("close", resolve));
  }

  untilPrinted(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`the demo to print ${pattern}`, () => pattern.exec(this.output) ?? undefined).catch((error) => {
      throw new Error(`${error.message}. It printed:\n${this.output}`);
    });
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#process.exitCode === null && this.#process.pid !== undefined) process.kill(this.#process.pid, signal);
  }
}

/** Neighbouring ports, as the demo takes them. */
async function freeRange(count: number): Promise<number> {
  return await until("a range of free ports", async () => {
    const ports = await freePorts(count);
    return ports.at(-1)! - ports[0]! === count - 1 && ports[0];
  });
}

async function withDemo(
  args: string[],
  nodes: number,
  use: (demo: DemoProcess, args: string[]) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const ports = ["--http-port", String(await freeRange(nodes)), "--raft-port", String(await freeRange(nodes))];
  const all = [...ports, "--data", `${directory}/demo`, ...args];
  const demo = new DemoProcess(...all);
  try {
    await use(demo, all);
  } finally {
    demo.kill("SIGTERM");
    await demo.exited;
    await Deno.remove(directory, { recursive: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function isUp(url: string): Promise<boolean> {
  const response = await fetch(`${url}/raft/status`).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}

async function putGreeting(url: string): Promise<void> {
  const response = await fetch(`${url}/kv/greeting`, { method: "PUT", body: "hello" });
  await response.body?.cancel();
  assertEquals(response.status, 200);
}

test("demo: starts a cluster, tells of elections and deaths, and stops everything on Ctrl-C", async () => {
  await withDemo([], 3, async (demo, args) => {
    await demo.untilPrinted(/Ctrl-C stops all/);
    const servers = [...demo.output.matchAll(/^ {2}(n\d) {2}(\S+) {2}pid (\d+) {2}deno(.*)$/gm)];
    assertEquals(servers.map(([, id]) => id), ["n1", "n2", "n3"]);
    assertEquals([...demo.output.matchAll(/^ {2}curl /gm)].length, 4);
    assertMatch(demo.output, /^\d\d:\d\d:\d\d {2}n\d leads in term \d+/m);
    for (const [, , url] of servers) {
      await putGreeting(url!);
    }
    const busy = new DemoProcess(...args);
    assertEquals(await busy.exited, 2);
    assertMatch(busy.output, /^Cannot start the demo as 127\.0\.0\.1:\d+ is in use: stop the process that has it/);
    const [, id, , pid] = servers.find(([, , , , rest]) => rest!.includes("leader"))!;
    process.kill(Number(pid), "SIGKILL");
    await demo.untilPrinted(new RegExp(`^${id} ended by SIGKILL`, "m"));
    await demo.untilPrinted(new RegExp(`Start it again[^]*n[^${id!.at(-1)}] leads in term \\d+`));
    const start = performance.now();
    // As when a launcher passes on the Ctrl-C that its terminal has sent already.
    demo.kill("SIGINT");
    demo.kill("SIGINT");
    assertEquals(await demo.exited, 0);
    assert(performance.now() - start < 3_000, "stopping took too long");
    assertEquals(servers.filter(([, , , pid]) => isAlive(Number(pid))), []);
  });
}, { runtimes: ["deno"], timeoutMs: 90_000 });

test(
  "demo: says that the servers it started have ended, not that one has which was started again elsewhere",
  async () => {
    await withDemo(["--nodes", "2"], 2, async (demo) => {
      await demo.untilPrinted(/Ctrl-C stops all/);
      const [first, second] = [...demo.output.matchAll(/^ {2}n\d {2}(\S+) {2}pid (\d+)/gm)];
      process.kill(Number(first![2]), "SIGKILL");
      const [, line] = await demo.untilPrinted(/^Start it again, in another terminal[^]*with:\n {2}(.+)\n/m);
      const [program, ...args] = line!.split(" ");
      const again = new Child({ command: [program!, ...args], cwd: ROOT });
      try {
        await until("it to answer", () => isUp(first![1]!));
        process.kill(Number(second![2]), "SIGKILL");
        assertEquals(await demo.exited, 1);
        assertMatch(
          demo.output,
          /^All servers that the demo started have ended, so it ends, too; those started in other/m,
        );
        assertEquals(again.hasEnded, false);
      } finally {
        await again.stop(3_000);
      }
    });
  },
  { runtimes: ["deno"], timeoutMs: 90_000 },
);

test("demo: goes on where it was, unless it is told to forget", async () => {
  await withDemo(["--nodes", "1"], 2, async (demo, args) => {
    const again = async (...more: string[]) => {
      const next = new DemoProcess(...args, ...more);
      const url = (await next.untilPrinted(/http:\S+(?=[^]*Ctrl-C stops all)/))[0];
      const response = await fetch(`${url}/kv/greeting`);
      const text = await response.text();
      next.kill("SIGINT");
      await next.exited;
      return [response.status, text];
    };
    const url = (await demo.untilPrinted(/http:\S+(?=[^]*Ctrl-C stops all)/))[0];
    await putGreeting(url);
    demo.kill("SIGINT");
    await demo.exited;
    assertEquals(await again(), [200, "hello"]);
    const other = new DemoProcess(...args, "--nodes", "2");
    assertEquals(await other.exited, 2);
    assertStringIncludes(other.output, "pass --fresh");
    assertEquals((await again("--fresh"))[0], 404);
  });
}, { runtimes: ["deno"], timeoutMs: 90_000 });

test("demo: starts five servers on a mix of runtimes, and each answers", async () => {
  await withDemo(["--nodes", "5", "--runtime", "mixed"], 5, async (demo) => {
    await demo.untilPrinted(/5 servers are up:[^]*Ctrl-C stops all/);
    const servers = [...demo.output.matchAll(/^ {2}(n\d) {2}(\S+) {2}pid \d+ {2}(\w+)/gm)];
    assertEquals(servers.map(([, id, , runtime]) => `${id} ${runtime}`), [
      "n1 deno",
      "n2 bun",
      "n3 node",
      "n4 deno",
      "n5 bun",
    ]);
    for (const [, , url] of servers) await putGreeting(url!);
    demo.kill("SIGINT");
    assertEquals(await demo.exited, 0);
  });
}, { runtimes: ["deno"], timeoutMs: 120_000 });
