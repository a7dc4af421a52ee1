import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects } from "@std/assert";
import fc from "fast-check";
import { InvariantError, ProtocolError } from "../../src/errors.ts";
import type { Configuration } from "../../src/types.ts";
import { joinParts } from "../../src/wire/bytes.ts";
import { encodeConfiguration } from "../../src/wire/configuration.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { setU32, setU64 } from "../../src/wire/integers.ts";
import { encodeSnapshot, SNAPSHOT_CHUNK_BYTES_MAX, type SnapshotOrigin } from "../../src/wire/snapshot.ts";
import {
  openSnapshot,
  type SnapshotLimits,
  type SnapshotRead,
  verifySnapshot,
} from "../../src/wire/snapshot_reader.ts";
import { test } from "../harness.ts";
import { fromHex, toHex } from "../hex.ts";

const ORIGIN: SnapshotOrigin = {
  index: 1_000,
  term: 7,
  configuration: { servers: [{ id: "a", address: "a:1", suffrage: "voter" }] },
  configurationIndex: 3,
  timeMs: 1_700_000_000_000,
};

const SESSIONS = new Uint8Array([9, 8, 7]);

/** Header; configuration, sessions and the user's bytes, each a head, a chunk and an empty chunk; end mark. */
const GOLDEN = [
  "25d269cb52534e500100000000000000e803000000000000070000000000000003000000000000000068e5cf8b010000",
  "76c9ea46010000000000000000000000",
  "26000000b1387fe281a7536572766572739183a741646472657373a3613a31a24944a161a8537566667261676500",
  "000000003a335f0a",
  "ff8c4e0c020000000000000000000000",
  "03000000eee3288b090807",
  "0000000004c48dea",
  "f2937863030000000000000000000000",
  "03000000885c15fc010203",
  "000000001d2e0b21",
  "43b1506f00000000cc00000000000000",
].join("");

function streamOf(...pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  const left = [...pieces];
  return new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(piece);
    },
  }, { highWaterMark: 0 });
}

async function encode(user: ReadableStream<Uint8Array>, sessions?: Uint8Array, origin = ORIGIN): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of encodeSnapshot({ origin, sessions, user })) parts.push(part);
  return joinParts(parts);
}

/** Gives at most `pieceBytes` at a time. */
function readOf(bytes: Uint8Array, pieceBytes = Infinity): SnapshotRead {
  return (offset, bytesMax) => Promise.resolve(bytes.slice(offset, offset + Math.min(bytesMax, pieceBytes)));
}

async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream as unknown as AsyncIterable<Uint8Array>) parts.push(part);
  return joinParts([new Uint8Array(0), ...parts]);
}

async function decode(bytes: Uint8Array, pieceBytes?: number, limits?: SnapshotLimits) {
  const { origin, sessions, user } = await openSnapshot(readOf(bytes, pieceBytes), limits);
  return { origin, sessions, user: await collect(user) };
}

async function refuses(bytes: Uint8Array, includes = "", limits?: SnapshotLimits): Promise<void> {
  await assertRejects(() => decode(bytes, undefined, limits), ProtocolError, includes);
  if (limits === undefined) await assertRejects(() => verifySnapshot(readOf(bytes)), ProtocolError, includes);
}

interface ForgedSection {
  readonly type: number;
  readonly flags?: number;
  readonly reserved?: number;
  readonly chunks: readonly Uint8Array[];
  /** A length that the last chunk claims. */
  readonly claim?: number;
}

/** A container that is as told, under checksums that are right. */
function forge(header: Uint8Array, sections: readonly ForgedSection[], claimedLength?: number): Uint8Array {
  const start = header.slice();
  let chain = crc32c(start, 4);
  setU32(start, 0, chain);
  const parts = [start];
  const head = (type: number, low: number, high: number) => {
    const bytes = new Uint8Array(16);
    [type, low, high].forEach((value, i) => setU32(bytes, 4 + 4 * i, value));
    chain = crc32c(bytes, 4, 16, chain);
    setU32(bytes, 0, chain);
    parts.push(bytes);
  };
  for (const { type, flags = 0, reserved = 0, chunks, claim } of sections) {
    head(type, flags, reserved);
    for (const chunk of [...chunks, new Uint8Array(0)]) {
      const bytes = new Uint8Array(8 + chunk.length);
      setU32(bytes, 0, claim ?? chunk.length);
      bytes.set(chunk, 8);
      chain = crc32c(bytes, 8, bytes.length, crc32c(bytes, 0, 4, chain));
      setU32(bytes, 4, chain);
      parts.push(bytes);
    }
  }
  const length = claimedLength ?? joinParts(parts).length + 16;
  head(0, length, 0);
  return joinParts(parts);
}

