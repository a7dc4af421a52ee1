/**
 * Callers that do what the types don't allow, or at the worst moment: the call ends, the server goes on.
 *
 * @module
 */
import { assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { Codec } from "../src/machine.ts";
import type { Raft } from "../src/raft.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

for (
  const [name, value] of [
    ["ArrayBuffer", new ArrayBuffer(8)],
    ["Promise", Promise.resolve(new Uint8Array(8))],
    ["string", "text"],
    ["Array", [1, 2]],
    ["Uint16Array", new Uint16Array(4)],
    ["null", null],
    ["undefined", undefined],
    ["object", Object.create(null)],
  ] as const
) {
  const codec = { encode: () => value, decode: () => 1 } as unknown as Codec<unknown>;
  test(`Raft.apply() rejects when a codec encodes to ${name}, and nothing gets into the log`, () =>
    withCluster(1, async (cluster) => {
      const raft = await cluster.leader();
      const before = raft.lastIndex;
      await assertRejects(() => raft.apply({}), TypeError, `Uint8Array, not ${name}`);
      await cluster.settled(raft.apply(new Uint8Array(3)));
      assertEquals([raft.state, raft.lastIndex], ["leader", before + 1]);
    }, { codec }));
}

test("Raft.apply() whose signal is ended by the codec proposes nothing", () => {
  const controller = new AbortController();
  const encode = () => {
    controller.abort(new Error("enough"));
    return new Uint8Array(1);
  };
  return withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    await assertRejects(() => raft.apply({}, { signal: controller.signal }), Error, "enough");
    assertEquals([raft.metrics().proposals, raft.metrics().proposalsPending], [0, 0]);
  }, { codec: { encode, decode: () => 1 } });
});

type Call = (raft: Raft<unknown, unknown>, options: never) => Promise<unknown>;

const change = [{ type: "remove-server", id: "b" }] as const;

const calls: Readonly<Record<string, Call>> = {
  apply: (raft, options) => raft.apply("x", options),
  applyEntry: (raft, options) => raft.applyEntry({ data: "x" }, options),
  barrier: (raft, options) => raft.barrier(options),
  session: (raft, options) => raft.session(options),
  "session.apply": async (raft, options) => await (await raft.session()).apply("x", options),
  read: (raft, options) => raft.read(() => 0, options),
  readIndex: (raft, options) => raft.readIndex(options),
  addVoter: (raft, options) => raft.addVoter("b", "b", options),
  addNonvoter: (raft, options) => raft.addNonvoter("b", "b", options),
  demoteVoter: (raft, options) => raft.demoteVoter("b", options),
  removeServer: (raft, options) => raft.removeServer("b", options),
  changeMembership: (raft, options) => raft.changeMembership(change, options),
  addPeer: (raft, options) => raft.addPeer("b", options),
  removePeer: (raft, options) => raft.removePeer("b", options),
  transferLeadership: (raft, options) => raft.transferLeadership("b", options),
  verifyLeader: (raft, options) => raft.verifyLeader(options),
  drain: (raft, options) => raft.drain(options),
  installSnapshot: (raft, options) => raft.installSnapshot(options),
  restore: (raft, options) => raft.restore({ index: 1, term: 1, bytes: 0, checksum: 0 }, new ReadableStream(), options),
  wait: (raft, options) => raft.wait({ role: "leader" }, options),
};

