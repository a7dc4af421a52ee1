/**
 * How many branches of src/core the simulator alone takes: `deno task sim:coverage [--seeds N] [--start N]`. Ends with
 * status 1 when they are too few.
 *
 * The branches are those of the source; the counts come from Node, which blanks types out and so keeps every offset.
 * Assertions (`invariant(…)`) are left out: their other branch is a bug.
 *
 * @module
 */
import { withConfig } from "../../tools/config.ts";
import type { Branch } from "../../tools/branch_plugin.ts";
import { ROOT } from "../../tools/paths.ts";
import { findRunner } from "../../tools/runners.ts";

const folder = "src/core";

/** The least part of the branches that must be taken. */
const leastPart = 0.95;

/** A file's branches. */
export interface FileBranches {
  readonly path: string;
  readonly branches: readonly Branch[];
}

/** One of V8's ranges: what is in it, and in no smaller one, ran so often. */
export interface CountedRange {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** How often what is at an offset ran. */
export function countAt(ranges: readonly CountedRange[], offset: number): number {
  let found: CountedRange | undefined;
  for (const range of ranges) {
    if (offset < range.startOffset || offset >= range.endOffset) continue;
    const size = range.endOffset - range.startOffset;
    if (found === undefined || size <= found.endOffset - found.startOffset) found = range;
  }
  return found?.count ?? 0;
}

/** Whether a branch was taken. */
export function isTaken(ranges: readonly CountedRange[], { from, to, rest, again }: Branch): boolean {
  const count = countAt(ranges, to);
  const decided = countAt(ranges, from) + (again === undefined ? 0 : countAt(ranges, again));
  return rest ? decided > count : count > 0;
}

/** All branches below the folder, assertions left out. */
export async function findBranches(): Promise<FileBranches[]> {
  const output = await withConfig((config) => {
    config.lint = { plugins: ["./tools/branch_plugin.ts"], rules: { tags: [], include: ["branches/branches"] } };
  }, async (config) => {
    const args = ["lint", "--json", `--config=${config}`, folder];
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
    const text = new TextDecoder().decode(stdout);
    if (!text.startsWith("{")) throw new Error(`Cannot lint ${folder}: ${new TextDecoder().decode(stderr)}`);
    return JSON.parse(text) as { diagnostics: { filename: string; message: string }[] };
  });
  const files = new Map<string, Branch[]>();
  for (const { filename, message } of output.diagnostics) {
    const path = `${folder}/${filename.split(`${folder}/`)[1]}`;
    if (path.endsWith("/invariant.ts") || !message.startsWith("{")) continue;
    const branches = files.get(path) ?? [];
    files.set(path, branches);
    branches.push(JSON.parse(message));
  }
  return [...files].map(([path, branches]) => ({ path, branches: branches.sort((a, b) => a.at - b.at) }));
}

/** Runs the simulator on Node and returns V8's ranges of each file below the folder. */
async function measure(args: readonly string[]): Promise<Map<string, CountedRange[]>> {
  const { program } = await findRunner("node");
  const out = await Deno.makeTempDir({ prefix: "raft-coverage-" });
  try {
    const command = new Deno.Command(program, {
      args: ["tests/sim/main.ts", "--jobs", "1", ...args],
      cwd: ROOT,
      env: { NODE_V8_COVERAGE: out, NO_COLOR: "1" },
      stdout: "inherit",
      stderr: "inherit",
    });
    const { success } = await command.output();
    if (!success) throw new Error("the seeds did not pass");
    const counts = new Map<string, CountedRange[]>();
    for await (const { name } of Deno.readDir(out)) await read(`${out}/${name}`, counts);
    return counts;
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

async function read(path: string, into: Map<string, CountedRange[]>): Promise<void> {
  interface Script {
    readonly url: string;
    readonly functions: readonly { readonly ranges: readonly CountedRange[] }[];
  }
  const { result } = JSON.parse(await Deno.readTextFile(path)) as { result: Script[] };
  for (const { url, functions } of result) {
    const name = url.split(`/${folder}/`)[1];
    if (name === undefined || into.has(`${folder}/${name}`)) continue;
    into.set(`${folder}/${name}`, functions.flatMap(({ ranges }) => ranges));
  }
}

async function main(args: readonly string[]): Promise<void> {
  const files = await findBranches();
  const counts = await measure(args.length === 0 ? ["--seeds", "200"] : args);
  let [all, taken] = [0, 0];
  const [missed, table]: [string[], string[]] = [[], []];
  for (const { path, branches } of files) {
    const ranges = counts.get(path) ?? [];
    const source = await Deno.readTextFile(`${ROOT}/${path}`);
    const ofFile = branches.filter((branch) => isTaken(ranges, branch)).length;
    missed.push(...branches.filter((branch) => !isTaken(ranges, branch)).map((it) => describe(path, source, it)));
    table.push(`${path.padEnd(32)} ${String(ofFile).padStart(4)} of ${branches.length}`);
    all += branches.length;
    taken += ofFile;
  }
  for (const line of [...missed, "", ...table]) console.log(line);
  console.log(`${taken} of ${all} branches of ${folder} are taken: ${(taken / all * 100).toFixed(1)} %`);
  if (taken >= all * leastPart) return;
  console.error(`that is less than ${leastPart * 100} %`);
  Deno.exit(1);
}

function describe(path: string, source: string, { kind, at }: Branch): string {
  const line = source.slice(0, at).split("\n").length;
  return `${path}:${line} ${kind.padEnd(8)} ${source.split("\n")[line - 1]!.trim()}`;
}

if (import.meta.main) await main(Deno.args);