const CONFIGURATION = fromHex("81a75365727665727391" + "83a741646472657373a3613a31a24944a161a8537566667261676500");
const USER = { type: 3, chunks: [new Uint8Array([1, 2])] };
const CONFIGURATION_SECTION = { type: 1, chunks: [CONFIGURATION] };

async function headerOf(): Promise<Uint8Array> {
  return (await encode(streamOf())).slice(0, 48);
}

async function refusesForged(sections: readonly ForgedSection[], includes: string, limits?: SnapshotLimits) {
  await refuses(forge(await headerOf(), sections), includes, limits);
}

test("encodeSnapshot() writes these bytes", async () => {
  const bytes = await encode(streamOf(new Uint8Array([1, 2]), new Uint8Array([3])), SESSIONS);
  assertEquals(toHex(bytes), GOLDEN);
  const again = await decode(fromHex(GOLDEN));
  assertEquals(again, { origin: ORIGIN, sessions: SESSIONS, user: new Uint8Array([1, 2, 3]) });
});

test("openSnapshot() gives back what was encoded, however both sides are cut", async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 99 }), fc.boolean(), async (pieces, cut, withSessions) => {
      const sessions = withSessions ? SESSIONS : undefined;
      const bytes = await encode(streamOf(...pieces), sessions);
      const user = joinParts([new Uint8Array(0), ...pieces]);
      assertEquals(await decode(bytes, cut), { origin: ORIGIN, sessions, user });
      assertEquals(bytes, await encode(streamOf(user), sessions));
      const verified = await verifySnapshot(readOf(bytes, cut));
      assertEquals(verified, { origin: ORIGIN, bytes: bytes.length });
    }),
    { numRuns: 100 },
  );
});

test("encodeSnapshot() cuts into chunks of 256 KiB whatever the stream's pieces are", async () => {
  const size = 2 * SNAPSHOT_CHUNK_BYTES_MAX;
  for (const length of [size - 1, size, size + 1]) {
    const user = Uint8Array.from({ length }, (_, i) => i * 7);
    const whole = await encode(streamOf(user));
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < length; at += 10_007) pieces.push(user.subarray(at, at + 10_007));
    assertEquals(crc32c(await encode(streamOf(...pieces))), crc32c(whole));
    const opened = await openSnapshot(readOf(whole));
    const lengths: number[] = [];
    for await (const part of opened.user as unknown as AsyncIterable<Uint8Array>) lengths.push(part.length);
    assertEquals(lengths.slice(0, 2), [
      length === size - 1 ? size / 2 : size / 2,
      Math.min(size / 2, length - size / 2),
    ]);
    assertEquals(lengths.length, length > size ? 3 : 2);
  }
});

test("openSnapshot() and verifySnapshot() detect every flipped byte and bit", async () => {
  const bytes = fromHex(GOLDEN);
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
      const damaged = bytes.slice();
      damaged[at] ^= flip;
      await assertRejects(() => decode(damaged), ProtocolError, "", `byte ${at} ^ ${flip}`);
      await assertRejects(() => verifySnapshot(readOf(damaged)), ProtocolError, "", `byte ${at} ^ ${flip}`);
    }
  }
});

test("openSnapshot() refuses a container cut anywhere, or followed by anything", async () => {
  const bytes = fromHex(GOLDEN);
  for (let length = 0; length < bytes.length; length++) await refuses(bytes.slice(0, length), "cut off");
  await refuses(joinParts([bytes, new Uint8Array(1)]), "after its end");
  await refuses(joinParts([bytes, bytes]), "after its end");
});

test("openSnapshot() refuses chunks that are left out, doubled, exchanged or taken from elsewhere", async () => {
  const size = SNAPSHOT_CHUNK_BYTES_MAX;
  const user = Uint8Array.from({ length: 2 * size }, (_, i) => i >>> 10);
  const bytes = await encode(streamOf(user));
  const first = bytes.length - 16 - 8 - 2 * (size + 8);
  const chunk = (i: number) => bytes.subarray(first + i * (size + 8), first + (i + 1) * (size + 8));
  const with_ = (...chunks: Uint8Array[]) => joinParts([bytes.subarray(0, first), ...chunks, bytes.slice(-24)]);
  assertEquals(crc32c(with_(chunk(0), chunk(1))), crc32c(bytes));
  for (const order of [[0], [1], [0, 0], [1, 0], [0, 1, 1]]) await refuses(with_(...order.map(chunk)), "checksum");
  const other = await encode(streamOf(user), undefined, { ...ORIGIN, index: 1_001 });
  await refuses(joinParts([bytes.subarray(0, 48), other.subarray(48)]), "checksum");
});

