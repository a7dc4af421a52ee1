/**
 * Runs seeds of the simulator, or looks into one: `deno task sim --help`.
 *
 * @module
 */
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { describeConfig } from "../../src/testing/sim/report.ts";
import { runScript, runSeed } from "../../src/testing/sim/run.ts";
import type { Script } from "../../src/testing/sim/script.ts";
import { shrink } from "../../src/testing/sim/shrink.ts";
import { type Command, HELP, parseCommand, type SimRequest, UsageError, wordsOf } from "./args.ts";
import { missedMarks, runCampaign, SeedError } from "./campaign.ts";
import { commitName, explain, explainEndless, runRequest } from "./explain.ts";
import { describeScript, formatRegression, parseRegression } from "./regressions.ts";
import { describeRun, type Summary, type Totals } from "./summary.ts";

/** Between two lines that say how far it is. */
const progressMs = 10_000;

function main(command: Command): Promise<number> {
  switch (command.type) {
    case "help":
      console.log(HELP);
      return Promise.resolve(0);
    case "seeds":
      return runSeeds(command);
    case "replay":
      return replay(command.seed, command.request);
    case "script":
      return replayScript(command.path, command.request);
    case "shrink":
      return shrinkSeed(command);
  }
}

async function runSeeds(command: Extract<Command, { type: "seeds" }>): Promise<number> {
  const { start, request, hashes, marks } = command;
  const startedAt = performance.now();
  const outcome = await runCampaign(command, tellsProgress(command, startedAt)).catch((error) => {
    if (error instanceof SeedError) return error;
    throw error;
  });
  if (outcome instanceof SeedError) {
    console.log(await explainEndless(outcome, request));
    return 1;
  }
  const { failures, summaries, totals, jobs } = outcome;
  if (hashes) { for (const { seed, hash } of summaries) console.log(`${seed} ${hash}`); }
  if (failures.length > 0) console.log(await explain(failures[0]!.seed, request));
  if (!hashes) {
    const broken = failures.map(({ seed, invariant }) => `seed ${seed} breaks ${invariant}`);
    const verdict = broken.length === 0 ? "no violation" : broken.join(", ");
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(
      `${totals.seeds} seeds from ${start}: ${verdict}; ${totals.describe()}, ${seconds} s on ${jobs} cores, commit ${commitName()}`,
    );
  }
  if (marks) console.log(totals.describeMarks());
  if (failures.length > 0) return 1;
  const missed = missedMarks(totals, request);
  if (missed.length === 0) return 0;
  console.log(`So many seeds must come by every mark: ${missed.join(", ")} had no hit`);
  return 1;
}

/** Says now and then how far it is, and at once what fails. */
function tellsProgress({ seeds, minutes }: Extract<Command, { type: "seeds" }>, startedAt: number) {
  let saidAt = startedAt;
  return ({ seed, invariant }: Summary, soFar: Totals): void => {
    if (invariant !== undefined) console.log(`seed ${seed} breaks ${invariant}`);
    if (performance.now() - saidAt < progressMs) return;
    saidAt = performance.now();
    const of = minutes < Infinity ? `${((saidAt - startedAt) / 60_000).toFixed(1)} of ${minutes} minutes` : seeds;
    console.log(`${soFar.seeds} seeds of ${of}: ${soFar.describe()}`);
  };
}

async function replay(seed: number, request: SimRequest): Promise<number> {
  const report = await runSeed(seed, runRequest(request));
  console.log(`${describeRun(report)}\n  configuration ${describeConfig(report.config)}`);
  if (report.violation === undefined) {
    const { lines } = await runSeed(seed, { ...runRequest(request), keepsLines: true });
    console.log(`  last events:\n${lines.map((line) => `    ${line.slice(0, 600)}`).join("\n")}\n  no violation`);
    return 0;
  }
  console.log(await explain(seed, request));
  return 1;
}

async function replayScript(path: string, request: SimRequest): Promise<number> {
  const { invariant, what, script } = parseRegression(await readText(path), path);
  console.log(`${path}: ${invariant}, ${what}\n${describeScript(script)}`);
  const report = await runScript(script, { ...runRequest(request), keepsLines: true });
  console.log(`  last events:\n${report.lines.map((line) => `    ${line.slice(0, 600)}`).join("\n")}`);
  console.log(report.violation === undefined ? "  no violation" : `  ${report.violation.message}`);
  return report.violation === undefined ? 0 : 1;
}

async function shrinkSeed(command: Extract<Command, { type: "shrink" }>): Promise<number> {
  const { seed, request, tries: triesMax } = command;
  const { violation, script } = await runSeed(seed, runRequest(request));
  if (violation === undefined) {
    console.log(`seed ${seed}: no violation, so there is nothing to shrink`);
    return 0;
  }
  const { invariant, message } = violation;
  console.log(`seed ${seed}: ${message}\n  ${script.decisions.length} decisions, ${script.config.servers} servers`);
  let saidAt = performance.now();
  const run = (candidate: Script) => runScript(candidate, runRequest(request));
  const onProgress = ({ decisions, config }: Script, tries: number) => {
    if (performance.now() - saidAt < progressMs) return;
    saidAt = performance.now();
    console.log(`  after ${tries} runs: ${decisions.length} decisions, ${config.servers} servers`);
  };
  const shrunk = await shrink(script, { run, invariant, triesMax, onProgress });
  if (shrunk === undefined) {
    console.log(`  Its decisions alone do not break ${invariant}: only the seed does`);
    return 1;
  }
  const what = shrunk.report.violation!.message;
  const out = command.out ?? fileURLToPath(new URL(`./regressions/${invariant}-seed-${seed}.json`, import.meta.url));
  await writeFile(out, formatRegression({ invariant, what, script: shrunk.script }));
  console.log(`  ${what}\n${describeScript(shrunk.script)}\n  after ${shrunk.tries} runs; written to ${out}`);
  console.log(`  replay: deno task sim --script ${out}${wordsOf({ bug: request.bug })}`);
  return 1;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read the script ${path}: ${(error as Error).message}`);
  }
}

try {
  process.exitCode = await main(parseCommand(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error);
  process.exitCode = 2;
}
