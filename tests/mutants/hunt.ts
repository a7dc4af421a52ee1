/**
 * Hunts mutants, one process for each.
 *
 * @module
 */
import { runSeed } from "../../src/testing/sim/run.ts";
import type { Mutant, Runs } from "./mutant.ts";
import type { Find, Line, Plan } from "./plan.ts";
import { Tree } from "./tree.ts";

/** A run that takes longer hangs. */
const silenceMs = 180_000;

/** What came of one start. */
export type Trial = Exclude<Line, { type: "passed" } | { type: "useless" } | { type: "simulator-failed" }>;

/** What came of a mutant. */
export interface Verdict {
  readonly mutant: Mutant;
  /** One for each start, in their order; fewer when the hunt was broken off. */
  readonly trials: readonly Trial[];
  /** Why it is no mutant or could not be hunted. */
  readonly problem: string | undefined;
}

/** Whether every start found it, by an invariant that a checker looks after. */
export function isKilled({ trials, problem }: Verdict): boolean {
  return problem === undefined && trials.length > 0 && trials.every(({ type }) => type === "killed");
}

/** Where to hunt: the first seed of each start, and how many seeds may be run from each. */
export interface HuntRequest {
  readonly starts: readonly number[];
  readonly budget: number;
}

/** Hunts all of them, so many at a time; says so after each. The verdicts are in the order of the mutants. */
export async function huntAll(
  mutants: readonly Mutant[],
  request: HuntRequest,
  jobs: number,
  onVerdict: (verdict: Verdict) => void = () => {},
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const controls = new Controls();
  let next = 0;
  const work = async () => {
    const tree = await Tree.make();
    try {
      while (next < mutants.length) {
        const at = next++;
        const verdict = await hunt(tree, mutants[at]!, request, controls);
        verdicts[at] = verdict;
        onVerdict(verdict);
      }
    } finally {
      await tree.remove();
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, mutants.length) }, work));
  return verdicts;
}

async function hunt(tree: Tree, mutant: Mutant, request: HuntRequest, controls: Controls): Promise<Verdict> {
  try {
    await tree.apply([mutant]);
  } catch (error) {
    return { mutant, trials: [], problem: (error as Error).message };
  }
  const trials = new Map<number, Trial>();
  let left = request.starts;
  while (left.length > 0) {
    const found = await run(tree, {
      starts: left,
      budget: request.budget,
      skips: controls.broken,
      runs: mutant.runs,
    });
    if (typeof found === "string") return { mutant, trials: [...trials.values()], problem: found };
    for (const trial of found) {
      // What the code does without the fault as well, the fault has not done.
      if (trial.type === "survived" || !await controls.isBroken(trial, mutant.runs)) trials.set(trial.start, trial);
    }
    left = left.filter((start) => !trials.has(start));
  }
  return { mutant, trials: request.starts.map((start) => trials.get(start)!), problem: undefined };
}

/** Hunts from all starts of the plan. A text says why it could not. */
async function run(tree: Tree, plan: Plan): Promise<Trial[] | string> {
  const trials: Trial[] = [];
  let problem = "it does not run";
  const args = ["run", "--allow-all", "--no-check", "--quiet", "tests/mutants/hunter.ts", JSON.stringify(plan)];
  const { code, output } = await tree.run(args, silenceMs, (text) => {
    const line = JSON.parse(text) as Line;
    if (line.type === "passed") problem = `it hangs after seed ${line.seed}`;
    else if (line.type === "useless") problem = `it breaks ordinary use: ${line.detail}`;
    else if (line.type === "simulator-failed") problem = `the simulator failed at seed ${line.seed}: ${line.detail}`;
    else trials.push(line);
  });
  return trials.length === plan.starts.length ? trials : `${problem} (status ${code}) ${output}`.trim();
}

/** Seeds as they are without any fault. */
class Controls {
  readonly #known = new Map<string, Promise<boolean>>();
  /** Those that fail. */
  readonly broken: number[] = [];

  /** Whether this one fails. */
  isBroken({ seed, steps }: Find, runs?: Runs): Promise<boolean> {
    const key = `${seed} ${steps} ${JSON.stringify(runs)}`;
    let known = this.#known.get(key);
    if (known === undefined) this.#known.set(key, known = this.#run(seed, steps, runs));
    return known;
  }

  async #run(seed: number, steps: number, runs?: Runs): Promise<boolean> {
    const { violation } = await runSeed(seed, { ...runs, steps });
    if (violation === undefined) return false;
    this.broken.push(seed);
    console.log(`seed ${seed} of ${steps} steps fails without any fault, and is left out: ${violation.message}`);
    return true;
  }
}
