import { assertEquals } from "@std/assert";
import type { Read } from "../src/driver/reads.ts";
import { Reader, type ReaderHost } from "../src/reader.ts";
import { test } from "./harness.ts";

/** A read of nothing older than 100 ms that comes 40 ms after the leader spoke of entry 5, and is answered like this. */
async function answered(atAnswer: { now: number; heardAt?: number; index?: number; appliedIndex?: number }) {
  const known = { index: 5, heardAt: 1000, now: 1040, appliedIndex: 3 };
  const waiting: [Read, number | undefined][] = [];
  const host = {
    calls: { read: (read: Read, from: number | undefined) => waiting.push([read, from]) },
    environment: { now: () => 0 },
    heard: () => ({ ...known }),
    appliedIndex: () => known.appliedIndex,
    throwIfShutdown: () => {},
  };
  const reader = new Reader(host as unknown as ReaderHost);
  let asked = 0;
  const result = reader.read(() => ++asked, { consistency: "stale", maxStalenessMs: 100 });
  const [[read, from]] = waiting as [[Read, number]];
  assertEquals(from, 5);
  Object.assign(known, { appliedIndex: 5 }, atAnswer);
  read.answer(from);
  const outcome = await result.catch((error) => `${error.code} ${error.lastContactMs}`);
  assertEquals(asked, outcome === 1 ? 1 : 0, "who is refused has nothing looked at");
  return outcome;
}

test("Reader looks again how old what it shows is, when that has waited", async () => {
  assertEquals([await answered({ now: 1100 }), await answered({ now: 1101 })], [1, "stale-read 101"]);
});

test("Reader shows what the leader has spoken of since, if all of that is there", async () => {
  const since = { now: 1350, heardAt: 1250, index: 8 };
  assertEquals(await answered({ ...since, appliedIndex: 8 }), 1);
  assertEquals(await answered({ ...since, appliedIndex: 7 }), "stale-read 350");
  assertEquals(await answered({ ...since, now: 1351, appliedIndex: 8 }), "stale-read 101");
});

test("Reader that has heard the leader again shows what is there, as long as the first word of it is not too old", async () => {
  assertEquals(await answered({ now: 1100, heardAt: 1090, index: 8 }), 1);
});

test("Reader of a server that leads no more shows what it knew then", async () => {
  assertEquals([await answered({ now: 1100, heardAt: 200 }), await answered({ now: 1100, heardAt: -Infinity })], [
    1,
    1,
  ]);
});
