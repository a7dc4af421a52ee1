import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { nextRandom, randomBetween, type RandomState, seedRandom } from "../../src/core/random.ts";
import { test } from "../harness.ts";

function take(state: RandomState, count: number): number[] {
  return Array.from({ length: count }, () => nextRandom(state));
}

// Made by another implementation of sfc32, in another language.
const golden: readonly (readonly [seed: number, values: readonly number[]])[] = [
  [0, [1_427_488_602, 1_980_682_239, 456_575_201, 3_300_212_312]],
  [1, [573_063_952, 3_268_221_502, 703_077_755, 2_308_299_391]],
  [-1, [754_549_516, 1_829_345_342, 2_785_016_680, 2_378_084_626]],
  [4_294_967_296, [3_568_522_572, 2_118_479_590, 2_258_263_061, 3_685_413_526]],
  [9_007_199_254_740_991, [4_251_970_214, 283_121_339, 3_233_253_927, 4_087_913_446]],
];

for (const [seed, values] of golden) {
  test(`nextRandom() from seed ${seed} is the same on every runtime`, () => {
    assertEquals(take(seedRandom(seed), values.length), values);
  });
}

test("nextRandom() gives integers in [0, 2^32)", () => {
  for (const value of take(seedRandom(7), 1000)) {
    assert(Number.isInteger(value) && value >= 0 && value < 2 ** 32, String(value));
  }
});

test("nextRandom() goes on where a copied state was", () => {
  const state = seedRandom(3);
  take(state, 10);
  const copy = structuredClone(state);
  assertEquals(take(copy, 5), take(state, 5));
});

test("seedRandom() gives neighbouring, negative and large seeds streams of their own (BE27)", () => {
  const seeds = [0, 1, 2, -1, -2, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52, Number.MAX_SAFE_INTEGER];
  const streams = seeds.map((seed) => take(seedRandom(seed), 2).join());
  assertEquals(new Set(streams).size, seeds.length);
  assertNotEquals(streams[0], streams[1]);
});

test("randomBetween() reaches the minimum and all below the maximum, never the maximum", () => {
  const state = seedRandom(1);
  const seen = new Set(Array.from({ length: 500 }, () => randomBetween(state, 10, 15)));
  assertEquals([...seen].sort(), [10, 11, 12, 13, 14]);
});

test("randomBetween() of an empty range is its minimum", () => assertEquals(randomBetween(seedRandom(1), 10, 10), 10));

test("randomBetween() spreads evenly enough for elections", () => {
  const state = seedRandom(5);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) counts[Math.floor(randomBetween(state, 0, 1000) / 100)]!++;
  for (const count of counts) assert(count > 850 && count < 1150, counts.join());
});
