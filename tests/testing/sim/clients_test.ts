import { assertEquals } from "@std/assert";
import { NotLeaderError, SessionExpiredError, ShutdownError } from "../../../src/errors.ts";
import { Calls, type SimInput, type SimOperation } from "../../../src/testing/sim/calls.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import {
  hashText,
  Refusal,
  type SimCommand,
  SimMachine,
  type SimResult,
  type SimState,
} from "../../../src/testing/sim/machine.ts";
import { touchStopped } from "../../../src/testing/sim/touches.ts";
import { Trace } from "../../../src/testing/sim/trace.ts";
import { World } from "../../../src/testing/sim/world.ts";
import { test } from "../../harness.ts";
import { lifeOf, rule, touched } from "./clients_stage.ts";

const put = (value: string): SimInput & { type: "put" } => ({ type: "put", key: "k", value });

const once = (value: string): SimInput => ({ type: "once", command: put(value), after: 1000 });

rule("O1", "nobody sees what nobody wrote", ({ oracle }, isBad) => {
  oracle.ask("k");
  oracle.see("k", isBad ? "2:v2" : "1:v1", 1);
});

rule("O2", "everybody sees the same under one number", ({ oracle }, isBad) => {
  oracle.ask("k");
  oracle.see("k", "1:v1", 1);
  oracle.see("k", isBad ? "1:v2" : "1:v1", 2);
});

rule("O2", "a write follows on the state that it was answered with", ({ oracle }, isBad) => {
  oracle.ask("k");
  oracle.ask("k");
  oracle.written(put("v1"), 0, null, 1);
  oracle.written(put("v2"), 0, isBad ? null : "1:v1", 2);
});

rule("O3", "a read misses nothing that was seen before it was asked", ({ oracle }, isBad) => {
  oracle.ask("k");
  const before = oracle.floor("k");
  oracle.read("k", before, "1:v1", 1);
  oracle.read("k", isBad ? oracle.floor("k") : before, null, 1);
});

rule("O4", "what was seen is there at the end", ({ oracle }, isBad) => {
  oracle.ask("k");
  oracle.written(put("v1"), 0, null, 1);
  oracle.endure("a", () => isBad ? null : "1:v1", 1);
});

/** Answers of a server that applied one command as entry 1. */
const answer = (result: SimResult, index = 1, term = 1) => ({
  applyEntry: () => Promise.resolve({ index, term, result }),
});

function committed(ghost: Ghost, value: string, result: SimResult): void {
  ghost.commits.push({ term: 1, hash: 1, committedIn: 1, sets: [] });
  ghost.applied.set(1, { term: 1, state: 1, result: hashText(String(result), 0) });
  ghost.noteApplied(value, 1, 1, result);
}

rule("K3", "who is told of an entry finds it there", async ({ ghost, calls }, isBad) => {
  committed(ghost, "v1", null);
  await calls.make(lifeOf(answer(null, 1, isBad ? 2 : 1)), put("v1"), "c");
});

rule("K3", "who is told a result is told what the machines computed", async ({ ghost, calls }, isBad) => {
  committed(ghost, "v1", null);
  // The command before it, whose answer nobody got.
  await calls.make(lifeOf({ applyEntry: () => Promise.reject(new NotLeaderError(undefined)) }), put("v0"), "c");
  await calls.make(lifeOf(answer(isBad ? "1:v0" : null)), put("v1"), "c");
});

rule("K3", "the entry that somebody is told of holds their command", async ({ ghost, calls }, isBad) => {
  committed(ghost, isBad ? "v2" : "v1", null);
  await calls.make(lifeOf(answer(null)), put("v1"), "c");
});

rule(
  "K3",
  "a command of a session is answered with what it did when it was applied",
  async ({ ghost, calls }, isBad) => {
    committed(ghost, "v1", null);
    const session = { seenIndex: 2, apply: () => Promise.resolve(isBad ? "1:v0" : null) };
    calls.oracle.ask("k");
    await calls.make(lifeOf({ session: () => Promise.resolve(session) }), once("v1"), "c");
  },
);

