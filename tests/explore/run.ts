/**
 * What `deno task explore` does with its arguments.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { commitName } from "../sim/explain.ts";
import { type Bounds, boundsOf, optionsText, usage, UsageError } from "./bounds.ts";
import { type Ending, explore, type Report } from "./explorer.ts";
import { full, plan } from "./plan.ts";
import { explorePools, type PoolReport } from "./pools.ts";
import { stepOf } from "./broken.ts";
import { realStep } from "./stepper.ts";
import type { StepCore } from "../core/cluster.ts";
import { replay } from "./trace.ts";

type Print = (line: string) => void;

/**
 * Explores the plan, or with options one space of these bounds.
 *
 * @param fault Name of a fault of broken.ts that the core has.
 * @returns The exit status: 0 exhausted, 1 a violation, 2 wrong options, 3 it did not come to an end.
 */
export async function run(args: readonly string[], print: Print, fault?: string): Promise<number> {
  try {
    if (args.includes("--help")) {
      print(
        `Looks at every state that a small cluster can reach. Without options: ${plan.length} spaces; with --full: ` +
          `${optionsText(full)}.\n\n${usage()}`,
      );
      return 0;
    }
    if (args.length === 0) return runPlan(print);
    const { choices, jobs, rest } = takeOthers(args);
    const bounds = boundsOf(rest);
    if (choices !== undefined) return show(bounds, choices, print) ? 1 : 0;
    if (bounds.pool) return await runPools(bounds, jobs, print, fault);
    return statusOf[runOne(bounds, print).ending];
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof RangeError)) throw error;
    print(error.message);
    return 2;
  }
}

const statusOf: Readonly<Record<Ending, number>> = { exhausted: 0, violation: 1, states: 3, seconds: 3 };

function runPlan(print: Print): number {
  let states = 0;
  let seconds = 0;
  for (const [i, { about, bounds }] of plan.entries()) {
    print(`${i + 1} of ${plan.length}: ${about}`);
    const report = runOne(bounds, print);
    states += report.states;
    seconds += report.seconds;
    if (report.ending !== "exhausted") return statusOf[report.ending];
    print("");
  }
  print(
    `${plan.length} spaces exhausted: ${grouped(states)} states in ${seconds.toFixed(0)} s, and no invariant broke`,
  );
  return 0;
}

function runOne(bounds: Bounds, print: Print, stepCore: StepCore = realStep): Report {
  print(`bounds: ${optionsText(bounds)}`);
  let said = performance.now();
  const report = explore(bounds, {
    stepCore,
    onProgress: (states, depth) => {
      if (performance.now() - said < 10_000) return;
      said = performance.now();
      print(`… ${grouped(states)} states, depth ${depth}`);
    },
  });
  print(reportText(report));
  if (report.violation !== undefined) {
    const { choices } = report.violation;
    print(`\nto replay: deno task explore ${optionsText(bounds)} --replay ${choices.join(".")}\n`);
    show(bounds, choices, print, stepCore);
  }
  return report;
}

async function runPools(bounds: Bounds, jobs: number, print: Print, fault?: string): Promise<number> {
  print(`bounds: ${optionsText(bounds)}`);
  let said = performance.now();
  const report = await explorePools(bounds, {
    jobs,
    fault,
    onProgress: (pools, transitions, about) => {
      if (performance.now() - said < 10_000) return;
      said = performance.now();
      print(`… ${grouped(pools)} pools, ${grouped(transitions)} transitions, ${about}`);
    },
  });
  const { ending, suspicion, reached } = report;
  print(`longest log ${reached.entries}, committed ${reached.committed}, last term ${reached.term}`);
  if (ending !== "suspect") {
    print(poolText(report, bounds, jobs));
    return ending === "exhausted" ? 0 : 3;
  }
  // A pool may mix messages of different pasts.
  print(`in a pool breaks ${suspicion}\nlooking for a state in which it does`);
  const { ending: found } = runOne({ ...bounds, pool: false }, print, stepOf(fault));
  if (found === "violation") return 1;
  print("NOT exhausted: an invariant breaks in a pool, and no state was found in which it does; nothing is known");
  return 3;
}

function poolText(report: PoolReport, bounds: Bounds, jobs: number): string {
  const { ending, pools, transitions, visits, depth, seconds } = report;
  const end = ending === "suspect" ? "violation" : ending;
  return `${endings[end]}: states ${grouped(pools)} (those that differ in messages alone are one), ` +
    `transitions ${grouped(transitions)}, visits ${grouped(visits)}, depth ${depth}, bounds ${optionsText(bounds)}, ` +
    `${seconds.toFixed(0)} s, jobs ${jobs}, commit ${commitName()}`;
}

interface Others {
  readonly choices: number[] | undefined;
  readonly jobs: number;
  readonly rest: readonly string[];
}

/** Takes the options that are no bounds; `--full` stands for some that are. */
function takeOthers(args: readonly string[]): Others {
  const rest = args.flatMap((arg) => arg === "--full" ? fullOptions() : [arg]);
  const text = takeOption(rest, "--replay");
  if (text !== undefined && !/^\d+(\.\d+)*$/.test(text)) {
    throw new UsageError(`--replay takes numbers like 0.4.2, not "${text}"`);
  }
  const jobs = takeOption(rest, "--jobs");
  if (jobs !== undefined && !/^[1-9]\d?$/.test(jobs)) {
    throw new UsageError(`--jobs takes a whole number from 1 to 99, not "${jobs}"`);
  }
  return {
    choices: text?.split(".").map(Number),
    jobs: jobs === undefined ? availableParallelism() : Number(jobs),
    rest,
  };
}

function fullOptions(): string[] {
  return [...optionsText(full).split(" "), "--states", `${full.states}`, "--seconds", `${full.seconds}`];
}

function takeOption(args: string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1] ?? "";
}

/** Whether an invariant broke. */
function show(bounds: Bounds, choices: readonly number[], print: Print, stepCore: StepCore = realStep): boolean {
  const { lines, broken } = replay(bounds, choices, stepCore);
  print(lines.join("\n"));
  print(broken === undefined ? "no invariant broke" : `broken: ${broken}`);
  return broken !== undefined;
}

const endings: Readonly<Record<Ending, string>> = {
  exhausted: "exhausted: every state within the bounds was looked at, and no invariant broke",
  states: "NOT exhausted: the budget of states ended it; nothing is known of the rest",
  seconds: "NOT exhausted: the budget of seconds ended it; nothing is known of the rest",
  violation: "VIOLATION",
};

function reportText(report: Report): string {
  const { states, transitions, depth, seconds, space, ending, violation } = report;
  const { entries, committed, term } = space.reached();
  const rate = Math.round(states / Math.max(seconds, 0.001));
  return [
    `states ${grouped(states)}, transitions ${grouped(transitions)}, depth ${depth}, ${seconds.toFixed(1)} s, ` +
    `${grouped(rate)} states/s`,
    `servers seen ${grouped(space.locals.items.length)}, messages ${grouped(space.packets.items.length)}, ` +
    `steps of the core ${grouped(space.steps)}; longest log ${entries}, committed ${committed}, last term ${term}`,
    violation === undefined ? endings[ending] : `${endings[ending]}: ${violation.message}`,
  ].join("\n");
}

function grouped(number: number): string {
  return number.toLocaleString("en-US");
}
