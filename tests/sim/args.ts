/**
 * The command line of `deno task sim`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { FAULTS } from "../../src/testing/sim/config.ts";
import type { RunRequest } from "../../src/testing/sim/run.ts";
import { BUGS } from "./bugs.ts";

/** What `--help` says. */
export const HELP: string = `deno task sim [options]

  --seeds N      how many seeds to run (100)
  --start N      the first one (0)
  --minutes M    stops after this long; without --seeds as many as there is time for
  --jobs N       seeds that run at a time (one for each core)
  --keep-going   goes on after a failure, names each seed that fails, and shows the first
  --marks        prints how often the runs came by each mark
  --hashes       prints a line with seed and trace hash for each

  --seed N       replays one seed, with its last events
  --script FILE  replays what --shrink has written
  --shrink N     finds out how little it takes for the failure of a seed, and writes it down as a script
  --out FILE     where --shrink writes (tests/sim/regressions/INVARIANT-seed-N.json)
  --tries N      runs that --shrink may take (500)

  --servers N    1 to 7; drawn by default
  --steps N      steps of all cores until the faults end (20000)
  --faults A,B   only these faults, or none: ${FAULTS.join(", ")}
  --store S      wal or memory; drawn by default
  --bug ID       puts a bug into every core, to see that it is found: ${BUGS.map(({ id }) => id).join(", ")}

Ends with 0 when all is well, 1 after a failure, 2 when it was asked for what does not exist.
`;

/** What every run of a command has in common. Can be sent to a worker. */
export interface SimRequest extends RunRequest {
  /** One of {@linkcode BUGS}. */
  readonly bug?: string | undefined;
}

/** What is to be done. */
export type Command =
  | { readonly type: "help" }
  | {
    readonly type: "seeds";
    readonly start: number;
    readonly seeds: number;
    readonly minutes: number;
    readonly jobs: number | undefined;
    readonly keepsGoing: boolean;
    readonly hashes: boolean;
    readonly marks: boolean;
    readonly request: SimRequest;
  }
  | { readonly type: "replay"; readonly seed: number; readonly request: SimRequest }
  | { readonly type: "script"; readonly path: string; readonly request: SimRequest }
  | {
    readonly type: "shrink";
    readonly seed: number;
    readonly out: string | undefined;
    readonly tries: number;
    readonly request: SimRequest;
  };

/** The command line cannot be followed. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** Each goes with these; what two of them name is no command. */
const modes = {
  seed: ["servers", "steps", "faults", "store", "bug"],
  shrink: ["servers", "steps", "faults", "store", "bug", "out", "tries"],
  script: ["bug"],
} as const;

type Values = { readonly [name: string]: string | boolean | undefined };

/**
 * Reads a command line.
 *
 * @throws {UsageError} When it cannot be followed.
 */
export function parseCommand(args: readonly string[]): Command {
  const values = read(args);
  if (values.help === true) return { type: "help" };
  const given = Object.keys(modes).filter((mode) => values[mode] !== undefined) as (keyof typeof modes)[];
  if (given.length > 1) throw new UsageError(`Cannot use --${given[0]} with --${given[1]}: it is one or the other`);
  const mode = given[0];
  if (mode !== undefined) {
    const other = Object.keys(values).find((name) =>
      name !== mode && !(modes[mode] as readonly string[]).includes(name)
    );
    if (other !== undefined) throw new UsageError(`Cannot use --${other} with --${mode}: see --help`);
  } else {
    for (const name of ["out", "tries"]) {
      if (values[name] !== undefined) throw new UsageError(`Cannot use --${name} without --shrink`);
    }
  }
  return commandOf(values, mode);
}

function commandOf(values: Values, mode: keyof typeof modes | undefined): Command {
  const request = requestOf(values);
  switch (mode) {
    case "seed":
      return { type: "replay", seed: seedOf("seed", values), request };
    case "script":
      return { type: "script", path: String(values.script), request };
    case "shrink": {
      const tries = integer("tries", values, 1) ?? 500;
      const out = values.out === undefined ? undefined : String(values.out);
      return { type: "shrink", seed: seedOf("shrink", values), out, tries, request };
    }
    case undefined: {
      const minutes = minutesOf(values);
      const seeds = integer("seeds", values, 1) ?? (minutes === undefined ? 100 : 1_000_000_000);
      const start = seedOf("start", values) ?? 0;
      const jobs = integer("jobs", values, 1, 256);
      const keepsGoing = values["keep-going"] === true;
      const hashes = values.hashes === true;
      const marks = values.marks === true;
      return { type: "seeds", start, seeds, minutes: minutes ?? Infinity, jobs, keepsGoing, hashes, marks, request };
    }
  }
}

function read(args: readonly string[]): Values {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        ...{ seeds: text, start: text, minutes: text, jobs: text, hashes: flag, marks: flag, seed: text, script: text },
        ...{ shrink: text, out: text, tries: text, servers: text, steps: text, faults: text, store: text, bug: text },
        "keep-going": flag,
        help: { type: "boolean", short: "h" },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}; see --help`);
  }
}

function requestOf(values: Values): SimRequest {
  const store = oneOf("store", values, ["wal", "memory"] as const);
  const bug = oneOf("bug", values, BUGS.map(({ id }) => id));
  const servers = integer("servers", values, 1, 7);
  const steps = integer("steps", values, 1);
  const names = values.faults === undefined ? undefined : String(values.faults).split(",").filter(Boolean);
  const faults = names?.filter((name) => name !== "none" || names.length > 1).map((name) => {
    return oneOf("faults", { faults: name }, FAULTS)!;
  });
  return { servers, steps, faults, store, bug };
}

function seedOf(name: "seed" | "shrink", values: Values): number;
function seedOf(name: "start", values: Values): number | undefined;
function seedOf(name: string, values: Values): number | undefined {
  return integer(name, values, 0);
}

function integer(name: string, values: Values, min: number, max: number = Number.MAX_SAFE_INTEGER): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const number = /^\d{1,16}$/.test(String(value)) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new UsageError(`Cannot use --${name} ${value}: it must be an integer ${range}`);
}

function minutesOf({ minutes }: Values): number | undefined {
  if (minutes === undefined) return undefined;
  const number = /^\d+(\.\d+)?$/.test(String(minutes)) ? Number(minutes) : NaN;
  if (number > 0) return number;
  throw new UsageError(`Cannot use --minutes ${minutes}: it must be a number above 0`);
}

function oneOf<T extends string>(name: string, values: Values, known: readonly T[]): T | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const found = known.find((one) => one === value);
  if (found !== undefined) return found;
  throw new UsageError(`Cannot use --${name} ${value}: there are ${known.join(", ")}`);
}

/** The words that ask for this again. */
export function wordsOf({ servers, steps, faults, store, bug }: SimRequest): string {
  const options = {
    servers,
    steps,
    faults: faults?.join(",") || (faults === undefined ? undefined : "none"),
    store,
    bug,
  };
  return Object.entries(options).filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` --${name} ${value}`).join("");
}
