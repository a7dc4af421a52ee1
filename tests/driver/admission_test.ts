import { assertEquals } from "@std/assert";
import { Admission } from "../../src/driver/admission.ts";
import { EntryType } from "../../src/types.ts";
import { test } from "../harness.ts";

const limits = { commandBytesMax: 50, inFlightCountMax: 10, inFlightBytesMax: 100 };

function commands(...bytes: number[]) {
  return bytes.map((length) => ({ type: EntryType.command, flags: 0, payload: new Uint8Array(length) }));
}

test("Admission.take() refuses one byte too many, and counts nothing of what it refuses", () => {
  const admission = new Admission(limits);
  assertEquals(admission.take("b", commands(50, 10)), true);
  assertEquals(admission.take("b", commands(20, 21)), false);
  assertEquals(admission.take("b", commands(20, 20)), true);
  assertEquals(admission.take("b", commands(1)), false);
  assertEquals(admission.take("b", commands(0)), true);
});

test("Admission.take() counts extensions, which are no part of the command's own size", () => {
  const admission = new Admission(limits);
  const [command] = commands(50);
  assertEquals(admission.take("b", [{ ...command!, extensions: new Uint8Array(50) }]), true);
  assertEquals(admission.take("b", commands(1)), false);
});

test("Admission.isTooLarge() finds a command of one byte more than any may have", () => {
  const admission = new Admission(limits);
  assertEquals([admission.isTooLarge(commands(1, 50)), admission.isTooLarge(commands(1, 51))], [false, true]);
});

test("Admission.take() takes whatever comes first, however small the limits", () => {
  const admission = new Admission({ ...limits, inFlightCountMax: 1, inFlightBytesMax: 1 });
  assertEquals(admission.take("b", commands(50, 50)), true);
  assertEquals(admission.take("b", commands(0)), false);
});

test("Admission.onApplied() frees what is applied to its last command, in order", () => {
  const admission = new Admission(limits);
  for (const from of [5, 7]) {
    const two = commands(20, 20);
    assertEquals(admission.take("b", two), true);
    admission.place("b", two, from);
  }
  admission.onApplied(5);
  assertEquals(admission.take("b", commands(21)), false);
  admission.onApplied(7);
  assertEquals(admission.take("b", commands(50, 10)), true);
  admission.onApplied(8);
  assertEquals(admission.take("b", commands(41)), false);
  assertEquals(admission.take("b", commands(40)), true);
});

test("Admission.onLeaderLost() frees what is in the log, not what waits for the core", () => {
  const admission = new Admission(limits);
  const [placed, waiting] = [commands(50), commands(50)];
  assertEquals([admission.take("b", placed), admission.take("b", waiting)], [true, true]);
  admission.place("b", placed, 3);
  admission.onLeaderLost();
  assertEquals(admission.take("b", commands(50, 1)), false);
  assertEquals(admission.take("b", commands(50)), true);
  admission.giveBack("b", waiting);
  admission.onApplied(3);
  assertEquals([admission.take("b", commands(50)), admission.take("b", commands(1))], [true, false]);
});

test("Admission.take() gives no peer more than an equal share of those that have something here", () => {
  const admission = new Admission({ ...limits, inFlightCountMax: 8 });
  assertEquals(admission.take("b", commands(0, 0, 0, 0, 0, 0)), true, "alone it may have all");
  assertEquals(admission.take("c", commands(0)), true);
  assertEquals(admission.take("b", commands(0)), false, "there is room, but it has more than half");
  assertEquals([admission.take("c", commands(0)), admission.take("c", commands(0))], [true, false], "there is none");
  admission.giveBack("b", commands(0, 0, 0));
  assertEquals([admission.take("c", commands(0, 0)), admission.take("b", commands(0))], [true, true]);
  assertEquals(admission.take("c", commands(0)), false);
});

test("Admission.take() shares bytes like commands", () => {
  const admission = new Admission(limits);
  assertEquals([admission.take("b", commands(30)), admission.take("c", commands(10))], [true, true]);
  assertEquals([admission.take("b", commands(21)), admission.take("b", commands(20))], [false, true]);
});

test("Admission.take() leaves room for a peer that was refused, until that one is gone", () => {
  for (const isLost of [false, true]) {
    const admission = new Admission(limits);
    admission.take("b", commands(50, 50));
    assertEquals(admission.take("c", commands(50)), false);
    if (isLost) admission.onPeerLost("c");
    admission.giveBack("b", commands(50));
    assertEquals(admission.take("b", commands(10)), isLost);
    assertEquals(admission.take("c", commands(40)), true);
  }
});
