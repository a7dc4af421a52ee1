import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import process from "node:process";
import { runSeed } from "../../src/testing/sim/run.ts";
import { runtime, test } from "../harness.ts";
import { missedMarks, runCampaign, SeedError } from "./campaign.ts";
import { explainEndless, freshStart } from "./explain.ts";
import { lastEvents } from "./last_events.ts";
import { LastLines } from "./last_lines.ts";
import { type Summary, Totals } from "./summary.ts";

const steps = 500;

function figures(summaries: readonly Summary[]) {
  return summaries.map(({ seed, hash, events, invariant }) => ({ seed, hash, events, invariant }));
}

test("sim: a campaign runs every seed, whatever the number of threads", async () => {
  const campaign = { start: 40, seeds: 6, request: { steps } };
  const one = await runCampaign({ ...campaign, jobs: 1 });
  assertEquals(one.summaries.map(({ seed }) => seed), [40, 41, 42, 43, 44, 45]);
  assertEquals([one.failures, one.totals.seeds, one.jobs], [[], 6, 1]);
  assert(one.totals.steps >= 6 * steps && one.totals.timeMs > 0 && one.totals.eventsPerSecond > 0);
  const seen: number[] = [];
  const three = await runCampaign({ ...campaign, jobs: 3 }, ({ seed }) => seen.push(seed));
  assertEquals(figures(three.summaries), figures(one.summaries));
  assertEquals([three.totals.events, three.jobs, seen.length], [one.totals.events, 3, 6]);
}, { timeoutMs: 120_000 });

test("sim: a campaign ends with its first failure by number", async () => {
  // Nothing is asked for but a core that has no bug until it holds an entry of an earlier term.
  const campaign = { start: 0, seeds: 200, request: { steps: 3000, bug: "BE09" } };
  const one = await runCampaign({ ...campaign, jobs: 1 });
  assertEquals(one.failures.map(({ invariant }) => invariant), ["E7"]);
  assertEquals(one.summaries.at(-1), one.failures[0]);
  const two = await runCampaign({ ...campaign, jobs: 2 });
  assertEquals(figures(two.summaries), figures(one.summaries));
}, { timeoutMs: 120_000, runtimes: ["deno"] });

test("sim: a campaign that is to go on after a failure finds the others", async () => {
  const campaign = { start: 0, seeds: 4, keepsGoing: true, request: { steps, bug: "BE06" } };
  const { failures, summaries } = await runCampaign({ ...campaign, jobs: 2 });
  assertEquals(summaries.map(({ seed }) => seed), [0, 1, 2, 3]);
  assertGreater(failures.length, 1);
  assertEquals(failures, summaries.filter(({ invariant }) => invariant !== undefined));
}, { timeoutMs: 120_000 });

test("sim: a seed without an end is named, with its configuration and what replays it", async () => {
  const request = { steps: 100_000 };
  const campaign = { start: 7, seeds: 2, jobs: 2, seedMsMax: 1, request };
  const error = await assertRejects(() => runCampaign(campaign), SeedError, "it does not end");
  const worker = new URL("./stuck_worker.ts", import.meta.url);
  const words = (await explainEndless(error, request, { worker, stuckMs: 1 })).split("\n");
  assertEquals([words[0], words[1]!.slice(0, 17), ...words.slice(2, -1)], [
    `seed ${error.seed}: S0: Cannot run seed ${error.seed}: it does not end`,
    "  configuration {",
    "  last events:",
    `    #1 event of seed ${error.seed}`,
    "      what comes of it",
    "  run once more: nothing more within 1 ms",
    `  replay: deno task sim --seed ${error.seed} --steps 100000`,
  ]);
});

test("sim: the last events of a seed are those that it began before it was stopped, or came to an end", async () => {
  const request = { steps: 500 };
  const [end, lines] = await lastEvents(3, request, { stuckMs: Infinity });
  const report = await runSeed(3, { ...request, keepsLines: true });
  assertEquals([end, lines], ["this time it has ended", report.lines.map((line) => line.slice(0, 600))]);
  const [wentOn] = await lastEvents(3, { steps: 1e9 }, { endMs: 1 });
  assertEquals(wentOn, "it goes on");
}, { timeoutMs: 120_000 });

