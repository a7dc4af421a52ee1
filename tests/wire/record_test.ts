import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { InvariantError, ProtocolError } from "../../src/errors.ts";
import { EntryType } from "../../src/types.ts";
import { encodeConfiguration } from "../../src/wire/configuration.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import {
  configurationsOf,
  decodeRecords,
  digestOfWhole,
  encodeRecords,
  type EntryParts,
  RecordFlag,
  recordRoom,
  Records,
  termRunsOf,
} from "../../src/wire/record.ts";
import type { Room } from "../../src/wire/room.ts";
import { test } from "../harness.ts";
import { toHex } from "../hex.ts";

const entryArbitrary: fc.Arbitrary<EntryParts> = fc.record({
  type: fc.constantFrom(...Object.values(EntryType)),
  payload: fc.uint8Array({ maxLength: 60 }),
  extensions: fc.uint8Array({ maxLength: 20 }),
  flags: fc.constantFrom(0, RecordFlag.raw),
});

const integerArbitrary = fc.oneof(
  fc.nat(),
  fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1),
  fc.integer({ min: 0, max: 2 ** 53 - 1_000 }),
);

/** Records of several terms. */
function log(): Records {
  const parts = [
    encodeRecords(5, 2, 10, [{ type: EntryType.noop, payload: new Uint8Array(0) }]),
    encodeRecords(6, 2, 10, [{ type: EntryType.command, payload: new Uint8Array([1, 2, 3]), flags: RecordFlag.raw }]),
    encodeRecords(7, 3, 11, [
      { type: EntryType.command, payload: new Uint8Array(70).fill(9) },
      {
        type: EntryType.command,
        payload: new Uint8Array([4]),
        flags: RecordFlag.client,
        extensions: new Uint8Array(9),
      },
    ]),
  ];
  return decodeRecords(joined(parts), 5);
}

function joined(parts: readonly Records[]): Uint8Array {
  return Uint8Array.from(parts.flatMap(({ bytes }) => [...bytes]));
}

/** The same bytes with the checksums made right again. */
function resigned(bytes: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const changed = bytes.slice();
  change(changed);
  const view = new DataView(changed.buffer);
  view.setUint32(40, crc32c(changed, 48), true);
  view.setUint32(0, crc32c(changed, 4, 48), true);
  return changed;
}

test("encodeRecords() writes the bytes that the format says", () => {
  const extensions = new Uint8Array([0xee]);
  const payload = new Uint8Array([0xaa, 0xbb]);
  const { bytes } = encodeRecords(2 ** 32 + 7, 3, 0x0102_0304_0506, [{
    type: EntryType.barrier,
    payload,
    extensions,
    flags: RecordFlag.raw | RecordFlag.client,
  }]);
  assertEquals(
    toHex(bytes),
    "9237023d" + "04" + "03" + "0000" + "02000000" + "01000000" + "0700000001000000" + "0300000000000000" +
      "0605040302010000" + "83d70f20" + "00000000" + "aabb" + "ee",
  );
});

test("decodeRecords() gives back what encodeRecords() was given", () => {
  fc.assert(fc.property(
    fc.array(entryArbitrary, { maxLength: 8 }),
    integerArbitrary,
    integerArbitrary,
    integerArbitrary,
    (entries, index, term, timeMs) => {
      const from = index + 1;
      const encoded = encodeRecords(from, term, timeMs, entries);
      const records = decodeRecords(encoded.bytes, from);
      assertEquals([records.from, records.end, records.count], [from, from + entries.length, entries.length]);
      assertEquals(records.offsets, encoded.offsets);
      assertEquals(digestOfWhole(encoded.bytes), encoded.digest());
      entries.forEach(({ type, payload, extensions, flags }, i) => {
        const at = from + i;
        assertEquals([records.type(at), records.flags(at), records.term(at)], [type, flags, term]);
        assertEquals(records.timeMs(at), timeMs);
        assertEquals(records.payload(at), payload);
        assertEquals(records.extensions(at), extensions);
      });
    },
  ));
});

test("decodeRecords() detects every flipped bit and every cut", () => {
  const { bytes } = log();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    assertThrows(() => decodeRecords(damaged, 5), ProtocolError);
    assertEquals(digestOfWhole(damaged), undefined);
  }
  const ends = new Set(log().offsets);
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    if (ends.has(length)) assertEquals(decodeRecords(cut, 5).byteLength, length);
    else assertThrows(() => decodeRecords(cut, 5), ProtocolError);
  }
});

test("decodeRecords() refuses what has the right checksums but says what can't be", () => {
  const good = encodeRecords(1, 1, 1, [{ type: EntryType.command, payload: new Uint8Array(4) }]).bytes;
  const changes: readonly [number, number, string][] = [
    [4, 2, "type 2"],
    [4, 200, "type 200"],
    [5, 4, "flags 4"],
    [5, 2, "client block is missing"],
    [6, 1, "reserved"],
    [7, 1, "reserved"],
    [47, 1, "reserved"],
    [16, 2, "index is 2"],
    [23, 0x80, "index is"],
    [30, 0x20, "term is out of range"],
    [39, 1, "time is out of range"],
    [8, 5, "payload is cut off"],
    [11, 0xff, "payload is cut off"],
    [15, 0xff, "payload is cut off"],
  ];
  for (const [at, value, message] of changes) {
    const bad = resigned(good, (bytes) => void (bytes[at] = value));
    assertThrows(() => decodeRecords(bad, 1), ProtocolError, message);
  }
  assertThrows(() => decodeRecords(good, 2), ProtocolError, "index is 1");
});

