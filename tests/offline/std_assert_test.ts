import {
  assert,
  assertArrayIncludes,
  assertEquals,
  AssertionError,
  assertObjectMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "../harness.ts";

class Broken extends Error {}

test("assert: passes what is equal and fails what isn't, with the reason", () => {
  assertEquals({ a: [1, new Uint8Array([2])] }, { a: [1, new Uint8Array([2])] });
  assertThrows(() => assertEquals<unknown>({ a: 1 }, { a: 2 }), AssertionError);
  assertThrows(() => assertEquals(1, 2, "the count"), AssertionError, "the count");
  assertThrows(() => assert(false, "why"), AssertionError, "why");
});

test("assert: long byte arrays are compared without a diff", () => {
  const bytes = new Uint8Array(5_000);
  const other = bytes.slice();
  assertEquals(bytes, other);
  other[4_999] = 1;
  assertThrows(() => assertEquals(bytes, other));
});

test("assert: includes and matches compare deeply", () => {
  assertArrayIncludes([{ a: 1 }, { a: 2 }], [{ a: 2 }]);
  assertThrows(() => assertArrayIncludes([1], [2]), AssertionError);
  assertObjectMatch({ a: 1, b: { c: 2, d: 3 } }, { b: { c: 2 } });
  assertThrows(() => assertObjectMatch({ a: 1 }, { a: 2 }), AssertionError);
});

test("assert: throws and rejects check class and message, and return the error", async () => {
  const thrown = assertThrows(
    () => {
      throw new Broken("it broke");
    },
    Broken,
    "broke",
  );
  assertEquals(thrown.message, "it broke");
  const rejected = await assertRejects(() => Promise.reject(new Broken("later")), Broken, "later");
  assertEquals(rejected.message, "later");
  assertThrows(() => assertThrows(() => {}), AssertionError);
  await assertRejects(() => assertRejects(() => Promise.resolve()), AssertionError);
  await assertRejects(() => assertRejects(() => Promise.reject(new Error("x")), Broken), AssertionError);
});
