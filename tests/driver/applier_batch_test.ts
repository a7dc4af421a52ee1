/**
 * Machines that take several commands at once.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { type Applied, Applier } from "../../src/driver/applier.ts";
import { BatchSize, CopyRoom } from "../../src/driver/command_batch.ts";
import { InvariantError } from "../../src/errors.ts";
import type { ApplyContext, BatchedCommand, BatchedResult, Codec, StateMachine } from "../../src/machine.ts";
import { LogCache } from "../../src/store/log_cache.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { EntryType } from "../../src/types.ts";
import { encodeClientBlock, KEY_SESSION_MIN } from "../../src/wire/client_block.ts";
import { encodeRecords, type EntryParts, RecordFlag } from "../../src/wire/record.ts";
import { test } from "../harness.ts";
import { drain, VirtualEnvironment } from "../virtual_environment.ts";
import { Journal, withCluster } from "../virtual_cluster.ts";
import { deferred } from "./stores.ts";

type Batch = readonly BatchedCommand<number>[];
type Results = readonly BatchedResult<string>[];

/** Commands are bytes under 200. */
const codec: Codec<number> = {
  encode: (value) => Uint8Array.of(value),
  decode([value]) {
    if (value! >= 200) throw new RangeError(`no command ${value}`);
    return value!;
  },
};

const command = (value: number): EntryParts => ({ type: EntryType.command, payload: Uint8Array.of(value) });
const noop: EntryParts = { type: EntryType.noop, payload: new Uint8Array() };
const plain = (values: readonly number[]) => values.map(command);

/** Notes how it is called, as `1` for a command and `1,2,3` for several. */
class Recorder implements StateMachine<number, string> {
  readonly calls: string[] = [];
  readonly contexts: ApplyContext[] = [];

  apply(value: number, context: ApplyContext): string {
    this.calls.push(String(value));
    this.contexts.push(context);
    return `one ${value}`;
  }

  applyBatch(batch: Batch): Results | Promise<Results> {
    this.calls.push(batch.map(({ command }) => command).join());
    this.contexts.push(...batch.map(({ context }) => context));
    return this.results(batch);
  }

  results(batch: Batch): Results | Promise<Results> {
    return batch.map(({ command }) => ({ value: `some ${command}` }));
  }
}

function setUp(entries: readonly EntryParts[], machine: Recorder = new Recorder()) {
  const cache = new LogCache(Infinity);
  cache.append(encodeRecords(1, 3, 1_000, entries));
  const applied: { readonly index: number; readonly applied: Applied }[] = [];
  const failures: unknown[] = [];
  const pauses: number[] = [];
  const environment = new VirtualEnvironment();
  const applier = new Applier(machine, codec, { cache, store: memoryStore() }, environment, {
    onApplied: (index, _term, applied_) => applied.push({ index, applied: applied_ }),
    onInstalled() {},
    onPause: (upTo) => pauses.push(upTo),
    onDamage() {},
    onFailure: (error) => failures.push(error),
  }, { index: 0, timeMs: 0 });
  const outcomes = () => applied.map(({ applied }) => applied.ok ? applied.value : applied.error);
  return { machine, cache, applier, applied, failures, pauses, environment, outcomes };
}

test("Applier gives a machine with applyBatch() all that is ready at once, with a result for each command", () => {
  const { machine, applier, applied, pauses, outcomes } = setUp(plain([1, 2, 3, 4, 5]));
  applier.advance(4);
  assertEquals(machine.calls, ["1,2,3,4"]);
  assertEquals(machine.contexts, [1, 2, 3, 4].map((index) => ({ index, term: 3, timeMs: 1_000 })));
  assertEquals(applied.map(({ index }) => index), [1, 2, 3, 4]);
  assertEquals(outcomes(), ["some 1", "some 2", "some 3", "some 4"]);
  assertEquals([applier.appliedIndex, applier.appliedTimeMs, pauses], [4, 1_000, [4]]);
  // One that is alone comes alone.
  applier.advance(5);
  assertEquals(machine.calls, ["1,2,3,4", "5"]);
});

