import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { ChangeLog } from "../../../examples/kv/change_log.ts";
import { type Change, type Command, KvMachine } from "../../../examples/kv/machine.ts";
import { SortedKeys } from "../../../examples/kv/sorted_keys.ts";
import { test } from "../../harness.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const put = (key: string, value: string): Command => ({ op: "put", key, value: bytes(value) });
const remove = (key: string): Command => ({ op: "delete", key });
const cas = (key: string, expect: string | null, value: string): Command => {
  return { op: "cas", key, expect: expect === null ? null : bytes(expect), value: bytes(value) };
};

/** Applies the commands at the indexes 1, 2, …. */
function apply(machine: KvMachine, ...commands: Command[]): boolean[] {
  return commands.map((command) => machine.apply(command, { index: machine.index + 1, term: 1, timeMs: 0 }));
}

function machineWith(...commands: Command[]): KvMachine {
  const machine = new KvMachine();
  apply(machine, ...commands);
  return machine;
}

test("KvMachine keeps values and the index of their last write", () => {
  const machine = machineWith(put("a", "1"), put("b", "2"), put("a", "3"));
  assertEquals(machine.get("a"), { value: bytes("3"), index: 3 });
  assertEquals(machine.get("b"), { value: bytes("2"), index: 2 });
  assertEquals([machine.get("c"), machine.index], [undefined, 3]);
});

test("KvMachine deletes, and says whether there was something", () => {
  const machine = new KvMachine();
  assertEquals(apply(machine, put("a", "1"), remove("a"), remove("a")), [true, true, false]);
  assertEquals([machine.get("a"), machine.index], [undefined, 3]);
});

test("KvMachine compares and sets", () => {
  const cases: [Command[], Command, boolean, string | undefined][] = [
    [[], cas("a", null, "1"), true, "1"],
    [[], cas("a", "", "1"), false, undefined],
    [[put("a", "")], cas("a", "", "1"), true, "1"],
    [[put("a", "")], cas("a", null, "1"), false, ""],
    [[put("a", "1")], cas("a", "1", "2"), true, "2"],
    [[put("a", "1")], cas("a", "2", "3"), false, "1"],
    [[put("a", "1")], cas("a", "12", "3"), false, "1"],
    [[put("a", "12")], cas("a", "1", "3"), false, "12"],
  ];
  for (const [before, command, swapped, after] of cases) {
    const machine = machineWith(...before);
    assertEquals(apply(machine, command), [swapped]);
    assertEquals(machine.get("a")?.value, after === undefined ? undefined : bytes(after));
  }
});

test("KvMachine keeps no bytes that belong to others", () => {
  const buffer = bytes("xhellox");
  const machine = machineWith({ op: "put", key: "a", value: buffer.subarray(1, 6) });
  buffer.fill(0);
  assertEquals(machine.get("a")!.value, bytes("hello"));
  assertEquals(machine.get("a")!.value.buffer.byteLength, 5);
});

test("KvMachine lists keys in order, by prefix, in pages", () => {
  const machine = machineWith(put("b/2", "xx"), put("a", "x"), put("b/1", ""), put("b/3", "x"), put("c", "x"));
  const listing = (prefix: string, after: string | undefined, limit: number) => {
    const { listed, hasMore } = machine.list(prefix, after, limit);
    return [...listed.map(({ key, index, bytes }) => `${key}@${index}:${bytes}`), hasMore];
  };
  assertEquals(listing("", undefined, 9), ["a@2:1", "b/1@3:0", "b/2@1:2", "b/3@4:1", "c@5:1", false]);
  assertEquals(listing("b/", undefined, 2), ["b/1@3:0", "b/2@1:2", true]);
  assertEquals(listing("b/", "b/2", 2), ["b/3@4:1", false]);
  assertEquals(listing("b/", "b/25", 2), ["b/3@4:1", false]);
  assertEquals(listing("b/", "a", 1), ["b/1@3:0", true]);
  assertEquals(listing("b/", "c", 1), [false]);
  assertEquals(listing("d", undefined, 1), [false]);
});

