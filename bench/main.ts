/**
 * `deno task bench`: every figure that the README quotes, as Markdown on standard output and as JSON in a file.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { measureCluster } from "./cluster.ts";
import { measureDisk } from "./disk.ts";
import { type End, measureFailover } from "./failover.ts";
import { type GrowthResult, measureGrowth } from "./growth.ts";
import { measureHttp } from "./http.ts";
import { KvCluster } from "./kv.ts";
import type { LoadShape } from "./load.ts";
import { measureMemory } from "./memory.ts";
import { endChildrenWithUs } from "./processes.ts";
import { findPeers, measureBeside } from "./peers.ts";
import { peerTable } from "./peers_rows.ts";
import { help, type OwnPart, ownParts, peerParts, type Plan, planOf, UsageError } from "./plan.ts";
import {
  diskTable,
  failoverTable,
  growthTable,
  loadTable,
  scaleTable,
  sessionsTable,
  stageTable,
  storageTable,
} from "./report.ts";
import { measureSessionCost, measureSessionMemory } from "./sessions.ts";
import { measureHttpReads, measureReads } from "./reads.ts";
import { measureScale } from "./scale.ts";
import type { StagedLoad } from "./stages.ts";
import { measureStorage } from "./storage.ts";

function readPlan(): Plan {
  try {
    const plan = planOf(process.argv.slice(2));
    if (plan !== undefined) return plan;
    process.stdout.write(help);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\nTry --help\n`);
    process.exit(2);
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<void> {
  const plan = readPlan();
  mkdirSync(plan.dir, { recursive: true });
  const dir = mkdtempSync(join(plan.dir, "run-"));
  endChildrenWithUs(() => rmSync(dir, { recursive: true, force: true }));
  const results: Record<string, unknown> = {};
  try {
    process.stdout.write(`${conditions(plan)}\n`);
    if (plan.peers) await measurePeers(plan, dir, results);
    else await measureOurs(plan, dir, results);
  } finally {
    rmSync(dir, { recursive: true, force: true });
    writeResults(plan, results);
  }
}

/** What was measured before something failed is worth keeping. */
function writeResults(plan: Plan, results: Readonly<Record<string, unknown>>): void {
  mkdirSync(dirname(plan.json), { recursive: true });
  const all = { conditions: conditions(plan), at: new Date().toISOString(), results };
  writeFileSync(plan.json, JSON.stringify(all, null, 2));
  say(`wrote ${plan.json}`);
}

async function measureOurs(plan: Plan, dir: string, results: Record<string, unknown>): Promise<void> {
  for (const part of ownParts) {
    if (!plan.only.has(part)) continue;
    say(`measuring: ${part} …`);
    const { title, markdown, data } = await measure(part, plan, join(dir, part));
    results[part] = data;
    show(plan, title, markdown);
  }
}

async function measurePeers(plan: Plan, dir: string, results: Record<string, unknown>): Promise<void> {
  const peers = await findPeers(say);
  if (peers.versions !== "") process.stdout.write(`${peers.versions}\n`);
  results.versions = peers.versions;
  for (const part of peerParts) {
    if (!plan.only.has(part)) continue;
    say(`measuring: ${part} …`);
    const tables = await measureBeside(part, plan, peers, join(dir, part), say);
    if (tables.length === 0) say(`skipped: ${part}, as there is nobody to compare with`);
    results[part] = tables;
    for (const { title, rows } of tables) show(plan, title, peerTable(rows));
  }
}

function show(plan: Plan, title: string, markdown: string): void {
  process.stdout.write(`\n### ${title}\n\nmsgpack of ours: ${codecName(plan)}\n\n${markdown}\n`);
}

function conditions(plan: Plan): string {
  const processor = cpus()[0]?.model ?? "unknown processor";
  return `${cpus().length} × ${processor}, ${process.platform}, servers on ${plan.runtime}, codec: raw bytes, ` +
    `envelopes: ${codecName(plan)}; medians move by 30 % from hour to hour on shared machines`;
}

/**
 * Which msgpack is measured: the real `@std/msgpack` encodes more slowly than the stand-in used where JSR is out of
 * reach. Bun and Node have the stand-in always: package.json says so.
 */