test("the user's stream of a damaged snapshot fails, and gives nothing that is wrong", async () => {
  const user = Uint8Array.from({ length: 3 * SNAPSHOT_CHUNK_BYTES_MAX }, (_, i) => i * 31);
  const bytes = await encode(streamOf(user));
  bytes[bytes.length - 20] ^= 1;
  const opened = await openSnapshot(readOf(bytes));
  const parts: Uint8Array[] = [];
  await assertRejects(async () => {
    for await (const part of opened.user as unknown as AsyncIterable<Uint8Array>) parts.push(part);
  }, ProtocolError);
  const given = joinParts(parts);
  assertEquals(crc32c(given), crc32c(user, 0, given.length));
});

test("openSnapshot() skips sections that are unknown and optional, and refuses others", async () => {
  const extra = { type: 77, flags: 1, chunks: [new Uint8Array(100)] };
  const header = await headerOf();
  for (const sections of [[CONFIGURATION_SECTION, extra, USER], [CONFIGURATION_SECTION, USER, extra, extra]]) {
    const bytes = forge(header, sections);
    assertEquals((await decode(bytes)).user, new Uint8Array([1, 2]));
    await verifySnapshot(readOf(bytes));
  }
  await refusesForged([CONFIGURATION_SECTION, { ...extra, flags: 0 }, USER], "section 77 is unknown: upgrade");
  await refusesForged([CONFIGURATION_SECTION, { ...extra, flags: 3 }, USER], "unknown flags");
  await refusesForged([CONFIGURATION_SECTION, { ...extra, reserved: 1 }, USER], "unknown flags");
});

test("a snapshot says how the cluster began where that is known, in a section that older servers skip", async () => {
  const user = new Uint8Array([1, 2, 3]);
  const encoded = async (beginning: Configuration | undefined) => {
    const parts: Uint8Array[] = [];
    const content = { origin: ORIGIN, sessions: SESSIONS, beginning, user: streamOf(user) };
    for await (const part of encodeSnapshot(content)) parts.push(part);
    return joinParts(parts);
  };
  assertEquals(toHex(await encoded(undefined)), GOLDEN);
  assertEquals((await openSnapshot(readOf(fromHex(GOLDEN)))).beginning, undefined);
  const first: Configuration = { servers: [{ id: "a", address: "h:1", suffrage: "voter" }] };
  const bytes = await encoded(first);
  const { beginning, sessions, user: given } = await openSnapshot(readOf(bytes));
  assertEquals([beginning, sessions, await collect(given)], [first, SESSIONS, user]);
  assertEquals((await verifySnapshot(readOf(bytes))).bytes, bytes.length);
  const section = (bytes: Uint8Array) => ({ type: 4, flags: 1, chunks: [bytes] });
  const good = section(encodeConfiguration(first));
  const others = [{ type: 2, chunks: [SESSIONS] }, { type: 3, chunks: [user] }];
  assertEquals(bytes, forge(await headerOf(), [CONFIGURATION_SECTION, good, ...others]));
  await refusesForged([CONFIGURATION_SECTION, section(new Uint8Array([0xc0])), USER], "configuration");
  await refusesForged([CONFIGURATION_SECTION, good, good, USER], "section 4 comes twice");
});

test("openSnapshot() refuses sections that are missing, doubled or out of order", async () => {
  const sessions = { type: 2, chunks: [SESSIONS] };
  await refusesForged([], "missing");
  await refusesForged([CONFIGURATION_SECTION], "missing");
  await refusesForged([USER, CONFIGURATION_SECTION], "not first");
  await refusesForged([CONFIGURATION_SECTION, CONFIGURATION_SECTION, USER], "section 1 comes twice");
  await refusesForged([CONFIGURATION_SECTION, sessions, sessions, USER], "section 2 comes twice");
  await refusesForged([CONFIGURATION_SECTION, USER, USER], "section 3 comes twice");
  await refusesForged([CONFIGURATION_SECTION, USER, sessions], "section 2 comes after");
  await refusesForged([{ type: 1, chunks: [new Uint8Array([0xc0])] }, USER], "configuration");
});

test("openSnapshot() refuses chunks that claim too much or are needlessly short", async () => {
  await refusesForged([CONFIGURATION_SECTION, { ...USER, claim: SNAPSHOT_CHUNK_BYTES_MAX + 1 }], "claims");
  await refusesForged([CONFIGURATION_SECTION, { ...USER, claim: 0xffff_ffff }], "claims");
  const short = { type: 3, chunks: [new Uint8Array(1), new Uint8Array(1)] };
  await refusesForged([CONFIGURATION_SECTION, short], "short chunk");
});