test("KvMachine tells watchers of changes, not of what changed nothing", () => {
  const machine = machineWith(put("a", "0"));
  const seen: Change[] = [];
  const end = machine.watch(undefined, (change) => seen.push(change))!;
  apply(machine, put("a", "1"), remove("b"), cas("a", "0", "2"), cas("a", "1", "2"), remove("a"));
  end();
  apply(machine, put("a", "3"));
  assertEquals(seen, [
    { index: 2, key: "a", value: bytes("1") },
    { index: 5, key: "a", value: bytes("2") },
    { index: 6, key: "a", value: undefined },
  ]);
});

test("KvMachine tells a watcher that comes back what it missed, once", () => {
  const machine = machineWith(put("a", "1"), put("b", "2"), put("c", "3"));
  const seen: number[] = [];
  machine.watch(1, ({ index }) => seen.push(index));
  apply(machine, put("d", "4"));
  assertEquals(seen, [2, 3, 4]);
});

test("KvMachine does not repeat itself to a watcher that was further on another server", () => {
  const machine = machineWith(put("a", "1"));
  const seen: number[] = [];
  machine.watch(3, ({ index }) => seen.push(index));
  apply(machine, put("b", "2"), put("c", "3"), put("d", "4"));
  assertEquals(seen, [4]);
});

test("KvMachine tells a watcher that was away for too long", () => {
  const machine = machineWith(...Array.from({ length: 4097 }, (_, i) => put(`k${i}`, "x")));
  assertEquals(machine.watch(0, () => {}), undefined);
  const seen: number[] = [];
  machine.watch(1, ({ index }) => seen.push(index))!();
  assertEquals([seen.length, seen[0], seen.at(-1)], [4096, 2, 4097]);
});

test("ChangeLog forgets the oldest by bytes, too", () => {
  const log = new ChangeLog();
  const value = new Uint8Array(1024 * 1024);
  for (let index = 1; index <= 20; index++) log.add({ index, key: "k", value });
  assertEquals(log.after(12), undefined);
  assertEquals(log.after(13)!.map(({ index }) => index), [14, 15, 16, 17, 18, 19, 20]);
});

test("ChangeLog gives what came after an index as long as it knows it", () => {
  const log = new ChangeLog();
  for (let index = 1; index <= 20_000; index++) log.add({ index: index * 2, key: "k", value: undefined });
  const first = (20_000 - 4096 + 1) * 2;
  assertEquals(log.after(first - 3), undefined);
  for (const after of [first - 2, first - 1, first, first + 1, 39_998, 39_999, 40_000, 50_000]) {
    const indexes = log.after(after)!.map(({ index }) => index);
    const expected = Array.from({ length: 4096 }, (_, i) => first + 2 * i).filter((index) => index > after);
    assertEquals(indexes, expected);
  }
});

test("SortedKeys lists what a plain set, sorted, would", () => {
  const key = fc.string({ unit: fc.constantFrom("a", "b", "/", "ü", "\u{1f600}"), maxLength: 3 });
  const change = fc.record({ key, isAdded: fc.boolean(), prefix: key, after: fc.option(key, { nil: undefined }) });
  fc.assert(fc.property(fc.array(change), (changes) => {
    const keys = new SortedKeys();
    const model = new Set<string>();
    for (const { key, isAdded, prefix, after } of changes) {
      keys[isAdded ? "add" : "delete"](key);
      model[isAdded ? "add" : "delete"](key);
      const expected = [...model].sort()
        .filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
        .slice(0, 3);
      // Not each time, so that changes gather.
      if (key !== "a") assertEquals(keys.list(prefix, after, 3), expected);
    }
  }));
});

/** All bytes of a stream, of which `between` is called after each piece. */
async function bytesOf(stream: ReadableStream<Uint8Array>, between: () => void = () => {}): Promise<Uint8Array> {
  const pieces: number[] = [];
  for await (const piece of stream) {
    pieces.push(...piece);
    between();
  }
  return new Uint8Array(pieces);
}

function streamOf(bytes: Uint8Array, pieceBytes: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += pieceBytes));
    },
  });
}

const contentOf = (machine: KvMachine) => {
  const { listed } = machine.list("", undefined, 1_000);
  return [machine.index, listed.map(({ key, index }) => [key, index, [...machine.get(key)!.value]])];
};

