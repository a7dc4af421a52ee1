import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { type Point, POINTS } from "../../../src/points.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { InvariantViolation } from "../../../src/testing/sim/ghost.ts";
import { drawPoints, SimPoints } from "../../../src/testing/sim/points.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { describeConfig } from "../../../src/testing/sim/report.ts";
import { type RunReport, runScript, runSeed } from "../../../src/testing/sim/run.ts";
import { shrink } from "../../../src/testing/sim/shrink.ts";
import { Simulation } from "../../../src/testing/sim/simulation.ts";
import { test } from "../../harness.ts";

const configOf = (seed: number) => drawConfig(Random.seeded(seed).split("config"));
const all: readonly Point[] = POINTS;

test("points: each is on in a quarter of the runs, and printed with the rest", () => {
  const counts = new Map(all.map((point) => [point, 0]));
  for (let seed = 0; seed < 1000; seed++) {
    for (const point of configOf(seed).points!) counts.set(point, counts.get(point)! + 1);
  }
  for (const [point, count] of counts) assert(count > 200 && count < 300, `${point} is on in ${count} of 1000`);
  const config = { ...configOf(1), points: drawPoints(Random.seeded(3)) };
  assert(describeConfig(config).includes(`"points":${JSON.stringify(config.points)}`));
});

test("points: one that is on is what it is for in a quarter of the times; where none is on nobody is asked", () => {
  const random = Random.seeded(1);
  assertEquals(new SimPoints().asked(random, () => false), undefined);
  assertEquals(new SimPoints([]).asked(random, () => false), undefined);
  const points = new SimPoints(["small-batch", "slow-apply"]);
  const buggify = points.asked(random, () => false)!;
  for (let i = 0; i < 1000; i++) for (const point of all) buggify(point);
  const { "point-small-batch": small, "point-slow-apply": slow, ...others } = points.hits;
  for (const hits of [small, slow]) assert(hits > 200 && hits < 300, `${hits} of 1000`);
  assertEquals(Object.values(others), all.slice(2).map(() => 0));
});

test("points: the same chance for the same life, also where another point is off", () => {
  const said = (on: readonly Point[], life: string) => {
    const buggify = new SimPoints(on).asked(Random.seeded(7).split(life), () => false)!;
    return Array.from({ length: 50 }, () => all.map(buggify)[3]);
  };
  assertEquals(said(all, "1"), said(all, "1"));
  assertEquals(said(all.slice(3), "1"), said(all, "1"));
  assert(said(all, "2").join() !== said(all, "1").join());
});

test("points: in the calm none is what it is for, and none counts", () => {
  const points = new SimPoints(all);
  const buggify = points.asked(Random.seeded(1), () => true)!;
  for (let i = 0; i < 100; i++) assertEquals(all.some(buggify), false);
  assertEquals(Object.values(points.hits).some((hits) => hits > 0), false);
});

/** A run with these points on: the first of a seed that has enough going on. */
async function runWith(points: readonly Point[], seed = 11): Promise<RunReport> {
  const { script } = await runSeed(seed, { steps: 100, servers: 3, faults: [], moving: false });
  return await runScript({ ...script, config: { ...script.config, points }, until: 4_000_000 });
}

test("points: a run comes by those that are on, and by no other", async () => {
  const { marks, violation } = await runWith(["slow-apply", "reorder-completions"]);
  assertEquals(violation, undefined);
  for (const point of all) {
    const isOn = point === "slow-apply" || point === "reorder-completions";
    assertEquals(marks[`point-${point}`]! > 0, isOn, point);
  }
});

test("points: a run without any is the same as one from before there were any", async () => {
  const { script } = await runSeed(12, { steps: 500, servers: 3 });
  const { points: _, ...before } = script.config;
  const [none, older] = [
    await runScript({ ...script, config: { ...before, points: [] } }),
    await runScript({ ...script, config: before }),
  ];
  assertEquals(none.hash, older.hash);
});

test("points: they are over when the faults are", async () => {
  const config = { ...drawConfig(Random.seeded(11), { servers: 3, faults: [], moving: false }), points: all };
  const simulation = new Simulation(config, Random.seeded(11));
  const hits = () => Object.values(simulation.points.hits).reduce((sum, count) => sum + count, 0);
  const runFor = (time: number) => {
    const end = simulation.world.time + time;
    return simulation.run(() => simulation.world.time >= end);
  };
  simulation.start();
  simulation.workload.start();
  await runFor(3_000_000);
  const before = hits();
  assertGreater(before, 0);
  simulation.plague.heal();
  await runFor(3_000_000);
  assertEquals(hits(), before);
  simulation.workload.stop();
});

test("points: those that a failure does not take are shrunk away, one by one", async () => {
  const report = await runSeed(1, { steps: 100, servers: 1, faults: [] });
  const script = { ...report.script, config: { ...report.config, points: all }, decisions: [] };
  let tries = 0;
  const shrunk = await shrink(script, {
    invariant: "E1",
    triesMax: 200,
    run: (candidate) => {
      tries++;
      const isBad = ["small-batch", "slow-apply"].every((point) => candidate.config.points?.includes(point as Point));
      return Promise.resolve({ ...report, violation: isBad ? new InvariantViolation("E1", "bad") : undefined });
    },
  });
  assertEquals(shrunk!.script.config.points, ["small-batch", "slow-apply"]);
  assertLess(tries, 200);
});
