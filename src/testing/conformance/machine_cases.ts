/**
 * What every state machine must do, as cases for any test runner.
 *
 * @module
 */
import { concatenate } from "../../wire/bytes.ts";
import { equal, equalBytes, rejection } from "../case_checks.ts";
import { checkSame, type MachineCase, readAll, Replica, stopsOf, streamOf } from "./machine_support.ts";

const determinismCases: readonly MachineCase[] = [
  {
    name: "apply() gives two replicas with the same entries the same results and the same snapshots",
    async run(harness) {
      const [a, b] = [await Replica.of(harness), await Replica.of(harness)];
      for (const end of stopsOf(harness.commands.length)) {
        equal(await b.applyTo(end), await a.applyTo(end), `results up to command ${end}`);
        await checkSame(a, b, `after ${end} commands`);
      }
    },
  },
  {
    name: "apply() depends neither on the clock nor on chance",
    async run(harness) {
      const [a, b] = [await Replica.of(harness), await Replica.of(harness)];
      const count = harness.commands.length;
      const results = await a.applyTo(count);
      equal(await inAnotherWorld(() => b.applyTo(count)), results, "results");
      equalBytes(await inAnotherWorld(() => b.snapshot()), await a.snapshot(), "the snapshot");
    },
  },
  {
    name: "applyBatch(), where there is one, does what apply() does one by one, wherever batches begin and end",
    async run(harness) {
      const count = harness.commands.length;
      const single = await Replica.of(harness);
      const results = await single.applyTo(count);
      for (const size of [1, 2, 3, count]) {
        const batched = await Replica.of(harness);
        if (batched.machine.applyBatch === undefined) return;
        const outcomes: string[] = [];
        for (let end = 0; end < count;) {
          end = Math.min(count, end + size);
          outcomes.push(...await batched.applyBatchTo(end));
        }
        equal(outcomes, results, `results in batches of ${size}`);
        await checkSame(single, batched, `after batches of ${size}`);
      }
    },
  },
  {
    name: "apply() changes nothing but its own machine",
    async run(harness) {
      const [a, fresh] = [await Replica.of(harness), await Replica.of(harness)];
      const before = await fresh.snapshot();
      await a.applyTo(harness.commands.length);
      equalBytes(await fresh.snapshot(), before, "the snapshot of another machine");
    },
  },
];

const snapshotCases: readonly MachineCase[] = [
  {
    name: "snapshot() and restore() carry the state over at any point of the log",
    async run(harness) {
      const count = harness.commands.length;
      const whole = await Replica.of(harness);
      const results = await whole.applyTo(count);
      for (const stop of stopsOf(count)) {
        const first = await Replica.of(harness);
        await first.applyTo(stop);
        const second = await Replica.from(harness, await first.snapshot(), stop);
        await checkSame(first, second, `restored after ${stop} commands`);
        equal(await second.applyTo(count), results.slice(stop), `results after command ${stop}`);
        await checkSame(whole, second, `restored after ${stop} commands and gone on`);
      }
    },
  },
  {
    name: "restore() replaces the whole state, whatever it was",
    async run(harness) {
      const count = harness.commands.length;
      const all = await Replica.of(harness);
      await all.applyTo(count);
      const later = await all.snapshot();
      for (const stop of stopsOf(count)) {
        const some = await Replica.of(harness);
        await some.applyTo(stop);
        const bytes = await some.snapshot();
        await all.machine.restore(streamOf(bytes, 100));
        equalBytes(await all.snapshot(), bytes, `after restore() of ${stop} commands`);
      }
      await all.machine.restore(streamOf(later, 100));
      equalBytes(await all.snapshot(), later, "after restore() of all commands");
    },
  },
  {
    name: "restore() takes bytes in pieces of any size",
    async run(harness) {
      const count = harness.commands.length;
      const source = await Replica.of(harness);
      await source.applyTo(count);
      const bytes = await source.snapshot();
      for (const pieceBytes of [1, 7, 4_096, Math.max(1, bytes.length)]) {
        const copy = await Replica.from(harness, bytes, count, pieceBytes);
        equalBytes(await copy.snapshot(), bytes, `in pieces of ${pieceBytes}`);
      }
    },
  },
  {
    name: "restore() fails when its stream does",
    async run(harness) {
      const source = await Replica.of(harness);
      await source.applyTo(harness.commands.length);
      const bytes = await source.snapshot();
      for (const length of [0, bytes.length >> 1, bytes.length]) {
        const machine = await harness.create();
        await rejection(async () => await machine.restore(brokenAfter(bytes.slice(0, length)))).catch(() => {
          throw new Error(`restore() took a stream that failed after ${length} of ${bytes.length} bytes`);
        });
      }
    },
  },
];

