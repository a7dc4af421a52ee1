import { assertEquals } from "@std/assert";
import { Trace } from "../../../src/testing/sim/trace.ts";
import { test } from "../../harness.ts";

test("Trace.lines(): the last 50 events, each with all that is said of it", () => {
  const trace = new Trace(true);
  for (let event = 1; event <= 5_000; event++) {
    trace.begin(() => `#${event}`);
    for (let line = 0; line < event % 3; line++) trace.say(() => `  of #${event}`);
  }
  const lines = trace.lines();
  assertEquals(lines.filter((line) => line.startsWith("#")).map((line) => Number(line.slice(1))), [
    ...Array.from({ length: 50 }, (_, i) => 4_951 + i),
  ]);
  assertEquals(lines.slice(-4), ["#4999", "  of #4999", "#5000", "  of #5000", "  of #5000"].slice(-4));
  assertEquals(trace.lines(1), ["#5000", "  of #5000", "  of #5000"]);
});

test("Trace.lines(): nothing without being asked, and nothing is even put into words", () => {
  const trace = new Trace();
  const fail = () => {
    throw new Error("nobody wants to read this");
  };
  trace.begin(fail);
  trace.say(fail);
  assertEquals([trace.keepsLines, trace.lines()], [false, []]);
});
