import { assertEquals, assertInstanceOf } from "@std/assert";
import { type Read, Reads } from "../../src/driver/reads.ts";
import { NotLeaderError, ShutdownError, StorageError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

function setUp(seed = 1) {
  const environment = new VirtualEnvironment(0, seed);
  const reads = new Reads(environment, 1_000);
  const told: Record<string, unknown[]> = {};
  const read = (name: string): Read & { abort(): void } => {
    const answers: unknown[] = told[name] = [];
    return {
      startedAt: environment.now(),
      answer: (index) => void answers.push(index),
      reject: (error) => void answers.push(error),
      abort: () => void answers.push("aborted"),
      get isSettled() {
        return answers.length > 0;
      },
    };
  };
  const add = (name: string) => {
    const one = read(name);
    reads.add(one);
    return one;
  };
  return { environment, reads, told, read, add };
}

test("Reads share one question, and are answered when the machine has reached its index", () => {
  const { reads, told, add } = setUp();
  add("x");
  add("y");
  const id = reads.ask(undefined);
  assertEquals(reads.hasQueued, false);
  reads.onIndex(id, undefined, 7);
  reads.onApplied(6);
  assertEquals(told, { x: [], y: [] });
  reads.onApplied(7);
  reads.onApplied(8);
  assertEquals(told, { x: [7], y: [7] });
  assertEquals([reads.count, reads.needsSweep], [2, false]);
});

test("Reads that a lease will do for share another question than those that it will not", () => {
  const { reads, told, read } = setUp();
  reads.add({ ...read("lease"), isSettled: false, isLease: true });
  reads.add({ ...read("other"), isSettled: false });
  assertEquals([reads.hasQueuedFor(true), reads.hasQueuedFor(false)], [true, true]);
  const id = reads.ask(undefined, true);
  assertEquals([reads.hasQueuedFor(true), reads.hasQueuedFor(false)], [false, true]);
  const other = reads.ask(undefined);
  assertEquals(reads.hasQueued, false);
  reads.onIndex(id, undefined, 3);
  reads.onApplied(9);
  assertEquals(told, { lease: [3], other: [] });
  reads.onIndex(other, undefined, 4);
  reads.onApplied(9);
  assertEquals(told, { lease: [3], other: [4] });
});

test("Reads that come after a question was asked are not answered by it (BR03, P3)", () => {
  const { reads, told, add } = setUp();
  add("before");
  const id = reads.ask("b");
  add("after");
  reads.onIndex(id, "b", 3);
  reads.onApplied(9);
  assertEquals(told, { before: [3], after: [] });
  assertEquals(reads.hasQueued, true);
});

test("Reads.onIndex() from another server than was asked, or for another question, says nothing", () => {
  const { reads, told, add } = setUp();
  add("x");
  const id = reads.ask("b");
  for (const [other, from] of [[id, "c"], [id, undefined], [id + 1, "b"]] as const) reads.onIndex(other, from, 1);
  reads.onApplied(9);
  assertEquals(told, { x: [] });
  reads.onIndex(id, "b", 1);
  reads.onApplied(9);
  assertEquals(told, { x: [1] });
});

test("Reads.ask() numbers differ between two starts, so that an answer to the last start fits nothing (BR03)", () => {
  assertEquals(setUp(5).reads.ask("b") !== setUp(6_000_001).reads.ask("b"), true);
});

test("Reads.onRefused() asks again, for leaderWaitMs from the read's arrival", () => {
  const { environment, reads, told, add } = setUp();
  add("x");
  environment.now = () => 999;
  reads.onRefused(reads.ask("b"), "b");
  assertEquals([told.x, reads.hasQueued], [[], true]);
  environment.now = () => 1_000;
  reads.onRefused(reads.ask(undefined), undefined);
  assertInstanceOf(told.x![0], NotLeaderError);
  assertEquals([told.x!.length, reads.needsSweep], [1, false]);
});

test("Reads.sweep() asks again what has no answer, and gives up in the end, naming the leader", () => {
  const { environment, reads, told, add } = setUp();
  add("x");
  const id = reads.ask("b");
  environment.now = () => 249;
  reads.sweep();
  assertEquals(reads.hasQueued, false);
  environment.now = () => 250;
  reads.sweep();
  assertEquals(reads.hasQueued, true);
  reads.onIndex(id, "b", 1); // Too late: it is asked anew.
  reads.onApplied(9);
  assertEquals(told.x, []);
  environment.now = () => 1_000;
  reads.sweep({ id: "b", address: undefined });
  assertEquals((told.x![0] as NotLeaderError).leader?.id, "b");
});

test("Reads.sweep() leaves our own core time: it always answers", () => {
  const { environment, reads, told, add } = setUp();
  add("x");
  const id = reads.ask(undefined);
  environment.now = () => 1e9;
  reads.sweep();
  reads.onIndex(id, undefined, 1);
  reads.onApplied(1);
  assertEquals(told.x, [1]);
});

test("Reads.onPeerLost() asks again what that server was asked, and nothing else", () => {
  const { reads, told, add } = setUp();
  add("x");
  reads.ask("b");
  add("y");
  const id = reads.ask("c");
  reads.onPeerLost("b");
  assertEquals(reads.hasQueued, true);
  reads.onIndex(id, "c", 4);
  reads.onApplied(4);
  assertEquals(told, { x: [], y: [4] });
});

test("Reads.onLeaderLost() asks again what waits for entries that the leader may never send (K4)", () => {
  const { environment, reads, told, add } = setUp();
  for (const [name, index] of [["committed", 5], ["beyond", 6]] as const) {
    add(name);
    reads.onIndex(reads.ask("b"), "b", index);
  }
  reads.onLeaderLost(5);
  assertEquals(reads.hasQueued, true);
  reads.onApplied(6);
  assertEquals(told, { committed: [5], beyond: [] });
  environment.now = () => 1_000;
  reads.sweep();
  assertInstanceOf(told.beyond![0], NotLeaderError);
  assertEquals(reads.needsSweep, false);
});

test("Reads.onLeaderLost() leaves what our own core was asked: it answers by itself", () => {
  const { reads, told, add } = setUp();
  add("x");
  const id = reads.ask(undefined);
  reads.onLeaderLost(0);
  assertEquals(reads.hasQueued, false);
  reads.onIndex(id, undefined, 2);
  reads.onApplied(2);
  assertEquals(told.x, [2]);
});

test("Reads.addAt() of what is there waits for nobody but whoever looks at the machine", () => {
  const { reads, told, read } = setUp();
  reads.addAt(read("x"), 3, 3);
  assertEquals([reads.hasQueued, reads.needsSweep, reads.count], [false, false, 0]);
  reads.onApplied(0);
  assertEquals(told.x, [0]);
});

test("Reads whose caller stopped waiting are neither asked for nor answered", () => {
  const { reads, told, add } = setUp();
  add("x").abort();
  const y = add("y");
  const id = reads.ask(undefined);
  y.abort();
  reads.onIndex(id, undefined, 1);
  reads.onApplied(1);
  assertEquals(told, { x: ["aborted"], y: ["aborted"] });
});

test("Reads added by an answer are not lost", () => {
  const { reads, told, read } = setUp();
  const inner = read("inner");
  const outer: Read = {
    startedAt: 0,
    isSettled: false,
    answer: () => reads.addAt(inner, 0, 0),
    reject: () => {},
  };
  reads.addAt(outer, 0, 0);
  reads.onApplied(3);
  reads.onApplied(3);
  assertEquals(told.inner, [0]);
});

test("Reads.close() rejects all, wherever they are, and those that come later (P5, K4)", () => {
  const { reads, told, add, read } = setUp();
  add("due");
  reads.onIndex(reads.ask(undefined), undefined, 9);
  add("asked");
  reads.ask("b");
  add("queued");
  const cause = new StorageError("disk", "write");
  reads.close(cause);
  reads.close(new ShutdownError());
  add("late");
  reads.addAt(read("stale"), 0, 0);
  for (const name of ["due", "asked", "queued", "late", "stale"]) {
    assertEquals(told[name]!.length, 1, name);
    assertInstanceOf(told[name]![0], ShutdownError);
    assertEquals((told[name]![0] as Error).cause, cause);
  }
  reads.onApplied(100);
  assertEquals(told.due!.length, 1);
  assertEquals(reads.needsSweep, false);
});
