/**
 * The rules for messages of errors: a sentence that begins with a capital and has neither a final period nor a
 * contraction.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../tools/paths.ts";
import { test } from "./harness.ts";

// Reasons of a plain Error end up inside of a sentence, and an invariant says what must hold.
const THROWN =
  /new (?:Type|Range|Storage|NotFound|Protocol|LeadershipLost|NotLeader|Usage|Http)Error\(\s*(["'`])((?:\\.|(?!\1)[^])*?)\1/g;

/** What is wrong with a message; undefined when nothing is. */
function problemOf(message: string): string | undefined {
  if (!/^[A-Z]/.test(message)) return "begins without a capital";
  if (/\.$/.test(message)) return "ends with a period";
  if (/\w'(?:t|re|s not|ve|ll)\b/.test(message)) return "has a contraction";
  return undefined;
}

async function sourcesOf(folder: string): Promise<string[]> {
  const names = await readdir(join(ROOT, folder), { recursive: true });
  return names.filter((name) => name.endsWith(".ts")).map((name) => join(ROOT, folder, name));
}

test("messages: every thrown message keeps to the rules", async () => {
  const found: string[] = [];
  let count = 0;
  for (const file of [...await sourcesOf("src"), ...await sourcesOf("adapters")]) {
    for (const [, , message = ""] of (await readFile(file, "utf8")).matchAll(THROWN)) {
      count++;
      const problem = problemOf(message);
      if (problem !== undefined) found.push(`${file}: "${message}" ${problem}`);
    }
  }
  assertEquals(found, []);
  assertEquals(count > 80, true, `only ${count} messages were found`);
});

test("messages: the rules tell good from bad", () => {
  const texts = ["Cannot do it: it is 3", "cannot do it", "Cannot do it.", "Cannot do it as it isn't there"];
  const problems = [undefined, "begins without a capital", "ends with a period", "has a contraction"];
  assertEquals(texts.map(problemOf), problems);
});
