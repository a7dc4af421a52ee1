/**
 * Starts a whole cluster on this machine and says how to play with it: `deno task demo`, or `--help`.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, relative } from "node:path";
import process from "node:process";
import { UsageError } from "./args.ts";
import { Child, type ChildExit } from "./child.ts";
import { DEMO_HELP, type DemoArgs, parseDemoArgs } from "./demo_args.ts";
import type { Runtime } from "./listen.ts";
import { ROOT, serverCommand } from "./programs.ts";
import { onStopSignal } from "./signals.ts";

const HOST = "127.0.0.1";
const START_MAX_MS = 30_000;
const STOP_MAX_MS = 3_000;

interface Server {
  readonly id: string;
  readonly runtime: Runtime;
  readonly url: string;
  readonly command: readonly string[];
  readonly child: Child;
}

async function main(): Promise<void> {
  const args = parseDemoArgs(process.argv.slice(2));
  if (args === undefined) return say(DEMO_HELP);
  await checkPorts(args);
  await prepareData(args);
  const demo = new Demo();
  onStopSignal(() => demo.stop());
  await demo.run(args);
}

/** The servers of one demo. */
class Demo {
  readonly #servers: Server[] = [];
  #isStopping = false;
  /** The latest election that was told. */
  #told = "";

  async run(args: DemoArgs): Promise<void> {
    const commands = new Map<Runtime, readonly string[]>();
    for (const runtime of new Set(args.runtimes)) commands.set(runtime, await serverCommand(runtime));
    args.runtimes.forEach((runtime, i) => this.#servers.push(this.#start(args, i, runtime, commands.get(runtime)!)));
    const leader = await this.#untilReady();
    if (leader !== undefined && !this.#isStopping) say(introduction(this.#servers, leader));
    await Promise.all(this.#servers.map(({ child }) => child.exited));
    if (this.#isStopping) return;
    throw new Error(
      "All servers that the demo started have ended, so it ends, too; those started in other terminals go on by themselves",
    );
  }

  /** Asks all to stop; called again, does not wait for them. */
  stop(): void {
    if (this.#isStopping) {
      for (const { child } of this.#servers) child.kill("SIGKILL");
      process.exit(130);
    }
    this.#isStopping = true;
    say("\nStopping");
    void Promise.all(this.#servers.map(({ child }) => child.stop(STOP_MAX_MS))).then(() => process.exit(0));
  }

  #start(args: DemoArgs, i: number, runtime: Runtime, program: readonly string[]): Server {
    const id = `n${i + 1}`;
    const http = `${HOST}:${args.httpPort + i}`;
    const cluster = args.runtimes.map((_, i) => `n${i + 1}=${HOST}:${args.raftPort + i}`).join(",");
    const listen = `${HOST}:${args.raftPort + i}`;
    const data = join(args.data, id);
    const command = [...program, "--id", id, "--listen", listen, "--http", http, "--data", data, "--cluster", cluster];
    const onLine = (line: string) => this.#tellElection(line);
    const child = new Child({ command: [...command, "--stop-with-stdin"], cwd: ROOT, onLine });
    const server = { id, runtime, url: `http://${http}`, command, child };
    void child.exited.then((exit) => this.#tellEnd(server, exit));
    return server;
  }

  /** One line for each election, however many servers tell of it. */
  #tellElection(line: string): void {
    const [, id, term, reason] = / (\S+) role leader in term (\d+): (.*)$/.exec(line) ?? [];
    const election = `${id} leads in term ${term}`;
    if (id === undefined || election === this.#told) return;
    this.#told = election;
    say(`${new Date().toTimeString().slice(0, 8)}  ${election}: ${reason}`);
  }

  #tellEnd({ id, child, command }: Server, { code, signal }: ChildExit): void {
    if (this.#isStopping) return;
    say(`${id} ended by ${signal ?? `itself with code ${code}`}. Its last lines:`);
    for (const line of child.lastLines.slice(-5)) say(`  ${line}`);
    say(
      `Start it again, in another terminal and this directory (and stop it there), with:\n  ${
        command.map(shorten).join(" ")
      }`,
    );
  }

  /** The leader, once every server that lives knows it. Undefined when the demo stops or all servers end before. */
  async #untilReady(): Promise<string | undefined> {
    const deadline = performance.now() + START_MAX_MS;
    while (!this.#isStopping) {
      const living = this.#servers.filter(({ child }) => !child.hasEnded);
      if (living.length === 0) return undefined;
      const leaders = new Set(await Promise.all(living.map(leaderOf)));
      const [leader] = leaders;
      if (leaders.size === 1 && leader !== undefined) return leader;
      if (performance.now() > deadline) {
        say(`There is no leader after ${START_MAX_MS / 1000} s; still waiting. A quorum of the servers must run`);
        return undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return undefined;
  }
}

async function leaderOf({ url }: Server): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/raft/status`, { signal: AbortSignal.timeout(1_000) });
    return ((await response.json()) as { leader: string | null }).leader ?? undefined;
  } catch {
    return undefined;
  }
}

function introduction(servers: readonly Server[], leader: string): string {
  const url = (i: number) => servers[i % servers.length]!.url;
  const lines = servers.map(({ id, url, child, runtime }) => {
    return `  ${id}  ${url}  pid ${child.pid}  ${runtime}${id === leader ? "  leader" : ""}`;
  });
  return `
${servers.length === 1 ? "A server is" : `${servers.length} servers are`} up:

${lines.join("\n")}

Try, with any of them:

  curl -X PUT --data-binary hello ${url(0)}/kv/greeting
  curl -i ${url(1)}/kv/greeting
  curl -X POST --data '{"expect":"hello","value":"bye"}' ${url(2)}/kv/greeting/cas
  curl -N ${url(0)}/watch

Kill one with kill -9 and its pid, and go on: a majority is enough. Ctrl-C stops all.
`;
}

/** Says which port is taken before anything is started. */
async function checkPorts({ nodes, httpPort, raftPort }: DemoArgs): Promise<void> {
  for (const [option, from] of [["--http-port", httpPort], ["--raft-port", raftPort]] as const) {
    for (let port = from; port < from + nodes; port++) {
      if (await isFree(port)) continue;
      throw new UsageError(
        `Cannot start the demo as ${HOST}:${port} is in use: stop the process that has it (another demo?), or pass ` +
          `another ${option}`,
      );
    }
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}

/** A cluster's servers and addresses are in its log, so other ones need another directory. */
async function prepareData({ data, fresh, nodes, raftPort }: DemoArgs): Promise<void> {
  const markFile = join(data, "demo.json");
  const mark = JSON.stringify({ nodes, raftPort });
  const isOurs = existsSync(markFile);
  if (existsSync(data) && !isOurs) {
    throw new UsageError(`Cannot use "${data}" as it exists and no demo made it: pass another --data`);
  }
  if (isOurs && !fresh && await readFile(markFile, "utf8") !== mark) {
    throw new UsageError(
      `Cannot go on in "${data}" as it holds a demo with other servers or ports: pass --fresh to forget that one`,
    );
  }
  if (fresh) await rm(data, { recursive: true, force: true });
  await mkdir(data, { recursive: true });
  await writeFile(markFile, mark);
}

function shorten(word: string): string {
  return word.startsWith(ROOT) ? relative(process.cwd(), word) : word;
}

function say(text: string): void {
  process.stdout.write(`${text.trimEnd()}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
