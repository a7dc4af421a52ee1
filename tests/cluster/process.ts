/**
 * Servers of the key-value example as real processes on loopback, and clusters of them.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child, type ChildExit } from "../../examples/kv/child.ts";
import { ROOT, serverCommand } from "../../examples/kv/programs.ts";
import type { Runtime } from "../harness.ts";
import { freePorts } from "./ports.ts";
import type { Route } from "./proxy.ts";
import { until } from "./until.ts";

/** What the tests look at in a status. */
export interface Status {
  readonly id: string;
  readonly role: string;
  readonly term: number;
  readonly leader: string | null;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly damaged: readonly { readonly from: number; readonly end: number }[];
}

/** A server that can be killed, halted and started again. */
export class ServerProcess {
  readonly id: string;
  readonly url: string;
  readonly runtime: Runtime;
  /** Where the other servers dial it, and where it listens. */
  readonly route: Route | undefined;
  readonly #command: readonly string[];
  /** Its arguments; the last of two that are the same counts. */
  readonly args: readonly string[];
  #child: Child | undefined;

  constructor(id: string, url: string, runtime: Runtime, command: readonly string[], args: readonly string[]) {
    this.id = id;
    this.url = url;
    this.runtime = runtime;
    this.#command = command;
    this.args = args;
  }

  start(): void {
    this.#child = new Child({ command: [...this.#command, ...this.args, "--stop-with-stdin"], cwd: ROOT });
  }

  /** The process of the latest start. */
  get child(): Child {
    if (this.#child === undefined) throw new Error(`Server ${this.id} was not started`);
    return this.#child;
  }

  /** Ends it without a chance to do anything about it. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
  }

  /** As the system's own stop: it keeps its sockets and does nothing. */
  halt(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  /** Where it keeps its log and snapshots. */
  get directory(): string {
    return this.args[this.args.indexOf("--data") + 1]!;
  }

  /** Removes all that it ever wrote; it must not run. */
  async wipe(): Promise<void> {
    await rm(this.directory, { recursive: true });
  }

  /** Asks it to stop and gives how it ended, and after how long. */
  async terminate(signal: NodeJS.Signals = "SIGTERM"): Promise<ChildExit & { readonly ms: number }> {
    const start = performance.now();
    this.child.kill(signal);
    const exit = await this.child.exited;
    return { ...exit, ms: performance.now() - start };
  }

  /** Undefined when it doesn't answer. */
  async status(): Promise<Status | undefined> {
    try {
      const response = await fetch(`${this.url}/raft/status`, { signal: AbortSignal.timeout(2_000) });
      return await response.json() as Status;
    } catch {
      return undefined;
    }
  }

  /** Its last words, for whoever looks into a failed test. */
  describe(): string {
    const lines = this.#child?.lastLines.slice(-15) ?? [];
    return [`${this.id} on ${this.runtime}:`, ...lines].join("\n    ");
  }
}

/** What to start. */
export interface ClusterOptions {
  /** The runtime of each server. */
  readonly runtimes: readonly Runtime[];
  /** More arguments for each. */
  readonly args?: readonly string[];
  /** They ask for a token, so the test itself has to find out when there is a leader. */
  readonly isGuarded?: boolean;
  /** Each listens on a port of its own, and not where the others dial it: see {@linkcode ServerProcess.route}. */
  readonly isProxied?: boolean;
  /** Done before any is started; what it gives is called when all have ended. */
  prepare?(servers: readonly ServerProcess[]): Promise<() => void>;
}

/** A cluster of processes. */
export class Cluster {
  readonly servers: readonly ServerProcess[];
  readonly #directory: string;

  private constructor(servers: readonly ServerProcess[], directory: string) {
    this.servers = servers;
    this.#directory = directory;
  }

  /** Prepares the servers; none is started. */
  static async make({ runtimes, args = [], isProxied = false }: ClusterOptions): Promise<Cluster> {
    const directory = await mkdtemp(join(tmpdir(), "raft-cluster-"));
    const [http, raft] = [await freePorts(runtimes.length), await freePorts(runtimes.length)];
    const listen = isProxied ? await freePorts(runtimes.length) : raft;
    const cluster = runtimes.map((_, i) => `n${i + 1}=127.0.0.1:${raft[i]}`).join(",");
    const servers: ServerProcess[] = [];
    for (const [i, runtime] of runtimes.entries()) {
      const id = `n${i + 1}`;
      const address = `127.0.0.1:${http[i]}`;
      const own = ["--id", id, "--http", address, "--data", join(directory, id), "--cluster", cluster, ...args];
      if (isProxied) own.push("--listen", `127.0.0.1:${listen[i]}`);
      const server = new ServerProcess(id, `http://${address}`, runtime, await serverCommand(runtime), own);
      servers.push(Object.assign(server, { route: { id, port: raft[i]!, target: listen[i]! } }));
    }
    return new Cluster(servers, directory);
  }

  /** The leader that every one of these servers follows, in one term. */
  agreedLeader(servers: readonly ServerProcess[] = this.servers): Promise<ServerProcess> {
    return until(`a leader that ${servers.map(({ id }) => id).join(", ")} agree on`, async () => {
      const statuses = await Promise.all(servers.map((server) => server.status()));
      const [first] = statuses;
      if (statuses.some((status) => status?.leader !== first?.leader || status?.term !== first?.term)) return undefined;
      return this.servers.find(({ id }) => id === first?.leader);
    });
  }

  /** Waits until each has applied that entry. */
  async untilApplied(index: number): Promise<void> {
    await until(`entry ${index} to be applied everywhere`, async () => {
      const statuses = await Promise.all(this.servers.map((server) => server.status()));
      return statuses.every((status) => status !== undefined && status.appliedIndex >= index);
    });
  }

  /** Ends every process and forgets the disks, after what is to be undone between. */
  async end(undo?: () => void): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()));
    undo?.();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Starts a cluster, lets the test use it once there is a leader, and ends it, whatever happens. */
export async function withCluster(options: ClusterOptions, use: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await Cluster.make(options);
  let undo: (() => void) | undefined;
  try {
    undo = await options.prepare?.(cluster.servers);
    for (const server of cluster.servers) server.start();
    if (options.isGuarded !== true) await cluster.agreedLeader();
    await use(cluster);
  } catch (error) {
    const servers = cluster.servers.map((server) => server.describe()).join("\n");
    throw new Error(`${(error as Error).message}\n${servers}`, { cause: error });
  } finally {
    await cluster.end(undo);
  }
}
