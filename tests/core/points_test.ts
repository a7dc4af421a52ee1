import { assertEquals } from "@std/assert";
import { Core } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Progress } from "../../src/core/progress.ts";
import type { Point } from "../../src/points.ts";
import { test } from "../harness.ts";
import { accepted, deadline, drained, leaderOf, take } from "./states.ts";

/** A leader with six entries, of which its peer "b" is known to have three; it does what is unusual where that is asked. */
function leader(b: Partial<Progress> = {}, ...on: Point[]) {
  const { state } = leaderOf({
    servers: "a b",
    terms: [1, 1, 1, 1, 1, 1],
    state: { commitIndex: 3 },
    progress: { b: { matchIndex: 3, nextIndex: 4, commitSent: 3, ...b } },
  });
  const asked: Point[] = [];
  const core = Core.load(state, (point) => {
    asked.push(point);
    return on.includes(point);
  });
  return { core, asked, usual: Core.load(structuredClone(state)) };
}

/** The appends that are asked for: from where to where, and how many entries each may carry. */
const asks = (effects: readonly Effect[]) =>
  effects.flatMap((it) => it.type === "replicate" ? [[it.from, it.end, it.entriesMax]] : []);

const sent = (end: number, sequence = 10) => ({ type: "sent", to: "b", term: 1, sequence, end, bytes: 100 }) as const;

test("points: `small-batch` lets an append carry one entry; the rest follows", () => {
  const { core, usual, asked } = leader({}, "small-batch");
  assertEquals(asks(take(usual, drained).effects), [[4, 7, 4]]);
  assertEquals(asks(take(core, drained).effects), [[4, 7, 1]]);
  take(core, sent(5));
  assertEquals(asks(take(core, drained).effects), [[5, 7, 1]]);
  take(core, sent(6, 11));
  asked.length = 0;
  // One that is alone is no less.
  assertEquals(asks(take(core, drained).effects), [[6, 7, 4]]);
  assertEquals(asked.includes("small-batch"), false);
});

test("points: `small-batch` is nothing to a heartbeat", () => {
  const { core, asked } = leader({ nextIndex: 7 }, "small-batch");
  assertEquals(asks(take(core, deadline, 50).effects.concat(take(core, drained, 50).effects)), [[7, 7, 4]]);
  assertEquals(asked, []);
});

test("points: `tiny-inflight` keeps the window at one append until that is acknowledged", () => {
  const { core, usual, asked } = leader({}, "tiny-inflight");
  for (const it of [core, usual]) {
    assertEquals(asks(take(it, drained).effects), [[4, 7, 4]]);
    take(it, sent(5));
  }
  assertEquals(asked.includes("tiny-inflight"), false);
  assertEquals(asks(take(usual, drained).effects), [[5, 7, 4]]);
  assertEquals(asks(take(core, drained).effects), []);
  take(core, { type: "message-received", from: "b", message: accepted({ sequence: 10, matchIndex: 4 }) });
  assertEquals(asks(take(core, drained).effects), [[5, 7, 4]]);
});

test("points: `tiny-inflight` holds no heartbeat back", () => {
  const inFlight = { inFlight: [{ sequence: 9, end: 5, bytes: 10 }], inFlightBytes: 10, nextIndex: 5 };
  const { core } = leader({ ...inFlight, heartbeatDue: true }, "tiny-inflight");
  assertEquals(asks(take(core, drained).effects), [[5, 5, 4]]);
});

test("points: `skip-optimistic-send` lets new entries wait, until the next heartbeat at most", () => {
  const { core, usual } = leader({}, "skip-optimistic-send");
  assertEquals(asks(take(usual, drained).effects), [[4, 7, 4]]);
  for (let now = 0; now < 50; now += 10) assertEquals(asks(take(core, drained, now).effects), []);
  take(core, deadline, 50);
  assertEquals(asks(take(core, drained, 50).effects), [[4, 7, 4]]);
});

test("points: no probe is skipped, and nobody is told less of what is committed", () => {
  const probing = leader({ state: "probe" }, "skip-optimistic-send", "tiny-inflight");
  assertEquals(asks(take(probing.core, drained).effects), [[4, 7, 4]]);
  const behind = leader({ commitSent: 2 }, "skip-optimistic-send");
  assertEquals(asks(take(behind.core, drained).effects), [[4, 4, 4]]);
});

test("points: whoever says no changes nothing", () => {
  for (const b of [{}, { inFlight: [{ sequence: 9, end: 4, bytes: 10 }], inFlightBytes: 10 }, { heartbeatDue: true }]) {
    const { core, usual, asked } = leader(b);
    assertEquals(take(core, drained), take(usual, drained));
    assertEquals(asked.length > 0, true);
  }
});
