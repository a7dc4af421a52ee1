/**
 * A failure in words: what broke, the last events, and what to type next.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { drawConfig } from "../../src/testing/sim/config.ts";
import { Random } from "../../src/testing/sim/random.ts";
import { describeConfig, describeFailure } from "../../src/testing/sim/report.ts";
import { type RunRequest, runSeed } from "../../src/testing/sim/run.ts";
import { type SimRequest, wordsOf } from "./args.ts";
import { distortionOf } from "./bugs.ts";
import type { SeedError } from "./campaign.ts";
import { lastEvents, type Watching } from "./last_events.ts";

/** Runs the seed once more and says everything about its failure. */
export async function explain(seed: number, request: SimRequest): Promise<string> {
  const report = await runSeed(seed, runRequest(request));
  const words = wordsOf(request);
  return [
    await describeFailure(report, runRequest(request), `deno task sim --seed ${seed}${words}`),
    `  shrink: deno task sim --shrink ${seed}${words}`,
    `  commit: ${commitName()}`,
  ].join("\n");
}

/** The same of a seed that has no end: it is watched as it is run once more. */
export async function explainEndless(
  { seed, message }: SeedError,
  request: SimRequest,
  watching?: Watching,
): Promise<string> {
  const [end, lines] = await lastEvents(seed, request, watching);
  return [
    `seed ${seed}: S0: ${message}`,
    `  configuration ${describeConfig(drawConfig(Random.seeded(seed).split("config"), request))}`,
    `  last events:`,
    ...lines.map((line) => `    ${line}`),
    `  run once more: ${end}`,
    `  replay: deno task sim --seed ${seed}${wordsOf(request)}`,
    `  commit: ${commitName()}`,
  ].join("\n");
}

/** The commit that runs, and whether anything was changed since. */
export function commitName(): string {
  return git("describe", "--always", "--dirty") ?? "unknown";
}

/** What the simulator takes. */
export function runRequest({ bug, ...request }: SimRequest): RunRequest {
  return { ...request, distort: distortionOf(bug) };
}

/** Seeds that no commit before had: the first is drawn from its name. */
export function freshStart(commit: string | undefined = git("rev-parse", "HEAD")): number {
  return commit === undefined ? 0 : Number.parseInt(commit.slice(0, 10), 16);
}

function git(...args: string[]): string | undefined {
  const { stdout, status } = spawnSync("git", args, { encoding: "utf8" });
  return status === 0 && stdout.trim() !== "" ? stdout.trim() : undefined;
}