test("sim: of lines that another thread has written the last are kept, and whole", () => {
  const lines = new LastLines(new SharedArrayBuffer(8 + 40));
  assertEquals([lines.of(3), lines.written], [[], 0]);
  const other = new LastLines(lines.buffer);
  for (const line of ["#1 one", "  ü", "#2 two"]) other.write(line);
  assertEquals([lines.of(1), lines.of(9), lines.written], [["#2 two"], ["#1 one", "  ü", "#2 two"], 19]);
  for (const line of ["  and more", "#3 three", "  more"]) other.write(line);
  assertEquals(lines.of(9), ["#2 two", "  and more", "#3 three", "  more"]);
  assertEquals(lines.of(1), ["#3 three", "  more"]);
  other.write("#4 ".padEnd(700, "."));
  assertEquals([lines.of(9), lines.written], [[], 19 + 27 + 601]);
});

test("sim: a large campaign must come by every mark", () => {
  const totals = new Totals();
  const run = { seed: 0, invariant: undefined, events: 1, steps: 1, timeMs: 1, hash: "" };
  for (let i = 0; i < 499; i++) totals.add({ ...run, marks: { never: 0, once: i === 0 ? 3 : 0, always: 1 } });
  assertEquals(totals.missed, ["never"]);
  assertEquals(missedMarks(totals, {}), []);
  totals.add({ ...run, marks: { never: 0, once: 0, always: 1 } });
  assertEquals(missedMarks(totals, {}), ["never"]);
  assertEquals(missedMarks(totals, { faults: undefined }), ["never"]);
  assertEquals(missedMarks(totals, { faults: [] }), []);
  assertEquals(missedMarks(totals, { steps: 100 }), []);
  const rare = { missed: ["truncated-many", "never"] };
  assertEquals(missedMarks({ ...rare, seeds: 4999 }, {}), ["never"]);
  assertEquals(missedMarks({ ...rare, seeds: 5000 }, {}), rare.missed);
  assertEquals(totals.describeMarks().split("\n"), [
    "mark       runs       hits",
    "never         0          0",
    "once          1          3",
    "always      500        500",
  ]);
});

test("sim: every commit has seeds of its own", () => {
  assertEquals(freshStart("00000000ff" + "0".repeat(30)), 255);
  assertEquals(freshStart("ffffffffff" + "f".repeat(30)), 2 ** 40 - 1);
  assertEquals(Number.isSafeInteger(freshStart()), true);
});

test("sim: a campaign begins nothing when its time is over", async () => {
  const { summaries, failures } = await runCampaign({
    start: 0,
    seeds: 50,
    minutes: 1e-9,
    jobs: 1,
    request: { steps },
  });
  assertEquals([summaries.length, failures], [0, []]);
});

test("sim: the command line says how it ended by its status", async () => {
  const { spawnSync } = await import("node:child_process");
  const run = runtime === "deno" ? ["run", "-A", "--no-check"] : [];
  const sim = (line: string) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [...run, "tests/sim/main.ts", ...line.split(" ")],
      { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
    );
    return { status, text: stdout + stderr };
  };
  const good = sim(`--seeds 2 --steps ${steps}`);
  assertEquals(good.status, 0, good.text);
  assert(
    /^2 seeds from 0: no violation; \d+ events, \d+ steps, \d+ events\/s per core, .*, commit /m.test(good.text),
    good.text,
  );
  const bad = sim(`--seeds 2 --steps ${steps} --bug BE06`);
  assertEquals(bad.status, 1, bad.text);
  for (
    const words of [
      "seed 0: E4: ",
      "  configuration {",
      "  last events:\n",
      "  replay: deno task sim --seed 0 ",
      "commit:",
    ]
  ) assert(bad.text.includes(words), `"${words}" is missing in ${bad.text}`);
  const [, replay] = bad.text.match(/replay: deno task sim (.*)/)!;
  const again = sim(replay!);
  assertEquals(again.status, 1);
  assert(again.text.includes("E4: "), again.text);
  assertEquals(sim("--seeds none"), {
    ...{ status: 2, text: "Cannot use --seeds none: it must be an integer of at least 1\n" },
  });
  assertEquals(sim("--script nothing.json").status, 2);
}, { timeoutMs: 120_000 });
