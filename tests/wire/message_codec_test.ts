import { assert, assertEquals, assertThrows } from "@std/assert";
import { encode } from "@std/msgpack";
import fc from "fast-check";
import { ProtocolError } from "../../src/errors.ts";
import { joinParts } from "../../src/wire/bytes.ts";
import { encodeConfiguration } from "../../src/wire/configuration.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { type DecodedMessage, decodeMessage, encodeMessage } from "../../src/wire/message_codec.ts";
import { encodeChanges } from "../../src/wire/change_codec.ts";
import { encodeRecords } from "../../src/wire/record.ts";
import { test } from "../harness.ts";
import { fromHex, toHex } from "../hex.ts";
import { anySample, appendSample, GOLDEN, type Sample } from "./messages.ts";

const frameOf = ({ message, attachment }: Sample) => joinParts(encodeMessage(message, attachment));

/** A frame with any envelope. */
function frameAround(envelope: Uint8Array, attachment: Uint8Array = new Uint8Array(0)): Uint8Array {
  return joinParts([new Uint8Array([envelope.length & 0xff, envelope.length >>> 8]), envelope, attachment]);
}

type Value = Parameters<typeof encode>[0];
const frameOfItems = (items: Value, attachment?: Uint8Array) => frameAround(encode(items), attachment);

