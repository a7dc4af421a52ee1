import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { InvariantError } from "../src/errors.ts";
import { NondeterminismError } from "../src/guard.ts";
import { createRaft } from "../src/raft.ts";
import { memoryStore } from "../src/store/memory.ts";
import { memoryNetwork } from "../src/transport/memory.ts";
import { defineMachine } from "../src/typed_machine.ts";
import { decodeState, encodeState } from "../src/state_codec.ts";
import { test } from "./harness.ts";

const context = (index: number) => ({ index, term: 1, timeMs: 1_000 });

const makeKv = () =>
  defineMachine({
    init: () => new Map<string, string>(),
    commands: {
      set(state, key: string, value: string) {
        const before = state.get(key);
        state.set(key, value);
        return before;
      },
      stamp(state, key: string) {
        state.set(key, `${this.ctx.index} ${this.ctx.timeMs} ${this.ctx.random()} ${this.ctx.uuid()}`);
      },
      refuse(_state, why: string): never {
        throw new RangeError(why);
      },
    },
    queries: { get: (state, key: string) => state.get(key), size: (state) => state.size },
  });

test("defineMachine(): commands and queries by name, with the types of their parameters and results", async () => {
  await using raft = await createRaft({
    id: "a",
    machine: makeKv(),
    store: memoryStore(),
    transport: memoryNetwork().transport("a"),
    bootstrap: { a: "a" },
  });
  const before: string | undefined = await raft.commands.set("k", "v");
  assertEquals(before, undefined);
  assertEquals(await raft.commands.set("k", "w", { signal: AbortSignal.timeout(10_000) }), "v");
  const value: string | undefined = await raft.queries.get("k");
  assertEquals(value, "w");
  assertEquals(await raft.queries.get("k", { consistency: "stale" }), "w");
  const size: number = await raft.queries.size();
  assertEquals(size, 1);
  await assertRejects(() => raft.commands.refuse("why not"), RangeError, "why not");
  // Also where nobody checks types.
  const calls = raft.commands as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  await assertRejects(() => calls.set!("k"), TypeError, 'Cannot call "set" with 1 arguments: it takes 2 and options');
  await assertRejects(() => calls.set!("k", "v", {}, 4), TypeError, "with 4 arguments");
  await assertRejects(() => raft.apply(["other"]), TypeError, 'the command "other"');
});

test("defineMachine(): two replicas with the same entries are equal, chance and time included", async () => {
  const replicas = [makeKv(), makeKv()];
  for (const machine of replicas) {
    machine.apply(["set", "a", "1"], context(1));
    machine.apply(["stamp", "b"], context(2));
    machine.apply(["stamp", "c"], context(3));
  }
  const [one, two] = replicas;
  assertEquals(one!.hash(), two!.hash());
  const restored = makeKv();
  await restored.restore(one!.snapshot());
  assertEquals(restored.hash(), one!.hash());
  one!.apply(["set", "a", "2"], context(4));
  assert(one!.hash() !== two!.hash());
  assertEquals(restored.hash(), two!.hash());
});

const makeLedger = (batch?: (state: { total: number; commits: number }, run: () => void) => void) =>
  defineMachine({
    init: () => ({ total: 0, commits: 0 }),
    commands: {
      add(state, amount: number) {
        if (amount < 0) throw new RangeError("too little");
        return state.total += amount;
      },
    },
    ...batch === undefined ? {} : { batch },
  });

const batchOf = (...amounts: number[]) =>
  amounts.map((amount, at) => ({ command: ["add", amount] as const, context: context(at + 1) }));

test("defineMachine(): batch goes around commands that are applied together, each with its own result", () => {
  const machine = makeLedger((state, run) => {
    run();
    state.commits++;
  });
  const results = machine.applyBatch!(batchOf(1, -1, 2));
  assertEquals(results, [{ value: 1 }, { error: new RangeError("too little") }, { value: 3 }]);
  assertEquals(machine.apply(["add", 4], context(4)), 7);
  const twin = makeLedger();
  for (const amount of [1, 2, 4]) twin.apply(["add", amount], context(amount));
  // One commit more than none: the hash sees it, as it is part of the state here.
  assert(machine.hash() !== twin.hash());
  assertEquals(twin.applyBatch, undefined);
});

test("defineMachine(): a batch that does not run its commands once, or is async, breaks the machine", () => {
  const wrongs = [
    [() => {}, "not 0 times"],
    [(_: unknown, run: () => void) => (run(), run()), "not 2 times"],
    // deno-lint-ignore require-await
    [async (_: unknown, run: () => void) => run(), "async"],
  ] as const;
  for (const [batch, message] of wrongs) {
    const machine = makeLedger(batch as (state: unknown, run: () => void) => void);
    assertThrows(() => machine.applyBatch!(batchOf(1, 2)), InvariantError, message);
  }
});

