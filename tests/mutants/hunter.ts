/**
 * Runs in a copy of the code that has a fault in it: looks for seeds that find it, and prints what it found, line by line.
 *
 * @module
 */
import process from "node:process";
import type { InvariantViolation } from "../../src/testing/sim/ghost.ts";
import { runSeed } from "../../src/testing/sim/run.ts";
import type { Line, Plan } from "./plan.ts";
import { stepsOf } from "./plan.ts";
import { useOrdinarily } from "./ordinary_use.ts";

/** Runs that end with the code giving up by itself prove little: after so many of them there is no use in more. */
const gaveUpMax = 25;

/** A history that nobody has found an order for within the steps allowed may have one. */
function isGivenUp({ invariant, message }: InvariantViolation): boolean {
  return invariant === "R4" && message.includes("is unknown");
}

function say(line: Line): void {
  console.log(JSON.stringify(line));
}

async function hunt(start: number, { budget, skips, runs }: Plan): Promise<void> {
  let [events, timeMs, gaveUp] = [0, 0, 0];
  let first: Line | undefined;
  for (let seeds = 1; seeds <= budget; seeds++) {
    const seed = start + seeds - 1;
    if (skips.includes(seed)) continue;
    const steps = Math.max(stepsOf(seeds - 1), runs?.steps ?? 0);
    const report = await runSeed(seed, { ...runs, steps });
    events += report.events;
    timeMs += report.timeMs;
    const { violation } = report;
    if (violation === undefined || isGivenUp(violation)) {
      say({ type: "passed", start, seed });
      continue;
    }
    const { invariant, message } = violation;
    const line = { start, seeds, seed, steps, invariant, detail: message.slice(0, 400), events, timeMs };
    // S0: it is the simulator that failed.
    if (invariant === "S0") say({ type: "simulator-failed", ...line });
    else if (invariant === "V0") {
      first ??= { type: "gave-up", ...line };
      say({ type: "passed", start, seed });
      if (++gaveUp >= gaveUpMax) break;
    } else return say({ type: "killed", ...line });
  }
  say(first ?? { type: "survived", start, seeds: budget, events, timeMs });
}

const plan: Plan = JSON.parse(process.argv[2]!);
try {
  await useOrdinarily();
  for (const start of plan.starts) await hunt(start, plan);
} catch (error) {
  say({ type: "useless", detail: String(error).slice(0, 400) });
}
