/**
 * The command line of `deno task mutants`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { MUTANTS } from "./list/all.ts";
import type { Mutant } from "./mutant.ts";

/** What `--help` says. */
export const HELP = `deno task mutants [options]

  --only ID[,ID]  only these mutants
  --budget N      seeds that may be tried from each start (300)
  --starts N      how many starts (3)
  --start N       the first seed of the first start (0)
  --jobs N        mutants hunted at a time (2)
  --json FILE     writes all figures there as well
  --unchecked     leaves the type check out
  --list          says what there is

Ends with 0 when every mutant is killed, 1 when one is not, 2 when it was asked for what does not exist.
`;

/** What is to be done. */
export type Command =
  | { readonly type: "help" }
  | { readonly type: "list" }
  | {
    readonly type: "hunt";
    readonly mutants: readonly Mutant[];
    readonly starts: readonly number[];
    readonly budget: number;
    readonly jobs: number;
    readonly json: string | undefined;
    readonly isChecked: boolean;
  };

/** The command line cannot be followed. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** Seeds between two starts: no budget comes that far. */
const apart = 1_000_000;

/**
 * Reads a command line.
 *
 * @throws {UsageError} When it cannot be followed.
 */
export function parseCommand(args: readonly string[]): Command {
  const values = read(args);
  if (values.help === true) return { type: "help" };
  if (values.list === true) return { type: "list" };
  const start = integer("start", values.start, 0) ?? 0;
  const starts = Array.from({ length: integer("starts", values.starts, 1) ?? 3 }, (_, i) => start + i * apart);
  return {
    type: "hunt",
    mutants: values.only === undefined ? MUTANTS : mutantsOf(values.only),
    starts,
    budget: integer("budget", values.budget, 1) ?? 300,
    jobs: integer("jobs", values.jobs, 1) ?? 2,
    json: values.json,
    isChecked: values.unchecked !== true,
  };
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...{ only: text, budget: text, starts: text, start: text, jobs: text, json: text },
        ...{ unchecked: flag, list: flag, help: { ...flag, short: "h" } },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}: see --help`);
  }
}

function mutantsOf(names: string): readonly Mutant[] {
  return names.split(",").map((name) => {
    const found = MUTANTS.find(({ id }) => id === name);
    if (found === undefined) throw new UsageError(`Cannot find the mutant "${name}": --list says what there is`);
    return found;
  });
}

function integer(name: string, value: string | undefined, min: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value) && Number(value) >= min) return Number(value);
  throw new UsageError(`Cannot use --${name} ${value}: it must be an integer of at least ${min}`);
}
