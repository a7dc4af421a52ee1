import { assertEquals } from "@std/assert";
import type { Heard } from "../src/driver/leader_contact.ts";
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

/** Why a read of nothing older than 100 ms is refused by who knows this. */
function refusal(known: Omit<Heard, "index">): Promise<string> {
  const host = { heard: () => ({ index: 5, ...known }), appliedIndex: () => 5, throwIfShutdown: () => {} };
  const reader = new Reader({ ...host, calls: {}, environment: {} } as unknown as ReaderHost);
  return reader.read(() => 1, { consistency: "stale", maxStalenessMs: 100 }).then(String, ({ message }) => message);
}

test("Reader says what a server that refuses has heard, and whether it has led since", async () => {
  const because = (why: string) => `Cannot read as ${why}: at most 100 ms are allowed`;
  const never = { heardAt: -Infinity, now: 1000 };
  const once = { heardAt: 899, now: 1000 };
  assertEquals(await refusal({ ...never, hasLed: false }), because("no leader was ever heard"));
  assertEquals(await refusal({ ...once, hasLed: false }), because("what this server has is 101 ms old"));
  const ledAnd = (what: string) => because(`this server leads no more, and no other leader was ${what}`);
  assertEquals(await refusal({ ...never, hasLed: true }), ledAnd("ever heard"));
  assertEquals(await refusal({ ...once, hasLed: true }), ledAnd("heard for 101 ms"));
});
