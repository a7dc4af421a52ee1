/**
 * A closed loop: so many callers, each of which calls again when its call is done.
 *
 * @module
 */
import { type Percentiles, percentilesOf } from "./statistics.ts";

/** How much load, for how long. */
export interface LoadShape {
  /** Calls under way at any moment. */
  readonly inFlight: number;
  /** Not counted, milliseconds. */
  readonly warmUpMs: number;
  /** Counted, milliseconds. */
  readonly measureMs: number;
}

/** What a load got. */
export interface LoadResult extends Percentiles {
  readonly inFlight: number;
  readonly perSecond: number;
  readonly calls: number;
  /** With those of the warm-up. */
  readonly allCalls: number;
  readonly failed: number;
}

/** No more samples than this are kept: enough for a p99.9, and bounded. */
const samplesMax = 2_000_000;

/** How long a caller waits after a failed call, so that failures do not take the processor from the rest. */
const failurePauseMs = 1;

/** Loads `call` and measures it. Ends by itself: in time, and after `samplesMax` calls. */
export async function runLoad(call: () => Promise<unknown>, shape: LoadShape): Promise<LoadResult> {
  const { inFlight, warmUpMs, measureMs } = shape;
  const beginsAt = performance.now() + warmUpMs;
  const endsAt = beginsAt + measureMs;
  const samples: number[] = [];
  let failed = 0;
  let allCalls = 0;
  let lastAt = beginsAt;
  async function caller(): Promise<void> {
    for (;;) {
      const from = performance.now();
      if (from >= endsAt || samples.length >= samplesMax) return;
      try {
        await call();
      } catch {
        failed++;
        await new Promise((resolve) => setTimeout(resolve, failurePauseMs));
        continue;
      }
      allCalls++;
      const now = performance.now();
      if (from < beginsAt) continue;
      samples.push(now - from);
      lastAt = now;
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller));
  const seconds = (lastAt - beginsAt) / 1000;
  return {
    inFlight,
    perSecond: Math.round(samples.length / seconds),
    calls: samples.length,
    allCalls,
    failed,
    ...percentilesOf(samples),
  };
}
