import { assertEquals } from "@std/assert";
import { Pending } from "../../src/driver/pending.ts";
import { Proposal } from "../../src/driver/proposal.ts";
import { EntryType } from "../../src/types.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

function setUp() {
  const environment = new VirtualEnvironment();
  const pending = new Pending(environment, { inFlightCountMax: 1, inFlightBytesMax: 100, leaderWaitMs: 1_000 });
  const told: string[] = [];
  const add = (name: string, isOwed = false) => {
    const entry = { type: EntryType.restore, flags: 0, payload: new Uint8Array(60) };
    const onResult = () => void told.push(`${name} applied`);
    const onError = (error: unknown) => void told.push(`${name} ${(error as { code: string }).code}`);
    pending.add(new Proposal(entry, environment.now(), onResult, onError, { isOwed }));
  };
  return { environment, pending, told, add };
}

test("Pending takes what is owed however much is in flight, and does not count it", () => {
  const { pending, told, add } = setUp();
  add("x");
  add("y");
  add("z", true);
  assertEquals([told, pending.count, pending.bytes], [["y overloaded"], 1, 60]);
  const taken = pending.takeQueued();
  assertEquals(taken.map(({ isOwed }) => isOwed), [false, true]);
  pending.place(taken, 5, 2);
  for (const index of [5, 6]) pending.onApplied(index, 2, { ok: true, value: undefined });
  assertEquals([told.slice(1), pending.count, pending.bytes], [["x applied", "z applied"], 0, 0]);
  // What is owed and what is not are counted apart to the end.
  add("x");
  add("y");
  assertEquals(told.slice(3), ["y overloaded"]);
});

test("Pending lets what is owed wait as long as it takes for a leader, and nothing else", async () => {
  const { environment, pending, told, add } = setUp();
  add("x");
  add("z", true);
  await environment.advance(1_000);
  pending.sweep();
  assertEquals([told, pending.hasQueued, pending.needsSweep], [["x not-leader"], true, true]);
  await environment.advance(100_000);
  pending.sweep();
  assertEquals(pending.takeQueued().map(({ isOwed }) => isOwed), [true]);
});

test("Pending gives what is owed to no other leader, and keeps it no longer than the server is there", () => {
  for (const isLed of [true, false]) {
    const { pending, told, add } = setUp();
    add("z", true);
    if (isLed) assertEquals(pending.forwardable(pending.takeQueued(), { id: "b", address: undefined }), []);
    else pending.close(undefined);
    assertEquals([told, pending.hasQueued, pending.count], [[isLed ? "z not-leader" : "z shutdown"], false, 0]);
  }
});
