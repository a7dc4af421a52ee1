import { assertEquals } from "@std/assert";
import { LeadershipLostError, ShutdownError, StorageError, TransferFailedError } from "../../../src/errors.ts";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { drain, type Draining, noteHandOver } from "../../../src/testing/sim/draining.ts";
import { hashText } from "../../../src/testing/sim/machine.ts";
import { drained } from "../../../src/testing/sim/nemesis.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runScript } from "../../../src/testing/sim/run.ts";
import type { Decision } from "../../../src/testing/sim/script.ts";
import type { Life } from "../../../src/testing/sim/server.ts";
import { test } from "../../harness.ts";
import { leaderOf } from "../../core/states.ts";
import { lifeOf, rule, type Scene } from "./clients_stage.ts";

/** A server that is drained, and how that ends. */
function asked(
  { ghost }: Scene,
  end: (life: Life) => unknown,
  { state = "shutdown", servers = "a b c", role = "leader", read = () => Promise.resolve(0) as Promise<unknown> } = {},
): Promise<boolean> {
  const life: Life = lifeOf({ state, read, drain: () => end(life) });
  Object.assign(life, { core: { ...leaderOf({ servers, term: 2 }).state, role } });
  ghost.leaders.set(2, { leader: "a", log: new ChainLog() });
  return drain(ghost, life);
}

function led({ ghost }: Scene, term: number, leader: string): Promise<void> {
  ghost.leaders.set(term, { leader, log: new ChainLog() });
  return Promise.resolve();
}

rule("K3", "a leader that is drained has handed over", async (scene, isBad) => {
  assertEquals(await asked(scene, () => isBad ? Promise.resolve() : led(scene, 3, "b")), true);
});

rule("K3", "it has handed over to another server", (scene, isBad) => {
  return asked(scene, () => led(scene, 3, isBad ? "a" : "b"));
});

rule("K3", "a leader that is alone hands over to nobody", (scene, isBad) => {
  return asked(scene, () => Promise.resolve(), { servers: isBad ? "a b" : "a ~b" });
});

rule("K3", "nobody hands over who does not lead", (scene, isBad) => {
  return asked(scene, () => Promise.resolve(), { role: isBad ? "leader" : "follower" });
});

rule("V8", "a server that is drained has stopped", (scene, isBad) => {
  return asked(scene, () => led(scene, 3, "b"), { state: isBad ? "follower" : "shutdown" });
});

const fails = () => Promise.reject(new TransferFailedError("timeout", undefined));

rule("V8", "a server that can't be drained goes on", async (scene, isBad) => {
  const read = () => isBad ? Promise.reject(new ShutdownError()) : Promise.reject(new LeadershipLostError("?"));
  assertEquals(await asked(scene, fails, { state: "leader", read }), false);
});

rule("K4", "who can't be drained says why", (scene, isBad) => {
  return asked(scene, isBad ? () => Promise.reject(new Error("?")) : fails, { state: "leader" });
});

test("sim drains: of a server that has crashed meanwhile nothing is demanded", async () => {
  for (const end of [() => Promise.resolve(), () => Promise.reject(new Error("?"))]) {
    const ghost = { leaders: new Map(), must: () => assertEquals("nothing", "something") };
    const isDone = await asked({ ghost } as unknown as Scene, (life) => (life.isOver = true, end()), {
      state: "leader",
    });
    assertEquals(isDone, false);
  }
});

/** That a follower was told to drain when its clock began. */
const told: Draining = { since: 0, handOver: "none" };

/** A command whose server is drained for so long, and then says this. */
function cut({ calls }: Scene, ms: number, error: unknown, change: Partial<Life> = {}): Promise<boolean> {
  const life = lifeOf({ applyEntry: () => Promise.reject(error) });
  Object.assign(life, { clock: { now: () => ms, stoppedMs: 0 }, draining: told }, change);
  return calls.make(life, { type: "put", key: "k", value: "v" }, "c0");
}

const patience = lifeOf({}).configured.leaderWaitMs;
const unknown = new ShutdownError("unknown");

rule("V8", "a command under way has its result before its server is drained, or it takes too long", (scene, isBad) => {
  return cut(scene, patience - (isBad ? 2 : 0), unknown);
});

for (
  const [what, error, change] of [
    ["that was never taken may be refused", new ShutdownError(), {}],
    ["of a server that failed gets no result", new ShutdownError("unknown", new StorageError("?", "write")), {}],
    ["of a server that is shut down gets none", unknown, { isStopping: true }],
    ["of a server that is not drained gets none", unknown, { draining: undefined }],
  ] as const
) {
  rule("V8", `a command ${what}`, (scene, isBad) => isBad ? cut(scene, 0, unknown) : cut(scene, 0, error, change));
}

