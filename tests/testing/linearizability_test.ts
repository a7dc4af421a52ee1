import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { checkLinearizability, type Model, type Operation, type Verdict } from "../../src/testing/linearizability.ts";
import { type RegisterInput, registerModel, type RegisterOutput } from "../../src/testing/register.ts";
import { test } from "../harness.ts";

type Op = Operation<RegisterInput, RegisterOutput>;

const model = registerModel();

/** Operations as text: `0-3 put a`, `1-2 get a`, `4-5 get -`, `2-? put b` (unknown), `2-x put b` (failed). */
function history(text: string, key = "k"): Op[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").map((line) => {
    const [times, type, ...args] = line.split(" ") as [string, string, ...string[]];
    const [called, end] = times.split("-") as [string, string];
    const outcome = end === "?" ? "unknown" : end === "x" ? "failed" : "ok";
    const value = (text: string | undefined) => text === "-" ? null : text!;
    const about = {
      key,
      called: Number(called),
      outcome,
      returned: outcome === "ok" ? Number(end) : undefined,
    } as const;
    switch (type) {
      case "put":
        return { ...about, input: { type, value: args[0]! } };
      case "get":
        return { ...about, input: { type }, output: outcome === "ok" ? value(args[0]) : undefined };
      case "delete":
        return { ...about, input: { type }, output: args[0] === undefined ? undefined : args[0] === "true" };
      case "cas":
        return {
          ...about,
          input: { type, expect: value(args[0]), value: args[1]! },
          output: args[2] === undefined ? undefined : args[2] === "true",
        };
      default:
        throw new Error(`Unknown operation "${line}"`);
    }
  });
}

function verdictOf(text: string): Verdict {
  return checkLinearizability(model, history(text)).verdict;
}

const good: Record<string, string> = {
  "no operation": "",
  "a read of nothing": "0-1 get -",
  "one after the other": `
    0-1 put a
    2-3 get a
    4-5 put b
    6-7 get b
    8-9 delete true
    10-11 get -
    12-13 delete false`,
  "a read beside a write sees the old value": "0-10 put a\n1-2 get -",
  "a read beside a write sees the new value": "0-10 put a\n1-2 get a",
  "reads beside a write see old, then new": "0-10 put a\n1-2 get -\n3-4 get a",
  "two writes at once, read in the opposite order of their calls": "0-10 put a\n1-9 put b\n11-12 get a",
  "the last of two writes at once": "0-10 put a\n1-9 put b\n11-12 get b",
  "an unknown write that happened": "0-? put a\n1-2 get -\n5-6 get a",
  "an unknown write that happened late": "0-? put a\n1-2 put b\n3-4 get b\n5-6 get a",
  "an unknown write that never happened": "0-? put a\n1-2 put b\n3-4 get b\n5-6 get b",
  "an unknown write that explains a lost compare and set": "0-1 put a\n2-? put b\n3-4 cas a c false",
  "an unknown delete": "0-1 put a\n2-? delete\n3-4 get a\n5-6 get -",
  "an unknown compare and set that happened": "0-1 put a\n2-? cas a b\n3-4 get b",
  "a failed write that nobody saw": "0-x put a\n1-2 get -",
  "an unknown read": "0-1 put a\n2-? get",
  "compare and set, each once": "0-1 cas - a true\n2-3 cas - b false\n4-5 cas a c true\n6-7 get c",
  "two that compare and set at once, of which one wins": "0-1 put a\n2-9 cas a b true\n3-8 cas a c false\n10-11 get b",
  "an answer that is not known": "0-1 put a\n2-3 delete\n4-5 get -",
  "a read that touches a write as one beside it": "0-5 put a\n5-6 get -",
};

