/**
 * What a power cut leaves of what was not synced.
 *
 * @module
 */
import { type Choose, keepAll, loseAll } from "../../memory_files.ts";
import type { Random } from "../random.ts";

/** Of one file: nothing, all, what was written first, or anything. */
type Survival = "nothing" | "all" | "prefix" | "any";

/** Choices for one crash: each file has a fate of its own, and now and then the whole disk has one. */
export function drawCrash(random: Random): Choose {
  const whole = random.weighted<Choose | undefined>([[loseAll, 2], [keepAll, 1], [undefined, 7]]);
  if (whole !== undefined) return whole;
  const fates = new Map<string, Survival>();
  return (options, what) => {
    if (!what.startsWith("sector kept")) return decide(random, options, what);
    const file = what.slice("sector kept of ".length);
    let fate = fates.get(file) ??
      random.weighted<Survival>([["nothing", 1], ["all", 1], ["prefix", 3], ["any", 4]]);
    if (fate === "prefix" && random.chance(0.25)) fate = "nothing";
    fates.set(file, fate);
    if (fate === "any") return random.below(options);
    return fate === "nothing" ? 0 : options - 1;
  };
}

function decide(random: Random, options: number, what: string): number {
  // A torn sector is the exception: most that get onto the disk are whole.
  if (what.startsWith("last sector whole") && random.chance(0.6)) return options - 1;
  return random.below(options);
}
