/**
 * `deno task bench`: every figure that the README quotes, as Markdown on standard output and as JSON in a file.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { measureCluster } from "./cluster.ts";
import { measureDisk } from "./disk.ts";
import { measureFailover, measureHttp } from "./kv.ts";
import type { LoadResult, LoadShape } from "./load.ts";
import { measureMemory } from "./memory.ts";
import type { RuntimeName } from "./processes.ts";
import { diskTable, failoverLine, loadTable } from "./report.ts";

const help = `Measures this library on this machine.

Usage: deno task bench [options]

Options:
  --quick             A tenth of the time: to see that it works, not to quote.
  --only <parts>      Some of disk,memory,cluster,http,failover, separated by commas. Default: all.
  --runtime <name>    Where the servers run: deno, bun or node. Default: deno.
  --json <file>       Where the results go. Default: bench/out/bench.json.
  --dir <directory>   Where the measured logs live: on the disk to be measured. Default: bench/out.
  --help              Print this.
`;

const parts = ["disk", "memory", "cluster", "http", "failover"] as const;
type Part = (typeof parts)[number];

interface Plan {
  readonly only: ReadonlySet<Part>;
  readonly runtime: RuntimeName;
  readonly shapes: readonly LoadShape[];
  readonly trials: number;
  readonly json: string;
  readonly dir: string;
}

function readPlan(): Plan {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", default: parts.join(",") },
      runtime: { type: "string", default: "deno" },
      json: { type: "string", default: "bench/out/bench.json" },
      dir: { type: "string", default: "bench/out" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    process.exit(0);
  }
  const only = values.only.split(",");
  const unknown = only.find((part) => !(parts as readonly string[]).includes(part));
  if (unknown !== undefined) fail(`Cannot measure "${unknown}": there are ${parts.join(", ")}`);
  if (!["deno", "bun", "node"].includes(values.runtime)) fail(`Cannot run servers on "${values.runtime}"`);
  const measureMs = values.quick ? 300 : 3000;
  return {
    only: new Set(only as Part[]),
    runtime: values.runtime as RuntimeName,
    shapes: [1, 16, 64, 256, 1024].map((inFlight) => ({ inFlight, warmUpMs: measureMs / 3, measureMs })),
    trials: values.quick ? 2 : 10,
    json: values.json,
    dir: values.dir,
  };
}

function fail(message: string): never {
  process.stderr.write(`${message}\nTry --help\n`);
  process.exit(2);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<void> {
  const plan = readPlan();
  mkdirSync(plan.dir, { recursive: true });
  const dir = mkdtempSync(join(plan.dir, "run-"));
  const results: Record<string, unknown> = {};
  try {
    process.stdout.write(`${conditions(plan)}\n`);
    for (const part of parts) {
      if (!plan.only.has(part)) continue;
      say(`measuring: ${part} …`);
      const { title, markdown, data } = await measure(part, plan, join(dir, part));
      results[part] = data;
      process.stdout.write(`\n### ${title}\n\n${markdown}\n`);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  mkdirSync(dirname(plan.json), { recursive: true });
  writeFileSync(
    plan.json,
    JSON.stringify({ conditions: conditions(plan), at: new Date().toISOString(), results }, null, 2),
  );
  say(`wrote ${plan.json}`);
}

function conditions({ runtime }: Plan): string {
  const processor = cpus()[0]?.model ?? "unknown processor";
  return `${cpus().length} × ${processor}, ${process.platform}, servers on ${runtime}, codec: raw bytes, ` +
    `envelopes: ${codecName()}; medians move by 30 % from hour to hour on shared machines`;
}

/** Which msgpack is measured: the real `@std/msgpack` encodes more slowly than the stand-in used where JSR is out of reach. */
function codecName(): string {
  return import.meta.resolve("@std/msgpack").startsWith("file:") ? "stand-in for @std/msgpack" : "@std/msgpack";
}

interface Measured {
  readonly title: string;
  readonly markdown: string;
  readonly data: unknown;
}

async function measure(part: Part, plan: Plan, dir: string): Promise<Measured> {
  mkdirSync(dir, { recursive: true });
  switch (part) {
    case "disk": {
      const data = measureDisk(dir, plan.shapes[0]!.measureMs);
      return { title: "The disk", markdown: diskTable(data), data };
    }
    case "memory":
      return measureLoads(
        "Three servers in one process, memory parts",
        (bytes, reads) => measureMemory(plan.shapes, bytes, reads),
      );
    case "cluster":
      return measureLoads(
        "Three processes, TCP, write-ahead logs with fdatasync",
        (bytes, reads) => measureCluster(plan.runtime, join(dir, `${bytes}-${reads}`), plan.shapes, bytes, reads),
      );
    case "http": {
      const data = await measureHttp(plan.runtime, dir, plan.shapes, 256);
      const rows = { "PUT, 256 B": data.put, "GET, linearizable": data.get };
      return { title: "The key-value example over HTTP", markdown: loadTable(rows), data };
    }
    case "failover": {
      const data = await measureFailover(plan.runtime, dir, plan.trials);
      return { title: "Failover", markdown: failoverLine(data), data };
    }
  }
}

async function measureLoads(
  title: string,
  run: (bytes: number, reads: boolean) => Promise<LoadResult[]>,
): Promise<Measured> {
  const data = {
    "apply, 16 B": await run(16, false),
    "apply, 256 B": await run(256, false),
    "read, linearizable": await run(256, true),
  };
  return { title, markdown: loadTable(data), data };
}

await main();
