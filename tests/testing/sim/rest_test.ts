import { assertEquals } from "@std/assert";
import type { Patience } from "../../../src/testing/sim/patience.ts";
import { isStuck, rest } from "../../../src/testing/sim/rest.ts";
import type { Life, SimServer } from "../../../src/testing/sim/server.ts";
import type { Simulation } from "../../../src/testing/sim/simulation.ts";
import { test } from "../../harness.ts";
import { leaderOf } from "../../core/states.ts";
import { lifeOf, rule, type Scene } from "./clients_stage.ts";

/**
 * Three servers, and what each does, and all of them send, while they are watched; a call is left on one of them for so
 * many waits after that, a disk is busy when it is watched for so many times first, and so many appends are on their way.
 */
function rested(
  { ghost }: Scene,
  operations: number,
  messages: number,
  { waits = 0, busy = 0, onTheWay = 0 } = {},
): Promise<void> {
  const storages = ["a", "b", "c"].map((id) => ({ id, storage: { operations: 100 } }));
  const config = {
    settings: { heartbeatMs: 50, leaderWaitMs: 500, preVote: true },
    ...{ disk: { stallChance: 0 }, faults: [], clocks: [{ rate: 1 }] },
  };
  let passes = 0;
  const metrics = () => ({ proposalsPending: passes < 2 + waits ? 1 : 0, proposalsPendingBytes: 0 });
  const { state: core } = leaderOf({ terms: [1, 1] });
  // Of one that is nobody's peer any more nothing is asked.
  for (const [peer, count] of [["b", onTheWay], ["z", 1]] as const) {
    const known = core.leading!.progress.get("b")!;
    const inFlight = Array.from({ length: count }, (_, i) => ({ end: 3, bytes: 0, sequence: i }));
    core.leading!.progress.set(peer, { ...known, inFlight });
  }
  const lives = [{ ...lifeOf({ metrics }), id: "d", core }];
  const simulation = { ghost, config, sent: 500, servers: storages, lives, workload: { open: 0 } };
  const pass = () => {
    // What was on its way before is not counted.
    const isWatched = ++passes === 2;
    simulation.sent += isWatched ? messages : 1000;
    storages[1]!.storage.operations += passes === 2 + busy ? operations : 1000;
    return Promise.resolve();
  };
  const patience = { pass, within: () => Promise.resolve(), judge: () => {} } as unknown as Patience;
  return rest(simulation as unknown as Simulation, storages as unknown as readonly SimServer[], patience);
}

rule("V6", "a server that rests asks next to nothing of its disk", (scene, isBad) => rested(scene, isBad ? 11 : 10, 0));

// A segment after the other goes when a long log was compacted.
rule("V6", "a disk rests within ten looks at it", (scene, isBad) => rested(scene, 0, 0, { busy: isBad ? 10 : 9 }));

// Each of two peers is told and answers, once in each of 20 heartbeats and thrice more.
rule("V6", "a cluster that rests says next to nothing", (scene, isBad) => rested(scene, 0, isBad ? 93 : 92));

rule("V6", "no call is left in a cluster that rests", (scene, isBad) => rested(scene, 0, 0, { waits: isBad ? 4 : 3 }));

rule("V6", "nothing is on its way in a cluster that rests", (scene, isBad) => {
  return rested(scene, 0, 0, { onTheWay: isBad ? 1 : 0 });
});

test("sim: who was removed and can't read its log waits for nobody, and whoever belongs to the cluster is repaired", () => {
  const life = (...damaged: unknown[]) => ({ id: "c", core: { damaged, repairing: [] } }) as unknown as Life;
  const entry = { from: 3, end: 4 };
  assertEquals(isStuck(life(entry), [{ id: "a" }]), true);
  assertEquals(isStuck(life(entry), [{ id: "a" }, { id: "c" }]), false);
  assertEquals(isStuck(life(), [{ id: "a" }]), false);
});