test("Applier ends a batch at what is no command, can't be decoded, or may be a client's repeated command", () => {
  const extensions = encodeClientBlock({ session: KEY_SESSION_MIN, sequence: 1 });
  const keyed: EntryParts = { ...command(7), flags: RecordFlag.client, extensions };
  const { machine, applier, outcomes } = setUp([
    ...plain([1, 2]),
    noop,
    ...plain([3, 4, 200, 5, 6]),
    keyed,
    keyed,
    ...plain([8, 9]),
  ]);
  applier.advance(12);
  assertEquals(machine.calls, ["1,2", "3,4", "5,6", "7", "8,9"]);
  assertEquals([outcomes()[5], outcomes()[8], outcomes()[9]], [new RangeError("no command 200"), "one 7", "one 7"]);
  assertEquals(applier.appliedIndex, 12);
});

test("Applier: a command of a batch that failed has its own error; the others have their results", () => {
  class Odd extends Recorder {
    override results(batch: Batch): Results {
      return batch.map(({ command }) => command % 2 === 1 ? { value: "odd" } : { error: new Error(`even ${command}`) });
    }
  }
  const { applier, applied, failures, outcomes } = setUp(plain([1, 2, 3]), new Odd());
  applier.advance(3);
  assertEquals(applied.map(({ applied }) => applied.ok), [true, false, true]);
  assertEquals([outcomes()[1], failures], [new Error("even 2"), []]);
});

for (
  const [what, results, message] of [
    ["throws", () => {
      throw new Error("disk on fire");
    }, "disk on fire"],
    ["rejects", () => Promise.reject(new Error("disk on fire")), "disk on fire"],
    ["gives one result too few", (batch: Batch) => batch.slice(1).map(() => ({ value: "" })), "3 results for as many"],
    ["gives one too many", (batch: Batch) => [...batch, 0].map(() => ({ value: "" })), "3 results for as many"],
    ["gives none", () => undefined as unknown as Results, "not undefined"],
    ["gives bare results", (batch: Batch) => batch.map(() => "x") as unknown as Results, "number 0 is neither"],
  ] as const
) {
  test(`Applier stops when applyBatch() ${what}, as nobody knows what was applied`, async () => {
    const machine = new Recorder();
    machine.results = results;
    const { applier, applied, failures } = setUp(plain([1, 2, 3]), machine);
    applier.advance(3);
    await drain();
    assertEquals([applied, failures.length, applier.appliedIndex], [[], 1, 0]);
    assertStringIncludes((failures[0] as Error).message, message);
  });
}

test("Applier stops at an InvariantError within a batch, after the commands before it", () => {
  const machine = new Recorder();
  machine.results = (batch) =>
    batch.map(({ command }) => command === 2 ? { error: new InvariantError("negative") } : { value: "fine" });
  const { applier, failures, outcomes } = setUp(plain([1, 2, 3]), machine);
  applier.advance(3);
  assertEquals([outcomes(), applier.appliedIndex], [["fine"], 1]);
  assertInstanceOf(failures[0], InvariantError);
});

test("Applier waits for an async batch, keeps everybody away meanwhile, and counts nothing of it before", async () => {
  const machine = new Recorder();
  const done = deferred<Results>();
  machine.results = () => done.promise;
  const { applier, cache, applied, outcomes } = setUp(plain([1, 2, 3]), machine);
  applier.advance(2);
  applier.advance(3);
  let visits = 0;
  applier.whenFree(() => visits++);
  await drain();
  assertEquals([machine.calls, applied, applier.isBusy, applier.appliedIndex, visits], [["1,2"], [], true, 0, 0]);
  done.resolve([{ value: "a" }, { value: "b" }]);
  await drain();
  assertEquals([outcomes(), visits], [["a", "b", "one 3"], 1]);
  assertEquals(applier.appliedBytes, cache.records(1)!.byteLength);
});

test("Applier.close() during an async batch: none of its commands counts", async () => {
  const machine = new Recorder();
  const done = deferred<Results>();
  machine.results = () => done.promise;
  const { applier, applied, failures } = setUp(plain([1, 2]), machine);
  applier.advance(2);
  applier.close();
  done.resolve([{ value: "a" }, { value: "b" }]);
  await drain();
  assertEquals([applied, failures, applier.appliedIndex], [[], [], 0]);
});

test("Applier cuts batches so that no slice takes long, and lets others have their turn between (BA13)", async () => {
  const machine = new Recorder();
  const { applier, environment, pauses } = setUp(plain(Array.from({ length: 300 }, () => 1)), machine);
  let skew = 0;
  const { now } = environment;
  environment.now = () => now.call(environment) + skew;
  machine.results = (batch) => {
    skew += batch.length;
    return batch.map(() => ({ value: "" }));
  };
  applier.advance(300);
  assertEquals([applier.appliedIndex, pauses], [32, [32]]);
  await environment.advance(0);
  assertEquals(applier.appliedIndex, 300);
  const sizes = machine.calls.map((call) => call.split(",").length);
  assertEquals([...sizes.slice(0, 4), Math.max(...sizes.slice(3))], [32, 16, 8, 4, 4]);
});

