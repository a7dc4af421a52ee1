/**
 * What came of a campaign, as a table.
 *
 * @module
 */
import { isKilled, type Trial, type Verdict } from "./hunt.ts";
import type { Runs } from "./mutant.ts";

/** All verdicts, one a line, and a last line that counts them. */
export function describeTable(verdicts: readonly Verdict[]): string {
  const head = ["mutant", "bug", "fixed", "found by", "seeds", "simulated s", "events", "seeds from each start"];
  const rows = [head, ...verdicts.map(rowOf)];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
  const killed = verdicts.filter(isKilled).length;
  return [...lines, `${killed} of ${verdicts.length} mutants killed`].join("\n");
}

/** One verdict in a few words. */
export function describeVerdict(verdict: Verdict): string {
  const { mutant: { id, bug }, trials, problem } = verdict;
  if (problem !== undefined) return `${id} (${bug}): ${problem}`;
  return `${id} (${bug}): ${isKilled(verdict) ? "killed by" : "SURVIVES"} ${trials.map(describeTrial).join(", ")}`;
}

function rowOf(verdict: Verdict): string[] {
  const { mutant: { id, bug, runs }, trials, problem } = verdict;
  const names = [...new Set(trials.flatMap((trial) => trial.type === "survived" ? [] : [trial.invariant]))];
  const isWhole = problem === undefined && trials.every(({ type }) => type !== "survived");
  const figure = (of: (trial: Trial) => number) => isWhole ? `${Math.round(median(trials.map(of)) * 10) / 10}` : "-";
  return [
    id,
    bug,
    describeRuns(runs),
    problem !== undefined ? "(see above)" : names.length === 0 ? "nothing" : names.join(" "),
    figure(({ seeds }) => seeds),
    figure(({ timeMs }) => timeMs / 1000),
    figure(({ events }) => events),
    trials.map((trial) => trial.type === "survived" ? `>${trial.seeds}` : `${trial.seeds}`).join(" "),
  ];
}

/** What of the runs was fixed, and not drawn from the seed. */
function describeRuns(runs: Runs = {}): string {
  return Object.keys(runs).join(", ") || "-";
}

function describeTrial(trial: Trial): string {
  if (trial.type === "survived") return `nothing in ${trial.seeds} seeds`;
  return `${trial.invariant} after ${trial.seeds} seeds`;
}

/** The middle one; of an even number the higher of the two. */
export function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;
}
