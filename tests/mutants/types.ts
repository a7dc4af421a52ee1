/**
 * Whether mutants pass the type check, many at a time.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Mutant } from "./mutant.ts";
import type { Tree } from "./tree.ts";

/** A type check that takes longer hangs. */
const checkMsMax = 240_000;

/** All that does not pass, with what the compiler says. */
export async function findTypeErrors(tree: Tree, mutants: readonly Mutant[]): Promise<Map<Mutant, string>> {
  const errors = new Map<Mutant, string>();
  await tree.apply([]);
  for (const group of groupsOf(mutants, (file) => readFileSync(join(tree.path, file), "utf8"))) {
    if (await check(tree, group) === undefined) continue;
    for (const mutant of group) {
      const error = await check(tree, [mutant]);
      if (error !== undefined) errors.set(mutant, error);
    }
  }
  return errors;
}

/**
 * Groups in which no two change the same place, as few as come out.
 *
 * @param textOf What a file holds.
 */
export function groupsOf(mutants: readonly Mutant[], textOf: (file: string) => string): Mutant[][] {
  const placeOf = ({ file, find }: Mutant) => textOf(file).indexOf(find);
  const areApart = (a: Mutant, b: Mutant) => {
    if (a.file !== b.file) return true;
    const overlap = placeOf(a) < placeOf(b) + b.find.length && placeOf(b) < placeOf(a) + a.find.length;
    return !overlap && !a.replace.includes(b.find) && !b.replace.includes(a.find);
  };
  const groups: Mutant[][] = [];
  for (const mutant of mutants) {
    const group = groups.find((others) => others.every((other) => areApart(other, mutant)));
    if (group === undefined) groups.push([mutant]);
    else group.push(mutant);
  }
  return groups;
}

async function check(tree: Tree, mutants: readonly Mutant[]): Promise<string | undefined> {
  await tree.apply(mutants);
  const { code, output } = await tree.run(["check", "--quiet", "tests/mutants/hunter.ts"], checkMsMax);
  return code === 0 ? undefined : output;
}
