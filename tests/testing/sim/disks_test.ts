import { assertEquals } from "@std/assert";
import type { FileOperation } from "../../../src/testing/memory_files.ts";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { disks } from "../../../src/testing/sim/check/disks.ts";
import { elections } from "../../../src/testing/sim/check/elections.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import type { DiskView } from "../../../src/testing/sim/view.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";
import { instantMemory } from "./instant_disk.ts";
import { rule } from "./stage.ts";

function disk(term: number, votedFor: string | undefined, ...contents: number[]): DiskView {
  const log = new ChainLog();
  for (const content of contents) log.add(1, content);
  return { term, votedFor, log, snapshot: 0 };
}

/** The invariant that a checker finds broken. */
function broken(look: (ghost: Ghost) => void): string | undefined {
  const ghost = new Ghost();
  look(ghost);
  return ghost.violation?.invariant;
}

const before = disk(3, "b", 1, 2);
const after = disk(3, "b", 1, 2, 3);

test("D4: a crash leaves what was durable, with the write that was under way or without it", () => {
  const leaves = (found: DiskView) =>
    broken((ghost) =>
      disks.onRecovered!(ghost, "a", { possible: [before, after], found, isDurable: true, isDamaged: false })
    );
  assertEquals(leaves(disk(3, "b", 1, 2)), undefined);
  assertEquals(leaves(disk(3, "b", 1, 2, 3)), undefined);
  assertEquals(leaves(disk(3, "b", 1)), "D4", "an entry is lost");
  assertEquals(leaves(disk(3, "b", 1, 9)), "D4", "an entry is another one");
  assertEquals(leaves(disk(3, "b", 1, 2, 3, 4)), "D4", "an entry that nobody wrote");
  assertEquals(leaves(disk(2, "b", 1, 2)), "D4", "an earlier term");
  assertEquals(leaves(disk(3, undefined, 1, 2)), "D4", "a vote is lost");
});

test("D4: a crash leaves the newest snapshot, or a newer one; D2: one that was damaged is none", () => {
  const leaves = (snapshot: number, isDamaged = false) =>
    broken((ghost) => {
      const possible = [{ ...before, snapshot: 2 }];
      disks.onRecovered!(ghost, "a", { possible, found: { ...before, snapshot }, isDurable: true, isDamaged });
    });
  assertEquals([leaves(2), leaves(3), leaves(1), leaves(1, true)], [undefined, undefined, "D4", undefined]);
});

rule("D2", "who can't read all of its log does not lead", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  for (const { core } of isBad ? [a, b] : [b]) core.damaged = [{ from: 1, end: 2, isTermKnown: true }];
  stage.step(a);
  stage.step(b);
});

rule("D2", "who has lost an entry does not lead, though it believes to have it", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  for (const { disk } of isBad ? [a, b] : [b]) Object.assign(disk, { damaged: new Set([1]) });
  stage.reign(a, 2, b);
});

test("D4: what nothing has happened to is found, what is damaged need not be", () => {
  const finds = (...damaged: number[]) => findsWith({}, ...damaged);
  const findsWith = (more: Partial<DiskView>, ...damaged: number[]) =>
    broken((ghost) => {
      ghost.disks.set("a", { ...before, ...more, damaged: new Set([2]), repairs: new Set([3, 6]) });
      const found = { ...before, ...more, damaged: new Set(damaged) };
      disks.onRecovered!(ghost, "a", { possible: [before], found, isDurable: true, isDamaged: true });
    });
  assertEquals([finds(), finds(2), finds(2, 3)], [undefined, undefined, undefined]);
  assertEquals([finds(1, 2), finds(2, 3, 4), finds(2, 6)], ["D4", "D4", "D4"]);
  // It was repaired with what is before it damaged, which a compaction has taken away: the snapshot has it, too.
  assertEquals([finds(3), findsWith({ snapshot: 2 }, 3), findsWith({ snapshot: 1 }, 3)], ["D4", undefined, "D4"]);
});

test("D2: a damaged disk that can be read holds all that it held", () => {
  const finds = (found: DiskView) =>
    broken((ghost) => disks.onRecovered!(ghost, "a", { possible: [before], found, isDurable: true, isDamaged: true }));
  assertEquals(finds(disk(3, "b", 1, 2)), undefined);
  assertEquals(finds(disk(3, "b", 1)), "D2", "it shortened its log");
  assertEquals(finds(disk(3, "b", 1, 9)), "D2", "it took what was damaged for an entry");
});

test("D3, D4: recovery finds what was made durable, however often it is asked", () => {
  const finds = (found: DiskView | Error) => broken((ghost) => disks.onExamined!(ghost, "a", before, found));
  assertEquals(finds(disk(3, "b", 1, 2)), undefined);
  assertEquals(finds(after), "D4", "what was not durable yet");
  assertEquals(finds(disk(3, "b", 1)), "D4", "less");
  assertEquals(finds(disk(3, "c", 1, 2)), "D4", "another vote");
  assertEquals(finds({ ...before, snapshot: 2 }), "D4", "another snapshot");
  assertEquals(finds(new Error("it is damaged")), "D4", "nothing");
});

test("E5: a term that was in a cache only may be gone, one that was on the disk may not", () => {
  const restarts = (isDurable: boolean) =>
    broken((ghost) => {
      const recovered = (term: number, isDurable: boolean) =>
        elections.onRecovered!(ghost, "a", { possible: [], found: disk(term, undefined), isDurable, isDamaged: false });
      recovered(2, true);
      recovered(3, isDurable);
      recovered(2, true);
    });
  assertEquals(restarts(false), undefined);
  assertEquals(restarts(true), "E5");
});

const operation = (kind: FileOperation["kind"], name: string): FileOperation => ({ kind, name, bytes: 0 });
const segment = "0000000000000001.wal";

test("D1: what has failed is not tried again", () => {
  assertEquals(broken((ghost) => disks.onRetried!(ghost, "a", operation("sync", segment))), "D1");
});

test("D4: a store in memory is looked up entry by entry, where its log begins by now", async () => {
  const ghost = new Ghost();
  let count = 0;
  const disk = instantMemory((said, found) => {
    count++;
    disks.onExamined!(ghost, "a", said, found);
  });
  const examine = async () => {
    disk.examine();
    for (let i = 0; i < 10; i++) await Promise.resolve();
    return [count, ghost.violation?.invariant];
  };
  assertEquals(await examine(), [0, undefined], "nobody has it open");
  const store = await disk.factory().open({});
  await store.open("a");
  assertEquals(await examine(), [1, undefined], "it is empty");
  await store.write({ records: [commandsOf(1, 1, "x"), commandsOf(2, 1, "y")] });
  assertEquals(await examine(), [2, undefined]);
  await store.write({ records: [commandsOf(2, 2, "z")], truncateFrom: 2 });
  assertEquals(await examine(), [3, undefined]);
  // An entry that nobody has given it.
  disk.view.log.add(2, 9);
  assertEquals(await examine(), [4, "D4"]);
});
