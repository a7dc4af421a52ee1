/**
 * Many seeds on all cores. What comes out does not depend on how many there are.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { askWorker } from "../ask_worker.ts";
import type { SimRequest } from "./args.ts";
import { runSummary, type Summary, type Task, Totals } from "./summary.ts";

/** Many seeds. */
export interface Campaign {
  readonly start: number;
  readonly seeds: number;
  /** No seed begins after this long; Infinity by default. */
  readonly minutes?: number | undefined;
  /** Seeds that run at a time; by default one for each core. */
  readonly jobs?: number | undefined;
  /** Whether seeds go on after a failure, to find others; false by default. */
  readonly keepsGoing?: boolean | undefined;
  /** A seed that runs longer than this hangs, milliseconds; ten minutes by default. */
  readonly seedMsMax?: number | undefined;
  readonly request: SimRequest;
}

/** What came out. */
export interface Outcome {
  /** The first seed, by number, that failed, or all of them when it was to go on. */
  readonly failures: readonly Summary[];
  /** All seeds up to the first failure, or all of them when it was to go on. */
  readonly summaries: readonly Summary[];
  readonly totals: Totals;
  readonly jobs: number;
}

/** So many seeds come by every mark but the rare ones, or something is not tried any more. */
const seedsForMarks = 500;

/** So many come by the rare ones as well. */
const seedsForRareMarks = 5000;

/** Less than one seed in thirty comes by these: 500 may well miss one by chance. */
const RARE_MARKS: readonly string[] = [
  "started-with-damage",
  "damage-repaired",
  "snapshot-found-damaged",
  "leader-disk-stalled",
  "truncated-entry-came-back",
  "append-rejected-for-term",
  "truncated-many",
  "transfer-target-crashed",
  "disk-older",
  "snapshot-replaced-conflict",
  "snapshot-joined-log",
  "older-snapshot-used",
  "log-reset-to-snapshot",
  "crashed-in-joint",
  "leader-crashed-in-joint",
  "joint-truncated",
  "configuration-reverted",
  "joint-left-by-next-leader",
  "promotion-refused",
  "change-refused-for-quorum",
  "leader-crashed-in-joint-half-known",
  "leader-crashed-leaving-joint",
  "snapshot-received-in-joint",
  "stopped-for-write-error",
  "stopped-for-sync-error",
  "stopped-for-full-disk",
  "started-after-full-disk",
  "full-disk-has-room",
  "restore-overtaken",
  "restore-lost-its-leader",
  "snapshot-waited-for-restore",
  "cluster-halted",
];

/** A seed that runs longer than this hangs, unless something else is asked for. */
const seedMsMaxDefault = 600_000;

/** A seed has no end, or brought its thread down. */
export class SeedError extends Error {
  override readonly name = "SeedError";
  readonly seed: number;

  /** Takes the seed and what became of it. */
  constructor(seed: number, cause: Error) {
    super(`Cannot run seed ${seed}: ${cause.message}`, { cause });
    this.seed = seed;
  }
}

/**
 * Runs them. Unless it is to go on, it begins no seed after a failure, and takes none into account that comes after it by
 * number.
 *
 * @param onSummary Called with each run that has ended, in any order.
 * @throws {SeedError} When one does not end. With one job nobody is there to notice.
 */
export async function runCampaign(
  campaign: Campaign,
  onSummary: (summary: Summary, soFar: Totals) => void = () => {},
): Promise<Outcome> {
  const { start, seeds, minutes = Infinity, keepsGoing = false, seedMsMax = seedMsMaxDefault, request } = campaign;
  const jobs = Math.min(seeds, campaign.jobs ?? availableParallelism());
  const startedAt = performance.now();
  const before = process.cpuUsage();
  const cpuMs = () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  let [next, end] = [start, start + seeds];
  const summaries: Summary[] = [];
  const soFar = new Totals();
  const take = (): number | undefined =>
    next >= end || performance.now() - startedAt >= minutes * 60_000 ? undefined : next++;
  const onEnd = (summary: Summary) => {
    if (summary.invariant !== undefined && !keepsGoing) end = Math.min(end, summary.seed + 1);
    summaries.push(summary);
    soFar.add(summary);
    soFar.cpuMs = cpuMs();
    onSummary(summary, soFar);
  };
  if (jobs === 1) await runHere(take, request, onEnd);
  else await Promise.all(Array.from({ length: jobs }, () => runInWorker(take, request, seedMsMax, onEnd)));
  const counted = summaries.filter(({ seed }) => seed < end).sort((a, b) => a.seed - b.seed);
  const totals = new Totals();
  for (const summary of counted) totals.add(summary);
  totals.cpuMs = cpuMs();
  const failures = counted.filter(({ invariant }) => invariant !== undefined);
  return { failures, summaries: counted, totals, jobs };
}

/** The marks that this many seeds should have come by and did not; none where the request keeps them from it. */
export function missedMarks(
  { seeds, missed }: Pick<Totals, "seeds" | "missed">,
  request: SimRequest,
): readonly string[] {
  const isFree = Object.values(request).every((value) => value === undefined);
  if (!isFree || seeds < seedsForMarks) return [];
  return seeds >= seedsForRareMarks ? missed : missed.filter((name) => !RARE_MARKS.includes(name));
}

async function runHere(
  take: () => number | undefined,
  request: SimRequest,
  onEnd: (summary: Summary) => void,
): Promise<void> {
  for (let seed = take(); seed !== undefined; seed = take()) onEnd(await runSummary(seed, request));
}

async function runInWorker(
  take: () => number | undefined,
  request: SimRequest,
  seedMsMax: number,
  onEnd: (summary: Summary) => void,
): Promise<void> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url));
  try {
    for (let seed = take(); seed !== undefined; seed = take()) {
      const task: Task = { seed, request };
      onEnd(
        await askWorker<Summary>(worker, task, seedMsMax).catch((error) => {
          throw new SeedError(seed!, error);
        }),
      );
    }
  } finally {
    await worker.terminate();
  }
}
