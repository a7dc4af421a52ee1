import { assert, assertEquals } from "@std/assert";
import { chooseCore, type Cluster, type Core } from "../../../src/testing/sim/chosen.ts";
import { drawConfig, type Fault } from "../../../src/testing/sim/config.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import type { SimServer } from "../../../src/testing/sim/server.ts";
import { Simulation } from "../../../src/testing/sim/simulation.ts";
import { test } from "../../harness.ts";

interface Given {
  readonly faults?: readonly Fault[];
  readonly dead?: readonly number[];
  readonly paused?: readonly number[];
  /** Damaged on disk, and by what was done to them. */
  readonly rotten?: readonly number[];
  readonly suspects?: readonly number[];
  readonly lost?: readonly number[];
  readonly forgetful?: readonly string[];
  readonly moves?: boolean;
  readonly isBeyond?: boolean;
}

/** Five servers. */
function cluster(
  { faults = ["partition"], dead, paused, rotten, suspects, lost, forgetful, ...given }: Given,
): Cluster {
  const servers = [0, 1, 2, 3, 4].map((index) => ({
    ...{ id: `s${index}`, index, life: dead?.includes(index) ? undefined : { core: { damaged: [], repairing: [] } } },
    storage: { faults: { isDamaged: rotten?.includes(index) === true } },
  }));
  const moving = given.moves === true ? { voters: 3, chance: 1, idlers: false, swaps: 0 } : undefined;
  const atlas = {
    goesBeyond: given.isBeyond === true,
    isBeyond: false,
    isDamaged: (server: number) => suspects?.includes(server) === true,
  };
  return {
    config: { servers: 5, faults, ...moving === undefined ? {} : { moving } },
    present: servers.filter(({ index }) => lost?.includes(index) !== true) as unknown as readonly SimServer[],
    plague: { atlas },
    ghost: { forgetful: new Map((forgetful ?? []).map((id) => [id, 1])) },
    world: { isPaused: (server) => paused?.includes(server) === true },
  };
}

/** The cores of many draws. */
function cores(given: Given): Core[] {
  const random = Random.seeded(7);
  const drawn = Array.from({ length: 400 }, () => chooseCore(cluster(given), random));
  return drawn.filter((core) => core !== undefined);
}

function places(servers: readonly SimServer[]): string {
  return servers.map(({ index }) => index).join("");
}

test("core: a quorum or more is healed in up to half of the runs, and each of the others is ill in a way that the run allows", () => {
  const drawn = cores({ faults: ["partition", "pause"] });
  // All five are no core.
  assert(drawn.length > 90 && drawn.length < 200, `${drawn.length}`);
  const [sizes, kinds] = [new Set<number>(), new Set<string | undefined>()];
  for (const { well, ill } of drawn) {
    sizes.add(well.length);
    assertEquals([...places(well), ...places(ill.map(([server]) => server))].sort().join(""), "01234");
    for (const [, infirmity] of ill) kinds.add(infirmity);
  }
  assertEquals(sizes, new Set([3, 4]));
  assertEquals(kinds, new Set(["isolated", "deaf", "mute", "paused"]));
});

test("core: who is dead or paused mostly stays so, and gets no worse", () => {
  const drawn = cores({ dead: [0], paused: [1] });
  const left = drawn.flatMap(({ ill }) => ill.filter(([{ index }]) => index < 2));
  assert(left.length > drawn.length, `${left.length} of ${drawn.length}`);
  assertEquals(left.filter(([, infirmity]) => infirmity !== undefined), []);
  assert(drawn.some(({ well }) => well.some(({ index }) => index === 0)));
  // Nothing else need be allowed for that.
  assert(cores({ faults: ["loss"], dead: [0], paused: [1] }).every(({ well }) => /234/.test(places(well))));
  assert(cores({ faults: ["loss"], dead: [0], paused: [1] }).length > 0);
  assertEquals(cores({ faults: ["loss"] }), []);
});

test("core: who is damaged or lost does not belong to it, and with too few others there is none", () => {
  assertEquals(new Set(cores({ rotten: [1], suspects: [3] }).map(({ well }) => places(well))), new Set(["024"]));
  assertEquals(new Set(cores({ rotten: [1], lost: [3] }).map(({ well }) => places(well))), new Set(["024"]));
  assertEquals(cores({ rotten: [1, 2], suspects: [3] }), []);
  assertEquals(cores({ lost: [1, 2] }), []);
});

test("core: none is chosen where servers move or have other disks than is known, or damage is beyond what can be survived", () => {
  assertEquals(cores({ moves: true }), []);
  assertEquals(cores({ forgetful: ["s4"] }), []);
  assertEquals(cores({ isBeyond: true }), []);
});

test("plague: what is healed is up and connected, what is not stays dead, paused, cut off and out of time", async () => {
  const drawn = drawConfig(Random.seeded(1), { servers: 6, faults: [], moving: false, store: "memory" });
  const { foundedLate: _, ...config } = drawn;
  const simulation = new Simulation(config, Random.seeded(1));
  const { network, plague, servers, world } = simulation;
  const second = () => {
    const until = world.time + 1_000_000;
    return simulation.run(() => world.time >= until);
  };
  simulation.start();
  await second();
  assert(network.isWhole([0, 1, 2, 3, 4, 5]));
  const long = { for: 60_000_000 };
  for (const server of [0, 3]) plague.perform({ type: "crash", server, kind: "power", ...long });
  for (const server of [1, 4]) plague.perform({ type: "pause", server, ...long });
  for (const server of [1, 5]) plague.perform({ type: "drift", server, rate: 2, ...long });
  const directions = [[2, 1], [1, 2], [5, 2], [2, 5]] as const;
  plague.perform({ type: "cut", shape: "pair", directions, ...long });
  await second();
  plague.heal(servers.slice(0, 3));
  const before = servers.map(({ clock }) => clock.now());
  await second();
  const up = servers.map(({ index, life }) => life?.raft !== undefined && !world.isPaused(index));
  assertEquals(up, [true, true, true, false, false, true]);
  assertEquals([network.isWhole([0, 1, 2]), network.isWhole([1, 5]), network.isWhole([2, 5])], [true, true, false]);
  const rates = servers.map(({ clock }, i) => Math.round((clock.now() - before[i]!) / 1000));
  assertEquals(rates, [1, 1, 1, 1, 1, 2]);
  plague.heal();
  await second();
  assert(network.isWhole([0, 1, 2, 3, 4, 5]));
});

test("sim phases: a core serves while the others stay as they are, where there are any that may", async () => {
  const request = { steps: 1500, servers: 3, moving: false } as const;
  let alone = 0;
  for (let seed = 1; seed <= 4; seed++) {
    const { marks, violation } = await runSeed(seed, { ...request, faults: ["partition", "kill"] });
    assertEquals(violation, undefined);
    alone += marks["core-healed-alone"]!;
  }
  assert(alone > 0);
  assertEquals((await runSeed(1, { ...request, faults: [] })).marks["core-healed-alone"], 0);
}, { timeoutMs: 120_000 });
