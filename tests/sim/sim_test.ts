import { assertEquals } from "@std/assert";
import { drawConfig } from "../../src/testing/sim/config.ts";
import { nextTurn } from "../../src/transport/next_turn.ts";
import { Random } from "../../src/testing/sim/random.ts";
import { describeFailure } from "../../src/testing/sim/report.ts";
import { runSeed } from "../../src/testing/sim/run.ts";
import { findRunner } from "../../tools/runners.ts";
import { runtime, test } from "../harness.ts";

const steps = 3000;

async function mustPass(from: number, count: number): Promise<void> {
  for (let seed = from; seed < from + count; seed++) {
    const report = await runSeed(seed, { steps });
    if (report.violation === undefined) continue;
    throw new Error(await describeFailure(report, { steps }, `deno task sim --seed ${seed} --steps ${steps}`));
  }
}

for (let from = 0; from < 60; from += 20) {
  // CI runs many more. What one runtime finds the others find as well: they run a few to show that they do.
  const count = runtime === "deno" ? 20 : 5;
  test(`sim: seeds ${from} to ${from + count - 1} break no invariant`, () => mustPass(from, count), {
    timeoutMs: 240_000,
  });
}

test("sim: a seed runs the same twice in a process", async () => {
  for (const seed of [1, 2, 3]) {
    const first = await runSeed(seed, { steps });
    const second = await runSeed(seed, { steps });
    assertEquals([second.hash, second.events, second.violation], [first.hash, first.events, undefined]);
  }
}, { timeoutMs: 120_000 });

test("sim: a seed runs the same on Deno, Bun and Node", async () => {
  // In the run of 20000013 all servers but one end in one event.
  const ranges = [["--start", "10", "--seeds", "6", "--steps", `${steps}`], ["--start", "20000013", "--seeds", "1"]];
  const outputs: string[] = [];
  for (const name of ["deno", "bun", "node"] as const) {
    const { program } = await findRunner(name);
    const run = name === "deno" ? ["run", "-A", "--no-check"] : [];
    const lines: string[] = [];
    for (const range of ranges) {
      const args = [...run, "tests/sim/main.ts", ...range, "--hashes"];
      const { stdout, stderr } = await new Deno.Command(program, { args, env: { NO_COLOR: "1" } }).output();
      const hashes = new TextDecoder().decode(stdout).split("\n").filter((line) => /^\d+ [0-9a-f]{16}$/.test(line));
      lines.push(...hashes.length > 0 ? hashes : [new TextDecoder().decode(stderr)]);
    }
    outputs.push(lines.join("\n"));
  }
  assertEquals(outputs[0]!.split("\n").length, 7, outputs[0]);
  assertEquals(outputs[1], outputs[0]);
  assertEquals(outputs[2], outputs[0]);
}, { runtimes: ["deno"], timeoutMs: 240_000 });

test("sim: a turn lets every microtask run", async () => {
  let hops = 0;
  const chain = async () => {
    for (let i = 0; i < 1000; i++) {
      await Promise.resolve();
      hops++;
    }
  };
  await new Promise<void>((resolve, reject) => {
    nextTurn(() => {
      chain();
      nextTurn(() => hops === 1000 ? resolve() : reject(new Error(`only ${hops} microtasks ran`)));
    });
  });
});

test("sim: a stream of chance depends on its seed and name alone", () => {
  const numbers = (random: Random) => Array.from({ length: 5 }, () => random.u32());
  const used = Random.seeded(7);
  used.u32();
  assertEquals(numbers(used.split("network")), numbers(Random.seeded(7).split("network")));
  const first = new Set(["network", "networl", "metwork"].map((name) => numbers(Random.seeded(7).split(name)).join()));
  assertEquals(first.size, 3);
  const seeds = new Set(Array.from({ length: 1000 }, (_, seed) => Random.seeded(seed).u32()));
  assertEquals(seeds.size, 1000);
  assertEquals(numbers(Random.seeded(2 ** 40 + 1)).join() === numbers(Random.seeded(1)).join(), false);
});

test("sim: every size of cluster is drawn", () => {
  const sizes = new Set(Array.from({ length: 200 }, (_, seed) => drawConfig(Random.seeded(seed)).servers));
  // And spare ones that come later.
  assertEquals([...sizes].sort(), [1, 2, 3, 4, 5, 6, 7, 8]);
});
