import { assertEquals } from "@std/assert";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { Plague } from "../../../src/testing/sim/plague.ts";
import type { Simulation } from "../../../src/testing/sim/simulation.ts";
import { test } from "../../harness.ts";
import { lifeOf } from "./clients_stage.ts";

test("Plague drains no server that drains or stops already, and one that went on may be drained again", async () => {
  const life = lifeOf({});
  const drains: ((hasStopped: boolean) => void)[] = [];
  const simulation = {
    config: { servers: 1, faults: [] },
    ghost: new Ghost(),
    servers: [{ life }],
    drain: () => new Promise<boolean>((resolve) => drains.push(resolve)),
    stop: () => new Promise<boolean>(() => {}),
  };
  const plague = new Plague(simulation as unknown as Simulation);
  for (let i = 0; i < 2; i++) plague.restart(0, 1000, true);
  assertEquals([drains.length, plague.stopping.has(life)], [1, true]);
  drains[0]!(false);
  await Promise.resolve();
  assertEquals(plague.stopping.has(life), false);
  plague.restart(0, 1000, true);
  assertEquals(drains.length, 2);
  drains[1]!(false);
  await Promise.resolve();
  plague.restart(0, 1000);
  plague.restart(0, 1000, true);
  assertEquals([drains.length, plague.stopping.has(life)], [2, true]);
});
