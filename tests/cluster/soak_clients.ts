/**
 * Thirty-two clients of a cluster at once, each with its own idea of what to do when it gets no answer, and the
 * judgement of what they saw.
 *
 * @module
 */
import { type Consistency, KvClient, type KvOperation, listStale, requested } from "./client.ts";
import { Clients, nextInput } from "./clients.ts";
import { checkCounts, checkHistory, checkOnce, type Count, type OnceWrite } from "./judgement.ts";
import type { Cluster, ServerProcess } from "./process.ts";
import { countOnce, type SessionMember } from "./session_member.ts";
import { pause, until } from "./until.ts";
import type { Command, Result } from "../../examples/kv/machine.ts";
import type { Session } from "../../mod.ts";
import type { RegisterInput } from "../../src/testing/register.ts";

/** Do a thing once and live with not knowing what became of it. */
const DOUBTING = 16;
/** Send a write until it is acknowledged, under one key, to the same registers. */
const PERSISTING = 8;
/** Count, each in a register of its own, one by one, under keys; and write what is to be there once. */
const COUNTING = 4;
/** Count through sessions, two of them through each. */
const SESSIONS = 2;
const OF_A_SESSION = 2;
/** Clients that work on one register. */
const SHARING = 4;

// They then go on with another one: the search for an order grows with the history, and doubles with each unknown.
const OPERATIONS_PER_KEY = 200;
const UNKNOWN_PER_KEY = 6;

const READS: readonly Consistency[] = ["linearizable", "lease", "stale"];

/** What a run came to. */
export interface SoakReport {
  /** Operations that were judged, and keys they were done to. */
  readonly operations: number;
  readonly keys: number;
  readonly failed: number;
  readonly unknown: number;
  /** Reads of the operations, by what vouches for them; stale ones are judged by nobody. */
  readonly reads: Readonly<Record<Consistency, number>>;
  /** Commands with a key, requests that were sent for them, and those that were repeated after they were acknowledged. */
  readonly once: number;
  readonly requests: number;
  readonly repeated: number;
  /** Commands of sessions. */
  readonly ofSessions: number;
}

interface SharedKey {
  readonly name: string;
  operations: number;
  unknown: number;
}

/** See the module. */
export class SoakClients extends Clients {
  readonly #cluster: Cluster;
  readonly #client = new KvClient();
  readonly #sharedKeys: SharedKey[] = [];
  readonly #counts: Count[] = [];
  readonly #once: OnceWrite[] = [];
  readonly #reads = { linearizable: 0, lease: 0, stale: 0 };
  #requests = 0;
  #repeated = 0;
  #ofSessions = 0;
  /** Makes each value unique, so that a read tells which write it saw. */
  #serial = 0;

  private constructor(cluster: Cluster) {
    super();
    this.#cluster = cluster;
  }