rule("V8", "a leader that is drained waits from when it leads no more", async (scene, isBad) => {
  const life: Life = lifeOf({ applyEntry: () => Promise.reject(unknown) });
  let now = 0;
  const draining: Draining = { since: 0, handOver: "begun" };
  Object.assign(life, { clock: { now: () => now, stoppedMs: 0 }, draining });
  for (const [role, at] of [["leader", patience], ["follower", 2 * patience], ["leader", 2 * patience + 9]] as const) {
    now = at;
    Object.assign(life.core, { role });
    noteHandOver(life);
  }
  Object.assign(life.core, { role: "follower" });
  noteHandOver(life);
  now = 3 * patience - (isBad ? 2 : 0);
  await scene.calls.make(life, { type: "put", key: "k", value: "v" }, "c0");
});

/** A command that comes while its server drains, and what is said to it. */
function came({ calls }: Scene, handOver: Draining["handOver"], applyEntry: () => Promise<unknown>): Promise<boolean> {
  const life = Object.assign(lifeOf({ applyEntry }), { draining: { since: 0, handOver } });
  return calls.make(life, { type: "fail", key: "k", value: "v" }, "c0");
}

const lost = () => Promise.reject(new LeadershipLostError("?"));

rule("V8", "a server that drains takes no more commands", (scene, isBad) => {
  return came(scene, "none", isBad ? lost : () => Promise.reject(new ShutdownError()));
});

for (const handOver of ["begun", "over"] as const) {
  rule("V8", `a leader takes them until it has handed over, and heard of that: ${handOver}`, (scene, isBad) => {
    return came(scene, isBad ? "none" : handOver, lost);
  });
}

rule("V8", "a command that comes too late has no result", async (scene, isBad) => {
  const { ghost } = scene;
  const answer = () => Promise.resolve({ index: 1, term: 1, result: null });
  ghost.commits.push({ term: 1, hash: 1, committedIn: 1, sets: [] });
  ghost.applied.set(1, { term: 1, state: 0, result: hashText("null", 0) });
  ghost.noteApplied("v", 1, 0, null);
  assertEquals(await came(scene, isBad ? "none" : "over", answer), true);
});

test("sim drains: a restart begins with one where they are drawn, and nothing else does", () => {
  const restart = { type: "restart", server: 1, for: 5 } as const;
  const pause = { type: "pause", server: 1, for: 5 } as const;
  const random = Random.seeded(3);
  const drawn = Array.from({ length: 60 }, () => drained(random, { drains: 0.5 }, restart));
  assertEquals(new Set(drawn.map((it) => JSON.stringify(it))).size, 2);
  assertEquals(drained(random, {}, restart), restart);
  assertEquals(drained(random, { drains: 1 }, pause), pause);
  const chances = (drains?: number) => {
    return new Set(Array.from({ length: 60 }, (_, seed) => drawConfig(Random.seeded(seed), { drains }).drains));
  };
  assertEquals([[...chances()].sort(), [...chances(0.5)]], [[0, 0.3, 1], [0.5]]);
});

test("sim drains: servers are drained and start again, and a leader that is alone stays", async () => {
  const config = drawConfig(Random.seeded(3), { servers: 3, faults: ["restart", "partition"], moving: false });
  const restart = (at: number, server: number): Decision => {
    return { at: at * 1_000_000, action: { type: "restart", server, for: 200_000, drains: true } };
  };
  const pairs = [[0, 1], [1, 0], [0, 2], [2, 0], [1, 2], [2, 1]] as const;
  const cut: Decision = {
    at: 12_000_000,
    action: { type: "cut", shape: "isolate", directions: pairs, for: 3_000_000 },
  };
  const healthy = [0, 1, 2, 0, 1, 2].map((server, i) => restart(2 + i, server));
  const alone = [0, 1, 2].map((server) => restart(12.001, server));
  for (const [decisions, count] of [[healthy, 6], [[...healthy, cut, ...alone], 8]] as const) {
    const report = await runScript({ seed: 3, config, until: 16_000_000, decisions });
    if (report.violation !== undefined) throw report.violation;
    assertEquals(report.marks["server-drained"], count as number);
    // As a file it is the same.
    const again = await runScript(JSON.parse(JSON.stringify(report.script)));
    assertEquals(again.hash, report.hash);
  }
}, { timeoutMs: 60_000 });
