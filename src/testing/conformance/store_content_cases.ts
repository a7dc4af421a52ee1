/**
 * What every store must keep, whatever is written.
 *
 * @module
 */
import { EntryType } from "../../types.ts";
import { encodeRecords, RecordFlag } from "../../wire/record.ts";
import { check, equal, rejection, rejects } from "../case_checks.ts";
import { InvariantError, StorageError } from "../../errors.ts";
import { commandsOf, type StoreCase } from "../store_cases.ts";
import { StoreModel } from "./store_model.ts";
import { checkKept, configurations, manyCommands, missing, opened, SERVER_ID, sizedCommands } from "./store_support.ts";

const openCases: readonly StoreCase[] = [
  {
    name: "open() refuses to be called twice, and goes on",
    async run(harness) {
      const { store } = await opened(harness);
      await rejects(() => store.open(SERVER_ID), StorageError, "open()");
      await store.write({ records: [commandsOf(1, 1, "a")] });
      await store.close();
    },
  },
  {
    name: "open() counts every start and changes nothing else",
    async run(harness) {
      const model = await checkKept(harness, [{ records: [commandsOf(1, 1, "a")], vote: { term: 1, votedFor: "a" } }]);
      const first = await opened(harness);
      await first.store.close();
      for (let i = 1; i <= 5; i++) {
        const { store, state } = await opened(harness);
        const { starts, incarnation } = first.state.identity;
        equal([state.identity.starts, state.identity.incarnation], [starts + i, incarnation]);
        await model.checkAll(store, state, `after ${i} starts`);
        await store.close();
      }
    },
  },
  {
    name: "open() gives each term once, however its entries were written",
    async run(harness) {
      await checkKept(harness, [
        { records: [commandsOf(1, 1, "a"), commandsOf(2, 1, "b", "c")] },
        { records: [commandsOf(4, 1, "d"), commandsOf(5, 2, "e"), commandsOf(6, 5, "f"), commandsOf(7, 5, "g")] },
        { records: [commandsOf(8, 5, "h"), commandsOf(9, 1_000_000_007, "i")] },
      ]);
    },
  },
  {
    name: "open() gives hundreds of terms",
    async run(harness) {
      const writes = Array.from({ length: 30 }, (_, i) => ({
        records: Array.from({ length: 10 }, (_, k) => commandsOf(10 * i + k + 1, 10 * i + k + 1, `${k}`)),
      }));
      await checkKept(harness, writes);
    },
  },
  {
    name: "open() gives the configurations that truncation left, in order",
    async run(harness) {
      await checkKept(harness, [
        { records: [configurations(1, 1, ["a"], ["a", "b"]), commandsOf(3, 1, "x")] },
        { records: [configurations(4, 2, ["a", "b", "c"]), configurations(5, 2, ["a"])] },
        { truncateFrom: 5, records: [commandsOf(5, 3, "y"), configurations(6, 3, ["b", "c"])] },
      ]);
    },
  },
  {
    name: "open() gives the time of the last entry that is left",
    async run(harness) {
      await checkKept(harness, [
        { records: [commandsOf(1, 1, "a"), commandsOf(2, 5, "b"), commandsOf(3, 9, "c")] },
        { truncateFrom: 3, records: [] },
      ]);
    },
  },
];