function codecName({ runtime }: Plan): string {
  const isStandIn = runtime !== "deno" || import.meta.resolve("@std/msgpack").startsWith("file:");
  return isStandIn ? "the stand-in for @std/msgpack" : "@std/msgpack";
}

/** Loads for ours alone. */
function shapesOf({ measureMs }: Plan): LoadShape[] {
  return [1, 16, 64, 256, 1024].map((inFlight) => ({ inFlight, warmUpMs: measureMs / 3, measureMs }));
}

interface Measured {
  readonly title: string;
  readonly markdown: string;
  readonly data: unknown;
}

async function measure(part: OwnPart, plan: Plan, dir: string): Promise<Measured> {
  mkdirSync(dir, { recursive: true });
  const shapes = shapesOf(plan);
  switch (part) {
    case "disk": {
      const data = measureDisk(dir, plan.measureMs);
      return { title: "The disk", markdown: diskTable(data), data };
    }
    case "memory":
      return measureLoads(
        "Three servers in one process, memory parts",
        (bytes, reads) => measureMemory(shapes, bytes, reads),
      );
    case "cluster":
      return measureLoads(
        "Three processes, TCP, write-ahead logs with fdatasync",
        (bytes, reads) => measureCluster(plan.runtime, join(dir, `${bytes}-${reads}`), shapes, bytes, reads),
      );
    case "http": {
      const data = await measureHttp(await KvCluster.start(plan.runtime, dir), shapes, 256);
      const rows = { "PUT, 256 B": data.put, "GET, linearizable": data.get };
      return { title: "The key-value example over HTTP", markdown: loadTable(rows), data };
    }
    case "reads": {
      const three = shapes.filter(({ inFlight }) => [1, 64, 256].includes(inFlight));
      const inProcess = await measureReads(three);
      const overHttp = await measureHttpReads(await KvCluster.start(plan.runtime, dir), three, 256);
      const markdown = `${loadTable(inProcess)}\n\n${loadTable(overHttp)}`;
      return { title: "Reads: three servers in one process, then HTTP", markdown, data: { inProcess, overHttp } };
    }
    case "sessions": {
      const three = shapes.filter(({ inFlight }) => [1, 64, 256].includes(inFlight));
      const cost = await measureSessionCost(three, 256, plan.pairs, say);
      const memory = await measureSessionMemory(plan.sessions);
      return { title: "Exactly once", markdown: sessionsTable(cost, memory), data: { cost, memory } };
    }
    case "failover": {
      const measured = async (end: End) =>
        await measureFailover(await KvCluster.start(plan.runtime, join(dir, end)), plan.trials, end);
      const data = { SIGKILL: await measured("SIGKILL"), SIGSTOP: await measured("SIGSTOP") };
      return { title: "Failover", markdown: failoverTable(data), data };
    }
    case "growth": {
      const data: GrowthResult[] = [];
      for (let run = 0; run < plan.growths; run++) data.push(await measureGrowth(plan.runtime, join(dir, `${run}`)));
      return { title: "A cluster that grows and moves", markdown: growthTable(data), data };
    }
    case "storage": {
      const shape = { inFlight: 64, warmUpMs: plan.measureMs / 3, measureMs: 2 * plan.measureMs };
      const data = await measureStorage(plan.runtime, dir, { entries: plan.entries, keys: plan.keys, shape }, say);
      return { title: "Large logs and snapshots", markdown: storageTable(data), data };
    }
    case "scale": {
      const data = await measureScale(plan.runtime, dir, plan.scale, say);
      return { title: "How cost grows", markdown: scaleTable(data), data };
    }
  }
}

async function measureLoads(
  title: string,
  run: (bytes: number, reads: boolean) => Promise<StagedLoad[]>,
): Promise<Measured> {
  const commands = await run(256, false);
  const data = {
    "apply, 16 B": await run(16, false),
    "apply, 256 B": commands,
    "apply, 4 KiB": await run(4096, false),
    "read, linearizable": await run(256, true),
  };
  return { title, markdown: `${loadTable(data)}\n\n${stageTable(commands)}`, data };
}

await main();