test("CommandContext: chance is spread, and another for each entry", () => {
  const seen = new Set<unknown>();
  const machine = defineMachine({
    init: () => 0,
    commands: {
      draw(_state) {
        const { ctx } = this;
        for (let i = 0; i < 50; i++) seen.add(ctx.random());
        seen.add(ctx.uuid());
        assert(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(ctx.uuid()));
      },
    },
  });
  for (let index = 1; index <= 20; index++) machine.apply(["draw"], context(index));
  assertEquals(seen.size, 20 * 51);
  const numbers = [...seen].filter((it) => typeof it === "number");
  assert(numbers.every((it) => it >= 0 && it < 1));
  const mean = numbers.reduce((sum, it) => sum + it, 0) / numbers.length;
  assert(Math.abs(mean - 0.5) < 0.05);
});

test("defineMachine(): a command that is async, or a name that is no function, is refused", () => {
  const machine = defineMachine({ init: () => 0, commands: { wait: (_state) => Promise.resolve(1) } });
  assertThrows(() => machine.apply(["wait"], context(1)), TypeError, "must not be async");
  assertThrows(() => machine.apply(["toString"], context(1)), TypeError, "none of that name");
  const bad = { init: () => 0, commands: { set: 5 } } as unknown as Parameters<typeof defineMachine>[0];
  assertThrows(() => defineMachine(bad), TypeError, 'the command "set"');
});

interface Clock {
  instant(): unknown;
}

/** What not every runtime has, and not every type check knows. */
const scope = globalThis as unknown as {
  readonly process?: {
    readonly hrtime: (() => unknown) & { bigint(): bigint };
    uptime(): number;
    nextTick(run: () => void): void;
  };
  readonly setImmediate?: (run: () => void) => void;
  readonly Temporal?: { readonly Now: Clock };
};

const calls: Readonly<Record<string, () => unknown>> = {
  ...scope.Temporal === undefined ? {} : { "Temporal.Now.instant": () => scope.Temporal!.Now.instant() },
  "Date.now": () => Date.now(),
  "new Date": () => new Date(),
  "Date": () => Date(),
  "performance.now": () => performance.now(),
  "Math.random": () => Math.random(),
  "crypto.randomUUID": () => crypto.randomUUID(),
  "crypto.getRandomValues": () => crypto.getRandomValues(new Uint8Array(1)),
  "crypto.subtle.digest": () => crypto.subtle.digest("SHA-1", new Uint8Array(1)),
  "process.hrtime": () => scope.process!.hrtime(),
  "process.hrtime.bigint": () => scope.process!.hrtime.bigint(),
  "process.uptime": () => scope.process!.uptime(),
  "process.nextTick": () => scope.process!.nextTick(() => {}),
  "setTimeout": () => setTimeout(() => {}, 0),
  "setInterval": () => setInterval(() => {}, 1),
  "setImmediate": () => scope.setImmediate!(() => {}),
  "queueMicrotask": () => queueMicrotask(() => {}),
  "fetch": () => fetch("http://127.0.0.1:1"),
};

for (const [name, call] of Object.entries(calls)) {
  test(`guard: ${name} in a command throws and names what to use; outside it works as before`, async () => {
    const made: unknown[] = [];
    const commands = { peek: () => void made.push(call()) };
    const define = (guard: boolean) => defineMachine({ init: () => 0, commands, guard });
    const error = assertThrows(() => define(true).apply(["peek"], context(1)), NondeterminismError);
    assertEquals([error.call, error.message.includes('the command "peek"')], [name, true]);
    assert(/use this\.ctx|do it before/.test(error.message));
    if (/^(Date|new Date|performance|Math|crypto|process.(hr|up)|Temporal)/.test(name)) {
      made.push(call());
      define(false).apply(["peek"], context(1));
    }
    // Some of them go on for a while, and a test leaves nothing behind.
    await Promise.all(made);
  });
}

test("guard: dates of a given time, and what a command throws, pass; the globals come back", () => {
  const globals = () => [Date, Math.random, setTimeout, performance.now, crypto.subtle, scope.process?.hrtime];
  const before = globals();
  const machine = defineMachine({
    init: () => 0,
    commands: {
      year: () => new Date(0).getUTCFullYear() + (new Date(1) instanceof Date ? 0 : 1) + Date.UTC(1970),
      fail: () => {
        throw new RangeError("x");
      },
    },
    guard: true,
  });
  assertEquals(machine.apply(["year"], context(1)), 1970);
  assertThrows(() => machine.apply(["fail"], context(1)), RangeError);
  assertEquals(globals().map((it, i) => it === before[i]), before.map(() => true));
});

test("encodeState(): Maps, Sets, arrays, objects and bytes come back as they were", () => {
  const state = {
    map: new Map<unknown, unknown>([["a", [1, [2]]], [5, new Set(["x", null])]]),
    empty: [[], new Map(), new Set(), {}],
    bytes: new Uint8Array([1, 2]),
    text: "ü",
    big: 2n ** 60n,
    nothing: null,
    yes: true,
    number: -1.5,
  };
  assertEquals(decodeState(encodeState(state)), state);
  assertEquals(decodeState(encodeState({ a: undefined })), {});
  class Own {}
  assertThrows(
    () => encodeState({ a: [new Own()] }),
    TypeError,
    "Cannot encode state.a[0] of type Own: give the machine",
  );
  assertThrows(() => encodeState(() => {}), TypeError, "of type Function");
  assertThrows(() => encodeState([undefined]), TypeError, "of type undefined");
});
