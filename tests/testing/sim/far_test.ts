import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { Committed } from "../../../src/testing/sim/committed.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { electorates } from "../../../src/testing/sim/disk/electorates.ts";
import type { Invariant } from "../../../src/testing/sim/invariants.ts";
import { MarkObserver } from "../../../src/testing/sim/marks.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import { encodeRecords } from "../../../src/wire/record.ts";
import { EntryType } from "../../../src/types.ts";
import { configuration } from "../../core/states.ts";
import { test } from "../../harness.ts";
import { committed, countsDisks, hasAllCommitted, learn } from "./commit_scenes.ts";
import { rule, Stage } from "./stage.ts";

/** The last entry of the snapshot that everybody begins with: those that follow it need more than 32 bits. */
const start = 2 ** 32 - 1;

const far = (invariant: Invariant, what: string, play: (stage: Stage, isBad: boolean) => void) =>
  rule(invariant, `beyond 32 bits ${what}`, play, start);

far("C2", "a leader counts disks, its own too", countsDisks);

far("C3", "what is committed is the same for everybody", (stage, isBad) => {
  const [, , c] = committed(stage);
  learn(stage, c, { before: start, content: isBad ? 7 : 0 });
  stage.ghost.entries.clear();
  stage.end(c);
});

far("C3", "all go on from the same", (stage, isBad) => {
  const a = stage.server("a");
  const other = ChainLog.of([{ term: 1, hash: 7, configuration: configuration("a b c") }], start - 1);
  if (isBad) { for (const it of [a, a.disk]) Object.assign(it, { log: other.clone() }); }
  stage.end(a);
});

far("C4", "a new leader has all that was committed before its term", hasAllCommitted);

far("C5", "what is committed stays on the disks of its quorum", (stage, isBad) => {
  const [, b] = committed(stage);
  stage.vote(b, 3, undefined);
  stage.persist(b, () => isBad && stage.truncate(b, start + 1), start + 1);
});

far("A2", "entries are applied once, in their order", (stage, isBad) => {
  const [a] = committed(stage);
  stage.apply(a, start);
  stage.apply(a, isBad ? start : start + 1, 2);
});

far("A3", "the first command finds a machine that has applied nothing", (stage, isBad) => {
  const [a] = committed(stage);
  stage.apply(a, start + 1, 6, 1, 2, isBad ? 4 : 0);
});

far("L1", "logs with the same entry are the same up to it", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.append(a, 1, 2);
  stage.append(b, 1, 1, { content: isBad ? 7 : 0 });
  stage.end(a, b);
});

far("L3", "nothing that others have committed is removed for a later leader", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.reign(a, 3, b);
  stage.end(a);
  stage.append(c, 3);
  stage.step(c, { type: "drained" }, (core) => core.term = isBad ? 4 : 2, [{ type: "truncate", from: start + 1 }]);
});

far("M1", "the configuration in force is the last one in the log", (stage, isBad) => {
  const a = stage.server("a");
  if (isBad) a.core.configurations = [{ index: start + 1, configuration: configuration("a b c") }];
  stage.end(a);
});

far("S1", "what everybody begins with stands for the servers, and has their term", (stage, isBad) => {
  const a = stage.server("a");
  stage.step(a, { type: "snapshot-persisted", index: start, term: isBad ? 2 : 1 });
});

far("S1", "a snapshot ends at an entry that there can be", (stage, isBad) => {
  const a = stage.server("a");
  stage.step(a, { type: "snapshot-persisted", index: isBad ? start - 1 : start, term: 1 });
});

far("S1", "a snapshot from before the first command holds nothing", (stage, isBad) => {
  const [a] = committed(stage);
  stage.recover("a", { ...a.disk, snapshot: start, state: isBad ? 7 : 0 });
});

