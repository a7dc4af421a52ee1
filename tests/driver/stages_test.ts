import { assertEquals } from "@std/assert";
import { Stages } from "../../src/driver/stages.ts";
import { STAGES } from "../../src/metrics.ts";
import { test } from "../harness.ts";
import { drain, VirtualEnvironment } from "../virtual_environment.ts";

type Known = Parameters<Stages["look"]>[0];

function setUp() {
  const environment = new VirtualEnvironment();
  const stages = new Stages(environment);
  /** What the leader knows of its log; `matchIndex` is that of another server. */
  const look = (persistedIndex: number, matchIndex: number, commitIndex: number, change: Partial<Known> = {}) => {
    const leading = { progress: new Map([["b", { matchIndex }]]) } as unknown as Known["leading"];
    stages.look({ role: "leader", term: 2, persistedIndex, commitIndex, leading, ...change });
  };
  const counts = () => STAGES.map((stage) => stages.snapshot()[stage].count).join();
  return { environment, stages, look, counts };
}

test("Stages times a command's way from its arrival", async () => {
  const { environment, stages, look, counts } = setUp();
  await environment.advance(1);
  stages.onAppended(7, 2, 0);
  look(6, 6, 6);
  assertEquals(counts(), "1,0,0,0,0,0");
  await environment.advance(1);
  look(6, 7, 6);
  assertEquals(counts(), "1,0,1,0,0,0");
  await environment.advance(1);
  look(7, 7, 7);
  await environment.advance(1);
  stages.onApplied(7);
  stages.onAnswered(7);
  assertEquals(counts(), "1,1,1,1,1,0");
  await drain();
  assertEquals([counts(), stages.isFollowing], ["1,1,1,1,1,1", false]);
  const sums = STAGES.map((stage) => stages.snapshot()[stage].sumMs);
  assertEquals(sums, [1, 3, 2, 3, 4, 4]);
});

test("Stages follows one command at a time, and counts each of its stages once", async () => {
  const { stages, look, counts } = setUp();
  stages.onAppended(7, 2, 0);
  stages.onAppended(8, 2, 0);
  for (let i = 0; i < 3; i++) look(8, 8, 8);
  stages.onApplied(7);
  stages.onAnswered(7);
  stages.onApplied(8);
  stages.onAnswered(8);
  await drain();
  assertEquals([counts(), stages.isFollowing], ["1,1,1,1,1,1", false]);
});

test("Stages follows none that arrived within a millisecond of the last answer", async () => {
  const { environment, stages, counts } = setUp();
  await environment.advance(5);
  stages.onAppended(7, 2, 5);
  stages.onApplied(7);
  stages.onAnswered(7);
  await drain();
  stages.onAppended(8, 2, 5.9);
  assertEquals([counts(), stages.isFollowing], ["1,0,0,0,1,1", false]);
  stages.onAppended(9, 2, 6);
  assertEquals([counts(), stages.isFollowing], ["2,0,0,0,1,1", true]);
});

test("Stages lets go of a command whose leader is none any more, or whose answer never came", () => {
  for (const change of [{ role: "follower" }, { term: 3 }, { leading: undefined }] as const) {
    const { stages, look, counts } = setUp();
    stages.onAppended(7, 2, 0);
    look(9, 9, 9, change);
    assertEquals([counts(), stages.isFollowing], ["1,0,0,0,0,0", false]);
  }
  const { stages } = setUp();
  stages.onAppended(7, 2, 0);
  stages.onAnswered(6);
  assertEquals(stages.isFollowing, true);
  stages.onAnswered(8);
  assertEquals(stages.isFollowing, false);
});
