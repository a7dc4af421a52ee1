import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { asked, newcomer, untilVoters } from "./members.ts";
import { type Cluster, type ServerProcess, withCluster } from "./process.ts";
import { until } from "./until.ts";
import { Writers } from "./writers.ts";

/** Servers that were one, and grow. */
class Growing {
  /** Those that are members, or are about to be. */
  servers: ServerProcess[];
  readonly #joined: ServerProcess[] = [];

  constructor({ servers }: Cluster) {
    this.servers = [...servers];
  }

  /** New servers ask a member to add them, until they vote. */
  async join(...ids: string[]): Promise<void> {
    const [member] = this.servers;
    const joining = await Promise.all(ids.map((id) => newcomer(id, member!)));
    this.#joined.push(...joining);
    for (const server of joining) server.start();
    this.servers = [...this.servers, ...joining];
    await untilVoters(this.servers);
  }

  /** The leader is killed while it has work, replaced, and started again. */
  async killLeader(writers: Writers): Promise<void> {
    const leader = await this.leader(this.servers);
    await writers.burst(leader);
    await leader.kill();
    await this.leader(this.servers.filter((server) => server !== leader));
    await writers.untilAcknowledged(100);
    leader.start();
    await this.leader(this.servers);
  }

  /** The one that all of these follow. */
  leader(among: readonly ServerProcess[]): Promise<ServerProcess> {
    return until("a leader", async () => {
      const leaders = await Promise.all(among.map(async (server) => (await server.status())?.leader));
      return leaders.every((id) => id === leaders[0]) && this.servers.find(({ id }) => id === leaders[0]);
    });
  }

  /** Ends those that joined; the first one ends with its cluster. */
  async end(): Promise<void> {
    await Promise.all(this.#joined.map((server) => server.kill()));
  }
}

test(
  "cluster: one server grows to three, to five, and moves to three others, and no acknowledged write is lost",
  () =>
    withCluster({ runtimes: ["deno"] }, async (cluster) => {
      const growing = new Growing(cluster);
      const writers = Writers.start(() => growing.servers);
      try {
        await writers.untilAcknowledged(100);
        await growing.join("n2", "n3");
        await growing.killLeader(writers);
        await growing.join("n4", "n5");
        await growing.killLeader(writers);
        await growing.join("n6");
        const leaving = growing.servers.slice(0, 3);
        const staying = growing.servers.slice(3);
        // In one step, through a joint configuration; whoever leads may be among those that go.
        const changes = leaving.map(({ id }) => ({ type: "remove-server", id }));
        await until("the first three to be removed", async () => {
          return (await asked("POST", staying[0]!, "membership", { changes }))?.status === 200;
        });
        growing.servers = staying;
        await untilVoters(staying);
        for (const server of leaving) await server.kill();
        await growing.leader(staying);
        await writers.untilAcknowledged(100);
        await writers.stop();
        await writers.check(staying);
        assertEquals(staying.map(({ id }) => id), ["n4", "n5", "n6"]);
      } finally {
        await writers.stop().finally(() => growing.end());
      }
    }),
  { runtimes: ["deno"], timeoutMs: 240_000 },
);
