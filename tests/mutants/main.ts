/**
 * Puts bugs that other Rafts had into copies of the code, and sees to it that the simulator finds each:
 * `deno task mutants --help`.
 *
 * @module
 */
import { writeFile } from "node:fs/promises";
import process from "node:process";
import { type Command, HELP, parseCommand, UsageError } from "./args.ts";
import { huntAll, isKilled } from "./hunt.ts";
import { MUTANTS } from "./list/all.ts";
import { describeTable, describeVerdict } from "./table.ts";
import { Tree } from "./tree.ts";
import { findTypeErrors } from "./types.ts";

async function main(command: Command): Promise<number> {
  if (command.type === "help") {
    console.log(HELP);
    return 0;
  }
  if (command.type === "list") {
    for (const { id, bug, file, why } of MUTANTS) console.log(`${id} (${bug}, ${file}): ${why}`);
    return 0;
  }
  const { mutants, starts, budget, jobs, json, isChecked } = command;
  const startedAt = performance.now();
  if (isChecked && !await areTypesRight(command)) return 1;
  let done = 0;
  const verdicts = await huntAll(mutants, { starts, budget }, jobs, (verdict) => {
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    console.log(`${++done} of ${mutants.length}, ${seconds} s: ${describeVerdict(verdict)}`);
  });
  console.log(`\n${describeTable(verdicts)}`);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(verdicts, undefined, 2)}\n`);
  return verdicts.every(isKilled) ? 0 : 1;
}

async function areTypesRight({ mutants }: Extract<Command, { type: "hunt" }>): Promise<boolean> {
  const tree = await Tree.make();
  try {
    const errors = await findTypeErrors(tree, mutants);
    for (const [{ id }, error] of errors) console.log(`The mutant "${id}" does not pass the type check:\n${error}`);
    return errors.size === 0;
  } finally {
    await tree.remove();
  }
}

try {
  process.exitCode = await main(parseCommand(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error);
  process.exitCode = 2;
}