test("sim: a log that begins beyond 32 bits is one like others", () => {
  const commits = new Committed({ index: start, configuration: configuration("a b c") });
  const log = commits.upTo(start);
  assertEquals([log.first, log.last, log.lastTerm, log.configurations.map(({ index }) => index)], [
    start,
    start,
    1,
    [start],
  ]);
  log.add(2, 5);
  log.append(encodeRecords(start + 2, 3, 0, [{ type: EntryType.barrier, payload: new Uint8Array() }]));
  const terms = [0, 1, start - 1, start, start + 1, start + 2, start + 3].map((index) => log.termAt(index));
  assertEquals(terms, [0, -1, -1, 1, 2, 3, -1]);
  const [filled, added] = [new ChainLog(), new ChainLog()];
  filled.fill(log, start + 3);
  added.appendFrom(log, start + 3);
  const copy = log.clone();
  for (const it of [filled, added, copy]) {
    assertEquals([it.first, it.last, it.agrees(log, start + 2), it.configurations.length], [start, start + 2, true, 1]);
  }
  copy.truncateFrom(start + 1);
  assertEquals([copy.last, log.last, copy.hashAt(start)], [start, start + 2, commits.at(start)!.hash]);
  // Nothing of it, and it begins where logs begin.
  const empty = new ChainLog();
  empty.appendFrom(log, start);
  assertEquals([empty.first, empty.last, commits.upTo(start - 1).last], [1, 0, 0]);
});

test("sim: what is committed is found by its index, wherever the first is", () => {
  for (const at of [0, start]) {
    const servers = configuration("a b c");
    const commits = new Committed(at === 0 ? undefined : { index: at, configuration: servers });
    const first = commits.base + 1;
    if (at === 0) commits.push({ term: 1, hash: 1, committedIn: 1, sets: [], configuration: servers });
    for (const term of [2, 3]) commits.push({ term, hash: term, committedIn: term, sets: [] });
    const terms = [first - 1, first, first + 1, first + 2, first + 3].map((index) => commits.at(index)?.term);
    assertEquals(terms, [undefined, 1, 2, 3, undefined]);
    assertEquals([commits.count, commits.last, commits.upTo(first + 1).last], [3, first + 2, first + 1]);
    assertEquals([...commits].map(([index]) => index), [first, first + 1, first + 2]);
    const configured = [first - 1, first, first + 1, first + 9].map((index) => commits.configuredAt(index));
    assertEquals(configured, [0, first, first, first]);
    assertEquals(electorates({ commits }, []), [["a", "b", "c"]]);
  }
});

test("marks: an index beyond 32 bits is committed", () => {
  const stage = new Stage(start - 1);
  const marks = new MarkObserver(3);
  const a = stage.server("a");
  stage.lead(a, 2, stage.server("b"));
  const seen = [start, start + 1].map((commitIndex) => {
    const before = { role: "leader", term: 2, commitIndex: a.core.commitIndex } as never;
    a.core.commitIndex = commitIndex;
    marks.onStep(stage.ghost, a, { before, event: { type: "drained" }, effects: [], now: 0 });
    return marks.hits["index-beyond-32-bits"];
  });
  assertEquals(seen, [0, 1]);
});

test("sim: one run of eight begins with indexes that 31 or 32 bits don't hold, where there are snapshots", () => {
  const configs = Array.from({ length: 1000 }, (_, seed) => drawConfig(Random.seeded(seed)));
  const begun = configs.filter(({ indexStart }) => indexStart !== undefined);
  assert(begun.length > 80 && begun.length < 170, `${begun.length}`);
  assert(begun.every(({ disk }) => disk.keepsSnapshots));
  assertEquals(
    new Set(begun.map(({ indexStart }) => Math.log2(indexStart!).toFixed(3))),
    new Set(["31.000", "32.000", "53.000"]),
  );
  // Whoever asks for one has snapshots as well.
  const asked = Array.from({ length: 20 }, (_, seed) => drawConfig(Random.seeded(seed), { indexStart: start }));
  assert(asked.every(({ disk, indexStart }) => disk.keepsSnapshots && indexStart === start));
});

for (const store of ["wal", "memory"] as const) {
  test(`sim: a run that begins beyond 32 bits runs the same twice, with a ${store} disk`, async () => {
    const request = { steps: 2000, store, indexStart: start, moving: { voters: 2 } };
    const first = await runSeed(3, request);
    const second = await runSeed(3, request);
    assertEquals([second.hash, second.events, second.violation], [first.hash, first.events, undefined]);
    assert(first.marks["index-beyond-32-bits"]! > 0 && first.marks["snapshot-installed"]! > 0);
    const near = await runSeed(3, { ...request, indexStart: 0 });
    assertNotEquals([near.hash, near.marks["index-beyond-32-bits"]], [first.hash, 0]);
  }, { timeoutMs: 120_000 });
}
