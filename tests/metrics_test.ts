import { assertAlmostEquals, assertEquals } from "@std/assert";
import { Histogram } from "../src/metrics.ts";
import { test } from "./harness.ts";

test("Histogram.add() counts into the first bucket whose bound is not exceeded", () => {
  const { boundsMs } = new Histogram().snapshot();
  assertEquals([boundsMs.length, boundsMs[0]], [22, 0.01]);
  for (let i = 0; i < boundsMs.length; i++) {
    const histogram = new Histogram();
    histogram.add(boundsMs[i]!);
    histogram.add(boundsMs[i]! * 1.0001);
    const { counts } = histogram.snapshot();
    assertEquals([counts[i], counts[i + 1]], [1, 1]);
  }
});

test("Histogram counts what is beyond every bound, and nothing at all", () => {
  const histogram = new Histogram();
  histogram.add(1e9);
  histogram.add(0);
  const { counts, boundsMs, count, sumMs } = histogram.snapshot();
  assertEquals(counts.length, boundsMs.length + 1);
  assertEquals([counts[0], counts[boundsMs.length], count, sumMs], [1, 1, 2, 1e9]);
});

test("Histogram.snapshot() is a copy, its counts sum up to its count", () => {
  const histogram = new Histogram();
  for (let i = 0; i < 100; i++) histogram.add(i / 3);
  const before = histogram.snapshot();
  histogram.add(5);
  assertEquals(before.count, 100);
  assertEquals(before.counts.reduce((a, b) => a + b), 100);
  assertAlmostEquals(before.sumMs, 1_650, 1e-6);
  assertEquals(histogram.snapshot().count, 101);
});
