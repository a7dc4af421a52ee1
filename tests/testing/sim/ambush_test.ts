import { assert, assertEquals } from "@std/assert";
import {
  drawAmbush,
  drawBreak,
  drawCompany,
  drawCrowd,
  drawFullStart,
  drawLateAnswer,
  drawLostCall,
  drawTrap,
} from "../../../src/testing/sim/ambush.ts";
import { drawConfig, type SimConfig } from "../../../src/testing/sim/config.ts";
import type { Action } from "../../../src/testing/sim/nemesis.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import type { NodeView, StepView } from "../../../src/testing/sim/view.ts";
import { test } from "../../harness.ts";

const config: SimConfig = {
  ...drawConfig(Random.seeded(1), { servers: 5, faults: ["partition", "power"] }),
  ambush: 1,
};

function draw(
  effects: readonly object[],
  change: Partial<SimConfig> = {},
  to?: string,
  event: object = {},
): (Action | undefined)[] {
  const leading = to === undefined ? undefined : { transfer: { to } };
  const node = { index: 2, core: { leading, leader: "s1", configurations: [] } } as unknown as NodeView;
  const before = { role: to === undefined ? "follower" : "leader" };
  const random = Random.seeded(3);
  const step = { before, effects, event } as unknown as StepView;
  return Array.from({ length: 200 }, () => drawAmbush(random, { ...config, ...change }, node, step));
}

test("ambush: who has just voted, or shortened its log, dies", () => {
  const steps = [{ type: "persist-vote", votedFor: "s1" }, { type: "truncate", from: 7 }];
  for (const action of steps.flatMap((effect) => draw([effect]))) {
    assertEquals([action?.type, action?.type === "crash" && action.server], ["crash", 2]);
  }
  assertEquals(draw([{ type: "persist-vote", votedFor: undefined }])[0], undefined);
});

test("ambush: who has just got a snapshot, or compacted its log, dies", () => {
  const installed = draw([{ type: "install-snapshot" }]).map((action) => action?.type === "crash" && action.server);
  // Or who it follows.
  assertEquals(new Set(installed), new Set([1, 2]));
  const usual = draw([{ type: "compact" }]).filter((action) => action !== undefined);
  assert(usual.length > 0 && usual.length < 20 && usual.every(({ type }) => type === "crash"), `${usual.length}`);
  assertEquals(draw([{ type: "install-snapshot" }], { faults: ["partition"] })[0], undefined);
});

test("ambush: the clock of a leader jumps twice", () => {
  const jump = (faults: SimConfig["faults"], role: string) => {
    const node = { index: 2, core: { role } } as unknown as NodeView;
    const step = { before: { role }, effects: [], event: { type: "clock-jumped" } } as unknown as StepView;
    return drawAmbush(Random.seeded(3), { ...config, faults }, node, step)?.type;
  };
  assertEquals(jump(["clock"], "leader"), "step-monotonic");
  assertEquals([jump(["clock"], "follower"), jump(["kill"], "leader")], [undefined, undefined]);
});

test("ambush: who was told by a leader that makes way dies", () => {
  for (const action of draw([{ type: "send", to: "s4", message: { type: "timeout-now" } }])) {
    assertEquals([action?.type, action?.type === "crash" && action.server], ["crash", 4]);
  }
});

test("ambush: the disk of who has just voted stalls", () => {
  const actions = draw([{ type: "persist-vote", votedFor: "s2" }], { faults: ["disk-stall"] });
  const kinds = new Set(actions.map((action): string | undefined => action?.type));
  assertEquals(kinds, new Set<string | undefined>(["disk-stall", undefined]));
});

test("ambush: who has just begun to lead, or changed the servers, dies or keeps one friend", () => {
  const actions = ["noop", "configuration"].flatMap((source) => draw([{ type: "append", source }]));
  assertEquals(
    new Set(actions.map((action): string | undefined => action?.type)),
    new Set<string | undefined>(["crash", "cut"]),
  );
  for (const action of actions) {
    if (action?.type !== "cut") continue;
    assertEquals(action.directions.length, 6);
    assertEquals(action.directions.every((direction) => direction.includes(2)), true);
  }
});

