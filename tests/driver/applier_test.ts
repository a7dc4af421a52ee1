import { assertEquals, assertInstanceOf } from "@std/assert";
import { type Applied, Applier } from "../../src/driver/applier.ts";
import { DamagedEntryError, InvariantError } from "../../src/errors.ts";
import type { ApplyContext, Codec, StateMachine } from "../../src/machine.ts";
import { LogCache } from "../../src/store/log_cache.ts";
import { EntryType } from "../../src/types.ts";
import { encodeRecords } from "../../src/wire/record.ts";
import { encodeRestoreEntry } from "../../src/wire/restore_codec.ts";
import { test } from "../harness.ts";
import { drain, VirtualEnvironment } from "../virtual_environment.ts";
import { type Deferred, deferred, entries, ManualStore } from "./stores.ts";

const codec: Codec<Uint8Array> = {
  encode: (bytes) => bytes,
  decode: () => {
    throw new Error("only raw commands are expected");
  },
};

/** A log with one entry for each value, all on disk; the cache holds those from `cachedFrom` on. */
async function setUp(
  apply: StateMachine<Uint8Array, unknown>["apply"],
  { values = [1, 2, 3, 4, 5], cachedFrom = 1, restore }: {
    values?: number[];
    cachedFrom?: number;
    restore?: StateMachine<Uint8Array, unknown>["restore"];
  } = {},
) {
  const store = new ManualStore();
  await store.open("a");
  const all = entries(1, 1, ...values);
  store.inner.write({ records: [all] });
  const cache = new LogCache(1e9, cachedFrom);
  if (cachedFrom < all.end) cache.append(all.slice(cachedFrom, all.end));
  const environment = new VirtualEnvironment();
  const applied: { index: number; term: number; applied: Applied }[] = [];
  const installed: number[] = [];
  const pauses: number[] = [];
  const failures: unknown[] = [];
  const damages: number[] = [];
  const applier = new Applier({ apply, ...restore && { restore } }, codec, { cache, store }, environment, {
    onApplied: (index, term, applied_) => applied.push({ index, term, applied: applied_ }),
    onInstalled: (index) => installed.push(index),
    onPause: (upTo) => pauses.push(upTo),
    onDamage: ({ index }) => damages.push(index),
    onFailure: (error) => failures.push(error),
  }, { index: 0, timeMs: 0 });
  return { applier, environment, store, cache, applied, installed, pauses, failures, damages };
}

const values = (applied: readonly { readonly applied: Applied }[]) =>
  applied.map(({ applied }) => applied.ok ? applied.value : applied.error);

test("Applier.advance() applies in order, up to the index and no further", async () => {
  const { applier, applied, pauses } = await setUp(([value]) => value);
  applier.advance(3);
  assertEquals(applied.map(({ index }) => index), [1, 2, 3]);
  assertEquals(values(applied), [1, 2, 3]);
  assertEquals(applier.appliedIndex, 3);
  assertEquals(pauses, [3]);
});

test("Applier.advance() to an index that was reached applies nothing twice", async () => {
  const { applier, applied } = await setUp(([value]) => value);
  for (const upTo of [3, 2, 3, 0, 4]) applier.advance(upTo);
  assertEquals(applied.map(({ index }) => index), [1, 2, 3, 4]);
});

test("Applier gives the machine the entry's index, term and time", async () => {
  const contexts: ApplyContext[] = [];
  const { applier, cache } = await setUp((_, context) => contexts.push(context), { values: [1] });
  cache.append(
    encodeRecords(2, 7, 1234, [{ type: EntryType.command, flags: 1, payload: Uint8Array.of(1) }]),
  );
  applier.advance(2);
  assertEquals(contexts, [{ index: 1, term: 1, timeMs: 0 }, { index: 2, term: 7, timeMs: 1234 }]);
});

test("Applier counts entries that are none of the machine's as applied", async () => {
  let calls = 0;
  const { applier, cache, applied } = await setUp(() => calls++, { values: [1] });
  const types = [EntryType.noop, EntryType.barrier, EntryType.configuration];
  cache.append(encodeRecords(2, 1, 0, types.map((type) => ({ type, payload: new Uint8Array() }))));
  applier.advance(4);
  assertEquals(calls, 1);
  assertEquals(applied.map(({ index }) => index), [1, 2, 3, 4]);
});

