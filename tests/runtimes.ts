/**
 * How to run a script of the tests on each runtime. Only Deno can ask.
 *
 * @module
 */
import { findRunner } from "../tools/runners.ts";
import type { Runtime } from "./harness.ts";

/** A program and the arguments that come before the script's path. */
export interface ScriptRunner {
  readonly program: string;
  readonly args: readonly string[];
}

const ARGS: Readonly<Record<Runtime, readonly string[]>> = {
  deno: ["run", "--allow-all", "--no-check"],
  bun: ["run"],
  node: [],
};

/** Finds the runtime that is installed, else the one npm serves. */
export async function scriptRunner(runtime: Runtime): Promise<ScriptRunner> {
  const { program } = await findRunner(runtime);
  return { program, args: ARGS[runtime] };
}
