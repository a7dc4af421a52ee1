import { assertEquals, assertThrows } from "@std/assert";
import { Port } from "../../../src/testing/sim/queue.ts";
import { Trace } from "../../../src/testing/sim/trace.ts";
import { Turns } from "../../../src/testing/sim/turns.ts";
import { World } from "../../../src/testing/sim/world.ts";
import { nextTurn } from "../../../src/transport/next_turn.ts";
import { test } from "../../harness.ts";

function turns(count: number): Promise<void> {
  return new Promise((resolve) => {
    const turn = (left: number): void => left === 0 ? resolve() : nextTurn(() => turn(left - 1));
    turn(count);
  });
}

async function run(endlessTurns: number, work: () => Promise<void>): Promise<readonly string[]> {
  const said: string[] = [];
  const world = new World(new Trace(), () => said.push("after"), endlessTurns);
  const then = (what: string) => () => said.push(`${what} at ${world.time}`);
  world.schedule(0, Port.client, 5, "first", () => {
    world.hold(work(), then("endless")).then(then("over"));
  });
  world.schedule(0, Port.client, 9, "second", then("second"));
  await world.run(() => world.events === 2);
  return said;
}

test("World: nothing happens before what is held for is over, however many turns that takes", async () => {
  assertEquals(await run(50, () => turns(20)), ["over at 5", "after", "second at 9", "after"]);
  assertEquals(await run(50, () => Promise.resolve()), ["over at 5", "after", "second at 9", "after"]);
});

test("World: what takes more turns than anything can is told of, and time goes on", async () => {
  assertEquals((await run(50, () => turns(52))).slice(0, 3), ["endless at 5", "after", "second at 9"]);
  assertEquals(await run(50, () => new Promise(() => {})), ["endless at 5", "after", "second at 9", "after"]);
});

test("World: what is held for before the first event comes before it", async () => {
  const world = new World(new Trace(), () => {});
  const said: string[] = [];
  world.schedule(0, Port.client, 1, "first", () => said.push("first"));
  world.hold(turns(10), () => said.push("endless")).then(() => said.push("over"));
  await world.run(() => world.events === 1);
  assertEquals(said, ["over", "first"]);
});

test("sim world: whoever asks by a pause is told whether that one goes on, not a later one", () => {
  const world = new World(new Trace(), () => {});
  assertEquals(world.isPaused(1), false);
  const first = world.pause(1);
  // Who is paused already sleeps on.
  assertEquals([world.pause(1) === first, world.isPaused(1), world.isPaused(1, first)], [true, true, true]);
  world.resume(1);
  assertEquals([world.isPaused(1), world.isPaused(1, first)], [false, false]);
  world.pause(1);
  assertEquals([world.isPaused(1), world.isPaused(1, first)], [true, false]);
});

test("sim world: each of many events has all that its promises lead to before the next one, and before the run is over", async () => {
  const said: string[] = [];
  const world = new World(new Trace(), () => said.push("after"));
  const lead = async (i: number) => {
    said.push(`event ${i}`);
    for (let hop = 0; hop < 20; hop++) await null;
    said.push(`end of ${i}`);
  };
  for (let i = 1; i <= 100; i++) world.schedule(0, Port.client, i, "event", () => void lead(i));
  // Twice: what the first run has ordered and not used is there in the second one.
  await world.run(() => world.events === 40);
  await world.run(() => world.events === 100);
  assertEquals(said, Array.from({ length: 100 }, (_, i) => [`event ${i + 1}`, `end of ${i + 1}`, "after"]).flat());
});

test("sim world: turns come one at a time", () => {
  const turns = new Turns();
  turns.next(() => {});
  assertThrows(() => turns.next(() => {}), Error, "while another one is awaited");
});
