import { assertEquals } from "@std/assert";
import { readdir, readFile } from "node:fs/promises";
import { INVARIANTS } from "../../../src/testing/sim/invariants.ts";
import { test } from "../../harness.ts";

const root = new URL("../../../", import.meta.url);

/** All TypeScript in these folders, but for the file that lists the names. */
async function sourcesOf(...folders: string[]): Promise<string> {
  const texts: string[] = [];
  for (const folder of folders) {
    for (const name of await readdir(new URL(folder, root))) {
      if (name.endsWith(".ts") && name !== "invariants.ts") {
        texts.push(await readFile(new URL(folder + name, root), "utf8"));
      }
    }
  }
  return texts.join("\n");
}

/**
 * Whether a test says by this name what a bad state breaks: a rule, which is played well and badly, a run that `fails` by
 * nothing else, or a violation that is compared with it.
 */
function isExpected(name: string, tests: string): boolean {
  const forms = [`\\brule\\(\\s*"${name}",`, `\\bfails\\(.*\\["${name}"\\]`, `\\bassertEquals\\(.*"${name}"[,)\\]]`];
  return forms.some((form) => new RegExp(form).test(tests));
}

test("sim checkers: every invariant is checked, and a test rejects a bad state by its name", async () => {
  const names = Object.keys(INVARIANTS);
  const sources = await sourcesOf("src/testing/sim/", "src/testing/sim/check/");
  assertEquals(names.filter((name) => !sources.includes(`"${name}"`)), [], "nothing checks them");
  const tests = await sourcesOf("tests/testing/", "tests/testing/sim/", "tests/sim/");
  assertEquals(names.filter((name) => !isExpected(name, tests)), [], "no test breaks them");
});

test("sim checkers: a name that no violation is compared with is not tested", () => {
  for (const text of ['test("sim: Z9: it is so")', 'const seen = ["Z9"];', 'rule("Z91", "it is so")', "// Z9"]) {
    assertEquals(isExpected("Z9", text), false, text);
  }
  for (const text of ['rule(\n  "Z9",', 'fails("it", ["Z9"]', 'assertEquals(violation?.invariant, "Z9", text)']) {
    assertEquals(isExpected("Z9", text), true, text);
  }
});
