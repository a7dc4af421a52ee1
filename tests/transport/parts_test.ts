import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { advertisedAddress, formatAddress, parseAddress } from "../../src/transport/address.ts";
import { Backoff } from "../../src/transport/backoff.ts";
import { joinParts } from "../../src/wire/bytes.ts";
import { SendQueue } from "../../src/transport/send_queue.ts";
import { listenError, reasonOf } from "../../src/transport/socket_errors.ts";
import { TroubleGate } from "../../src/transport/trouble.ts";
import type { TransportTrouble } from "../../src/transport/transport.ts";
import { test } from "../harness.ts";
import { VirtualClock } from "./virtual_clock.ts";

test("parseAddress() takes names, IPv4, IPv6 and all interfaces, and formatAddress() gives them back", () => {
  const cases = [
    ["localhost:7001", "localhost", 7001],
    ["127.0.0.1:0", "127.0.0.1", 0],
    ["[::1]:65535", "::1", 65535],
    ["[fe80::1%eth0]:1", "fe80::1%eth0", 1],
    ["node-1.example.net:80", "node-1.example.net", 80],
    [":7001", "", 7001],
  ] as const;
  for (const [address, host, port] of cases) {
    assertEquals(parseAddress(address), { host, port });
    assertEquals(formatAddress({ host, port }), address);
  }
});

test("parseAddress() refuses what is no address", () => {
  const bad = ["", "a", "a:", "a:x", "a:70000", "a:-1", "::1:7001", "[::1]", "a:1:2", "a b:1", "http://a:1", "a/b:1"];
  for (const address of bad) assertThrows(() => parseAddress(address), TypeError, `"${address}"`);
});

test("advertisedAddress() prefers what the operator says, and refuses all interfaces", () => {
  assertEquals(advertisedAddress("127.0.0.1:7001", undefined), "127.0.0.1:7001");
  assertEquals(advertisedAddress("0.0.0.0:7001", "a:1"), "a:1");
  for (const wildcard of ["0.0.0.0:1", "[::]:1", ":1", "[0:0:0:0:0:0:0:0]:1", "*:1"]) {
    assertThrows(() => advertisedAddress(wildcard, undefined), TypeError, "all interfaces");
    assertThrows(() => advertisedAddress("127.0.0.1:1", wildcard), TypeError, "all interfaces");
  }
  assertEquals(advertisedAddress("10.0.0.0:1", undefined), "10.0.0.0:1");
  assertThrows(() => advertisedAddress("a:1", "a:0"), TypeError, "lacks the port");
});

test("Backoff doubles up to its bound, within a half, and starts again when it is reset", () => {
  for (const [random, factor] of [[0, 0.5], [0.999_999, 1]]) {
    const backoff = new Backoff({ minMs: 50, maxMs: 2_000, random: () => random });
    for (let round = 0; round < 2; round++) {
      const waits = Array.from({ length: 9 }, () => Math.round(backoff.next()));
      assertEquals(waits, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000].map((ms) => ms * factor));
      backoff.reset();
    }
    for (let attempt = 0; attempt < 2_000; attempt++) assert(backoff.next() <= 2_000);
  }
});

test("SendQueue gives out what was pushed, whatever is taken at a time", () => {
  const parts = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 50 }),
      fc.constantFrom(1_000, 32_768, 65_536, 300_000).map((length) => new Uint8Array(length).fill(length & 0xff)),
    ),
    { maxLength: 8 },
  );
  const steps = fc.array(fc.record({ parts, taken: fc.double({ min: 0.01, max: 1, noNaN: true }) }), { minLength: 1 });
  fc.assert(
    fc.property(steps, (steps) => {
      const queue = new SendQueue();
      const expected = steps.flatMap(({ parts }) => parts);
      const given: Uint8Array[] = [new Uint8Array(0)];
      const take = (share: number) => {
        const block = queue.peek();
        if (block === undefined) return;
        assert(block.length > 0 && block.length <= 256 * 1024);
        assert(queue.peek() === block, "a block stays until it is advanced over");
        const count = Math.ceil(block.length * share);
        given.push(block.slice(0, count));
        const before = queue.queuedBytes;
        queue.advance(count);
        assertEquals(queue.queuedBytes, before - count);
      };
      for (const step of steps) {
        queue.push(step.parts);
        take(step.taken);
      }
      while (queue.queuedBytes > 0) take(1);
      assertEquals(queue.peek(), undefined);
      assert(sameBytes(joinParts(given), joinParts([new Uint8Array(0), ...expected])));
    }),
    { numRuns: 50 },
  );
});

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

test("SendQueue gathers small parts and gives large ones out uncopied", () => {
  const queue = new SendQueue();
  const large = new Uint8Array(1_000_000);
  queue.push([new Uint8Array(28), new Uint8Array(30), large]);
  assertEquals(queue.peek()?.length, 65_536);
  queue.advance(65_536);
  assert(queue.peek()?.buffer === large.buffer);
  assertEquals(queue.peek()?.length, 262_144);
  queue.clear();
  assertEquals([queue.peek(), queue.queuedBytes], [undefined, 0]);
  queue.advance(5);
  queue.push([new Uint8Array(0)]);
  assertEquals([queue.peek(), queue.queuedBytes], [undefined, 0]);
});

test("TroubleGate lets one of a kind and source pass per ten seconds, and forgets the oldest of many", async () => {
  const clock = new VirtualClock();
  const gate = new TroubleGate(clock);
  const trouble: TransportTrouble = { kind: "protocol-error", peer: undefined, address: "10.0.0.1:1", reason: "x" };
  assertEquals(gate.pass(trouble), trouble);
  assertEquals(gate.pass({ ...trouble, address: "10.0.0.1:2" }), undefined);
  assert(gate.pass({ ...trouble, address: "10.0.0.2:2" }) !== undefined);
  assert(gate.pass({ ...trouble, peer: "b" }) !== undefined);
  assertEquals(gate.pass({ ...trouble, peer: "b", address: "elsewhere:1" }), undefined);
  await clock.advance(10_000);
  assertEquals(gate.pass(trouble)?.reason, "x (and 1 more like it)");
  for (let host = 0; host < 300; host++) gate.pass({ ...trouble, address: `10.1.0.${host}:1` });
  assertEquals(gate.pass(trouble), trouble, "it was forgotten");
});

test("socket errors are worded alike for all runtimes", () => {
  const error = (code: string) => Object.assign(new Error("x"), { code });
  assertEquals(reasonOf(error("ECONNREFUSED")), "connection refused: nobody listens there");
  assertEquals(reasonOf(error("EODD")), "x");
  assertEquals(reasonOf(Object.assign(new Error(""), { code: "EODD" })), "EODD");
  assertEquals(reasonOf("odd"), "odd");
  assertEquals(reasonOf(error("constructor")), "x");
  const { message, cause } = listenError("a:1", error("EADDRINUSE"));
  assertEquals(
    message,
    'Cannot listen at "a:1" as the port is in use: stop the program that uses it, or choose another port',
  );
  assert(cause instanceof Error);
});
