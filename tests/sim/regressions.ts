/**
 * Scripts that once failed, kept as files: `tests/sim/regressions/*.json`.
 *
 * @module
 */
import { readdir, readFile } from "node:fs/promises";
import type { ClockBehaviour } from "../../src/testing/sim/clock.ts";
import { drawConfig, LEASE_SHARE, type SimConfig } from "../../src/testing/sim/config.ts";
import { calm } from "../../src/testing/sim/lines.ts";
import { Random } from "../../src/testing/sim/random.ts";
import { RETAIN } from "../../src/testing/sim/rare_settings.ts";
import { isCall, type Script } from "../../src/testing/sim/script.ts";
import { UsageError } from "./args.ts";

/** What is kept of a failure. */
export interface Regression {
  /** The invariant that did not hold. */
  readonly invariant: string;
  /** What was wrong, in a sentence. */
  readonly what: string;
  readonly script: Script;
}

const folder = new URL("./regressions/", import.meta.url);

/** The names of all that are kept. */
export async function regressionNames(): Promise<string[]> {
  const files = await readdir(folder);
  return files.filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -".json".length)).sort();
}

/** Reads one by its name. */
export async function readRegression(name: string): Promise<Regression> {
  return parseRegression(await readFile(new URL(`${name}.json`, folder), "utf8"), name);
}

/**
 * Reads what {@linkcode formatRegression} wrote; what configurations have learnt since then is off.
 *
 * @throws {UsageError} When it is no such thing.
 */
export function parseRegression(text: string, name: string): Regression {
  let read: Regression;
  try {
    read = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`Cannot read the script ${name}: ${(error as Error).message}`);
  }
  const { invariant, what, script } = read;
  if (typeof invariant !== "string" || !Array.isArray(script?.decisions) || !Number.isSafeInteger(script.seed)) {
    throw new UsageError(`Cannot use the script ${name}: it needs invariant, script.seed and script.decisions`);
  }
  return { invariant, what, script: { ...script, config: complete(script.config) } };
}

function complete(config: Partial<SimConfig>): SimConfig {
  const request = { servers: config.servers ?? 3, faults: [], moving: false } as const;
  const { foundedLate: _1, shutdownOnRemove: _2, indexStart: _3, ...drawn } = drawConfig(Random.seeded(0), request);
  const quiet = {
    ...drawn,
    termStart: 0,
    network: calm(drawn.network),
    disk: { ...drawn.disk, keepsSnapshots: false, retain: RETAIN, points: [] },
    client: { ...drawn.client, workChance: 0, leaseShare: LEASE_SHARE },
  };
  const clocks = (config.clocks ?? drawn.clocks).map((clock: Partial<ClockBehaviour>) => {
    return { rate: 1, start: 0, timerLateMax: 0, ...clock };
  });
  return { ...merge(quiet, config) as SimConfig, clocks };
}

function merge(base: unknown, over: unknown): unknown {
  if (!isRecord(base) || !isRecord(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = merge(base[key], value);
  // Settings are as the run had them: one that is not there had its default, or was not there at all.
  if (isRecord(over.settings)) merged.settings = { reconnectWaitMs: 0, ...over.settings };
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** As a file: a decision on each line. */
export function formatRegression({ invariant, what, script }: Regression): string {
  const { seed, config, until, decisions } = script;
  const lines = decisions.map((decision) => `      ${JSON.stringify(decision)}`);
  const configLines = Object.entries(config).map(([name, value]) =>
    `      ${JSON.stringify(name)}: ${JSON.stringify(value)}`
  );
  return [
    "{",
    `  "invariant": ${JSON.stringify(invariant)},`,
    `  "what": ${JSON.stringify(what)},`,
    `  "script": {`,
    `    "seed": ${seed},`,
    `    "until": ${until},`,
    `    "config": {\n${configLines.join(",\n")}\n    },`,
    `    "decisions": [\n${lines.join(",\n")}\n    ]`,
    "  }",
    "}",
    "",
  ].join("\n");
}

/** A script in words: its servers, and a line for each decision. */
export function describeScript({ config, decisions, until }: Script): string {
  const lines = decisions.map((decision) => {
    const at = `${(decision.at / 1000).toFixed(3).padStart(12)} ms  `;
    if (isCall(decision)) return `${at}${decision.client} asks s${decision.server}: ${JSON.stringify(decision.input)}`;
    return `${at}${JSON.stringify(decision.action)}`;
  });
  return [`  ${config.servers} servers, ${(until / 1000).toFixed(3)} ms, ${decisions.length} decisions:`, ...lines]
    .join("\n");
}