test("Applier hands over what the machine throws, and goes on (BA07)", async () => {
  const { applier, applied, failures } = await setUp(([value]) => {
    if (value === 2) throw new Error("two");
    return value;
  });
  applier.advance(3);
  assertEquals(values(applied), [1, new Error("two"), 3]);
  assertEquals(applied.map(({ applied }) => applied.ok), [true, false, true]);
  assertEquals(failures, []);
});

test("Applier hands over what decoding a command throws, and goes on", async () => {
  const { applier, cache, applied } = await setUp(([value]) => value, { values: [1] });
  cache.append(encodeRecords(2, 1, 0, [{ type: EntryType.command, payload: Uint8Array.of(1) }]));
  applier.advance(2);
  assertEquals(values(applied), [1, new Error("only raw commands are expected")]);
});

test("Applier stops at an InvariantError of the machine, sync or async", async () => {
  for (const isAsync of [false, true]) {
    const { applier, applied, failures } = await setUp(([value]) => {
      if (value !== 2) return value;
      const error = new InvariantError("balance is negative");
      if (isAsync) return Promise.reject(error);
      throw error;
    });
    applier.advance(5);
    await drain();
    assertEquals(applied.map(({ index }) => index), [1]);
    assertEquals(failures.length, 1);
    assertInstanceOf(failures[0], InvariantError);
    assertEquals(applier.appliedIndex, 1);
  }
});

test("Applier never calls an async machine before its last call is done", async () => {
  const calls: Deferred<number>[] = [];
  const { applier, applied } = await setUp(() => {
    const call = deferred<number>();
    calls.push(call);
    return call.promise;
  });
  applier.advance(2);
  applier.advance(5);
  for (let i = 0; i < 5; i++) {
    await drain();
    assertEquals(calls.length, i + 1);
    assertEquals(applier.isBusy, true);
    assertEquals(applier.appliedIndex, i);
    if (i === 2) calls[i]!.reject(new Error("no"));
    else calls[i]!.resolve(i);
  }
  await drain();
  assertEquals(values(applied), [0, 1, new Error("no"), 3, 4]);
  assertEquals(applier.isBusy, false);
});

test("Applier waits for thenables that are no Promise of this realm", async () => {
  let running = 0;
  let most = 0;
  const { applier, applied } = await setUp(([value]) => {
    most = Math.max(most, ++running);
    return {
      then: (resolve: (value: unknown) => void) => void drain().then(() => (running--, resolve(value))),
    };
  });
  applier.advance(3);
  for (let i = 0; i < 6; i++) await drain();
  assertEquals(most, 1);
  assertEquals(values(applied), [1, 2, 3]);
});

test("Applier.appliedBytes counts each entry once, when it is applied, also with an async machine", async () => {
  for (const isAsync of [false, true]) {
    const { applier, cache } = await setUp(([value]) => isAsync ? Promise.resolve(value) : value);
    applier.advance(3);
    await drain();
    assertEquals(applier.appliedBytes, cache.records(1)!.slice(1, 4).byteLength);
    applier.advance(5);
    await drain();
    assertEquals(applier.appliedBytes, cache.records(1)!.byteLength);
  }
});

test("Applier pauses between the calls of an async machine, so that reads get their turn", async () => {
  const { applier, pauses } = await setUp(([value]) => Promise.resolve(value));
  applier.advance(5);
  await drain();
  assertEquals(pauses, [1, 2, 3, 4, 5]);
});

test("Applier copies a command: a machine that changes it leaves the log alone", async () => {
  const kept: Uint8Array[] = [];
  const { applier, cache } = await setUp((bytes) => {
    bytes.fill(99);
    kept.push(bytes);
  });
  const before = cache.records(1)!.bytes.slice();
  applier.advance(5);
  assertEquals(cache.records(1)!.bytes, before);
  assertEquals(kept.every((bytes) => bytes.buffer !== cache.records(1)!.bytes.buffer), true);
});

test("Applier lets others have their turn when applying takes long (BA13)", async () => {
  const { applier, environment, pauses } = await setUp(() => void environmentOf().jump(1), {
    values: Array.from({ length: 200 }, () => 1),
  });
  function environmentOf() {
    return { jump: (ms: number) => skew += ms };
  }
  let skew = 0;
  const { now } = environment;
  environment.now = () => now.call(environment) + skew;
  applier.advance(200);
  assertEquals(applier.appliedIndex < 50, true);
  assertEquals(pauses, [applier.appliedIndex]);
  assertEquals(environment.timerCount, 1);
  assertEquals(applier.isBusy, false);
  applier.advance(200);
  assertEquals(environment.timerCount, 1);
  await environment.advance(0);
  assertEquals(applier.appliedIndex, 200);
});

