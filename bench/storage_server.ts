/**
 * One server with keys and values, in a process of its own: takes jobs as lines of JSON, answers each with a line.
 *
 * @module
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createRaft, type Raft } from "@securecollc/raft";
import { fileStore } from "@securecollc/raft/fs";
import { type Command, KvMachine, type Result } from "../examples/kv/machine.ts";
import { answerJobs } from "./jobs.ts";
import { type LoadResult, type LoadShape, runLoad } from "./load.ts";
import { Counter } from "./machine.ts";

/** What a server is told on its command line. */
export interface StoragePlan {
  readonly id: string;
  readonly dir: string;
  readonly address: string;
  /** Those that begin the cluster; others wait to be added. */
  readonly servers?: Readonly<Record<string, string>>;
  /** Whether commands are bytes that a machine counts, so that what is measured is the log. */
  readonly isRaw?: boolean;
  /** Entries after which a snapshot is taken; none is by default. */
  readonly snapshotThreshold?: number;
  /** Entries that stay when a snapshot is taken. */
  readonly trailingLogs?: number;
}

/** Puts, each of a random one of so many keys, or of one after the other; without keys just bytes. */
export interface Puts {
  readonly keys: number;
  readonly bytes: number;
  readonly inOrder: boolean;
}

/** What a server is asked. */
export type StorageJob =
  /** Its first accepted write, from when it was started. */
  | { readonly job: "first-write" }
  | { readonly job: "put"; readonly puts: Puts; readonly count: number }
  | { readonly job: "load"; readonly puts: Puts; readonly shape: LoadShape; readonly withSnapshot: boolean }
  | { readonly job: "snapshot" }
  | { readonly job: "add"; readonly id: string; readonly address: string }
  | { readonly job: "footprint" }
  | { readonly job: "role" }
  | { readonly job: "stop" };

/** What a load got, and what the snapshot beside it took. */
export interface SnapshotLoad extends LoadResult {
  /** How long it took, milliseconds; undefined when there was none, or it took longer than the load. */
  readonly snapshotMs: number | undefined;
}

/** What a server takes up, in bytes. */
export interface Footprint {
  readonly rss: number;
  readonly disk: number;
  readonly applied: number;
}

type Server = Raft<Command | Uint8Array, Result | number>;

const inFlight = 256;

let startedAt = 0;

function start(plan: StoragePlan, tcp: typeof import("../adapters/node/mod.ts").tcp): Promise<Server> {
  startedAt = performance.now();
  return createRaft<Command | Uint8Array, Result | number>({
    id: plan.id,
    machine: plan.isRaw === true ? new Counter() : new KvMachine(),
    store: fileStore(plan.dir),
    transport: tcp({ listen: plan.address }),
    snapshotThreshold: plan.snapshotThreshold ?? 2 ** 40,
    snapshotThresholdBytes: plan.snapshotThreshold === undefined ? 2 ** 50 : undefined,
    trailingLogs: plan.trailingLogs,
    bootstrap: plan.servers,
  });
}

async function main(plan: StoragePlan): Promise<void> {
  const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  const raft = await start(plan, (await import(`@securecollc/raft/${runtime}`)).tcp);
  await answerJobs<StorageJob>({ started: true }, (job) => answer(raft, plan, job));
  await raft.shutdown();
  process.exit(0);
}

async function answer(
  raft: Server,
  plan: StoragePlan,
  job: Exclude<StorageJob, { readonly job: "stop" }>,
): Promise<unknown> {
  switch (job.job) {
    case "first-write":
      await raft.apply(new Uint8Array(256));
      return { ms: performance.now() - startedAt };
    case "put":
      return await putAll(raft, job.puts, job.count);
    case "load":
      return await load(raft, job);
    case "snapshot": {
      const from = performance.now();
      const { meta } = await raft.snapshot();
      return { ms: performance.now() - from, bytes: meta.bytes };
    }
    case "add": {
      const from = performance.now();
      await raft.addVoter(job.id, job.address);
      return { ms: performance.now() - from };
    }
    case "footprint":
      return { rss: process.memoryUsage().rss, disk: bytesIn(plan.dir), applied: raft.appliedIndex };
    case "role":
      return { role: raft.state, applied: raft.appliedIndex };
  }
}

async function putAll(raft: Server, puts: Puts, count: number): Promise<{ ms: number }> {
  const from = performance.now();
  const put = putter(raft, puts);
  let left = count;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (left-- > 0) await put();
  }));
  return { ms: performance.now() - from };
}

function putter(raft: Server, { keys, bytes, inOrder }: Puts): () => Promise<Result | number> {
  let next = 0;
  return () => {
    if (keys === 0) return raft.apply(new Uint8Array(bytes));
    const key = inOrder ? next++ % keys : Math.floor(Math.random() * keys);
    return raft.apply({ op: "put", key: `key-${key}`, value: new Uint8Array(bytes) });
  };
}

async function load(
  raft: Server,
  { puts, shape, withSnapshot }: Extract<StorageJob, { readonly job: "load" }>,
): Promise<SnapshotLoad> {
  const from = performance.now();
  let snapshotMs: number | undefined;
  const taken = withSnapshot ? raft.snapshot().then(() => snapshotMs = performance.now() - from) : undefined;
  const result = { ...await runLoad(putter(raft, puts), shape), snapshotMs };
  await taken;
  return result;
}

function bytesIn(dir: string): number {
  return readdirSync(dir, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(dir, entry.name);
    return sum + (entry.isDirectory() ? bytesIn(path) : entry.isFile() ? statSync(path).blocks * 512 : 0);
  }, 0);
}

await main(JSON.parse(process.argv[2]!) as StoragePlan);
