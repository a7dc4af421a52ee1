import { assertEquals, assertThrows } from "@std/assert";
import { decode, encode, type ValueType } from "@std/msgpack";
import { test } from "../harness.ts";

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What @std/msgpack writes. A change here is a change of the wire and disk formats.
const GOLDEN: readonly (readonly [ValueType, string])[] = [
  [null, "c0"],
  [false, "c2"],
  [true, "c3"],
  [0, "00"],
  [127, "7f"],
  [128, "cc80"],
  [255, "ccff"],
  [256, "cd0100"],
  [65_535, "cdffff"],
  [65_536, "ce00010000"],
  [2 ** 32 - 1, "ceffffffff"],
  [2 ** 32, "cb41f0000000000000"],
  [Number.MAX_SAFE_INTEGER, "cb433fffffffffffff"],
  [-1, "ff"],
  [-32, "e0"],
  [-33, "d0df"],
  [-128, "d080"],
  [-129, "d1ff7f"],
  [-32_769, "d2ffff7fff"],
  [-(2 ** 31), "d280000000"],
  [-(2 ** 31) - 1, "cbc1e0000000200000"],
  [1.5, "cb3ff8000000000000"],
  [0n, "cf0000000000000000"],
  [2n ** 64n - 1n, "cfffffffffffffffff"],
  [-1n, "d3ffffffffffffffff"],
  ["", "a0"],
  ["a", "a161"],
  ["é", "a2c3a9"],
  ["x".repeat(32), "d920" + "78".repeat(32)],
  ["x".repeat(256), "da0100" + "78".repeat(256)],
  [new Uint8Array([]), "c400"],
  [new Uint8Array([1, 2]), "c4020102"],
  [new Uint8Array(256), "c50100" + "00".repeat(256)],
  [[], "90"],
  [[1, "a", null], "9301a161c0"],
  [Array<number>(16).fill(7), "dc0010" + "07".repeat(16)],
  [{}, "80"],
  [{ a: 1, b: [true] }, "82a16101a16291c3"],
];

test("msgpack: writes the bytes @std/msgpack writes, and reads them back", () => {
  for (const [value, bytes] of GOLDEN) {
    assertEquals(hex(encode(value)), bytes);
    assertEquals(decode(encode(value)), value);
  }
});

test("msgpack: long lengths take 16 and 32 bits", () => {
  assertEquals(hex(encode("x".repeat(65_536)).subarray(0, 5)), "db00010000");
  assertEquals(hex(encode(new Uint8Array(65_536)).subarray(0, 5)), "c600010000");
  assertEquals(hex(encode(Array<null>(65_536).fill(null)).subarray(0, 5)), "dd00010000");
  const map = Object.fromEntries(Array.from({ length: 16 }, (_, key) => [`k${key}`, key]));
  assertEquals(hex(encode(map).subarray(0, 3)), "de0010");
  assertEquals(decode(encode(map)), map);
});

test("msgpack: a lone surrogate becomes U+FFFD, as in TextEncoder", () => {
  assertEquals(hex(encode("\ud800")), "a3efbfbd");
  assertEquals(hex(encode([{ "k\udc00": "\ud800" }])), "9181a46befbfbda3efbfbd");
});

test("msgpack: refuses what has no MessagePack form", () => {
  for (const value of [undefined, () => 1, Symbol("s"), new Date(0), new Map(), new Uint16Array(1), [undefined]]) {
    assertThrows(() => encode(value as unknown as ValueType), Error);
  }
  assertThrows(() => encode(2n ** 64n), Error);
  assertThrows(() => encode(-(2n ** 63n) - 1n), Error);
});

test("msgpack: byte strings are views of the input", () => {
  const bytes = encode([new Uint8Array([1])]);
  const [view] = decode(bytes) as [Uint8Array];
  bytes[bytes.length - 1] = 9;
  assertEquals(view, new Uint8Array([9]));
});

test("msgpack: reads a view into a larger buffer", () => {
  const bytes = encode([1, "a", 2.5]);
  const buffer = new Uint8Array(bytes.length + 8).fill(0xc1);
  buffer.set(bytes, 4);
  assertEquals(decode(buffer.subarray(4, 4 + bytes.length)), [1, "a", 2.5]);
});

test("msgpack: every proper prefix of a value is refused, and so are trailing bytes", () => {
  const bytes = encode({ list: [1, 300, 70_000, 2 ** 40, -5n], text: "x".repeat(40), bytes: new Uint8Array(300) });
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => decode(bytes.subarray(0, length)));
  }
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  assertThrows(() => decode(longer), EvalError);
});

test("msgpack: headers that claim more than there is cost nothing", () => {
  for (const head of [0xdd, 0xdf, 0xc6, 0xdb]) {
    assertThrows(() => decode(new Uint8Array([head, 0xff, 0xff, 0xff, 0xff])));
  }
  // Each level claims all the bytes that are left: allocating what a header asks for would take gigabytes.
  const bomb = new Uint8Array(1_000_000);
  const view = new DataView(bomb.buffer);
  for (let at = 0; at + 5 <= bomb.length; at += 5) {
    view.setUint8(at, 0xdd);
    view.setUint32(at + 1, bomb.length - at - 5);
  }
  assertThrows(() => decode(bomb));
});

test("msgpack: a million nested arrays or maps are an error, not a stack overflow", () => {
  assertThrows(() => decode(new Uint8Array(1_000_000).fill(0x91)));
  const maps = new Uint8Array(1_000_000);
  for (let at = 0; at < maps.length; at++) maps[at] = at % 2 === 0 ? 0x81 : 0x01;
  assertThrows(() => decode(maps));
  let deep: ValueType = [];
  for (let depth = 0; depth < 100_000; depth++) deep = [deep];
  assertThrows(() => encode(deep));
});

test("msgpack: nesting of a few hundred levels passes", () => {
  let deep: ValueType = 1;
  for (let depth = 0; depth < 500; depth++) deep = [deep];
  assertEquals(hex(encode(decode(encode(deep)))), hex(encode(deep)));
});

test("msgpack: extension types and the unused type are refused", () => {
  for (const bytes of [[0xd4, 1, 2], [0xc7, 1, 1, 1], [0xd6, 0xff, 0, 0, 0, 0], [0xc1], [0x91, 0xd4, 1, 2]]) {
    assertThrows(() => decode(new Uint8Array(bytes)));
  }
});

test("msgpack: a map key is a string or a number", () => {
  assertEquals(decode(new Uint8Array([0x81, 0x01, 0x02])), { 1: 2 });
  assertThrows(() => decode(new Uint8Array([0x81, 0xc0, 0x02])), EvalError);
});
