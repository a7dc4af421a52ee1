import { assert, assertEquals } from "@std/assert";
import { decode, encode } from "@std/msgpack";
import fc from "fast-check";
import { decodeEnvelope, encodeEnvelope, type EnvelopeItem } from "../../src/wire/envelope.ts";
import { test } from "../harness.ts";
import { toHex } from "../hex.ts";

/** Around every size that an integer is written in. */
const edges = [
  0,
  -0,
  0x7f,
  0x80,
  0xff,
  0x100,
  0xffff,
  0x1_0000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  2 ** 32,
  2 ** 53 - 1,
];
const anyItem: fc.Arbitrary<EnvelopeItem> = fc.oneof(
  fc.constantFrom(...edges, -1, 0.5, true, false, null, "", "a"),
  fc.nat(),
  fc.string({ maxLength: 80 }),
);
const anyItems = fc.array(anyItem, { maxLength: 18 });

/** What there is between two bytes of others; undefined when it can't be decoded. */
function tryDecode(bytes: Uint8Array): unknown {
  const around = new Uint8Array([0x91, ...bytes, 0x01]);
  try {
    return { value: decodeEnvelope(around, 1, 1 + bytes.length) };
  } catch {
    return undefined;
  }
}

function tryLibrary(bytes: Uint8Array): unknown {
  try {
    return { value: decode(bytes) };
  } catch {
    return undefined;
  }
}

test("encodeEnvelope() writes the bytes of @std/msgpack, and their length", () => {
  fc.assert(fc.property(anyItems, (items) => {
    const library = encode(items);
    fc.pre(library.length < 0x1_0000);
    const bytes = encodeEnvelope(items);
    assertEquals(bytes[0]! | bytes[1]! << 8, library.length);
    assertEquals(toHex(bytes.subarray(2)), toHex(library));
  }));
  for (const item of edges) assertEquals(toHex(encodeEnvelope([item]).subarray(2)), toHex(encode([item])));
});

test("decodeEnvelope() reads what @std/msgpack reads, and refuses what it refuses", () => {
  fc.assert(fc.property(anyItems, (items) => assertEquals(tryDecode(encode(items)), tryLibrary(encode(items)))));
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 24 }),
    fc.array(fc.constantFrom(0x00, 0x7f, 0x90, 0x92, 0x9f, 0xc0, 0xc1, 0xc3, 0xcc, 0xcd, 0xce, 0xcf, 0xff), {
      maxLength: 12,
    })
      .map((bytes) => new Uint8Array([0x90 + bytes.length % 16, ...bytes])),
  );
  fc.assert(fc.property(anyBytes, (bytes) => assertEquals(tryDecode(bytes), tryLibrary(bytes))), { numRuns: 2_000 });
});

test("decodeEnvelope() never reads on where the envelope ends", () => {
  for (const items of [[1], [200], [70_000], [2 ** 31, true, null]]) {
    const whole = encode(items);
    for (let length = 0; length < whole.length; length++) {
      const frame = new Uint8Array([...whole, 1, 1, 1, 1, 1]);
      let isRefused = false;
      try {
        decodeEnvelope(frame, 0, length);
      } catch {
        isRefused = true;
      }
      assert(isRefused, `the first ${length} of ${whole.length} bytes passed for a whole envelope`);
    }
  }
});
