/**
 * What every store must do, as cases for any test runner.
 *
 * @module
 */
import { EntryNotFoundError, InvariantError, StorageError } from "../errors.ts";
import type { Store, StoreState } from "../store/store.ts";
import { EntryType, type LogIndex, type Term } from "../types.ts";
import { encodeConfiguration } from "../wire/configuration.ts";
import { encodeRecords, type EntryParts, type Records } from "../wire/record.ts";

/** How the cases get at a store. */
export interface StoreHarness {
  /** A store on the same disk, the one before being closed or killed. On the first call the disk is empty. */
  next(): Promise<Store>;
  /** Operations of the disk so far. Needed with `haltAfter`. */
  operationCount?(): number;
  /**
   * Lets so many more operations of the disk be done; the next one and all after it fail, until `next`. With it the
   * suite kills the store at every operation.
   */
  haltAfter?(operations: number): void;
  /**
   * Changes the payload of an entry on the disk, so that its checksum is wrong. The store that wrote it is closed, and the
   * next one not made yet.
   */
  damage?(index: LogIndex): Promise<void>;
  /** Called at the end of each case. */
  dispose?(): Promise<void>;
}

/** One thing that a store must do. */
export interface StoreCase {
  /** A sentence beginning with what is called. */
  readonly name: string;
  /** What the harness must offer. */
  readonly needs?: "haltAfter" | "damage";
  /** Rejects when the store doesn't. */
  run(harness: StoreHarness): Promise<void>;
}

/** Records of commands with these payloads, for tests. */
export function commandsOf(from: LogIndex, term: Term, ...payloads: readonly string[]): Records {
  const entries = payloads.map((text) => ({ type: EntryType.command, payload: new TextEncoder().encode(text) }));
  return encodeRecords(from, term, 1_000 * term, entries);
}

/** The payloads of entries, as text. */
export function textsOf(parts: readonly Records[]): string[] {
  const texts: string[] = [];
  for (const records of parts) {
    for (let i = records.from; i < records.end; i++) texts.push(new TextDecoder().decode(records.payload(i)));
  }
  return texts;
}

const SERVER_ID = "a";

