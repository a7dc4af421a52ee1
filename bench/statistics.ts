/**
 * Samples and what is said of them.
 *
 * @module
 */

/** Durations in microseconds, as said in tables. */
export interface Percentiles {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

/** The value below which that share of the sorted samples lies. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** Percentiles of durations in milliseconds. */
export function percentilesOf(samplesMs: readonly number[]): Percentiles {
  const sorted = Float64Array.from(samplesMs).sort();
  const us = (share: number) => Math.round(percentile(sorted, share) * 1000);
  return { p50Us: us(0.5), p99Us: us(0.99), p999Us: us(0.999) };
}

/** The middle of the values. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >>> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
