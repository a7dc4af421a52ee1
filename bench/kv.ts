/**
 * The key-value example as its clients see it: over HTTP, and when its leader is killed.
 *
 * @module
 */
import { Agent, request } from "node:http";
import { join } from "node:path";
import { type LoadResult, type LoadShape, runLoad } from "./load.ts";
import { Child, commandOf, freePorts, type RuntimeName, scriptPath } from "./processes.ts";

/** One answer. */
interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Keep-alive, and as many connections as there are calls under way. */
class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2048 });

  call(method: string, port: number, path: string, body?: Uint8Array, timeoutMs = 10_000): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ agent: this.#agent, host: "127.0.0.1", port, method, path, timeout: timeoutMs });
      outgoing.on("response", (incoming) => {
        let text = "";
        incoming.setEncoding("latin1");
        incoming.on("data", (chunk: string) => text += chunk);
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: text }));
        incoming.on("error", reject);
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error("timed out")));
      outgoing.on("error", reject);
      if (body !== undefined) {
        outgoing.setHeader("content-length", body.length);
        outgoing.write(body);
      }
      outgoing.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** One server of the example. */
interface KvServer {
  readonly id: string;
  readonly port: number;
  child: Child;
}

class KvCluster {
  readonly client = new Client();
  readonly servers: KvServer[] = [];
  readonly #start: (id: string, port: number) => Child;

  private constructor(start: (id: string, port: number) => Child) {
    this.#start = start;
  }

  static async start(runtime: RuntimeName, dir: string): Promise<KvCluster> {
    const ids = ["n1", "n2", "n3"];
    const ports = await freePorts(2 * ids.length);
    const cluster = ids.map((id, i) => `${id}=127.0.0.1:${ports[i]}`).join(",");
    const command = await commandOf(runtime);
    const script = scriptPath("../examples/kv/main.ts");
    const kv = new KvCluster((id, port) =>
      new Child([
        ...command,
        script,
        ...["--id", id, "--http", `127.0.0.1:${port}`, "--data", join(dir, id), "--cluster", cluster],
        "--stop-with-stdin",
      ])
    );
    ids.forEach((id, i) =>
      kv.servers.push({ id, port: ports[ids.length + i]!, child: kv.#start(id, ports[ids.length + i]!) })
    );
    await kv.leader();
    return kv;
  }

  /** The server that leads, once one does. */
  async leader(): Promise<KvServer> {
    for (let tries = 0; tries < 400; tries++) {
      for (const server of this.servers) {
        const answer = await this.client.call("GET", server.port, "/raft/status", undefined, 1000).catch(() =>
          undefined
        );
        if (answer?.status === 200 && JSON.parse(answer.body).role === "leader") return server;
      }
      await pause(25);
    }
    throw new Error("Cannot measure: no leader was elected within 10 s");
  }

  restart(server: KvServer): void {
    server.child = this.#start(server.id, server.port);
  }

  async stop(): Promise<void> {
    this.client.close();
    await Promise.all(this.servers.map(({ child }) => child.stop()));
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Puts and gets of values over HTTP at the leader. */
export async function measureHttp(
  runtime: RuntimeName,
  dir: string,
  shapes: readonly LoadShape[],
  bytes: number,
): Promise<{ readonly put: LoadResult[]; readonly get: LoadResult[] }> {
  const kv = await KvCluster.start(runtime, dir);
  try {
    const { port } = await kv.leader();
    const value = new Uint8Array(bytes).fill(65);
    const put: LoadResult[] = [];
    const get: LoadResult[] = [];
    let n = 0;
    for (const shape of shapes) {
      put.push(await runLoad(() => expectOk(kv.client.call("PUT", port, `/kv/k${n++ % 1000}`, value)), shape));
      get.push(await runLoad(() => expectOk(kv.client.call("GET", port, `/kv/k${n++ % 1000}`)), shape));
    }
    return { put, get };
  } finally {
    await kv.stop();
  }
}

async function expectOk(answer: Promise<Answer>): Promise<void> {
  const { status, body } = await answer;
  if (status !== 200 && status !== 404) throw new Error(`Unexpected answer ${status}: ${body}`);
}

/** From SIGKILL of the leader to the first write that another server accepts, milliseconds, that many times. */
export async function measureFailover(runtime: RuntimeName, dir: string, trials: number): Promise<number[]> {
  const kv = await KvCluster.start(runtime, dir);
  try {
    const times: number[] = [];
    for (let trial = 0; trial < trials; trial++) {
      const leader = await kv.leader();
      const others = kv.servers.filter((server) => server !== leader);
      await expectOk(kv.client.call("PUT", others[0]!.port, "/kv/before", new Uint8Array([65])));
      leader.child.kill();
      const from = performance.now();
      await firstWrite(kv, others);
      times.push(performance.now() - from);
      await leader.child.gone;
      kv.restart(leader);
      await isCaughtUp(kv, leader);
    }
    return times;
  } finally {
    await kv.stop();
  }
}

/** Tries on both until one says yes; each try is short, so that none hides the moment. */
async function firstWrite(kv: KvCluster, servers: readonly KvServer[]): Promise<void> {
  const endsAt = performance.now() + 20_000;
  await Promise.any(servers.map(async ({ port }) => {
    while (performance.now() < endsAt) {
      const answer = await kv.client.call("PUT", port, "/kv/after", new Uint8Array([66]), 5000).catch(() => undefined);
      if (answer?.status === 200) return;
      await pause(1);
    }
    throw new Error("Cannot measure: no write was accepted within 20 s");
  }));
}

async function isCaughtUp(kv: KvCluster, server: KvServer): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const answer = await kv.client.call("GET", server.port, "/raft/health", undefined, 1000).catch(() => undefined);
    if (answer?.status === 200) return pause(300);
    await pause(25);
  }
}
