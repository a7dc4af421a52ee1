/**
 * Clients of all servers at once, as long as a test lets them, and the judgement of what they saw.
 *
 * @module
 */
import { KvClient, type KvResult, listStale } from "./client.ts";
import { checkWrites, Clients, type LoneWrite, nextInput } from "./clients.ts";
import { checkHistory } from "./judgement.ts";
import type { Cluster, ServerProcess } from "./process.ts";
import { pause } from "./until.ts";

// Clients then go on with another key: the search for an order grows with the history, and doubles with each unknown.
const OPERATIONS_PER_KEY = 150;
const UNKNOWN_PER_KEY = 5;
const BATCH = 16;
const BURST = 64;

/** What a run of the workload came to. */
export interface WorkloadReport {
  readonly acknowledged: number;
  readonly failed: number;
  readonly unknown: number;
}

/** A key that several clients work on. */
interface SharedKey {
  readonly name: string;
  operations: number;
  unknown: number;
}

/**
 * Two kinds of clients: some read, write, delete and compare and set a few keys together, for the check of
 * linearizability; others write batches, each value to a key of its own, so that what was acknowledged can be looked
 * for one by one.
 */
export class Workload extends Clients {
  readonly #cluster: Cluster;
  /** Does what is checked for linearizability. */
  readonly #sharing = new KvClient();
  /** Does the rest. */
  readonly #lone = new KvClient();
  readonly #loneWrites: LoneWrite[] = [];
  readonly #sharedKeys: SharedKey[] = [];
  /** Makes each value unique, so that a read tells which write it saw. */
  #serial = 0;

  private constructor(cluster: Cluster) {
    super();
    this.#cluster = cluster;
  }

  /** Starts three clients that share keys and one that writes batches at each server. */
  static start(cluster: Cluster): Workload {
    const workload = new Workload(cluster);
    for (const server of cluster.servers) {
      for (let i = 0; i < 3; i++) workload.add(workload.#share(server, i));
      workload.add(workload.#writeBatches(server));
    }
    return workload;
  }

  /** Judges everything: throws when a promise of the store was not kept. */
  async check(): Promise<WorkloadReport> {
    await this.#readAllKeys();
    await this.#catchUp();
    await this.#checkLoneWrites();
    checkHistory(this.#sharing.history);
    const all = [...this.#sharing.history, ...this.#lone.history];
    const count = (wanted: string) => all.filter(({ outcome }) => outcome === wanted).length;
    return { acknowledged: count("ok"), failed: count("failed"), unknown: count("unknown") };
  }

  async #share(server: ServerProcess, client: number): Promise<void> {
    let seen: string | null = null;
    for (let i = 0; !this.isStopping; i++) {
      const key = this.#sharedKey(client);
      const input = nextInput(i, seen, `v${++this.#serial}`);
      // What a lease vouches for is judged like everything else.
      const consistency = input.type === "get" && i % 2 === 0 ? "lease" : "linearizable";
      const { outcome, output } = await this.#sharing.perform(server.url, key.name, input, consistency);
      key.operations++;
      if (outcome === "unknown") key.unknown++;
      if (outcome === "ok" && input.type === "get") seen = output as string | null;
      if (outcome === "ok" && input.type !== "get") this.noteAcknowledged();
      await pause(outcome === "ok" ? 5 : 50);
    }
  }

  /** The key that the clients with this number, one at each server, work on now. */
  #sharedKey(client: number): SharedKey {
    const key = this.#sharedKeys[client];
    if (key !== undefined && key.operations < OPERATIONS_PER_KEY && key.unknown < UNKNOWN_PER_KEY) return key;
    return this.#sharedKeys[client] = { name: `shared/${client}/${++this.#serial}`, operations: 0, unknown: 0 };
  }

  /** Sends many writes at once to a server that is about to be killed, so that some are under way when it is. */
  async burst(server: ServerProcess): Promise<void> {
    this.add(this.#writeLone(server, "burst", BURST));
    // Time to arrive, but not for all of them to be answered.
    await pause(3);
  }

  /** Reads by the lease of a server that may have lost it, all that clients write to now. */
  readByLease({ url }: ServerProcess): void {
    for (const key of this.#sharedKeys) {
      key.operations++;
      this.add(this.#sharing.perform(url, key.name, { type: "get" }, "lease"));
    }
  }

  async #writeBatches(server: ServerProcess): Promise<void> {
    while (!this.isStopping) {
      const results = await this.#writeLone(server, "batch", BATCH);
      await pause(results.every(({ outcome }) => outcome === "ok") ? 30 : 100);
    }
  }

  #writeLone(server: ServerProcess, name: string, count: number): Promise<KvResult[]> {
    const prefix = `lone/${server.id}/${name}/${++this.#serial}`;
    const write = async (_: unknown, i: number): Promise<KvResult> => {
      const key = `${prefix}/${i}`;
      const result = await this.#lone.perform(server.url, key, { type: "put", value: key });
      this.#loneWrites.push({ key, result });
      if (result.outcome === "ok") this.noteAcknowledged();
      return result;
    };
    return Promise.all(Array.from({ length: count }, write));
  }

  /** Ends each key's history with a linearizable read. */
  async #readAllKeys(): Promise<void> {
    const { servers } = this.#cluster;
    const keys = [...new Set(this.#sharing.history.map(({ key }) => key))];
    for (const [i, key] of keys.entries()) {
      const { url } = servers[i % servers.length]!;
      const { outcome } = await this.#sharing.perform(url, key, { type: "get" });
      if (outcome !== "ok") {
        throw new Error(`Read ${key} at ${url} with the outcome ${outcome} though all is well again`);
      }
    }
  }

  async #catchUp(): Promise<void> {
    const [first] = this.#cluster.servers;
    const last = await this.#lone.perform(first!.url, "last", { type: "put", value: "last" });
    if (last.index === undefined) throw new Error(`The last write came to ${last.outcome} though all is well again`);
    await this.#cluster.untilApplied(last.index);
  }

  async #checkLoneWrites(): Promise<void> {
    const lists = await Promise.all(this.#cluster.servers.map(({ url }) => listStale(url, "")));
    const texts = lists.map((list) => list.map(({ key, index, bytes }) => `${key}@${index}:${bytes}`));
    for (const [i, text] of texts.entries()) {
      const difference = text.find((line, at) => line !== texts[0]![at]) ?? texts[0]![text.length];
      if (difference !== undefined) throw new Error(`Servers n1 and n${i + 1} differ: ${difference}`);
    }
    checkWrites(this.#loneWrites, "every server", new Map(lists[0]!.map(({ key, index }) => [key, index])));
  }
}
