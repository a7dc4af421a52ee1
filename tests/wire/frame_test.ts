import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ProtocolError } from "../../src/errors.ts";
import { joinParts } from "../../src/wire/bytes.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { encodeFrameHeader, type Frame, FRAME_HEADER_BYTES, FrameDecoder, FrameKind } from "../../src/wire/frame.ts";
import { setU32 } from "../../src/wire/integers.ts";
import { test } from "../harness.ts";
import { fromHex, toHex } from "../hex.ts";

const LIMIT = 1_000;
const BODY = new Uint8Array([1, 2, 3, 4, 5]);
const GOLDEN = "c501030007000000050000000200000005000000ab8f515311a242970102030405";

function frameOf(kind: FrameKind, group: number, sequence: number, parts: readonly Uint8Array[]): Uint8Array {
  return joinParts([encodeFrameHeader(kind, group, sequence, parts), ...parts]);
}

/** Frames that a fresh decoder makes of these chunks. */
function decode(chunks: readonly Uint8Array[], frameBytesMax = LIMIT): Frame[] {
  const frames: Frame[] = [];
  const decoder = new FrameDecoder({ frameBytesMax, onFrame: (frame) => frames.push(frame) });
  for (const chunk of chunks) decoder.push(chunk);
  return frames;
}

/** A data frame with bytes of its header set, under a header checksum that is right. */
function forged(changes: Readonly<Record<number, number>>): Uint8Array {
  const frame = frameOf(FrameKind.data, 0, 0, [BODY]);
  for (const [at, value] of Object.entries(changes)) frame[Number(at)] = value;
  setU32(frame, 24, crc32c(frame, 0, 24));
  return frame;
}

function refuses(chunks: readonly Uint8Array[], includes: string): void {
  assertThrows(() => decode(chunks), ProtocolError, includes);
}

const anyFrames = fc.array(
  fc.record({
    kind: fc.constantFrom(FrameKind.hello, FrameKind.reply, FrameKind.data, FrameKind.ping),
    group: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    body: fc.uint8Array({ maxLength: 60 }),
  }, { noNullPrototype: true }),
  { maxLength: 6 },
);

test("FrameDecoder gives back what was framed, however the stream is cut", () => {
  fc.assert(fc.property(anyFrames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
    const bytes = joinParts([
      new Uint8Array(0),
      ...frames.map(({ kind, group, body }, sequence) => frameOf(kind, group, sequence, [body])),
    ]);
    const chunks: Uint8Array[] = [];
    for (let at = 0, cut = 0; at < bytes.length; cut++) {
      const end = Math.min(bytes.length, at + cuts[cut % cuts.length]);
      chunks.push(bytes.slice(at, end));
      at = end;
    }
    assertEquals(decode(chunks).map(plain), frames.map(plain));
  }));
});

const plain = ({ kind, group, body }: Frame) => ({ kind, group, body: [...body] });

test("encodeFrameHeader() writes the bytes it always wrote", () => {
  assertEquals(toHex(frameOf(FrameKind.data, 7, 2, [BODY.subarray(0, 2), BODY.subarray(2)])), GOLDEN);
});

test("FrameDecoder takes bytes one by one", () => {
  const bytes = joinParts([0, 1, 2].map((sequence) => frameOf(FrameKind.data, 0, sequence, [BODY])));
  assertEquals(decode(Array.from(bytes, (byte) => new Uint8Array([byte]))).length, 3);
});

test("FrameDecoder copies nothing that lies within one chunk", () => {
  const chunk = joinParts([frameOf(FrameKind.data, 0, 0, [BODY]), frameOf(FrameKind.data, 0, 1, [BODY])]);
  for (const { body } of decode([chunk])) assertEquals(body.buffer, chunk.buffer);
});

test("FrameDecoder hands out memory that later chunks don't change", () => {
  const bytes = joinParts([frameOf(FrameKind.data, 0, 0, [BODY]), frameOf(FrameKind.data, 0, 1, [BODY])]);
  const cut = FRAME_HEADER_BYTES + 2;
  const frames = decode([bytes.slice(0, cut), bytes.slice(cut)]);
  assertEquals(frames.map(plain).map(({ body }) => body), [[...BODY], [...BODY]]);
  assert(frames[0].body.buffer !== frames[1].body.buffer);
});

test("FrameDecoder notices every changed byte", () => {
  const frame = frameOf(FrameKind.data, 7, 0, [BODY]);
  for (let at = 0; at < frame.length; at++) {
    for (const change of [0x01, 0x10, 0x80, 0xff]) {
      const changed = frame.slice();
      changed[at] ^= change;
      refuses([changed], "Cannot read a frame");
    }
  }
});