const identityCases: readonly StoreCase[] = [
  {
    name: "write() of a cluster id alone survives, to the last of its 255 bytes",
    async run(harness) {
      const clusterId = "clüster ".repeat(28) + "end";
      equal(new TextEncoder().encode(clusterId).length, 255);
      await checkKept(harness, [{ records: [], clusterId }]);
    },
  },
  {
    name: "write() refuses another cluster id, and takes the same again",
    async run(harness) {
      const { store } = await opened(harness);
      await store.write({ records: [], clusterId: "one" });
      await rejects(() => store.write({ records: [], clusterId: "two" }), InvariantError, "write()");
      await store.write({ records: [commandsOf(1, 1, "a")], clusterId: "one" });
      await store.close();
      const again = await opened(harness);
      equal([again.state.identity.clusterId, again.state.lastIndex], ["one", 1]);
      await rejects(() => again.store.write({ records: [], clusterId: "two" }), InvariantError, "write()");
      await again.store.close();
    },
  },
  {
    name: "write() keeps the latest vote of many, with the longest of ids",
    async run(harness) {
      const votes = Array.from({ length: 50 }, (_, i) => ({ term: i + 1, votedFor: "b".repeat(i % 64 + 1) }));
      const last = { term: Number.MAX_SAFE_INTEGER, votedFor: "c".repeat(64) };
      await checkKept(harness, [...votes, last].map((vote) => ({ records: [], vote })));
    },
  },
  {
    name: "write() of vote, cluster id and entries keeps all three",
    async run(harness) {
      await checkKept(harness, [
        { records: [commandsOf(1, 3, "a")], vote: { term: 3, votedFor: "b" }, clusterId: "c" },
        { truncateFrom: 1, records: [commandsOf(1, 4, "A", "B")], vote: { term: 4, votedFor: undefined } },
      ]);
    },
  },
];

const entryCases: readonly StoreCase[] = [
  {
    name: "write() keeps every type, flag, time, payload and extension as it is",
    async run(harness) {
      const every = Uint8Array.from({ length: 256 }, (_, i) => i);
      await checkKept(harness, [{
        records: [
          encodeRecords(1, 1, 0, [
            { type: EntryType.noop, payload: new Uint8Array(0) },
            { type: EntryType.barrier, payload: new Uint8Array(0) },
            { type: EntryType.command, payload: every, flags: RecordFlag.raw },
          ]),
          encodeRecords(4, 2, Number.MAX_SAFE_INTEGER, [
            { type: EntryType.command, payload: every, flags: RecordFlag.client, extensions: every },
            { type: EntryType.command, payload: new Uint8Array(0), extensions: new Uint8Array([0]) },
          ]),
        ],
      }]);
    },
  },
  {
    name: "write() keeps entries of any size",
    async run(harness) {
      const sizes = [0, 1, 463, 464, 465, 4_095, 65_487, 65_488, 65_489, 131_072, 200_000];
      await checkKept(harness, sizes.map((size, i) => ({ records: [sizedCommands(i + 1, 1, size)] })));
    },
  },
  {
    name: "write() keeps an entry of 3 MiB between small ones",
    async run(harness) {
      await checkKept(harness, [
        { records: [sizedCommands(1, 1, 10, 3 << 20, 10)] },
        { records: [sizedCommands(4, 1, 10)] },
      ]);
    },
  },
  {
    name: "write() keeps 2,500 entries of one write",
    run: async (harness) => void await checkKept(harness, [{ records: [manyCommands(1, 1, 2_500)] }]),
  },
  {
    name: "write() keeps 200 writes of one entry",
    async run(harness) {
      const writes = Array.from({ length: 200 }, (_, i) => ({ records: [sizedCommands(i + 1, 1 + i / 50 | 0, i)] }));
      await checkKept(harness, writes);
    },
  },
  {
    name: "write() takes parts of larger pieces, and none",
    async run(harness) {
      const records = manyCommands(1, 1, 20);
      await checkKept(harness, [
        { records: [records.slice(1, 1), records.slice(1, 4), records.slice(4, 5)] },
        { records: [records.slice(5, 12), records.slice(12, 12), records.slice(12, 19)] },
      ]);
    },
  },
  {
    name: "write() before open() and after close() is refused, and so is read()",
    async run(harness) {
      const store = await harness.next();
      const refuses = async () => {
        await rejects(() => store.write({ records: [commandsOf(1, 1, "a")] }), StorageError, "write()");
        await rejects(() => store.read(1, 2, 100), StorageError, "read()");
      };
      await refuses();
      await store.open(SERVER_ID);
      await store.write({ records: [commandsOf(1, 1, "a")] });
      await store.close();
      await refuses();
    },
  },
  {
    name: "close() waits for the write under way",
    async run(harness) {
      const { store } = await opened(harness);
      await store.write({ records: [commandsOf(1, 1, "a")] });
      const write = { records: [sizedCommands(2, 1, 1_000_000, 10)] };
      const writing = Promise.resolve(store.write(write)).then(() => true, () => false);
      await store.close();
      const isDurable = await writing;
      const { store: again, state } = await opened(harness);
      const before = new StoreModel().after({ records: [commandsOf(1, 1, "a")] });
      await (isDurable ? before.after(write) : before).checkAll(again, state, "after close()");
      await again.close();
    },
  },
  {
    name: "mark() may be called at any time and changes nothing",
    async run(harness) {
      const { store } = await opened(harness);
      let model = new StoreModel();
      for (let i = 1; i <= 3; i++) {
        await store.mark?.();
        const write = { records: [commandsOf(i, 1, "x")] };
        const marking = store.mark?.();
        await store.write(write);
        await marking;
        model = model.after(write);
        await store.mark?.();
        await store.mark?.();
      }
      await store.close();
      const again = await opened(harness);
      await model.checkAll(again.store, again.state, "after mark()");
      await again.store.close();
    },
  },
];