test("ambush: who is cut off while it leads is asked for more, and its disk may stall until after it is back", () => {
  const cut: Action = { type: "cut", shape: "isolate", directions: [[2, 0], [1, 2], [3, 2]], for: 1000 };
  const pair: Action = { ...cut, directions: [[2, 0], [0, 2], [1, 3], [3, 4]] };
  const draw = (faults: SimConfig["faults"], leader = 2, action: Action = cut) => {
    const random = Random.seeded(3);
    return Array.from({ length: 200 }, () => drawCompany(random, { ...config, faults }, action, leader));
  };
  const all = draw(["partition", "stall"]);
  assertEquals(new Set(all.map((company) => company?.writes)), new Set([0, 1, 4]));
  assertEquals(
    new Set(all.map((company) => company?.actions.map(({ type }) => type).join(" and "))),
    new Set(["cut", "cut and disk-stall"]),
  );
  for (const company of all) {
    const [cut, stall] = company!.actions;
    if (stall?.type !== "disk-stall" || cut?.type !== "cut") continue;
    assert(stall.server === 2 && stall.for > cut.for && cut.for >= config.settings.electionMaxMs! * 3000);
  }
  assert(draw(["partition", "disk-stall"]).some((company) => company?.actions.length === 2));
  assert(draw(["partition"]).every((company) => company?.actions.length === 1 && company.actions[0] === cut));
  assert(draw(["partition", "stall"], 1).every((company) => company === undefined));
  assert(draw(["partition", "stall"], 2, pair).every((company) => company === undefined));
  assert(draw(["stall"], 2, { type: "pause", server: 2, for: 5 }).every((company) => company === undefined));
});

test("ambush: what is on its way to those that are cut off may be lost where connections end", () => {
  const cuts = (faults: SimConfig["faults"]) =>
    new Set(draw([{ type: "append", source: "noop" }], { faults }).map((it) => it?.type === "cut" && it.resets));
  assertEquals(cuts(["partition", "reset"]), new Set([false, undefined, true]));
  assertEquals(cuts(["partition"]), new Set([false, undefined]));
});

test("ambush: the disk of who comes is slow, that of somebody else stalls, and who sends a snapshot dies", () => {
  const faults = ["disk-slow", "disk-stall", "power"] as const;
  const draw = (suffrage: string, effect: object) => {
    const configurations = [{ index: 3, configuration: { servers: [{ id: "s4", suffrage }] } }];
    const node = { index: 2, core: { leader: "s1", configurations } } as unknown as NodeView;
    const step = { before: { role: "leader" }, effects: [effect], event: {} } as unknown as StepView;
    const random = Random.seeded(3);
    return Array.from({ length: 200 }, () => drawAmbush(random, { ...config, faults }, node, step));
  };
  const ofType = (type: Action["type"], actions: readonly (Action | undefined)[]) =>
    new Set(actions.flatMap((it) => it?.type === type && "server" in it ? [it.server] : []));
  const change = { type: "append", source: "configuration" };
  const [joined, gone] = [draw("staging", change), draw("voter", change)];
  assertEquals([ofType("disk-slow", joined), ofType("disk-stall", joined)], [new Set([4]), new Set()]);
  assertEquals([ofType("disk-slow", gone), ofType("disk-stall", gone).has(2)], [new Set(), false]);
  assertEquals(ofType("disk-stall", gone).size, 4);
  assertEquals(ofType("crash", draw("voter", { type: "receive-snapshot" })), new Set([1]));
});

test("ambush: who has just entered a joint configuration is gone before it has left it", () => {
  const node = { index: 2, core: { role: "leader" } } as unknown as NodeView;
  const trap = (configuration: object, change: Partial<SimConfig> = {}) => {
    const effects = [{ type: "append", source: "configuration", configuration }];
    const step = { effects } as unknown as StepView;
    const random = Random.seeded(3);
    return Array.from({ length: 100 }, () => drawTrap(random, { ...config, ...change }, node, step));
  };
  const joint = { servers: [], outgoing: ["s1"] };
  const faults = ["partition", "pause", "kill", "power"] as const;
  const all = trap(joint, { faults });
  assertEquals(new Set(all.map((it) => it?.action.type)), new Set(["cut", "pause", "crash"] as const));
  for (const { action, after } of all.map((it) => it!)) {
    assert(after >= 1 && after <= config.settings.heartbeatMs! * 1000, `${after}`);
    assert("for" in action && action.for >= config.settings.electionMaxMs! * 3000);
    if (action.type === "cut") {
      assert(action.directions.length === 8 && action.directions.every((it) => it.includes(2)));
    } else assertEquals("server" in action && action.server, 2);
  }
  const none = [trap({ servers: [] }), trap(joint, { ambush: 0 }), trap(joint, { faults: ["loss"] })];
  assert(none.flat().every((it) => it === undefined));
});

