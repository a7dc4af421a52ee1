import { assertEquals, assertNotEquals } from "@std/assert";
import { StateHashes } from "../../src/driver/state_hashes.ts";
import { test } from "../harness.ts";

/** Servers whose hashes reach one another when a test says so. */
function setUp() {
  const told: string[] = [];
  const sent: { index: number; hash: number }[] = [];
  const hashes = new StateHashes({
    broadcast: (hash) => void sent.push(hash),
    emit: (event) =>
      void told.push(
        event.type === "state-diverged"
          ? `${event.peer} differs at ${event.index}, agreed at ${event.agreedIndex}`
          : `${event.peer} agrees at ${event.index}`,
      ),
  });
  /** What the machine of a peer would say. */
  const peer = (id: string, index: number, value: number | string) => hashes.onPeer(id, index, hashOf(value));
  return { hashes, told, sent, peer };
}

/** As any server says it. */
function hashOf(value: number | string): number {
  let hash = 0;
  new StateHashes({ broadcast: (said) => hash = said.hash, emit: () => {} }).onOwn(1, value);
  return hash;
}

test("StateHashes say what the machine holds, as safe integers that are hardly ever equal", () => {
  const { hashes, sent } = setUp();
  const values = [0, 1, 2 ** 60, "", "0", "x".repeat(1000), "y".repeat(1000)];
  for (const [i, value] of values.entries()) hashes.onOwn(10 * i, value);
  assertEquals(sent.map(({ index }) => index), values.map((_, i) => 10 * i));
  assertEquals(sent.every(({ hash }) => Number.isSafeInteger(hash) && hash >= 0), true);
  assertEquals(new Set(sent.map(({ hash }) => hash)).size, values.length);
  assertNotEquals(hashOf(1), hashOf("1"));
  assertEquals(hashOf("a"), hashOf("a"));
});

test("StateHashes tell the first entry at which two differ, once, whoever is there first", () => {
  for (const isPeerFirst of [true, false]) {
    const { hashes, told, peer } = setUp();
    for (const [index, own, theirs] of [[10, "a", "a"], [20, "b", "b"], [30, "c", "x"], [40, "d", "y"]] as const) {
      if (isPeerFirst) peer("b", index, theirs);
      hashes.onOwn(index, own);
      if (!isPeerFirst) peer("b", index, theirs);
    }
    assertEquals(told, ["b differs at 30, agreed at 20"]);
  }
});

test("StateHashes tell when they agree again, and when not any more", () => {
  const { hashes, told, peer } = setUp();
  for (const [index, theirs] of [[10, "x"], [20, "same"], [30, "same"], [40, "x"]] as const) {
    hashes.onOwn(index, "same");
    peer("b", index, theirs);
  }
  assertEquals(told, ["b differs at 10, agreed at 0", "b agrees at 20", "b differs at 40, agreed at 30"]);
});

test("StateHashes of earlier entries that come late change nothing but the first one that differs", () => {
  const { hashes, told, peer } = setUp();
  for (const index of [10, 20, 30, 40]) hashes.onOwn(index, "same");
  peer("b", 10, "same");
  peer("b", 40, "x");
  peer("b", 30, "x");
  peer("b", 20, "same");
  peer("b", 10, "x");
  assertEquals(told, ["b differs at 40, agreed at 10", "b differs at 30, agreed at 10"]);
});

test("StateHashes know peers apart, and keep no more than so many entries and peers", () => {
  const { hashes, told, peer } = setUp();
  for (let i = 1; i <= 65; i++) hashes.onOwn(i, "same");
  peer("b", 1, "x");
  assertEquals(told, [], "too long ago");
  peer("b", 2, "x");
  peer("c", 2, "same");
  assertEquals(told, ["b differs at 2, agreed at 0"]);
  for (let i = 0; i < 64; i++) peer(`p${i}`, 100, "x");
  peer("b", 3, "x");
  assertEquals(told.length, 2, "forgotten, and so told anew");
});
