/**
 * Three members of etcd on this machine, driven through its HTTP/JSON gateway.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { type Killable, type Member, tryWithinMs } from "./failover.ts";
import { type HttpStore, values } from "./http.ts";
import { type Answer, Client, expectOk } from "./http_client.ts";
import { Child, freePorts, pause } from "./processes.ts";

/** The installed version, or undefined where there is none. */
export async function etcdVersion(): Promise<string | undefined> {
  const text = await new Promise<string>((resolve) => {
    execFile("etcd", ["--version"], { timeout: 10_000 }, (error, stdout) => resolve(error ? "" : stdout));
  });
  return /etcd Version: (\S+)/.exec(text)?.[1];
}

/** Three members. */
export class EtcdCluster implements HttpStore, Killable {
  readonly members: readonly Member[];
  readonly #client = new Client();
  readonly #start: (id: string) => Child;

  private constructor(ids: readonly string[], ports: readonly number[], start: (id: string) => Child) {
    this.#start = start;
    this.members = ids.map((id, i) => ({ id, port: ports[i]!, child: start(id) }));
  }

  /** Starts them with default settings and their data under `dir`, and waits for a leader. */
  static async start(dir: string): Promise<EtcdCluster> {
    const ids = ["n1", "n2", "n3"];
    const ports = await freePorts(2 * ids.length);
    const peers = ids.map((_, i) => `http://127.0.0.1:${ports[ids.length + i]}`);
    const etcd = new EtcdCluster(ids, ports, (id) => {
      const i = ids.indexOf(id);
      return new Child(["etcd", ...argsOf(id, join(dir, id), `http://127.0.0.1:${ports[i]}`, peers[i]!, ids, peers)]);
    });
    try {
      await etcd.leader();
      return etcd;
    } catch (error) {
      await etcd.stop();
      throw error;
    }
  }

  async leader(): Promise<Member> {
    for (let tries = 0; tries < 400; tries++) {
      for (const member of this.members) {
        const status = await this.#status(member);
        if (status?.leader !== undefined && status.leader === status.header?.member_id) return member;
      }
      await pause(25);
    }
    throw new Error("Cannot measure: etcd elected no leader within 10 s");
  }

  put(port: number, key: string, bytes: number): Promise<void> {
    return expectOk(this.#post(port, "/v3/kv/put", `{"key":"${btoa(key)}","value":"${values.base64(bytes)}"}`));
  }

  get(port: number, key: string): Promise<void> {
    return expectOk(this.#post(port, "/v3/kv/range", `{"key":"${btoa(key)}"}`));
  }

  async accepts({ port }: Member): Promise<boolean> {
    const body = `{"key":"${btoa("after")}","value":"${values.base64(1)}"}`;
    const answer = await this.#post(port, "/v3/kv/put", body, tryWithinMs).catch(() => undefined);
    return answer?.status === 200;
  }

  restart(member: Member): void {
    member.child = this.#start(member.id);
  }

  async isBack(member: Member): Promise<boolean> {
    const answer = await this.#client.call("GET", member.port, "/health", undefined, 1000).catch(() => undefined);
    return answer?.status === 200;
  }

  async stop(): Promise<void> {
    this.#client.close();
    await Promise.all(this.members.map(({ child }) => child.terminate()));
  }

  #post(port: number, path: string, json: string, timeoutMs?: number): Promise<Answer> {
    return this.#client.call("POST", port, path, encoder.encode(json), timeoutMs);
  }

  async #status({ port }: Member): Promise<Status | undefined> {
    const answer = await this.#post(port, "/v3/maintenance/status", "{}", 1000).catch(() => undefined);
    return answer?.status === 200 ? JSON.parse(answer.body) as Status : undefined;
  }
}

interface Status {
  readonly leader?: string;
  readonly header?: { readonly member_id?: string };
}

const encoder = new TextEncoder();

function argsOf(
  id: string,
  dataDir: string,
  client: string,
  peer: string,
  ids: readonly string[],
  peers: readonly string[],
): string[] {
  const cluster = ids.map((other, i) => `${other}=${peers[i]}`).join(",");
  return [
    ...["--name", id, "--data-dir", dataDir, "--logger", "zap", "--log-level", "fatal"],
    ...["--listen-client-urls", client, "--advertise-client-urls", client],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
    ...["--initial-cluster", cluster, "--initial-cluster-state", "new"],
  ];
}
