import { assertEquals } from "@std/assert";
import { SimClock } from "../../../src/testing/sim/clock.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { Trace } from "../../../src/testing/sim/trace.ts";
import { World } from "../../../src/testing/sim/world.ts";
import { test } from "../../harness.ts";

const behaviour = { rate: 1, start: 0, timerLateMax: 0 };

function clockOf(options: Partial<typeof behaviour> = {}): { world: World; clock: SimClock; fired: number[] } {
  const world = new World(new Trace(), () => {});
  return { world, clock: new SimClock(world, 0, { ...behaviour, ...options }, Random.seeded(1)), fired: [] };
}

test("sim clock: a timer fires when it is due on its own clock, however fast that runs", async () => {
  for (const rate of [0.5, 1, 2]) {
    const { world, clock, fired } = clockOf({ rate, start: 2 ** 31 - 5 });
    clock.setTimeout(() => fired.push(world.time, clock.now()), 10);
    await world.run(() => fired.length > 0);
    assertEquals(fired, [10_000 / rate, 2 ** 31 + 5]);
  }
});

test("sim clock: a step ahead makes timers due, a step of the wall clock does not", async () => {
  const { world, clock, fired } = clockOf();
  clock.setTimeout(() => fired.push(world.time), 100);
  const wall = clock.wallNow();
  clock.stepWall(-5000);
  assertEquals([clock.wallNow(), clock.now(), clock.gainedMs], [wall - 5000, 0, 0]);
  clock.stepMonotonic(99);
  await world.run(() => fired.length > 0);
  assertEquals([fired, clock.now(), clock.wallNow()], [[1000], 100, wall - 4900]);
  clock.stepWall(30);
  clock.stepWall(-30);
  assertEquals([clock.gainedMs, clock.stoppedMs], [30, 0]);
});

test("sim clock: what stood still while the machine slept fires that much later, and the wall clock has gone on", async () => {
  const { world, clock, fired } = clockOf();
  clock.setTimeout(() => fired.push(world.time), 100);
  const wall = clock.wallNow();
  world.schedule(-1, 5, 60_000, "wakes up", () => clock.stopMonotonic(50, 10));
  await world.run(() => fired.length > 0);
  assertEquals([fired, clock.now(), clock.wallNow()], [[150_000], 100, wall + 150]);
  assertEquals([clock.gainedMs, clock.stoppedMs], [50, 50]);
});

test("sim clock: the monotonic one never goes back, though its rate changes while the machine sleeps", async () => {
  for (const rate of [0.5, 2]) {
    const { world, clock } = clockOf();
    const seen: number[] = [];
    const wall = clock.wallNow();
    world.schedule(-1, 5, 10_000, "falls asleep", () => seen.push(clock.now()));
    world.schedule(-1, 5, 40_000, "runs at another rate", () => clock.setRate(rate));
    world.schedule(-1, 5, 60_000, "wakes up", () => {
      clock.stopMonotonic(50, seen[0]!);
      seen.push(clock.now(), clock.wallNow() - wall);
    });
    world.schedule(-1, 5, 70_000, "goes on", () => seen.push(clock.now()));
    await world.run(() => seen.length === 4);
    assertEquals(seen, [10, 10, 60, 10 + 10 * rate]);
  }
});

test("sim clock: a new rate holds for timers that run, and none outlives its process", async () => {
  const { world, clock, fired } = clockOf();
  clock.setTimeout(() => fired.push(world.time), 100);
  clock.setRate(2);
  await world.run(() => fired.length > 0);
  assertEquals(fired, [50_000]);
  clock.setTimeout(() => fired.push(world.time), 1);
  const cleared = clock.setTimeout(() => fired.push(world.time), 2);
  clock.clearTimeout(cleared);
  clock.clear();
  await world.run(() => false);
  assertEquals(fired.length, 1);
});
