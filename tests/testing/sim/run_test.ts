import { assertEquals } from "@std/assert";
import { type RunReport, type RunRequest, runScript, runSeed } from "../../../src/testing/sim/run.ts";
import { isCall, mergeDecisions, type ScriptedFault } from "../../../src/testing/sim/script.ts";
import { test } from "../../harness.ts";

const quiet: RunRequest = { steps: 300, servers: 3, faults: [], store: "wal", moving: false };

/** A quiet run, near the end of which this is done. */
async function runWith(action: ScriptedFault["action"]): Promise<RunReport> {
  const { script, violation } = await runSeed(3, quiet);
  assertEquals(violation, undefined);
  const decisions = mergeDecisions([{ at: script.until * 0.9, action }], script.decisions.filter(isCall));
  return await runScript({ ...script, decisions }, quiet);
}

test("sim: S0: a run that the simulator breaks off is no pass", async () => {
  const kill = { type: "crash", kind: "kill", for: 1000 } as const;
  const whole = await runWith({ ...kill, server: 2 });
  assertEquals([whole.violation, whole.crashes], [undefined, 1]);
  const { violation } = await runWith({ ...kill, server: 9 });
  assertEquals(violation?.invariant, "S0", "there is no such server");
});

test("sim: X0: a run that goes on well with a disk replaced beyond what can be survived is no pass", async () => {
  const wipe = { type: "replace-disk", server: 2, by: "wipe", pick: 1, for: 1000 } as const;
  const within = await runWith(wipe);
  assertEquals([within.violation, within.marks["server-readmitted"]], [undefined, 1]);
  const { violation, marks } = await runWith({ ...wipe, isBeyond: true });
  assertEquals([violation?.invariant, marks["server-readmitted"]], ["X0", 1]);
});
