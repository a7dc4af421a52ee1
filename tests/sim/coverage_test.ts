import { assert, assertEquals } from "@std/assert";
import { test } from "../harness.ts";

const DENO = { runtimes: ["deno"], timeoutMs: 120_000 } as const;

test("coverage: the smallest range around an offset says how often it ran", async () => {
  const { countAt, isTaken } = await import("./coverage.ts");
  const ranges = [
    { startOffset: 0, endOffset: 100, count: 5 },
    { startOffset: 10, endOffset: 30, count: 2 },
    { startOffset: 40, endOffset: 50, count: 0 },
    { startOffset: 60, endOffset: 90, count: 5 },
  ];
  assertEquals([5, 10, 29, 30, 45, 99, 100].map((offset) => countAt(ranges, offset)), [5, 2, 2, 5, 0, 5, 0]);
  const branch = (to: number, rest: boolean) => isTaken(ranges, { kind: "if", at: 5, from: 5, to, rest });
  assertEquals([branch(10, false), branch(10, true)], [true, true]);
  assertEquals([branch(45, false), branch(45, true)], [false, true]);
  // As often as the decision: it never went the other way.
  assertEquals([branch(60, false), branch(60, true)], [true, false]);
}, DENO);

test("coverage: a loop's test is decided again after each time that its body ran", async () => {
  const { isTaken } = await import("./coverage.ts");
  const { default: plugin } = await import("../../tools/branch_plugin.ts");
  const branchesOf = (source: string) =>
    Deno.lint.runPlugin(plugin, "a.ts", source).map(({ message }) => JSON.parse(message))
      .filter(({ kind }) => kind === "&& left");
  const whole = (source: string, right: number, body: number) => [
    { startOffset: 0, endOffset: source.length, count: 3 },
    { startOffset: source.indexOf("b"), endOffset: source.indexOf("b") + 1, count: right },
    { startOffset: source.indexOf("{"), endOffset: source.length, count: body },
  ];
  const source = "while (a && b) { c(); }";
  const [left] = branchesOf(source);
  assertEquals([left.at, left.from, left.to, left.again], [7, 7, 12, 15]);
  // Three loops, four turns: the test is decided seven times, and each time with both or not.
  assertEquals([isTaken(whole(source, 7, 4), left), isTaken(whole(source, 6, 4), left)], [false, true]);
  const others = ["while (a && b) { if (c) break; }", "if (a && b) { c(); }", "while (a && x && b) { c(); }"];
  for (const other of others) assertEquals(branchesOf(other).at(0).again, undefined, other);
}, DENO);

test("coverage: every way that a program can take is a branch, but for assertions", async () => {
  const { default: plugin } = await import("../../tools/branch_plugin.ts");
  const kinds = (source: string) =>
    Deno.lint.runPlugin(plugin, "a.ts", source).map(({ message }) => JSON.parse(message).kind).sort().join(" ");
  assertEquals(kinds("if (a) b();"), "else if");
  assertEquals(kinds("if (a) b(); else c();"), "else if");
  assertEquals(kinds("x = a ? b : c;"), ": ?");
  assertEquals(kinds("x = a && b;"), "&& left && right");
  assertEquals(kinds("x = a ?? b;"), "?? left ?? right");
  assertEquals(kinds("for (const a of b) c();"), "for");
  assertEquals(kinds("while (a) b();"), "while");
  assertEquals(kinds("switch (a) { case 1: case 2: b(); break; default: c(); }"), "case case");
  assertEquals(kinds("invariant(a && b, () => a ? b : c);"), "");
  assertEquals(kinds("a(b, () => c);"), "");
}, DENO);

test("coverage: the core's branches are found where they stand", async () => {
  const { findBranches } = await import("./coverage.ts");
  const files = await findBranches();
  const election = files.find(({ path }) => path === "src/core/election.ts")!;
  assert(files.length > 8 && election.branches.length > 20);
  assertEquals(files.some(({ path }) => path.endsWith("invariant.ts")), false);
  const source = await Deno.readTextFile("src/core/election.ts");
  for (const { kind, at } of election.branches) {
    if (kind === "if") assertEquals(source.slice(at, at + 3), "if ");
  }
}, DENO);
