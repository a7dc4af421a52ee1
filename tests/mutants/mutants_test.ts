import { assert, assertEquals, assertThrows } from "@std/assert";
import { readFile } from "node:fs/promises";
import { INVARIANTS } from "../../src/testing/sim/invariants.ts";
import { test } from "../harness.ts";
import { parseCommand, UsageError } from "./args.ts";
import { isKilled, type Trial } from "./hunt.ts";
import { MUTANTS } from "./list/all.ts";
import { applyMutant, type Mutant } from "./mutant.ts";
import { stepsOf } from "./plan.ts";
import { describeTable, describeVerdict, median } from "./table.ts";
import { groupsOf } from "./types.ts";

const root = new URL("../../", import.meta.url);

/** How many entries each family of the bug catalogue has. */
const families: Readonly<Record<string, number>> = {
  ...{ BE: 32, BL: 25, BC: 16, BM: 23, BS: 22, BD: 22, BR: 15, BK: 13, BT: 14, BA: 16, BV: 15 },
};

/** A fault in code that is nowhere. */
function mutant(find: string, replace: string, file = "a.ts"): Mutant {
  return { id: `${find} to ${replace}`, bug: "BE01", file, find, replace, why: "It is a test.", invariants: ["E1"] };
}

const figures = { start: 0, seeds: 3, seed: 2, steps: 1000, detail: "it is so", events: 5000, timeMs: 2000 };
const killed: Trial = { type: "killed", invariant: "E3", ...figures };

test("mutants: the place of each is in today's code, once", async () => {
  const problems: string[] = [];
  for (const mutant of MUTANTS) {
    try {
      const text = await readFile(new URL(mutant.file, root), "utf8");
      assert(applyMutant(mutant, text) !== text, `the mutant "${mutant.id}" changes nothing`);
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  assertEquals(problems, []);
});

test("mutants: each has a name of its own, a bug of the catalogue and a reason", () => {
  assert(MUTANTS.length >= 55, `${MUTANTS.length} mutants`);
  assertEquals(new Set(MUTANTS.map(({ id }) => id)).size, MUTANTS.length);
  for (const { id, bug, why, invariants, file } of MUTANTS) {
    assert(/^[a-z0-9]+(-[a-z0-9]+)+$/.test(id), id);
    const [, family, number] = /^(B[A-Z])(\d\d)$/.exec(bug) ?? [];
    assert(Number(number) >= 1 && Number(number) <= (families[family ?? ""] ?? 0), `${id}: ${bug}`);
    assert(why.length > 10 && /[.?]$/.test(why), id);
    assert(invariants.length > 0 && invariants.every((name) => name in INVARIANTS), id);
    assert(
      /^src\/((core|driver|store|wire)\/|(reader|recovery|restorer|server|session|shutdown)\.ts$)/.test(file),
      `${id}: ${file}`,
    );
  }
});

test("mutants: a place that is gone or not the only one is told", () => {
  assertEquals(applyMutant(mutant("b", "x"), "abc"), "axc");
  assertThrows(() => applyMutant(mutant("d", "x"), "abc"), Error, 'a.ts does not hold "d" any more');
  assertThrows(() => applyMutant(mutant("a", "x"), "aba"), Error, 'a.ts holds "a" more than once');
});

test("mutants: only what a checker found is a kill, and it must be found from every start", () => {
  const verdict = { mutant: mutant("b", "x"), problem: undefined };
  const gaveUp: Trial = { type: "gave-up", invariant: "V0", ...figures };
  const survived: Trial = { type: "survived", start: 0, seeds: 60, events: 90_000, timeMs: 1e6 };
  assertEquals(isKilled({ ...verdict, trials: [killed, killed] }), true);
  assertEquals(isKilled({ ...verdict, trials: [killed, gaveUp] }), false);
  assertEquals(isKilled({ ...verdict, trials: [killed, survived] }), false);
  assertEquals(isKilled({ ...verdict, trials: [] }), false);
  assertEquals(isKilled({ ...verdict, trials: [killed], problem: "it hung" }), false);
  const table = describeTable([{ ...verdict, trials: [killed, survived] }, { ...verdict, trials: [killed] }]);
  assert(table.endsWith("1 of 2 mutants killed"), table);
  assert(table.includes("3 >60"), table);
  const runs = { faults: ["kill"], client: { clients: 1 } } as const;
  const lines = describeTable([{ ...verdict, mutant: { ...verdict.mutant, runs }, trials: [killed] }, {
    ...verdict,
    trials: [killed],
  }]).split("\n");
  assertEquals(lines.map((line) => line.split(/ {2,}/)[2]), ["fixed", "faults, client", "-", undefined]);
  assert(describeVerdict({ ...verdict, trials: [survived] }).includes("SURVIVES nothing in 60 seeds"));
  assertEquals([median([3, 1, 2]), median([7])], [2, 7]);
  assert(stepsOf(0) < stepsOf(100) && stepsOf(100) < stepsOf(299));
});

test("mutants: the command line is understood or refused in words", () => {
  const command = parseCommand(["--only", `${MUTANTS[3]!.id},${MUTANTS[0]!.id}`, "--budget", "7", "--starts", "2"]);
  assert(command.type === "hunt");
  assertEquals(command.mutants, [MUTANTS[3]!, MUTANTS[0]!]);
  assertEquals([command.budget, command.starts.length, command.jobs], [7, 2, 2]);
  assertEquals(parseCommand(["--help"]), { type: "help" });
  assertThrows(() => parseCommand(["--only", "nobody"]), UsageError, 'Cannot find the mutant "nobody"');
  assertThrows(() => parseCommand(["--budget", "0"]), UsageError, "--budget 0");
  assertThrows(() => parseCommand(["--budget", "many"]), UsageError, "--budget many");
  assertThrows(() => parseCommand(["--else"]), UsageError, "--else");
});

test("mutants: those in one place are not checked together", () => {
  const [a, b, c] = [mutant("one two", "x"), mutant("two three", "y"), mutant("four", "z")];
  const elsewhere = mutant("one two", "x", "b.ts");
  const groups = groupsOf([a, b, c, elsewhere], () => "one two three four");
  assertEquals(groups, [[a, c, elsewhere], [b]]);
  assertEquals(groupsOf([c, mutant("one", "four")], () => "one two three four").length, 2);
});
