import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { InvariantError } from "../../src/errors.ts";
import {
  appendRuns,
  appendTerm,
  firstMissing,
  lastAtMost,
  lastTerm,
  openTermIndex,
  termAt,
  type TermIndex,
  truncateTerms,
} from "../../src/core/term_index.ts";
import { test } from "../harness.ts";
import { runsOf } from "./states.ts";

/** Terms of entries, never decreasing. */
const terms = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 12 }).map((steps) => {
  let term = 1;
  return steps.map((step) => term += step === 2 ? 3 : step);
});

const compacted = fc.integer({ min: 0, max: 5 });

/** The model: what was compacted, then the entries. */
function open(terms: readonly number[], firstIndex = 1): TermIndex {
  return openTermIndex(firstIndex, firstIndex - 1 + terms.length, runsOf(terms, firstIndex), firstIndex === 1 ? 0 : 1);
}

function termsOf(log: TermIndex): (number | undefined)[] {
  return Array.from({ length: log.lastIndex - log.firstIndex + 1 }, (_, i) => termAt(log, log.firstIndex + i));
}

function check(property: fc.IProperty<never> | fc.IRawProperty<unknown>): void {
  fc.assert(property as fc.IRawProperty<unknown>, { numRuns: 1000, seed: 1 });
}

test("openTermIndex() holds one run per term, ascending", () => {
  check(fc.property(terms, compacted, (terms, before) => {
    const log = open(terms, before + 1);
    assertEquals(log.runs, runsOf(terms, before + 1));
    assertEquals(log.lastIndex, before + terms.length);
  }));
});

test("openTermIndex() merges runs of one term that a store gives in pieces", () => {
  const log = openTermIndex(1, 4, [{ term: 1, from: 1 }, { term: 1, from: 3 }, { term: 2, from: 4 }]);
  assertEquals(log.runs, [{ term: 1, from: 1 }, { term: 2, from: 4 }]);
});

test("openTermIndex() refuses runs that don't reach the last index, start too late or go back", () => {
  assertThrows(() => openTermIndex(1, 2, []), InvariantError);
  assertThrows(() => openTermIndex(1, 2, [{ term: 1, from: 2 }]), InvariantError);
  assertThrows(() => openTermIndex(1, 2, [{ term: 2, from: 1 }, { term: 1, from: 2 }]), InvariantError);
});

test("termAt() is the array's term, the compacted one just before it, and unknown elsewhere", () => {
  check(fc.property(terms, compacted, (terms, before) => {
    const log = open(terms, before + 1);
    for (let index = -1; index <= before + terms.length + 2; index++) {
      const prevTerm = before === 0 ? 0 : 1;
      assertEquals(termAt(log, index), index === before ? prevTerm : terms[index - before - 1], `${index}`);
    }
    assertEquals(lastTerm(log), terms[terms.length - 1] ?? (before === 0 ? 0 : 1));
  }));
});

test("appendTerm() and appendRuns() append to the array", () => {
  check(fc.property(terms, terms, compacted, (first, second, before) => {
    const more = second.map((term) => term + (first[first.length - 1] ?? 1) - 1);
    const [one, two] = [open(first, before + 1), open(first, before + 1)];
    for (const term of more) appendTerm(one, term, 1);
    const from = two.lastIndex + 1;
    if (more.length > 0) appendRuns(two, runsOf(more, from), from, from + more.length);
    assertEquals(termsOf(one), [...first, ...more]);
    assertEquals(two, one);
  }));
});

test("appendRuns() takes a slice of runs that start before it", () => {
  check(fc.property(terms, fc.nat(12), fc.nat(12), (terms, a, b) => {
    const [cut, end] = [Math.min(a, b, terms.length), Math.min(Math.max(a, b), terms.length)];
    const log = open(terms.slice(0, cut));
    if (cut < end) appendRuns(log, runsOf(terms), cut + 1, end + 1);
    assertEquals(log, open(terms.slice(0, end)));
  }));
});

test("appendRuns() refuses a gap, an overlap and nothing", () => {
  const runs = [{ term: 1, from: 1 }];
  for (const [from, end] of [[4, 5], [2, 3], [3, 3]] as const) {
    assertThrows(() => appendRuns(open([1, 1]), runs, from, end), InvariantError);
  }
  appendRuns(open([1, 1]), runs, 3, 4);
});

test("appendTerm() refuses a term below the last one, not the same one", () => {
  assertThrows(() => appendTerm(open([1, 2]), 1, 1), InvariantError);
  const log = open([1, 2]);
  appendTerm(log, 2, 1);
  assertEquals(log, open([1, 2, 2]));
});

test("truncateTerms() cuts the array", () => {
  check(fc.property(terms, compacted, fc.nat(15), (terms, before, kept) => {
    const log = open(terms, before + 1);
    truncateTerms(log, before + 1 + kept);
    assertEquals(log, open(terms.slice(0, kept), before + 1));
  }));
});

test("truncateTerms() may remove the first entry, and nothing that was compacted", () => {
  const log = open([2, 2], 4);
  assertThrows(() => truncateTerms(log, 3), InvariantError);
  truncateTerms(log, 4);
  assertEquals(termsOf(log), []);
  assertEquals(lastTerm(log), 1);
});

test("firstMissing() is the first entry that the array has not with that term", () => {
  check(fc.property(terms, terms, compacted, fc.nat(12), (ours, theirs, before, skip) => {
    const log = open(ours, before + 1);
    const from = Math.min(skip, theirs.length) + 1;
    let expected = from;
    const has = (index: number) => index <= before || ours[index - before - 1] === theirs[index - 1];
    while (expected <= theirs.length && has(expected)) expected++;
    assertEquals(firstMissing(log, runsOf(theirs), from, theirs.length + 1), expected);
  }));
});

test("firstMissing() of no entries is the end", () => {
  assertEquals(firstMissing(open([1, 1]), [], 3, 3), 3);
  assertEquals(firstMissing(open([]), [], 1, 1), 1);
});

test("lastAtMost() is the last index at or below the given one whose term is at most the given one", () => {
  check(fc.property(terms, compacted, fc.nat(20), fc.integer({ min: 0, max: 20 }), (terms, before, over, term) => {
    const log = open(terms, before + 1);
    const index = before + over;
    let expected = Math.min(index, log.lastIndex);
    while (expected > before && terms[expected - before - 1]! > term) expected--;
    assertEquals(lastAtMost(log, index, term), expected);
  }));
});

test("lastAtMost() of an index that lies before all that is held is that index", () => {
  assertEquals(lastAtMost(open([1, 1], 5), 2, 9), 2);
});

test("term index: a large log of few terms costs a run per term, however many entries it has", () => {
  const log = openTermIndex(1, 2 ** 50, [{ term: 1, from: 1 }, { term: 9, from: 2 ** 49 }]);
  assertEquals([termAt(log, 2 ** 49 - 1), termAt(log, 2 ** 49), termAt(log, 2 ** 50)], [1, 9, 9]);
  assertEquals(lastAtMost(log, 2 ** 50, 8), 2 ** 49 - 1);
  assertEquals(firstMissing(log, [{ term: 1, from: 1 }], 1, 2 ** 50), 2 ** 49);
  assert(log.runs.length === 2);
});
