// 500 seeds that no commit before had: a step of its own in CI, `deno task test --campaign`.
import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { missedMarks, runCampaign } from "./campaign.ts";
import { explain, freshStart } from "./explain.ts";
import type { Totals } from "./summary.ts";

const start = freshStart();
const seeds = 500;
const timeoutMs = 15 * 60_000;
let totals: Totals | undefined;

test(`campaign: ${seeds} fresh seeds from ${start} break no invariant`, async () => {
  let saidAt = performance.now();
  const outcome = await runCampaign({ start, seeds, request: {} }, (_, soFar) => {
    if (performance.now() - saidAt < 30_000) return;
    saidAt = performance.now();
    console.log(`${soFar.seeds} seeds of ${seeds}: ${soFar.describe()}`);
  });
  totals = outcome.totals;
  console.log(`${totals.seeds} seeds from ${start}: ${totals.describe()} on ${outcome.jobs} cores`);
  const [failed] = outcome.failures;
  if (failed !== undefined) throw new Error(await explain(failed.seed, {}));
}, { timeoutMs });

test("campaign: they come by every mark", () => {
  assertEquals(totals?.seeds, seeds, "the campaign has not come to its end");
  assertEquals(missedMarks(totals!, {}), []);
});
