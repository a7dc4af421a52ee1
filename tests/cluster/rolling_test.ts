import { assert, assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { sendOnce } from "./http_client.ts";
import { asked } from "./members.ts";
import { type ServerProcess, withCluster } from "./process.ts";
import { pause, until } from "./until.ts";

const CLIENTS = 8;
const TRY_MS = 12_000;
const REQUEST_MS = 30_000;

/** A client that writes to the leader: who refuses says who that is. */
class Follower {
  readonly #servers: readonly ServerProcess[];
  #target: ServerProcess;
  /** What no hint explains, or ended without an outcome: in a rolling restart there is none. */
  readonly failures: string[] = [];

  constructor(servers: readonly ServerProcess[], leader: ServerProcess) {
    this.#servers = servers;
    this.#target = leader;
  }

  /** One request: goes where it is sent until it is done. Gives the index, or undefined when it failed. */
  async put(key: string): Promise<number | undefined> {
    const start = performance.now();
    while (performance.now() - start < REQUEST_MS) {
      const { url, id } = this.#target;
      try {
        const { status, text } = await sendOnce("PUT", `${url}/kv/${key}`, key, TRY_MS);
        const body = JSON.parse(text) as { index: number; outcome: string; leader: string | null };
        if (status === 200) return body.index;
        if (body.outcome !== "not-applied") return this.#fail(`${id} answers ${status} ${text}`);
        await this.#turnTo(body.leader);
      } catch (error) {
        // Nobody listens there, so nothing was asked.
        if ((error as { code?: string }).code !== "ECONNREFUSED") {
          return this.#fail(`${id}: ${(error as Error).message}`);
        }
        await this.#turnTo(null);
      }
    }
    return this.#fail(`${key} was refused for ${REQUEST_MS} ms`);
  }

  #fail(what: string): undefined {
    this.failures.push(what);
  }

  /** To the one that is named, else to the next, who knows better. */
  async #turnTo(leader: string | null): Promise<void> {
    const named = this.#servers.find(({ id }) => id === leader);
    const next = (this.#servers.indexOf(this.#target) + 1) % this.#servers.length;
    const turn = named !== undefined && named !== this.#target ? named : this.#servers[next]!;
    const knows = (await turn.status())?.leader;
    this.#target = this.#servers.find(({ id }) => id === knows) ?? turn;
    await pause(10);
  }
}

test(
  "cluster: all servers are restarted one after the other by drain under load, and no request fails",
  () =>
    withCluster({ runtimes: ["deno", "deno", "deno"] }, async (cluster) => {
      const { servers } = cluster;
      const leader = await cluster.agreedLeader();
      const clients = Array.from({ length: CLIENTS }, () => new Follower(servers, leader));
      const written = new Map<string, number>();
      let isStopping = false;
      const working = clients.map(async (client, i) => {
        for (let n = 0; !isStopping; n++) {
          const index = await client.put(`${i}-${n}`);
          if (index !== undefined) written.set(`${i}-${n}`, index);
          await pause(2);
        }
      });
      const untilWritten = async (count: number) => {
        const goal = written.size + count;
        await until(`${count} more writes`, () => written.size >= goal);
      };
      try {
        // The leader goes first, so that leadership moves at least once, and who is drained later may lead by then.
        for (const server of [leader, ...servers.filter((server) => server !== leader)]) {
          await untilWritten(100);
          const answer = await asked("POST", server, "drain");
          assertEquals([answer?.status, answer?.text], [200, '{"drained":true}'], server.describe());
          assertEquals((await server.child.exited).code, 0, server.describe());
          await untilWritten(100);
          server.start();
          await cluster.agreedLeader();
        }
        await untilWritten(100);
      } finally {
        isStopping = true;
        await Promise.all(working);
      }
      assertEquals(clients.flatMap(({ failures }) => failures), []);
      const last = Math.max(...written.values());
      await cluster.untilApplied(last);
      assert(written.size >= 700);
    }),
  { runtimes: ["deno"], timeoutMs: 240_000 },
);
