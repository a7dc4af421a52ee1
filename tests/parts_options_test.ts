/**
 * Options of the parts that a server is made of: what is of another type is refused by name, what is of the right one is taken.
 *
 * @module
 */
import { assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { kvStore } from "../adapters/deno/kv.ts";
import { fileSnapshotStore, fileStore } from "../adapters/fs/mod.ts";
import { adminApp } from "../adapters/hono/admin.ts";
import { createRaft } from "../mod.ts";
import { StorageError } from "../src/errors.ts";
import { recoverCluster } from "../src/offline.ts";
import { logCache } from "../src/store/cached_store.ts";
import { memoryStore } from "../src/store/memory.ts";
import { memoryNetwork } from "../src/transport/memory.ts";
import { networkTransport } from "../src/transport/network.ts";
import { type NetworkOptions, settingsOf } from "../src/transport/network_options.ts";
import { fakeTarget } from "./adapters/hono/fake_target.ts";
import { test } from "./harness.ts";

const layer = { listen: () => Promise.reject(), dial: () => Promise.reject() };

const makers: Readonly<Record<string, (options: never) => unknown>> = {
  networkTransport: (options) => networkTransport(layer as never, options),
  memoryNetwork: (options) => memoryNetwork(options),
  memoryStore: (options) => memoryStore(options),
  logCache: (options) => logCache(memoryStore(), options),
  adminApp: (options) => adminApp(fakeTarget(), options),
};

const wrong: readonly [string, object, string][] = [
  ["networkTransport", { pingMs: "5" }, "'pingMs' must be a number, 0 to 1073741824: current value is \"5\""],
  ["networkTransport", { idleMs: Infinity }, "'idleMs' must be a number, 0 to 1073741824: current value is Infinity"],
  ["networkTransport", { frameBytesMax: null }, "'frameBytesMax' must be a whole number, at least 0"],
  ["networkTransport", { strangersMax: 1.5 }, "'strangersMax' must be a whole number, at least 0"],
  ["networkTransport", { random: 0.5 }, "'random' must be a function, not number"],
  ["networkTransport", { resolveAddress: {} }, "'resolveAddress' must be a function, not Object"],
  ["networkTransport", { clock: Date }, "'clock' must be a clock, with now(), setTimeout() and clearTimeout()"],
  ["memoryNetwork", { delayMs: "5" }, "'delayMs' must be a number, at least 0: current value is \"5\""],
  ["memoryNetwork", { sendQueueBytesMax: "5" }, "'sendQueueBytesMax' must be a whole number"],
  ["memoryNetwork", { random: 0.5 }, "'random' must be a function, not number"],
  ["memoryNetwork", { clock: null }, "'clock' must be a clock"],
  ["memoryStore", { random: 0.5 }, "'random' must be a function, not number"],
  ["logCache", { entries: "5" }, "'entries' must be a whole number, at least 0: current value is \"5\""],
  ["logCache", { bytes: -1 }, "'bytes' must be a whole number, at least 0: current value is -1"],
  ["adminApp", { insecure: "true" }, "pass 'token', or 'insecure: true'"],
  ["adminApp", { token: 12345 }, "Cannot use the token"],
  ["adminApp", { insecure: true, path: 5 }, "'path' must be text, not number"],
  ["adminApp", { insecure: true, contactMaxMs: "5" }, "'contactMaxMs' must be a number, at least 0"],
  ["adminApp", { insecure: true, timeoutMs: 2 ** 31 }, "'timeoutMs' must be a number, 0 to 1073741824"],
];

for (const [name, options, words] of wrong) {
  test(`${name}() refuses ${Object.keys(options).at(-1)} of ${String(Object.values(options).at(-1))}, and names it`, () => {
    const error = assertThrows(() => makers[name]!(options as never));
    assertInstanceOf(error, Error);
    assertStringIncludes(error.message, words);
  });
}

test("parts take options at their bounds, and undefined for the default", () => {
  const given: NetworkOptions = { pingMs: 0, idleMs: 2 ** 30, strangersMax: 0, random: () => 0.5 };
  assertEquals(settingsOf(given), { ...settingsOf({}), ...given });
  assertEquals(settingsOf({ pingMs: undefined } as never), settingsOf({}));
  networkTransport(layer as never, given);
  memoryNetwork({ delayMs: () => 1, sendQueueBytesMax: 0 });
  memoryNetwork({ delayMs: 0 });
  memoryStore({ random: () => "x" });
  adminApp(fakeTarget(), { insecure: true, path: "/raft", contactMaxMs: 0, timeoutMs: 2 ** 30 });
});

test("stores refuse what could pass for a lock, a size or a prefix when they are opened, before anything is touched", async () => {
  const opened = async (options: object) => await fileStore("none", options).open({});
  await assertRejects(() => opened({ lock: "false" }), TypeError, "'lock' must be a boolean, not string");
  await assertRejects(() => opened({ segmentBytes: "65536" }), RangeError, 'segments of "65536" bytes');
  const snapshots = async (options: object) => await fileSnapshotStore("none", options).open();
  await assertRejects(() => snapshots({ lock: 0 }), TypeError, "'lock' must be a boolean, not number");
  await assertRejects(() => snapshots({ retain: "2" }), RangeError, "keep at least 1");
  const inKv = kvStore({ kv: {} as never, prefix: "raft" as never });
  await assertRejects(() => inKv.open({}), TypeError, "'prefix' must be an array, not string");
});

test("createRaft() refuses a store whose incarnation no leader could write down, and takes the longest and the shortest", async () => {
  const opened = (incarnation: string) =>
    createRaft({
      id: "a",
      machine: { apply: () => 0 },
      store: memoryStore({ random: () => incarnation }),
      transport: memoryNetwork().transport("a"),
    });
  for (const incarnation of ["", "i".repeat(65), "a\nb", 5 as never]) {
    const error = await assertRejects(() => opened(incarnation), StorageError, "an incarnation of 1 to 64 printable");
    assertEquals(error.operation, "open");
  }
  for (const incarnation of ["i", "i".repeat(64)]) await (await opened(incarnation)).shutdown();
});

test("recoverCluster() refuses a dryRun that is no boolean, as what looks like one could be taken for the other", async () => {
  const options = {
    id: "a",
    machine: { apply: () => 0 },
    store: memoryStore(),
    transport: memoryNetwork().transport("a"),
  };
  const configuration = { servers: [{ id: "a", address: "a", suffrage: "voter" }] } as const;
  for (const dryRun of ["false", 0, null]) {
    await assertRejects(
      () => recoverCluster(options, configuration, { dryRun: dryRun as never }),
      TypeError,
      "'dryRun' must be a boolean",
    );
  }
});