  /** Starts all of them. */
  static async start(cluster: Cluster, member: SessionMember): Promise<SoakClients> {
    const clients = new SoakClients(cluster);
    const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => member.session()));
    for (const [i, session] of sessions.entries()) {
      for (let k = 0; k < OF_A_SESSION; k++) clients.add(clients.#countBySession(session, `${i}/${k}`));
    }
    for (let i = 0; i < DOUBTING; i++) clients.add(clients.#doubt(i));
    for (let i = 0; i < PERSISTING; i++) clients.add(clients.#persist(DOUBTING + i));
    for (let i = 0; i < COUNTING; i++) clients.add(clients.#count(i));
    return clients;
  }

  /** All servers, beginning with another one each time. */
  #urls(turn: number): string[] {
    const { servers } = this.#cluster;
    return servers.map((_, i) => servers[(turn + i) % servers.length]!.url);
  }

  async #doubt(client: number): Promise<void> {
    let seen: string | null = null;
    for (let i = 0; !this.isStopping; i++) {
      const key = this.#sharedKey(client);
      const input = nextInput(i, seen, `v${++this.#serial}`);
      const [url] = this.#urls(client);
      const result = input.type === "get"
        ? await this.#read(url!, key, READS[Math.floor(i / 3) % READS.length]!)
        : await this.#client.perform(url!, key.name, input);
      if (result.outcome === "unknown") key.unknown++;
      if (result.outcome === "ok" && input.type === "get") seen = result.output as string | null;
      if (result.outcome === "ok" && input.type !== "get") this.noteAcknowledged();
      await pause(result.outcome === "ok" ? 5 : 50);
    }
  }

  #read(url: string, key: SharedKey, consistency: Consistency) {
    this.#reads[consistency]++;
    // What is old may be seen, so it is no part of the history.
    if (consistency === "stale") return requested(url, key.name, { type: "get" }, { consistency });
    return this.#client.perform(url, key.name, { type: "get" }, consistency);
  }

  /** Reads by the lease of a server that may have lost it, all that clients write to now. */
  readByLease({ url }: ServerProcess): void {
    for (const key of this.#sharedKeys) this.add(this.#read(url, key, "lease"));
  }

  async #persist(client: number): Promise<void> {
    for (let i = 0; !this.isStopping; i++) {
      const key = this.#sharedKey(client);
      const input: RegisterInput = i % 7 === 6 ? { type: "delete" } : { type: "put", value: `p${++this.#serial}` };
      const { attempts = 1 } = await this.#client.persist(this.#urls(client + i), key.name, input, `${++this.#serial}`);
      this.#requests += attempts;
      this.noteAcknowledged();
      await pause(10);
    }
  }

  /** Were one of its commands applied twice, or one more time after it was acknowledged, it would find another number. */
  async #count(client: number): Promise<void> {
    const count: Count = { key: `count/${client}`, value: 0, refused: 0 };
    this.#counts.push(count);
    for (let i = 0; !this.isStopping; i++) {
      const [expect, value] = [count.value === 0 ? null : String(count.value), String(count.value + 1)];
      const { output, attempts = 1 } = await this.#client.persist(
        this.#urls(client + i),
        count.key,
        { type: "cas", expect, value },
        value,
      );
      if (output === true) count.value++;
      else count.refused++;
      this.#requests += attempts;
      this.noteAcknowledged();
      if (i % 2 === 0) await this.#writeOnce(client, i);
      await pause(10);
    }
  }

  async #countBySession(session: Session<Command, Result>, name: string): Promise<void> {
    const count: Count = { key: `session/${name}`, value: 0, refused: 0 };
    this.#counts.push(count);
    while (!this.isStopping) {
      await countOnce(session, count);
      this.#ofSessions++;
      this.noteAcknowledged();
      await pause(5);
    }
  }

  /** Sends it once more when it is done, as a network that is slow, or a client that has crashed, would. */
  async #writeOnce(client: number, turn: number): Promise<void> {
    const key = `once/${client}/${turn}`;
    const input = { type: "put", value: key } as const;
    const [first, ...others] = this.#urls(client + turn);
    const { index, attempts = 1 } = await this.#client.persist([first!, ...others], key, input, "once");
    this.#once.push({ key, index: index! });
    this.#requests += attempts;
    this.noteAcknowledged();
    const again = await requested(others[0]!, key, input, { idempotencyKey: "once" });
    if (again.outcome !== "failed") this.#repeated++;
  }

  /** The key that the clients of this number's group work on now. */
  #sharedKey(client: number): SharedKey {
    const group = Math.floor(client / SHARING);
    let key = this.#sharedKeys[group];
    if (key === undefined || key.operations >= OPERATIONS_PER_KEY || key.unknown >= UNKNOWN_PER_KEY) {
      key = this.#sharedKeys[group] = { name: `shared/${group}/${++this.#serial}`, operations: 0, unknown: 0 };
    }
    key.operations++;
    return key;
  }

  /** Judges everything: throws when a promise of the store was not kept. */
  async check(): Promise<SoakReport> {
    const history = this.#client.history;
    const keys = [...new Set(history.map(({ key }) => key))];
    for (const [i, key] of keys.entries()) {
      // A machine that is busy may have no leader for a moment, without any fault.
      await until(`${key} to be read`, async () => {
        const { outcome } = await this.#client.perform(this.#urls(i)[0]!, key, { type: "get" });
        return outcome === "ok";
      });
    }
    const last = await this.#client.persist(this.#urls(0), "last", { type: "put", value: "last" }, "last");
    await this.#cluster.untilApplied(last.index!);
    for (const server of this.#cluster.servers) await this.#checkState(server);
    checkHistory(history);
    return this.#reportOf(history, keys.length);
  }

  async #checkState({ id, url }: ServerProcess): Promise<void> {
    const found = new Map((await listStale(url, "once/")).map(({ key, index }) => [key, index]));
    checkOnce(this.#once, id, found);
    const values = new Map<string, unknown>();
    for (const { key } of this.#counts) {
      const read = async () => {
        const result = await requested(url, key, { type: "get" }, { consistency: "stale" });
        return result.outcome === "ok" && result;
      };
      values.set(key, (await until(`${key} to be read on ${id}`, read)).output);
    }
    checkCounts(this.#counts, id, values);
  }

  #reportOf(history: readonly KvOperation[], keys: number): SoakReport {
    const count = (wanted: string) => history.filter(({ outcome }) => outcome === wanted).length;
    return {
      operations: history.length,
      keys,
      failed: count("failed"),
      unknown: count("unknown"),
      reads: this.#reads,
      once: this.#once.length + this.#counts.reduce((sum, { value }) => sum + value, 0) - this.#ofSessions,
      requests: this.#requests,
      repeated: this.#repeated,
      ofSessions: this.#ofSessions,
    };
  }
}