rule(
  "K3",
  "who is told that a machine has refused their command was refused by one",
  async ({ ghost, calls }, isBad) => {
    committed(ghost, isBad ? "v2" : "v1", null);
    const refusing = lifeOf({ applyEntry: () => Promise.reject(new Refusal("v1")) });
    await calls.make(refusing, { type: "fail", key: "k", value: "v1" }, "c");
  },
);

const keyed = (value: string): SimInput => ({ type: "keyed", command: put(value), after: 1000 });

rule(
  "K3",
  "a command with a key is answered with what it did, whoever sends it again",
  async ({ ghost, calls }, isBad) => {
    const lost = lifeOf({ applyEntry: () => Promise.reject(new ShutdownError("unknown")) });
    await calls.make(lost, keyed("v1"), "c");
    calls.oracle.ask("k");
    committed(ghost, "v1", null);
    await calls.make(lifeOf(answer(isBad ? "1:v0" : null, 2)), keyed("v1"), "c");
    await calls.make(lifeOf(answer(isBad ? "1:v0" : null, 3)), keyed("v1"), "d");
  },
);

rule("K1", "a command with a key that is sent again is applied no more", async ({ ghost, calls }, isBad) => {
  committed(ghost, "v1", null);
  for (const index of [1, 2]) await calls.make(lifeOf(answer(null, index)), keyed("v1"), "c");
  if (isBad) ghost.noteApplied("v1", 2, 2, "1:v1");
});

test("sim clients: a command with a key is one operation, from when it was first sent to its first answer", async () => {
  const ghost = new Ghost();
  const world = new World(new Trace(), () => {});
  const calls = new Calls(world, ghost);
  const lost = lifeOf({ applyEntry: () => Promise.reject(new ShutdownError("unknown")) });
  for (const value of ["v1", "v2"]) await calls.make(lost, keyed(value), "c");
  assertEquals([calls.history, [...calls.unanswered()].length], [[], 2]);
  committed(ghost, "v1", null);
  for (const client of ["d", "e"]) await calls.make(lifeOf(answer(null)), keyed("v1"), client);
  const named = (operations: Iterable<SimOperation>) =>
    [...operations].map(({ input, outcome, client }) => [(input as SimCommand).value, outcome, client]);
  assertEquals(named(calls.history), [["v1", "ok", "c"]]);
  assertEquals(named(calls.unanswered()), [["v2", "unknown", "c"]]);
});

rule("K5", "also in a session nothing is applied that is said not to be", async ({ ghost, calls }, isBad) => {
  const error = new ShutdownError(isBad ? "not-applied" : "unknown");
  const session = { seenIndex: 2, apply: () => Promise.reject(error) };
  await calls.make(lifeOf({ session: () => Promise.resolve(session) }), once("v1"), "c");
  committed(ghost, "v1", null);
});

rule("R5", "who reads in a session sees what it was shown", async ({ ghost, calls }, isBad) => {
  committed(ghost, "v1", null);
  const session = { seenIndex: 1, apply: () => Promise.resolve(null) };
  const life = lifeOf({ ...reader(isBad ? 0 : 1), session: () => Promise.resolve(session) });
  await calls.make(life, once("v1"), "c");
  await calls.make(life, { type: "own", key: "k" }, "c");
});

rule("K4", "a server answers with a result or an error of its own", async ({ calls }, isBad) => {
  const error = isBad ? new TypeError("?") : new NotLeaderError(undefined);
  await calls.make(lifeOf({ applyEntry: () => Promise.reject(error) }), put("v1"), "c");
});

rule("K4", "a server that has stopped has answered everybody", async ({ calls }, isBad) => {
  const life = lifeOf({ applyEntry: () => isBad ? new Promise(() => {}) : Promise.reject(new ShutdownError()) });
  const done = calls.make(life, put("v1"), "c");
  if (!isBad) await done;
  life.hasStopped = true;
  calls.onOver(life);
  await done;
});

