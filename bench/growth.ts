/**
 * How long writes are refused at most while a cluster of real processes grows, loses its leader and moves.
 *
 * @module
 */
import { join } from "node:path";
import type { Member } from "./failover.ts";
import { values } from "./http.ts";
import { Client } from "./http_client.ts";
import { Child, commandOf, freePorts, pause, type RuntimeName, scriptPath, within } from "./processes.ts";

/** The longest time without an accepted write, milliseconds, in each part of the way. */
export interface GrowthResult {
  /** From one server to three, and then to five. */
  readonly growingMs: number;
  /** When the leader is killed, among three and among five. */
  readonly killedMs: number;
  /** To three others, in one joint change that takes the leader, too. */
  readonly movingMs: number;
}

const encoder = new TextEncoder();
const tryEveryMs = 5;
const tryWithinMs = 2_000;
/** So many tries may wait for an answer at a time. */
const openTriesMax = 400;

/** Grows, kills and moves a cluster of the key-value example under `dir`, once, and ends it. */
export async function measureGrowth(runtime: RuntimeName, dir: string): Promise<GrowthResult> {
  const servers = new Servers(await commandOf(runtime), dir);
  const gaps = new Gaps();
  const writing = new AbortController();
  try {
    await servers.begin();
    const writes = write(servers, gaps, writing.signal);
    gaps.take();
    await servers.join("n2", "n3");
    const first = gaps.take();
    await servers.killLeader(gaps);
    const killed = gaps.take();
    await servers.join("n4", "n5");
    const growingMs = Math.max(first, gaps.take());
    await servers.killLeader(gaps);
    const killedMs = Math.max(killed, gaps.take());
    await servers.join("n6");
    gaps.take();
    await servers.moveTo("n4", "n5", "n6");
    await gaps.next();
    const movingMs = gaps.take();
    writing.abort();
    await writes;
    return { growingMs, killedMs, movingMs };
  } finally {
    writing.abort();
    await servers.stop();
  }
}

/** The time between accepted writes. */
class Gaps {
  #last = performance.now();
  #longestMs = 0;
  #count = 0;

  /** A write was accepted. */
  note(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - this.#last);
    this.#last = now;
    this.#count++;
  }

  /** The longest since this was last asked. */
  take(): number {
    const longestMs = Math.max(this.#longestMs, performance.now() - this.#last);
    this.#longestMs = 0;
    return longestMs;
  }

  /** Waits until a write that began after this call must have been accepted. */
  async next(): Promise<void> {
    const count = this.#count + openTriesMax;
    await within("writes to be accepted", () => this.#count >= count);
  }
}

/** Tries again and again, at one member after the other. Ends when the signal aborts and the last try has its answer. */
async function write(servers: Servers, gaps: Gaps, signal: AbortSignal): Promise<void> {
  const open = new Set<Promise<void>>();
  for (let turn = 0; !signal.aborted; turn++) {
    if (open.size < openTriesMax) {
      const member = servers.members[turn % servers.members.length]!;
      const attempt = servers.accepts(member).then((isAccepted) => {
        if (isAccepted) gaps.note();
        open.delete(attempt);
      });
      open.add(attempt);
    }
    await pause(tryEveryMs);
  }
  await Promise.all(open);
}

/** Servers of the example that come and go. */
class Servers {
  /** Those that clients know of. */
  members: Member[] = [];
  readonly #command: readonly string[];
  readonly #dir: string;
  readonly #client = new Client();
  readonly #all = new Set<Child>();
  readonly #restarts = new Map<Member, () => Child>();

  constructor(command: readonly string[], dir: string) {
    this.#command = [...command, scriptPath("../examples/kv/main.ts")];
    this.#dir = dir;
  }

  /** Starts the first one. */
  async begin(): Promise<void> {
    this.members = [await this.#start("n1", (address) => ["--cluster", `n1=${address}`])];
    await this.leader();
  }

  async #start(id: string, how: (address: string) => readonly string[]): Promise<Member> {
    const [port, raft] = await freePorts(2);
    const address = `127.0.0.1:${raft}`;
    const own = ["--id", id, "--http", `127.0.0.1:${port}`, "--data", join(this.#dir, id), "--stop-with-stdin"];
    const start = () => {
      const child = new Child([...this.#command, ...own, ...how(address)]);
      this.#all.add(child);
      return child;
    };
    const member = { id, port: port!, child: start() };
    this.#restarts.set(member, start);
    return member;
  }

  /** New ones ask the first to add them; done when all of them vote. */
  async join(...ids: readonly string[]): Promise<void> {
    const url = `http://127.0.0.1:${this.members[0]!.port}`;
    const how = (address: string) => ["--listen", address, "--join", url];
    const joined = await Promise.all(ids.map((id) => this.#start(id, how)));
    const voters = [...this.members, ...joined].map(({ id }) => id).sort().join();
    await within(`the voters ${voters}`, async () => await this.#voters(joined[0]!) === voters);
    this.members = [...this.members, ...joined];
  }

  async #voters(member: Member): Promise<string | undefined> {
    const answer = await this.#ask("GET", member, "/raft/configuration");
    if (answer?.status !== 200) return undefined;
    const { servers } = JSON.parse(answer.body) as { servers: { id: string; suffrage: string }[] };
    return servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id).sort().join();
  }

  #ask(method: string, { port }: Member, path: string, body?: Uint8Array, timeoutMs = 10_000) {
    return this.#client.call(method, port, path, body, timeoutMs).catch(() => undefined);
  }

  /** Whether a write is accepted there. */
  async accepts(member: Member): Promise<boolean> {
    return (await this.#ask("PUT", member, "/kv/k", values.raw(256), tryWithinMs))?.status === 200;
  }

  /** The one that leads, once one does. */
  async leader(): Promise<Member> {
    return await within("a leader", async () => {
      for (const member of this.members) {
        const answer = await this.#ask("GET", member, "/raft/status", undefined, 1_000);
        if (answer?.status === 200 && JSON.parse(answer.body).role === "leader") return member;
      }
      return undefined;
    });
  }

  /** SIGKILL; started again when others have taken over. */
  async killLeader(gaps: Gaps): Promise<void> {
    const leader = await this.leader();
    leader.child.kill();
    await leader.child.gone;
    await gaps.next();
    leader.child = this.#restarts.get(leader)!();
    await within("the killed server to be back", async () => {
      return (await this.#ask("GET", leader, "/raft/health", undefined, 1_000))?.status === 200;
    });
  }

  /** All others are removed in one change. */
  async moveTo(...ids: readonly string[]): Promise<void> {
    const staying = this.members.filter(({ id }) => ids.includes(id));
    const leaving = this.members.filter((member) => !staying.includes(member));
    const changes = leaving.map(({ id }) => ({ type: "remove-server", id }));
    const body = encoder.encode(JSON.stringify({ changes }));
    await within("the others to be removed", async () => {
      return (await this.#ask("POST", staying[0]!, "/raft/membership", body))?.status === 200;
    });
    this.members = staying;
  }

  async stop(): Promise<void> {
    this.#client.close();
    await Promise.all([...this.#all].map((child) => child.stop()));
  }
}
