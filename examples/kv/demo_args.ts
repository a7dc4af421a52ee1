/**
 * The command line of the demo.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { UsageError } from "./args.ts";
import type { Runtime } from "./listen.ts";

/** What the demo starts. */
export interface DemoArgs {
  readonly nodes: number;
  readonly fresh: boolean;
  /** The runtime of each server. */
  readonly runtimes: readonly Runtime[];
  /** The first server's port for clients; the others' follow. */
  readonly httpPort: number;
  /** The first server's port for servers. */
  readonly raftPort: number;
  readonly data: string;
}

const RUNTIMES: readonly Runtime[] = ["deno", "bun", "node"];

/** What `--help` prints. */
export const DEMO_HELP: string =
  `Starts a replicated key-value store on this machine, to try it and to kill parts of it.

Usage: deno task demo [options]

Options:
  --nodes <1 to 9>     How many servers. Default: 3.
  --fresh              Forget what an earlier demo kept.
  --runtime <name>     deno, bun, node, or mixed for all three. Default: deno. One that is not
                       installed is had from npm.
  --http-port <port>   The first server's port for clients; the others' follow. Default: 8001.
  --raft-port <port>   The first server's port for the other servers. Default: 7001.
  --data <directory>   Where the servers keep their logs. Default: ./data/demo.
  --help               Print this.
`;

/**
 * Reads the command line.
 *
 * @returns Undefined when help was asked for.
 * @throws {UsageError} When it can't be used.
 */
export function parseDemoArgs(args: readonly string[]): DemoArgs | undefined {
  const values = parse(args);
  if (values.help === true) return undefined;
  const nodes = numberOf("--nodes", values.nodes ?? "3", 1, 9);
  return {
    nodes,
    fresh: values.fresh === true,
    runtimes: runtimesOf(values.runtime ?? "deno", nodes),
    httpPort: numberOf("--http-port", values["http-port"] ?? "8001", 1, 65535 - nodes),
    raftPort: numberOf("--raft-port", values["raft-port"] ?? "7001", 1, 65535 - nodes),
    data: values.data ?? "data/demo",
  };
}

interface Values {
  readonly nodes?: string;
  readonly fresh?: boolean;
  readonly runtime?: string;
  readonly "http-port"?: string;
  readonly "raft-port"?: string;
  readonly data?: string;
  readonly help?: boolean;
}

function parse(args: readonly string[]): Values {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = {
    ...{ nodes: text, runtime: text, "http-port": text, "raft-port": text, data: text },
    ...{ fresh: flag, help: { ...flag, short: "h" } },
  };
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const [what] = (error as Error).message.split(". ");
    throw new UsageError(`Cannot read the command line: ${what}`);
  }
}

function runtimesOf(name: string, nodes: number): Runtime[] {
  const from = name === "mixed" ? RUNTIMES : RUNTIMES.filter((runtime) => runtime === name);
  if (from.length === 0) throw new UsageError(`Cannot use "${name}" for --runtime: it is deno, bun, node or mixed`);
  return Array.from({ length: nodes }, (_, i) => from[i % from.length]!);
}

function numberOf(name: string, text: string, min: number, max: number): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw new UsageError(`Cannot use "${text}" for ${name}: it must be a whole number from ${min} to ${max}`);
}