const readCases: readonly StoreCase[] = [
  {
    name: "read() beside a write gives what is durable, and never half of what isn't",
    async run(harness) {
      const { store } = await opened(harness);
      await store.write({ records: [manyCommands(1, 1, 50)] });
      const next = manyCommands(51, 1, 500);
      const writing = store.write({ records: [next] });
      for (let i = 0; i < 5; i++) {
        equal((await store.read(1, 51, 10_000))[0].from, 1);
        const found = await Promise.resolve().then(() => store.read(51, 551, 100_000)).catch(() => undefined);
        if (found !== undefined) equal(found[0].slice(51, 52).bytes, next.slice(51, 52).bytes);
      }
      await writing;
      equal((await store.read(550, 551, 0))[0].from, 550);
      await store.close();
    },
  },
  {
    name: "read() gives many readers what they ask for",
    async run(harness) {
      const { store } = await opened(harness);
      const records = sizedCommands(1, 1, ...Array.from({ length: 60 }, (_, i) => i * 700));
      const model = new StoreModel().after({ records: [records] });
      await store.write({ records: [records] });
      const readers = [1, 500, 5_000, 70_000, 10_000_000];
      await Promise.all(readers.map((bytes) => model.checkEntries(store, `${bytes} at once`, bytes)));
      await store.close();
    },
  },
  {
    name: "read() never gives more bytes than asked for, but for a single entry",
    async run(harness) {
      const { store } = await opened(harness);
      const sizes = [10, 70_000, 10, 10, 200_000, 10, 65_488, 10];
      await store.write({ records: [sizedCommands(1, 1, ...sizes)] });
      for (let from = 1; from <= sizes.length; from++) {
        for (const bytesMax of [0, 100, 200, 70_200, 300_000]) {
          const parts = await store.read(from, sizes.length + 1, bytesMax);
          const count = parts.reduce((sum, part) => sum + part.count, 0);
          const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
          check(count === 1 || bytes <= bytesMax, `${bytes} bytes from ${from} on instead of ${bytesMax}`);
          equal(parts[0].from, from);
        }
      }
      await store.close();
    },
  },
  {
    name: "read() of what was truncated says that it is missing, at once and after a start",
    async run(harness) {
      const { store } = await opened(harness);
      await store.write({ records: [sizedCommands(1, 1, 10, 100_000, 10, 10)] });
      await store.write({ truncateFrom: 2, records: [] });
      for (const index of [2, 3, 4]) await missing(store, index);
      await store.close();
      const { store: again } = await opened(harness);
      for (const index of [2, 3, 4]) await missing(again, index);
      const error = await rejection(async () => await again.read(0, 9, 100));
      equal(error.name, "EntryNotFoundError");
      await again.close();
    },
  },
];

/** Cases. */
export const storeContentCases: readonly StoreCase[] = [...openCases, ...identityCases, ...entryCases, ...readCases];
