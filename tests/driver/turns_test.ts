import { assertEquals } from "@std/assert";
import { Turns } from "../../src/driver/turns.ts";
import { test } from "../harness.ts";
import { drain, VirtualEnvironment } from "../virtual_environment.ts";

function setUp() {
  const environment = Object.assign(new VirtualEnvironment(), {
    gather: (callback: () => void) => void gathered.push(callback),
  });
  const gathered: (() => void)[] = [];
  let count = 0;
  const turns = new Turns(environment, () => void count++);
  /** Lets what was deferred run; gives how many turns there were. */
  const settle = () => drain().then(() => count);
  return { environment, turns, settle, gathered, finish: () => gathered.splice(0).forEach((callback) => callback()) };
}

test("Turns.scheduleGathered() asks for one turn, which comes when the others have been looked at", async () => {
  const { turns, settle, gathered, finish } = setUp();
  turns.scheduleGathered();
  turns.scheduleGathered();
  assertEquals([await settle(), gathered.length], [0, 1]);
  finish();
  assertEquals(await settle(), 1);
  turns.scheduleGathered();
  finish();
  assertEquals(await settle(), 2);
});

test("Turns.scheduleGathered() is content with a turn that comes earlier, and asks for none while one is to come", async () => {
  const { turns, settle, gathered, finish } = setUp();
  turns.scheduleGathered();
  turns.schedule();
  assertEquals(await settle(), 1);
  finish();
  assertEquals(await settle(), 1);
  turns.schedule();
  turns.scheduleGathered();
  assertEquals([await settle(), gathered.length], [2, 0]);
});

test("Turns.scheduleGathered() asks for nothing after the end", async () => {
  const { turns, settle, gathered, finish } = setUp();
  turns.scheduleGathered();
  turns.end();
  finish();
  turns.scheduleGathered();
  assertEquals([await settle(), gathered.length], [0, 0]);
});

test("Turns.scheduleGathered() is schedule() where nothing can be gathered", async () => {
  let count = 0;
  const turns = new Turns(new VirtualEnvironment(), () => void count++);
  turns.scheduleGathered();
  await drain();
  assertEquals(count, 1);
});

test("Turns.scheduleGathered() waits for nobody at `early-turn`, where that is asked for", async () => {
  for (const isEarly of [true, false]) {
    const { turns, settle, gathered, environment } = setUp();
    const asked: string[] = [];
    environment.buggify = (point) => asked.push(point) > 0 && isEarly;
    turns.scheduleGathered();
    assertEquals([await settle(), gathered.length], isEarly ? [1, 0] : [0, 1]);
    assertEquals(asked, ["early-turn"]);
    turns.end();
  }
});