/** Decodes, or says that it can't be done; anything else that is thrown fails the test. */
function tryDecode(frame: Uint8Array): DecodedMessage | undefined {
  try {
    return decodeMessage(frame);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function refuses(frame: Uint8Array, includes = ""): void {
  assertThrows(() => decodeMessage(frame), ProtocolError, includes);
}

test("decodeMessage() reads back every message that encodeMessage() writes", () => {
  fc.assert(fc.property(anySample, (sample) => {
    const decoded = decodeMessage(frameOf(sample));
    assertEquals(decoded.message, sample.message);
    assertEquals(decoded.commands, sample.commands);
    if (decoded.chunk !== undefined) assertEquals([...decoded.chunk], [...sample.attachment[0]]);
    if (decoded.records !== undefined) assertEquals([...decoded.records.bytes], [...joinParts(sample.attachment)]);
  }));
});

test("encodeMessage() writes the bytes it always wrote", () => {
  for (const [sample, hex] of GOLDEN) assertEquals(toHex(frameOf(sample)), hex, sample.message.type);
});

test("decodeMessage() reads the bytes that were always written", () => {
  for (const [sample, hex] of GOLDEN) assertEquals(decodeMessage(fromHex(hex)).message, sample.message);
});

test("decodeMessage() takes a golden frame with one byte changed for another valid message or refuses it", () => {
  for (const [sample] of GOLDEN) {
    const frame = frameOf(sample);
    for (let at = 0; at < frame.length; at++) {
      for (const change of [0x01, 0x10, 0x80, 0xff]) {
        const changed = frame.slice();
        changed[at] ^= change;
        const decoded = tryDecode(changed);
        if (decoded !== undefined) assertIsWhole(decoded);
      }
    }
  }
});

/** Whether the message ends in words, of any length: the frame's own checksum covers them. */
function hasWords({ message }: Sample): boolean {
  return message.type === "change-response" && message.refusal !== undefined;
}

function assertIsWhole({ message, records, commands, changes, chunk }: DecodedMessage): void {
  // What was decoded can be encoded and says the same again, so every field has its type and range.
  let attachment = records === undefined ? [] : [records.bytes];
  if (changes !== undefined) attachment = [encodeChanges(changes)];
  if (chunk !== undefined) attachment = [chunk];
  if (message.type === "snapshot-request") attachment = [encodeConfiguration(message.configuration)];
  if (commands === undefined) assertEquals(decodeMessage(frameOf({ message, attachment })).message, message);
}

test("decodeMessage() refuses a golden frame that is cut off anywhere", () => {
  for (const [sample] of GOLDEN) {
    const frame = frameOf(sample);
    const envelopeEnd = 2 + frame[0] + 256 * frame[1];
    for (let length = 0; length < frame.length; length++) {
      // An append without its records is a heartbeat: here the frame's own length and checksum tell.
      if (length === envelopeEnd && sample.message.type === "append-request") continue;
      if (length >= envelopeEnd && hasWords(sample)) continue;
      refuses(frame.subarray(0, length));
    }
  }
});

test("decodeMessage() refuses bytes after a message that has no attachment", () => {
  for (const [sample] of GOLDEN) if (!hasWords(sample)) refuses(joinParts([frameOf(sample), new Uint8Array(1)]));
  const words = { reason: "invalid", detail: "x".repeat(1_001), begun: false } as const;
  const response = { type: "change-response", term: 1, id: 1, index: undefined, refusal: words } as const;
  const { message } = decodeMessage(joinParts(encodeMessage(response)));
  assertEquals(message, { ...response, refusal: { ...words, detail: "x".repeat(1_000) } });
  refuses(joinParts([frameOf({ message: response, attachment: [] }), new Uint8Array(2_001)]), "too long");
});

test("decodeMessage() survives any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void tryDecode(bytes)));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 256 }), (bytes) => void tryDecode(frameAround(bytes))));
});

test("decodeMessage() refuses envelopes that would cost more than they bring", () => {
  refuses(frameAround(new Uint8Array(257)), "exceeds 256");
  refuses(new Uint8Array([0xff, 0xff, 1, 2]), "exceeds 256");
  refuses(new Uint8Array([200, 0, 1]), "cut off");
  refuses(frameAround(new Uint8Array(256).fill(0x91)), "Cannot decode a message"); // arrays in arrays
  const announced: readonly number[][] = [
    [0xdd, 0xff, 0xff, 0xff, 0xff, 1], // an array of 2³² − 1
    [0xdf, 0xff, 0xff, 0xff, 0xff, 1], // a map
    [0xdb, 0xff, 0xff, 0xff, 0xff, 1], // a string
    [0xc6, 0xff, 0xff, 0xff, 0xff, 1], // bytes
    [0xc9, 0xff, 0xff, 0xff, 0xff, 1], // an extension
    [0xc1],
    [],
  ];
  for (const bytes of announced) refuses(frameAround(new Uint8Array(bytes)));
});

test("decodeMessage() refuses envelopes that are no arrays of a known message", () => {
  const values: readonly Value[] = [
    5,
    "5",
    null,
    true,
    {},
    { 0: 5, 1: 4 },
    { __proto__: null },
    new Uint8Array([5]),
    [],
    [[5, 4]],
  ];
  for (const value of values) refuses(frameOfItems(value));
  for (const number of [0, 18, 255, 2 ** 53, -5, 5.5, "5"]) refuses(frameOfItems([number, 4]));
});

test("decodeMessage() refuses items of wrong type or range", () => {
  const bad: readonly Value[] = [
    ...["5", 1.5, NaN, Infinity, -Infinity, -1, 2 ** 53, 2 ** 64, null, true, [], [4], {}],
    ...[4n, 2n ** 64n - 1n, -1n, new Uint8Array([4]), "", "__proto__"],
  ];
  for (const value of bad) {
    refuses(frameOfItems([5, value])); // a timeout-now of that term
    refuses(frameOfItems([4, 4, value, 7, 8]));
    refuses(frameOfItems([3, 4, 9, 5, 2, value, 7]));
    if (value !== true) refuses(frameOfItems([2, 4, value, 4, true]));
    if (value !== null) refuses(frameOfItems([7, 4, 1, value]));
  }
  refuses(frameAround(new Uint8Array([0x92, 5, 0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0]))); // −0
  for (const value of [0, 1, "true", null, []]) refuses(frameOfItems([2, 4, value, 4, true]));
});

test("decodeMessage() refuses too few and too many items", () => {
  for (const [sample] of GOLDEN) {
    const { length } = frameOf({ ...sample, attachment: [] });
    const envelope = frameOf(sample).slice(2, length);
    const count = envelope[0] & 0x0f;
    for (const wrong of [count - 1, count + 1]) {
      // One more is one item more to read; one less leaves the rest behind.
      const items = joinParts([new Uint8Array([0x90 | wrong]), envelope.subarray(1), new Uint8Array([0x01])]);
      refuses(frameAround(items.subarray(0, wrong > count ? items.length : items.length - 1)));
    }
  }
  refuses(frameOfItems([5]), "term is missing");
  refuses(frameOfItems([5, 4, 4]), "too many");
  refuses(frameOfItems([5, null]));
});

test("decodeMessage() refuses leaders that are no server ids", () => {
  const ids = ["", "a b", "a/b", "ä", "a\0", "\u202Ea", "x".repeat(65), "../a", "a\n", "\uFFFD"];
  for (const id of ids) refuses(frameOfItems([9, 4, 5, 0, 0, 1, id]), "leader");
  const badText = encode([9, 4, 5, 0, 0, 1, "ab"]);
  badText[badText.length - 1] = 0xff; // no UTF-8
  refuses(frameAround(badText));
  for (const id of ["__proto__", "constructor", "x".repeat(64)]) {
    assertEquals(tryDecode(frameOfItems([9, 4, 5, 0, 0, 1, id]))?.message.type, "forward-response");
  }
});

test("decodeMessage() refuses answers that contradict themselves", () => {
  refuses(frameOfItems([9, 4, 5, 8, 4, 1, null]), "contradict");
  refuses(frameOfItems([9, 4, 5, 8, 0, 0, null]), "contradict");
  refuses(frameOfItems([9, 4, 5, 0, 0, 5, null]), "refusal");
  refuses(frameOfItems([4, 4, 9, 7, 1, 5, 4, 3]), "matches nothing");
  refuses(frameOfItems([4, 4, 9, 7, 0, 5, 6, 3]), "hintIndex");
});

test("decodeMessage() refuses positions that no log has", () => {
  refuses(frameOfItems([1, 4, false, 0, 1, false]), "lastIndex 0");
  refuses(frameOfItems([1, 4, false, 1, 0, false]), "lastIndex 1");
  refuses(frameOfItems([1, 4, false, 9, 5, false]), "lastTerm 5 exceeds");
  refuses(frameOfItems([3, 4, 9, 5, 5, 3, 7]), "prevTerm 5 exceeds");
  refuses(frameOfItems([3, 0, 9, 0, 0, 0, 7]), "term 0");
  refuses(frameOfItems([3, 4, 9, 2 ** 53 - 1, 4, 3, 7]), "too large");
  assertEquals(tryDecode(frameOfItems([3, 4, 9, 5, 4, 2 ** 53 - 2 ** 33, 7]))?.message.type, "append-request");
});

test("decodeMessage() takes an append of protocol 1, which says nothing of leases, for one that counts on promises", () => {
  const isLeased = (...more: (boolean | number)[]) => {
    const message = tryDecode(frameOfItems([3, 4, 9, 5, 4, 3, 7, ...more]))?.message;
    return message?.type === "append-request" ? message.isLeased : undefined;
  };
  assertEquals([isLeased(), isLeased(true), isLeased(false)], [true, true, false]);
  refuses(frameOfItems([3, 4, 9, 5, 4, 3, 7, 0]), "isLeased");
  refuses(frameOfItems([3, 4, 9, 5, 4, 3, 7, false, false]));
});

test("decodeMessage() refuses entries that can't follow or come from that leader", () => {
  const entry = { type: 0, payload: new Uint8Array([1]) } as const;
  const frameWith = (from: number, term: number) =>
    frameOfItems([3, 4, 9, 5, 2, 3, 7], encodeRecords(from, term, 0, [entry, entry]).bytes);
  for (const term of [2, 3, 4]) assertEquals(decodeMessage(frameWith(6, term)).records?.count, 2);
  refuses(frameWith(6, 1), "follows one of term 2");
  refuses(frameWith(6, 5), "its leader only 4");
  refuses(frameWith(5, 3));
  refuses(frameWith(7, 3));
  const damaged = frameWith(6, 3);
  damaged[damaged.length - 1] ^= 1;
  refuses(damaged, "checksum");
});

test("decodeMessage() finds the runs and configurations of an append", () => {
  const entry = { type: 1, payload: new Uint8Array(0) } as const;
  const records = joinParts([
    encodeRecords(6, 2, 0, [entry, entry]).bytes,
    encodeRecords(8, 4, 0, [entry]).bytes,
  ]);
  const { message } = decodeMessage(frameOfItems([3, 4, 9, 5, 2, 3, 7], records));
  assert(message.type === "append-request");
  assertEquals(message.end, 9);
  assertEquals(message.runs, [{ term: 2, from: 6 }, { term: 4, from: 8 }]);
  assertEquals(message.configurations, []);
});

test("decodeMessage() refuses snapshots that no leader has", () => {
  const configuration = encodeConfiguration({ servers: [{ id: "a", address: "a:1", suffrage: "voter" }] });
  const frameWith = (items: number[], attachment = configuration) => frameOfItems([10, ...items], attachment);
  const good = [4, 5, 300, 3, 300, 1_000, 70_000, 9];
  assertEquals(decodeMessage(frameWith(good)).message.type, "snapshot-request");
  refuses(frameWith(good.with(0, 0)), "term 0");
  refuses(frameWith(good.with(2, 0).with(3, 0)), "its index is 0"); // BS11
  refuses(frameWith(good.with(3, 5)), "lastTerm 5 exceeds");
  refuses(frameWith(good.with(4, 301)), "configuration is at 301");
  refuses(frameWith(good, new Uint8Array(0)), "configuration");
  refuses(frameWith(good, joinParts([configuration, new Uint8Array(1)])), "configuration");
});

test("decodeMessage() refuses chunks that are empty, too large or damaged", () => {
  const frameWith = (bytes: Uint8Array, checksum = crc32c(bytes)) => frameOfItems([11, 4, 5, 300, checksum], bytes);
  assertEquals(decodeMessage(frameWith(new Uint8Array(256 << 10))).chunk?.length, 256 << 10);
  refuses(frameWith(new Uint8Array(0)), "0 bytes");
  refuses(frameWith(new Uint8Array((256 << 10) + 1)), "262145 bytes");
  refuses(frameWith(new Uint8Array([1, 2]), 7), "checksum of a chunk");
  refuses(frameOfItems([12, 4, 5, 4, 0]), "status");
});

test("decodeMessage() does not copy records", () => {
  const frame = frameOf(appendSample({}, [{ type: 0, payload: new Uint8Array([7]) }], 3));
  assertEquals(decodeMessage(frame).records?.bytes.buffer, frame.buffer);
});

test("decodeMessage() makes no difference between a frame and its parts, wherever it is cut", () => {
  const anyCuts = fc.tuple(anySample, fc.array(fc.nat(60), { minLength: 1, maxLength: 3 }));
  fc.assert(fc.property(anyCuts, ([sample, cuts]) => {
    const frame = frameOf(sample);
    const ends = [...new Set(cuts.filter((cut) => cut > 0 && cut < frame.length))].sort((a, b) => a - b);
    const [first, ...rest] = [0, ...ends].map((from, at) => frame.subarray(from, ends[at]));
    assertEquals(decodeMessage(first!, rest).message, sample.message);
    const [head, ...attachment] = encodeMessage(sample.message, sample.attachment);
    assertEquals(decodeMessage(head!, attachment.filter(({ length }) => length > 0)), decodeMessage(frame));
  }));
});

test("decodeMessage() refuses parts that are no message, wherever they are cut", () => {
  const frame = frameOf(GOLDEN[0]![0]);
  const damaged = [
    frame.subarray(0, frame.length - 1),
    new Uint8Array([...frame, 1]),
    new Uint8Array([...frame].with(2, 0xc1)),
  ];
  for (const bytes of damaged) {
    for (let cut = 1; cut < bytes.length; cut++) {
      assertThrows(() => decodeMessage(bytes.subarray(0, cut), [bytes.subarray(cut)]), ProtocolError);
    }
  }
});
