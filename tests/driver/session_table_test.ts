import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Applied } from "../../src/driver/applier.ts";
import { SESSION_WINDOW, SessionTable } from "../../src/driver/session_table.ts";
import { ProtocolError } from "../../src/errors.ts";
import { KEY_SESSION_MIN } from "../../src/wire/client_block.ts";
import { decodeSessions, encodeLimits, type SessionLimits } from "../../src/wire/session_codec.ts";
import { test } from "../harness.ts";

const limits: SessionLimits = { ttlMs: 1_000, countMax: 3, bytesMax: 10_000 };
const nothing = new Uint8Array();

/** A table, and a machine that counts. */
class World {
  readonly table = new SessionTable();
  #index: number;
  timeMs = 0;
  applied = 0;

  /** The log goes on after this entry. */
  constructor(index = 0) {
    this.#index = index;
  }

  open(over: Partial<SessionLimits> = {}): number {
    const payload = encodeLimits({ ...limits, ...over });
    const verdict = this.table.onCommand({ session: 0, sequence: 0 }, this.#entry(payload));
    return (verdict as { applied: { value: number } }).applied.value;
  }

  #entry(payload: Uint8Array) {
    return { index: ++this.#index, timeMs: this.timeMs, payload };
  }

  /** What the caller gets: by default how many commands were applied. */
  command(
    session: number,
    sequence: number,
    result: (count: number) => Applied = (value) => ({ ok: true, value }),
  ): unknown {
    const block = { session, sequence };
    const verdict = this.table.onCommand(block, this.#entry(new Uint8Array([1])));
    if (verdict.type === "answered") return answer(verdict.applied);
    const applied = result(++this.applied);
    verdict.record(applied);
    return answer(applied);
  }

  mark(session: number, payload: Uint8Array): unknown {
    const verdict = this.table.onCommand({ session, sequence: 0 }, this.#entry(payload));
    return answer((verdict as { applied: Applied }).applied);
  }
}

function answer(applied: Applied): unknown {
  if (applied.ok) return applied.value;
  const { name, message, code } = applied.error as Error & { code?: string };
  return code ?? `${name}: ${message}`;
}

test("sessions: a repeated command is not applied again and gets the first answer (K1)", () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  assertEquals([a, b], [1, 2]);
  assertEquals([world.command(a, 1), world.command(a, 1), world.command(b, 1), world.command(a, 2)], [1, 1, 2, 3]);
  assertEquals([world.command(a, 1), world.command(b, 1)], [1, 2]);
  assertEquals(world.applied, 3);
});

test("sessions: commands may come in any order within the window, and one past it is refused", () => {
  const world = new World();
  const a = world.open();
  assertEquals([world.command(a, 3), world.command(a, 1), world.command(a, 2)], [1, 2, 3]);
  assertEquals(world.command(a, 3), 1);
  assertEquals(world.command(a, 3 + SESSION_WINDOW), 4);
  // The answer of 4 may still be asked for, those of 1 to 3 not.
  assertEquals([world.command(a, 3), world.command(a, 4)], ["session-expired", 5]);
});

test("sessions: however a client leaps, the results within the window are kept and counted, and no others", () => {
  const leaps = fc.array(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -1_100, max: 3_000 })), {
    maxLength: 60,
  });
  fc.assert(fc.property(leaps, fc.constantFrom(0, 2 ** 50), (steps, far) => {
    const world = new World();
    const a = world.open({ bytesMax: 1e9 });
    const before = world.table.bytes;
    const done = new Set<number>();
    let high = 0;
    for (const step of [...steps, far]) {
      const sequence = Math.max(1, high + step);
      if (world.command(a, sequence) === "session-expired") continue;
      done.add(sequence);
      high = Math.max(high, sequence);
    }
    const kept = [...decodeSessions(world.table.encode()).sessions.get(`${a}`)!.results];
    const wanted = [...done].filter((sequence) => sequence > high - SESSION_WINDOW);
    assertEquals(kept.map(([sequence]) => sequence).sort(), wanted.sort());
    assertEquals(world.table.bytes - before, kept.reduce((sum, [, { bytes }]) => sum + 64 + bytes.length, 0));
  }));
});

test("sessions: what a machine threw, returned or returned nothing of is repeated as it was", () => {
  const world = new World();
  const a = world.open();
  const results: readonly Applied[] = [
    { ok: true, value: undefined },
    { ok: true, value: null },
    { ok: true, value: { a: [1, "x", new Uint8Array([7])] } },
    { ok: false, error: new RangeError("too much") },
  ];
  results.forEach((result, i) => {
    const first = world.command(a, i + 1, () => result);
    assertEquals(world.command(a, i + 1), first);
  });
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  for (const [i, value] of [() => {}, cyclic, new Uint8Array((1 << 20) + 1)].entries()) {
    world.command(a, 10 + i, () => ({ ok: true, value }));
    assertEquals(world.command(a, 10 + i), "result-lost");
  }
  assertEquals(world.applied, 7);
});

test("sessions: one that was unused too long by the log's time is forgotten, not a millisecond earlier (K2)", () => {
  const world = new World();
  const a = world.open();
  const at = (timeMs: number) => {
    world.timeMs = timeMs;
    return world.command(a, 1);
  };
  assertEquals([at(1_000), at(2_000), at(3_000), at(4_001)], [1, 1, 1, "session-expired"]);
  assertEquals(world.table.count, 0);
  assertEquals(world.table.bytes, 0);
});

