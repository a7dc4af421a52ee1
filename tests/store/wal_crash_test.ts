import { assert, assertEquals, assertGreater, assertGreaterOrEqual } from "@std/assert";
import { keepAll, loseAll, MemoryFiles } from "../../src/testing/memory_files.ts";
import { test } from "../harness.ts";
import {
  after,
  choosers,
  type Content,
  contentOf,
  history,
  type Interrupted,
  NOTHING,
  pseudoRandom,
  randomSteps,
  runHistory,
  smallStore,
  take,
} from "./scenario.ts";

const steps = history();

/** Runs the history once for each operation of the disk, halting there. */
async function forEachHalt(check: (files: MemoryFiles, interrupted: Interrupted, at: string) => Promise<void>) {
  for (let halt = 0;; halt++) {
    const files = new MemoryFiles();
    files.haltAfter(halt);
    const interrupted = await runHistory(files, steps);
    // Not "until it is complete": the background may be cut off without anybody noticing, and that must not matter.
    const isOver = files.operationCount <= halt;
    await check(files, interrupted, `halted after ${halt} operations`);
    if (isOver) return;
  }
}

function assertWhole(content: Content, { acknowledged, attempted }: Interrupted, where: string): void {
  const found = JSON.stringify(content);
  const allowed = [acknowledged, attempted].map((content) => JSON.stringify(content));
  assert(allowed.includes(found), `${where}: found ${found}, which is neither of ${allowed.join(" and ")}`);
}

test(
  "walStore crashes at every operation: what was acknowledged is there, what wasn't is whole or absent (BL18)",
  async () => {
    let outcomes = 0;
    await forEachHalt(async (halted, interrupted, at) => {
      for (const [name, choose] of Object.entries(choosers)) {
        const files = halted.clone();
        files.crash(choose());
        const { content, starts } = await contentOf(files);
        assertWhole(content, interrupted, `${at}, ${name} kept`);
        assertGreater(starts, interrupted.starts, `${at}, ${name} kept`);
        outcomes++;
      }
    });
    assertGreater(outcomes, 500);
  },
  { timeoutMs: 120_000 },
);

/** Where two images of a file differ; a part that one of them lacks is zero in it. */
function changedRange(old: Uint8Array, written: Uint8Array): { from: number; end: number } {
  let [from, end] = [0, written.length];
  while (from < end && (old[from] ?? 0) === written[from]) from++;
  while (end > from && (old[end - 1] ?? 0) === written[end - 1]) end--;
  return { from, end };
}

/** Tears what was written to one file at every byte, and gives each outcome; all but the last lack something. */
function* tornImages(old: Uint8Array, written: Uint8Array): Generator<{ image: Uint8Array; at: number; all: boolean }> {
  const { from, end } = changedRange(old, written);
  for (let at = from; from < end && at <= end; at++) {
    const image = new Uint8Array(written.length);
    image.set(old.subarray(0, written.length));
    image.set(written.subarray(0, at));
    yield { image, at, all: at === end };
    // In the middle of what is large a byte is like the next.
    if (at > from + 600 && at < end - 600) at += 61;
  }
}

test("walStore killed with the last write torn at every byte: it is absent until it is whole", async () => {
  let torn = 0;
  const files = new MemoryFiles();
  let [store, acknowledged] = [smallStore(files), NOTHING];
  await store.open("a");
  for (const step of steps) {
    if (typeof step === "string") {
      store = await take(files, store, step);
      continue;
    }
    const before = files.clone();
    await store.write(step);
    const attempted = after(acknowledged, step);
    const isChanged = (name: string) =>
      !before.names().includes(name)
        ? files.image(name).slice(512).some((byte) => byte !== 0)
        : !equals(before, files, name);
    const [name] = files.names().filter((name) => name.endsWith(".wal") && isChanged(name)).slice(-1);
    const tornBefore = torn;
    const old = before.names().includes(name!) ? before.image(name!) : files.image(name!).slice(0, 512);
    for (const { image, at, all } of tornImages(old, files.image(name!))) {
      const killed = files.clone();
      killed.setImage(name!, image);
      const { content } = await contentOf(killed);
      assertEquals(content, all ? attempted : acknowledged, `${JSON.stringify(attempted.vote)}, torn at ${at}`);
      torn++;
    }
    assertGreater(torn, tornBefore, "the write is in no other file");
    acknowledged = attempted;
  }
  await store.close();
  assertGreater(torn, 3_000);
}, { timeoutMs: 120_000 });

test("walStore killed at every operation: what it found when started again survives a power cut", async () => {
  await forEachHalt(async (files, interrupted, at) => {
    files.kill();
    const { content } = await contentOf(files);
    assertWhole(content, interrupted, at);
    files.crash(loseAll);
    assertEquals((await contentOf(files)).content, content, at);
  });
}, { timeoutMs: 120_000 });

test("walStore crashes at every operation of a recovery: the next recovery finds the same", async () => {
  await forEachHalt(async (halted, _interrupted, at) => {
    for (const name of ["none", "even sectors", "all"]) {
      const crashed = halted.clone();
      crashed.crash(choosers[name]());
      const { content, starts } = await contentOf(crashed.clone());
      for (let halt = 0;; halt++) {
        const files = crashed.clone();
        files.haltAfter(halt);
        const isDone = await contentOf(files).then(() => true, () => false);
        files.crash(halt % 2 === 0 ? keepAll : choosers["odd sectors"]());
        const again = await contentOf(files);
        assertEquals(again.content, content, `${at}, ${name} kept, recovery halted after ${halt}`);
        assertGreaterOrEqual(again.starts, isDone ? starts + 1 : starts);
        if (isDone) break;
      }
    }
  });
}, { timeoutMs: 240_000 });

test("walStore crashes, recovers and goes on, again and again: nothing acknowledged is lost", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const files = new MemoryFiles();
    const choose = pseudoRandom(seed);
    let interrupted = await runHistory(files, []);
    for (let round = 0; round < 20; round++) {
      if (choose(3, "power") === 0) files.kill();
      else files.crash(choose);
      const { content } = await contentOf(files, choose(2, "end") === 0 ? "close" : "kill");
      assertWhole(content, interrupted, `seed ${seed}, round ${round}`);
      files.haltAfter(choose(60, "halt"));
      interrupted = await runHistory(files, randomSteps(content, 20, choose), content);
    }
  }
}, { timeoutMs: 120_000 });

function equals(a: MemoryFiles, b: MemoryFiles, name: string): boolean {
  const [one, other] = [a.image(name), b.image(name)];
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
