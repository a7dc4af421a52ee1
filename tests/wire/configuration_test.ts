import { assertEquals, assertThrows } from "@std/assert";
import { decode, encode, type ValueType } from "@std/msgpack";
import fc from "fast-check";
import { InvariantError, ProtocolError } from "../../src/errors.ts";
import { type Configuration, type Server, SERVERS_MAX } from "../../src/types.ts";
import { decodeConfiguration, encodeConfiguration } from "../../src/wire/configuration.ts";
import { test } from "../harness.ts";
import { toHex } from "../hex.ts";

const idArbitrary = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);

const serversArbitrary = fc.uniqueArray(idArbitrary, { minLength: 1, maxLength: 9 }).chain((ids) =>
  fc.tuple(...ids.map((id, i): fc.Arbitrary<Server> =>
    fc.record({
      id: fc.constant(id),
      address: fc.constant(`${id}:${i}`),
      suffrage: i === 0 ? fc.constant("voter" as const) : fc.constantFrom("voter", "nonvoter", "staging"),
      priority: fc.nat(),
    }, { requiredKeys: ["id", "address", "suffrage"], noNullPrototype: true })
  ))
);

test("encodeConfiguration() writes what Go's hashicorp/raft writes", () => {
  const servers: Server[] = [
    { id: "node-3", address: "127.0.0.1:7003", suffrage: "nonvoter" },
    { id: "node-1", address: "127.0.0.1:7001", suffrage: "voter" },
    { id: "node-2", address: "127.0.0.1:7002", suffrage: "voter" },
  ];
  assertEquals(
    toHex(encodeConfiguration({ servers })),
    "81a7536572766572739383a741646472657373ae3132372e302e302e313a37303031a24944a66e6f64652d31a8537566667261676500" +
      "83a741646472657373ae3132372e302e302e313a37303032a24944a66e6f64652d32a8537566667261676500" +
      "83a741646472657373ae3132372e302e302e313a37303033a24944a66e6f64652d33a8537566667261676501",
  );
});

test("encodeConfiguration() gives the same bytes whatever the order, and decodeConfiguration() the servers by id", () => {
  fc.assert(fc.property(serversArbitrary, fc.option(fc.uniqueArray(idArbitrary, { minLength: 1 })), (servers, ids) => {
    const outgoing = ids === null ? {} : { outgoing: ids };
    const bytes = encodeConfiguration({ servers, ...outgoing });
    const reversed = ids === null ? {} : { outgoing: ids.toReversed() };
    assertEquals(encodeConfiguration({ servers: servers.toReversed(), ...reversed }), bytes);
    const byId = servers.toSorted((a, b) => a.id < b.id ? -1 : 1);
    const decoded = decodeConfiguration(bytes);
    assertEquals<unknown>(decoded, ids === null ? { servers: byId } : { servers: byId, outgoing: ids.toSorted() });
  }));
});

test("decodeConfiguration() skips keys that it doesn't know and takes Go's forms", () => {
  const text = new TextEncoder();
  const bytes = encode({
    Future: 1,
    Servers: [{ Address: text.encode("a:1"), ID: text.encode("a"), Suffrage: 0, Future: [1] }],
  });
  assertEquals(decodeConfiguration(bytes), { servers: [{ id: "a", address: "a:1", suffrage: "voter" }] });
});

