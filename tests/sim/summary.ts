/**
 * What is left of a run when only its figures matter, and what many runs add up to.
 *
 * @module
 */
import { type RunReport, type RunRequest, runSeed } from "../../src/testing/sim/run.ts";
import type { SimRequest } from "./args.ts";
import { distortionOf } from "./bugs.ts";

/** A seed to run. */
export interface Task {
  readonly seed: number;
  readonly request: SimRequest;
  /** Where to tell of its events, see {@linkcode LastLines}; undefined for nowhere. */
  readonly lines?: SharedArrayBuffer;
}

/** A run in figures. Can be sent from one thread to another. */
export interface Summary {
  readonly seed: number;
  readonly invariant: string | undefined;
  readonly events: number;
  readonly steps: number;
  /** Virtual milliseconds. */
  readonly timeMs: number;
  readonly hash: string;
  readonly marks: Readonly<Record<string, number>>;
}

/** Runs a seed and keeps its figures. */
export async function runSummary(
  seed: number,
  { bug, ...request }: SimRequest,
  about: Pick<RunRequest, "keepsLines" | "onLine"> = {},
): Promise<Summary> {
  const { stackTraceLimit } = Error;
  // Errors by the thousand are what such a run is about, and nobody looks where they come from: a failure is run again.
  Error.stackTraceLimit = 0;
  try {
    const report = await runSeed(seed, { ...request, ...about, distort: distortionOf(bug) });
    const { violation, events, steps, timeMs, hash, marks } = report;
    const invariant = violation?.invariant;
    return { seed, invariant, events, steps, timeMs, hash, marks };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What many runs add up to. */
export class Totals {
  seeds = 0;
  events = 0;
  steps = 0;
  timeMs = 0;
  /** What all cores together worked for them, milliseconds: says the same on a busy machine. */
  cpuMs = 0;
  /** By each mark: in how many runs it was seen, and how often in all. */
  readonly marks: Map<string, { runs: number; hits: number }> = new Map();

  /** Counts a run. */
  add({ events, steps, timeMs, marks }: Summary): void {
    this.seeds++;
    this.events += events;
    this.steps += steps;
    this.timeMs += timeMs;
    for (const [name, hits] of Object.entries(marks)) {
      const mark = this.marks.get(name) ?? { runs: 0, hits: 0 };
      this.marks.set(name, mark);
      mark.hits += hits;
      if (hits > 0) mark.runs++;
    }
  }

  /** The marks that no run came by. */
  get missed(): string[] {
    return [...this.marks].filter(([, { hits }]) => hits === 0).map(([name]) => name);
  }

  /** All marks, the rarest first. */
  describeMarks(): string {
    const rows = [...this.marks].sort(([, a], [, b]) => a.runs - b.runs || a.hits - b.hits);
    const width = Math.max(...rows.map(([name]) => name.length));
    const lines = rows.map(([name, { runs, hits }]) => {
      return `${name.padEnd(width)} ${String(runs).padStart(8)} ${String(hits).padStart(10)}`;
    });
    return [`${"mark".padEnd(width)} ${"runs".padStart(8)} ${"hits".padStart(10)}`, ...lines].join("\n");
  }

  /** Events per second of one core. */
  get eventsPerSecond(): number {
    return this.cpuMs === 0 ? 0 : Math.round(this.events / this.cpuMs * 1000);
  }

  /** The figures on one line. */
  describe(): string {
    const hours = (this.timeMs / 3_600_000).toFixed(2);
    return `${this.events} events, ${this.steps} steps, ${this.eventsPerSecond} events/s per core, ` +
      `${hours} simulated hours, ${this.marks.size - this.missed.length} of ${this.marks.size} marks hit`;
  }
}

/** A run in words, for whoever replays it. */
export function describeRun(report: RunReport): string {
  const { seed, events, steps, timeMs, entries, operations, elections, crashes, hash } = report;
  const seconds = (timeMs / 1000).toFixed(1);
  return `seed ${seed}: ${events} events, ${steps} steps, ${seconds} virtual seconds, ${entries} entries, ` +
    `${operations} calls, ${elections} leaders, ${crashes} crashes, hash ${hash}`;
}
