/**
 * Counts what a JUnit report says. Deno, Bun and Node all write one, and unlike their summaries for people it doesn't
 * change with versions, colours or terminals.
 *
 * @module
 */

/** How many tests passed and failed. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  /** Those that need what this machine has not. */
  readonly skipped: number;
}

/** Counts the test cases of a report. */
export function countTestCases(report: string): Counts {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  // A failure's text may hold anything, and CDATA is the only place where it isn't escaped.
  const xml = report.replace(/<!\[CDATA\[[\s\S]*?\]\]>/g, "");
  // Node leaves `>` in a name as it is.
  const testCase = /<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
  for (const [, attributes = "", body = ""] of xml.matchAll(testCase)) {
    if (/<skipped\b/.test(body)) skipped += 1;
    else if (/<(?:failure|error)\b/.test(body)) failed += 1;
    else if (!isWholeFile(attributes)) passed += 1;
  }
  return { passed, failed, skipped };
}

// Node reports a file that registers no test as a test of the file's name. Its failure counts, its passing doesn't.
function isWholeFile(attributes: string): boolean {
  return /\bname="[^"]*_test\.ts"/.test(attributes);
}
