import { assert, assertEquals } from "@std/assert";
import { CLOCK_TOLERANCE_MS } from "../../../src/core/lease.ts";
import { EntryAwaitedError, StaleReadError } from "../../../src/errors.ts";
import type { SimInput } from "../../../src/testing/sim/calls.ts";
import { heard } from "../../../src/testing/sim/check/heard.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { drawBounded } from "../../../src/testing/sim/local_reads.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { Life } from "../../../src/testing/sim/server.ts";
import { beforeOf } from "../../../src/testing/sim/view.ts";
import { append } from "../../core/states.ts";
import { test } from "../../harness.ts";
import { draws, lifeOf, rule, type Scene, sceneOf } from "./clients_stage.ts";

/** What a server does with a read, and what it has applied. */
type Read = (query: () => unknown, options: unknown) => unknown;

const answers: Read = (query) => Promise.resolve(query());

const from = (ahead: number, inSession = false): SimInput => ({ type: "read-from", key: "k", ahead, inSession });

const within = (ms: number): SimInput => ({ type: "read-within", key: "k", ms });

/** A server that answers reads, with clocks of its own that a test sets. */
function reader(appliedIndex: number, read: Read, role = "follower") {
  const clock = { ms: 0, gainedMs: 0 };
  const life = lifeOf({ appliedIndex, read });
  Object.assign(life, {
    clock: {
      now: () => clock.ms,
      get gainedMs() {
        return clock.gainedMs;
      },
    },
  });
  Object.assign(life.core, { role, leader: "b", term: 2 });
  const pass = (ms: number, gainedMs = 0) => {
    clock.ms += ms;
    clock.gainedMs += gainedMs;
  };
  return { life, pass };
}

/** Its leader speaks of an entry, or somebody else does. */
function hear({ ghost, world }: Scene, life: Life, commitIndex: number, by = "b", term = 2): void {
  const message = append({ term, prevIndex: 1, prevTerm: 1, commitIndex });
  const event = { type: "message-received", from: by, message } as const;
  ghost.time = world.time;
  heard.onStep!(ghost, life, { before: beforeOf(life.core, event), event, effects: [], now: 0 });
}

for (const inSession of [false, true]) {
  const where = inSession ? "of a session " : "";
  rule("R5", `a read ${where}sees the entry that it is to see`, ({ ghost, calls }, isBad) => {
    ghost.readFloor = 5;
    return calls.make(reader(isBad ? 6 : 7, answers).life, from(2, inSession), "c0");
  });
}

test("sim reads: what is to be seen is asked for", async () => {
  const { ghost, calls } = sceneOf();
  ghost.readFloor = 5;
  const asked: unknown[] = [];
  const { life } = reader(9, (query, options) => (asked.push(options), answers(query, options)), "leader");
  for (const input of [from(2), from(-9, true), within(40)]) {
    assertEquals(await calls.make(life, input, "c0"), true);
  }
  assertEquals(asked, [
    { consistency: "stale", minIndex: 7 },
    { consistency: "session", minIndex: 0 },
    { consistency: "stale", maxStalenessMs: 40 },
  ]);
  assertEquals([ghost.violation, calls.open, calls.history], [undefined, 0, []]);
});

/** A read that ends after so long without the entry, of which the server has applied so many. */
async function gaveUp({ ghost, calls }: Scene, waitedMs: number, appliedIndex: number, index = 6, isBusy = false) {
  ghost.readFloor = 5;
  const { life, pass } = reader(appliedIndex, () => {
    pass(waitedMs);
    return Promise.reject(new EntryAwaitedError(index));
  });
  life.machine.isBusy = isBusy;
  assertEquals(await calls.make(life, from(1), "c0"), false);
}

const patience = lifeOf({}).configured.leaderWaitMs;

rule("K4", "a read waits for its entry as long as for a leader", (scene, isBad) => {
  return gaveUp(scene, patience - (isBad ? 2 : 0), 5);
});

