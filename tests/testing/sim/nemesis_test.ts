import { assertEquals } from "@std/assert";
import { drawConfig, type SimConfig } from "../../../src/testing/sim/config.ts";
import { type Action, onChannel } from "../../../src/testing/sim/nemesis.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { test } from "../../harness.ts";

const config = drawConfig(Random.seeded(1), { servers: 3 });
const { bulk: _, ...alone } = config.network;
const apart: SimConfig = { ...config, network: { ...alone, bulk: { refuse: 0, refuseDial: 0, bytesPerMs: 0 } } };

test("nemesis: resets and clogs strike one channel or both, where there are two", () => {
  const reset: Action = { type: "reset", a: 0, b: 1 };
  const clog: Action = { type: "clog", from: 0, to: 1, for: 5 };
  const draw = (action: Action, config: SimConfig) => {
    const random = Random.seeded(3);
    const drawn = Array.from({ length: 100 }, () => onChannel(random, config, action));
    return new Set(drawn.map((it) => JSON.stringify(it)));
  };
  for (const action of [reset, clog]) {
    const struck = [action, { ...action, channel: "consensus" }, { ...action, channel: "bulk" }];
    assertEquals(draw(action, apart), new Set(struck.map((it) => JSON.stringify(it))));
    assertEquals(draw(action, { ...config, network: alone }).size, 1);
  }
  assertEquals(draw({ type: "pause", server: 1, for: 5 }, apart).size, 1);
});

test("sim config: most runs send what is long by itself, and faults of connections and queues strike one kind or both", () => {
  const faults = ["refuse", "refuse-dial", "narrow"] as const;
  const drawn = Array.from({ length: 300 }, (_, seed) => drawConfig(Random.seeded(seed), { faults }).network);
  const kinds = drawn.map(({ refuse, refuseDial, bulk }) => {
    const sides = [[refuse, bulk?.refuse], [refuseDial, bulk?.refuseDial]] as const;
    return bulk === undefined ? "together" : sides.map(([a, b]) => `${a > 0 ? "a" : ""}${b! > 0 ? "b" : ""}`).join(" ");
  });
  const either = ["a", "b", "ab"];
  assertEquals(new Set(kinds), new Set(["together", ...either.flatMap((a) => either.map((b) => `${a} ${b}`))]));
  const together = kinds.filter((kind) => kind === "together").length;
  assertEquals(together > 20 && together < 75, true, `${together}`);
  const widths = drawn.flatMap(({ bulk }) => bulk === undefined ? [] : [bulk.bytesPerMs]);
  assertEquals(new Set(widths), new Set([20, 100, 1000]));
});