test("decodeRecords() refuses gaps, terms that go down and time that runs back", () => {
  const entry = [{ type: EntryType.command, payload: new Uint8Array(1) }];
  const first = encodeRecords(1, 5, 5, entry);
  for (
    const [next, message] of [
      [encodeRecords(3, 5, 5, entry), "its index is 3"],
      [encodeRecords(1, 5, 5, entry), "its index is 1"],
      [encodeRecords(2, 4, 5, entry), "its term 4 is below 5"],
      [encodeRecords(2, 6, 4, entry), "its time 4 is before 5"],
    ] as const
  ) {
    assertThrows(() => decodeRecords(joined([first, next]), 1), ProtocolError, message);
  }
  assertEquals(decodeRecords(joined([first, encodeRecords(2, 5, 5, entry)]), 1).count, 2);
});

test("decodeRecords() never answers random bytes with anything but a ProtocolError", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
    assertThrows(() => decodeRecords(bytes, 1), ProtocolError);
  }));
});

test("encodeRecords() refuses flags that couldn't be read again", () => {
  const payload = new Uint8Array(0);
  for (const flags of [4, RecordFlag.client, 256]) {
    assertThrows(() => encodeRecords(1, 1, 1, [{ type: EntryType.noop, payload, flags }]), InvariantError);
  }
});

test("Records.slice() is a view on the same bytes that knows its place", () => {
  const whole = log();
  for (let from = whole.from; from <= whole.end; from++) {
    for (let end = from; end <= whole.end; end++) {
      const slice = whole.slice(from, end).slice(from, end);
      assertEquals([slice.from, slice.end], [from, end]);
      assertStrictEquals(slice.bytes.buffer, whole.bytes.buffer);
      assertEquals(slice.byteLength, whole.offsets[end - 5] - whole.offsets[from - 5]);
      assertEquals(decodeRecords(slice.bytes, from).offsets, slice.offsets);
      for (let at = from; at < end; at++) assertEquals(slice.payload(at), whole.payload(at));
    }
  }
  assertThrows(() => whole.slice(4, 6), RangeError);
  assertThrows(() => whole.slice(7, 6), RangeError);
  assertThrows(() => whole.slice(5, 10), RangeError);
});

test("Records refuses an index outside", () => {
  const slice = log().slice(6, 8);
  for (const index of [5, 8, NaN]) {
    assertThrows(() => slice.term(index), RangeError);
    assertThrows(() => slice.payload(index), RangeError);
  }
});

test("Records.fit() is the longest prefix within both limits", () => {
  const whole = log();
  for (const records of [whole, whole.slice(6, 9), whole.slice(6, 6)]) {
    for (let entriesMax = 0; entriesMax <= 5; entriesMax++) {
      for (let bytesMax = 0; bytesMax <= whole.byteLength + 1; bytesMax++) {
        let end = Math.min(records.end, records.from + 1);
        while (
          end < records.end && end - records.from < entriesMax &&
          records.slice(records.from, end + 1).byteLength <= bytesMax
        ) end++;
        assertEquals(records.fit(entriesMax, bytesMax), end);
      }
    }
  }
  assertEquals(whole.fit(Infinity, Infinity), whole.end);
});

test("termRunsOf() gives each term once, with its first index", () => {
  assertEquals(termRunsOf(log()), [{ term: 2, from: 5 }, { term: 3, from: 7 }]);
  assertEquals(termRunsOf(log().slice(6, 7)), [{ term: 2, from: 6 }]);
  assertEquals(termRunsOf(log().slice(6, 6)), []);
});

test("configurationsOf() finds and decodes the configurations", () => {
  const configuration = { servers: [{ id: "a", address: "a:1", suffrage: "voter" as const }] };
  const records = encodeRecords(3, 1, 1, [
    { type: EntryType.noop, payload: new Uint8Array(0) },
    { type: EntryType.configuration, payload: encodeConfiguration(configuration) },
    { type: EntryType.command, payload: encodeConfiguration(configuration) },
  ]);
  assertEquals(configurationsOf(records), [{ index: 4, configuration }]);
  const bad = encodeRecords(3, 1, 1, [{ type: EntryType.configuration, payload: new Uint8Array(3) }]);
  assertThrows(() => configurationsOf(bad), ProtocolError);
  assert(bad instanceof Records);
});

test("encodeRecords() writes the same bytes to room that others share, and leaves those of the others alone", () => {
  const room = recordRoom();
  const sizes = [0, 1, 300, 4_000, 4_048, 4_049, 70_000, 5, ...Array<number>(40).fill(3_000)];
  const encode = (size: number, at: number, room?: Room) =>
    encodeRecords(at + 1, 1, 7, [{ type: EntryType.command, payload: new Uint8Array(size).fill(at + 1) }], room);
  const shared = sizes.map((size, at) => encode(size, at, room));
  shared.forEach((records, at) => {
    assertEquals([...records.bytes], [...encode(sizes[at]!, at).bytes]);
    const { buffer } = records.bytes;
    assert(records.byteLength <= 4_096 ? buffer.byteLength === 65_536 : buffer.byteLength === records.byteLength);
  });
});