/** All cases. */
export const storeCases: readonly StoreCase[] = [
  {
    name: "open() of an empty disk gives term 0, an empty log and a new identity",
    async run({ next }) {
      const { store, state } = await opened(next);
      equal({ ...state, identity: undefined }, {
        vote: { term: 0, votedFor: undefined },
        firstIndex: 1,
        prevTerm: 0,
        lastIndex: 0,
        terms: [],
        configurations: [],
        damaged: [],
        lastTimeMs: 0,
        identity: undefined,
      });
      const { clusterId, serverId, incarnation, starts } = state.identity;
      equal({ clusterId, serverId, starts }, { clusterId: "", serverId: SERVER_ID, starts: 1 });
      check(incarnation.length > 0, "the incarnation is empty");
      await store.close();
    },
  },
  {
    name: "open() gives back what was written, and counts the start",
    async run({ next }) {
      const first = await opened(next);
      const configuration = { servers: [{ id: "a", address: "a:1", suffrage: "voter" as const }] };
      const entry: EntryParts = { type: EntryType.configuration, payload: encodeConfiguration(configuration) };
      await first.store.write({ records: [encodeRecords(1, 1, 7, [entry])], clusterId: "c" });
      await first.store.write({ records: [commandsOf(2, 1, "x")], vote: { term: 2, votedFor: "b" } });
      await first.store.write({ records: [commandsOf(3, 2, "y"), commandsOf(4, 3, "z")] });
      await first.store.close();
      const { store, state } = await opened(next);
      equal(state, {
        vote: { term: 2, votedFor: "b" },
        firstIndex: 1,
        prevTerm: 0,
        lastIndex: 4,
        terms: [{ term: 1, from: 1 }, { term: 2, from: 3 }, { term: 3, from: 4 }],
        configurations: [{ index: 1, configuration }],
        damaged: [],
        lastTimeMs: 3_000,
        identity: { ...first.state.identity, clusterId: "c", starts: 2 },
      });
      equal(textsOf(await store.read(2, 5, 1_000)), ["x", "y", "z"]);
      await store.close();
    },
  },
  {
    name: "open() refuses another server's disk and names both",
    async run({ next }) {
      const { store } = await opened(next);
      await store.close();
      const error = await rejection(async () => await (await next()).open("b"));
      check(error instanceof StorageError, "not a StorageError");
      check(error.message.includes('"a"') && error.message.includes('"b"'), error.message);
      equal((await opened(next)).state.identity.starts, 2);
    },
  },
  {
    name: "write() of a vote alone survives, with and without a candidate",
    async run({ next }) {
      for (const vote of [{ term: 4, votedFor: "b" }, { term: 5, votedFor: undefined }]) {
        const { store } = await opened(next);
        await store.write({ records: [], vote });
        await store.close();
        const again = await opened(next);
        equal(again.state.vote, vote);
        await again.store.close();
      }
    },
  },
  {
    name: "write() truncates before it appends, and forgets terms and configurations",
    async run({ next }) {
      const { store } = await opened(next);
      await store.write({ records: [commandsOf(1, 1, "a", "b", "c")] });
      await store.write({ records: [commandsOf(4, 2, "d")] });
      await store.write({ truncateFrom: 3, records: [commandsOf(3, 3, "C", "D")] });
      equal(textsOf(await store.read(1, 9, 1_000)), ["a", "b", "C", "D"]);
      await store.close();
      const again = await opened(next);
      equal(again.state.terms, [{ term: 1, from: 1 }, { term: 3, from: 3 }]);
      equal(again.state.lastIndex, 4);
      equal(textsOf(await again.store.read(1, 9, 1_000)), ["a", "b", "C", "D"]);
      await again.store.close();
    },
  },
  {
    name: "write() truncates the whole log",
    async run({ next }) {
      const { store } = await opened(next);
      await store.write({ records: [commandsOf(1, 1, "a", "b")] });
      await store.write({ truncateFrom: 1, records: [] });
      await store.close();
      const { store: again, state } = await opened(next);
      equal([state.firstIndex, state.lastIndex, state.lastTimeMs, state.terms.length], [1, 0, 0, 0]);
      await again.write({ records: [commandsOf(1, 2, "A")] });
      equal(textsOf(await again.read(1, 2, 0)), ["A"]);
      await again.close();
    },
  },
  {
    name: "write() refuses a gap, an overlap and a truncation outside, and goes on",
    async run({ next }) {
      const { store } = await opened(next);
      await store.write({ records: [commandsOf(1, 1, "a")] });
      for (
        const write of [
          { records: [commandsOf(3, 1, "c")] },
          { records: [commandsOf(1, 1, "a")] },
          { records: [commandsOf(2, 1, "b"), commandsOf(4, 1, "d")] },
          { truncateFrom: 3, records: [] },
          { truncateFrom: 0, records: [] },
          { compactTo: { firstIndex: 0, prevTerm: 0 }, records: [] },
          { compactTo: { firstIndex: 1, prevTerm: 1 }, records: [] },
          { compactTo: { firstIndex: 2, prevTerm: 1 }, records: [commandsOf(3, 1, "c")] },
          { compactTo: { firstIndex: 5, prevTerm: 1 }, records: [commandsOf(2, 1, "b")] },
        ]
      ) {
        check(await rejection(async () => await store.write(write)) instanceof InvariantError, "not refused");
      }
      await store.write({ records: [commandsOf(2, 1, "b")] });
      equal(textsOf(await store.read(1, 3, 100)), ["a", "b"]);
      await store.close();
    },
  },
  {
    name: "write() compacts: what is before is gone, what is left is where it was",
    async run({ next }) {
      const { store } = await opened(next);
      await store.write({ records: [commandsOf(1, 1, "a", "b"), commandsOf(3, 2, "c", "d")] });
      await store.write({ records: [commandsOf(5, 3, "e")], compactTo: { firstIndex: 4, prevTerm: 2 } });
      for (const index of [1, 3]) await missing(store, index);
      equal(textsOf(await store.read(4, 9, 1_000)), ["d", "e"]);
      await missing(store, 6);
      await store.close();
      const { store: again, state } = await opened(next);
      equal([state.firstIndex, state.prevTerm, state.lastIndex, state.lastTimeMs], [4, 2, 5, 3_000]);
      equal(state.terms, [{ term: 2, from: 4 }, { term: 3, from: 5 }]);
      await missing(again, 3);
      equal(textsOf(await again.read(4, 9, 1_000)), ["d", "e"]);
      check(
        await rejection(async () => await again.write({ truncateFrom: 3, records: [] })) instanceof InvariantError,
        "truncated what is gone",
      );
      await again.write({ truncateFrom: 4, records: [commandsOf(4, 4, "D")] });
      equal(textsOf(await again.read(4, 9, 1_000)), ["D"]);
      await again.close();
    },
  },
  {
    name: "write() compacts the whole log, and goes on after it or far beyond",
    async run({ next }) {
      for (const firstIndex of [3, 1_000]) {
        const { store, state } = await opened(next);
        const from = state.lastIndex + 1;
        await store.write({ records: [commandsOf(from, firstIndex, "a", "b")] });
        const compactTo = { firstIndex, prevTerm: firstIndex };
        await store.write({ compactTo, records: [] });
        await missing(store, firstIndex - 1);
        await missing(store, firstIndex);
        await store.close();
        const { store: again, state: compacted } = await opened(next);
        equal({ ...compacted, identity: 0 }, {
          ...compactTo,
          vote: { term: 0, votedFor: undefined },
          lastIndex: firstIndex - 1,
          terms: [],
          configurations: [],
          damaged: [],
          lastTimeMs: 0,
          identity: 0,
        });
        await again.write({ compactTo, records: [commandsOf(firstIndex, firstIndex, "x")] });
        equal(textsOf(await again.read(firstIndex, firstIndex + 1, 0)), ["x"]);
        await again.close();
      }
    },
  },
  {
    name: "write() truncates, compacts and appends in this order",
    async run({ next }) {
      const { store } = await opened(next);
      await store.write({ records: [commandsOf(1, 1, "a", "b", "c", "d")] });
      await store.write({
        truncateFrom: 4,
        compactTo: { firstIndex: 3, prevTerm: 1 },
        records: [commandsOf(4, 2, "D", "E")],
        vote: { term: 2, votedFor: "b" },
      });
      await store.write({
        truncateFrom: 5,
        compactTo: { firstIndex: 9, prevTerm: 7 },
        records: [commandsOf(9, 8, "I")],
      });
      await store.close();
      const { store: again, state } = await opened(next);
      equal([state.firstIndex, state.prevTerm, state.lastIndex, state.vote.term], [9, 7, 9, 2]);
      equal(state.terms, [{ term: 8, from: 9 }]);
      equal(textsOf(await again.read(9, 10, 0)), ["I"]);
      await again.close();
    },
  },
  {
    name: "write() repairs: entries are there, whether their places were damaged or not",
    async run({ next }) {
      const { store } = await opened(next);
      const records = commandsOf(1, 1, "a", "b", "c", "d", "e");
      await store.write({ records: [records] });
      await store.write({ records: [commandsOf(6, 2, "f")], repairs: [records.slice(2, 3), records.slice(4, 6)] });
      equal(await all(store, 1, 6), ["a", "b", "c", "d", "e", "f"]);
      for (const part of [records, commandsOf(6, 2, "f", "g"), commandsOf(0, 1, "z")]) {
        const write = { truncateFrom: 5, records: [], repairs: [part] };
        check(await rejection(async () => await store.write(write)) instanceof InvariantError, "not refused");
      }
      await store.write({ truncateFrom: 5, records: [commandsOf(5, 3, "E")] });
      await store.close();
      const { store: again, state } = await opened(next);
      equal(state.terms, [{ term: 1, from: 1 }, { term: 3, from: 5 }]);
      equal(await all(again, 1, 5), ["a", "b", "c", "d", "E"]);
      await again.write({ records: [], repairs: Array.from({ length: 4 }, (_, i) => records.slice(1 + i, 2 + i)) });
      await again.write({ compactTo: { firstIndex: 3, prevTerm: 1 }, records: [commandsOf(6, 3, "F")] });
      equal(await all(again, 3, 6), ["c", "d", "E", "F"]);
      await again.close();
      const { store: third } = await opened(next);
      equal(await all(third, 3, 6), ["c", "d", "E", "F"]);
      await third.close();
    },
  },
  {
    name: "write() compacts away configurations",
    async run({ next }) {
      const { store } = await opened(next);
      const configuration = { servers: [{ id: "a", address: "a:1", suffrage: "voter" as const }] };
      const entry: EntryParts = { type: EntryType.configuration, payload: encodeConfiguration(configuration) };
      await store.write({ records: [encodeRecords(1, 1, 7, [entry, entry, entry])] });
      await store.write({ compactTo: { firstIndex: 3, prevTerm: 1 }, records: [] });
      await store.close();
      const { store: again, state } = await opened(next);
      equal(state.configurations, [{ index: 3, configuration }]);
      await again.close();
    },
  },
  {
    name: "read() keeps to its limits, but gives one entry at least",
    async run({ next }) {
      const { store } = await opened(next);
      const records = commandsOf(1, 1, "one", "two", "three", "four");
      await store.write({ records: [records.slice(1, 3)] });
      await store.write({ records: [records.slice(3, 5)] });
      const bytes = records.offsets;
      equal(textsOf(await store.read(1, 5, 0)), ["one"]);
      equal(textsOf(await store.read(1, 5, bytes[2] - 1)), ["one"]);
      equal(textsOf(await store.read(1, 5, bytes[2])), ["one", "two"]);
      equal(textsOf(await store.read(2, 4, 1_000)), ["two", "three"]);
      equal(textsOf(await store.read(4, 9, 1_000)), ["four"]);
      await store.close();
    },
  },
  {
    name: "read() rejects an index outside of the log",
    async run({ next }) {
      const { store } = await opened(next);
      for (const index of [0, 1]) await missing(store, index);
      await store.write({ records: [commandsOf(1, 1, "a", "b")] });
      for (const index of [0, 3]) await missing(store, index);
      await store.write({ truncateFrom: 2, records: [] });
      await missing(store, 2);
      await store.close();
    },
  },
  {
    name: "close() can be called twice, and before open()",
    async run({ next }) {
      await (await next()).close();
      const { store } = await opened(next);
      await store.write({ records: [commandsOf(1, 1, "a")] });
      await Promise.all([store.close(), store.close()]);
      await store.close();
      check(
        await rejection(async () => await store.write({ records: [] })) instanceof StorageError,
        "wrote when closed",
      );
    },
  },
];

async function opened(next: () => Promise<Store>): Promise<{ store: Store; state: StoreState }> {
  const store = await next();
  return { store, state: await store.open(SERVER_ID) };
}

async function all(store: Store, from: LogIndex, last: LogIndex): Promise<string[]> {
  const found: string[] = [];
  for (let next = from; next <= last; next = from + found.length) {
    found.push(...textsOf(await store.read(next, last + 1, 1_000)));
  }
  return found;
}

async function missing(store: Store, index: LogIndex): Promise<void> {
  const error = await rejection(async () => await store.read(index, index + 1, 100));
  check(error instanceof EntryNotFoundError && error.index === index, `entry ${index} is not reported missing`);
}

async function rejection(run: () => Promise<unknown>): Promise<Error> {
  try {
    await run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("It did not fail");
}

function check(holds: boolean, problem: string): void {
  if (!holds) throw new Error(problem);
}

/** Compares plain data. No assertion library: the cases are exported. */
function equal(actual: unknown, expected: unknown): void {
  const [found, wanted] = [actual, expected].map((value) => JSON.stringify(value, sortedKeys));
  check(found === wanted, `Expected ${wanted}, found ${found}`);
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1));
}
