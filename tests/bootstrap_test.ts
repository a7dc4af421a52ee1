import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { bootstrapConfiguration, bootstrapEntry, bootstrapTerm, clusterIdOf, fingerprint } from "../src/bootstrap.ts";
import { EntryType } from "../src/types.ts";
import { configurationsOf } from "../src/wire/record.ts";
import { test } from "./harness.ts";

const servers = { n1: "h:1", n2: "h:2", n10: "h:10" };

test("bootstrapConfiguration() makes every server a voter, sorted by id", () => {
  const configuration = bootstrapConfiguration(servers, "n2");
  assertEquals(configuration.servers.map(({ id, address, suffrage }) => [id, address, suffrage]), [
    ["n1", "h:1", "voter"],
    ["n10", "h:10", "voter"],
    ["n2", "h:2", "voter"],
  ]);
});

test("bootstrapConfiguration() refuses what can't be a cluster", () => {
  assertThrows(() => bootstrapConfiguration(servers, "n3"), TypeError, '"n3" is not among the servers');
  assertThrows(() => bootstrapConfiguration({}, "a"), TypeError, "not among");
  assertThrows(() => bootstrapConfiguration({ a: "h:1", b: "h:1" }, "a"), TypeError, 'share the address "h:1"');
  assertThrows(() => bootstrapConfiguration({ a: "" }, "a"), TypeError, "no address");
  assertThrows(() => bootstrapConfiguration({ a: 5 as unknown as string }, "a"), TypeError, "no address");
  assertThrows(() => bootstrapConfiguration({ a: "h:1", "b c": "h:2" }, "a"), TypeError, '"b c"');
});

test("bootstrapEntry() and fingerprint() depend on the servers, not on the order of keys nor on who asks", async () => {
  const entries = Object.entries(servers);
  const first = bootstrapConfiguration(servers, "n1");
  const name = await fingerprint(first);
  await fc.assert(fc.asyncProperty(
    fc.shuffledSubarray(entries, { minLength: entries.length }),
    fc.constantFrom(...entries),
    async (shuffled, [self]) => {
      const configuration = bootstrapConfiguration(Object.fromEntries(shuffled), self);
      assertEquals(bootstrapEntry(configuration).bytes, bootstrapEntry(first).bytes);
      assertEquals(await fingerprint(configuration), name);
    },
  ));
});

test("fingerprint() is 32 hexadecimal digits that another address or server changes", async () => {
  const of = (servers: Record<string, string>) => fingerprint(bootstrapConfiguration(servers, "n1"));
  const name = await of(servers);
  assertEquals(/^[0-9a-f]{32}$/.test(name), true);
  assertNotEquals(await of({ ...servers, n2: "h:3" }), name);
  assertNotEquals(await of({ ...servers, n3: "h:3" }), name);
});

// Every disk that was ever bootstrapped holds these bytes: they must never change.
test("bootstrapEntry() is entry 1 of term 1 with these very bytes", async () => {
  const configuration = bootstrapConfiguration({ a: "h:1", b: "h:2" }, "a");
  const records = bootstrapEntry(configuration);
  assertEquals([records.from, records.end, records.term(1), records.type(1), records.timeMs(1)], [
    1,
    2,
    bootstrapTerm,
    EntryType.configuration,
    0,
  ]);
  assertEquals(configurationsOf(records), [{ index: 1, configuration }]);
  const hex = Array.from(records.bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  assertEquals([hex, await fingerprint(configuration)], GOLDEN);
});

const GOLDEN = [
  "b873973305000000420000000000000001000000000000000100000000000000000000000000000004533ffd00000000" +
  "81a7536572766572739283a741646472657373a3683a31a24944a161a853756666726167650083a741646472657373a3" +
  "683a32a24944a162a8537566667261676500",
  "83bb87c124b0842c567ac7c27ec29524",
];

test("clusterIdOf() is what a server that bootstraps calls its cluster, in whatever order the servers are given", async () => {
  const clusterId = await clusterIdOf({ b: "b:1", a: "a:1" });
  assertEquals(clusterId, await fingerprint(bootstrapConfiguration({ a: "a:1", b: "b:1" }, "a")));
  assertNotEquals(clusterId, await clusterIdOf({ a: "a:1" }));
  await assertRejects(() => clusterIdOf({}), TypeError);
});
