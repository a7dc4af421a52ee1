/**
 * `deno task explore`: every state of a small cluster.
 *
 *     deno task explore [--servers 3] [--terms 2] [--entries 2] … [--replay n.n.…]
 *
 * Exit status: 0 exhausted, 1 a violation, 2 wrong options, 3 a budget ended it (which proves nothing about the rest).
 *
 * @module
 */
import process from "node:process";
import { type Bounds, boundsOf, optionsText, usage, UsageError } from "./bounds.ts";
import { explore, type Report } from "./explorer.ts";
import { replay } from "./trace.ts";

function main(args: string[]): number {
  if (args.includes("--help")) {
    console.log(`Looks at every state that a small cluster can reach.\n\n${usage()}`);
    return 0;
  }
  const choices = takeReplay(args);
  const bounds = boundsOf(args);
  if (choices !== undefined) return show(bounds, choices);
  console.log(`bounds: ${optionsText(bounds)}`);
  console.log(`budgets: --states ${bounds.states} --seconds ${bounds.seconds}`);
  let said = performance.now();
  const report = explore(bounds, {
    onProgress: (states, depth) => {
      if (performance.now() - said < 10_000) return;
      said = performance.now();
      console.log(`… ${grouped(states)} states, depth ${depth}`);
    },
  });
  console.log(reportText(report));
  if (report.violation !== undefined) {
    console.log(
      `\nto replay: deno task explore ${optionsText(bounds)} --replay ${report.violation.choices.join(".")}\n`,
    );
    show(bounds, report.violation.choices);
  }
  return { exhausted: 0, violation: 1, states: 3, seconds: 3 }[report.ending];
}

function takeReplay(args: string[]): number[] | undefined {
  const at = args.indexOf("--replay");
  if (at < 0) return undefined;
  const [, text = ""] = args.splice(at, 2);
  if (!/^\d+(\.\d+)*$/.test(text)) throw new UsageError(`--replay takes numbers like 0.4.2, not "${text}"`);
  return text.split(".").map(Number);
}

function show(bounds: Bounds, choices: readonly number[]): number {
  const { lines, broken } = replay(bounds, choices);
  console.log(lines.join("\n"));
  console.log(broken === undefined ? "no invariant broke" : `broken: ${broken}`);
  return broken === undefined ? 0 : 1;
}

const endings: Readonly<Record<Report["ending"], string>> = {
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

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof RangeError)) throw error;
  console.log(error.message);
  process.exitCode = 2;
}
