import { assertEquals } from "@std/assert";
import { Deadline } from "../../src/driver/deadline.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

function setUp(now = 0) {
  const environment = new VirtualEnvironment(now);
  const reached: { at: number; lateMs: number }[] = [];
  const deadline = new Deadline(environment, (lateMs) => reached.push({ at: environment.now(), lateMs }));
  return { environment, deadline, reached };
}

test("Deadline fires when its time has come, once", async () => {
  const { environment, deadline, reached } = setUp();
  deadline.set(100);
  await environment.advance(99);
  assertEquals(reached, []);
  await environment.advance(1_000);
  assertEquals(reached, [{ at: 100, lateMs: 0 }]);
});

test("Deadline.set() to a later time does not fire early, and sets one timer only", async () => {
  const { environment, deadline, reached } = setUp();
  deadline.set(100);
  for (let at = 110; at <= 300; at += 10) deadline.set(at);
  assertEquals(environment.timerCount, 1);
  await environment.advance(299);
  assertEquals(reached, []);
  await environment.advance(1);
  assertEquals(reached, [{ at: 300, lateMs: 0 }]);
});

test("Deadline.set() to an earlier time fires then", async () => {
  const { environment, deadline, reached } = setUp();
  deadline.set(100);
  deadline.set(40);
  await environment.advance(200);
  assertEquals(reached, [{ at: 40, lateMs: 0 }]);
});

test("Deadline fires again after it was set anew", async () => {
  const { environment, deadline, reached } = setUp();
  for (const at of [50, 100, 150]) {
    deadline.set(at);
    await environment.advance(50);
  }
  assertEquals(reached.map(({ at }) => at), [50, 100, 150]);
});

test("Deadline gives events one more turn: a heartbeat that waited moves it away", async () => {
  const { environment, deadline, reached } = setUp();
  deadline.set(100);
  // Set after the deadline's timer, so that it fires between that and the extra turn.
  environment.setTimeout(() => deadline.set(600), 100);
  await environment.advance(599);
  assertEquals(reached, []);
  await environment.advance(1);
  assertEquals(reached, [{ at: 600, lateMs: 0 }]);
});

test("Deadline tells how late it is when the process slept", async () => {
  const { environment, deadline, reached } = setUp();
  deadline.set(100);
  await environment.jump(5_100);
  assertEquals(reached, [{ at: 5_100, lateMs: 5_000 }]);
});

test("Deadline is not late because its time is a fraction of a millisecond", async () => {
  const { environment, deadline, reached } = setUp(0.25);
  deadline.set(100.5);
  await environment.advance(200);
  assertEquals(reached.length, 1);
  assertEquals(reached[0]!.at >= 100.5 && reached[0]!.lateMs < 1, true);
});

test("Deadline survives timers that fire early", async () => {
  const { environment, deadline, reached } = setUp();
  const { setTimeout } = environment;
  environment.setTimeout = (callback, ms) => setTimeout.call(environment, callback, ms * 0.9);
  deadline.set(100);
  await environment.advance(99);
  assertEquals(reached, []);
  await environment.advance(2);
  assertEquals(reached.length, 1);
});

test("Deadline keeps its time near the largest numbers that clocks reach (BC15)", async () => {
  const start = 2 ** 31 - 50;
  const { environment, deadline, reached } = setUp(start);
  deadline.set(start + 100);
  await environment.advance(200);
  assertEquals(reached, [{ at: start + 100, lateMs: 0 }]);
});

test("Deadline.stop() leaves no timer, also between the timer and the extra turn", async () => {
  const { environment, deadline, reached } = setUp();
  deadline.set(100);
  environment.setTimeout(() => deadline.stop(), 100);
  await environment.advance(1_000);
  assertEquals(reached, []);
  assertEquals(environment.timerCount, 0);
});
