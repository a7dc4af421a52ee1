/**
 * What a log and its snapshots cost as they grow: the restart, the snapshot beside writes, the way to an empty server,
 * memory and disk.
 *
 * @module
 */
import { join } from "node:path";
import type { LoadShape } from "./load.ts";
import { Child, commandOf, freePorts, type RuntimeName, scriptPath, within } from "./processes.ts";
import type { Footprint, SnapshotLoad, StorageJob, StoragePlan } from "./storage_server.ts";

/** How much there is. */
export interface StorageSizes {
  /** Entries of 256 B in the log at the restart, and writes before memory is looked at. */
  readonly entries: number;
  /** Keys of 4 KiB in the snapshot. */
  readonly keys: number;
  readonly shape: LoadShape;
}

/** What it costs. */
export interface StorageResult {
  readonly sizes: StorageSizes;
  /** `createRaft` to the first accepted write, with all entries in the log, milliseconds. */
  readonly restartMs: number;
  /** Writes alone, and while a snapshot is taken. */
  readonly alone: SnapshotLoad;
  readonly beside: SnapshotLoad;
  readonly snapshotBytes: number;
  /** Until an empty server that gets the snapshot votes, milliseconds. */
  readonly installMs: number;
  /** Of each of three servers, with snapshots on. */
  readonly footprints: readonly Footprint[];
  /** The same, with {@linkcode thriftyFlags}. */
  readonly thrifty: readonly Footprint[];
  /** What they were started with. */
  readonly thriftyFlag: string;
}

/** For glibc; others ignore it. */
const thriftyEnv = { MALLOC_MMAP_THRESHOLD_: "65536" };

/** What makes a runtime take less memory, together with {@linkcode thriftyEnv}: see docs/operating.md. */
const thriftyFlags: Readonly<Record<RuntimeName, string>> = {
  deno: "--v8-flags=--max-semi-space-size=4",
  node: "--max-semi-space-size=4",
  bun: "--smol",
};

const values = 256;
const page = 4096;
const hotKeys = 10_000;
/** Keys that are written while the snapshot of all is taken. */
const warmKeys = 1_000;

/** Measures all of it under `dir`. */
export async function measureStorage(
  runtime: RuntimeName,
  dir: string,
  sizes: StorageSizes,
  say: (line: string) => void,
): Promise<StorageResult> {
  const thriftyFlag = thriftyFlags[runtime];
  const run = async <T>(
    name: string,
    measure: (servers: StorageServers) => Promise<T>,
    ...flags: readonly string[]
  ): Promise<T> => {
    say(`storage: ${name} …`);
    const env = flags.length === 0 ? {} : thriftyEnv;
    const servers = new StorageServers(await storageServer(runtime, ...flags), join(dir, name), env);
    return await measure(servers).finally(() => servers.stop());
  };
  say("storage: restart …");
  const restartMs = await measureRestart(runtime, join(dir, "restart"), sizes.entries);
  const snapshots = await run("snapshot", (servers) => snapshot(servers, sizes));
  const footprints = await run("footprint", (servers) => footprint(servers, sizes));
  const thrifty = await run("footprint with less memory", (servers) => footprint(servers, sizes), thriftyFlag);
  return { sizes, restartMs, ...snapshots, footprints, thrifty, thriftyFlag };
}

/** `createRaft` to the first accepted write with so many entries of 256 B in the log, and no snapshot; milliseconds. */
export async function measureRestart(runtime: RuntimeName, dir: string, entries: number): Promise<number> {
  const servers = new StorageServers(await storageServer(runtime), dir);
  try {
    const [first] = await servers.begin(["n1"], { isRaw: true });
    await ask(first!, { job: "put", puts: { keys: 0, bytes: values, inOrder: false }, count: entries });
    const again = await servers.restart("n1");
    return (await ask<{ ms: number }>(again, { job: "first-write" })).ms;
  } finally {
    await servers.stop();
  }
}

