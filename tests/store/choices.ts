/**
 * All ways in which chance can decide.
 */
import type { Choose } from "../../src/testing/memory_files.ts";

/**
 * Calls back for every way in which a crash can choose, like an odometer, but for so many at most. Returns whether these
 * were all.
 */
export async function forEachChoice(
  each: (choose: Choose) => Promise<void>,
  imagesMax: number,
): Promise<boolean> {
  let digits: number[] = [];
  for (let count = 0; count < imagesMax; count++) {
    const limits: number[] = [];
    await each((options, what) => {
      // Where a sector tears is tried elsewhere, byte by byte.
      if (what.startsWith("torn at")) return options >> 1;
      const place = limits.push(options) - 1;
      return digits[place] ??= 0;
    });
    let place = limits.length - 1;
    while (place >= 0 && digits[place]! + 1 >= limits[place]!) place--;
    if (place < 0) return true;
    digits = digits.slice(0, place + 1);
    digits[place]!++;
  }
  return false;
}
