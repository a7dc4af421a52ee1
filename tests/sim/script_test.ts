import { assert, assertEquals } from "@std/assert";
import { runScript, runSeed } from "../../src/testing/sim/run.ts";
import { isCall } from "../../src/testing/sim/script.ts";
import { test } from "../harness.ts";

const steps = 5000;

test("sim: a run is written down and runs again from what was written", async () => {
  let faults = 0;
  for (const seed of [3, 4, 5]) {
    const drawn = await runSeed(seed, { steps, servers: 3, faults: ["partition", "power"] });
    const { script } = drawn;
    const calls = script.decisions.filter(isCall);
    faults += script.decisions.length - calls.length;
    assert(calls.length > 20, `seed ${seed} does too little`);
    const again = await runScript(JSON.parse(JSON.stringify(script)));
    assertEquals([again.violation, again.crashes], [undefined, drawn.crashes]);
    assertEquals(again.script.decisions, script.decisions);
    // What happens at one and the same microsecond may change places.
    assert(again.entries > drawn.entries / 2, `${again.entries} entries instead of ${drawn.entries}`);
    assertEquals((await runScript(script)).hash, again.hash);
  }
  assert(faults > 0);
});

test("sim: a script without decisions leaves a cluster alone", async () => {
  const { script } = await runSeed(3, { steps, servers: 3, faults: ["power"] });
  const { violation, crashes, script: done } = await runScript({ ...script, decisions: [] });
  assertEquals([violation, crashes, done.decisions], [undefined, 0, []]);
});

test("sim: who is shut down when the faults end is not asked for anything until it is up again", async () => {
  const { script } = await runSeed(3, { steps, servers: 3, faults: [] });
  for (const server of [0, 1, 2]) {
    for (const before of [1, 300]) {
      const action = { type: "restart", server, for: 1000 } as const;
      const decisions = [{ at: 4_000_000 - before, action }];
      assertEquals((await runScript({ ...script, until: 4_000_000, decisions })).violation, undefined);
    }
  }
}, { timeoutMs: 60_000 });

test("sim: a core that is made another one is found out", async () => {
  const forgetful = await runSeed(3, {
    steps,
    distort: (state, event, now, step) => {
      const effects = step(event, now);
      // It tells others what its disk does not know yet (BE06).
      return [...effects, ...state.withheld.splice(0).map((sent) => ({ type: "send" as const, ...sent }))];
    },
  });
  assertEquals(forgetful.violation?.invariant.startsWith("E"), true, forgetful.violation?.message);
});

test("sim: a short clog in a long one ends neither it nor what is stuck in it, and healing ends both", async () => {
  const { script } = await runSeed(3, { steps, servers: 3, faults: ["clog"] });
  const pairs = [[0, 1], [1, 0], [1, 2], [2, 1], [0, 2], [2, 0]] as const;
  const clogs = (at: number, duration: number) =>
    pairs.map(([from, to]) => ({ at, action: { type: "clog", from, to, for: duration } as const }));
  const calls = [0, 1, 2].map((server) => ({
    ...{ at: 20_200_000, client: `c${server}`, server },
    input: { type: "put", key: "k0", value: `v${server}` } as const,
  }));
  const decisions = [...clogs(20_000_000, 3_000_000_000), ...calls, ...clogs(20_300_000, 1_000)];
  const { violation } = await runScript({ ...script, until: 20_400_000, decisions });
  assertEquals(violation, undefined, violation?.message);
});
