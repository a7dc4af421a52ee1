import { assertEquals } from "@std/assert";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { Hosted, type Subject } from "../../../src/testing/sim/hosted.ts";
import type { MachineTap } from "../../../src/testing/sim/machine.ts";
import { Port } from "../../../src/testing/sim/queue.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { Trace } from "../../../src/testing/sim/trace.ts";
import { World } from "../../../src/testing/sim/world.ts";
import { nextTurn } from "../../../src/transport/next_turn.ts";
import { test } from "../../harness.ts";
import { lifeOf } from "./clients_stage.ts";

const tap: MachineTap = { onApplied() {}, work: () => undefined };

/** What breaks when a machine takes its time with a command, in a world that waits for 50 turns. */
async function brokenBy(apply: () => Promise<number>, isOver = false): Promise<string | undefined> {
  const [world, ghost, random] = [new World(new Trace(), () => {}, 50), new Ghost(), Random.seeded(1)];
  const subject = { machine: () => ({ apply }), stateOf: () => undefined, codec: {} } as unknown as Subject;
  const hosted = new Hosted(subject, world, ghost, drawConfig(random), random);
  const life = Object.assign(lifeOf({}), { isOver });
  const machine = hosted.machine(life, tap);
  const command = { value: "v1", command: 1 } as never;
  world.schedule(0, Port.client, 1, "a command", () => void machine.apply(command, { index: 1, term: 1, timeMs: 0 }));
  await world.run(() => world.events === 1);
  return ghost.violation?.invariant;
}

function turns(left: number): Promise<number> {
  return left === 0 ? Promise.resolve(0) : new Promise((resolve) => nextTurn(() => resolve(turns(left - 1))));
}

test("sim clients: A7: a machine may take any number of turns, but must come to an end", async () => {
  assertEquals(await brokenBy(() => turns(40)), undefined);
  assertEquals(await brokenBy(() => new Promise(() => {})), "A7");
  assertEquals(await brokenBy(() => new Promise(() => {}), true), undefined, "its server is dead");
});