rule("K4", "no read is given up whose entry is there", (scene, isBad) => gaveUp(scene, patience, isBad ? 6 : 5));

rule("K4", "a read may be given up while the machine is at work", (scene, isBad) => {
  return gaveUp(scene, patience, 6, 6, !isBad);
});

rule("K4", "who gives a read up names the entry", (scene, isBad) => gaveUp(scene, patience, 4, isBad ? 5 : 6));

rule("K4", "a read that is to see an entry is answered or refused by the server", ({ calls }, isBad) => {
  const error = isBad ? new RangeError("?") : new EntryAwaitedError(1);
  const { life, pass } = reader(0, () => {
    pass(patience);
    return Promise.reject(error);
  });
  return calls.make(life, from(1), "c0");
});

/** The server has a turn. */
function turn({ ghost }: Scene, life: Life): void {
  const event = { type: "drained" } as const;
  heard.onStep!(ghost, life, { before: beforeOf(life.core, event), event, effects: [], now: 0 });
}

/** A read of what may be so old, so many true milliseconds after the leader was heard, by clocks that show this. */
async function readLater(
  scene: Scene,
  ms: number,
  later: number,
  given: { shown?: number; gained?: number; role?: string; keepsTime?: boolean; read?: Read } = {},
): Promise<void> {
  const { shown = later, role = "follower", keepsTime = true, read = answers } = given;
  const { life, pass } = reader(5, read, role);
  hear(scene, life, 5);
  turn(scene, life);
  scene.world.time += later * 1000;
  pass(shown, given.gained);
  scene.ghost.keepsTime = keepsTime;
  await scene.calls.make(life, within(ms), "c0");
}

const slack = 2 * CLOCK_TOLERANCE_MS;
const slowest = 1 - lifeOf({}).configured.clockDriftMax;

rule("R6", "nothing is seen that is older than asked for, by a clock that keeps its bound", (scene, isBad) => {
  return readLater(scene, 100, (100 + slack) / slowest + (isBad ? 1 : -1));
});

rule("R6", "the time counts in which the machine slept", (scene, isBad) => {
  return readLater(scene, 100, isBad ? 5000 : 90, { shown: 1 });
});

rule("R6", "clocks that keep no bound may show something older", (scene, isBad) => {
  return readLater(scene, 100, 5000, { keepsTime: isBad });
});

rule("R6", "a leader shows what it knows", (scene, isBad) => {
  return readLater(scene, 100, 5000, { role: isBad ? "follower" : "leader" });
});

/** A read of what may be 100 ms old that waits for so long, while this happens. */
function readWaiting(
  scene: Scene,
  ms: number,
  meanwhile: (life: Life) => void = () => {},
  role = "follower",
): Promise<unknown> {
  const { life } = reader(5, (query) => {
    scene.world.time += ms * 1000;
    meanwhile(life);
    return Promise.resolve(query());
  }, role);
  hear(scene, life, 5);
  return scene.calls.make(life, within(100), "c0");
}

rule("R6", "what has waited is no older when it is seen", (scene, isBad) => {
  return readWaiting(scene, (100 + slack) / slowest + (isBad ? 1 : -1));
});

rule("R6", "what has waited is as young as what the leader has said since, if all of that is seen", (scene, isBad) => {
  return readWaiting(scene, 5000, (life) => hear(scene, life, isBad ? 6 : 5));
});

rule("R6", "a leader that has lost its office shows what it knew then", (scene, isBad) => {
  return readWaiting(scene, isBad ? 5000 : 90, (life) => void Object.assign(life.core, { role: "follower" }), "leader");
});

rule("R6", "who never heard a leader shows nothing of any age", ({ calls }, isBad) => {
  return calls.make(reader(5, answers, isBad ? "follower" : "leader").life, within(1_000_000), "c0");
});

rule("R6", "all is seen that the leader had spoken of", async (scene, isBad) => {
  const { life } = reader(5, answers);
  hear(scene, life, isBad ? 6 : 5);
  hear(scene, life, 3);
  await scene.calls.make(life, within(100), "c0");
});

