/**
 * Runs seeds of the simulator, or replays one: `deno task sim --help`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Fault, FAULTS } from "../../src/testing/sim/config.ts";
import { describeConfig, describeFailure } from "../../src/testing/sim/report.ts";
import { type RunReport, type RunRequest, runSeed } from "../../src/testing/sim/run.ts";

const help = `deno task sim [options]

  --seeds N      how many seeds to run (100)
  --start N      the first one (0)
  --seed N       replays one seed and says what it was like
  --minutes M    stops after this long
  --servers N    1 to 7; drawn by default
  --steps N      steps of all cores until the faults end (20000)
  --faults A,B   only these faults: ${FAULTS.join(", ")}
  --store S      wal or memory; drawn by default
  --hashes       prints a line with seed and trace hash for each
`;

interface Options {
  readonly start: number;
  readonly seeds: number;
  readonly isReplay: boolean;
  readonly minutes: number;
  readonly hashes: boolean;
  readonly request: RunRequest;
}

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  if (options === undefined) return 0;
  const { start, seeds, minutes, request, hashes, isReplay } = options;
  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 1000;
  let [ran, events, steps, saidAt] = [0, 0, 0, 0];
  for (let seed = start; seed < start + seeds && elapsed() < minutes * 60; seed++) {
    const report = await runSeed(seed, request);
    ran++;
    events += report.events;
    steps += report.steps;
    if (hashes) console.log(`${seed} ${report.hash}`);
    if (isReplay) console.log(describe(report));
    if (report.violation !== undefined) {
      console.log(await describeFailure(report, request, replayCommand(seed, request)));
      console.log(`  commit: ${commit()}`);
      return 1;
    }
    if (elapsed() - saidAt < 10) continue;
    saidAt = elapsed();
    console.log(`${ran} of ${seeds} seeds, ${Math.round(events / elapsed())} events/s`);
  }
  if (!hashes) {
    console.log(
      `${ran} seeds from ${start}: no violation; ${events} events, ${steps} steps, ${
        Math.round(events / elapsed())
      } events/s`,
    );
  }
  return 0;
}

function describe(report: RunReport): string {
  const { seed, events, steps, timeMs, entries, operations, elections, crashes, hash, config } = report;
  return `seed ${seed}: ${events} events, ${steps} steps, ${
    (timeMs / 1000).toFixed(1)
  } virtual seconds, ${entries} entries, ` +
    `${operations} calls, ${elections} leaders, ${crashes} crashes, hash ${hash}\n  ${describeConfig(config)}`;
}

function replayCommand(seed: number, { servers, steps, faults, store }: RunRequest): string {
  const options = { seed, servers, steps, faults: faults?.join(","), store };
  const words = Object.entries(options).filter(([, value]) => value !== undefined).map(([key, value]) =>
    `--${key} ${value}`
  );
  return `deno task sim ${words.join(" ")}`;
}

function commit(): string {
  const { stdout } = spawnSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" });
  return stdout?.trim() || "unknown";
}

function parse(args: string[]): Options | undefined {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...{ seeds: text, start: text, seed: text, minutes: text, servers: text, steps: text, faults: text, store: text },
      hashes: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) {
    console.log(help);
    return undefined;
  }
  const isReplay = values.seed !== undefined;
  return {
    isReplay,
    start: isReplay ? integer("seed", values.seed!) : integer("start", values.start ?? "0"),
    seeds: isReplay ? 1 : integer("seeds", values.seeds ?? (values.minutes === undefined ? "100" : "1000000000")),
    minutes: values.minutes === undefined ? Infinity : Number(values.minutes),
    hashes: values.hashes ?? false,
    request: {
      servers: values.servers === undefined ? undefined : integer("servers", values.servers),
      steps: values.steps === undefined ? undefined : integer("steps", values.steps),
      faults: values.faults === undefined ? undefined : values.faults.split(",").filter(Boolean).map(fault),
      store: values.store === undefined ? undefined : store(values.store),
    },
  };
}

function integer(name: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Error(`Cannot use --${name} ${text}: it must be an integer of at least 0`);
}

function fault(text: string): Fault {
  const found = FAULTS.find((name) => name === text);
  if (found !== undefined) return found;
  throw new Error(`Cannot use --faults ${text}: faults are ${FAULTS.join(", ")}`);
}

function store(text: string): "wal" | "memory" {
  if (text === "wal" || text === "memory") return text;
  throw new Error(`Cannot use --store ${text}: it must be wal or memory`);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}
