/**
 * Whether what clients of the key-value servers saw can have been: each check throws and says what can't.
 *
 * @module
 */
import { checkLinearizability } from "../../src/testing/linearizability.ts";
import { registerModel } from "../../src/testing/register.ts";
import type { KvOperation } from "./client.ts";

/** What one client counted: it added one after the other and is the only one who writes there. */
export interface Count {
  readonly key: string;
  /** How often it was told that one was added. */
  value: number;
  /** How often that something else was there. */
  refused: number;
}

/** A write, acknowledged at that index, that was sent again under the same key after that. */
export interface OnceWrite {
  readonly key: string;
  readonly index: number;
}

/** Throws unless the history is linearizable. */
export function checkHistory(history: readonly KvOperation[]): void {
  const report = checkLinearizability(registerModel(), history);
  if (report.verdict === "linearizable") return;
  const { key, longest, stuck } = report.failure!;
  const lines = [...longest.slice(-10).map(describe), "then none of", ...stuck.map(describe)];
  throw new Error(`The history of ${key} has the verdict ${report.verdict}:\n${lines.join("\n")}`);
}

function describe({ called, returned, outcome, input, output, client }: KvOperation): string {
  const end = outcome === "ok" ? returned!.toFixed(1) : "∞";
  return `  ${called.toFixed(1)}–${end} ${client} ${JSON.stringify(input)} → ${outcome} ${JSON.stringify(output)}`;
}

/** Throws unless each step was made exactly once: the values that a server has. */
export function checkCounts(counts: readonly Count[], id: string, found: ReadonlyMap<string, unknown>): void {
  for (const { key, value, refused } of counts) {
    if (refused > 0) throw new Error(`${key} was not what its only writer had made it, ${refused} times`);
    const wanted = value === 0 ? null : String(value);
    if (found.get(key) !== wanted) throw new Error(`${key} is ${found.get(key)} on ${id}, not ${wanted}`);
  }
}

/** Throws unless each write is there and was not made anew after it was acknowledged: the indexes that a server has. */
export function checkOnce(writes: readonly OnceWrite[], id: string, found: ReadonlyMap<string, number>): void {
  for (const { key, index } of writes) {
    const at = found.get(key);
    if (at === undefined) throw new Error(`${key} was acknowledged at index ${index} and is lost on ${id}`);
    if (at > index) throw new Error(`${key} was acknowledged at index ${index}, and applied again at ${at} on ${id}`);
  }
}
