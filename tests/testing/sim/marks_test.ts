import { assertEquals } from "@std/assert";
import { runSeed } from "../../../src/testing/sim/run.ts";
import { MarkObserver } from "../../../src/testing/sim/marks.ts";
import { test } from "../../harness.ts";

test("marks: the sizes of clusters that bugs like are told apart", () => {
  const sizes = [1, 2, 3].map((servers) => {
    const { hits } = new MarkObserver(servers);
    return [hits["cluster-of-one"], hits["cluster-of-two"]];
  });
  assertEquals(sizes, [[1, 0], [0, 1], [0, 0]]);
});

test("marks: a run counts its own alone, the same each time", async () => {
  const request = { steps: 2000, servers: 3 };
  const { marks } = await runSeed(5, request);
  assertEquals([marks["cluster-of-one"], marks["read-confirmed"]! > 0], [0, true]);
  await runSeed(6, request);
  assertEquals((await runSeed(5, request)).marks, marks);
});

test("marks: where nothing fails, nothing is lost", async () => {
  const { marks, violation } = await runSeed(5, { steps: 2000, servers: 3, faults: [] });
  const seen = ["transfer-target-crashed", "torn-tail-dropped"]
    .filter((name) => marks[name] !== 0);
  assertEquals([violation, seen], [undefined, []]);
  const crashed = await runSeed(5, { steps: 6000, servers: 3, faults: ["kill", "power"] });
  assertEquals(crashed.marks["leader-crashed"]! > 0, true);
});
