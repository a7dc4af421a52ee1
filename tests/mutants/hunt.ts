/**
 * Hunts mutants, one process for each.
 *
 * @module
 */
import { runSeed } from "../../src/testing/sim/run.ts";
import type { Mutant } from "./mutant.ts";
import type { Find, Line, Plan } from "./plan.ts";
import { Tree } from "./tree.ts";

/** A run that takes longer hangs. */
const silenceMs = 90_000;

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

/** Hunts all of them, so many at a time; says so after each. The verdicts are in the order of the mutants. */
export async function huntAll(
  mutants: readonly Mutant[],
  plan: Plan,
  jobs: number,
  onVerdict: (verdict: Verdict) => void = () => {},
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  let next = 0;
  const work = async () => {
    const tree = await Tree.make();
    try {
      while (next < mutants.length) {
        const at = next++;
        const verdict = await hunt(tree, mutants[at]!, plan);
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

async function hunt(tree: Tree, mutant: Mutant, plan: Plan): Promise<Verdict> {
  try {
    await tree.apply([mutant]);
  } catch (error) {
    return { mutant, trials: [], problem: (error as Error).message };
  }
  const trials: Trial[] = [];
  let last = "it was not begun";
  let problem: string | undefined;
  const args = ["run", "--allow-all", "--no-check", "--quiet", "tests/mutants/hunter.ts", JSON.stringify(plan)];
  const { code, output } = await tree.run(args, silenceMs, (text) => {
    const line = JSON.parse(text) as Line;
    if (line.type === "passed") last = `it hung after seed ${line.seed}`;
    else if (line.type === "useless") problem = `it breaks ordinary use: ${line.detail}`;
    else if (line.type === "simulator-failed") last = `the simulator failed at seed ${line.seed}: ${line.detail}`;
    else trials.push(line);
  });
  if (problem === undefined && trials.length < plan.starts.length) {
    problem = `${last}; status ${code}. ${output}`.trim();
  }
  for (const trial of trials) {
    if (trial.type !== "survived") problem ??= await doubtAbout(trial);
  }
  return { mutant, trials, problem };
}

/** Why a find proves nothing: what the code does without the fault as well, the fault has not done. */
async function doubtAbout({ seed, steps }: Find): Promise<string | undefined> {
  const { violation } = await runSeed(seed, { steps });
  return violation && `without it seed ${seed} breaks ${violation.invariant} as well: ${violation.message}`;
}