test("every call with options refuses what is none, and a signal that is none, and says so", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    await cluster.settled(raft.session());
    const before = raft.metrics().proposals;
    const wrong: [unknown, string][] = [
      [null, "the options must be an object, such as { signal }, not null"],
      [5_000, "the options must be an object, such as { signal }, not number"],
      ["stale", "the options must be an object, such as { signal }, not string"],
      [new AbortController().signal, "the options must be an object, such as { signal }, not AbortSignal"],
      [{ signal: null }, "'signal' must be an AbortSignal, not null"],
      [{ signal: 5_000 }, "'signal' must be an AbortSignal, not number"],
      [{ signal: new AbortController() }, "'signal' must be an AbortSignal, not AbortController"],
      [{ signal: { throwIfAborted() {}, addEventListener() {} } }, "'signal' must be an AbortSignal, not Object"],
    ];
    for (const [name, call] of Object.entries(calls)) {
      if (name === "session.apply") continue;
      for (const [options, words] of wrong) {
        const { error } = await cluster.outcome(call(raft, options as never));
        assertInstanceOf(error, TypeError, name);
        assertStringIncludes(error.message, words, name);
      }
    }
    assertEquals([raft.state, raft.metrics().proposals], ["leader", before]);
    for (const [options, words] of wrong) {
      const { error } = await cluster.outcome(calls["session.apply"]!(raft, options as never));
      assertStringIncludes((error as Error).message, words);
      assertThrows(() => raft.events(options as never), TypeError, words);
    }
  }));

test("what a call is about is refused by a message that names it when it is no object", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const before = raft.metrics().proposals;
    for (const [value, is] of [[null, "null"], [undefined, "undefined"], [5, "number"], ["set", "string"]] as const) {
      const entry = await cluster.outcome(raft.applyEntry(value as never));
      assertInstanceOf(entry.error, TypeError);
      assertStringIncludes(entry.error.message, `the entry, such as { data }, must be an object, not ${is}`);
      const keyed = await cluster.outcome(raft.applyEntry(value as never, { key: "k" }));
      assertStringIncludes((keyed.error as Error).message, `the entry, such as { data }, must be an object, not ${is}`);
      const changes = await cluster.outcome(raft.changeMembership(value as never));
      assertInstanceOf(changes.error, TypeError);
      assertStringIncludes(changes.error.message, `the changes must be an array, not ${is}`);
      const one = await cluster.outcome(raft.changeMembership([value] as never));
      assertStringIncludes((one.error as Error).message, `each change must be an object, not ${is}`);
      const meta = await cluster.outcome(raft.restore(value as never, new ReadableStream()));
      assertStringIncludes((meta.error as Error).message, `the snapshot's meta must be an object, not ${is}`);
      const stream = await cluster.outcome(raft.restore({ index: 1, term: 1, bytes: 0, checksum: 0 }, value as never));
      assertStringIncludes((stream.error as Error).message, `the snapshot must be a ReadableStream, not ${is}`);
      const first = await cluster.outcome(raft.bootstrap(value as never));
      assertStringIncludes((first.error as Error).message, `the configuration, such as { servers }, must be an object`);
      const query = await cluster.outcome(raft.read(value as never));
      assertStringIncludes((query.error as Error).message, `the query must be a function, not ${is}`);
      const words = `the changes, such as { heartbeatMs: 50 }, must be an object, not ${is}`;
      assertThrows(() => raft.reloadConfig(value as never), TypeError, words);
    }
    for (const value of [[], new Map([["heartbeatMs", 5]])]) {
      const words = `must be an object, not ${value.constructor.name}`;
      assertThrows(() => raft.reloadConfig(value as never), TypeError, words);
    }
    const none = await cluster.outcome(raft.bootstrap({} as never));
    assertStringIncludes((none.error as Error).message, "its servers are not an array");
    for (const call of [() => raft.addPeer(undefined as never), () => raft.removePeer(5 as never)]) {
      const { error } = await cluster.outcome(call());
      assertStringIncludes((error as Error).message, "a peer's address must be text, not");
    }
    assertEquals(raft.metrics().proposals, before);
  }));

test("changes of the servers are what they were when they were checked", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    let asked = 0;
    const change = {
      type: "add-nonvoter",
      id: "b",
      get address() {
        return asked++ === 0 ? "b:1" : "";
      },
    } as const;
    await cluster.settled(raft.changeMembership([change]));
    assertEquals(raft.configuration.servers.at(-1)?.address, "b:1");
  }));

