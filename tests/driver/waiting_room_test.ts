import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Proposal } from "../../src/driver/proposal.ts";
import { WaitingRoom } from "../../src/driver/waiting_room.ts";
import { EntryType } from "../../src/types.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

const limits = { inFlightCountMax: 4, inFlightBytesMax: 100 };

function setUp(over: Partial<typeof limits> = {}) {
  const environment = new VirtualEnvironment();
  const refused: string[] = [];
  const names = new Map<Proposal, string>();
  const room = new WaitingRoom(environment, { ...limits, ...over }, (proposal) => refused.push(names.get(proposal)!));
  /** A command of that caller; its name is the caller's number with a letter. */
  const command = (name: string, bytes = 10) => {
    const entry = { type: EntryType.command, flags: 0, payload: new Uint8Array(bytes) };
    const proposal = new Proposal(entry, environment.now(), () => {}, () => {}, { caller: parseInt(name) });
    names.set(proposal, name);
    return proposal;
  };
  const add = (...all: string[]) => all.map((name) => room.add(command(name), 1_000));
  const next = (bytesMax = Infinity) => {
    const proposal = room.next(({ payload }) => payload.length <= bytesMax);
    return proposal === undefined ? undefined : names.get(proposal);
  };
  const rest = () => Array.from({ length: room.count }, () => next());
  return { environment, room, command, add, next, rest, refused };
}

test("WaitingRoom.next() lets callers take turns, each with its oldest command", () => {
  const { add, rest, room } = setUp({ inFlightCountMax: 10 });
  add("1a", "1b", "1c", "2a", "3a", "3b");
  assertEquals(rest(), ["1a", "2a", "3a", "1b", "3b", "1c"]);
  assertEquals([room.count, room.bytes, room.next(() => true)], [0, 0, undefined]);
});

test("WaitingRoom.next() lets nobody overtake a command that does not fit yet", () => {
  const { room, command, add, next } = setUp();
  room.add(command("1a", 50), 1_000);
  add("2a");
  assertEquals([next(49), next(50), next(49)], [undefined, "1a", "2a"]);
});

test("WaitingRoom.add() is bounded by commands and by bytes, but for the first one", () => {
  const { room, command, add, refused } = setUp();
  assertEquals(add("1a", "1b", "1c", "1d", "1e"), [true, true, true, true, false]);
  room.clear();
  for (const [bytes, expected] of [[90, true], [91, false]] as const) {
    assertEquals(add("1a"), [true]);
    assertEquals([room.add(command("1b", bytes), 1_000), room.count], [expected, expected ? 2 : 1]);
    room.clear();
  }
  assertEquals(room.add(command("1a", 1_000), 1_000), true);
  assertEquals([room.bytes, refused], [1_000, []]);
});

test("WaitingRoom.add() gives a caller with less than its share the place of the youngest command of the one with most", () => {
  const { add, rest, refused } = setUp();
  add("1a", "1b", "1c", "1d");
  assertEquals([add("2a", "2b"), refused], [[true, true], ["1d", "1c"]]);
  // Both have two now: an equal share.
  assertEquals([add("2c", "1e"), refused.length], [[false, false], 2]);
  assertEquals(rest(), ["1a", "2a", "1b", "2b"]);
});

test("WaitingRoom.add() turns nobody away for a command that would not fit all the same", () => {
  const { room, command, add, refused } = setUp();
  add("1a", "1b", "1c", "1d");
  assertEquals([room.add(command("2a", 71), 1_000), refused], [false, []]);
  assertEquals([room.add(command("2a", 70), 1_000), refused, room.bytes], [true, ["1d"], 100]);
});

test("WaitingRoom refuses who has waited for as long as it may, and not a moment earlier", async () => {
  const { environment, room, command, refused } = setUp();
  room.add(command("1a"), 20);
  room.add(command("1b"), 10);
  await environment.advance(9);
  assertEquals(refused, []);
  await environment.advance(1);
  assertEquals([refused, room.count], [["1b"], 1]);
  await environment.advance(10);
  assertEquals([refused, room.count, room.bytes], [["1b", "1a"], 0, 0]);
});

test("WaitingRoom: who stops waiting leaves at once, with its timer, and is refused nothing", async () => {
  const { environment, room, command, next, refused } = setUp();
  const gone = command("1a");
  room.add(gone, 20);
  room.add(command("1b"), 20);
  gone.reject(new Error("aborted"));
  assertEquals([room.count, room.bytes, environment.timerCount], [1, 10, 1]);
  assertEquals([next(), environment.timerCount], ["1b", 0]);
  await environment.advance(100);
  assertEquals(refused, []);
});

test("WaitingRoom holds no more than its limits, counts what it holds, and loses nobody", () => {
  const step = fc.record({ caller: fc.integer({ min: 1, max: 4 }), bytes: fc.nat(60), isNext: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const { room, command, next, refused, rest } = setUp();
    let taken = 0;
    let left = 0;
    for (const { caller, bytes, isNext } of steps) {
      if (isNext) left += next() === undefined ? 0 : 1;
      else if (room.add(command(`${caller}`, bytes), 1_000)) taken++;
      assertEquals(room.count, taken - left - refused.length);
      assertEquals(room.count <= limits.inFlightCountMax, true);
      assertEquals(room.count <= 1 || room.bytes <= limits.inFlightBytesMax, true);
    }
    assertEquals([rest().length + left + refused.length, room.bytes], [taken, 0]);
  }));
});
