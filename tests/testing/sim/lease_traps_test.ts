import { assert, assertEquals } from "@std/assert";
import { drawConfig, type SimConfig } from "../../../src/testing/sim/config.ts";
import { drawLeaseTrap, type LeaseTrap } from "../../../src/testing/sim/lease_traps.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import type { NodeView, StepView } from "../../../src/testing/sim/view.ts";
import { test } from "../../harness.ts";

const drawn = drawConfig(Random.seeded(1), { servers: 5, faults: ["partition", "clock", "kill"], moving: false });
/** So few reads that every second one would meet a trap. */
const config: SimConfig = { ...drawn, ambush: 1, client: { ...drawn.client, clients: 1, thinkTime: 1e9 } };
const served = { event: { type: "read-requested", isLease: true }, effects: [{ type: "answer-read" }] };

function draw(change: Partial<SimConfig> = {}, step: object = served, voters = 5): LeaseTrap[] {
  const servers = Array.from({ length: voters }, (_, i) => ({ id: `s${i}`, suffrage: "voter" }));
  servers.push({ id: "s9", suffrage: "nonvoter" });
  const core = { configurations: [{ index: 1, configuration: { servers } }] };
  const random = Random.seeded(3);
  const node = { index: 2, core } as unknown as NodeView;
  const all = Array.from({ length: 200 }, () => {
    return drawLeaseTrap(random, { ...config, ...change }, node, step as unknown as StepView);
  });
  return all.filter((it) => it !== undefined);
}

test("lease traps: a leader is cut off and its clock slow, all others' as fast as is allowed for", () => {
  const traps = draw().filter(({ then }) => then.length === 0);
  assert(traps.length > 50, `${traps.length}`);
  for (const { first: [cut, ...drifts] } of traps) {
    assert(cut?.type === "cut" && cut.for >= config.settings.electionMaxMs! * 3000 && cut.resets === undefined);
    assertEquals([cut.directions.length, cut.directions.every((it) => it.includes(2))], [8, true]);
    const rates = new Map(drifts.map((it) => it.type === "drift" ? [it.server, it.rate] : [-1, 0]));
    assertEquals(rates, new Map([[0, 1.1], [1, 1.1], [2, 0.9], [3, 1.1], [4, 1.1]]));
  }
  assert(draw({ faults: ["partition"] }).every(({ first, then }) => first.length === 1 && then.length === 0));
});

test("lease traps: those that are left with a leader are started anew when they lose it as well", () => {
  for (const [voters, spared] of [[3, 1], [4, 2], [5, 2], [7, 3]] as const) {
    const traps = draw({}, served, voters).filter(({ then }) => then.length > 0);
    assert(traps.length > 50, `${traps.length}`);
    for (const { first: [lost, ...others], after, then: [kept, ...crashes] } of traps) {
      assert(lost?.type === "cut" && kept?.type === "cut" && others.length === 0);
      assertEquals([lost.directions.length, kept.directions.length], [2 * (voters - 1 - spared), 2 * spared]);
      // It is for what the lost ones owe the leader to be over, and then some.
      assert(
        after >= config.settings.electionMinMs! * 1000 && lost.for > after + config.settings.electionMaxMs! * 3000,
      );
      const started = crashes.map((it) => it.type === "crash" ? it.server : -1);
      const cutOff = kept.directions.map(([from, to]) => from === 2 ? to : from);
      assertEquals(new Set(started), new Set(cutOff));
      assert(crashes.every((it) => it.type === "crash" && it.kind === "kill"));
    }
  }
});

test("lease traps: connections end as well where they may", () => {
  const cuts = (faults: SimConfig["faults"]) => draw({ faults }).flatMap(({ first }) => first);
  const resets = (faults: SimConfig["faults"]) => new Set(cuts(faults).map((it) => it.type === "cut" && it.resets));
  assertEquals(resets(["partition", "reset"]), new Set([true, undefined]));
});

test("lease traps: only reads by lease meet them, as often where few read as where many do", () => {
  const linearizable = { ...served, event: { type: "read-requested" } };
  const inDoubt = { ...served, effects: [] };
  const drained = { event: { type: "drained" }, effects: [{ type: "answer-read" }] };
  for (const step of [linearizable, inDoubt, drained]) assertEquals(draw({}, step), []);
  assertEquals([draw({ ambush: 0 }), draw({ faults: ["kill", "clock"] }), draw({}, served, 1)], [[], [], []]);
  const often = draw({ client: { ...config.client, thinkTime: config.settings.electionMinMs! * 100 } });
  assert(often.length > 0 && often.length < 40, `${often.length}`);
});

test("lease traps: a run has them, and its script says so", async () => {
  const request = { steps: 2000, servers: 3, ambush: 0.2, client: { leaseReads: true, leaseShare: 0.98 } };
  for (let seed = 20; seed < 60; seed++) {
    const report = await runSeed(seed, { ...request, faults: ["partition", "kill"] });
    assertEquals(report.violation, undefined);
    const actions = report.script.decisions.filter((decision) => "action" in decision);
    // No other fault isolates one of three servers from one alone, nor comes with another in the same moment.
    const second = actions.find(({ at, action }) =>
      action.type === "cut" && action.shape === "isolate" && action.directions.length === 2 &&
      actions.some((other) => other.at === at && other.action.type === "crash")
    );
    if (second !== undefined) return;
  }
  throw new Error("no seed has such a trap");
}, { timeoutMs: 60_000 });
