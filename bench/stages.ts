/**
 * Where the time of a command goes, from the metrics of the leader that was loaded.
 *
 * @module
 */
import type { HistogramSnapshot, Raft, Stage, StageHistograms } from "@securecollc/raft";
import { type LoadResult, type LoadShape, runLoad } from "./load.ts";

/** A load of commands, and the median time from a command's arrival to each stage, microseconds. */
export interface StagedLoad extends LoadResult {
  readonly stagesUs: Readonly<Record<Stage, number>>;
}

/** Loads a leader by `call`, and looks at its metrics before and after. */
export async function runStagedLoad(
  raft: Pick<Raft<unknown, unknown>, "metrics">,
  call: () => Promise<unknown>,
  shape: LoadShape,
): Promise<StagedLoad> {
  const before = raft.metrics().stagesMs;
  const result = await runLoad(call, shape);
  return { ...result, stagesUs: mediansUs(before, raft.metrics().stagesMs) };
}

/** Medians of what came between two looks, microseconds. */
export function mediansUs(before: StageHistograms, after: StageHistograms): Readonly<Record<Stage, number>> {
  const stages = Object.keys(after) as Stage[];
  const medians = stages.map((stage) => [stage, Math.round(medianMs(before[stage], after[stage]) * 1000)]);
  return Object.fromEntries(medians) as Record<Stage, number>;
}

/** Where half of what was added lies below, taking each bucket as evenly filled; NaN when nothing was. */
function medianMs(before: HistogramSnapshot, after: HistogramSnapshot): number {
  let left = (after.count - before.count) / 2;
  for (let bucket = 0; bucket < after.counts.length; bucket++) {
    const here = after.counts[bucket]! - before.counts[bucket]!;
    const low = after.boundsMs[bucket - 1] ?? 0;
    const high = after.boundsMs[bucket] ?? low;
    if (here > 0 && here >= left) return low + (high - low) * left / here;
    left -= here;
  }
  return NaN;
}
