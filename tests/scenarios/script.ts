/**
 * Scripts: commands at the margin, what they lead to indented below them, `#` for comments.
 *
 * @module
 */
import type { StepCore } from "../core/cluster.ts";
import { runCommand, type Stage } from "./commands.ts";

const indent = "    ";

interface Line {
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** Absent when it is a comment or empty. */
  readonly expected?: string[];
}

/** Something in a script went wrong: says where. */
export class ScriptFailure extends Error {
  override name = "ScriptFailure";
}

function parse(text: string): Line[] {
  const lines: Line[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.trimEnd();
    if (line.startsWith(indent)) {
      lines.findLast(({ expected }) => expected !== undefined)?.expected?.push(line.slice(4));
    } else if (line === "" || line.startsWith("#")) lines.push({ text: line, number: i + 1 });
    else lines.push({ text: line, number: i + 1, expected: [] });
  }
  return lines;
}

/**
 * Runs a script.
 *
 * @param stepCore The core to use. Default: the real one.
 * @returns The script with what happened in the place of what was expected.
 * @throws {ScriptFailure} When a command is unknown or can't be done, an expectation or an invariant does not hold.
 */
export function record(name: string, text: string, stepCore?: StepCore): string {
  const stage: Stage = { world: undefined, stepCore };
  const output: string[] = [];
  for (const { text: command, number, expected } of parse(text)) {
    output.push(command);
    if (expected === undefined) continue;
    try {
      for (const line of runCommand(stage, command)) output.push(`${indent}${line}`);
    } catch (error) {
      const seen = stage.world?.takeLines().map((line) => `\n${indent}${line}`).join("") ?? "";
      throw new ScriptFailure(`${name}:${number}: ${command}: ${(error as Error).message}${seen}`, { cause: error });
    }
  }
  return output.join("\n").trimEnd() + "\n";
}

/**
 * Runs a script and compares.
 *
 * @throws {ScriptFailure} Also when something else happened than was expected: names the first line that differs.
 */
export function check(name: string, text: string): void {
  const expected = (text.trimEnd() + "\n").split("\n");
  const actual = record(name, text).split("\n");
  const at = expected.findIndex((line, i) => line !== actual[i]);
  if (at < 0 && actual.length === expected.length) return;
  const line = at < 0 ? expected.length : at;
  throw new ScriptFailure(
    `${name}:${line + 1}: expected\n${expected[line] ?? "nothing"}\nbut this happened\n${actual[line] ?? "nothing"}\n` +
      `If that is right: deno task scenarios --rewrite ${name}`,
  );
}
