/**
 * Runs the suite on Deno, Bun and Node and ends with the line `N passed, N failed`, summed over the three.
 *
 *     deno task test [--only deno|bun|node] [--parallel] [--verbose] [--jsr] [--campaign] [part of a path …]
 *
 * With more than one core Bun and Node run beside Deno, unless `--verbose` shows what each prints.
 * `--campaign` then runs the simulator with many seeds that no commit before had, on all cores; CI does.
 * `--jsr` is behind `deno task test:jsr`: Deno only, against the real @std packages instead of offline/.
 *
 * @module
 */
import { withConfig } from "./config.ts";
import { type Counts, countTestCases } from "./junit.ts";
import { ROOT } from "./paths.ts";
import { findRunner, type RuntimeName, RUNTIMES } from "./runners.ts";

interface Request {
  readonly runtimes: readonly RuntimeName[];
  readonly filters: readonly string[];
  readonly parallel: boolean;
  readonly verbose: boolean;
  readonly jsr: boolean;
  readonly campaign: boolean;
}

// No file of the suite: what it runs differs from commit to commit.
const CAMPAIGN = "tests/sim/fresh_seeds.ts";

// Each keeps about one core busy, and Deno takes as long as the other two.
const LANES: readonly (readonly RuntimeName[])[] = [["deno"], ["bun", "node"]];

// A runner that still runs then is stuck, most likely on a socket or process a test left open.
const RUNNER_TIMEOUT_MS = 20 * 60_000;

async function main(): Promise<Counts> {
  const request = parseArguments(Deno.args);
  const files = await testFiles(request.filters);
  if (files.length === 0) throw new Error(`no test file matches ${request.filters.join(" ")}`);
  await installPackages();
  // What several print as they go nobody could read.
  const lanes = navigator.hardwareConcurrency > 1 && !request.verbose ? LANES : [RUNTIMES];
  const results = (await Promise.all(lanes.map((lane) => runLane(lane, files, request)))).flat();
  if (request.campaign) results.push(await runGuarded("deno", [CAMPAIGN], { ...request, verbose: true }));
  const sum = results.reduce((a, b) => ({
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  }));
  // Some files are for one runtime, so an empty run is an error only where all files were asked for.
  const isEmpty = (result: Counts) => result.passed + result.failed + result.skipped === 0;
  const emptyRuns = request.filters.length === 0 || isEmpty(sum) ? results.filter(isEmpty).length : 0;
  if (emptyRuns > 0) console.log(`${emptyRuns} of ${results.length} runtimes ran no test: counted as failed`);
  return { ...sum, failed: sum.failed + emptyRuns };
}

function parseArguments(args: readonly string[]): Request {
  const rest = [...args];
  const takeFlag = (name: string) => rest.includes(name) && rest.splice(rest.indexOf(name), 1).length > 0;
  const [parallel, verbose, jsr] = [takeFlag("--parallel"), takeFlag("--verbose"), takeFlag("--jsr")];
  const campaign = takeFlag("--campaign");
  const only: string[] = [];
  for (let at = rest.findIndex(isOnly); at >= 0; at = rest.findIndex(isOnly)) {
    const [flag = ""] = rest.splice(at, 1);
    only.push(flag.includes("=") ? flag.slice("--only=".length) : rest.splice(at, 1)[0] ?? "");
  }
  const unknown = only.find((name) => !RUNTIMES.includes(name as RuntimeName)) ??
    rest.find((arg) => arg.startsWith("-"));
  if (unknown !== undefined) throw new Error(`unknown: ${unknown || "--only without a runtime"}`);
  const wanted = jsr ? ["deno"] : only.length > 0 ? only : RUNTIMES;
  return {
    runtimes: RUNTIMES.filter((name) => wanted.includes(name)),
    filters: rest,
    parallel,
    verbose,
    jsr,
    campaign,
  };
}

function isOnly(arg: string): boolean {
  return arg === "--only" || arg.startsWith("--only=");
}