rule("K5", "what is said to be not applied never is", async ({ ghost, calls }, isBad) => {
  const error = new ShutdownError(isBad ? "not-applied" : "unknown");
  await calls.make(lifeOf({ applyEntry: () => Promise.reject(error) }), put("v1"), "c");
  committed(ghost, "v1", null);
});

/** A server that has applied so much, and lets one look at once. */
const reader = (appliedIndex: number) => ({ appliedIndex, read: (query: () => SimState) => Promise.resolve(query()) });

rule("R1", "a read sees all that was acknowledged before it was asked", async ({ ghost, calls }, isBad) => {
  ghost.readFloor = 5;
  await calls.make(lifeOf(reader(isBad ? 4 : 5)), { type: "get", key: "k" }, "c");
});

rule("R5", "a server does not go back", async ({ calls }, isBad) => {
  const life = lifeOf(reader(1));
  calls.oracle.ask("k");
  life.machine.apply(put("v1"), { index: 1, term: 1, timeMs: 0 });
  await calls.make(life, { type: "stale", key: "k" }, "c");
  const older = isBad ? new SimMachine({ onApplied: () => {}, work: () => undefined }) : life.machine;
  Object.assign(life, { machine: older });
  await calls.make(life, { type: "stale", key: "k" }, "c");
});

rule("A6", "nobody looks at a machine that is at work", async ({ calls }, isBad) => {
  const life = lifeOf(reader(1));
  life.machine.isBusy = isBad;
  await calls.make(life, { type: "get", key: "k" }, "c");
});

rule("K4", "who has given up before is told so", (scene, isBad) => {
  const apply = (_: unknown, { signal }: { signal: AbortSignal }) =>
    isBad ? Promise.resolve(null) : Promise.reject(signal.reason);
  return touched(scene, "apply-aborted", { apply });
});

rule("K4", "a command that is too large is refused", (scene, isBad) => {
  return touched(scene, "apply-oversized", {
    apply: () => isBad ? Promise.resolve(1) : Promise.reject(new RangeError()),
  });
});

rule("K4", "what a query throws goes to who asked", (scene, isBad) => {
  return touched(scene, "read-throwing", { read: async (query: () => void) => isBad ? undefined : await query() });
});

rule("R1", "a barrier comes after all that was acknowledged before it", (scene, isBad) => {
  scene.ghost.readFloor = 5;
  return touched(scene, "barrier", { appliedIndex: 6, barrier: () => Promise.resolve(isBad ? 5 : 6) });
});

rule("K4", "who has begun is told so when it is to begin again", (scene, isBad) => {
  return touched(scene, "bootstrap-again", {
    bootstrap: () => Promise.reject(isBad ? new Error("?") : new NotLeaderError(undefined)),
  });
});

rule("K4", "a change that changes nothing is made, or refused by the library", (scene, isBad) => {
  const changeMembership = () => isBad ? Promise.reject(new Error("?")) : Promise.resolve({ index: 1 });
  return touched(scene, "crowd", { changeMembership });
});

rule("S2", "a machine that is to begin anew has what it then says", (scene, isBad) => {
  const raft = { appliedIndex: 3, installSnapshot: () => Promise.resolve({ index: raft.appliedIndex = 5 }) };
  const older = { ...raft, installSnapshot: () => Promise.resolve({ index: 3 }) };
  return touched(scene, "install-snapshot", isBad ? older : raft);
});

rule("K6", "terms that a server tells of only grow", (scene, isBad) => {
  const role = (term: number) => ({ type: "role", term });
  return touched(scene, "watch", {
    events: async function* () {
      yield role(3);
      yield role(isBad ? 2 : 3);
    },
  });
});