test("Applier reads from disk what memory does not hold any more, then goes on from memory", async () => {
  const { applier, store, applied } = await setUp(([value]) => value, { cachedFrom: 4 });
  applier.advance(5);
  assertEquals(applied, []);
  await drain();
  assertEquals(values(applied), [1, 2, 3, 4, 5]);
  assertEquals(store.reads.length <= 2, true);
});

test("Applier that reads from disk lets others have their turn as well (BA13)", async () => {
  let skew = 0;
  const { applier, environment, pauses } = await setUp(() => void (skew += 1), {
    values: Array.from({ length: 500 }, () => 1),
    cachedFrom: 501,
  });
  const { now } = environment;
  environment.now = () => now.call(environment) + skew;
  applier.advance(500);
  await drain();
  assertEquals(applier.appliedIndex > 0 && applier.appliedIndex < 100, true, `applied ${applier.appliedIndex}`);
  assertEquals(pauses.length > 0, true);
  await environment.advance(0);
  assertEquals(applier.appliedIndex, 500);
});

test("Applier takes a read from disk for everyone's turn, but not for ever (BA13)", async () => {
  let skew = 0;
  const { applier, environment, store } = await setUp(() => void (skew += 6), {
    values: Array.from({ length: 60 }, () => 1),
    cachedFrom: 61,
  });
  const { now } = environment;
  environment.now = () => now.call(environment) + skew;
  // One entry at a time, by promises that let nobody else have a turn.
  store.read = (from) => Promise.resolve(store.inner.read(from, from + 1, 0));
  applier.advance(60);
  await drain();
  assertEquals(applier.appliedIndex, 18, "18 × 6 ms are more than 100, and nobody had a turn");
  assertEquals(environment.timerCount, 1);
  for (let turns = 0; turns < 5; turns++) await environment.advance(0);
  assertEquals(applier.appliedIndex, 60);
});

test("Applier lets reads look at the machine while it waits for the disk", async () => {
  const { applier, store } = await setUp(([value]) => value, { cachedFrom: 4 });
  store.slowReads = true;
  applier.advance(5);
  assertEquals(applier.isBusy, false);
  applier.advance(5);
  assertEquals(store.reading.length, 1);
  store.reading[0]!.resolve();
  await drain();
  assertEquals(applier.appliedIndex, 5);
});

test("Applier applies from disk in pieces, never beyond what is committed", async () => {
  const { applier, store, applied } = await setUp(([value]) => value, { cachedFrom: 6 });
  applier.advance(2);
  await drain();
  assertEquals(values(applied), [1, 2]);
  applier.advance(5);
  await drain();
  assertEquals(values(applied), [1, 2, 3, 4, 5]);
  assertEquals(store.reads.every(([, end]) => end <= 6), true);
});

test("Applier reports a disk that can't be read", async () => {
  const { applier, store, failures } = await setUp(([value]) => value, { cachedFrom: 6 });
  store.readError = new Error("EIO");
  applier.advance(5);
  await drain();
  assertEquals(failures, [store.readError]);
});

test("Applier.close() ends everything, whatever it waits for (BA16)", async () => {
  for (const moment of ["disk", "machine", "turn"] as const) {
    const call = deferred();
    let skew = 0;
    const apply = () => moment === "machine" ? call.promise : void (skew += 20);
    const { applier, environment, store, applied, pauses, failures } = await setUp(apply, {
      values: Array.from({ length: 100 }, () => 1),
      cachedFrom: moment === "disk" ? 101 : 1,
    });
    const { now } = environment;
    environment.now = () => now.call(environment) + skew;
    store.slowReads = true;
    applier.advance(100);
    const before = [applied.length, pauses.length, applier.appliedIndex];
    applier.close();
    call.resolve();
    store.reading[0]?.reject(new Error("closed"));
    await environment.advance(1_000);
    assertEquals([applied.length, pauses.length, applier.appliedIndex], before, moment);
    assertEquals(failures, [], moment);
    assertEquals(environment.timerCount, 0, moment);
  }
});

