import { assert, assertEquals, assertLessOrEqual, assertThrows } from "@std/assert";
import fc from "fast-check";
import { InvariantError } from "../../src/errors.ts";
import { LogCache } from "../../src/store/log_cache.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";

const BYTES_MAX = 600;
const HEADER_BYTES = 48;

type Command =
  | { readonly type: "append"; readonly sizes: readonly number[] }
  | { readonly type: "truncate"; readonly back: number }
  | { readonly type: "durable"; readonly back: number }
  | { readonly type: "applied"; readonly back: number }
  | { readonly type: "compact"; readonly back: number }
  | { readonly type: "reset"; readonly ahead: number };

const commandArbitrary: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant("append" as const), sizes: fc.array(fc.nat(150), { maxLength: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("truncate" as const), back: fc.nat(12) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("durable" as const), back: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("applied" as const), back: fc.nat(6) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("compact" as const), back: fc.integer({ min: -3, max: 12 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reset" as const), ahead: fc.nat(5) }) },
);

/** The same as a plain array of all entries, which never forgets. */
class Model {
  texts = new Map<number, string>();
  firstIndex = 1;
  end = 1;
  durableEnd = 1;
  serial = 0;

  run(cache: LogCache, command: Command): void {
    if (command.type === "append") {
      const texts = command.sizes.map((size) => `${this.serial++}`.padEnd(size, "."));
      cache.append(commandsOf(this.end, 1, ...texts));
      for (const text of texts) this.texts.set(this.end++, text);
    } else if (command.type === "truncate") {
      const index = Math.max(cache.firstIndex - 1, this.end - command.back, this.firstIndex);
      cache.truncateFrom(index);
      this.end = Math.min(this.end, index);
      this.durableEnd = Math.min(this.durableEnd, index);
    } else if (command.type === "durable") {
      cache.durableEnd = this.end - command.back;
      this.durableEnd = Math.max(this.durableEnd, this.end - command.back);
    } else if (command.type === "applied") {
      cache.appliedEnd = this.end - command.back;
    } else if (command.type === "compact") {
      const index = Math.max(1, this.end - command.back);
      cache.compactTo(index);
      this.firstIndex = Math.max(this.firstIndex, index);
      this.end = Math.max(this.end, index);
      this.durableEnd = Math.max(this.durableEnd, index);
    } else {
      this.end += command.ahead;
      this.durableEnd = this.end;
      cache.reset(this.end);
    }
  }

  /** What a read must give: as many as fit, one at least. */
  expected(from: number, end: number, entriesMax: number, bytesMax: number): string[] {
    const found: string[] = [];
    let bytes = 0;
    for (
      let index = from;
      index < Math.min(end, this.end) && (found.length < entriesMax || found.length === 0);
      index++
    ) {
      bytes += HEADER_BYTES + this.texts.get(index)!.length;
      if (bytes > bytesMax && found.length > 0) break;
      found.push(this.texts.get(index)!);
    }
    return found;
  }
}

test("LogCache gives what a plain array would, for as long as it must and may hold it", () => {
  const limits = fc.tuple(fc.nat(9), fc.nat(500), fc.nat(20));
  fc.assert(fc.property(fc.array(fc.tuple(commandArbitrary, limits), { maxLength: 60 }), (commands) => {
    const cache = new LogCache(BYTES_MAX);
    const model = new Model();
    for (const [command, [entriesMax, bytesMax, length]] of commands) {
      model.run(cache, command);
      const { firstIndex, end } = cache;
      assertEquals([end, cache.durableEnd], [model.end, model.durableEnd]);
      assertLessOrEqual(model.firstIndex, firstIndex);
      assertLessOrEqual(firstIndex, Math.max(model.durableEnd, firstIndex === end ? end : 0));
      let bytes = 0;
      for (let index = firstIndex; index < end; index++) {
        bytes += HEADER_BYTES + model.texts.get(index)!.length;
        const records = cache.records(index)!;
        assert(records.from <= index && index < records.end);
        const found = cache.read(index, index + length, entriesMax, bytesMax);
        const expected = model.expected(index, index + length, entriesMax, bytesMax);
        assertEquals(found === undefined ? [] : textsOf(found), expected);
      }
      assertEquals(cache.byteLength, bytes);
      for (const index of [firstIndex - 1, end, end + 1]) {
        assertEquals(cache.read(index, index + 5, 9, 9_999), undefined);
        assertEquals(cache.records(index), undefined);
      }
      // Beyond the limit there is only what can't be forgotten: chunks with an entry that isn't durable.
      if (bytes > BYTES_MAX) assert(cache.records(firstIndex)!.end > model.durableEnd);
    }
  }));
});

test("LogCache keeps what isn't durable, however much it is, and forgets it when it is", () => {
  const cache = new LogCache(100);
  for (let index = 1; index <= 100; index++) cache.append(commandsOf(index, 1, "x".repeat(50)));
  assertEquals([cache.firstIndex, cache.end], [1, 101]);
  cache.durableEnd = 50;
  assertEquals(cache.firstIndex, 50);
  cache.durableEnd = 101;
  assertEquals([cache.firstIndex, cache.end], [100, 101]);
});

test("LogCache forgets what a truncation has left of records that were not all durable", () => {
  const cache = new LogCache(100);
  cache.append(commandsOf(1, 1, ...Array.from({ length: 5 }, () => "x".repeat(50))));
  cache.durableEnd = 5;
  assertEquals([cache.firstIndex, cache.end], [1, 6]);
  cache.truncateFrom(5);
  assertEquals([cache.firstIndex, cache.end, cache.byteLength], [5, 5, 0]);
});

test("LogCache holds a quarter of what is applied, and of all else as much as it may", () => {
  const cache = new LogCache(1_000);
  const bytes = commandsOf(1, 1, "x".repeat(52)).byteLength;
  for (let index = 1; index <= 10; index++) cache.append(commandsOf(index, 1, "x".repeat(52)));
  assertEquals(cache.byteLength, 10 * bytes);
  cache.durableEnd = 11;
  assertEquals(cache.firstIndex, 1, "none of it is applied");
  cache.appliedEnd = 4;
  assertEquals(cache.firstIndex, 4);
  cache.appliedEnd = 11;
  assertEquals(cache.firstIndex, 9, "2 of 100 bytes are a quarter of 1,000; 3 are more");
  cache.appliedEnd = 5;
  assertEquals(cache.firstIndex, 9);
});

test("LogCache keeps what isn't durable although it is applied", () => {
  const cache = new LogCache(1_000);
  for (let index = 1; index <= 8; index++) cache.append(commandsOf(index, 1, "x".repeat(52)));
  cache.appliedEnd = 9;
  assertEquals(cache.firstIndex, 1);
  cache.durableEnd = 9;
  assertEquals(cache.firstIndex, 7);
});

test("LogCache holds so many entries at most, but all that are not durable", () => {
  const cache = new LogCache(Infinity, 1, 5);
  for (let index = 1; index <= 20; index++) cache.append(commandsOf(index, 1, "x"));
  assertEquals(cache.firstIndex, 1);
  cache.durableEnd = 10;
  assertEquals(cache.firstIndex, 10);
  cache.durableEnd = 21;
  assertEquals([cache.firstIndex, cache.end], [16, 21]);
  // Those that came together go together.
  cache.append(commandsOf(21, 1, "x", "y", "z"));
  cache.append(commandsOf(24, 1, "x", "y", "z"));
  cache.durableEnd = 27;
  assertEquals([cache.firstIndex, cache.end], [24, 27]);
});

test("LogCache.append() refuses a gap and an overlap", () => {
  const cache = new LogCache(1_000, 8);
  assertThrows(() => cache.append(commandsOf(9, 1, "x")), InvariantError);
  assertThrows(() => cache.append(commandsOf(7, 1, "x")), InvariantError);
  cache.append(commandsOf(8, 1, "x"));
  assertEquals(textsOf(cache.read(8, 9, 1, 0)!), ["x"]);
});

test("LogCache.read() copies nothing", () => {
  const cache = new LogCache(10_000);
  const records = commandsOf(1, 1, "a", "b", "c");
  cache.append(records);
  const [slice] = cache.read(2, 4, 9, 9_999)!;
  assertEquals(slice.bytes.buffer === records.bytes.buffer, true);
  assertEquals(cache.read(1, 4, 9, 9_999)![0] === records, true);
});
