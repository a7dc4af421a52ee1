import { assertEquals } from "@std/assert";
import { CLOCK_TOLERANCE_MS } from "../../src/core/lease.ts";
import { ClockWatch } from "../../src/driver/clock_watch.ts";
import { test } from "../harness.ts";

function setUp() {
  const clock = { wall: 1_700_000_000_000, mono: 50 };
  const watch = new ClockWatch({ wallNow: () => clock.wall, now: () => clock.mono });
  const pass = (wall: number, mono = wall) => {
    clock.wall += wall;
    clock.mono += mono;
    return watch.hasSlept(clock.mono);
  };
  return { pass, watch, clock };
}

test("ClockWatch takes time for time, and a sleep beyond the tolerance for one, once", () => {
  const { pass } = setUp();
  assertEquals([pass(0), pass(1e6), pass(CLOCK_TOLERANCE_MS, 0)], [false, false, false]);
  assertEquals([pass(0.1, 0), pass(0), pass(10)], [true, false, false]);
});

test("ClockWatch adds up sleeps that are too short each", () => {
  const { pass } = setUp();
  assertEquals([pass(4, 0), pass(4, 0), pass(4, 0), pass(4, 0)], [false, true, false, true]);
});

test("ClockWatch forgives a wall clock that is set back, and counts from there", () => {
  const { pass } = setUp();
  assertEquals([pass(-10_000, 0), pass(CLOCK_TOLERANCE_MS, 0), pass(1, 0)], [false, false, true]);
});

test("ClockWatch says how long the machine seems to have slept in all, before that is told and after", () => {
  const { pass, watch, clock } = setUp();
  const slept = () => [watch.sleptMs(clock.mono), watch.toldMs];
  clock.wall += CLOCK_TOLERANCE_MS;
  assertEquals(slept(), [0, 0]);
  clock.wall += 1;
  assertEquals(slept(), [CLOCK_TOLERANCE_MS + 1, 0]);
  assertEquals([pass(0), ...slept()], [true, CLOCK_TOLERANCE_MS + 1, CLOCK_TOLERANCE_MS + 1]);
  assertEquals([pass(100, 0), ...slept()], [true, CLOCK_TOLERANCE_MS + 101, CLOCK_TOLERANCE_MS + 101]);
});

test("ClockWatch counts a sleep after the wall clock was set back, and forgets none that was before", () => {
  const { pass, watch, clock } = setUp();
  assertEquals([pass(70, 0), pass(-10_000, 0), watch.sleptMs(clock.mono)], [true, false, 70]);
  clock.wall += 10_000;
  assertEquals(watch.sleptMs(clock.mono), 10_070);
  clock.wall -= 10_000;
  assertEquals([watch.sleptMs(clock.mono), pass(0), watch.toldMs], [10_070, true, 10_070]);
});
