import { assert, assertEquals } from "@std/assert";
import { execFile } from "node:child_process";
import process from "node:process";
import { promisify } from "node:util";
import { test } from "../harness.ts";
import { sendOnce } from "./http_client.ts";
import { type Cluster, type ServerProcess, withCluster } from "./process.ts";
import { Proxy } from "./proxy.ts";
import { pause } from "./until.ts";

/** Commands that a server takes at a time, and how late everything is between servers: a few dozen are served a second. */
const IN_FLIGHT_MAX = 4;
const DELAY_MS = 100;
const VALUE = "v".repeat(1 << 10);
/** Requests that are sent at a time, to a server that takes many fewer. */
const BURST = 20;
const STEP_MS = 10;
/** How long each flood takes: `RAFT_OVERLOAD_SECONDS=30 deno task test --only deno cluster/overload` prints what they came to. */
const SECONDS = Number(process.env.RAFT_OVERLOAD_SECONDS ?? "2");
/** Were a refused request kept, it would take more than this. */
const KEPT_KIB = 4;
/** Memory grows in steps until it is what a server takes under such a load: it must come to rest by then. */
const ROUNDS_MAX = 10;

/** What the requests came to, and how the servers were meanwhile. */
class Flood {
  served = 0;
  refused = 0;
  others = 0;
  /** How long what was refused had waited, at the most and at the least, milliseconds. */
  refusedAfterMs: [least: number, most: number] = [Infinity, 0];
  pendingMax = 0;
  readonly #servers: readonly ServerProcess[];
  #isOver = false;
  #problem: unknown;
  readonly #requests = new Set<Promise<void>>();

  constructor(servers: readonly ServerProcess[]) {
    this.#servers = servers;
  }

  get offered(): number {
    return this.served + this.refused;
  }

  /** Sends much more than is served, for so long: no request waits for another one. */
  async run(ms: number): Promise<this> {
    const looking = this.#look();
    const until = performance.now() + ms;
    while (performance.now() < until) {
      for (let i = 0; i < BURST; i++) this.#send(this.#servers[i % this.#servers.length]!, i);
      await pause(STEP_MS);
      // More open connections than that say nothing more about the servers.
      while (this.#requests.size > 500) await pause(STEP_MS);
    }
    await Promise.all(this.#requests);
    this.#isOver = true;
    await looking;
    if (this.#problem !== undefined) throw this.#problem;
    return this;
  }

  #send({ url }: ServerProcess, i: number): void {
    const request = this.#put(`${url}/kv/k${i}`)
      .catch((error) => void (this.#problem ??= error))
      .finally(() => this.#requests.delete(request));
    this.#requests.add(request);
  }

  async #put(url: string): Promise<void> {
    const start = performance.now();
    const { status, text, headers } = await sendOnce("PUT", url, VALUE, 15_000);
    if (status === 200) return void this.served++;
    const { code, outcome, retryAfterMs } = JSON.parse(text);
    // On a machine this busy a leader may fall, which is none of this test's business.
    if (code !== "overloaded") return void this.others++;
    assertEquals([status, outcome, retryAfterMs, "retry-after" in headers], [503, "not-applied", 50, true]);
    this.refused++;
    const [least, most] = this.refusedAfterMs;
    const ms = performance.now() - start;
    this.refusedAfterMs = [Math.min(least, ms), Math.max(most, ms)];
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      for (const { url } of this.#servers) {
        const { text } = await sendOnce("GET", `${url}/raft/metrics`, undefined, 15_000);
        const pending = Number(/^raft_proposals_pending (\d+)$/m.exec(text)![1]);
        this.pendingMax = Math.max(this.pendingMax, pending);
      }
      await pause(5 * STEP_MS);
    }
  }
}

/** Resident memory of all servers, MiB. */
async function residentMiB(servers: readonly ServerProcess[]): Promise<number> {
  const pids = servers.map(({ child: { pid } }) => String(pid));
  const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", pids.join(",")]);
  return stdout.trim().split(/\s+/).reduce((sum, kib) => sum + Number(kib) / 1024, 0);
}

async function configure({ servers }: Cluster, settings: Readonly<Record<string, number>>): Promise<void> {
  for (const { url } of servers) {
    const { status, text } = await sendOnce("PATCH", `${url}/raft/config`, JSON.stringify(settings), 15_000);
    assertEquals(status, 200, text);
  }
}

/** Much more than is served, which is refused at once, then the same where callers may wait. */
async function flood(
  cluster: Cluster,
): Promise<{ readonly growthMiB: number; readonly refused: number; readonly seen: string }> {
  const { servers } = cluster;
  const before = await residentMiB(servers);
  await configure(cluster, { enqueueTimeoutMs: 0 });
  const atOnce = await new Flood(servers).run(SECONDS * 1_000);
  await configure(cluster, { enqueueTimeoutMs: 300 });
  const waiting = await new Flood(servers).run(SECONDS * 1_000);
  const after = await residentMiB(servers);
  const seen = JSON.stringify({ before, after, atOnce, waiting });
  if (process.env.RAFT_OVERLOAD_SECONDS !== undefined) console.log(seen);
  for (const { served, offered } of [atOnce, waiting]) assert(served > 0 && offered >= 10 * served, seen);
  assert(atOnce.pendingMax <= IN_FLIGHT_MAX && waiting.pendingMax <= 2 * IN_FLIGHT_MAX, seen);
  assert(waiting.refusedAfterMs[1] >= 300, seen);
  return { growthMiB: after - before, refused: atOnce.refused + waiting.refused, seen };
}

test(
  "cluster: ten times more than is served is refused, at once or after enqueueTimeoutMs, and takes no memory",
  async () => {
    let proxy: Proxy | undefined;
    const prepare = async (servers: readonly ServerProcess[]) => {
      proxy = await Proxy.open(servers.map(({ route }) => route!));
      return () => proxy!.close();
    };
    await withCluster({ runtimes: ["deno", "deno", "deno"], isProxied: true, prepare }, async (cluster) => {
      await configure(cluster, { inFlightCountMax: IN_FLIGHT_MAX });
      proxy!.delay({}, DELAY_MS);
      for (let round = 1;; round++) {
        const { growthMiB, refused, seen } = await flood(cluster);
        if (growthMiB < refused * KEPT_KIB / 1024) return;
        if (round === ROUNDS_MAX) throw new Error(`The servers take more and more memory: ${seen}`);
      }
    });
  },
  { runtimes: ["deno"], timeoutMs: 120_000, ...process.platform === "win32" ? { lacks: "ps" } : {} },
);
