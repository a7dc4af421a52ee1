/**
 * A failure in words.
 *
 * @module
 */
import type { SimConfig } from "./config.ts";
import { type RunReport, type RunRequest, runSeed } from "./run.ts";

/**
 * Everything somebody needs to look into a failure. Runs the seed once more, this time keeping its last events.
 *
 * @param command What replays it.
 */
export async function describeFailure(report: RunReport, request: RunRequest, command: string): Promise<string> {
  const again = await runSeed(report.seed, { ...request, keepsLines: true });
  return describeReport({ ...report, lines: again.lines }, command, again.hash === report.hash);
}

/**
 * The same of a run that kept its last events.
 *
 * @param command What replays it.
 */
export function describeReport(report: RunReport, command: string, isAlike = true): string {
  return [
    `seed ${report.seed}: ${report.violation!.message}`,
    `  after ${report.events} events, ${report.steps} steps, ${(report.timeMs / 1000).toFixed(3)} virtual seconds`,
    `  configuration ${describeConfig(report.config)}`,
    "  last events:",
    ...report.lines.map((line) => `    ${line.length > 600 ? line.slice(0, 600) + "…" : line}`),
    ...isAlike ? [] : ["  NOT REPLAYED ALIKE: the simulator is not deterministic here"],
    `  replay: ${command}`,
  ].join("\n");
}

/** A configuration on one line. */
export function describeConfig(config: SimConfig): string {
  return JSON.stringify(config);
}
