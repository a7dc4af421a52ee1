import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { defaultOptions, type RaftOptions, type RaftSettings } from "../src/options.ts";
import { isServerId, validateOptions } from "../src/options_check.ts";
import { createRaft } from "../src/raft.ts";
import { memoryStore } from "../src/store/memory.ts";
import { memoryNetwork } from "../src/transport/memory.ts";
import { test } from "./harness.ts";

test("defaultOptions() are valid, and a copy each time", () => {
  assertEquals(validateOptions({}), defaultOptions());
  const one = defaultOptions() as { heartbeatMs: number };
  one.heartbeatMs = 1;
  assertEquals(defaultOptions().heartbeatMs, 50);
});

test("validateOptions() takes what is given and defaults for the rest, also for undefined", () => {
  const given = { heartbeatMs: 20, preVote: false, leaderWaitMs: undefined } as unknown as Partial<RaftSettings>;
  assertEquals(validateOptions(given), { ...defaultOptions(), heartbeatMs: 20, preVote: false });
});

const MiB = 1024 * 1024;

/** The last value that is taken, and the first one beyond it. */
const bounds: readonly [Partial<RaftSettings>, Partial<RaftSettings>][] = [
  [{ heartbeatMs: 1 }, { heartbeatMs: 0.9 }],
  [{ heartbeatMs: 250 }, { heartbeatMs: 250.5 }],
  [{ electionMinMs: 5, leaseMs: 5, heartbeatMs: 2 }, { electionMinMs: 4, leaseMs: 4, heartbeatMs: 2 }],
  [{ electionMaxMs: 501 }, { electionMaxMs: 500.5 }],
  [{ electionMaxMs: 2 ** 30 }, { electionMaxMs: 2 ** 30 + 1 }],
  [{ leaseMs: 5 }, { leaseMs: 4 }],
  [{ leaseMs: 500 }, { leaseMs: 501 }],
  [{ clockDriftMax: 0 }, { clockDriftMax: -0.01 }],
  [{ clockDriftMax: 0.5 }, { clockDriftMax: 0.51 }],
  [{ commandBytesMax: 1 }, { commandBytesMax: 0 }],
  [{ commandBytesMax: 6 * MiB }, { commandBytesMax: 6 * MiB + 1 }],
  [{ appendEntriesMax: 1 }, { appendEntriesMax: 0 }],
  [{ appendEntriesMax: 4096 }, { appendEntriesMax: 4097 }],
  [{ appendBytesMax: 1 }, { appendBytesMax: 0 }],
  [{ appendBytesMax: 6 * MiB }, { appendBytesMax: 6 * MiB + 1 }],
  [{ windowBytesMax: 1 }, { windowBytesMax: 0 }],
  [{ windowAppendsMax: 1 }, { windowAppendsMax: 0 }],
  [{ inFlightCountMax: 1 }, { inFlightCountMax: 0 }],
  [{ inFlightBytesMax: 1 }, { inFlightBytesMax: 0 }],
  [{ hashEvery: 0 }, { hashEvery: -1 }],
  [{ hashEvery: 1 }, { hashEvery: 1.5 }],
  [{ logCacheBytesMax: 0 }, { logCacheBytesMax: -1 }],
  [{ logCacheEntriesMax: 0 }, { logCacheEntriesMax: 1.5 }],
  [{ reconnectWaitMs: 0 }, { reconnectWaitMs: -1 }],
  [{ reconnectWaitMs: 2 ** 30 }, { reconnectWaitMs: 2 ** 30 + 1 }],
  [{ leaderWaitMs: 0 }, { leaderWaitMs: -1 }],
  [{ enqueueTimeoutMs: 0 }, { enqueueTimeoutMs: -1 }],
  [{ enqueueTimeoutMs: 2 ** 30 }, { enqueueTimeoutMs: 2 ** 30 + 1 }],
  [{ shutdownTransferMs: 0 }, { shutdownTransferMs: -1 }],
  // Timers take any longer wait for none at all.
  [{ shutdownTransferMs: 2 ** 30 }, { shutdownTransferMs: 2 ** 30 + 1 }],
];

for (const [last, beyond] of bounds) {
  const name = Object.keys(beyond)[0] as keyof RaftSettings;
  test(`validateOptions() takes ${name} of ${last[name]} and refuses ${beyond[name]}, naming both`, () => {
    assertEquals(validateOptions(last)[name], last[name]!);
    const { message } = assertThrows(() => validateOptions(beyond), RangeError) as unknown as Error;
    assertStringIncludes(message, `'${name}'`);
    assertStringIncludes(message, `current value is ${beyond[name]}`);
  });
}