test("openSnapshot() holds no more of sessions and configuration than its limits", async () => {
  const full = new Uint8Array(SNAPSHOT_CHUNK_BYTES_MAX);
  const large = { type: 1, chunks: [full, full, full, full, new Uint8Array(1)] };
  await refusesForged([large, USER], "more than 1048576 bytes");
  const limits = { sessionsBytesMax: 3 };
  const sections = (length: number) => [CONFIGURATION_SECTION, { type: 2, chunks: [new Uint8Array(length)] }, USER];
  await refusesForged(sections(4), "more than 3 bytes", limits);
  const bytes = forge(await headerOf(), sections(3));
  assertEquals((await decode(bytes, undefined, limits)).sessions, new Uint8Array(3));
});

test("openSnapshot() refuses headers of other versions, and origins that can't be", async () => {
  const sections = [CONFIGURATION_SECTION, USER];
  const header = await headerOf();
  const changed = (change: (bytes: Uint8Array) => void) => {
    const bytes = header.slice();
    change(bytes);
    return forge(bytes, sections);
  };
  await decode(changed(() => {}));
  await refuses(changed((bytes) => setU32(bytes, 8, 2)), "its version is 2");
  await refuses(changed((bytes) => setU32(bytes, 8, 0)), "its version is 0");
  await refuses(changed((bytes) => setU32(bytes, 12, 1)), "reserved");
  await refuses(changed((bytes) => setU64(bytes, 16, 0)), "its index is 0");
  await refuses(changed((bytes) => setU32(bytes, 20, 0xffff_ffff)), "its index is");
  await refuses(changed((bytes) => setU64(bytes, 24, 0)), "its term is 0");
  await refuses(changed((bytes) => setU64(bytes, 32, 1_001)), "its configuration is at 1001");
  await refuses(changed((bytes) => setU32(bytes, 44, 0xffff_ffff)), "its time is");
  await refuses(forge(header, sections, 1), "its length");
});

test("encodeSnapshot() refuses an origin that nobody could read, before anything is read", async () => {
  for (const wrong of [{ index: 0 }, { term: 0 }, { configurationIndex: 1_001 }, { timeMs: -1 }, { index: 1.5 }]) {
    await assertRejects(() => encode(streamOf(), undefined, { ...ORIGIN, ...wrong }), InvariantError);
  }
  const configuration = { servers: [] };
  await assertRejects(() => encode(streamOf(), undefined, { ...ORIGIN, configuration }), InvariantError, "no voter");
});

test("encodeSnapshot() reads no further than it is asked to, and cancels when it is left", async () => {
  let pulled = 0;
  let reason: unknown = "none";
  const user = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(SNAPSHOT_CHUNK_BYTES_MAX));
    },
    cancel(why) {
      reason = why;
    },
  }, { highWaterMark: 0 });
  let taken = 0;
  for await (const part of encodeSnapshot({ origin: ORIGIN, user })) {
    taken += part.length;
    assertLess(pulled * SNAPSHOT_CHUNK_BYTES_MAX, taken + SNAPSHOT_CHUNK_BYTES_MAX);
    if (pulled === 3) break;
  }
  assertEquals([pulled, reason], [3, undefined]);
  assert(!user.locked);
});

test("encodeSnapshot() passes on the stream's error, and says what was wrong with its pieces", async () => {
  const failure = new Error("the machine failed");
  const failing = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(failure) });
  assertEquals(await assertRejects(() => encode(failing)), failure);
  const texts = streamOf("text" as unknown as Uint8Array);
  assertInstanceOf(
    await assertRejects(() => encode(texts), TypeError, "gave string: let it give Uint8Array"),
    TypeError,
  );
});

test("openSnapshot() passes on what the store throws, and reads no further than asked", async () => {
  const bytes = await encode(streamOf(new Uint8Array(10 * SNAPSHOT_CHUNK_BYTES_MAX)));
  let furthest = 0;
  const failure = new Error("the disk failed");
  const opened = await openSnapshot((offset, bytesMax) => {
    if (offset > 4 * SNAPSHOT_CHUNK_BYTES_MAX) return Promise.reject(failure);
    furthest = Math.max(furthest, offset + bytesMax);
    return Promise.resolve(bytes.slice(offset, offset + bytesMax));
  });
  assertLess(furthest, 2 * SNAPSHOT_CHUNK_BYTES_MAX);
  assertEquals(await assertRejects(() => collect(opened.user)), failure);
});
