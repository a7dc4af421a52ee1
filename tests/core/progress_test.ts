import { assertEquals, assertFalse } from "@std/assert";
import {
  acknowledge,
  becomeProbing,
  becomeReplicating,
  hasRoom,
  newProgress,
  type Progress,
} from "../../src/core/progress.ts";
import { test } from "../harness.ts";

const busy: Progress = {
  ...newProgress(5, 0),
  state: "replicate",
  matchIndex: 4,
  nextIndex: 11,
  sequence: 20,
  sending: { sequence: 19, commitIndex: 4, round: 2 },
  inFlight: [{ sequence: 16, end: 7, bytes: 200 }, { sequence: 17, end: 9, bytes: 30 }, {
    sequence: 18,
    end: 11,
    bytes: 1,
  }],
  inFlightBytes: 231,
  commitSent: 4,
  ackedRound: 1,
  heardAt: 8,
};

function changed(change: (progress: Progress) => void): Partial<Progress> {
  const progress = structuredClone(busy);
  change(progress);
  const fields = Object.entries(progress) as [keyof Progress, unknown][];
  return Object.fromEntries(fields.filter(([key, it]) => JSON.stringify(it) !== JSON.stringify(busy[key])));
}

test("newProgress() probes from the next index, owes a heartbeat and counts as heard now", () => {
  assertEquals(newProgress(8, 30), {
    ...{ state: "probe", matchIndex: 0, nextIndex: 8, sequence: 1, stateSequence: 1 },
    ...{ sending: undefined, probe: undefined, inFlight: [], inFlightBytes: 0 },
    ...{ snapshotAsked: false, snapshotIndex: undefined, snapshotUntil: 0 },
    ...{
      blocked: false,
      heartbeatDue: true,
      commitSent: 0,
      askedRound: undefined,
      promisedAt: -Infinity,
      ackedRound: 0,
      heardAt: 30,
      hasAnswered: false,
      hasForgotten: false,
      isDoubted: false,
      admitAfter: 0,
      countsFrom: 0,
      catchUp: undefined,
      leaving: undefined,
    },
  });
});

test("becomeProbing() forgets what is on its way, and never looks at or below what matches", () => {
  const forgotten = { sending: undefined, inFlight: [], inFlightBytes: 0, stateSequence: 20 };
  assertEquals(changed((it) => becomeProbing(it, 6)), { state: "probe", nextIndex: 6, ...forgotten });
  for (const nextIndex of [-3, 4, 5]) {
    assertEquals(changed((it) => becomeProbing(it, nextIndex)), { state: "probe", nextIndex: 5, ...forgotten });
  }
});

test("becomeReplicating() begins with an empty window", () => {
  const expected = { nextIndex: 8, sending: undefined, inFlight: [], inFlightBytes: 0, stateSequence: 20 };
  assertEquals(changed((it) => becomeReplicating(it, 8)), expected);
});

test("acknowledge() frees what ends at the match index, nothing that ends one later", () => {
  const rest = busy.inFlight.slice(1);
  assertEquals(changed((it) => acknowledge(it, 5)), { matchIndex: 5 });
  assertEquals(changed((it) => acknowledge(it, 6)), { matchIndex: 6, inFlight: rest, inFlightBytes: 31 });
  assertEquals(changed((it) => acknowledge(it, 7)), { matchIndex: 7, inFlight: rest, inFlightBytes: 31 });
  assertEquals(changed((it) => acknowledge(it, 10)), { matchIndex: 10, inFlight: [], inFlightBytes: 0 });
});

test("acknowledge() moves the next index beyond what matches, never back", () => {
  const free = { inFlight: [], inFlightBytes: 0 };
  assertEquals(changed((it) => acknowledge(it, 11)), { matchIndex: 11, nextIndex: 12, ...free });
  assertEquals(changed((it) => acknowledge(it, 10)), { matchIndex: 10, ...free });
});

test("acknowledge() of what is known already, or less, changes nothing (BL09)", () => {
  for (const matchIndex of [0, 3, 4]) {
    const progress = structuredClone(busy);
    assertFalse(acknowledge(progress, matchIndex));
    assertEquals(progress, busy);
  }
});

test("hasRoom() wants one append less than the limit, and one byte less", () => {
  assertEquals([4, 3, 2].map((most) => hasRoom(busy, most, 1000)), [true, false, false]);
  assertEquals([232, 231, 230].map((most) => hasRoom(busy, 9, most)), [true, false, false]);
});