test("validateOptions() refuses what is no number, in every number", () => {
  const { preVote: _, ...numbers } = defaultOptions();
  for (const name of Object.keys(numbers)) {
    for (const value of [NaN, Infinity, -Infinity, "50", null, 5n, {}]) {
      assertThrows(() => validateOptions({ [name]: value } as Partial<RaftSettings>), RangeError, name);
    }
  }
});

test("validateOptions() refuses fractions of entries and bytes", () => {
  const names = Object.keys(defaultOptions()).filter((name) => name.endsWith("Max") && name !== "clockDriftMax");
  assertEquals(names.length, 12);
  for (const name of names) {
    assertThrows(() => validateOptions({ [name]: 1.5 }), RangeError, `'${name}' must be a safe integer`);
  }
});

test("validateOptions() refuses a preVote that is no boolean", () => {
  assertThrows(() => validateOptions({ preVote: 1 as unknown as boolean }), TypeError, "preVote");
});

test("isServerId() takes 1 to 64 letters, digits, dots, dashes and underscores", () => {
  for (const id of ["a", "A-z_0.9", "x".repeat(64)]) {
    assertEquals(isServerId(id), true);
    validateOptions({ id });
  }
  for (const id of ["", "x".repeat(65), "a b", "a/b", "é", "a\n", 5, undefined, null]) {
    assertEquals(isServerId(id), false);
  }
  assertThrows(() => validateOptions({ id: "a b" }), TypeError, '"a b"');
});

/** Options that are complete, with one of them changed. */
function changed(change: Readonly<Record<string, unknown>>): RaftOptions<string, string> {
  return {
    id: "a",
    machine: { apply: (command: string) => command },
    store: memoryStore(),
    transport: memoryNetwork().transport("a"),
    bootstrap: { a: "a" },
    ...change,
  };
}

test("createRaft() refuses parts that are missing or no parts, names them and opens nothing", async () => {
  for (const name of ["id", "machine", "store", "transport", "codec"]) {
    for (const value of name === "codec" ? [null, {}, { encode: () => 0 }] : [undefined, null, {}, 5]) {
      let opened = 0;
      const open = () => Promise.reject(opened++);
      const options = changed({ store: { open }, transport: { open }, [name]: value });
      const error = await assertRejects(() => createRaft(options), TypeError);
      assertStringIncludes(error.message, name === "id" ? "the server id" : `'${name}' must be a`);
      assertEquals(opened, 0);
    }
  }
});

test("createRaft() refuses a machine's class and what would make one, as the apply() of a function is no machine's", async () => {
  class Machine {
    apply = (command: string) => command;
  }
  class Static {
    static apply = (command: string) => command;
  }
  for (const machine of [Machine, () => new Machine()]) {
    await assertRejects(() => createRaft(changed({ machine })), TypeError, "'machine' must be a state machine");
  }
  for (const machine of [new Machine(), Static]) {
    const raft = await createRaft(changed({ machine }));
    assertEquals(await raft.apply("x"), "x");
    await raft.shutdown();
  }
});

test("createRaft() refuses a clusterId that no peer or disk would take, and takes the longest", async () => {
  for (const clusterId of ["", "x".repeat(256), "ü".repeat(128), "a\nb", "\ud800", 5, null]) {
    await assertRejects(() => createRaft(changed({ clusterId })), TypeError, "'clusterId' must be 1 to 255 bytes");
  }
  for (const clusterId of ["x", "x".repeat(255), "Zürich 1"]) {
    const raft = await createRaft(changed({ clusterId }));
    assertEquals(raft.status.clusterId, clusterId);
    await raft.shutdown();
  }
});

test("createRaft() refuses a place for snapshots, a logger or servers that are none, and what is no boolean", async () => {
  const wrong: [Record<string, unknown>, string][] = [
    [{ snapshots: "./data" }, "'snapshots' must be a snapshot store or a factory, with open()"],
    [{ logger: () => {} }, "'logger' must be a logger, like console, with debug() and info() and warn() and error()"],
    [{ logger: null }, "'logger' must be a logger"],
    [{ bootstrap: "a" }, "'bootstrap' must be an object of ids and addresses, not string"],
    [{ bootstrap: ["a"] }, "'bootstrap' must be an object of ids and addresses, not Array"],
    [{ bootstrap: null }, "'bootstrap' must be an object of ids and addresses, not null"],
    [{ shutdownOnRemove: "false" }, "'shutdownOnRemove' must be a boolean, not string"],
    [{ preVote: "false" }, "'preVote' must be a boolean"],
    [{ heartbeatMs: "50" }, "'heartbeatMs' must be at least 1: current value is \"50\""],
  ];
  for (const [change, words] of wrong) {
    const error = await assertRejects(() => createRaft(changed(change)));
    assertStringIncludes((error as Error).message, words);
  }
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const raft = await createRaft(changed({ logger, shutdownOnRemove: true, snapshots: undefined }));
  await raft.shutdown();
});
