import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { DELAY_SHAPES, drawDelay, longestDelay } from "../../../src/testing/sim/delays.ts";
import { calm, Lines } from "../../../src/testing/sim/lines.ts";
import { OldFrames } from "../../../src/testing/sim/old_frames.ts";
import { drawPartition, type PartitionName, PARTITIONS } from "../../../src/testing/sim/partitions.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { Message } from "../../../src/message.ts";
import { test } from "../../harness.ts";
import { calmNetwork } from "./calm_network.ts";
import { accepted, append } from "../../core/states.ts";

/** Whom each of five servers still exchanges messages with, in both directions. */
function friends(shape: PartitionName): string[] {
  const order = [0, 1, 2, 3, 4];
  const cut = new Set(PARTITIONS[shape](order, Random.seeded(1)).map(([a, b]) => `${a}${b}`));
  return order.map((a) => order.filter((b) => a !== b && !cut.has(`${a}${b}`) && !cut.has(`${b}${a}`)).join(""));
}

test("sim partitions: each shape leaves the connections it is named after", () => {
  assertEquals(friends("isolate"), ["", "234", "134", "124", "123"]);
  assertEquals(friends("leader and minority"), ["1", "0", "34", "24", "23"]);
  assertEquals(friends("bridge"), ["1234", "02", "01", "04", "03"]);
  assertEquals(friends("majorities ring"), ["14", "02", "13", "24", "03"]);
  assertEquals(friends("chain"), ["1", "02", "13", "24", "3"]);
  assertEquals(friends("cloudflare"), ["1", "023", "14", "14", "23"]);
  assertEquals(friends("alone"), ["", "", "", "", ""]);
  assertEquals(friends("pair"), ["234", "234", "0134", "0124", "0123"]);
});

test("sim partitions: one-way shapes cut one way only", () => {
  const order = [2, 0, 1];
  assertEquals(PARTITIONS.deaf(order, Random.seeded(1)), [[0, 2], [1, 2]]);
  assertEquals(PARTITIONS.mute(order, Random.seeded(1)), [[2, 0], [2, 1]]);
});

test("sim partitions: a leader and a server that clients call lose one another, one way or both, and nobody else", () => {
  const random = Random.seeded(1);
  const drawn = Array.from({ length: 50 }, () => PARTITIONS["client and leader"]([2, 0, 1], random));
  const ways = new Set(drawn.map((directions) => directions.join(" ")));
  assertEquals(ways, new Set(["2,0", "0,2", "0,2 2,0"]));
  assertEquals(PARTITIONS["client and leader"]([2], random), []);
});

test("sim partitions: every shape but those of calls is drawn, half of them isolate one server, and none cuts a server from itself", () => {
  const random = Random.seeded(3);
  const drawn = new Map<PartitionName, number>();
  for (let i = 0; i < 2000; i++) {
    const servers = random.between(2, 7);
    const { shape, directions } = drawPartition(random, servers, random.below(servers));
    drawn.set(shape, (drawn.get(shape) ?? 0) + 1);
    assert(directions.every(([a, b]) => a !== b && a < servers && b < servers));
    assertEquals(new Set(directions.map((direction) => direction.join())).size, directions.length);
  }
  assertEquals([...drawn.keys(), "client and leader"].sort(), Object.keys(PARTITIONS).sort());
  const isolated = drawn.get("isolate")!;
  assertGreater(isolated, 800);
  assertLess(isolated, 1200);
});

test("sim delays: each shape is what it says", () => {
  for (const shape of DELAY_SHAPES) {
    const random = Random.seeded(5);
    const delays = Array.from({ length: 5000 }, () => drawDelay(random, shape, 100, 1100));
    const most = Math.max(...delays);
    assert(delays.every((delay) => Number.isInteger(delay) && delay >= 100), shape);
    assert(most <= longestDelay({ delayMax: 1100, tailMax: 0 }), shape);
    const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
    if (shape === "fixed") assertEquals([most, mean], [600, 600]);
    if (shape === "uniform") assertEquals(most <= 1100 && mean > 550 && mean < 650, true);
    if (shape === "exponential") assertEquals(most > 1100 && most < 2000 && mean > 380 && mean < 480, true);
    if (shape === "heavy") assertEquals(most > 40_000 && mean > 1100, true);
  }
});

