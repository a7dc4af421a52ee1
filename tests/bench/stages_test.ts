import { assertEquals } from "@std/assert";
import { mediansUs } from "../../bench/stages.ts";
import type { HistogramSnapshot, StageHistograms } from "../../mod.ts";
import { test } from "../harness.ts";

function all(histogram: HistogramSnapshot): StageHistograms {
  const of = { appended: histogram, durable: histogram, replicated: histogram, committed: histogram };
  return { ...of, applied: histogram, answered: histogram };
}

const boundsMs = [1, 2, 4];

test("mediansUs() looks only at what came between, in the middle of the bucket that holds the half", () => {
  const before = { boundsMs, counts: [9, 0, 0, 0], sumMs: 0, count: 9 };
  const after = { boundsMs, counts: [9, 1, 2, 1], sumMs: 0, count: 13 };
  assertEquals(mediansUs(all(before), all(after)).committed, 3000);
  assertEquals(mediansUs(all(before), all(before)).committed, NaN);
});

test("mediansUs() puts what is beyond every bound at the last one", () => {
  const none = { boundsMs, counts: [0, 0, 0, 0], sumMs: 0, count: 0 };
  assertEquals(mediansUs(all(none), all({ ...none, counts: [0, 0, 0, 5], count: 5 })).applied, 4000);
});