test("BatchSize doubles while commands cost next to nothing, to 1024, and halves when they are slow, to 1", () => {
  const size = new BatchSize(32, 10);
  // Not for a batch that was not full: it says nothing of a larger one.
  size.note(31, 0);
  assertEquals(size.count, 32);
  for (let i = 0; i < 10; i++) size.note(size.count, 1);
  assertEquals(size.count, 1_024);
  size.note(1_024, 1.25);
  size.note(1_024, 5);
  assertEquals(size.count, 1_024);
  size.note(1, 5.1);
  assertEquals(size.count, 512);
  for (let i = 0; i < 20; i++) size.note(1, 100);
  assertEquals(size.count, 1);
});

test("Raft: a machine with applyBatch() gets what is proposed together together, with the same state and results everywhere", async () => {
  const batches = new Map<string, number[]>();
  class Batching extends Journal {
    readonly #sizes: number[];
    constructor(sizes: number[]) {
      super();
      this.#sizes = sizes;
    }
    applyBatch(batch: readonly BatchedCommand<unknown>[]): BatchedResult<unknown>[] {
      this.#sizes.push(batch.length);
      return batch.map(({ command, context }) => ({ value: this.apply(command, context) }));
    }
  }
  await withCluster(
    3,
    async (cluster) => {
      const leader = await cluster.leader();
      const calls = Array.from({ length: 50 }, (_, at) => leader.apply(at));
      assertEquals(await cluster.settled(Promise.all(calls)), calls.map((_, at) => at + 1));
      await cluster.converged();
      for (const id of cluster.ids) {
        assertEquals(cluster.machine(id).values, [...calls.keys()]);
        assertEquals(batches.get(id)!.length > 0 && batches.get(id)!.length < 10, true, batches.get(id)!.join());
      }
    },
    {},
    (id, cluster) => {
      batches.set(id, []);
      const machine = new Batching(batches.get(id)!);
      cluster.machines.set(id, machine);
      return machine;
    },
  );
});

test("Applier asks a machine for its hash right after every so many entries, and ends a batch there", () => {
  const machine = Object.assign(new Recorder(), { hash: () => machine.calls.length });
  const cache = new LogCache(Infinity);
  cache.append(encodeRecords(1, 3, 1_000, plain([1, 2, 3, 4, 5, 6, 7])));
  const hashes: unknown[] = [];
  const host = { onApplied() {}, onInstalled() {}, onPause() {}, onDamage() {}, onFailure() {} };
  const applier = new Applier(machine, codec, { cache, store: memoryStore() }, new VirtualEnvironment(), host, {
    index: 0,
    timeMs: 0,
    hashing: { every: 3, onHash: (index, hash) => hashes.push([index, hash]), onFailed: (error) => hashes.push(error) },
  });
  applier.advance(5);
  assertEquals([machine.calls, hashes], [["1,2,3", "4,5"], [[3, 1]]]);
  applier.advance(7);
  assertEquals([machine.calls.slice(2), hashes.slice(1)], [["6", "7"], [[6, 3]]]);
});

test("CopyRoom gives copies that nothing else changes, and puts only small ones beside others", () => {
  const copies = new CopyRoom();
  const sizes = [0, 1, 300, 1024, 1024, 1024, 1024, 1025, 5, 5000];
  const originals = sizes.map((size, at) => new Uint8Array(size).fill(at + 1));
  const taken = originals.map((bytes) => copies.copy(bytes));
  originals.forEach((bytes) => bytes.fill(0xff));
  assertEquals(taken.map((bytes) => [...bytes]), sizes.map((size, at) => Array(size).fill(at + 1)));
  assertEquals(
    taken.map((bytes) => bytes.length > 1024 ? bytes.buffer.byteLength : 0),
    sizes.map((size) => size > 1024 ? size : 0),
  );
  assert(taken.every(({ byteOffset }) => byteOffset % 8 === 0));
  assert(taken.every(({ buffer, length }) => length > 1024 || buffer.byteLength <= 4096));
});