test("sessions: a mark keeps one open; an empty one closes it", () => {
  const world = new World();
  const a = world.open();
  world.timeMs = 1_000;
  assertEquals(world.mark(a, new Uint8Array([1])), undefined);
  world.timeMs = 2_000;
  assertEquals(world.command(a, 1), 1);
  assertEquals(world.mark(a, nothing), undefined);
  assertEquals([world.command(a, 2), world.mark(a, nothing)], ["session-expired", "session-expired"]);
});

test("sessions: too many make the one go that was unused longest, in the same order everywhere", () => {
  const world = new World();
  const [a, b, c] = [world.open(), world.open(), world.open()];
  world.command(a, 1);
  const d = world.open();
  assertEquals([world.command(b, 1), world.command(a, 1), world.command(c, 1), world.command(d, 1)], [
    "session-expired",
    1,
    2,
    3,
  ]);
});

test("sessions: too many bytes make the one go that was unused longest, never the last", () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  const large: () => Applied = () => ({ ok: true, value: new Uint8Array(6_000) });
  world.command(a, 1, large);
  world.command(b, 1, large);
  assertEquals([world.table.count, world.command(a, 1)], [1, "session-expired"]);
  world.command(b, 2, large);
  assertEquals([world.table.count, world.command(b, 3)], [1, 3 + 1]);
});

test("sessions: results of one that is too much by itself are forgotten, the oldest first, but not that they were applied", () => {
  const world = new World();
  const a = world.open();
  const large: () => Applied = () => ({ ok: true, value: new Uint8Array(3_000) });
  for (const sequence of [1, 2, 3, 4]) world.command(a, sequence, large);
  const repeated = [1, 2, 3, 4].map((sequence) => world.command(a, sequence));
  assertEquals(repeated.map((answer) => answer === "result-lost"), [true, false, false, false]);
  assertEquals([world.applied, world.table.bytes <= 10_000], [4, true]);
  for (let sequence = 5; sequence <= SESSION_WINDOW; sequence++) {
    world.command(a, sequence, large);
    assertEquals(world.table.bytes <= 10_000 + 64 * sequence, true);
  }
  assertEquals(world.command(a, SESSION_WINDOW), "result-lost");
  // What counts are then the marks of those that were applied.
  assertEquals([world.applied, world.table.bytes], [SESSION_WINDOW, 64 * (SESSION_WINDOW + 1)]);
  const copy = new SessionTable();
  copy.restore(world.table.encode());
  assertEquals([copy.bytes, copy.encode()], [world.table.bytes, world.table.encode()]);
});

test("sessions: a command known by a key needs no session and is applied once", () => {
  const world = new World();
  const key = KEY_SESSION_MIN + 5;
  assertEquals([world.command(key, 7), world.command(key, 7), world.command(key, 8)], [1, 1, 2]);
  assertEquals(world.command(KEY_SESSION_MIN - 1, 7), "session-expired");
});

test("sessions: one is no key, however long the log is", () => {
  // The last ones that are numbered by their index, and the first ones that can't be; the wire takes no later index.
  for (const before of [2 ** 32 - 2, 2 ** 52 - 2, 2 ** 53 - 2 ** 32 - 10]) {
    const world = new World(before);
    const [a, b] = [world.open(), world.open()];
    assertEquals([world.command(a, 1), world.command(b, 1), world.command(a, 1), world.command(a, 2)], [1, 2, 1, 3]);
    assertEquals([world.mark(a, nothing), world.command(a, 3), world.command(b, 2)], [undefined, "session-expired", 4]);
    assertEquals([a, b].every((number) => number > 0 && number < KEY_SESSION_MIN), true);
    world.timeMs = limits.ttlMs + 1;
    assertEquals([world.command(b, 2), world.command(KEY_SESSION_MIN + b, 1)], ["session-expired", 5]);
  }
});

test("sessions: limits that are none open nothing", () => {
  const table = new SessionTable();
  const open = (payload: Uint8Array) => {
    const verdict = table.onCommand({ session: 0, sequence: 0 }, { index: 1, timeMs: 0, payload });
    return answer((verdict as { applied: Applied }).applied);
  };
  for (const payload of [nothing, new Uint8Array([0xc1]), encodeLimits({ ...limits, ttlMs: 0 })]) {
    assertEquals(open(payload), "protocol");
  }
  assertEquals(open(encodeLimits({ ...limits, countMax: 0 })), "protocol");
  assertEquals(table.count, 0);
});

test("sessions: a restored table answers as the one it was taken from, and has equal bytes", () => {
  const step = fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 6 }), fc.nat(400));
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.array(step, { maxLength: 20 }), (before, after) => {
    const world = new World();
    world.open();
    world.open();
    const run = (one: World, steps: typeof before) =>
      steps.map(([session, sequence, passed]) => {
        one.timeMs += passed;
        return session === 0 ? one.open() : one.command(session, sequence);
      });
    run(world, before);
    const other = Object.assign(new World(), { timeMs: world.timeMs, applied: world.applied });
    for (let i = 0; i < 500 && other.open() < 0; i++);
    other.table.restore(world.table.encode());
    assertEquals(other.table.encode(), world.table.encode());
    assertEquals(other.table.bytes, world.table.bytes);
    const commands = after.filter(([session]) => session > 0);
    assertEquals(run(other, commands), run(world, commands));
    assertEquals(other.table.encode(), world.table.encode());
  }));
});

test("sessions: bytes that are no table are refused, and the table stays as it was", () => {
  const world = new World();
  const a = world.open();
  world.command(a, 1);
  const good = world.table.encode();
  for (let length = 0; length < good.length; length++) {
    assertThrows(() => world.table.restore(good.subarray(0, length)), ProtocolError);
  }
  assertEquals(world.table.encode(), good);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    try {
      new SessionTable().restore(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }));
});