const captureCases: readonly MachineCase[] = [
  {
    name: "snapshot() fixes the state at once: commands applied before its bytes are read are not in it",
    async run(harness) {
      const count = harness.commands.length;
      for (const stop of stopsOf(count)) {
        const [quiet, busy] = [await Replica.of(harness), await Replica.of(harness)];
        await quiet.applyTo(stop);
        await busy.applyTo(stop);
        const stream = busy.machine.snapshot();
        await busy.applyTo(count);
        equalBytes(await readAll(stream), await quiet.snapshot(), `taken after ${stop} commands`);
      }
    },
  },
  {
    name: "snapshot() may be read while commands are applied, and taken again meanwhile",
    async run(harness) {
      const count = harness.commands.length;
      const [quiet, busy] = [await Replica.of(harness), await Replica.of(harness)];
      const middle = count >> 1;
      await quiet.applyTo(middle);
      await busy.applyTo(middle);
      const first = piecesOf(busy.machine.snapshot());
      const early = await first.next();
      for (let end = middle + 1; end <= count; end++) {
        await busy.applyTo(end);
        await first.next();
      }
      const second = readAll(busy.machine.snapshot());
      while (!(await first.next()).done);
      equalBytes(
        early.value ?? new Uint8Array(0),
        (await quiet.snapshot()).slice(0, early.value?.length ?? 0),
        "early",
      );
      equalBytes(concatenate(first.taken), await quiet.snapshot(), "the first snapshot");
      await quiet.applyTo(count);
      equalBytes(await second, await quiet.snapshot(), "the second snapshot");
    },
  },
  {
    name: "snapshot() may be cancelled, and the machine goes on",
    async run(harness) {
      const count = harness.commands.length;
      const [quiet, busy] = [await Replica.of(harness), await Replica.of(harness)];
      const middle = count >> 1;
      await busy.applyTo(middle);
      await busy.machine.snapshot().cancel();
      const reader = busy.machine.snapshot().getReader();
      await reader.read();
      await reader.cancel();
      equal(await busy.applyTo(count), (await quiet.applyTo(count)).slice(middle), "results");
      await checkSame(quiet, busy, "afterwards");
    },
  },
];

/** Runs with a clock that is wrong and chance that is none. */
async function inAnotherWorld<T>(run: () => Promise<T>): Promise<T> {
  const { now } = Date;
  const { random } = Math;
  let calls = 0;
  Date.now = () => now() + 86_400_000 * ++calls;
  Math.random = () => (++calls % 97) / 97;
  try {
    return await run();
  } finally {
    Date.now = now;
    Math.random = random;
  }
}

function brokenAfter(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let isGiven = bytes.length === 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (isGiven) return controller.error(new Error("The snapshot is damaged"));
      isGiven = true;
      controller.enqueue(bytes);
    },
  }, { highWaterMark: 0 });
}

/** Takes pieces one by one. */
function piecesOf(stream: ReadableStream<Uint8Array>) {
  const reader = stream.getReader();
  const taken: Uint8Array[] = [];
  return {
    taken,
    async next(): Promise<{ readonly done: boolean; readonly value: Uint8Array | undefined }> {
      const { done, value } = await reader.read();
      if (value !== undefined) taken.push(value.slice());
      return { done, value };
    },
  };
}

/** All cases. */
export const machineCases: readonly MachineCase[] = [...determinismCases, ...snapshotCases, ...captureCases];
