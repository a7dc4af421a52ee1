/**
 * The gate: everything that must hold before a commit and can be told without running the code. It changes no file.
 *
 *     deno task ok
 *
 * @module
 */
import { withConfig } from "./config.ts";
import { ROOT } from "./paths.ts";

interface Step {
  readonly name: string;
  run(): Promise<Outcome>;
}

interface Outcome {
  readonly success: boolean;
  readonly output: string;
}

const STEPS: readonly Step[] = [
  { name: "fmt", run: () => deno("fmt", "--check") },
  { name: "lint", run: () => deno("lint") },
  { name: "check", run: () => deno("check", "--doc") },
  {
    name: "check for the browser",
    run: () => withConfig(forTheBrowser, (path) => deno("check", `-c=${path}`, NO_LOCK, "mod.ts")),
  },
  { name: "doc", run: async () => deno("doc", "--lint", ...await entryPoints()) },
  { name: "publish", run: () => withConfig(withStandIns, (path) => deno("publish", `-c=${path}`, ...DRY_RUN)) },
];

/** With another configuration than the project's, the lock file would be changed. */
const NO_LOCK = "--no-lock";

const DRY_RUN = ["--dry-run", "--allow-dirty", NO_LOCK];

interface Config {
  exports: Record<string, string>;
  publish: { include: string[] };
  compilerOptions: Record<string, unknown>;
}

async function entryPoints(): Promise<string[]> {
  const config = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`)) as Config;
  return Object.values(config.exports);
}

/** mod.ts and all it imports may use what a browser has, nothing of Deno's. */
function forTheBrowser(config: Record<string, unknown>): void {
  const { compilerOptions } = config as unknown as Config;
  compilerOptions.lib = ["dom", "dom.iterable", "dom.asynciterable", "esnext"];
}

/** The dry run resolves `links` and then calls the stand-ins excluded modules, unless the package holds them. */
function withStandIns(config: Record<string, unknown>): void {
  const { publish } = config as unknown as Config;
  publish.include.push("offline/**");
}

async function deno(...args: string[]): Promise<Outcome> {
  const env = { DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", RUST_BACKTRACE: "0" };
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env, stdin: "null" });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  // The names of the files that were checked hide the few lines that matter.
  return { success, output: output.replace(/^Check .*\n/gm, "") };
}

let failures = 0;
for (const step of STEPS) {
  const start = performance.now();
  const { success, output } = await step.run();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${success ? "ok    " : "FAILED"} ${step.name} (${seconds} s)`);
  if (!success) {
    failures += 1;
    console.log(output);
  }
}
Deno.exit(failures === 0 ? 0 : 1);
