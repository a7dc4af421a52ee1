/**
 * The key-value example as its clients see it: over HTTP, and when its leader is killed.
 *
 * @module
 */
import { join } from "node:path";
import { type Killable, type Member, tryWithinMs } from "./failover.ts";
import { type HttpStore, values } from "./http.ts";
import type { Consistency } from "./reads.ts";
import { Client, expectOk } from "./http_client.ts";
import { Child, commandOf, freePorts, pause, type RuntimeName, scriptPath } from "./processes.ts";

/** Three servers of the example. */
export class KvCluster implements HttpStore, Killable {
  readonly members: readonly Member[];
  readonly #client = new Client();
  readonly #start: (id: string, port: number) => Child;

  private constructor(ids: readonly string[], ports: readonly number[], start: (id: string, port: number) => Child) {
    this.#start = start;
    this.members = ids.map((id, i) => ({ id, port: ports[i]!, child: start(id, ports[i]!) }));
  }

  /** Starts them, with their logs under `dir`, and waits for a leader. */
  static async start(runtime: RuntimeName, dir: string): Promise<KvCluster> {
    const ids = ["n1", "n2", "n3"];
    const ports = await freePorts(2 * ids.length);
    const cluster = ids.map((id, i) => `${id}=127.0.0.1:${ports[i]}`).join(",");
    const command = [...await commandOf(runtime), scriptPath("../examples/kv/main.ts")];
    const kv = new KvCluster(ids, ports.slice(ids.length), (id, port) => {
      const args = ["--id", id, "--http", `127.0.0.1:${port}`, "--data", join(dir, id), "--cluster", cluster];
      return new Child([...command, ...args, "--stop-with-stdin"]);
    });
    return await orStop(kv);
  }

  /** The server that leads, once one does. */
  async leader(): Promise<Member> {
    for (let tries = 0; tries < 400; tries++) {
      for (const server of this.members) {
        const answer = await this.#client.call("GET", server.port, "/raft/status", undefined, 1000)
          .catch(() => undefined);
        if (answer?.status === 200 && JSON.parse(answer.body).role === "leader") return server;
      }
      await pause(25);
    }
    throw new Error("Cannot measure: no leader was elected within 10 s");
  }

  put(port: number, key: string, bytes: number): Promise<void> {
    return expectOk(this.#client.call("PUT", port, `/kv/${key}`, values.raw(bytes)));
  }

  get(port: number, key: string, consistency?: Consistency): Promise<void> {
    const query = consistency === undefined ? "" : `?consistency=${consistency}`;
    return expectOk(this.#client.call("GET", port, `/kv/${key}${query}`));
  }

  async accepts({ port }: Member): Promise<boolean> {
    const answer = await this.#client.call("PUT", port, "/kv/after", values.raw(1), tryWithinMs).catch(() => undefined);
    return answer?.status === 200;
  }

  restart(server: Member): void {
    server.child = this.#start(server.id, server.port);
  }

  async isBack({ port }: Member): Promise<boolean> {
    const answer = await this.#client.call("GET", port, "/raft/health", undefined, 1000).catch(() => undefined);
    return answer?.status === 200;
  }

  async stop(): Promise<void> {
    this.#client.close();
    await Promise.all(this.members.map(({ child }) => child.stop()));
  }
}

async function orStop(kv: KvCluster): Promise<KvCluster> {
  try {
    await kv.leader();
    return kv;
  } catch (error) {
    await kv.stop();
    throw error;
  }
}

/** One server with the example's routes and no Raft behind them: more than it no server can do over HTTP. */
export class KvCeiling implements HttpStore {
  readonly #client = new Client();
  readonly #port: number;
  readonly #child: Child;

  private constructor(port: number, child: Child) {
    this.#port = port;
    this.#child = child;
  }

  /** Starts it. */
  static async start(runtime: RuntimeName): Promise<KvCeiling> {
    const [port] = await freePorts(1);
    const child = new Child([...await commandOf(runtime), scriptPath("./ceiling.ts"), String(port)]);
    await child.answer();
    return new KvCeiling(port!, child);
  }

  leader(): Promise<{ readonly port: number }> {
    return Promise.resolve({ port: this.#port });
  }

  put(port: number, key: string, bytes: number): Promise<void> {
    return expectOk(this.#client.call("PUT", port, `/kv/${key}`, values.raw(bytes)));
  }

  get(port: number, key: string): Promise<void> {
    return expectOk(this.#client.call("GET", port, `/kv/${key}`));
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#child.stop();
  }
}
