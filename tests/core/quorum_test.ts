import { assertEquals, assertThrows } from "@std/assert";
import { allVoters, isVoter, majority, quorumValue, tally, type Verdict, voterSets } from "../../src/core/quorum.ts";
import { InvariantError } from "../../src/errors.ts";
import type { Configuration, ServerId } from "../../src/types.ts";
import { test } from "../harness.ts";
import { configuration } from "./states.ts";

type Vote = boolean | undefined;

const ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
const votes: readonly Vote[] = [undefined, false, true];

/** All ways to give each of `count` places one of the values. */
function* ways<T>(values: readonly T[], count: number): Generator<T[]> {
  if (count === 0) return yield [];
  for (const rest of ways(values, count - 1)) for (const value of values) yield [...rest, value];
}

/** Whether some set of these ids is more than half of the voters: straight from the definition. */
function isQuorum(voters: readonly ServerId[], yes: ReadonlySet<ServerId>): boolean {
  return voters.filter((id) => yes.has(id)).length * 2 > voters.length;
}

function verdictByForce(configuration: Configuration, voteOf: (id: ServerId) => Vote): Verdict {
  const sets = voterSets(configuration);
  const all = (holds: (id: ServerId) => boolean) => sets.every((set) => isQuorum(set, new Set(set.filter(holds))));
  if (all((id) => voteOf(id) === true)) return "won";
  return all((id) => voteOf(id) !== false) ? "open" : "lost";
}

function valueByForce(configuration: Configuration, valueOf: (id: ServerId) => number): number {
  const reached = [...new Set(allVoters(configuration).map(valueOf))].filter((value) =>
    voterSets(configuration).every((set) => isQuorum(set, new Set(set.filter((id) => valueOf(id) >= value))))
  );
  return Math.max(-Infinity, ...reached);
}

/** Compares tally with brute force for every way to vote; says how many there were. */
function checkTally(configuration: Configuration): number {
  const voters = allVoters(configuration);
  let count = 0;
  for (const way of ways(votes, voters.length)) {
    const voteOf = (id: ServerId) => way[voters.indexOf(id)];
    const expected = verdictByForce(configuration, voteOf);
    if (tally(configuration, voteOf) !== expected) assertEquals([way, tally(configuration, voteOf)], [way, expected]);
    count++;
  }
  return count;
}

function checkValue(configuration: Configuration, values: readonly number[]): number {
  const voters = allVoters(configuration);
  let count = 0;
  for (const way of ways(values, voters.length)) {
    const valueOf = (id: ServerId) => way[voters.indexOf(id)]!;
    const expected = valueByForce(configuration, valueOf);
    const actual = quorumValue(configuration, valueOf);
    if (actual !== expected) assertEquals([way, actual], [way, expected]);
    count++;
  }
  return count;
}

/** Every pair of an incoming and an outgoing set of up to four voters, by how many they share. */
function* pairs(): Generator<Configuration> {
  for (let incoming = 1; incoming <= 4; incoming++) {
    for (let outgoing = 1; outgoing <= 4; outgoing++) {
      for (let shared = 0; shared <= Math.min(incoming, outgoing); shared++) {
        const left = ids.slice(incoming - shared, incoming - shared + outgoing);
        yield configuration(`${ids.slice(0, incoming).join(" ")} / ${left.join(" ")}`);
      }
    }
  }
}

test("majority() of 1 to 9 is more than half, and one less is not", () => {
  assertEquals([1, 2, 3, 4, 5, 6, 7, 8, 9].map(majority), [1, 2, 2, 3, 3, 4, 4, 5, 5]);
});

for (let size = 1; size <= 7; size++) {
  test(`tally() agrees with brute force for all votes of ${size} voters`, () => {
    assertEquals(checkTally(configuration(ids.slice(0, size).join(" "))), 3 ** size);
  });
}

test("tally() agrees with brute force for all votes of all joint pairs up to 4 and 4 voters", () => {
  let count = 0;
  for (const pair of pairs()) count += checkTally(pair);
  assertEquals(count, 21_234);
});

for (let size = 1; size <= 7; size++) {
  test(`quorumValue() agrees with brute force for all match indexes of ${size} voters`, () => {
    const values = size < 6 ? [0, 1, 2, 3, 4] : [0, 3, 7];
    assertEquals(checkValue(configuration(ids.slice(0, size).join(" ")), values), values.length ** size);
  });
}

test("quorumValue() agrees with brute force for all joint pairs up to 4 and 4 voters", () => {
  let count = 0;
  for (const pair of pairs()) count += checkValue(pair, [1, 2, 3]);
  assertEquals(count, 21_234);
});

test("quorumValue() of a joint configuration is what both halves reached, not their union (BE10)", () => {
  const joint = configuration("a b c / d e f");
  const reached: Record<string, number> = { a: 9, b: 9, c: 9, d: 9, e: 1, f: 1 };
  assertEquals(quorumValue(joint, (id) => reached[id]!), 1);
  reached["e"] = 8;
  assertEquals(quorumValue(joint, (id) => reached[id]!), 8);
});

test("tally() of a joint configuration is won by both halves, not by the majority of all (BE10)", () => {
  const joint = configuration("a b c / d e f");
  const yes = new Set(["a", "b", "c", "d"]);
  assertEquals(tally(joint, (id) => yes.has(id) ? true : undefined), "open");
  assertEquals(tally(joint, (id) => yes.has(id)), "lost");
  yes.add("e");
  assertEquals(tally(joint, (id) => yes.has(id)), "won");
});

test("voters: nonvoters and staging servers never count (P2, BC05)", () => {
  const mixed = configuration("a ~b +c d ~e");
  assertEquals(allVoters(mixed), ["a", "d"]);
  assertEquals(ids.filter((id) => isVoter(mixed, id)), ["a", "d"]);
  assertEquals(tally(mixed, (id) => id === "d" ? undefined : true), "open");
  assertEquals(tally(mixed, (id) => id === "a" || id === "d" ? true : false), "won");
  assertEquals(quorumValue(mixed, (id) => id === "a" ? 5 : id === "d" ? 3 : 100), 3);
});

test("voters: a voter of either half has a say once, a nonvoter of the new half does where it leaves", () => {
  const joint = configuration("a b ~c / b c");
  assertEquals(voterSets(joint), [["a", "b"], ["b", "c"]]);
  assertEquals(allVoters(joint), ["a", "b", "c"]);
});

test("voters: without any nothing is decided in favour, and no value can be reached", () => {
  for (const nobody of [configuration("~a"), configuration("a /")]) {
    assertEquals(tally(nobody, () => true), "lost");
    assertThrows(() => quorumValue(nobody, () => 7), InvariantError);
  }
});
