import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { crc32c } from "../../src/wire/crc32c.ts";
import { test } from "../harness.ts";

function bitwise(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

test("crc32c() has the published values (RFC 3720, appendix B.4)", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  assertEquals(crc32c(new Uint8Array(0)), 0);
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assertEquals(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assertEquals(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assertEquals(crc32c(ascending), 0x46dd794e);
  assertEquals(crc32c(ascending.toReversed()), 0x113fdb5c);
});

test("crc32c() equals the bit by bit checksum, at any offset and in any pieces", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(200), (bytes, a, b) => {
    const [from, end] = [Math.min(a, b, bytes.length), Math.min(Math.max(a, b), bytes.length)];
    const wanted = bitwise(bytes.subarray(from, end));
    assertEquals(crc32c(bytes, from, end), wanted);
    assertEquals(crc32c(bytes.subarray(from, end)), wanted);
    const middle = (from + end) >>> 1;
    assertEquals(crc32c(bytes, middle, end, crc32c(bytes, from, middle)), wanted);
  }));
});