test("ambush: a leader is cut off with the commands that it gets, and its answer comes late", () => {
  const random = Random.seeded(3);
  const all = (change: Partial<SimConfig>) =>
    Array.from({ length: 200 }, () => drawLateAnswer(random, { ...config, ...change }, 2, 4));
  const drawn = all({ faults: ["clog", "partition"] }).filter((it) => it !== undefined);
  assert(drawn.length > 0 && drawn.length < 40, `${drawn.length}`);
  const { electionMaxMs, leaderWaitMs } = config.settings;
  for (const [clog, cut] of drawn) {
    assert(clog.type === "clog" && clog.from === 2 && clog.to === 4);
    // When another leads, and somebody still waits for it.
    assert(clog.for > electionMaxMs! * 1000 && clog.for < leaderWaitMs! * 1000, `${clog.for}`);
    assert(cut.type === "cut" && cut.for > clog.for && cut.directions.length === 6);
    assert(cut.directions.every((it) => it.includes(2) && !it.includes(4)));
  }
  const none = [all({ faults: ["clog"] }), all({ faults: ["partition"] })];
  none.push(all({ faults: ["clog", "partition"], ambush: 0 }));
  assert(none.flat().every((it) => it === undefined));
});

test("ambush: the target of a transfer dies", () => {
  const [action] = draw([], {}, "s4");
  assertEquals(action?.type === "crash" && action.server, 4);
});

test("ambush: nothing happens that is not allowed, or has nobody to happen to", () => {
  const append = [{ type: "append", source: "noop" }];
  const none = (change: Partial<SimConfig>) => draw(append, change).every((action) => action === undefined);
  assertEquals(none({ ambush: 0 }), true);
  assertEquals(none({ servers: 1 }), true);
  assertEquals(none({ faults: [] }), true);
  assertEquals(none({ faults: ["power"] }), false);
  assertEquals(draw([{ type: "drained" }]).every((action) => action === undefined), true);
});

test("ambush: a script has them as well", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const report = await runSeed(seed, { steps: 2000, servers: 3, faults: ["power"] });
    assertEquals(report.violation, undefined);
    if (report.config.ambush < 0.2 || report.crashes < 3) continue;
    const crashes = report.script.decisions.filter((decision) => "action" in decision);
    assertEquals(crashes.length, report.crashes);
    return;
  }
  throw new Error("no seed has ambushes");
}, { timeoutMs: 60_000 });

test("ambush: now and then a leader that is cut off is asked for more than a hundred commands, if it has room", () => {
  const cut: Action = { type: "cut", shape: "isolate", directions: [[0, 1]], for: 1000 };
  const draws = (settings: SimConfig["settings"]) => {
    const random = Random.seeded(4);
    return Array.from({ length: 300 }, () => drawCrowd(random, { ...config, settings }, { actions: [cut], writes: 1 }));
  };
  const { inFlightCountMax: _1, inFlightBytesMax: _2, ...roomy } = config.settings;
  const crowds = draws(roomy).filter((crowd) => crowd !== undefined);
  assert(crowds.length > 15 && crowds.length < 90, `${crowds.length}`);
  for (const { actions: [first], writes } of crowds) {
    assert(writes >= 100 && writes <= 200, `${writes}`);
    assert(first?.type === "cut" && first.for >= config.settings.electionMaxMs! * 3000, "others go on without it");
  }
  assertEquals(draws({ ...roomy, inFlightBytesMax: 100 }).filter((crowd) => crowd !== undefined), []);
});

test("ambush: now and then a server dies on a disk that has just become full, and starts while it still is", () => {
  const random = Random.seeded(4);
  const draws = (action: Action, faults: SimConfig["faults"]) =>
    Array.from({ length: 200 }, () => drawFullStart(random, { ...config, faults }, action)).filter((it) =>
      it !== undefined
    );
  const full = { type: "disk-full", server: 3, for: 4000 } as const;
  const deaths = draws(full, ["kill", "disk-full"]);
  assert(deaths.length > 20 && deaths.length < 120, `${deaths.length}`);
  assertEquals(new Set(deaths.map((it) => JSON.stringify(it))).size, 1);
  assertEquals(deaths[0], { type: "crash", server: 3, kind: "kill", for: 1000 });
  assertEquals(draws(full, ["disk-full"]), []);
  assertEquals(draws({ type: "disk-stall", server: 3, for: 4000 }, ["kill"]), []);
});

