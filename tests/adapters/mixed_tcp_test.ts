import { assertEquals } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Runtime, test } from "../harness.ts";
import { type Adapter, ADAPTERS, until } from "./stacks.ts";

const SCRIPT = fileURLToPath(new URL("./tcp_peer.ts", import.meta.url));

/** A process that runs the script. */
class Peer {
  readonly name: string;
  readonly #process: ChildProcess;
  #output = "";

  constructor(name: string, process: ChildProcess) {
    this.name = name;
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) stream?.on("data", (text) => this.#output += text);
  }

  async address(): Promise<string> {
    const pattern = /listening at (\S+)/;
    await until(`the address of ${this.name}`, () => pattern.test(this.#output));
    return pattern.exec(this.#output)![1];
  }

  /** Waits until it goes, and returns what it said last. */
  async lastLine(): Promise<string | undefined> {
    if (this.#process.exitCode === null) await once(this.#process, "close");
    return this.#output.trim().split("\n").at(-1);
  }

  async end(): Promise<void> {
    this.#process.stdin?.end();
    if (this.#process.exitCode === null) await once(this.#process, "close");
  }
}

async function start(runtime: Runtime, adapter: Adapter, ...peers: string[]): Promise<Peer> {
  const { scriptRunner } = await import("../runtimes.ts");
  const { program, args } = await scriptRunner(runtime);
  const name = `${runtime}-${adapter}${peers.length > 0 ? "-asks" : ""}`;
  return new Peer(name, spawn(program, [...args, SCRIPT, adapter, name, ...peers], { stdio: "pipe" }));
}

test("servers on Deno, Bun and Node understand one another over TCP", async () => {
  const echoing = await Promise.all(
    Object.entries(ADAPTERS).flatMap(([runtime, adapters]) =>
      adapters.map((adapter) => start(runtime as Runtime, adapter))
    ),
  );
  const peers = await Promise.all(echoing.map(async (peer) => `${peer.name}=${await peer.address()}`));
  for (const [runtime, adapter] of [["deno", "deno"], ["bun", "bun"], ["node", "node"]] as const) {
    const asking = await start(runtime, adapter, ...peers);
    assertEquals(await asking.lastLine(), "all came back", asking.name);
    await asking.end();
  }
  for (const peer of echoing) await peer.end();
}, { runtimes: ["deno"], timeoutMs: 60_000 });
