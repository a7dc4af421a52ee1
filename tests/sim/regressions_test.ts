import { assertEquals, assertThrows } from "@std/assert";
import { describeScript, parseRegression, readRegression, regressionNames } from "./regressions.ts";
import { runScript, runSeed } from "../../src/testing/sim/run.ts";
import { test } from "../harness.ts";
import { UsageError } from "./args.ts";
import { BUGS, distortionOf } from "./bugs.ts";

for (const name of await regressionNames()) {
  test(`sim: ${name} does not come back`, async () => {
    const { script } = await readRegression(name);
    const { violation } = await runScript(script);
    assertEquals(violation?.message, undefined);
  }, { timeoutMs: 120_000 });
}

for (const name of await regressionNames()) {
  const bug = BUGS.find(({ id }) => name.startsWith(`${id}-`));
  if (bug === undefined) continue;
  test(`sim: ${name} is what ${bug.id} does`, async () => {
    const { invariant, script } = await readRegression(name);
    const { violation } = await runScript(script, { distort: distortionOf(bug.id) });
    assertEquals(violation?.invariant, invariant);
  }, { timeoutMs: 120_000 });
}

test("sim: what configurations have learnt since a script was written is off in it", async () => {
  const { script } = await runSeed(1, { steps: 200, servers: 3 });
  const { network, settings, ...rest } = script.config;
  const { loss: _, ...older } = network;
  const text = JSON.stringify({
    invariant: "E1",
    what: "",
    script: { ...script, config: { ...rest, network: older } },
  });
  const { config } = parseRegression(text, "older").script;
  assertEquals(config.network, { ...network, loss: 0, hostile: 0 });
  assertEquals(config.clocks, script.config.clocks);
  assertEquals(Object.keys(config.settings).length > 0, true);
  const kept = parseRegression(JSON.stringify({ invariant: "E1", what: "", script }), "as it is").script;
  assertEquals(kept.config.settings, settings);
});

test("sim: what is no script is refused in words", () => {
  assertThrows(() => parseRegression("{", "half"), UsageError, "Cannot read the script half: ");
  for (const text of ["{}", '{"invariant":"E1","script":{"seed":"1","decisions":[]}}', "3"]) {
    assertThrows(() => parseRegression(text, "x"), UsageError, "Cannot use the script x: it needs invariant");
  }
});

test("sim: a script can be read", async () => {
  const { script } = await runSeed(1, { steps: 200, servers: 3, faults: [] });
  const decisions = [
    { at: 1500, client: "c0", server: 2, input: { type: "get", key: "k" } },
    { at: 2_000_250, action: { type: "crash", server: 1, kind: "power", for: 10 } },
  ] as const;
  assertEquals(describeScript({ ...script, until: 3_000_000, decisions }).split("\n"), [
    "  3 servers, 3000.000 ms, 2 decisions:",
    '       1.500 ms  c0 asks s2: {"type":"get","key":"k"}',
    '    2000.250 ms  {"type":"crash","server":1,"kind":"power","for":10}',
  ]);
});
