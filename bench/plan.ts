/**
 * The command line.
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { RuntimeName } from "./processes.ts";
import type { ScaleSizes } from "./scale.ts";

/** What `--help` prints. */
export const help = `Measures this library on this machine, alone or beside its peers.

Usage: deno task bench [options]

Options:
  --peers             Ours, hashicorp/raft and etcd in one run, taking turns; prints the ratios. See bench/README.md.
  --quick             A tenth of the time: to see that it works, not to quote.
  --only <parts>      Some of the parts, separated by commas. Default: all. Alone:
                      disk,memory,cluster,http,reads,sessions,failover,growth,storage,scale.
                      With --peers: durable,memory,reads,http,failover.
  --pairs <n>         With --peers: how often each is measured, 5 to 50. Default: 5. With --quick: 1 to 50, default 2.
  --bytes <sizes>     With --peers: sizes of commands, separated by commas, 1 to 1048576. Default: 256.
  --runtime <name>    Where our servers run: deno, bun or node. Default: deno.
  --json <file>       Where the results go. Default: bench/out/bench.json, with --peers bench/out/peers.json.
  --dir <directory>   Where the measured logs live: on the disk to be measured. Default: bench/out.
  --help              Print this.
`;

/** What is measured of ours alone. */
export const ownParts = [
  "disk",
  "memory",
  "cluster",
  "http",
  "reads",
  "sessions",
  "failover",
  "growth",
  "storage",
  "scale",
] as const;
/** What is measured beside peers. */
export const peerParts = ["durable", "memory", "reads", "http", "failover"] as const;

/** A part of what is measured of ours alone. */
export type OwnPart = (typeof ownParts)[number];
/** A part of what is measured beside peers. */
export type PeerPart = (typeof peerParts)[number];

/** What is to be done. */
export interface Plan {
  readonly peers: boolean;
  readonly only: ReadonlySet<string>;
  readonly runtime: RuntimeName;
  /** How long each load is measured, milliseconds; a third of it before that is not counted. */
  readonly measureMs: number;
  /** How often a leader is killed, in all. */
  readonly trials: number;
  /** How often a cluster grows and moves. */
  readonly growths: number;
  /** Sessions that are open at a time, where their memory is measured. */
  readonly sessions: number;
  /** Entries and keys of the storage part. */
  readonly entries: number;
  readonly keys: number;
  readonly scale: ScaleSizes;
  readonly pairs: number;
  readonly bytes: readonly number[];
  readonly json: string;
  readonly dir: string;
}

/** A command line that cannot be done. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const pairsMin = 5;
const pairsMax = 50;
const bytesMax = 1_048_576;

/** Reads the command line; undefined when it asks for help. Throws a {@linkcode UsageError}. */
export function planOf(args: readonly string[]): Plan | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  const { peers, quick } = values;
  if (!peers && values.pairs !== undefined) throw new UsageError("Cannot use --pairs without --peers");
  if (!peers && values.bytes !== undefined) throw new UsageError("Cannot use --bytes without --peers");
  return {
    peers,
    only: partsOf(values.only, peers ? peerParts : ownParts),
    runtime: runtimeOf(values.runtime),
    measureMs: quick ? 300 : 3000,
    trials: quick ? 2 : 10,
    growths: quick ? 1 : 5,
    sessions: quick ? 2_000 : 20_000,
    entries: quick ? 100_000 : 1_000_000,
    keys: quick ? 26_214 : 262_144,
    scale: {
      servers: [1, 3, 5, 7, 9],
      bytes: [16, 256, 4096, 65_536, 1_048_576],
      entries: quick ? [1_000, 10_000, 100_000] : [10_000, 100_000, 1_000_000, 10_000_000],
      measureMs: quick ? 300 : 3000,
    },
    pairs: numberOf(values.pairs ?? (quick ? "2" : "5"), "--pairs", quick ? 1 : pairsMin, pairsMax),
    bytes: (values.bytes ?? "256").split(",").map((text) => numberOf(text, "--bytes", 1, bytesMax)),
    json: values.json ?? (peers ? "bench/out/peers.json" : "bench/out/bench.json"),
    dir: values.dir,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        peers: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        only: { type: "string" },
        pairs: { type: "string" },
        bytes: { type: "string" },
        runtime: { type: "string", default: "deno" },
        json: { type: "string" },
        dir: { type: "string", default: "bench/out" },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function partsOf(text: string | undefined, parts: readonly string[]): ReadonlySet<string> {
  const only = text?.split(",") ?? parts;
  const unknown = only.find((part) => !parts.includes(part));
  if (unknown !== undefined) throw new UsageError(`Cannot measure "${unknown}": there are ${parts.join(", ")}`);
  return new Set(only);
}

function runtimeOf(name: string): RuntimeName {
  if (name === "deno" || name === "bun" || name === "node") return name;
  throw new UsageError(`Cannot run servers on "${name}": there are deno, bun and node`);
}

function numberOf(text: string, option: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`Cannot use ${option} ${text}: it must be a whole number from ${min} to ${max}`);
}
