import { assertEquals, assertThrows } from "@std/assert";
import { setShortText, shortTextAt } from "../../src/wire/short_text.ts";
import { test } from "../harness.ts";

for (const text of ["", "s1", "zürich-3", "ü", "日本", "a".repeat(255)]) {
  test(`shortTextAt() gives back what setShortText() was given: "${text.slice(0, 12)}"`, () => {
    const bytes = new Uint8Array(300);
    const end = setShortText(bytes, 7, text);
    assertEquals([shortTextAt(bytes, 7), end], [text, 8 + new TextEncoder().encode(text).length]);
  });
}

test("setShortText() refuses what one byte can't count, and what there is no room for", () => {
  assertThrows(() => setShortText(new Uint8Array(300), 0, "a".repeat(256)), RangeError, "255 bytes");
  assertThrows(() => setShortText(new Uint8Array(300), 0, "ü".repeat(128)), RangeError, "255 bytes");
  assertThrows(() => setShortText(new Uint8Array(3), 0, "abc"), RangeError);
});

test("shortTextAt() refuses what is not UTF-8, also after what is ASCII", () => {
  assertThrows(() => shortTextAt(Uint8Array.of(2, 0x61, 0xff), 0), TypeError);
  // A text that is cut off in the middle of a character.
  assertThrows(() => shortTextAt(Uint8Array.of(1, 0xc3, 0xbc), 0), TypeError);
});
