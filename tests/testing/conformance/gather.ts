/** A suite's tests as data, so that it can be seen which ones fail. */
import type { RegisterTest } from "../../../src/testing/case_checks.ts";

/** Names of the tests that fail. */
export async function failuresOf(suite: (register: RegisterTest) => void): Promise<string[]> {
  const tests: { readonly name: string; readonly body: () => Promise<void> }[] = [];
  suite((name, body) => void tests.push({ name, body }));
  const failed: string[] = [];
  for (const { name, body } of tests) await body().catch(() => failed.push(name));
  return failed;
}

/** How many tests a suite has. */
export function countOf(suite: (register: RegisterTest) => void): number {
  let count = 0;
  suite(() => void count++);
  return count;
}