async function storageServer(runtime: RuntimeName, ...flags: readonly string[]): Promise<readonly string[]> {
  return [...await commandOf(runtime, ...flags), scriptPath("./storage_server.ts")];
}

type Snapshots = Pick<StorageResult, "alone" | "beside" | "snapshotBytes" | "installMs">;

async function snapshot(servers: StorageServers, { keys, shape }: StorageSizes): Promise<Snapshots> {
  const [first] = await servers.begin(["n1"], { trailingLogs: 0 });
  await ask(first!, { job: "put", puts: { keys, bytes: page, inOrder: true }, count: keys });
  const puts = { keys: Math.min(keys, warmKeys), bytes: values, inOrder: false };
  const alone = await ask<SnapshotLoad>(first!, { job: "load", puts, shape, withSnapshot: false });
  const beside = await ask<SnapshotLoad>(first!, { job: "load", puts, shape, withSnapshot: true });
  const { bytes } = await ask<{ bytes: number }>(first!, { job: "snapshot" });
  const address = await servers.join("n2");
  const { ms } = await ask<{ ms: number }>(first!, { job: "add", id: "n2", address });
  return { alone, beside, snapshotBytes: bytes, installMs: ms };
}

async function footprint(servers: StorageServers, { entries }: StorageSizes): Promise<Footprint[]> {
  const children = await servers.begin(["n1", "n2", "n3"], { snapshotThreshold: 100_000 });
  const leader = await within("a leader", async () => {
    const roles = await Promise.all(children.map(roleOf));
    return children[roles.findIndex(({ role }) => role === "leader")];
  });
  await ask(leader, { job: "put", puts: { keys: hotKeys, bytes: values, inOrder: false }, count: entries });
  for (const child of children) {
    await within("a server to be up to date", async () => (await roleOf(child)).applied >= entries);
  }
  return await Promise.all(children.map((child) => ask<Footprint>(child, { job: "footprint" })));
}

function ask<T>(child: Child, job: StorageJob): Promise<T> {
  return child.ask<T>(job);
}

function roleOf(child: Child): Promise<{ readonly role: string; readonly applied: number }> {
  return ask(child, { job: "role" });
}

const farewell: StorageJob = { job: "stop" };

/** A million writes take a while. */
const answerWithinMs = 600_000;

class StorageServers {
  readonly #command: readonly string[];
  readonly #dir: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #all = new Map<string, { readonly plan: StoragePlan; readonly child: Child }>();

  constructor(command: readonly string[], dir: string, env: Readonly<Record<string, string>> = {}) {
    this.#env = env;
    this.#command = command;
    this.#dir = dir;
  }

  /** Starts a cluster of these. */
  async begin(ids: readonly string[], options: Partial<StoragePlan>): Promise<Child[]> {
    const ports = await freePorts(ids.length);
    const servers = Object.fromEntries(ids.map((id, i) => [id, `127.0.0.1:${ports[i]}`]));
    return await Promise.all(ids.map((id) => this.#start({ ...this.#planOf(id, servers[id]!), servers, ...options })));
  }

  #planOf(id: string, address: string): StoragePlan {
    return { id, dir: join(this.#dir, id), address };
  }

  async #start(plan: StoragePlan): Promise<Child> {
    const child = new Child([...this.#command, JSON.stringify(plan)], this.#env, answerWithinMs);
    this.#all.set(plan.id, { plan, child });
    await child.answer();
    return child;
  }

  /** Starts an empty one that waits to be added; returns its address. */
  async join(id: string): Promise<string> {
    const address = `127.0.0.1:${(await freePorts(1))[0]}`;
    await this.#start(this.#planOf(id, address));
    return address;
  }

  /** Stops one and starts it anew. */
  async restart(id: string): Promise<Child> {
    const { plan, child } = this.#all.get(id)!;
    await child.stop(farewell);
    return await this.#start(plan);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#all.values()].map(({ child }) => child.stop(farewell)));
  }
}
