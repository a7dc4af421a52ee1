import { assert, assertEquals, assertGreater } from "@std/assert";
import { defaultOptions } from "../../../src/options.ts";
import { validateOptions } from "../../../src/options_check.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { drawRareSettings } from "../../../src/testing/sim/rare_settings.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import { isResultLost } from "../../../src/testing/sim/sessions.ts";
import { decodeResult, LOST } from "../../../src/wire/session_codec.ts";
import { test } from "../../harness.ts";

const configOf = (seed: number) => drawConfig(Random.seeded(seed).split("config"));

/** What the judge relies on is the same in every run. */
const fixed = ["clockDriftMax", "commandBytesMax"];

test("every setting is drawn, and none that servers refuse", () => {
  const seen = new Map<string, Set<unknown>>();
  const note = (key: string, value: unknown) => seen.set(key, (seen.get(key) ?? new Set()).add(value));
  for (let seed = 0; seed < 400; seed++) {
    const { settings, shutdownOnRemove = false, disk, moving } = configOf(seed);
    const all = validateOptions(settings);
    for (const key of Object.keys(defaultOptions())) note(key, all[key as keyof typeof all]);
    note("shutdownOnRemove", shutdownOnRemove);
    note("retain", disk.retain);
    assert(moving !== undefined || !shutdownOnRemove, "nobody is removed there");
  }
  const same = [...seen].filter(([, values]) => values.size < 2).map(([key]) => key);
  assertEquals(same.sort(), fixed);
});

test("rare settings are drawn one by one, and leave everything else as it was", () => {
  const parts = { heartbeatMs: 50, electionMinMs: 500, snapshots: true };
  const counts = Array.from({ length: 500 }, (_, seed) => {
    return Object.keys(drawRareSettings(Random.seeded(seed), parts)).length;
  });
  assertGreater(counts.filter((count) => count === 0).length, 50);
  assertGreater(counts.filter((count) => count > 0).length, 50);
  const without = { ...parts, snapshots: false };
  for (let seed = 0; seed < 100; seed++) {
    const { snapshotThresholdBytes, ...rest } = drawRareSettings(Random.seeded(seed), parts);
    assertEquals(drawRareSettings(Random.seeded(seed), without), rest, `${snapshotThresholdBytes}`);
  }
});

test("servers that stop when they are removed are there again where they are needed", async () => {
  let [found, stopped] = [0, 0];
  for (let seed = 5000; found < 4; seed++) {
    if (configOf(seed).shutdownOnRemove !== true) continue;
    found++;
    const { violation, marks } = await runSeed(seed, { steps: 2000 });
    if (violation !== undefined) throw violation;
    stopped += marks["shut-down-when-removed"]!;
  }
  assertGreater(stopped, 3);
}, { runtimes: ["deno"], timeoutMs: 120_000 });

test("a caller may be told that its command was applied and its result is not kept, when it was applied (K3)", () => {
  const command = { type: "put", key: "k", value: "v" } as const;
  const { error } = decodeResult(LOST) as { readonly error: Error };
  const told = (isApplied: boolean) => {
    const ghost = new Ghost();
    if (isApplied) ghost.noteApplied("v", 3, 1, null);
    return [isResultLost(ghost, command, error), ghost.violation?.invariant];
  };
  assertEquals(told(true), [true, undefined]);
  assertEquals(told(false), [true, "K3"]);
  assertEquals(isResultLost(new Ghost(), command, new Error("something else")), false);
});

test("drawConfig: any number of servers from 1 to 7 is drawn, with and without others that come later", () => {
  const [still, moving] = [new Set<number>(), new Set<number>()];
  for (let seed = 0; seed < 600; seed++) {
    const config = configOf(seed);
    if (config.moving === undefined) still.add(config.servers);
    else moving.add(config.moving.voters);
  }
  for (const found of [still, moving]) assertEquals([...found].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7]);
});
