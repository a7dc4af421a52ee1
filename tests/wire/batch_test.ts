import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ProtocolError } from "../../src/errors.ts";
import {
  type BatchHead,
  decodeBatchHead,
  decodeBatchRecords,
  encodeBatch,
  type EncodedBatch,
  isBatchHead,
  REPAIRS_MAX,
} from "../../src/wire/batch.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import { toHex } from "../hex.ts";

const SEED = 0x1234_5678;
const before = { firstIndex: 1, prevTerm: 0, nextIndex: 1, lastTerm: 0, truncations: 0, truncatedFrom: 0 };
const vote = { term: 1, votedFor: undefined };
const plain: BatchHead = { segment: 1, sequence: 2, mark: 1, chain: 3, group: 0, starts: 1, before, vote };
const full: BatchHead = {
  segment: 2 ** 32 + 1,
  sequence: 2 ** 40,
  mark: 2 ** 40 - 1,
  chain: 0xffff_ffff,
  group: 7,
  starts: 2 ** 34,
  before: { firstIndex: 3, prevTerm: 2, nextIndex: 9, lastTerm: 8, truncations: 7, truncatedFrom: 5 },
  clusterId: "Zürich",
  vote: { term: 2 ** 33, votedFor: "b" },
  truncateFrom: 6,
  truncateTerm: 5,
  compactTo: { firstIndex: 4, prevTerm: 2 },
};

function joined({ parts }: EncodedBatch): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function decoded(bytes: Uint8Array): [BatchHead, string[]] {
  const {
    byteLength: _,
    checksum: _1,
    headBytes: _2,
    recordBytes: _3,
    recordCount: _4,
    from: _5,
    digest: _6,
    repaired: _7,
    ...head
  } = decodeBatchHead(bytes, 0, SEED);
  const { records, repairs } = decodeBatchRecords(decodeBatchHead(bytes, 0, SEED), bytes, 0);
  return [head, textsOf([...repairs, records])];
}

test("encodeBatch() writes the bytes that the format says", () => {
  const batch = encodeBatch({ ...plain, vote: { term: 9, votedFor: "ab" } }, [commandsOf(4, 1, "x")], SEED);
  const bytes = joined(batch);
  assertEquals(bytes.length, 512);
  assertEquals(
    toHex(bytes.subarray(0, batch.headBytes)),
    "1b75526a" + "42544348" + "0100000000000000" + "0200000000000000" + "0100000000000000" + "03000000" + "00000000" +
      "00000000" + "03000000" + "01000000" + "31000000" + "0400000000000000" + "5a4d348e" + "00000000" +
      "0100000000000000" + "0100000000000000" + "0000000000000000" + "0100000000000000" + "0000000000000000" +
      "0000000000000000" + "0000000000000000" + "0900000000000000" + "02" + "6162",
  );
  assertEquals(toHex(bytes.subarray(batch.headBytes, batch.headBytes + 49)), toHex(commandsOf(4, 1, "x").bytes));
});

test("decodeBatchHead() and decodeBatchRecords() give back what encodeBatch() was given", () => {
  const parts = [commandsOf(6, 1, "one", "two"), commandsOf(8, 4, "x".repeat(700))];
  for (const [head, records] of [[plain, []], [plain, parts], [full, []], [full, parts]] as const) {
    const batch = encodeBatch(head, records, SEED);
    const bytes = joined(batch);
    assertEquals([bytes.length, bytes.length % 512], [batch.byteLength, 0]);
    assertEquals(decoded(bytes), [head, textsOf(records)]);
    assertEquals(decodeBatchHead(bytes, 0, SEED).checksum, batch.checksum);
  }
  const none = { ...plain, vote: { term: 1, votedFor: undefined } };
  assertEquals(decoded(joined(encodeBatch(none, [], SEED)))[0], none);
});

test("encodeBatch() copies no records", () => {
  const records = commandsOf(1, 1, "one", "two").slice(2, 3);
  assert(encodeBatch(plain, [records], SEED).parts.includes(records.bytes));
});

test("decodeBatchHead() and decodeBatchRecords() detect every flipped bit and every cut", () => {
  const bytes = joined(encodeBatch(full, [commandsOf(6, 1, "one", "", "three")], SEED));
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    assertThrows(() => decoded(damaged), ProtocolError);
  }
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => decoded(bytes.subarray(0, length)), ProtocolError);
  }
});

test("decodeBatchRecords() refuses whole records that belong to another batch", () => {
  const own = joined(encodeBatch(plain, [commandsOf(6, 1, "one", "two")], SEED));
  const other = commandsOf(6, 1, "ONE", "TWO").bytes;
  own.set(other, 137);
  assertThrows(() => decoded(own), ProtocolError, "not its own");
});

test("isBatchHead() knows a batch by its seed only", () => {
  const bytes = joined(encodeBatch(full, [], SEED));
  assertEquals(isBatchHead(bytes, 0, SEED), true);
  assertEquals(isBatchHead(bytes, 0, SEED + 1), false);
  assertEquals(isBatchHead(new Uint8Array(512), 0, SEED), false);
});

test("decodeBatchHead() never answers random bytes with anything but a ProtocolError", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
    assertThrows(() => decodeBatchHead(bytes, 0, SEED), ProtocolError);
  }));
});

test("encodeBatch() refuses a cluster id of more than 255 bytes", () => {
  assertThrows(() => encodeBatch({ ...plain, clusterId: "ü".repeat(128) }, [], SEED), RangeError);
  encodeBatch({ ...plain, clusterId: "ü".repeat(127) }, [], SEED);
});

test("a batch holds repairs before its other records, and says what they are", () => {
  const repairs = [commandsOf(2, 1, "two"), commandsOf(4, 1, "four", "five")];
  const bytes = joined(encodeBatch(full, [commandsOf(6, 1, "six")], SEED, repairs));
  const head = decodeBatchHead(bytes, 0, SEED);
  assertEquals(head.repaired, [{ from: 2, count: 1, bytes: 51 }, { from: 4, count: 2, bytes: 104 }]);
  assertEquals([head.from, head.recordCount], [6, 4]);
  const found = decodeBatchRecords(head, bytes, 0);
  assertEquals([found.repairs.map((part) => textsOf([part])), textsOf([found.records])], [[["two"], ["four", "five"]], [
    "six",
  ]]);
  const only = joined(encodeBatch(plain, [], SEED, repairs));
  assertEquals(decodeBatchRecords(decodeBatchHead(only, 0, SEED), only, 0).records.count, 0);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    assertThrows(() => decoded(damaged), ProtocolError);
  }
});

test("encodeBatch() has room for as many repairs as it says, whatever else it holds, and no more", () => {
  const long = { ...full, clusterId: "c".repeat(255), vote: { term: 1, votedFor: "b".repeat(255) } };
  const repairs = Array.from({ length: REPAIRS_MAX }, (_, i) => commandsOf(1 + 2 * i, 1, ""));
  const bytes = joined(encodeBatch(long, [], SEED, repairs));
  assertEquals(decodeBatchHead(bytes, 0, SEED).repaired.length, REPAIRS_MAX);
  assertThrows(() => encodeBatch(long, [], SEED, [...repairs, commandsOf(99, 1, "")]), RangeError);
});