test("calls take options that say nothing, or undefined, and a signal that is one", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const { signal } = new AbortController();
    for (const name of ["apply", "applyEntry", "barrier", "session", "session.apply", "read", "readIndex", "wait"]) {
      for (const options of [undefined, {}, { signal: undefined }, { signal }]) {
        assertEquals((await cluster.outcome(calls[name]!(raft, options as never))).error, undefined, name);
      }
    }
  }));

test("an option of another type is refused by a message that names it, what it must be and what it is", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const stale = (options: object) => ({ consistency: "stale", ...options });
    const wrong: [string, object, string][] = [
      [
        "apply",
        { enqueueTimeoutMs: "5" },
        "'enqueueTimeoutMs' must be a number, 0 to 1073741824: current value is \"5\"",
      ],
      [
        "barrier",
        { enqueueTimeoutMs: null },
        "'enqueueTimeoutMs' must be a number, 0 to 1073741824: current value is null",
      ],
      ["apply", { key: 5 }, "'key' must be text of 1 to 1024 characters"],
      ["read", stale({ maxStalenessMs: "5" }), "'maxStalenessMs' must be a number, at least 0: current value is \"5\""],
      ["read", stale({ maxStalenessMs: null }), "'maxStalenessMs' must be a number, at least 0: current value is null"],
      ["read", stale({ maxStalenessMs: NaN }), "'maxStalenessMs' must be a number, at least 0: current value is NaN"],
      ["read", stale({ maxStalenessMs: 5n }), "at least 0: current value is 5n"],
      ["read", stale({ maxStalenessMs: [] }), "at least 0: current value is Array"],
      ["read", stale({ maxStalenessMs: Object.create(null) }), "at least 0: current value is object"],
      ["read", stale({ maxStalenessMs: () => 5 }), "at least 0: current value is function"],
      ["read", { consistency: Symbol("lease") }, "with consistency Symbol(lease): use one of"],
      ["read", { consistency: Object.create(null) }, "with consistency object: use one of"],
      ["read", stale({ minIndex: "5" }), "'minIndex' must be a whole number, at least 0: current value is \"5\""],
      ["read", { minIndex: 5 }, '\'minIndex\' as the consistency is "linearizable": use "session" or "stale"'],
      ["read", { maxStalenessMs: 5 }, '\'maxStalenessMs\' as the consistency is "linearizable": use "stale"'],
      ["read", { consistency: "session", session: {} }, "'session' must be one that raft.session() gave, not Object"],
      ["read", { consistency: "session", session: null }, "'session' must be one that raft.session() gave, not null"],
      ["read", { consistency: null }, "use one of linearizable, lease, session, stale"],
      ["removeServer", { force: "false" }, "'force' must be a boolean, not string"],
      ["removeServer", { prevIndex: "1" }, "'prevIndex' must be a whole number, at least 0: current value is \"1\""],
      ["addVoter", { priority: "1" }, "priority"],
    ];
    for (const [name, options, words] of wrong) {
      const { error } = await cluster.outcome(calls[name]!(raft, options as never));
      assertStringIncludes((error as Error).message, words);
    }
    assertEquals((await cluster.outcome(raft.read(() => 1, { consistency: "stale", maxStalenessMs: 5 }))).text, "1");
    const conditions: [object, string][] = [
      [{ role: "boss" }, "'role' must be one of follower, pre-candidate, candidate, leader: current value is \"boss\""],
      [{ leader: "true" }, "'leader' must be a boolean, not string"],
      [{ term: "1" }, "'term' must be a whole number, at least 0: current value is \"1\""],
    ];
    for (const [condition, words] of conditions) {
      assertStringIncludes(String((await cluster.outcome(raft.wait(condition))).error), words);
    }
    assertThrows(() => raft.events({ filter: "role" as never }), TypeError, "'filter' must be a function, not string");
    assertThrows(() => raft.events({ bufferMax: "5" as never }), RangeError, "'bufferMax' must be a whole number");
  }));
