/**
 * Finds the programs that run a server: an installed runtime, else the one that npm serves.
 *
 * @module
 */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Runtime, runtime as thisRuntime } from "./listen.ts";

/** The root of the repository. */
export const ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const MAIN = join(ROOT, "examples/kv/main.ts");

/** The command line that starts a server on that runtime, up to the server's own arguments. */
export async function serverCommand(runtime: Runtime): Promise<readonly string[]> {
  const program = await programOf(runtime);
  return runtime === "deno" ? [program, "run", "-A", "--quiet", MAIN] : [program, MAIN];
}

/** Where that runtime's program is, with all that a server needs installed. Never a launcher: it may be killed. */
export async function programOf(runtime: Runtime): Promise<string> {
  if (runtime !== "deno") await installPackages();
  return await locate(runtime);
}

async function locate(runtime: Runtime): Promise<string> {
  // Bun and Deno have a newer Node's abilities, whatever version they name.
  if (runtime === thisRuntime && (runtime !== "node" || stripsTypes(process.versions.node))) return process.execPath;
  const program = await ask(runtime, []) ?? await ask("npx", ["-y", runtime === "node" ? "node@24" : runtime]);
  if (program !== undefined) return program;
  throw new Error(`Cannot start ${runtime}: neither an installed one nor npx -y ${runtime} could be started`);
}

/** Where the program is that this command starts; undefined when there is none or it is too old. */
async function ask(command: string, args: readonly string[]): Promise<string | undefined> {
  // Deno has no -p, and all three have eval in this or that form: `-p` is Node's and Bun's.
  const isDeno = command === "deno" || args.includes("deno");
  const script = "process.execPath + ' ' + process.versions.node";
  const question = isDeno ? ["eval", `console.log(${script})`] : ["-p", script];
  const output = await new Promise<string>((resolve) => {
    execFile(command, [...args, ...question], { cwd: ROOT }, (error, stdout) => resolve(error ? "" : stdout));
  });
  const [, program, version] = /^(.+) (\d\S*)$/.exec(output.trim()) ?? [];
  if (program === undefined || version === undefined) return undefined;
  return command === "node" && !stripsTypes(version) ? undefined : program;
}

// Node runs TypeScript as it is from here on.
function stripsTypes(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}

/** Bun and Node find packages in node_modules only. */
async function installPackages(): Promise<void> {
  // npm writes it as its last step.
  if (existsSync(join(ROOT, "node_modules/.package-lock.json"))) return;
  process.stderr.write("npm ci: the packages that Bun and Node need are not installed yet\n");
  const child = spawn("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: ROOT, stdio: "inherit" });
  const code = await new Promise((resolve) => child.once("error", resolve).once("close", resolve));
  if (code !== 0) throw new Error(`Cannot install the packages: npm ci ended with ${code}`);
}