test("Applier.close() by the machine itself: the entry under way counts for nothing", async () => {
  const { applier, applied, pauses } = await setUp(() => applier.close());
  applier.advance(5);
  assertEquals(applied, []);
  assertEquals(pauses, []);
});

/** An installation that is done when told. */
function installation(index: number) {
  const done = deferred();
  let [starts, releases] = [0, 0];
  const restore = () => (starts++, done.promise);
  return {
    index,
    timeMs: 7,
    restore,
    release: () => void releases++,
    done,
    starts: () => starts,
    releases: () => releases,
  };
}

test("Applier.install() restores before anything else is applied, skips what the snapshot has, and goes on", async () => {
  const { applier, environment, applied, installed, pauses } = await setUp(([value]) => value);
  applier.advance(1);
  const one = installation(3);
  applier.install(one);
  applier.advance(5);
  await environment.advance(10);
  assertEquals([one.starts(), applier.isBusy, applier.appliedIndex, installed], [1, true, 1, []]);
  one.done.resolve();
  await environment.advance(10);
  assertEquals(applied.map(({ index }) => index), [1, 4, 5]);
  assertEquals([installed, pauses.at(-1), applier.isBusy], [[3], 5, false]);
});

test("Applier.install() waits for the entry that is being applied (M1)", async () => {
  const call = deferred<unknown>();
  const { applier, environment, applied } = await setUp(([value]) => value === 1 ? call.promise : value);
  applier.advance(5);
  const one = installation(4);
  applier.install(one);
  await environment.advance(10);
  assertEquals(one.starts(), 0);
  call.resolve("slow");
  await environment.advance(10);
  assertEquals([one.starts(), applied.length], [1, 1]);
  one.done.resolve();
  await environment.advance(10);
  assertEquals(applied.map(({ index }) => index), [1, 5]);
});

test("Applier.install() makes up for entries that can no longer be read", async () => {
  const { applier, environment, store, failures } = await setUp(([value]) => value, { cachedFrom: 6 });
  store.slowReads = true;
  applier.advance(5);
  const one = installation(5);
  applier.install(one);
  store.reading[0]!.reject(new Error("gone"));
  one.done.resolve();
  await environment.advance(10);
  assertEquals([failures, applier.appliedIndex], [[], 5]);
});

test("Applier.install() makes up for a restore whose parts went with the log, and lets nobody look between", async () => {
  const part = { kind: "part", id: 7, sequence: 0, bytes: Uint8Array.of(1) } as const;
  const payloads = [part, { ...part, kind: "end", sequence: 1, bytes: new Uint8Array() } as const].map(
    encodeRestoreEntry,
  );
  for (const isGone of [true, false]) {
    const machine: StateMachine<Uint8Array, unknown> = {
      apply: ([value]) => value,
      restore: async (bytes) => void await new Response(bytes as ReadableStream<Uint8Array<ArrayBuffer>>).bytes(),
    };
    const { applier, environment, cache, store, pauses, failures, installed } = await setUp(machine.apply, {
      values: [1],
      cachedFrom: 2,
      restore: machine.restore,
    });
    const records = encodeRecords(2, 1, 0, payloads.map((payload) => ({ type: EntryType.restore, payload })));
    store.inner.write({ records: [records] });
    cache.reset(4);
    store.slowReads = true;
    applier.advance(3);
    // Entry 1, then the first part as it is applied, then what the machine reads of it.
    store.reading[0]!.resolve();
    await environment.advance(10);
    const before = [...pauses];
    assertEquals([applier.isBusy, applier.appliedIndex], [true, 2]);
    const one = installation(9);
    if (isGone) applier.install(one);
    store.reading.at(-1)!.reject(new Error("gone"));
    await environment.advance(10);
    assertEquals([one.starts(), pauses, failures.length], isGone ? [1, before, 0] : [0, before, 1]);
    one.done.resolve();
    await environment.advance(10);
    assertEquals([installed, applier.appliedIndex], isGone ? [[9], 9] : [[], 2]);
  }
});

