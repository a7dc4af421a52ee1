import { assert, assertGreaterOrEqual, assertLess } from "@std/assert";
import { memoryStore } from "../../../src/store/memory.ts";
import type { Store, StoreState, StoreWrite } from "../../../src/store/store.ts";
import { testStore } from "../../../src/testing/conformance/store_suite.ts";
import type { Records } from "../../../src/wire/record.ts";
import { test } from "../../harness.ts";
import { walSubject } from "../../store/wal_subject.ts";
import { countOf, failuresOf } from "./gather.ts";

/** What is wrong with a store. */
interface Fault {
  readonly state?: (state: StoreState) => StoreState;
  readonly write?: (write: StoreWrite) => StoreWrite;
  readonly read?: (from: number, end: number, bytesMax: number) => readonly [number, number, number];
  readonly found?: (found: Records[]) => Records[];
}

function faulty(store: Store, { state, write, read, found }: Fault): Store {
  return {
    open: async (id) => {
      const opened = await store.open(id);
      return state?.(opened) ?? opened;
    },
    write: (given) => store.write(write?.(given) ?? given),
    read: async (from, end, bytesMax) => {
      const records = await store.read(...read?.(from, end, bytesMax) ?? [from, end, bytesMax]);
      return found?.(records) ?? records;
    },
    close: () => store.close(),
  };
}

const faults: Readonly<Record<string, Fault>> = {
  "forgets whom it voted for": {
    state: (state) => ({ ...state, vote: { term: state.vote.term, votedFor: undefined } }),
  },
  "keeps no vote beside entries": {
    write: (write) => write.records.length > 0 ? { ...write, vote: undefined } : write,
  },
  "keeps no cluster id": { write: (write) => ({ ...write, clusterId: undefined }) },
  "truncates one entry too few when nothing is appended": {
    write: (write) =>
      write.truncateFrom !== undefined && write.records.length === 0
        ? { ...write, truncateFrom: write.truncateFrom + 1 }
        : write,
  },
  "forgets the term before the log": { state: (state) => ({ ...state, prevTerm: 0 }) },
  "tells terms twice": { state: (state) => ({ ...state, terms: state.terms.flatMap((run) => [run, run]) }) },
  "tells no configuration but the last": {
    state: (state) => ({ ...state, configurations: state.configurations.slice(-1) }),
  },
  "tells the time of nothing": { state: (state) => ({ ...state, lastTimeMs: 0 }) },
  "gives another incarnation at each start": {
    state: (state) => ({ ...state, identity: { ...state.identity, incarnation: `${state.identity.starts}` } }),
  },
  "counts no starts": { state: (state) => ({ ...state, identity: { ...state.identity, starts: 1 } }) },
  "reads more than it may": { read: (from, end) => [from, end, Infinity] },
  "reads beyond the end asked for": { read: (from, _end, bytesMax) => [from, from + 1_000, bytesMax] },
  "reads nothing instead of failing": { found: (found) => found.filter((records) => records.from !== 3) },
};

for (const [what, fault] of Object.entries(faults)) {
  test(`testStore() finds a store that ${what}`, async () => {
    const failed = await failuresOf((register) =>
      testStore(register, {
        name: "faulty",
        start() {
          const store = memoryStore();
          const next = async () => {
            await store.close();
            return faulty(store, fault);
          };
          return { next };
        },
      })
    );
    assertGreaterOrEqual(failed.length, 1);
  });
}

/** A log whose writes are acknowledged before they are on the disk, or torn in two. */
function faultyLog(wrap: (store: Store) => Store) {
  return walSubject("faulty", 4_096, wrap);
}

test("testStore() finds a store that acknowledges what isn't durable, by killing it", async () => {
  const failed = await failuresOf((register) =>
    testStore(
      register,
      faultyLog((store) => ({
        ...faulty(store, {}),
        write(write) {
          void Promise.resolve(store.write(write)).catch(() => {});
          return undefined;
        },
      })),
    )
  );
  assert(failed.some((name) => name.includes("killed at every operation of writes that append")));
});

test("testStore() finds a store that writes vote and entries one after the other, by killing it", async () => {
  const failed = await failuresOf((register) =>
    testStore(
      register,
      faultyLog((store) => ({
        ...faulty(store, {}),
        async write(write) {
          const { vote, ...rest } = write;
          if (vote !== undefined) await store.write({ records: [], vote });
          await store.write(rest);
        },
      })),
    )
  );
  assert(failed.length > 0 && failed.every((name) => name.includes("killed")), failed.join("\n"));
});

for (
  const [what, fault] of Object.entries<Fault>({
    "tells nothing of damage": { state: (state) => ({ ...state, damaged: [] }) },
    "takes all that follows for damaged": {
      state: (state) => ({ ...state, damaged: state.damaged.map((it) => ({ ...it, end: state.lastIndex + 2 })) }),
    },
    "cuts a damaged end off": {
      state: (state) => {
        const last = state.damaged.find(({ end }) => end === state.lastIndex + 1);
        return last === undefined ? state : { ...state, lastIndex: last.from - 1 };
      },
    },
    "writes no repairs": { write: (write) => ({ ...write, repairs: undefined }) },
    "says that what it repairs is of the last term": {
      state: (state) => {
        const range = state.damaged.find(({ isTermKnown }) => isTermKnown);
        return range === undefined ? state : { ...state, terms: [{ term: 3, from: state.firstIndex }] };
      },
    },
  })
) {
  test(`testStore() finds a store that ${what}, by damaging it`, async () => {
    const failed = await failuresOf((register) => testStore(register, faultyLog((store) => faulty(store, fault))));
    assert(failed.length > 0 && failed.every((name) => name.includes("damage")), failed.join("\n"));
  });
}

test("testStore() has more than 40 tests, and fewer for a store that can't be killed", () => {
  const start = () => ({ next: () => Promise.reject(new Error("not called")) });
  const all = countOf((register) => testStore(register, { name: "x", start, canHalt: true, canDamage: true }));
  const some = countOf((register) => testStore(register, { name: "x", start }));
  assertGreaterOrEqual(some, 40);
  assertLess(some, all);
});
