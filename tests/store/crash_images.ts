/**
 * Images that a power cut can leave of a write-ahead log: `deno task crash-images [count] [seed]`.
 *
 * A history of writes, truncations, compactions, repairs, votes and starts runs on a disk in memory that halts after each of
 * its operations. Of each halt all images are recovered that the unsynced operations allow, sector by sector, as long as
 * these are few, and chosen ones of the rest. What was acknowledged must be there, what was attempted whole or absent.
 */
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf } from "../../src/testing/store_cases.ts";
import { forEachChoice } from "./choices.ts";
import { after, contentOf, history, NOTHING, pseudoRandom, randomSteps, runHistory, type Step } from "./scenario.ts";

/** Of one halt at most so many images are taken in order; the rest by chance. */
const orderedMax = 512;
const chosenCount = 64;

/** A history with repairs of whatever is left, which change nothing. */
function withRepairs(steps: readonly Step[]): Step[] {
  const all: Step[] = [...steps, { records: [commandsOf(1_000, 99, "one", "two", "three")], compactTo: beyond }];
  return [...all, { records: [], repairs: [commandsOf(1_001, 99, "two")] }, "mark", "reopen"];
}

const beyond = { firstIndex: 1_000, prevTerm: 98 };

/** What was tried. */
export interface CrashReport {
  readonly images: number;
  readonly halts: number;
  readonly histories: number;
}

/**
 * Recovers at least so many images.
 *
 * @throws {Error} When one is not what it must be; says how to come by it again.
 */
export async function exploreCrashImages(count: number, seed = 1): Promise<CrashReport> {
  let [images, halts, histories] = [0, 0, 0];
  for (let at = seed; images < count; at++) {
    const steps = withRepairs(at === seed ? history() : randomSteps(NOTHING, 24, pseudoRandom(at)));
    histories++;
    for (let halt = 0; images < count; halt++) {
      const files = new MemoryFiles();
      files.haltAfter(halt);
      const { acknowledged, attempted } = await runHistory(files, steps);
      const allowed = [acknowledged, attempted].map((content) => JSON.stringify(content));
      const check = async (choose: (options: number, what: string) => number): Promise<void> => {
        const image = files.clone();
        image.crash(choose);
        const found = JSON.stringify((await contentOf(image)).content);
        images++;
        if (allowed.includes(found)) return;
        throw new Error(
          `History ${at}, halted after ${halt}: found ${found}, which is neither of ${allowed.join(" and ")}`,
        );
      };
      const isAll = await forEachChoice(check, orderedMax);
      if (!isAll) { for (let i = 0; i < chosenCount; i++) await check(pseudoRandom(halt * 1_000 + i)); }
      halts++;
      if (files.operationCount <= halt) break;
    }
    if (steps.reduce(after, NOTHING).entries.length !== 3) throw new Error("A history must end with three entries");
  }
  return { images, halts, histories };
}

if (import.meta.main) {
  const [count = "100000", seed = "1"] = (globalThis as { Deno?: { args: string[] } }).Deno?.args ?? [];
  const start = performance.now();
  const { images, halts, histories } = await exploreCrashImages(Number(count), Number(seed));
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  console.log(`${images} images of ${halts} halts in ${histories} histories recovered in ${seconds} s`);
}
