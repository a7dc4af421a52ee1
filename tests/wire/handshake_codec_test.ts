import { assertEquals, assertThrows } from "@std/assert";
import { encode } from "@std/msgpack";
import fc from "fast-check";
import { ProtocolError } from "../../src/errors.ts";
import { encodeSegmentHeader } from "../../src/store/wal/segment_header.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { encodeConfiguration } from "../../src/wire/configuration.ts";
import {
  CLUSTER_ID_BYTES_MAX,
  decodeHello,
  decodeReply,
  encodeHello,
  encodeReply,
  HANDSHAKE_BYTES_MAX,
  type Hello,
  isClusterId,
  isStoredDisk,
  type Welcome,
} from "../../src/wire/handshake_codec.ts";
import { test } from "../harness.ts";
import { fromHex, toHex } from "../hex.ts";

const hello: Hello = {
  protocolMin: 1,
  protocolMax: 3,
  clusterId: "cluster ü",
  from: "a",
  to: "b",
  channel: "bulk",
  incarnation: "3f",
  starts: 2,
  address: "[::1]:7001",
  nonce: 2 ** 47,
  lastNonce: 0,
  firstEntry: "",
};
const welcome: Welcome = {
  protocol: 1,
  clusterId: "",
  serverId: "b",
  incarnation: "77",
  starts: 9,
  address: "b.example.net:7001",
  firstEntry: "",
};
const HELLO_HEX = "9b0103aa636c757374657220c3bca161a16201a2336602aa5b3a3a315d3a37303031cb42e000000000000000";
const WELCOME_HEX = "970001a0a162a2373709b2622e6578616d706c652e6e65743a37303031";
const REFUSAL_HEX = "930104a36e6f21";

type Value = Parameters<typeof encode>[0];
const HELLO_ITEMS: readonly Value[] = [1, 3, "c", "a", "b", 1, "3f", 2, "[::1]:7001", 5, 0];

/** The hello with one item replaced. */
function helloWith(at: number, value: Value): Uint8Array {
  return encode(HELLO_ITEMS.map((item, index) => index === at ? value : item));
}

test("a handshake has the bytes it always had", () => {
  assertEquals(toHex(encodeHello(hello)), HELLO_HEX);
  assertEquals(toHex(encodeReply({ welcome })), WELCOME_HEX);
  assertEquals(toHex(encodeReply({ refusal: { code: "cluster-id", reason: "no!" } })), REFUSAL_HEX);
  assertEquals(decodeHello(fromHex(HELLO_HEX)), hello);
  assertEquals(decodeReply(fromHex(WELCOME_HEX)), { welcome });
  assertEquals(decodeReply(fromHex(REFUSAL_HEX)), { refusal: { code: "cluster-id", reason: "no!" } });
});

test("a handshake ends with the fingerprint of the first entry where it is known, which must be text", () => {
  assertEquals(decodeHello(encodeHello({ ...hello, firstEntry: "00c0ffee" })), { ...hello, firstEntry: "00c0ffee" });
  const reply = { welcome: { ...welcome, firstEntry: "00c0ffee" } };
  assertEquals(decodeReply(encodeReply(reply)), reply);
  for (const wrong of [null, 7, [], {}, "a\nb", "x".repeat(257)]) {
    assertThrows(() => decodeHello(encode([...HELLO_ITEMS, wrong])), ProtocolError, "firstEntry");
    assertThrows(() => decodeReply(encode([0, 1, "c", "b", "77", 9, "b:1", wrong])), ProtocolError, "firstEntry");
  }
});

test("decodeHello() ignores what a later protocol appends", () => {
  assertEquals(decodeHello(encode([...HELLO_ITEMS, "more", [1]])).from, "a");
  assertEquals(decodeReply(encode([1, 0, "no", 7])).refusal?.code, "protocol");
});

test("decodeHello() refuses items of wrong type or range", () => {
  const noInteger: readonly Value[] = ["1", -1, 1.5, 2 ** 53, NaN, null, true, [], {}, 1n];
  for (const at of [0, 1, 5, 7, 9, 10]) {
    for (const value of noInteger) assertThrows(() => decodeHello(helloWith(at, value)), ProtocolError);
  }
  assertThrows(() => decodeHello(helloWith(5, 2)), ProtocolError, "channel");
  for (const at of [3, 4]) {
    for (const id of ["", "a b", "../x", "x".repeat(65), 7, null, "\0"]) {
      assertThrows(() => decodeHello(helloWith(at, id)), ProtocolError, "server id");
    }
  }
  for (const at of [2, 6, 8]) {
    for (const text of [7, null, "a\nb", "a\u0000", "\u2028", "x".repeat(257), [], {}]) {
      assertThrows(() => decodeHello(helloWith(at, text)), ProtocolError, "printable");
    }
  }
});