test("ambush: the connection over which a snapshot comes ends, or one of both is held up, soon after its receiver heard of it", () => {
  const network = { ...config.network, bulk: { refuse: 0, refuseDial: 0, bytesPerMs: 0 } };
  const hears = [{ type: "receive-snapshot" }];
  const draw = (change: Partial<SimConfig>, effects: readonly object[] = hears, leader: string | undefined = "s1") => {
    const node = { index: 2, core: { leader } } as unknown as NodeView;
    const step = { before: { role: "follower" }, effects, event: {} } as unknown as StepView;
    const random = Random.seeded(3);
    const faults = ["reset", "clog"] as const;
    return Array.from({ length: 200 }, () => drawBreak(random, { ...config, network, faults, ...change }, node, step));
  };
  const kinds = new Set<string>();
  for (const trap of draw({})) {
    const { action, after } = trap!;
    assert(after >= 1 && after <= network.delayMax * 4, `${after}`);
    if (action.type === "reset") assertEquals(action, { type: "reset", a: 1, b: 2, channel: "bulk" });
    else assertEquals(action.type === "clog" && [action.from, action.to], [1, 2]);
    kinds.add(`${action.type} ${action.type === "clog" || action.type === "reset" ? action.channel : ""}`);
  }
  assertEquals(kinds, new Set(["reset bulk", "clog bulk", "clog consensus"]));
  const { bulk: _, ...alone } = network;
  for (const change of [{ faults: [] }, { faults: ["partition"] as const }, { ambush: 0 }, { network: alone }]) {
    assert(draw(change).every((trap) => trap === undefined), JSON.stringify(change));
  }
  assert(draw({}, [{ type: "install-snapshot" }]).every((trap) => trap === undefined));
  assert(draw({ ambush: 0.02 }).some((trap) => trap === undefined));
});

test("ambush: who forwards a command and its leader lose one another, and nobody else does", () => {
  const draw = (change: Partial<SimConfig>) => {
    const random = Random.seeded(3);
    return Array.from({ length: 4000 }, () => drawLostCall(random, { ...config, ...change }, 1, 4));
  };
  const drawn = draw({ faults: ["partition", "reset"] }).filter((call) => call !== undefined);
  assert(drawn.length > 150 && drawn.length < 250, `${drawn.length}`);
  const ways = new Set(
    drawn.map(({ action }) => action.type === "cut" && `${action.directions.join(" ")} ${action.resets}`),
  );
  assertEquals(ways, new Set(["4,1", "1,4", "4,1 1,4"].flatMap((way) => [`${way} true`, `${way} undefined`])));
  for (const { action, calls, after } of drawn) {
    assert(action.type === "cut" && action.for >= config.faultMin && action.for <= config.faultMax);
    assert([1, 4].includes(calls) && after >= 1 && after <= config.network.delayMax * 2);
  }
  // Also where nothing else waits for its moment, though seldom.
  const seldom = draw({ faults: ["partition"], ambush: 0 }).filter((call) => call !== undefined);
  assert(seldom.length > 0 && seldom.length < 40, `${seldom.length}`);
  assert(seldom.every(({ action }) => action.type === "cut" && action.resets === undefined));
  assert(draw({ faults: ["clog", "reset"] }).every((call) => call === undefined));
});

test("ambush: commands that are forwarded, and their answers, get lost in cuts", async () => {
  const request = { steps: 4000, servers: 3, ambush: 1, moving: false } as const;
  const lost = { command: 0, answer: 0 };
  for (let seed = 1; seed <= 3; seed++) {
    const { marks, violation } = await runSeed(seed, { ...request, faults: ["partition", "reset"] });
    assertEquals(violation, undefined);
    lost.command += marks["forwarded-command-lost"]!;
    lost.answer += marks["forwarded-answer-lost"]!;
  }
  assert(lost.command > 0 && lost.answer > 0, JSON.stringify(lost));
  const { marks } = await runSeed(1, { ...request, faults: ["clog"] });
  assertEquals([marks["forwarded-command-lost"], marks["forwarded-answer-lost"]], [0, 0]);
}, { timeoutMs: 120_000 });
