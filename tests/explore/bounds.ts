/**
 * How far the explorer looks.
 *
 * @module
 */

/** What is explored. Everything else is unbounded: messages are lost, delayed and overtaken at will. */
export interface Bounds {
  readonly servers: number;
  /** Elections: the highest term is this many above the first. */
  readonly terms: number;
  /** Commands that are proposed, to any leader. */
  readonly entries: number;
  readonly crashes: number;
  /** Messages that are delivered twice; Infinity: any message any number of times, which makes fewer states. */
  readonly duplicates: number;
  readonly heartbeats: number;
  /** How often a leader finds that no majority answers. */
  readonly stepDowns: number;
  /** How often a leader is asked to hand over, to any other. */
  readonly transfers: number;
  /** Election timeouts; only with pre-vote are there more than terms. */
  readonly timeouts: number;
  readonly preVote: boolean;
  /** Whether writes take time: then each is an event of its own, and a crash loses those that wait. */
  readonly slowDisks: boolean;
  readonly entriesPerAppend: number;
  /** Whether states that differ in the servers' names alone are one. */
  readonly symmetry: boolean;
  /** Whether messages that nothing can come of are forgotten. */
  readonly prune: boolean;
  /** Whether states that differ in messages alone are one, see pool.ts. */
  readonly pool: boolean;
  /** Budgets: exploring ends there, whatever is left. */
  readonly states: number;
  readonly seconds: number;
}

/** What options start from. */
export const defaults: Bounds = {
  servers: 3,
  terms: 2,
  entries: 1,
  crashes: 1,
  duplicates: Infinity,
  heartbeats: 0,
  stepDowns: 0,
  transfers: 0,
  timeouts: 2,
  preVote: false,
  slowDisks: false,
  entriesPerAppend: 8,
  symmetry: true,
  prune: true,
  pool: false,
  states: 30_000_000,
  seconds: 600,
};

interface Option {
  readonly key: keyof Bounds;
  readonly min: number;
  readonly max: number;
  readonly help: string;
  /** Whether it may be `any`, too. */
  readonly any?: boolean;
}

// More than these would not fit into the encoding, nor end in a lifetime.
const numbers: Readonly<Record<string, Option>> = {
  servers: { key: "servers", min: 1, max: 5, help: "servers" },
  terms: { key: "terms", min: 1, max: 7, help: "elections" },
  entries: { key: "entries", min: 0, max: 7, help: "commands" },
  crashes: { key: "crashes", min: 0, max: 7, help: "crashes, each with a restart" },
  duplicates: {
    key: "duplicates",
    min: 0,
    max: 7,
    help: "messages delivered twice, or any number of times",
    any: true,
  },
  heartbeats: { key: "heartbeats", min: 0, max: 7, help: "heartbeats of leaders" },
  "step-downs": { key: "stepDowns", min: 0, max: 7, help: "leaders that find no majority" },
  transfers: { key: "transfers", min: 0, max: 7, help: "wishes that a leader hand over" },
  timeouts: { key: "timeouts", min: 1, max: 15, help: "election timeouts; as many as terms unless given" },
  "entries-per-append": { key: "entriesPerAppend", min: 1, max: 8, help: "entries that fit into one append" },
  states: { key: "states", min: 1, max: 200_000_000, help: "ends after so many states" },
  seconds: { key: "seconds", min: 1, max: 1_000_000, help: "ends after so many seconds" },
};

const switches: Readonly<Record<string, { readonly key: keyof Bounds; readonly help: string }>> = {
  "pre-vote": { key: "preVote", help: "servers ask before they campaign" },
  "slow-disks": { key: "slowDisks", help: "writes take time" },
  symmetry: { key: "symmetry", help: "states that differ in names alone are one" },
  prune: { key: "prune", help: "messages that nothing can come of are forgotten" },
  pool: { key: "pool", help: "states that differ in messages alone are one; with any number of duplicates" },
};

/** Wrong options. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * Bounds from `--servers 3 --pre-vote on …`.
 *
 * @throws {UsageError}
 */
export function boundsOf(args: readonly string[]): Bounds {
  const given: Record<string, number | boolean> = {};
  for (let i = 0; i < args.length; i++) {
    const [flag = "", inline] = args[i]!.split("=", 2);
    const value = inline ?? args[++i];
    const name = flag.startsWith("--") ? flag.slice(2) : "";
    if (Object.hasOwn(numbers, name)) given[numbers[name]!.key] = numberOf(flag, numbers[name]!, value);
    else if (Object.hasOwn(switches, name)) given[switches[name]!.key] = switchOf(flag, value);
    else throw new UsageError(`unknown option "${flag}"\n\n${usage()}`);
  }
  const bounds = { ...defaults, ...given } as Bounds;
  if (bounds.pool && bounds.duplicates < Infinity) {
    throw new UsageError("--pool on takes --duplicates any: messages stay under way, or states could not be one");
  }
  return "timeouts" in given ? bounds : { ...bounds, timeouts: bounds.terms };
}

function numberOf(flag: string, { min, max, any }: Option, value: string | undefined): number {
  if (any && value === "any") return Infinity;
  const number = Number(value);
  if (value === undefined || !/^\d+$/.test(value) || number < min || number > max) {
    const or = any ? ` or "any"` : "";
    throw new UsageError(`${flag} takes a whole number from ${min} to ${max}${or}, not "${value ?? ""}"`);
  }
  return number;
}

function switchOf(flag: string, value: string | undefined): boolean {
  if (value !== "on" && value !== "off") throw new UsageError(`${flag} takes on or off, not "${value ?? ""}"`);
  return value === "on";
}

/** All options with their defaults. */
export function usage(): string {
  const rows = [
    ...Object.entries(numbers).map(([name, { key, min, max, help, any }]) => ({
      name: `--${name} <${min}…${max}${any ? "|any" : ""}>`,
      text: `${help}. Default: ${textOf(defaults[key])}.`,
    })),
    ...Object.entries(switches).map(([name, { key, help }]) => ({
      name: `--${name} <on|off>`,
      text: `${help}. Default: ${defaults[key] ? "on" : "off"}.`,
    })),
    {
      name: "--full",
      text: "two elections, two commands, a crash, any duplicates, pooled; options after it change that.",
    },
    { name: "--jobs <n>", text: "cores for --pool on. Default: all." },
    { name: "--replay <n.n.…>", text: "shows the steps of a violation that was found under the same bounds." },
  ];
  return `Options:\n${rows.map(({ name, text }) => `  ${name.padEnd(32)}${text}`).join("\n")}`;
}

function textOf(value: number | boolean): string {
  return value === Infinity ? "any" : `${value}`;
}

/** Bounds as the options that lead to them. */
export function optionsText(bounds: Bounds): string {
  const budgets = ["states", "seconds"];
  const texts = Object.entries(numbers).filter(([name]) => !budgets.includes(name)).map(([name, { key }]) =>
    `--${name} ${textOf(bounds[key])}`
  );
  for (const [name, { key }] of Object.entries(switches)) texts.push(`--${name} ${bounds[key] ? "on" : "off"}`);
  return texts.join(" ");
}
