import { assertEquals, assertStrictEquals } from "@std/assert";
import type { Event } from "../../src/core/event.ts";
import { Writer } from "../../src/driver/writer.ts";
import { StorageFullError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import { drain, VirtualEnvironment } from "../virtual_environment.ts";
import { entries, ManualStore } from "./stores.ts";

type Persisted = Extract<Event, { type: "vote-persisted" | "entries-persisted" | "entries-repaired" }>;

async function setUp(slowWrites = true) {
  const store = new ManualStore();
  await store.open("a");
  store.slowWrites = slowWrites;
  const environment = new VirtualEnvironment();
  const persisted: Persisted[] = [];
  const failures: unknown[] = [];
  const fulls: boolean[] = [];
  const writer = new Writer(store, environment, {
    onPersisted: (event) => persisted.push(event),
    onFull: (isFull) => fulls.push(isFull),
    onFailure: (error) => failures.push(error),
  });
  return { store, environment, writer, persisted, failures, fulls };
}

const spans = (write: { readonly records: readonly { from: number; end: number }[] }) =>
  write.records.map(({ from, end }) => [from, end]);

test("Writer.flush() writes nothing when nothing was asked for", async () => {
  const { store, writer } = await setUp();
  writer.flush();
  assertEquals(store.writes.length, 0);
});

test("Writer.flush() keeps one write in flight and puts all that came meanwhile into the next", async () => {
  const { store, writer, persisted } = await setUp();
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  for (const index of [2, 3, 4]) {
    writer.append(entries(index, 1, index), 0);
    writer.flush();
  }
  assertEquals(store.writes.map(spans), [[[1, 2]]]);
  assertEquals(persisted, []);
  store.writing[0]!.resolve();
  await drain();
  assertEquals(persisted, [{ type: "entries-persisted", end: 2, epoch: 0 }]);
  assertEquals(store.writes.map(spans), [[[1, 2]], [[2, 3], [3, 4], [4, 5]]]);
  store.writing[1]!.resolve();
  await drain();
  assertEquals(persisted[1], { type: "entries-persisted", end: 5, epoch: 0 });
  await writer.close();
});

test("Writer.flush() is done at once with a store that is", async () => {
  const { writer, persisted, environment } = await setUp(false);
  writer.append(entries(1, 1, 1), 7);
  writer.flush();
  assertEquals(persisted, [{ type: "entries-persisted", end: 2, epoch: 7 }]);
  await writer.close();
  assertEquals(environment.timerCount, 0);
});

test("Writer.vote() goes into the same write as entries, and the vote is told first", async () => {
  const { store, writer, persisted } = await setUp(false);
  writer.append(entries(1, 2, 1), 0);
  writer.vote({ term: 2, votedFor: "a" }, 5);
  writer.adoptCluster("c");
  writer.flush();
  assertEquals(store.writes.length, 1);
  assertEquals(store.writes[0]!.vote, { term: 2, votedFor: "a" });
  assertEquals(store.writes[0]!.clusterId, "c");
  assertEquals(persisted, [
    { type: "vote-persisted", sequence: 5 },
    { type: "entries-persisted", end: 2, epoch: 0 },
  ]);
  await writer.close();
});

test("Writer.vote() twice before a write leaves the last one, with its sequence", async () => {
  const { store, writer, persisted } = await setUp(false);
  writer.vote({ term: 2, votedFor: undefined }, 1);
  writer.vote({ term: 2, votedFor: "b" }, 2);
  writer.flush();
  assertEquals(store.writes.map(({ vote }) => vote), [{ term: 2, votedFor: "b" }]);
  assertEquals(persisted, [{ type: "vote-persisted", sequence: 2 }]);
  await writer.close();
});

test("Writer.truncate() cuts what is not written yet without asking the store to", async () => {
  const { store, writer, persisted } = await setUp(false);
  writer.append(entries(1, 1, 1, 2, 3), 0);
  writer.append(entries(4, 1, 4, 5), 0);
  writer.truncate(3);
  writer.append(entries(3, 2, 9), 1);
  writer.flush();
  assertEquals(spans(store.writes[0]!), [[1, 3], [3, 4]]);
  assertStrictEquals(store.writes[0]!.truncateFrom, undefined);
  assertEquals(persisted, [{ type: "entries-persisted", end: 4, epoch: 1 }]);
  await writer.close();
});

test("Writer.truncate() within an unwritten batch that follows durable entries leaves those alone", async () => {
  const { store, writer } = await setUp(false);
  writer.append(entries(1, 1, 1, 2), 0);
  writer.flush();
  writer.append(entries(3, 1, 3, 4, 5), 0);
  writer.truncate(5);
  writer.append(entries(5, 2, 9), 1);
  writer.flush();
  const read = await store.inner.read(1, 9, 1e6);
  assertEquals(read.flatMap((run) => Array.from({ length: run.count }, (_, i) => run.term(run.from + i))), [
    1,
    1,
    1,
    1,
    2,
  ]);
  await writer.close();
});

test("Writer.truncate() at the first unwritten entry and below it: the store is asked only below", async () => {
  const { store, writer } = await setUp(false);
  writer.append(entries(1, 1, 1, 2), 0);
  writer.flush();
  writer.append(entries(3, 1, 3), 0);
  writer.truncate(3);
  writer.append(entries(3, 2, 9), 1);
  writer.truncate(2);
  writer.append(entries(2, 3, 8), 2);
  writer.flush();
  assertEquals(spans(store.writes[1]!), [[2, 3]]);
  assertEquals(store.writes[1]!.truncateFrom, 2);
  await writer.close();
});

test("Writer.truncate() of entries in a write under way goes into the next write", async () => {
  const { store, writer, persisted } = await setUp();
  writer.append(entries(1, 1, 1, 2, 3), 0);
  writer.flush();
  writer.truncate(2);
  writer.append(entries(2, 2, 9), 1);
  writer.flush();
  store.writing[0]!.resolve();
  await drain();
  store.writing[1]!.resolve();
  await drain();
  assertEquals(store.writes[1]!.truncateFrom, 2);
  assertEquals(persisted, [
    // Of the epoch before the truncation: the core does not credit it (BL06).
    { type: "entries-persisted", end: 4, epoch: 0 },
    { type: "entries-persisted", end: 3, epoch: 1 },
  ]);
  await writer.close();
});

test("Writer credits nothing after a failed write and reports it once (D1, BL17)", async () => {
  const { store, writer, persisted, failures } = await setUp();
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  writer.append(entries(2, 1, 2), 0);
  const error = new Error("no space");
  store.writing[0]!.reject(error);
  await drain();
  writer.flush();
  await drain();
  assertEquals(failures, [error]);
  assertEquals(persisted, []);
  assertEquals(store.writes.length, 1);
  await writer.close();
});

test("Writer reports a store that throws instead of rejecting", async () => {
  const { store, writer, failures } = await setUp(false);
  const error = new Error("bad descriptor");
  store.write = () => {
    throw error;
  };
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  writer.flush();
  assertEquals(failures, [error]);
  await writer.close();
});

test("Writer.close() waits for the write under way and begins no other", async () => {
  const { store, writer, environment } = await setUp();
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  writer.append(entries(2, 1, 2), 0);
  let isClosed = false;
  const closed = writer.close().then(() => isClosed = true);
  await drain();
  assertEquals(isClosed, false);
  store.writing[0]!.resolve();
  await closed;
  assertEquals(store.writes.length, 1);
  assertEquals(environment.timerCount, 0);
});

test("Writer.close() does not wait for a write that failed", async () => {
  const { store, writer } = await setUp();
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  store.writing[0]!.reject(new Error("EIO"));
  await writer.close();
});

test("Writer notes once that all is durable when it was quiet for 100 ms", async () => {
  const { store, writer, environment } = await setUp(false);
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  await environment.advance(60);
  writer.append(entries(2, 1, 2), 0);
  writer.flush();
  await environment.advance(99);
  assertEquals(store.marks, 0);
  await environment.advance(1);
  assertEquals(store.marks, 1);
  await environment.advance(1_000);
  assertEquals(store.marks, 1);
  assertEquals(environment.timerCount, 0);
  await writer.close();
});

test("Writer notes nothing while a write is under way, and does not poll for its end", async () => {
  const { store, writer, environment } = await setUp(false);
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  store.slowWrites = true;
  writer.append(entries(2, 1, 2), 0);
  writer.flush();
  let timers = 0;
  const { setTimeout } = environment;
  environment.setTimeout = (callback, ms) => (timers++, setTimeout.call(environment, callback, ms));
  await environment.advance(10_000);
  assertEquals(store.marks, 0);
  assertEquals(timers <= 101, true, `${timers} timers in 10 s`);
  store.writing[0]!.resolve();
  await environment.advance(200);
  assertEquals(store.marks, 1);
  await writer.close();
});

test("Writer reports a mark that fails, rejecting or throwing", async () => {
  for (const throws of [false, true]) {
    const { store, writer, environment, failures } = await setUp(false);
    const error = new Error("EIO");
    store.markError = error;
    if (throws) {
      store.mark = () => {
        throw error;
      };
    }
    writer.append(entries(1, 1, 1), 0);
    writer.flush();
    await environment.advance(100);
    assertEquals(failures, [error]);
    await writer.close();
  }
});

test("Writer.compact() goes with the next write, and never writes what it removes", async () => {
  const { store, writer } = await setUp();
  for (const index of [1, 2, 3]) writer.append(entries(index, 1, index), 0);
  writer.append(entries(4, 1, 4, 5), 0);
  writer.compact({ firstIndex: 5, prevTerm: 1 });
  writer.flush();
  assertEquals(store.writes[0]!.compactTo, { firstIndex: 5, prevTerm: 1 });
  assertEquals(spans(store.writes[0]!), [[5, 6]]);
});

test("Writer.compact() alone is a write", async () => {
  const { store, writer } = await setUp(false);
  writer.append(entries(1, 1, 1, 2), 0);
  writer.flush();
  writer.compact({ firstIndex: 3, prevTerm: 1 });
  writer.flush();
  assertEquals(store.writes[1]!.records.length, 0);
  await store.close();
  const { firstIndex, lastIndex, prevTerm } = await store.open("a");
  assertEquals({ firstIndex, lastIndex, prevTerm }, { firstIndex: 3, lastIndex: 2, prevTerm: 1 });
});

test("Writer.install() removes what conflicts, written or not, in one write with the log's new beginning", async () => {
  const { store, writer, persisted } = await setUp(false);
  writer.append(entries(1, 1, 1, 2, 3), 0);
  writer.flush();
  writer.append(entries(4, 1, 4), 0);
  writer.install({ firstIndex: 10, prevTerm: 2 }, 3, 1);
  writer.append(entries(10, 2, 10), 1);
  writer.flush();
  const [, { truncateFrom, compactTo, records }] = store.writes as [unknown, (typeof store.writes)[number]];
  assertEquals([truncateFrom, compactTo, records[0]!.from], [3, { firstIndex: 10, prevTerm: 2 }, 10]);
  assertEquals(persisted.at(-1), { type: "entries-persisted", end: 11, epoch: 1 });
});

test("Writer.install() says when the log's new beginning is durable, and no earlier", async () => {
  const { store, writer, persisted } = await setUp();
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  writer.install({ firstIndex: 10, prevTerm: 2 }, undefined, 1);
  writer.flush();
  assertEquals(persisted, []);
  store.writing[0]!.resolve();
  await drain();
  assertEquals(persisted, [{ type: "entries-persisted", end: 2, epoch: 0 }]);
  store.writing[1]!.resolve();
  await drain();
  assertEquals(persisted[1], { type: "entries-persisted", end: 10, epoch: 1 });
});

test("Writer that finds no room keeps what was to be written, lets votes pass it, and writes it when there is room", async () => {
  const { store, environment, writer, persisted, failures, fulls } = await setUp(false);
  store.writeError = new StorageFullError("disk");
  writer.append(entries(1, 1, 1), 0);
  writer.vote({ term: 1, votedFor: "a" }, 1);
  writer.flush();
  await environment.advance(100);
  assertEquals([fulls, persisted, failures], [[true], [], []]);
  // The vote was tried by itself, once.
  assertEquals(store.writes.map(({ records, vote }) => [records.length, vote?.term]), [[1, 1], [0, 1]]);
  writer.append(entries(2, 1, 2), 0);
  writer.vote({ term: 2, votedFor: "b" }, 2);
  store.writeError = undefined;
  writer.flush();
  await environment.advance(100);
  assertEquals(persisted, [{ type: "vote-persisted", sequence: 2 }]);
  assertEquals(fulls, [true]);
  await environment.advance(2_000);
  assertEquals(persisted.slice(1), [
    { type: "entries-persisted", end: 2, epoch: 0 },
    { type: "entries-persisted", end: 3, epoch: 0 },
  ]);
  // No vote from before comes after the later one.
  assertEquals(store.writes.slice(2).map(({ records, vote }) => [records.length, vote?.term]), [
    [0, 2],
    [1, undefined],
    [1, undefined],
  ]);
  assertEquals([fulls, failures], [[true, false], []]);
  await writer.close();
  await environment.advance(1_000);
  assertEquals(environment.timerCount, 0);
});

/** What came while entry 1 was written: three appends, the last of them of two entries. */
async function setUpThree(isSmall: boolean) {
  const scene = await setUp();
  const { environment, store, writer } = scene;
  environment.buggify = (point) => point === "small-write" && isSmall;
  writer.append(entries(1, 1, 1), 0);
  writer.flush();
  for (const index of [2, 3]) writer.append(entries(index, 1, index), 0);
  writer.append(entries(4, 1, 4, 5), 1);
  const next = async () => {
    store.writing.at(-1)!.resolve();
    await drain();
  };
  return { ...scene, next };
}

test("Writer.flush() writes the first entries by themselves at `small-write`, and tells of no more", async () => {
  const { store, writer, persisted, next } = await setUpThree(true);
  for (let i = 0; i < 4; i++) await next();
  assertEquals(store.writes.map(spans), [[[1, 2]], [[2, 3]], [[3, 4]], [[4, 6]]]);
  // All are of the log as it is since the last append.
  const told = persisted.map((event) => event.type === "entries-persisted" ? [event.end, event.epoch] : event);
  assertEquals(told, [[2, 0], [3, 1], [4, 1], [6, 1]]);
  await writer.close();
});

test("Writer.flush() writes all that came together where nothing else is asked for", async () => {
  const { store, writer, persisted, next } = await setUpThree(false);
  for (let i = 0; i < 2; i++) await next();
  assertEquals(store.writes.map(spans), [[[1, 2]], [[2, 3], [3, 4], [4, 6]]]);
  assertEquals(persisted.at(-1), { type: "entries-persisted", end: 6, epoch: 1 });
  await writer.close();
});

test("Writer: what `small-write` has put off can be cut, and compacted", async () => {
  const cut = await setUpThree(true);
  await cut.next();
  assertEquals(cut.store.writes.map(spans), [[[1, 2]], [[2, 3]]]);
  cut.writer.truncate(4);
  cut.writer.append(entries(4, 2, 9), 2);
  for (let i = 0; i < 3; i++) await cut.next();
  assertEquals(cut.store.writes.map(spans).slice(2), [[[3, 4]], [[4, 5]]]);
  assertEquals(cut.store.writes.map(({ truncateFrom }) => truncateFrom).slice(2), [undefined, undefined]);
  assertEquals(cut.persisted.at(-1), { type: "entries-persisted", end: 5, epoch: 2 });
  await cut.writer.close();
  const compacted = await setUpThree(true);
  await compacted.next();
  compacted.writer.compact({ firstIndex: 5, prevTerm: 1 });
  for (let i = 0; i < 2; i++) await compacted.next();
  assertEquals(compacted.store.writes.map(spans).slice(2), [[[5, 6]]]);
  await compacted.writer.close();
});

test("Writer: with a vote goes all that was asked for before it, whatever `small-write` would have", async () => {
  const { store, writer, persisted, next } = await setUpThree(true);
  writer.vote({ term: 2, votedFor: "a" }, 5);
  for (let i = 0; i < 2; i++) await next();
  assertEquals(store.writes.map(spans), [[[1, 2]], [[2, 3], [3, 4], [4, 6]]]);
  assertEquals(persisted.slice(1), [
    { type: "vote-persisted", sequence: 5 },
    { type: "entries-persisted", end: 6, epoch: 1 },
  ]);
  await writer.close();
});
