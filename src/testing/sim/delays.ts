/**
 * How long frames take, by integer tables: logarithms differ between engines in their last bit.
 *
 * @module
 */
import type { Random } from "./random.ts";

/** The shape of delays between a least and a usual most: `heavy` has, now and then, one forty times as long. */
export type DelayShape = "fixed" | "uniform" | "exponential" | "heavy";

/** All shapes. */
export const DELAY_SHAPES: readonly DelayShape[] = ["fixed", "uniform", "exponential", "heavy"];

/** -ln(1 - (i + ½) / 64) in hundredths: 64 equally likely values with a mean of 100. */
// deno-fmt-ignore
const exponential: readonly number[] = [
  1, 2, 4, 6, 7, 9, 11, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 39, 41, 43, 46, 48, 51, 53, 56, 59, 62, 65, 68,
  71, 74, 77, 81, 84, 88, 92, 96, 100, 105, 109, 114, 119, 124, 130, 136, 142, 148, 156, 163, 172, 181, 191, 202, 214, 229,
  245, 265, 291, 324, 375, 485,
];

/** Quantiles of a Pareto distribution with the exponent 1.1 less 1, in hundredths: half of its sum is in the last two. */
// deno-fmt-ignore
const heavy: readonly number[] = [
  1, 2, 4, 5, 7, 9, 10, 12, 14, 16, 18, 20, 22, 24, 26, 29, 31, 34, 36, 39, 42, 45, 48, 52, 55, 59, 63, 67, 71, 75, 80, 85,
  90, 96, 102, 109, 116, 123, 131, 139, 149, 159, 170, 181, 195, 209, 225, 243, 263, 286, 312, 341, 376, 417, 466, 527, 602,
  700, 831, 1017, 1304, 1806, 2933, 8135,
];

/** No delay is longer than so many times the usual most, whatever the shape. */
const longest = 41;

/**
 * The most that is drawn for a frame which is no answer, microseconds. One that waits for another before it, or in a clog, is
 * lost with its connection when the faults end.
 */
export function longestDelay({ delayMax, tailMax }: { readonly delayMax: number; readonly tailMax: number }): number {
  return Math.max(tailMax, longest * delayMax);
}

/** One delay, an integer of at least `min`. A uniform one, and most of the others, are at most `max`. */
export function drawDelay(random: Random, shape: DelayShape, min: number, max: number): number {
  switch (shape) {
    case "fixed":
      return (min + max) >> 1;
    case "uniform":
      return random.between(min, max);
    case "exponential":
      return min + Math.floor((max - min) * random.pick(exponential) / 300);
    case "heavy":
      return min + Math.floor((max - min) * random.pick(heavy) / 200);
  }
}