test("sim reads: nobody but the leader of the day says anything", async () => {
  for (const [by, term] of [["c", 2], ["b", 1], ["b", 9]] as const) {
    const scene = sceneOf();
    const { life } = reader(5, answers);
    hear(scene, life, 6, by, term);
    assertEquals(scene.ghost.heard.get(life), undefined);
    await scene.calls.make(life, within(100), "c0");
    assertEquals(scene.ghost.violation?.invariant, "R6");
  }
});

test("sim reads: what a leader hears of itself is handed back to it, and says nothing", () => {
  const scene = sceneOf();
  const { life } = reader(5, answers, "leader");
  Object.assign(life.core, { leader: life.id });
  hear(scene, life, 6, life.id);
  assertEquals(scene.ghost.heard.get(life), undefined);
});

const refuses = (lastContactMs: number | undefined, ms: number): Read => () => {
  return Promise.reject(new StaleReadError(lastContactMs, ms));
};

rule("K4", "who has heard the leader lately answers", (scene, isBad) => {
  const later = isBad ? 100 - slack : 101;
  return readLater(scene, 100, later, { read: refuses(101, 100) });
});

rule("K4", "a wall clock that ran ahead may stand for a sleep", (scene, isBad) => {
  return readLater(scene, 100, 5, { gained: isBad ? 0 : 500, read: refuses(500, 100) });
});

rule("K4", "who refuses says for how long the leader was silent", (scene, isBad) => {
  return readLater(scene, 100, 500, { read: refuses(isBad ? 100 : 101, 100) });
});

rule("K4", "a leader refuses no read for its age", (scene, isBad) => {
  return readLater(scene, 100, 500, { role: isBad ? "leader" : "follower", read: refuses(undefined, 100) });
});

rule("K4", "a leader that has slept may refuse, until it has had a turn", async (scene, isBad) => {
  const { life, pass } = reader(5, refuses(500, 100), "leader");
  turn(scene, life);
  pass(0, 101 - slack);
  if (isBad) turn(scene, life);
  await scene.calls.make(life, within(100), "c0");
});

rule("K4", "who has waited may refuse what has become too old", (scene, isBad) => {
  const { life, pass } = reader(5, () => (pass(isBad ? 100 - slack : 101), refuses(101, 100)(() => 0, {})));
  hear(scene, life, 5);
  return scene.calls.make(life, within(100), "c0");
});

rule("K4", "what the leader spoke of is waited for", (scene, isBad) => {
  const read = () => Promise.reject(new EntryAwaitedError(isBad ? 5 : 6));
  const { life, pass } = reader(4, () => (pass(patience), read()));
  hear(scene, life, 6);
  return scene.calls.make(life, within(100), "c0");
});

test("sim reads: each kind is drawn, apart from all other calls, and in some seeds", () => {
  const random = Random.seeded(3);
  const drawn = Array.from({ length: 200 }, () => drawBounded(random, "k", 50, 500));
  assert(drawn.some((it) => it.type === "read-within" && it.ms === 0));
  for (const inSession of [undefined, true]) {
    assert(drawn.some((it) => it.type === "read-from" && it.ahead > 0 && it.inSession === inSession));
  }
  const isBounded = ({ type }: { type: string }) => type === "read-from" || type === "read-within";
  const [without, some] = [draws({ bounded: 0 }), draws({ bounded: 0.3 })];
  const others = some.filter((it) => !isBounded(it));
  assert(others.length > 200 && others.length < 350 && !without.some(isBounded));
  assertEquals(others.slice(0, 150).map(({ type }) => type), without.slice(0, 150).map(({ type }) => type));
  const chances = Array.from({ length: 80 }, (_, seed) => drawConfig(Random.seeded(seed)).client.bounded);
  assertEquals([...new Set(chances)].sort(), [0, 0.02, 0.1]);
});
