/**
 * Whatever is written, a change of any one byte of it is noticed, and so is a cut anywhere.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ProtocolError } from "../../src/errors.ts";
import { joinParts } from "../../src/wire/bytes.ts";
import { EntryType } from "../../src/types.ts";
import { type BatchHead, decodeBatchHead, decodeBatchRecords, encodeBatch } from "../../src/wire/batch.ts";
import { encodeFrameHeader, type Frame, FrameDecoder, FrameKind } from "../../src/wire/frame.ts";
import { decodeRecords, encodeRecords, type EntryParts, RecordFlag } from "../../src/wire/record.ts";
import { test } from "../harness.ts";

const SEED = 0x0bad_cafe;
const runs = { numRuns: 60 };

const safeInteger = fc.integer({ min: 0, max: 2 ** 53 - 1_000 });
const term = safeInteger.map((term) => term + 1);

const entry: fc.Arbitrary<EntryParts> = fc.record({
  type: fc.constantFrom(...Object.values(EntryType)),
  payload: fc.uint8Array({ maxLength: 40 }),
  extensions: fc.uint8Array({ maxLength: 10 }),
  flags: fc.constantFrom(0, RecordFlag.raw),
});
const entries = fc.array(entry, { minLength: 1, maxLength: 3 });

const head: fc.Arbitrary<BatchHead> = fc.record({
  segment: term,
  starts: term,
  before: fc.record({
    firstIndex: term,
    prevTerm: safeInteger,
    nextIndex: term,
    lastTerm: safeInteger,
    truncations: safeInteger,
    truncatedFrom: safeInteger,
  }),
  sequence: term,
  chain: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  group: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  vote: fc.record({ term, votedFor: fc.option(fc.constantFrom("a", "n-1"), { nil: undefined }) }),
  truncateFrom: fc.option(term, { nil: undefined }),
}).map((head) => ({ ...head, mark: head.sequence - 1 }));

/** Changes each byte in turn, not each by the same bits. */
function forEachDamage(bytes: Uint8Array, change: number, check: (damaged: Uint8Array, at: number) => void): void {
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at]! ^= 1 + (change + at) % 255;
    check(damaged, at);
  }
}

test("records: any byte of any records that is changed to anything is noticed", () => {
  fc.assert(
    fc.property(safeInteger, term, safeInteger, entries, fc.nat(254), (index, term, timeMs, entries, change) => {
      const { bytes } = encodeRecords(index + 1, term, timeMs, entries);
      assertEquals(decodeRecords(bytes, index + 1).count, entries.length);
      forEachDamage(bytes, change, (damaged, at) => {
        assertThrows(() => decodeRecords(damaged, index + 1), ProtocolError, undefined, `at ${at}`);
      });
    }),
    runs,
  );
});

test("batches: any byte of any batch that is changed to anything is noticed, and so is a cut", () => {
  fc.assert(
    fc.property(head, safeInteger, term, entries, fc.nat(254), (head, index, term, entries, change) => {
      const bytes = joinParts(encodeBatch(head, [encodeRecords(index + 1, term, 0, entries)], SEED).parts);
      const decode = (bytes: Uint8Array) => decodeBatchRecords(decodeBatchHead(bytes, 0, SEED), bytes, 0);
      decode(bytes);
      forEachDamage(bytes, change, (damaged, at) => {
        assertThrows(() => decode(damaged), ProtocolError, undefined, `at ${at}`);
        assertThrows(() => decode(bytes.slice(0, at)), ProtocolError, undefined, `cut at ${at}`);
      });
    }),
    runs,
  );
});

test("frames: any byte of any frame that is changed to anything is noticed, and a cut one is not given out", () => {
  const body = fc.uint8Array({ maxLength: 60 });
  const kind = fc.constantFrom(FrameKind.hello, FrameKind.reply, FrameKind.data, FrameKind.ping);
  const group = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(kind, group, body, fc.nat(254), (kind, group, body, change) => {
      const bytes = joinParts([encodeFrameHeader(kind, group, 0, [body]), body]);
      assertEquals(framesOf(bytes).length, 1);
      forEachDamage(bytes, change, (damaged, at) => {
        assertThrows(() => framesOf(damaged), ProtocolError, undefined, `at ${at}`);
        assert(framesOf(bytes.slice(0, at)).length === 0, `cut at ${at}`);
      });
    }),
    runs,
  );
});

function framesOf(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  new FrameDecoder({ frameBytesMax: 1_000, onFrame: (frame) => frames.push(frame) }).push(bytes);
  return frames;
}
