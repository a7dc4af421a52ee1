/**
 * Looks at all pools within bounds, on as many cores as there are.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { askWorker } from "../ask_worker.ts";
import type { Bounds } from "./bounds.ts";
import type { Mail } from "./mail.ts";
import { bucketsPerSpent } from "./pool.ts";
import { PartJob, type Result, type Start, type Task } from "./part_job.ts";

/** How it ended. `suspect`: an invariant breaks in a pool, which need not be a real state. */
export type PoolEnding = "exhausted" | "states" | "seconds" | "suspect";

/** What was found. */
export interface PoolReport {
  readonly ending: PoolEnding;
  readonly pools: number;
  readonly transitions: number;
  /** How often pools were gone through: again when messages were added to them. */
  readonly visits: number;
  readonly depth: number;
  readonly seconds: number;
  readonly reached: Result["reached"];
  readonly suspicion: string | undefined;
}

/** How to run. */
export interface PoolOptions {
  /** How many workers; 1: none, here. */
  readonly jobs?: number;
  /** Name of a fault of broken.ts that the core has. */
  readonly fault?: string | undefined;
  /** Called after each round; `about`: how much is spent of all budgets together, and how far the servers have come. */
  readonly onProgress?: (pools: number, transitions: number, about: string) => void;
}

/** Does what it is asked, here or elsewhere. */
interface Hand {
  run(task: Task): Promise<Result>;
  end(): Promise<void>;
}

/** So many buckets are gone through in one round: fewer are visited twice, more take less waiting for each other. */
const bucketsPerRound = 4;

/** Explores. */
export async function explorePools(bounds: Bounds, options: PoolOptions = {}): Promise<PoolReport> {
  const { jobs = 1, fault, onProgress } = options;
  const starts = Array.from(
    { length: jobs },
    (_, part): Start => ({ type: "start", bounds, fault, part, parts: jobs }),
  );
  const hands = jobs === 1 ? [here(starts[0]!)] : starts.map(elsewhere);
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  try {
    let ending: PoolEnding | undefined;
    let round = { mails: hands.map((): Mail[] => []), lowest: -1 };
    let results: readonly Result[] = [];
    while (ending === undefined) {
      const last = round.lowest + bucketsPerRound;
      const { mails } = round;
      results = await Promise.all(
        hands.map((hand, i) => hand.run({ type: "task", mails: mails[i]!, last, isEnd: false })),
      );
      const lowest = Math.min(...results.map((result) => result.lowest));
      round = { mails: sorted(results), lowest: lowest < Infinity ? lowest : round.lowest };
      const pools = sum(results, "pools");
      onProgress?.(pools, sum(results, "transitions"), aboutOf(round.lowest));
      if (results.some(({ violation }) => violation !== undefined)) ending = "suspect";
      else if (lowest === Infinity && results.every((result) => result.mails.every((mail) => mail === undefined))) {
        ending = "exhausted";
      } else if (pools >= bounds.states) ending = "states";
      else if (seconds() >= bounds.seconds) ending = "seconds";
    }
    const end: Task = { type: "task", mails: [], last: -1, isEnd: true };
    if (ending !== "suspect") results = await Promise.all(hands.map((hand) => hand.run(end)));
    return reportOf(results, ending, seconds());
  } finally {
    await Promise.all(hands.map((hand) => hand.end()));
  }
}

function aboutOf(bucket: number): string {
  return `at ${Math.floor(bucket / bucketsPerSpent)}.${bucket % bucketsPerSpent}`;
}

/** The mail for each part, by sender. */
function sorted(results: readonly Result[]): Mail[][] {
  return results.map((_, to) => results.map(({ mails }) => mails[to]!));
}

function reportOf(results: readonly Result[], ending: PoolEnding, seconds: number): PoolReport {
  const most = (key: keyof Result["reached"]) => Math.max(...results.map(({ reached }) => reached[key]));
  return {
    ending,
    pools: sum(results, "pools"),
    transitions: sum(results, "transitions"),
    visits: sum(results, "visits"),
    depth: Math.max(...results.map(({ depth }) => depth)),
    seconds,
    reached: { entries: most("entries"), committed: most("committed"), term: most("term") },
    suspicion: results.find(({ violation }) => violation !== undefined)?.violation,
  };
}

function sum(results: readonly Result[], key: "pools" | "transitions" | "visits"): number {
  return results.reduce((total, result) => total + result[key], 0);
}

function here(start: Start): Hand {
  const job = new PartJob(start);
  return { run: (task) => Promise.resolve(job.run(task)), end: () => Promise.resolve() };
}

function elsewhere(start: Start): Hand {
  const worker = new Worker(new URL("./pool_worker.ts", import.meta.url));
  worker.postMessage(start);
  const run = (task: Task) => askWorker<Result>(worker, task);
  return {
    run,
    async end() {
      await worker.terminate();
    },
  };
}
