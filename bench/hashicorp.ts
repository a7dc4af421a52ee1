/**
 * hashicorp/raft, two versions of it: built from `peers/hashicorp` where there is Go.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { scriptPath } from "./processes.ts";

/** A version, and the file that says which modules it is built from. */
const versions = [
  { name: "hashicorp/raft v1.7.3", file: "new", modFile: "go.mod" },
  { name: "hashicorp/raft v1.1.2", file: "old", modFile: "old.mod" },
] as const;

const buildWithinMs = 10 * 60_000;

/** Programs that take the same command line and jobs as `server.ts`, by what they measure. */
export type PeerPrograms = Readonly<Record<string, readonly string[]>>;

/** The version of Go, or undefined where there is none. */
export async function goVersion(): Promise<string | undefined> {
  const { output, failed } = await go(["version"], process.cwd());
  return failed ? undefined : /go(\d\S*)/.exec(output)?.[1];
}

/** Builds both into `dir`. Modules come from Go's module proxy, at the versions and hashes of the files beside them. */
export async function buildHashicorp(dir: string): Promise<PeerPrograms> {
  mkdirSync(dir, { recursive: true });
  const programs: Record<string, readonly string[]> = {};
  for (const { name, file, modFile } of versions) {
    const path = resolve(join(dir, `hashicorp-${file}`));
    const args = ["build", `-modfile=${modFile}`, "-trimpath", "-o", path, "."];
    const { output, failed } = await go(args, scriptPath("./peers/hashicorp"));
    if (failed) throw new Error(`Cannot build ${name}: ${output.trim()}`);
    programs[name] = [path];
  }
  return programs;
}

function go(args: readonly string[], cwd: string): Promise<{ readonly output: string; readonly failed: boolean }> {
  const env = { ...process.env, CGO_ENABLED: "0" };
  return new Promise((resolve) => {
    execFile("go", args, { cwd, env, timeout: buildWithinMs }, (error, stdout, stderr) => {
      resolve({ output: stdout + stderr, failed: error !== null });
    });
  });
}