const bad: Record<string, string> = {
  "a value out of nowhere": "0-1 get a",
  "a lost write": "0-1 put a\n2-3 get -",
  "a stale read": "0-1 put a\n2-3 put b\n4-5 get a",
  "reads beside a write see new, then old": "0-10 put a\n1-2 get a\n3-4 get -",
  "two readers see two writes in opposite orders": `
    0-10 put a
    0-10 put b
    11-12 get a
    13-14 get b`,
  "a failed write that somebody saw": "0-x put a\n1-2 get a",
  "an unknown write seen before its call": "0-1 get a\n2-? put a",
  "an unknown write that happened twice": "0-? put a\n1-2 get a\n3-4 put b\n5-6 get b\n7-8 get a",
  "compare and set won twice": "0-1 put a\n2-9 cas a b true\n3-8 cas a c true",
  "compare and set lost without reason": "0-1 put a\n2-3 cas a b false",
  "a delete of nothing that found something": "0-1 delete true",
  "a delete that found nothing": "0-1 put a\n2-3 delete false",
  "an acknowledged write lost at a restart": "0-1 put a\n2-3 put b\n10-11 get a\n12-13 get a",
};

for (const [name, text] of Object.entries(good)) {
  test(`checkLinearizability() accepts ${name}`, () => assertEquals(verdictOf(text), "linearizable"));
}

for (const [name, text] of Object.entries(bad)) {
  test(`checkLinearizability() refuses ${name}`, () => assertEquals(verdictOf(text), "violation"));
}

test("checkLinearizability() judges each key by itself", () => {
  const report = checkLinearizability(model, [
    ...history("0-1 put a\n2-3 get a", "x"),
    ...history("0-1 put b\n2-3 get a", "y"),
    ...history("0-1 put c\n2-3 get c", "z"),
  ]);
  assertEquals(report.verdict, "violation");
  assertEquals(report.keys, 3);
  assertEquals(report.operations, 6);
  assertEquals(report.failure?.key, "y");
});

test("checkLinearizability() tells how far it came", () => {
  const operations = history("0-1 put a\n2-3 put b\n4-9 get a\n5-6 get b");
  const { failure } = checkLinearizability(model, operations);
  assertEquals(failure?.longest, [operations[0]!, operations[1]!, operations[3]!]);
  assertEquals(failure?.stuck, [operations[2]!]);
});

test("checkLinearizability() gives up with the verdict unknown when its steps are used up", () => {
  const operations = history("0-1 put a\n2-3 put b\n4-5 get b");
  assertEquals(checkLinearizability(model, operations, { stepsMax: 2 }).verdict, "unknown");
  assertEquals(checkLinearizability(model, operations, { stepsMax: 3 }).verdict, "linearizable");
});

test("checkLinearizability() lets a violation count more than a key that it gave up", () => {
  const long = history(Array.from({ length: 9 }, (_, i) => `${i}-100 put v${i}`).join("\n") + "\n200-201 get -", "x");
  const short = history("0-1 get a", "y");
  const options = { stepsMax: 20 };
  assertEquals(checkLinearizability(model, long, options).verdict, "unknown");
  for (const order of [[...long, ...short], [...short, ...long]]) {
    const report = checkLinearizability(model, order, options);
    assertEquals(report.verdict, "violation");
    assertEquals(report.failure?.key, "y");
  }
});

test("checkLinearizability() refuses times that are none", () => {
  const operation: Op = { key: "k", input: { type: "get" }, outcome: "ok", called: 1, output: null };
  for (const returned of [undefined, 0, Number.NaN]) {
    assertThrows(() => checkLinearizability(model, [{ ...operation, returned }]), RangeError, "Cannot check");
  }
});

test("checkLinearizability() needs a full comparison, not only hashes", () => {
  const clumsy: typeof model = { ...model, hash: () => 7 };
  for (const text of Object.values(good)) {
    assertEquals(checkLinearizability(clumsy, history(text)).verdict, "linearizable");
  }
  for (const text of Object.values(bad)) assertEquals(checkLinearizability(clumsy, history(text)).verdict, "violation");
});

test("checkLinearizability() takes a long history with many unknown writes", () => {
  const operations: string[] = [];
  let value = "-";
  for (let i = 0; i < 2_000; i++) {
    if (i % 100 === 50) operations.push(`${i * 10}-? put u${i}`);
    operations.push(i % 2 === 0 ? `${i * 10}-${i * 10 + 25} put v${i}` : `${i * 10 + 6}-${i * 10 + 9} get ${value}`);
    if (i % 2 === 0) value = `v${i}`;
  }
  assertEquals(verdictOf(operations.join("\n")), "linearizable");
});

