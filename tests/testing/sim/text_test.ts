import { assertEquals } from "@std/assert";
import { textOf } from "../../../src/testing/sim/text.ts";
import { test } from "../../harness.ts";

test("text: equal values have the same, however they were made", () => {
  const same: [unknown, unknown][] = [
    [{ a: 1, b: [2] }, { b: [2], a: 1 }],
    [new Map([["a", 1], ["b", 2]]), new Map([["b", 2], ["a", 1]])],
    [new Set([1, 2]), new Set([2, 1])],
    [new Uint8Array([1, 2]), new Uint8Array([0, 1, 2]).subarray(1)],
    [new RangeError("x"), new RangeError("x")],
    [undefined, undefined],
  ];
  for (const [a, b] of same) assertEquals(textOf(a), textOf(b));
});

test("text: values that differ have another one", () => {
  const values = [
    ...[undefined, null, "null", 0, -0, 0n, "0", NaN, true, "", [], {}, [[]], [undefined], [null]],
    ...[[1, 2], [2, 1], ["1,2"], { a: 1 }, { a: "1" }, { b: 1 }, new Set(["a"]), new Map([["a", 2]])],
    ...[new Uint8Array(1), new Uint8Array(2), new Error("x"), new RangeError("x"), new Error("y"), new Date(5)],
  ];
  const texts = values.map(textOf);
  assertEquals(texts.filter((text, i) => texts.indexOf(text) !== i), []);
});

test("text: what holds itself has an end", () => {
  const self: { me?: unknown } = {};
  self.me = self;
  assertEquals(textOf(self), '{"me":[itself]}');
});
