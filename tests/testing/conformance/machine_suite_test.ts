import { assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import type { ApplyContext, BatchedCommand, BatchedResult } from "../../../src/machine.ts";
import { testMachine } from "../../../src/testing/conformance/machine_suite.ts";
import type { SnapshotMachine } from "../../../src/testing/conformance/machine_support.ts";
import { test } from "../../harness.ts";
import { failuresOf } from "./gather.ts";

type Command = { readonly key: string; readonly value: number };

/** Numbers under keys. Copies all of them for a snapshot. */
class Numbers implements SnapshotMachine<Command, number> {
  protected values: Map<string, number> = new Map();
  protected writes = 0;

  apply({ key, value }: Command, _context: ApplyContext): number {
    if (value < 0) throw new RangeError(`Cannot set "${key}" to ${value}`);
    this.writes++;
    this.values.set(key, (this.values.get(key) ?? 0) + value);
    return this.values.get(key)!;
  }

  snapshot(): ReadableStream<Uint8Array> {
    return streamOfText(this.text());
  }

  async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    this.load(await textOf(bytes));
  }

  protected text(): string {
    return JSON.stringify([this.writes, [...this.values].sort()]);
  }

  protected load(text: string): void {
    const [writes, values] = JSON.parse(text);
    this.writes = writes;
    this.values = new Map(values);
  }
}

function streamOfText(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += 16));
    },
  });
}

async function textOf(bytes: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  const reader = bytes.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
}

const commands: readonly Command[] = Array.from(
  { length: 23 },
  (_, i) => ({ key: `k${i % 7}`, value: i === 9 ? -1 : i }),
);

testMachine(test, { name: "a machine that is right", create: () => new Numbers(), commands });

/** The same, several at once. */
class Batched extends Numbers {
  applyBatch(batch: readonly BatchedCommand<Command>[]): BatchedResult<number>[] {
    return batch.map(({ command, context }) => this.attempt(command, context));
  }

  protected attempt(command: Command, context: ApplyContext): BatchedResult<number> {
    try {
      return { value: this.apply(command, context) };
    } catch (error) {
      return { error };
    }
  }
}

testMachine(test, { name: "a machine that takes several at once", create: () => new Batched(), commands });

let made = 0;

/** Machines with one fault each, and the test that is there for it. */
const faulty: Readonly<Record<string, readonly [make: () => Numbers, finder: string]>> = {
  "returns the time of day": [
    () =>
      new class extends Numbers {
        override apply(command: Command, context: ApplyContext): number {
          return super.apply(command, context) + Date.now() % 2 ** 40;
        }
      }(),
    "clock nor on chance",
  ],
  "keeps what chance gave": [
    () =>
      new class extends Numbers {
        override apply(command: Command, context: ApplyContext): number {
          if (Math.random() > 0.5) this.writes++;
          return super.apply(command, context);
        }
      }(),
    "clock nor on chance",
  ],
  "knows which replica it is": [
    () =>
      new class extends Numbers {
        readonly #number = made++;
        override apply(command: Command, context: ApplyContext): number {
          return super.apply(command, context) + this.#number;
        }
      }(),
    "two replicas",
  ],
  "forgets a part of its state": [
    () =>
      new class extends Numbers {
        protected override text(): string {
          return JSON.stringify([0, [...this.values].sort()]);
        }
        override apply(command: Command, context: ApplyContext): number {
          return super.apply(command, context) + this.writes;
        }
      }(),
    "at any point of the log",
  ],
  "writes its state in the order of its history": [
    () =>
      new class extends Numbers {
        protected override text(): string {
          return JSON.stringify([this.writes, [...this.values]]);
        }
        protected override load(text: string): void {
          const [writes, values] = JSON.parse(text);
          this.writes = writes;
          this.values = new Map(values.reverse());
        }
      }(),
    "at any point of the log",
  ],
  "adds what it restores": [
    () =>
      new class extends Numbers {
        protected override load(text: string): void {
          const before = this.values;
          super.load(text);
          for (const [key, value] of before) if (!this.values.has(key)) this.values.set(key, value);
        }
      }(),
    "replaces the whole state",
  ],
  "takes the first piece for the whole": [
    () =>
      new class extends Numbers {
        override async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
          const reader = bytes.getReader();
          const { value } = await reader.read();
          this.load(new TextDecoder().decode(value));
        }
      }(),
    "pieces of any size",
  ],
  "takes what is there when its stream fails": [
    () =>
      new class extends Numbers {
        override async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
          await super.restore(bytes).catch(() => {});
        }
      }(),
    "fails when its stream does",
  ],
  "reads its state when the snapshot is read": [
    () =>
      new class extends Numbers {
        override snapshot(): ReadableStream<Uint8Array> {
          const text = () => new TextEncoder().encode(this.text());
          return new ReadableStream<Uint8Array>({
            pull(controller) {
              controller.enqueue(text());
              controller.close();
            },
          }, { highWaterMark: 0 });
        }
      }(),
    "fixes the state at once",
  ],
  "applies a batch as the sum of it": [
    () =>
      new class extends Batched {
        override applyBatch(batch: readonly BatchedCommand<Command>[]): BatchedResult<number>[] {
          const results = super.applyBatch(batch);
          return results.map(() => results.at(-1)!);
        }
      }(),
    "where there is one",
  ],
  "forgets in a batch what failed": [
    () =>
      new class extends Batched {
        override applyBatch(batch: readonly BatchedCommand<Command>[]): BatchedResult<number>[] {
          return super.applyBatch(batch).filter((result) => "value" in result);
        }
      }(),
    "where there is one",
  ],
  "applies the rest of a batch only while nothing has failed": [
    () =>
      new class extends Batched {
        override applyBatch(batch: readonly BatchedCommand<Command>[]): BatchedResult<number>[] {
          const at = batch.findIndex(({ command }) => command.value < 0);
          if (at < 0) return super.applyBatch(batch);
          return [...super.applyBatch(batch.slice(0, at + 1)), ...batch.slice(at + 1).map(() => ({ value: 0 }))];
        }
      }(),
    "where there is one",
  ],
  "shares its state among machines": [
    () =>
      new class extends Numbers {
        protected override values: Map<string, number> = shared;
      }(),
    "nothing but its own machine",
  ],
};

const shared: Map<string, number> = new Map();

for (const [what, [create, finder]] of Object.entries(faulty)) {
  test(`testMachine() finds a machine that ${what}`, async () => {
    shared.clear();
    const failed = await failuresOf((register) => testMachine(register, { name: "faulty", create, commands }));
    assertEquals(failed.filter((name) => name.includes(finder)).length, 1, failed.join("\n"));
  });
}

test("testMachine() has a test for each of these faults, and refuses to run with too few commands", async () => {
  const failed = await failuresOf((register) =>
    testMachine(register, {
      name: "broken",
      create: () => Promise.reject(new Error("no machine")),
      commands,
    })
  );
  assertGreaterOrEqual(failed.length, 10);
  assertThrows(
    () => testMachine(() => {}, { name: "x", create: () => new Numbers(), commands: commands.slice(0, 3) }),
    RangeError,
    "at least 4",
  );
});
