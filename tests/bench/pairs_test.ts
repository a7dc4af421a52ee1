import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ratiosOf, runPairs, spareTries, spreadOf } from "../../bench/pairs.ts";
import { ceilingName, ours, peerTable, rowsOf, type Sample } from "../../bench/peers_rows.ts";
import { median, percentile, percentilesOf } from "../../bench/statistics.ts";
import { test } from "../harness.ts";

test("bench: the sides take turns, and the order turns round", async () => {
  const order: string[] = [];
  const side = (name: string) => (pair: number) => {
    order.push(`${name}${pair}`);
    return Promise.resolve(pair);
  };
  const results = await runPairs({ a: side("a"), b: side("b"), c: side("c") }, 3, () => {});
  assertEquals(order, ["a0", "b0", "c0", "c1", "b1", "a1", "a2", "b2", "c2"]);
  assertEquals(results, { a: [0, 1, 2], b: [0, 1, 2], c: [0, 1, 2] });
});

test("bench: a pair in which one side fails counts for none, and is made up for", async () => {
  const said: string[] = [];
  const b = (pair: number) => pair === 1 ? Promise.reject(new Error("no leader")) : Promise.resolve(pair * 10);
  const results = await runPairs({ a: (pair) => Promise.resolve(pair), b }, 3, (line) => said.push(line));
  assertEquals(results, { a: [0, 2, 3], b: [0, 20, 30] });
  assertEquals(said, ["pair 2 does not count, as b failed: no leader"]);
});

test("bench: pairs that fail are not tried for ever", async () => {
  let tries = 0;
  const fails = () => {
    tries += 1;
    return Promise.reject(new Error("no"));
  };
  await assertRejects(() => runPairs({ a: fails }, 5, () => {}), Error, "none of 7 pairs");
  assertEquals(tries, 5 + spareTries);
});

test("bench: the ratio is to the best peer of the same pair", () => {
  const peers = { new: [10, 40, 20], old: [20, 10, 20] };
  assertEquals(ratiosOf([40, 40, 10], peers, "more"), [2, 1, 0.5]);
  assertEquals(ratiosOf([5, 5, 10], peers, "less"), [0.5, 0.5, 0.5]);
});

test("bench: the median of ratios is not the ratio of medians", () => {
  const ratio = spreadOf(ratiosOf([1, 10, 100], { peer: [1, 5, 200] }, "more"));
  assertEquals(ratio, { median: 1, min: 0.5, max: 2, count: 3 });
});

test("bench: what cannot be compared is refused", () => {
  assertThrows(() => ratiosOf([1], {}, "more"), RangeError, "nobody");
  assertThrows(() => ratiosOf([1, 2], { peer: [1] }, "more"), RangeError, "not whole");
  assertThrows(() => spreadOf([]), RangeError, "no measurements");
  for (const wrong of [0, -1, NaN, Infinity]) assertThrows(() => spreadOf([1, wrong]), RangeError, "a measurement of");
});

test("bench: medians and percentiles", () => {
  assertEquals([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])], [2, 2.5, 7]);
  const sorted = Array.from({ length: 1000 }, (_, i) => i);
  assertEquals([0.5, 0.99, 0.999, 1].map((share) => percentile(sorted, share)), [500, 990, 999, 999]);
  assertEquals(percentile([], 0.5), NaN);
  assertEquals(percentilesOf([3, 1, 2]), { p50Us: 2000, p99Us: 3000, p999Us: 3000 });
});

const rate = (value: number): Sample => ({ name: "puts", value, better: "more" });
const latency = (value: number): Sample => ({ name: "p50", value, better: "less" });

test("bench: rows hold every side, the ratio to the better peer and to the ceiling", () => {
  const rows = rowsOf({
    [ours]: [[rate(200), latency(4)], [rate(300), latency(2)]],
    new: [[rate(100), latency(8)], [rate(50), latency(8)]],
    old: [[rate(50), latency(4)], [rate(100), latency(16)]],
    [ceilingName]: [[rate(400), latency(2)], [rate(400), latency(2)]],
  });
  assertEquals(rows.map(({ name }) => name), ["puts", "p50"]);
  assertEquals(rows[0]!.ratio, { median: 2.5, min: 2, max: 3, count: 2 });
  assertEquals(rows[0]!.toCeiling, { median: 0.625, min: 0.5, max: 0.75, count: 2 });
  assertEquals(rows[1]!.ratio, { median: 0.625, min: 0.25, max: 1, count: 2 });
  assertEquals(rows[1]!.spreads.old, { median: 10, min: 4, max: 16, count: 2 });
  const lines = peerTable(rows).split("\n");
  assertEquals(
    lines[0],
    `| median (min – max) of 2 pairs | ours | new | old | ${ceilingName} | ratio to the better peer | ratio to the ceiling |`,
  );
  assertEquals(
    lines[2],
    "| puts | 250 (200 – 300) | 75.00 (50.00 – 100) | 75.00 (50.00 – 100) | 400 (400 – 400) " +
      "| **2.50 (2.00 – 3.00)** | 0.63 (0.50 – 0.75) |",
  );
});

test("bench: with one peer the table names it", () => {
  const rows = rowsOf({ [ours]: [[rate(2)]], etcd: [[rate(1)]] });
  assertEquals(peerTable(rows).split("\n")[0], "| median (min – max) of 1 pairs | ours | etcd | ratio to etcd |");
  assertEquals(rows[0]!.toCeiling, undefined);
});

test("bench: a figure that a side lacks is no row", () => {
  assertThrows(() => rowsOf({ [ours]: [[rate(2)]], etcd: [[]] }), RangeError, 'Cannot compare "puts"');
});
