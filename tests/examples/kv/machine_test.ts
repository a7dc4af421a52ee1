import { assertEquals } from "@std/assert";
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