for (const call of ["apply", "read", "readIndex", "verifyLeader", "wait", "snapshot", "snapshots", "restore"]) {
  rule("V8", `a server that has stopped takes nothing more: no ${call}`, async ({ ghost }, isBad) => {
    const no = () => Promise.reject(new ShutdownError());
    const yes = () => Promise.resolve(1);
    const done = () => Promise.resolve();
    const life = lifeOf({
      ...{ apply: no, barrier: no, read: no, readIndex: no, verifyLeader: no, wait: no, snapshot: no, snapshots: no },
      restore: no,
      ...{ shutdown: done, drain: done, [Symbol.asyncDispose]: done },
      ...isBad ? { [call]: yes } : {},
      closed: Promise.resolve(undefined),
      state: "shutdown",
    });
    await touchStopped(ghost, life);
  });
}

for (const type of ["lease", "get"] as const) {
  rule("R1", `a ${type} sees what others had seen before it was asked`, async ({ calls, ghost }, isBad) => {
    ghost.readFloor = 5;
    const raft = { appliedIndex: isBad ? 4 : 5, read: (query: () => unknown) => Promise.resolve(query()) };
    await calls.make(lifeOf(raft), { type, key: "k" }, "c0");
  });
}

test("sim clients: a lease read is in the history while clocks keep their bound, and like a stale one beyond it", async () => {
  for (const keepsTime of [true, false]) {
    const [ghost, world] = [new Ghost(), new World(new Trace(), () => {})];
    Object.assign(ghost, { readFloor: keepsTime ? 4 : 5, keepsTime });
    const calls = new Calls(world, ghost);
    const asked: unknown[] = [];
    const raft = {
      appliedIndex: 4,
      read: (query: () => unknown, options: unknown) => (asked.push(options), Promise.resolve(query())),
    };
    await calls.make(lifeOf(raft), { type: "lease", key: "k" }, "c0");
    assertEquals([ghost.violation, asked, calls.open], [undefined, [{ consistency: "lease" }], 0]);
    assertEquals(calls.history.map(({ input }) => input), keepsTime ? [{ type: "get", key: "k" }] : []);
  }
});

test("sim clients: a session that the log has forgotten is followed by another, and none outlives the calls", async () => {
  const [ghost, world] = [new Ghost(), new World(new Trace(), () => {})];
  const calls = new Calls(world, ghost);
  const closed: number[] = [];
  let opened = 0;
  const life = lifeOf({
    session: () => {
      const id = ++opened;
      const apply = () => id === 1 ? Promise.reject(new SessionExpiredError(1)) : Promise.resolve(null);
      return Promise.resolve({ id, seenIndex: 0, apply, close: () => Promise.resolve(closed.push(id)) });
    },
  });
  committed(ghost, "v2", null);
  calls.oracle.ask("k");
  assertEquals([await calls.make(life, once("v1"), "c"), opened, closed], [false, 1, [1]]);
  assertEquals([await calls.make(life, once("v2"), "c"), opened, closed], [true, 2, [1]]);
  assertEquals(calls.history.map(({ outcome }) => outcome), ["failed", "ok"]);
  calls.stop();
  assertEquals([await calls.make(life, once("v2"), "c"), opened, closed], [true, 3, [1, 2]]);
  // What is being opened when the calls end is closed as soon as it is open.
  const late = calls.make(lifeOf(life.raft as unknown as Record<string, unknown>), once("v2"), "c");
  calls.stop();
  await late;
  assertEquals([opened, closed], [4, [1, 2, 3, 4]]);
  // A server that is dead is told nothing.
  await calls.make(life, once("v2"), "c");
  calls.onOver(Object.assign(life, { isOver: true }));
  calls.stop();
  assertEquals([opened, closed], [5, [1, 2, 3, 4]]);
});

test("sim clients: who is told that a session has expired, and not which one, closes none", async () => {
  const calls = new Calls(new World(new Trace(), () => {}), new Ghost());
  // As a server answers with what is another's.
  const life = lifeOf({ session: () => Promise.reject(new SessionExpiredError(undefined as unknown as number)) });
  assertEquals([await calls.make(life, once("v1"), "c"), calls.open], [false, 0]);
});