test("decodeConfiguration() refuses what can't be a configuration", () => {
  const a = { Address: "a:1", ID: "a", Suffrage: 0 };
  const refused: readonly [ValueType, string][] = [
    [1, "it is not a map"],
    [[a], "it is not a map"],
    [{}, '"Servers" is not an array'],
    [{ Servers: null }, '"Servers" is not an array'],
    [{ Servers: {} }, '"Servers" is not an array'],
    [{ Servers: [] }, "no voter"],
    [{ Servers: [1] }, "a server is not a map"],
    [{ Servers: [{ ...a, ID: "" }] }, 'the id ""'],
    [{ Servers: [{ ...a, ID: "a b" }] }, 'the id "a b"'],
    [{ Servers: [{ ...a, ID: "a\n" }] }, 'the id "a\\n"'],
    [{ Servers: [{ ...a, ID: "a".repeat(65) }] }, "the id"],
    [{ Servers: [{ ...a, ID: 1 }] }, "a server's id is not text"],
    [{ Servers: [{ ...a, Address: "" }] }, 'the address ""'],
    [{ Servers: [{ ...a, Address: "a b:1" }] }, 'the address "a b:1"'],
    [{ Servers: [{ ...a, Address: "a".repeat(301) }] }, "the address"],
    [{ Servers: [{ ...a, Suffrage: 3 }] }, "the suffrage 3"],
    [{ Servers: [{ ...a, Suffrage: 0.5 }] }, "the suffrage 0.5"],
    [{ Servers: [{ ...a, Suffrage: "voter" }] }, "not a number"],
    [{ Servers: [{ ...a, Suffrage: 1 }] }, "no voter"],
    [{ Servers: [{ ...a, Suffrage: 2 }] }, "no voter"],
    [{ Servers: [{ ...a, Priority: -1 }] }, "the priority -1"],
    [{ Servers: [{ ...a, Priority: 1.5 }] }, "the priority 1.5"],
    [{ Servers: [a, { ...a, Address: "b:1" }] }, 'the id "a"'],
    [{ Servers: [a, { ...a, ID: "b" }] }, 'the address "a:1"'],
    [{ Servers: [a], Outgoing: [] }, "joint without"],
    [{ Servers: [{ ...a, Leaving: true }], Outgoing: ["a"] }, '"a" is leaving'],
    [{ Servers: [a, { ...a, ID: "b", Address: "b", Suffrage: 1, Leaving: true }] }, '"b" is leaving'],
    [{ Servers: [a, { ...a, ID: "b", Address: "b", Suffrage: 1, Leaving: true }], Outgoing: ["a"] }, '"b" is leaving'],
    [{ Servers: [a, { ...a, ID: "b", Address: "b", Suffrage: 2, Leaving: true }], Outgoing: ["b"] }, '"b" is leaving'],
    [{ Servers: [a], Outgoing: "a" }, "not an array"],
    [{ Servers: [a], Outgoing: ["a", "a"] }, "twice"],
    [{ Servers: [a], Outgoing: ["/"] }, 'the outgoing id "/"'],
    [{ Servers: Array.from({ length: SERVERS_MAX + 1 }, (_, i) => ({ ...a, ID: `${i}`, Address: `${i}` })) }, "1001"],
  ];
  for (const [value, message] of refused) {
    assertThrows(() => decodeConfiguration(encode(value)), ProtocolError, message);
  }
  const nested = new Uint8Array(1 << 20).fill(0x91);
  assertThrows(() => decodeConfiguration(nested), ProtocolError);
});

test("a joint configuration says who is leaving, and only then", () => {
  const servers: Server[] = [
    { id: "a", address: "a:1", suffrage: "voter" },
    { id: "b", address: "b:1", suffrage: "nonvoter", leaving: true },
  ];
  const joint = { servers, outgoing: ["a", "b"] };
  assertEquals(decodeConfiguration(encodeConfiguration(joint)), joint);
  assertThrows(() => encodeConfiguration({ servers }), InvariantError, '"b" is leaving and not an outgoing voter');
});

test("decodeConfiguration() takes the largest configuration", () => {
  const servers = Array.from({ length: SERVERS_MAX }, (_, i): Server => ({
    id: `s${i}`.padEnd(64, "x"),
    address: `${i}`.padEnd(300, "x"),
    suffrage: i === 0 ? "voter" : "staging",
    priority: 0xffff_ffff,
  }));
  const ids = servers.map(({ id }) => id);
  assertEquals(decodeConfiguration(encodeConfiguration({ servers, outgoing: ids })).servers.length, SERVERS_MAX);
});

test("decodeConfiguration() never answers random bytes with anything but a configuration or a ProtocolError", () => {
  const good = encodeConfiguration({ servers: [{ id: "a", address: "a:1", suffrage: "voter", priority: 3 }] });
  const damaged = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => good.with(at, value));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), damaged), (bytes) => {
      try {
        decodeConfiguration(bytes);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    }),
    { numRuns: 2_000 },
  );
});

test("encodeConfiguration() refuses what no server could decode", () => {
  const bad: readonly Configuration[] = [
    { servers: [] },
    { servers: [{ id: "a", address: "a:1", suffrage: "nonvoter" }] },
    { servers: [{ id: "a", address: "a:1", suffrage: "voter" }], outgoing: [] },
  ];
  for (const configuration of bad) assertThrows(() => encodeConfiguration(configuration), InvariantError);
  assertEquals(decode(encodeConfiguration({ servers: [{ id: "a", address: "b", suffrage: "voter" }] })), {
    Servers: [{ Address: "b", ID: "a", Suffrage: 0 }],
  });
});