test("Applier waits for a part of a restore that the disk can't give, and lets nobody look at the machine meanwhile", async () => {
  const part = { kind: "part", id: 7, sequence: 0, bytes: Uint8Array.of(5) } as const;
  const end = { ...part, kind: "end", sequence: 1, bytes: new Uint8Array() } as const;
  for (const what of ["repaired", "replaced"] as const) {
    const restored: unknown[] = [];
    const { applier, environment, cache, store, failures, damages, installed } = await setUp(([value]) => value, {
      values: [1],
      restore: async (bytes) => {
        restored.push(...await new Response(bytes as ReadableStream<Uint8Array<ArrayBuffer>>).bytes());
      },
    });
    const payloads = [part, end].map(encodeRestoreEntry);
    const records = encodeRecords(2, 1, 0, payloads.map((payload) => ({ type: EntryType.restore, payload })));
    store.inner.write({ records: [records] });
    cache.append(records);
    applier.advance(2);
    cache.reset(4);
    const before = store.read.bind(store);
    store.read = (from, to, bytesMax) =>
      from === 2 ? Promise.reject(new DamagedEntryError(2, "log", 0, "?")) : before(from, to, bytesMax);
    applier.advance(3);
    await environment.advance(10);
    assertEquals([damages, failures, restored, applier.isBusy, applier.appliedIndex], [[2], [], [], true, 2]);
    assertEquals(applier.doneIndex, 1, "the part is needed");
    // Whatever else is committed meanwhile.
    applier.advance(3);
    await environment.advance(10);
    assertEquals([damages, failures, restored, applier.isBusy], [[2, 2], [], [], true]);
    if (what === "repaired") {
      store.read = before;
      applier.advance(3);
    } else {
      const one = installation(9);
      applier.install(one);
      one.done.resolve();
    }
    await environment.advance(10);
    const [index, from] = what === "repaired" ? [3, []] : [9, [9]];
    assertEquals([applier.appliedIndex, installed, failures, applier.isBusy], [index, from, [], false], what);
    assertEquals(applier.doneIndex, index, what);
    assertEquals(restored, what === "repaired" ? [5] : []);
  }
});

test("Applier.install() of an older snapshot is nothing, of a newer one meanwhile comes next", async () => {
  const { applier, environment, installed } = await setUp(([value]) => value);
  applier.advance(3);
  const older = installation(3);
  applier.install(older);
  const [one, next] = [installation(4), installation(5)];
  applier.install(one);
  applier.install(next);
  await environment.advance(10);
  one.done.resolve();
  next.done.resolve();
  await environment.advance(10);
  assertEquals([older.starts(), one.starts(), next.starts(), applier.appliedIndex], [0, 1, 1, 5]);
  assertEquals([older.releases(), one.releases(), next.releases()], [1, 1, 0], "who restores it lets go of it");
  assertEquals(installed, [4, 5]);
});

test("Applier.install() that fails stops the server", async () => {
  const { applier, environment, failures, applied } = await setUp(([value]) => value);
  const one = installation(2);
  applier.install(one);
  applier.advance(5);
  const error = new Error("no such form");
  one.done.reject(error);
  await environment.advance(10);
  assertEquals([failures, applied], [[error], []]);
});

test("Applier.whenFree() is between two entries: never while one is applied or a snapshot restored (BS14)", async () => {
  const call = deferred<unknown>();
  const { applier, environment } = await setUp(([value]) => value === 2 ? call.promise : value);
  const seen: number[] = [];
  const visit = () => void seen.push(applier.appliedIndex);
  applier.whenFree(visit);
  applier.advance(2);
  applier.whenFree(visit);
  await environment.advance(10);
  assertEquals(seen, [0]);
  const one = installation(4);
  applier.install(one);
  call.resolve(0);
  await environment.advance(10);
  assertEquals(seen, [0]);
  one.done.resolve();
  await environment.advance(10);
  assertEquals(seen, [0, 4]);
});

test("Applier.hold() applies nothing more, and says after which entry; release() goes on", async () => {
  const { applier, applied } = await setUp(([value]) => value);
  const held: number[] = [];
  const visits: number[] = [];
  applier.advance(2);
  applier.hold((index) => held.push(index));
  applier.advance(4);
  // A snapshot of a machine that is to begin anew is of no use.
  applier.whenFree(() => visits.push(applier.appliedIndex));
  assertEquals([held, applied.length, visits], [[2], 2, []]);
  applier.release();
  assertEquals([applied.length, visits], [4, [2]]);
  applier.release();
});

