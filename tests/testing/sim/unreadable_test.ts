import { assert, assertEquals } from "@std/assert";
import { type RunRequest, runSeed } from "../../../src/testing/sim/run.ts";
import { test } from "../../harness.ts";

const quiet: RunRequest = { steps: 300, servers: 3, faults: [] };

test("sim: T1: who sends what nobody can read is found out", async () => {
  const { violation } = await runSeed(3, {
    ...quiet,
    distort: (_state, event, now, step) =>
      step(event, now).map((effect) => {
        if (effect.type !== "send" || effect.message.type !== "append-response") return effect;
        return { ...effect, message: { ...effect.message, round: -1 } };
      }),
  });
  assertEquals(violation?.invariant, "T1");
  assert(violation?.message.includes("round is not a safe non-negative integer"), violation?.message);
});

test("sim: T1: who is understood is not", async () => {
  assertEquals((await runSeed(3, quiet)).violation, undefined);
});