async function testFiles(filters: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for await (const entry of Deno.readDir(`${ROOT}/${folder}`)) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) await visit(path);
      else if (entry.name.endsWith("_test.ts")) files.push(path);
    }
  };
  await visit("tests");
  const wanted = filters.map((filter) => filter.replace(/^\.\//, ""));
  return files.filter((file) => wanted.length === 0 || wanted.some((filter) => file.includes(filter))).sort();
}

/** Runs the suite on those of these runtimes that are wanted, one after the other. */
async function runLane(lane: readonly RuntimeName[], files: readonly string[], request: Request): Promise<Counts[]> {
  const results: Counts[] = [];
  for (const runtime of lane.filter((name) => request.runtimes.includes(name))) {
    results.push(await runGuarded(runtime, files, request));
  }
  return results;
}

async function runGuarded(runtime: RuntimeName, files: readonly string[], request: Request): Promise<Counts> {
  try {
    return request.jsr
      ? await withConfig(withoutLinks, (config) => run(runtime, files, request, config))
      : await run(runtime, files, request);
  } catch (error) {
    console.log(`${runtime}: ${(error as Error).message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

async function run(
  runtime: RuntimeName,
  files: readonly string[],
  { parallel, verbose }: Request,
  config?: string,
): Promise<Counts> {
  const runner = await findRunner(runtime);
  const reportPath = await Deno.makeTempFile({ prefix: "raft-", suffix: ".xml" });
  console.log(`\n${runner.title}: ${files.length} files`);
  const start = performance.now();
  try {
    const args = runner.args({ files, reportPath, config, parallel, verbose });
    const exit = await spawn(runner.program, args, verbose);
    const counts = countTestCases(await Deno.readTextFile(reportPath));
    // A runner may die, or fail a file before its first test, without a word in its report.
    const died = exit !== 0 && counts.failed === 0;
    if (died) console.log(`${runner.title} ended with ${exit} without naming a failed test: counted as failed`);
    const failed = counts.failed + (died ? 1 : 0);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${runner.title}: ${counts.passed} of its tests passed, ${failed} failed in ${seconds} s`);
    if (counts.skipped > 0) {
      console.log(`${counts.skipped} of its tests were skipped: this machine has not what they need`);
    }
    return { ...counts, failed };
  } finally {
    await Deno.remove(reportPath);
  }
}

/** Runs a program to its end; without `verbose` its output appears only if it fails. */
async function spawn(program: string, args: string[], verbose: boolean): Promise<number | string> {
  const env = { DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", RUST_BACKTRACE: "0" };
  const stdio = verbose ? "inherit" : "piped";
  const child = new Deno.Command(program, { args, cwd: ROOT, env, stdin: "null", stdout: stdio, stderr: stdio })
    .spawn();
  let isStuck = false;
  const timer = setTimeout(() => {
    isStuck = true;
    child.kill("SIGKILL");
  }, RUNNER_TIMEOUT_MS);
  const output: string[] = [];
  if (!verbose) await Promise.all([collect(child.stdout, output), collect(child.stderr, output)]);
  const { success, code, signal } = await child.status;
  clearTimeout(timer);
  // Deno draws its dots below each other.
  if (!success) console.log(output.join("").replace(/^[.,!]?\r?\n/gm, ""));
  return isStuck ? `a timeout of ${RUNNER_TIMEOUT_MS / 1000} s` : signal ?? code;
}

async function collect(stream: ReadableStream<Uint8Array>, into: string[]): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) into.push(text);
}

/** Bun and Node find packages in node_modules only. Deno needs none, but its tests start processes on the others. */
async function installPackages(): Promise<void> {
  if (await isInstalled()) return;
  console.log("\nnpm ci: node_modules is missing or older than package-lock.json");
  const npm = Deno.build.os === "windows" ? "npm.cmd" : "npm";
  const exit = await spawn(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], false);
  if (exit !== 0) throw new Error(`npm ci ended with ${exit}`);
}

async function isInstalled(): Promise<boolean> {
  try {
    // npm writes it as its last step.
    const installed = await Deno.stat(`${ROOT}/node_modules/.package-lock.json`);
    const locked = await Deno.stat(`${ROOT}/package-lock.json`);
    return installed.mtime!.getTime() >= locked.mtime!.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function withoutLinks(config: Record<string, unknown>): void {
  delete config.links;
}

let total: Counts;
try {
  total = await main();
} catch (error) {
  console.log((error as Error).message);
  total = { passed: 0, failed: 1, skipped: 0 };
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
Deno.exit(total.failed === 0 ? 0 : 1);