/** Tries every order of every choice of unknown operations: slow, and too simple to be wrong in the same way. */
function bruteForce<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: Operation<Input, Output>[],
): boolean {
  const relevant = operations.filter(({ outcome }) => outcome !== "failed");
  const end = (operation: Operation<Input, Output>) => operation.outcome === "ok" ? operation.returned! : Infinity;
  const search = (state: State, left: Operation<Input, Output>[]): boolean => {
    if (left.every(({ outcome }) => outcome === "unknown")) return true;
    return left.some((next) => {
      const others = left.filter((other) => other !== next);
      if (others.some((other) => end(other) < next.called)) return false;
      const { ok, state: after } = model.step(state, next);
      return ok && search(after, others);
    });
  };
  return search(model.init(), relevant);
}

const arbitraryValue = fc.constantFrom("a", "b");
const arbitraryInput: fc.Arbitrary<RegisterInput> = fc.oneof(
  fc.record({ type: fc.constant("put" as const), value: arbitraryValue }),
  fc.record({ type: fc.constant("get" as const) }),
  fc.record({ type: fc.constant("delete" as const) }),
  fc.record({
    type: fc.constant("cas" as const),
    expect: fc.option(arbitraryValue, { nil: null }),
    value: arbitraryValue,
  }),
);
const arbitraryOperation: fc.Arbitrary<Op> = fc
  .tuple(
    arbitraryInput,
    fc.integer({ min: 0, max: 12 }),
    fc.integer({ min: 0, max: 6 }),
    fc.constantFrom("ok" as const, "ok" as const, "ok" as const, "unknown" as const, "failed" as const),
    fc.constantFrom("a", "b", null),
    fc.boolean(),
  )
  .map(([input, called, duration, outcome, text, yes]) => {
    const output = input.type === "get" ? text : input.type === "put" ? undefined : yes;
    return { key: "k", input, called, returned: called + duration, outcome, output };
  });

test("checkLinearizability() does not try reads of one state in every order", () => {
  const reads = Array.from({ length: 64 }, () => "3-4 get a").join("\n");
  const stuck = checkLinearizability(model, history(`0-1 put a\n${reads}\n5-6 get b`));
  assertEquals([stuck.verdict, stuck.steps < 200], ["violation", true]);
  // A read has its place before a write beside it that nobody has seen yet, and after one that somebody has.
  const beside = `0-1 put a\n2-9 put b\n${reads}\n7-8 get b\n2-6 get a\n10-11 get b`;
  const fits = checkLinearizability(model, history(beside));
  assertEquals([fits.verdict, fits.steps < 10_000], ["linearizable", true]);
  // Reads that fit into every state do not double the orders of the writes beside them, also where none of these fits.
  const misses = Array.from({ length: 32 }, () => "1-9 delete false").join("\n");
  const writes = Array.from({ length: 12 }, (_, i) => `1-9 cas v${i} v${i + 1} true`).join("\n");
  const ofMisses = { ...model, isRead: (input: RegisterInput) => input.type === "get" || input.type === "delete" };
  const never = checkLinearizability(ofMisses, history(`0-1 put v0\n${writes}\n${misses}\n8-9 get z`));
  assertEquals([never.verdict, never.steps < 10_000], ["violation", true]);
});

test("checkLinearizability() finds what trying every order finds", () => {
  const seen = { linearizable: 0, violation: 0 };
  fc.assert(
    fc.property(fc.array(arbitraryOperation, { maxLength: 7 }), (operations) => {
      const expected = bruteForce(model, operations) ? "linearizable" : "violation";
      seen[expected]++;
      assertEquals(checkLinearizability(model, operations).verdict, expected);
    }),
    { numRuns: 4_000, seed: 1 },
  );
  // Otherwise the comparison would say little.
  assertEquals(seen.linearizable > 400 && seen.violation > 400, true, JSON.stringify(seen));
});
