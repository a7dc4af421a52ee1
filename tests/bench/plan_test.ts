import { assertEquals, assertThrows } from "@std/assert";
import { help, ownParts, peerParts, planOf, UsageError } from "../../bench/plan.ts";
import { test } from "../harness.ts";

test("bench: without options ours alone, all parts", () => {
  const plan = planOf([])!;
  assertEquals([plan.peers, [...plan.only], plan.runtime], [false, [...ownParts], "deno"]);
  assertEquals([plan.measureMs, plan.trials, plan.growths], [3000, 10, 5]);
  assertEquals([plan.json, plan.dir], ["bench/out/bench.json", "bench/out"]);
});

test("bench: --peers measures at least 5 pairs, fewer with --quick only", () => {
  const plan = planOf(["--peers"])!;
  assertEquals([plan.peers, plan.pairs, plan.bytes], [true, 5, [256]]);
  assertEquals([[...plan.only], plan.json], [[...peerParts], "bench/out/peers.json"]);
  assertEquals(planOf(["--peers", "--pairs", "5"])!.pairs, 5);
  assertEquals(planOf(["--peers", "--pairs", "50"])!.pairs, 50);
  assertUsage(["--peers", "--pairs", "4"], "from 5 to 50");
  assertUsage(["--peers", "--pairs", "51"], "from 5 to 50");
  const quick = planOf(["--peers", "--quick"])!;
  assertEquals([quick.pairs, quick.measureMs, quick.trials], [2, 300, 2]);
  assertEquals(planOf(["--peers", "--quick", "--pairs", "1"])!.pairs, 1);
  assertUsage(["--peers", "--quick", "--pairs", "0"], "from 1 to 50");
});

test("bench: --bytes is a list of sizes", () => {
  assertEquals(planOf(["--peers", "--bytes", "16,256,4096"])!.bytes, [16, 256, 4096]);
  assertEquals(planOf(["--peers", "--bytes", "1048576"])!.bytes, [1_048_576]);
  for (const wrong of ["0", "1048577", "", "16,", "1e3", "-1", "4 KiB"]) {
    assertUsage(["--peers", `--bytes=${wrong}`], "--bytes");
  }
});

test("bench: what belongs to --peers is refused without it", () => {
  assertUsage(["--pairs", "5"], "without --peers");
  assertUsage(["--bytes", "16"], "without --peers");
});

test("bench: --only knows the parts of what is measured", () => {
  assertEquals([...planOf(["--only", "disk,http"])!.only], ["disk", "http"]);
  assertEquals([...planOf(["--only", "growth", "--quick"])!.only], ["growth"]);
  const { only, entries, keys } = planOf(["--only", "storage", "--quick"])!;
  assertEquals([[...only], entries, keys], [["storage"], 100_000, 26_214]);
  assertUsage(["--peers", "--only", "growth"], 'Cannot measure "growth"');
  assertEquals([...planOf(["--peers", "--only", "durable,reads"])!.only], ["durable", "reads"]);
  assertUsage(["--peers", "--only", "disk"], 'Cannot measure "disk": there are durable,');
  assertEquals([...planOf(["--only", "reads,sessions"])!.only], ["reads", "sessions"]);
  assertUsage(["--only", "durable"], 'Cannot measure "durable": there are disk,');
  assertUsage(["--only", ""], "Cannot measure");
});

test("bench: --json, --dir and --runtime", () => {
  const plan = planOf(["--peers", "--json", "a.json", "--dir", "b", "--runtime", "bun"])!;
  assertEquals([plan.json, plan.dir, plan.runtime], ["a.json", "b", "bun"]);
  assertUsage(["--runtime", "python"], 'Cannot run servers on "python"');
  assertUsage(["--jason", "a.json"], "--jason");
  assertUsage(["stray"], "stray");
});

test("bench: --help names every part", () => {
  assertEquals(planOf(["--help"]), undefined);
  assertEquals(help.includes(ownParts.join(",")) && help.includes(peerParts.join(",")), true);
});

function assertUsage(args: readonly string[], message: string): void {
  assertThrows(() => planOf(args), UsageError, message);
}