test("KvMachine.restore() gives what snapshot() took, whatever its pieces", async () => {
  const machine = machineWith(put("b", "2"), put("ä", "é"), put("a", ""), remove("b"), put("c", "3"));
  const bytes = await bytesOf(machine.snapshot());
  for (const pieceBytes of [1, 7, 1_000]) {
    const other = machineWith(put("old", "x"));
    await other.restore(streamOf(bytes, pieceBytes));
    assertEquals(contentOf(other), contentOf(machine));
    assertEquals(apply(other, put("d", "4"), remove("c")), [true, true]);
    assertEquals(other.list("", undefined, 9).listed.map(({ key }) => key), ["a", "d", "ä"]);
  }
});

test("KvMachine.snapshot() of equal states gives equal bytes, however they came about", async () => {
  const one = machineWith(put("a", "1"), put("b", "x"), put("b", "2"), put("c", "3"));
  const other = new KvMachine();
  await other.restore(streamOf(await bytesOf(one.snapshot()), 10));
  assertEquals(await bytesOf(other.snapshot()), await bytesOf(one.snapshot()));
});

test("KvMachine.snapshot() is what it was when it was taken, while everything changes and it is read", async () => {
  const value = "x".repeat(40_000);
  const machine = machineWith(...["a", "b", "c", "d", "e"].map((key) => put(key, value)));
  const expected = await bytesOf(machine.snapshot());
  let changes = 0;
  const bytes = await bytesOf(machine.snapshot(), () => {
    changes++;
    apply(machine, put("c", `changed ${changes}`), remove("d"), put("d", "new"), put("f", "new"), remove("e"));
  });
  assertEquals(bytes, expected);
  assertEquals(changes > 1, true);
  // Two at a time, and one that nobody reads to its end.
  const [first, second] = [machine.snapshot(), machine.snapshot()];
  const before = await bytesOf(machine.snapshot());
  apply(machine, put("c", "again"));
  await second.cancel();
  assertEquals(await bytesOf(first), before);
});

test("KvMachine.snapshot() goes on although another state is restored meanwhile", async () => {
  const machine = machineWith(put("a", "x".repeat(70_000)), put("b", "y"));
  const expected = await bytesOf(machine.snapshot());
  const other = await bytesOf(machineWith(put("b", "other"), put("c", "more"), put("c", "most")).snapshot());
  const reader = machine.snapshot().getReader();
  const pieces = [...(await reader.read()).value!];
  await machine.restore(streamOf(other, 5));
  for (let read = await reader.read(); !read.done; read = await reader.read()) pieces.push(...read.value);
  assertEquals(new Uint8Array(pieces), expected);
});

test("KvMachine.restore() refuses what is no snapshot, or not all of one, and keeps what it had", async () => {
  const bytes = await bytesOf(machineWith(put("a", "1"), put("b", "2")).snapshot());
  const machine = machineWith(put("old", "x"));
  for (const length of [0, 5, 13, 29, bytes.length - 1]) {
    await assertRejects(() => machine.restore(streamOf(bytes.slice(0, length), 9)), Error);
  }
  await assertRejects(
    () => machine.restore(streamOf(bytes.map((byte, i) => i === 1 ? byte ^ 1 : byte), 9)),
    Error,
    "no snapshot",
  );
  assertEquals(machine.get("old")?.index, 1);
});

test("KvMachine.restore() tells watchers what is different, and those that come back that they missed something", async () => {
  const machine = machineWith(put("a", "1"), put("b", "2"));
  const told: Change[] = [];
  machine.watch(undefined, (change) => told.push(change));
  const other = machineWith(put("a", "1"), put("z", "0"), put("c", "3"), put("y", "4"));
  await machine.restore(streamOf(await bytesOf(other.snapshot()), 50));
  assertEquals(told.map(({ key, index, value }) => [key, index, value === undefined]), [
    ["z", 2, false],
    ["c", 3, false],
    ["y", 4, false],
    ["b", 4, true],
  ]);
  assertEquals(machine.watch(4, () => {}), undefined);
  assertEquals(machine.watch(5, () => {}) === undefined, false);
});