test("a cluster id has at most as many bytes as a store has room for, so that whoever adopts one can write it", () => {
  for (const unit of ["x", "é", "漢", "😀"]) {
    const bytes = new TextEncoder().encode(unit).length;
    const longest = unit.repeat(Math.floor(CLUSTER_ID_BYTES_MAX / bytes));
    assertEquals([isClusterId(longest), decodeHello(helloWith(2, longest)).clusterId], [true, longest]);
    const identity = { clusterId: longest, starts: 1 };
    const before = { firstIndex: 1, prevTerm: 0, nextIndex: 1, lastTerm: 0, truncations: 0, truncatedFrom: 0 };
    const vote = { term: 0, votedFor: undefined };
    encodeBatch({ segment: 1, sequence: 1, mark: 0, chain: 0, group: 0, before, vote, ...identity }, [], 0);
    encodeSegmentHeader({
      sequence: 1,
      serverId: "a".repeat(64),
      incarnation: "i".repeat(36),
      salt: "",
      hasBatch: true,
      ...identity,
    });
    assertEquals(isClusterId(longest + unit), false);
    assertThrows(() => decodeHello(helloWith(2, longest + unit)), ProtocolError, "clusterId");
  }
  assertEquals(decodeHello(helloWith(2, "")).clusterId, "");
  assertEquals(["", "\ud800", "a\nb", 5, null].map(isClusterId), [false, false, false, false, false]);
});

test("a handshake names a disk as a configuration holds it, or the leader that writes it down would have to stop", () => {
  const disks: readonly (readonly [incarnation: string, starts: number])[] = [
    ...[["", 1], ["i".repeat(65), 1], ["i", 0]] as const,
    ...[["i", 1], ["i".repeat(64), Number.MAX_SAFE_INTEGER]] as const,
  ];
  const taken = disks.map(([incarnation, starts]) => {
    const disk = { incarnation, starts };
    const server = { id: "a", address: "a", suffrage: "voter", disk } as const;
    const hello = HELLO_ITEMS.with(6, incarnation).with(7, starts);
    return [
      () => decodeHello(encode(hello)),
      () => decodeReply(encode([0, 1, "c", "b", incarnation, starts, "a"])),
      () => encodeConfiguration({ servers: [server] }),
      () => assertEquals(isStoredDisk(disk), true),
    ].map((run) => {
      try {
        run();
        return true;
      } catch {
        return false;
      }
    });
  });
  assertEquals(taken, [false, false, false, true, true].map((isTaken) => Array(4).fill(isTaken)));
  assertEquals(isStoredDisk({ incarnation: "a\nb", starts: 1 }), false);
});

test("decodeHello() refuses too few items and no items at all", () => {
  for (let count = 0; count < HELLO_ITEMS.length; count++) {
    assertThrows(() => decodeHello(encode(HELLO_ITEMS.slice(0, count))), ProtocolError, "missing");
  }
  for (const value of [null, {}, "hello", 7]) assertThrows(() => decodeHello(encode(value)), ProtocolError);
});

test("decodeReply() refuses what neither welcomes nor refuses", () => {
  for (const items of [[], [0, 1], [2, 1, "x"], ["0", 1, "x"], [1, 99, "x"], [1, 0, 7], [0, 1, "c", "", "i", 1, "a"]]) {
    assertThrows(() => decodeReply(encode(items)), ProtocolError);
  }
});

test("a handshake survives any bytes", () => {
  const survives = (bytes: Uint8Array) => {
    for (const decode of [decodeHello, decodeReply]) {
      try {
        decode(bytes);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives));
  for (const golden of [HELLO_HEX, WELCOME_HEX, REFUSAL_HEX].map(fromHex)) {
    for (let at = 0; at < golden.length; at++) {
      survives(golden.subarray(0, at));
      survives(golden.map((byte, index) => index === at ? byte ^ 0xff : byte));
    }
  }
  survives(new Uint8Array(HANDSHAKE_BYTES_MAX).fill(0x91));
});

test("encodeReply() shortens a reason without breaking a character", () => {
  const reason = "😀".repeat(300);
  const { refusal } = decodeReply(encodeReply({ refusal: { code: "group", reason: `x${reason}` } }));
  assertEquals(refusal?.reason.length, 500);
});
