import { assert, assertEquals } from "@std/assert";
import { InvariantViolation } from "../../src/testing/sim/ghost.ts";
import { runScript, runSeed } from "../../src/testing/sim/run.ts";
import { isCall, type Script } from "../../src/testing/sim/script.ts";
import { shrink } from "../../src/testing/sim/shrink.ts";
import { test } from "../harness.ts";
import { distortionOf } from "./bugs.ts";
import { formatRegression, parseRegression } from "./regressions.ts";

/**
 * The first of some seeds that a bug shows in, with enough going on, and few kinds of faults and calls: how few decisions it
 * takes depends on those.
 */
async function failing(bug: string) {
  const distort = distortionOf(bug);
  for (let seed = 1; seed < 100; seed++) {
    const faults = ["partition", "kill", "power", "restart"] as const;
    const client = {
      sessions: 0,
      keyed: 0,
      asks: 0,
      rareAsks: 0,
      restores: 0,
      bounded: 0,
      reloads: 0,
      leaseReads: false,
    };
    const report = await runSeed(seed, { steps: 3000, servers: 5, moving: false, faults, drains: 0, client, distort });
    // What follows the faults is drawn anew where a script is run.
    const isAmidFaults = report.script.until >= report.timeMs * 1000;
    if (report.violation !== undefined && report.script.decisions.length > 20 && isAmidFaults) return report;
  }
  throw new Error(`no seed shows ${bug}`);
}

test("sim: a failure is shrunk to the few decisions that it takes", async () => {
  for (const bug of ["BE09", "BC03"]) {
    const distort = distortionOf(bug);
    const { script, violation } = await failing(bug);
    const { invariant } = violation!;
    const run = (candidate: Script) => runScript(candidate, { distort });
    const shrunk = (await shrink(script, { run, invariant, triesMax: 400 }))!;
    const { decisions, config } = shrunk.script;
    assert(decisions.length <= 16 && decisions.length < script.decisions.length / 3, `${decisions.length} are left`);
    assert(config.servers <= 3, `${config.servers} servers are left`);
    assertEquals((await run(shrunk.script)).violation?.invariant, invariant);
    // As a file it is the same.
    const text = formatRegression({ invariant, what: "", script: shrunk.script });
    const again = parseRegression(text, "again").script;
    assertEquals((await run(again)).hash, shrunk.report.hash);
    assertEquals((await runScript(again)).violation, undefined);
    assert(await isMinimal(shrunk.script, run, invariant), `${bug} has a decision too many`);
  }
}, { timeoutMs: 240_000, runtimes: ["deno"] });

async function isMinimal(script: Script, run: (script: Script) => ReturnType<typeof runScript>, invariant: string) {
  for (let i = 0; i < script.decisions.length; i++) {
    const without = { ...script, decisions: script.decisions.toSpliced(i, 1) };
    if ((await run(without)).violation?.invariant === invariant) return false;
  }
  return true;
}

test("sim: nothing is shrunk that does not fail in that way", async () => {
  const { script } = await runSeed(3, { steps: 1000 });
  let tries = 0;
  const run = (candidate: Script) => {
    tries++;
    return runScript(candidate);
  };
  assertEquals(await shrink(script, { run, invariant: "E1", triesMax: 100 }), undefined);
  assertEquals(tries, 1);
});

test("sim: logs begin with entry 1 in what is left, unless it takes more", async () => {
  const indexStart = 2 ** 32 - 10;
  const report = await runSeed(3, { steps: 50, servers: 1, faults: [], indexStart });
  for (const isNeeded of [false, true]) {
    const run = (script: Script) => {
      const fails = !isNeeded || script.config.indexStart === indexStart;
      return Promise.resolve({ ...report, script, violation: fails ? new InvariantViolation("L1", "") : undefined });
    };
    const { script } = (await shrink({ ...report.script, decisions: [] }, { run, invariant: "L1", triesMax: 60 }))!;
    assertEquals(script.config.indexStart, isNeeded ? indexStart : undefined);
    const again = parseRegression(formatRegression({ invariant: "L1", what: "", script }), "again").script;
    assertEquals(again.config.indexStart, script.config.indexStart);
  }
});

test("sim: shrinking ends when it has taken the runs it may take", async () => {
  const { script, violation } = await failing("BE09");
  let tries = 0;
  const run = (candidate: Script) => {
    tries++;
    return runScript(candidate, { distort: distortionOf("BE09") });
  };
  const shrunk = await shrink(script, { run, invariant: violation!.invariant, triesMax: 5 });
  assertEquals([tries, shrunk?.tries], [5, 5]);
  assertEquals(shrunk!.script.decisions.every((decision) => isCall(decision) || decision.action !== undefined), true);
}, { timeoutMs: 120_000, runtimes: ["deno"] });