test("sim lines: cuts count, clogs hold frames up, all is mended at once among some or all", () => {
  const lines = new Lines(3, calmNetwork);
  const delay = () => lines.delayOf(Random.seeded(1), 0, 1, 1000, 50, false);
  lines.cut(0, 1);
  lines.cut(0, 1);
  lines.mend(0, 1);
  assertEquals([lines.isCut(0, 1), lines.isCut(1, 0)], [true, false]);
  lines.mend(0, 1);
  lines.mend(0, 1);
  assertEquals(lines.isCut(0, 1), false);
  lines.clog(0, 1, 90_000);
  lines.clog(0, 1, 80_000);
  assertEquals([delay(), lines.isClogged(0, 1, 89_999), lines.isClogged(0, 1, 90_000)], [89_000, true, false]);
  for (const [from, to] of [[2, 1], [0, 1], [2, 0]] as const) lines.cut(from, to);
  lines.mendAmong([0, 1]);
  assertEquals([delay() <= 500, lines.isCut(0, 1), lines.isCut(2, 1), lines.isCut(2, 0)], [true, false, true, true]);
  lines.mendAmong([0, 1, 2]);
  assertEquals([lines.isCut(2, 1), lines.isCut(2, 0)], [false, false]);
});

test("sim lines: a narrow one takes its time and then no more", () => {
  const lines = new Lines(2, { ...calmNetwork, bytesPerMs: 10 });
  const send = () => lines.delayOf(Random.seeded(1), 0, 1, 0, 400, false);
  const delays = [send(), send(), send()];
  assertEquals([delays[1]! - delays[0]!, delays[2]! - delays[1]!], [40_000, 40_000]);
  assertEquals([lines.hasRoom(0, 1, 0), lines.hasRoom(0, 1, 30_000), lines.hasRoom(1, 0, 0)], [false, true, true]);
  lines.drain(0, 1);
  assertEquals(lines.hasRoom(0, 1, 0), true);
});

test("sim lines: answers may come late, and a calm network has no fault", () => {
  const lines = new Lines(2, { ...calmNetwork, late: 1, loss: 1, refuseDial: 1, bytesPerMs: 1 });
  assertGreater(lines.delayOf(Random.seeded(1), 0, 1, 0, 1, true), 1500);
  lines.behaviour = calm(lines.behaviour);
  const { late, loss, refuseDial, bytesPerMs, delayMax } = lines.behaviour;
  assertEquals([late, loss, refuseDial, bytesPerMs, delayMax], [0, 0, 0, 0, 500]);
});

test("sim old frames: a question is answered by what was said to an earlier one of its number, and by nothing else", () => {
  const [random, old] = [Random.seeded(1), new OldFrames(2)];
  const keep = (message: Message) => old.keep(random, 1, { frame: new Uint8Array(), decoded: { message } });
  const answerTo = (message: Message) => old.answerTo(1, message)?.decoded.message;
  const [read, ack] = [
    { type: "read-response", term: 1, id: 7, index: 3 },
    accepted({ term: 1, sequence: 7 }),
  ] as const;
  assertEquals(old.any(random, 1), undefined);
  keep(read);
  keep(ack);
  assertEquals(answerTo({ type: "read-request", term: 4, id: 7, isLease: false }), read);
  assertEquals(answerTo({ type: "read-request", term: 4, id: 8, isLease: false }), undefined);
  const heartbeat = append({ term: 4, sequence: 7 });
  assertEquals(answerTo(heartbeat), ack);
  // That would be its own.
  assertEquals(answerTo({ ...heartbeat, term: 1 }), undefined);
  assertEquals(answerTo({ ...heartbeat, sequence: 8 }), undefined);
  assertEquals(answerTo(read), undefined);
  assertEquals(old.answerTo(0, heartbeat), undefined);
  old.forget(1);
  assertEquals([answerTo(heartbeat), old.any(random, 1)], [undefined, undefined]);
});

test("sim old frames: those that are kept are few, and not always the latest", () => {
  const [random, old] = [Random.seeded(1), new OldFrames(1)];
  for (let sequence = 0; sequence < 2000; sequence++) {
    old.keep(random, 0, { frame: new Uint8Array(), decoded: { message: append({ term: 1, sequence }) } });
  }
  const seen = new Set(Array.from({ length: 4000 }, () => {
    const { message } = old.any(random, 0)!.decoded;
    return message.type === "append-request" ? message.sequence : -1;
  }));
  assertEquals([seen.size <= 200, Math.min(...seen) < 1700, Math.max(...seen) > 1900], [true, true, true]);
});