test("FrameDecoder waits for the rest of a frame that is cut off anywhere", () => {
  const frame = frameOf(FrameKind.data, 7, 0, [BODY]);
  for (let length = 0; length < frame.length; length++) {
    const decoder = new FrameDecoder({ frameBytesMax: LIMIT, onFrame: () => assert(false) });
    decoder.push(frame.subarray(0, length));
    assertEquals(decoder.openBytes, length);
  }
});

test("FrameDecoder notices garbage after a frame, and doesn't look for a frame after garbage", () => {
  const frame = frameOf(FrameKind.data, 0, 0, [BODY]);
  refuses([frame, new Uint8Array([0])], "starts with 0x00");
  refuses([new Uint8Array([0]), frame], "starts with 0x00");
  const decoder = new FrameDecoder({ frameBytesMax: LIMIT, onFrame: () => assert(false) });
  assertThrows(() => decoder.push(new Uint8Array([0])), ProtocolError);
  decoder.push(frame);
});

test("FrameDecoder refuses other protocols at their first byte", () => {
  refuses([new TextEncoder().encode("G")], "HTTP");
  refuses([new TextEncoder().encode("POST /raft HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")], "HTTP");
  refuses([new Uint8Array([0x16, 3, 1, 2, 0, 1])], "TLS");
  refuses([new Uint8Array([0])], "0x00");
});

test("FrameDecoder refuses versions, kinds and flags that are unknown", () => {
  for (const version of [0, 2, 255]) refuses([forged({ 1: version })], `version ${version}`);
  for (const kind of [0, 5, 255]) refuses([forged({ 2: kind })], `kind ${kind}`);
  for (const flags of [1, 128]) refuses([forged({ 3: flags })], `flags ${flags}`);
});

test("FrameDecoder refuses a frame that is lost, repeated or out of order", () => {
  const frame = (sequence: number) => frameOf(FrameKind.data, 0, sequence, [BODY]);
  refuses([frame(1)], "0 is the next one");
  refuses([frame(0), frame(0)], "1 is the next one");
  refuses([frame(0), frame(2)], "1 is the next one");
});

test("FrameDecoder takes frames up to the limit and refuses longer ones before their bodies arrive", () => {
  for (const length of [LIMIT - 1, LIMIT]) {
    assertEquals(decode([frameOf(FrameKind.data, 0, 0, [new Uint8Array(length)])])[0].body.length, length);
  }
  refuses([frameOf(FrameKind.data, 0, 0, [new Uint8Array(LIMIT + 1)]).subarray(0, FRAME_HEADER_BYTES)], "at most 1000");
  for (const [a, b, c, d] of [[0xff, 0xff, 0xff, 0x7f], [0, 0, 0, 0x80], [0xff, 0xff, 0xff, 0xff]]) {
    refuses([forged({ 8: a, 9: b, 10: c, 11: d })], "at most 1000");
  }
});

test("FrameDecoder refuses a checksum that covers more than the body", () => {
  refuses([forged({ 16: BODY.length + 1 })], "covers more");
});

test("FrameDecoder leaves what the checksum doesn't cover to the receiver", () => {
  const parts = [BODY, new Uint8Array([6, 7])];
  for (let checkedBytes = 0; checkedBytes <= 8; checkedBytes++) {
    const header = encodeFrameHeader(FrameKind.data, 0, 0, parts, checkedBytes);
    for (let at = 0; at < 7; at++) {
      const bytes = joinParts([header, ...parts]);
      bytes[FRAME_HEADER_BYTES + at] ^= 1;
      if (at < checkedBytes) refuses([bytes], "body's checksum");
      else assertEquals(decode([bytes]).length, 1);
    }
  }
});

test("FrameDecoder holds memory for what came in, not for what was announced", () => {
  const announced = 8 * 2 ** 20;
  const frame = frameOf(FrameKind.data, 0, 0, [new Uint8Array(announced)]);
  let frames = 0;
  const decoder = new FrameDecoder({ frameBytesMax: announced, onFrame: () => frames++ });
  for (let at = 0; at < frame.length; at += 1_000) {
    decoder.push(frame.slice(at, at + 1_000));
    assert(decoder.heldBytes <= FRAME_HEADER_BYTES + Math.max(4_096, 4 * (at + 1_000)));
  }
  assertEquals(frames, 1);
  assertEquals(decoder.openBytes, 0);
});

test("FrameDecoder stops when it is told to, in the middle of a chunk", () => {
  const bytes = joinParts([0, 1, 2].map((sequence) => frameOf(FrameKind.data, 0, sequence, [BODY])));
  let frames = 0;
  const decoder = new FrameDecoder({
    frameBytesMax: LIMIT,
    onFrame: () => {
      frames += 1;
      decoder.stop();
    },
  });
  decoder.push(bytes);
  decoder.push(fromHex("00"));
  assertEquals(frames, 1);
});

test("FrameDecoder survives any bytes", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
    try {
      decode([fromHex("c5"), ...chunks]);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }));
});