test("Applier.hold() of a busy machine waits for the command under way, and no longer", async () => {
  const results: Deferred<unknown>[] = [];
  const { applier, applied } = await setUp(() => {
    results.push(deferred());
    return results.at(-1)!.promise;
  });
  const held: number[] = [];
  applier.advance(5);
  applier.hold((index) => held.push(index));
  assertEquals(held, []);
  results[0]!.resolve(1);
  await drain();
  assertEquals([held, applied.length, results.length], [[1], 1, 1]);
});

test("Applier.install() of what goes beyond ends the hold: the machine goes on after it", async () => {
  const { applier, applied, installed } = await setUp(([value]) => value);
  applier.advance(2);
  applier.hold(() => {});
  applier.advance(5);
  applier.install(installation(2));
  assertEquals([applier.isInstalling, applied.length], [false, 2]);
  const one = installation(4);
  applier.install(one);
  assertEquals(applier.isInstalling, true);
  one.done.resolve();
  await drain();
  assertEquals([installed, applied.map(({ index }) => index), applier.isInstalling], [[4], [1, 2, 5], false]);
});

test("Applier.hold() that comes while a snapshot is being restored is for a later one", async () => {
  const { applier, applied, installed } = await setUp(([value]) => value);
  const [one, later] = [installation(2), installation(4)];
  applier.install(one);
  const held: number[] = [];
  applier.hold((index) => held.push(index));
  applier.advance(5);
  one.done.resolve();
  await drain();
  assertEquals([held, installed, applied], [[2], [2], []]);
  applier.install(later);
  later.done.resolve();
  await drain();
  assertEquals([installed, applied.map(({ index }) => index)], [[2, 4], [5]]);
});

test("Applier gives everybody their turn after one entry at `slow-apply`, and goes on by itself", async () => {
  const { applier, applied, pauses, environment } = await setUp(([value]) => value);
  const asked: string[] = [];
  environment.buggify = (point) => asked.push(point) > 0;
  applier.advance(3);
  assertEquals([values(applied), pauses], [[1], [1]]);
  // What comes meanwhile changes nothing.
  applier.advance(4);
  assertEquals(values(applied), [1]);
  await environment.advance(0);
  assertEquals([values(applied), pauses], [[1, 2, 3, 4], [1, 2, 3, 4]]);
  // The last one keeps nobody waiting.
  assertEquals(asked, ["slow-apply", "slow-apply", "slow-apply"]);
});

test("Applier goes on at `slow-apply` where nothing is asked for, and stops there when it is closed", async () => {
  const usual = await setUp(([value]) => value);
  usual.environment.buggify = () => false;
  usual.applier.advance(5);
  assertEquals([values(usual.applied), usual.pauses], [[1, 2, 3, 4, 5], [5]]);
  const closed = await setUp(([value]) => value);
  closed.environment.buggify = () => true;
  closed.applier.advance(5);
  closed.applier.close();
  assertEquals(closed.environment.timerCount, 0);
  await closed.environment.advance(10);
  assertEquals(values(closed.applied), [1]);
});

test("Applier takes a snapshot between two entries that `slow-apply` keeps apart", async () => {
  const { applier, applied, environment, installed } = await setUp(([value]) => value);
  environment.buggify = () => true;
  applier.advance(3);
  applier.install({ index: 4, timeMs: 0, restore: () => Promise.resolve(), release() {} });
  assertEquals([values(applied), installed], [[1], []]);
  await environment.advance(0);
  assertEquals([values(applied), installed, applier.appliedIndex], [[1], [4], 4]);
});

test("an Applier that reads what is damaged while a snapshot comes goes on after that to what is committed by then", async () => {
  for (const isDamaged of [true, false]) {
    const { applier, store, cache, applied, damages, failures } = await setUp(([value]) => value, { cachedFrom: 6 });
    store.slowReads = true;
    applier.advance(3);
    await drain();
    const restored = deferred();
    applier.install({ index: 10, timeMs: 0, restore: () => restored.promise, release() {} });
    cache.reset(11);
    cache.append(entries(11, 1, 11, 12));
    applier.advance(12);
    if (isDamaged) store.reading[0]!.reject(new DamagedEntryError(2, "file", 0, "checksum"));
    else store.reading[0]!.resolve();
    await drain();
    restored.resolve();
    await drain();
    assertEquals([values(applied), damages, failures], [[11, 12], isDamaged ? [2] : [], []]);
  }
});
