/**
 * How the suite is started on each runtime: the one that is installed, else the one npm serves.
 *
 * @module
 */
import { ROOT } from "./paths.ts";

/** A runtime the suite runs on. */
export type RuntimeName = "deno" | "bun" | "node";

/** The runtimes, in the order in which they run. */
export const RUNTIMES: readonly RuntimeName[] = ["deno", "bun", "node"];

/** How a run is to be made. */
export interface RunOptions {
  /** The test files, seen from the root. */
  readonly files: readonly string[];
  /** Where the runner writes its JUnit report. */
  readonly reportPath: string;
  /** Deno: the configuration instead of deno.json. */
  readonly config?: string | undefined;
  /** Deno: run files side by side. */
  readonly parallel?: boolean | undefined;
  /** Name every test instead of drawing a dot for it. */
  readonly verbose?: boolean | undefined;
}

/** A program that can run the suite. */
export interface Runner {
  /** What it is, with its version. */
  readonly title: string;
  /** The program. */
  readonly program: string;
  /** Its arguments for a run. */
  args(options: RunOptions): string[];
}

/** Finds the runner of a runtime. */
export async function findRunner(runtime: RuntimeName): Promise<Runner> {
  if (runtime === "deno") return { title: `deno ${Deno.version.deno}`, program: Deno.execPath(), args: denoArgs };
  if (runtime === "bun") return await locate("bun", "bun", () => true, bunArgs);
  return await locate("node", "node@24", stripsTypes, nodeArgs);
}

function denoArgs({ files, reportPath, config, parallel, verbose }: RunOptions): string[] {
  return [
    ...["test", "--allow-all", "--no-check", `--junit-path=${reportPath}`],
    ...verbose ? [] : ["--reporter=dot"],
    // Another configuration resolves other packages: they have no place in the lock file.
    ...config === undefined ? [] : [`--config=${config}`, "--no-lock"],
    ...parallel ? ["--parallel"] : [],
    ...files,
  ];
}

function bunArgs({ files, reportPath, verbose }: RunOptions): string[] {
  return [
    ...["test", "--reporter=junit", `--reporter-outfile=${reportPath}`],
    ...verbose ? [] : ["--dots"],
    // Without the dot Bun takes a name for a pattern.
    ...files.map((file) => `./${file}`),
  ];
}

function nodeArgs({ files, reportPath, verbose }: RunOptions): string[] {
  return [
    ...["--test", `--test-reporter=${verbose ? "spec" : "dot"}`, "--test-reporter-destination=stdout"],
    ...["--test-reporter=junit", `--test-reporter-destination=${reportPath}`],
    ...files,
  ];
}

/** Finds an installed program, else the one of an npm package, and asks it where it is and which version it has. */
async function locate(
  name: string,
  npmPackage: string,
  isUsable: (version: string) => boolean,
  args: Runner["args"],
): Promise<Runner> {
  const question = ["-p", "process.execPath + '\\n' + (process.versions.bun ?? process.versions.node)"];
  const installed = await ask(name, question);
  const answer = installed !== undefined && isUsable(installed.version)
    ? installed
    : await ask("npx", ["-y", npmPackage, ...question]);
  if (answer === undefined) throw new Error(`neither an installed ${name} nor npx -y ${npmPackage} could be started`);
  return { title: `${name} ${answer.version}`, program: answer.program, args };
}

async function ask(command: string, args: string[]): Promise<{ program: string; version: string } | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(command, { args, cwd: ROOT, stderr: "null" }).output();
    const [version, program] = new TextDecoder().decode(stdout).trim().split("\n").reverse();
    return success && program !== undefined && version !== undefined ? { program, version } : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

// Node runs TypeScript unbuilt and without a warning from here on.
function stripsTypes(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}
