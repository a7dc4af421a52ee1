/**
 * Clients that write as long as a test lets them, while servers come and go.
 *
 * @module
 */
import { KvClient, type KvResult, listStale } from "./client.ts";
import { checkWrites, Clients, type LoneWrite } from "./clients.ts";
import type { ServerProcess } from "./process.ts";
import { pause, until } from "./until.ts";

const CLIENTS = 6;
const BURST = 48;

/** Each value goes to a key of its own, so that what was acknowledged can be looked for one by one. */
export class Writers extends Clients {
  readonly #servers: () => readonly ServerProcess[];
  readonly #client = new KvClient();
  readonly #writes: LoneWrite[] = [];
  #serial = 0;

  private constructor(servers: () => readonly ServerProcess[]) {
    super();
    this.#servers = servers;
  }

  /** Starts a few, who write to the servers that there are at the time. */
  static start(servers: () => readonly ServerProcess[]): Writers {
    const writers = new Writers(servers);
    for (let i = 0; i < CLIENTS; i++) writers.add(writers.#go(i));
    return writers;
  }

  async #go(first: number): Promise<void> {
    for (let turn = first; !this.isStopping;) {
      const servers = this.#servers();
      const { outcome } = await this.#write(servers[turn % servers.length]!);
      if (outcome !== "ok") turn++;
      await pause(outcome === "ok" ? 5 : 50);
    }
  }

  async #write({ url }: ServerProcess): Promise<KvResult> {
    const key = `written/${++this.#serial}`;
    const result = await this.#client.perform(url, key, { type: "put", value: key });
    this.#writes.push({ key, result });
    if (result.outcome === "ok") this.noteAcknowledged();
    return result;
  }

  /** Sends many writes at once to a server that is about to be killed, so that some are under way when it is. */
  async burst(server: ServerProcess): Promise<void> {
    this.add(Promise.all(Array.from({ length: BURST }, () => this.#write(server))));
    // Time to arrive, but not for all of them to be answered.
    await pause(3);
  }

  /** Throws unless these servers have all that was acknowledged, nothing that was refused, and the same. */
  async check(servers: readonly ServerProcess[]): Promise<void> {
    const { index, detail } = await this.#write(servers[0]!);
    if (index === undefined) throw new Error(`The last write failed though all is well again: ${detail}`);
    await until(`entry ${index} to be applied everywhere`, async () => {
      const statuses = await Promise.all(servers.map((server) => server.status()));
      return statuses.every((status) => status !== undefined && status.appliedIndex >= index);
    });
    const lists = await Promise.all(servers.map(({ url }) => listStale(url, "")));
    for (const [i, list] of lists.entries()) {
      const { id } = servers[i]!;
      if (list.length !== lists[0]!.length) throw new Error(`${id} has ${list.length} keys, not ${lists[0]!.length}`);
      checkWrites(this.#writes, id, new Map(list.map(({ key, index }) => [key, index])));
    }
  }
}
