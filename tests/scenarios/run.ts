/**
 * Scripts outside the suite: runs them, or records anew what they lead to.
 *
 * @module
 */
import { usages } from "./commands.ts";
import { readScript, scriptNames, writeScript } from "./files.ts";
import { check, record, ScriptFailure } from "./script.ts";

/**
 * Runs all scripts or those named; with `--rewrite` records what they lead to.
 *
 * @returns The exit status: 0 all as recorded, 1 a script failed, 2 wrong arguments.
 */
export function run(args: readonly string[], print: (line: string) => void): number {
  const rewrite = args.includes("--rewrite");
  const flag = args.find((arg) => arg.startsWith("-") && arg !== "--rewrite");
  if (flag !== undefined) {
    if (flag !== "--help") print(`unknown option "${flag}"`);
    print(`usage: deno task scenarios [--rewrite] [name …]\n\ncommands of a script:\n${usages()}`);
    return flag === "--help" ? 0 : 2;
  }
  const all = scriptNames();
  // As a shell completes it, too: tests/scenarios/name.txt.
  const names = args.filter((arg) => arg !== "--rewrite").map((arg) => arg.replace(/^.*\//, "").replace(/\.txt$/, ""));
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined) {
    print(`there is no scenario "${unknown}"; there are\n${all.map((name) => `  ${name}`).join("\n")}`);
    return 2;
  }
  const chosen = names.length === 0 ? all : names;
  const failed = chosen.filter((name) => !runOne(name, rewrite, print));
  print(`${chosen.length - failed.length} scenarios passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

function runOne(name: string, rewrite: boolean, print: (line: string) => void): boolean {
  const text = readScript(name);
  try {
    if (!rewrite) check(name, text);
    else {
      const recorded = record(name, text);
      if (recorded !== text) {
        writeScript(name, recorded);
        print(`rewrote ${name}: read the difference`);
      }
    }
    return true;
  } catch (error) {
    if (!(error instanceof ScriptFailure)) throw error;
    print(error.message);
    return false;
  }
}
