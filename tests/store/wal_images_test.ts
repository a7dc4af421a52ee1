/**
 * Every image that a crash can leave of a short history, not a sample of them.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import { forEachChoice } from "./choices.ts";
import { exploreCrashImages } from "./crash_images.ts";
import { contentOf, runHistory, type Step } from "./scenario.ts";

/** A start, writes of up to three sectors with a truncation among them, a full segment, and another start. */
const steps: readonly Step[] = [
  { records: [commandsOf(1, 1, "one", "two")], vote: { term: 1, votedFor: "a" }, clusterId: "cluster" },
  { records: [commandsOf(3, 1, "x".repeat(900))] },
  { truncateFrom: 3, records: [commandsOf(3, 2, "THREE")], vote: { term: 2, votedFor: "b" } },
  { records: [commandsOf(4, 2, "y".repeat(1_000))] },
  { records: [commandsOf(5, 2, "five")] },
  "reopen",
  { records: [commandsOf(6, 3, "six")], vote: { term: 3, votedFor: undefined } },
];

/** Of more than so many images of one halt the rest is left out, and said to be. */
const imagesMax = 400;

test("walStore: every image that a crash can leave is recovered, to what was acknowledged or attempted", async () => {
  let [images, halts, complete] = [0, 0, 0];
  for (let halt = 0;; halt++) {
    const files = new MemoryFiles();
    files.haltAfter(halt);
    const { acknowledged, attempted } = await runHistory(files, steps);
    const allowed = [acknowledged, attempted].map((content) => JSON.stringify(content));
    const isAll = await forEachChoice(async (choose) => {
      const image = files.clone();
      image.crash(choose);
      const { content } = await contentOf(image);
      const found = JSON.stringify(content);
      assert(
        allowed.includes(found),
        `halted after ${halt}: found ${found}, which is neither of ${allowed.join(" and ")}`,
      );
      // What was found is there to stay (D3).
      image.crash(() => 0);
      assertEquals(JSON.stringify((await contentOf(image)).content), found, `halted after ${halt}`);
      images++;
    }, imagesMax);
    halts++;
    if (isAll) complete++;
    if (files.operationCount <= halt) break;
  }
  assertGreater(images, 2_000);
  // Where a whole segment of zeros is not synced yet there are more images than atoms.
  assertGreater(complete / halts, 0.7);
}, { runtimes: ["deno"], timeoutMs: 120_000 });

test("walStore: images of longer histories, with compactions and repairs, are recovered too", async () => {
  const { images, halts } = await exploreCrashImages(4_000);
  assertGreater(images, 3_999);
  assertGreater(halts, 20);
}, { timeoutMs: 120_000 });
