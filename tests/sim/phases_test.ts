import { assertEquals } from "@std/assert";
import type { Effect } from "../../src/core/effect.ts";
import { type RunReport, runSeed } from "../../src/testing/sim/run.ts";
import type { Distortion } from "../../src/testing/sim/script.ts";
import { test } from "../harness.ts";

/** A short run without faults. */
function run(distort?: Distortion): Promise<RunReport> {
  return runSeed(3, { steps: 1500, servers: 3, faults: [], distort });
}

test("sim phases: a healthy cluster passes them all", async () => {
  assertEquals((await run()).violation, undefined);
});

/** The run breaks one of these. */
function fails(what: string, invariants: readonly string[], distort: Distortion): void {
  test(`sim phases: ${invariants.join(", ")}: ${what}`, async () => {
    const { violation } = await run(distort);
    assertEquals(invariants.includes(violation?.invariant ?? ""), true, violation?.message);
  }, { timeoutMs: 60_000 });
}

fails("a cluster that elects nobody", ["V1", "V2"], (_state, event, now, step) => {
  const isVote = event.type === "message-received" && event.message.type === "vote-response";
  return isVote ? [] : step(event, now);
});

fails("a leader that tells nobody what is committed", ["V2"], (state, event, now, step) => {
  const effects = step(event, now);
  return state.id === "s0" || state.role !== "leader"
    ? effects.filter(({ type }) => type !== "apply" || state.id !== "s0")
    : effects;
});

fails("servers that answer no read", ["V3"], (_state, event, now, step) => {
  return step(event, now).map((effect): Effect =>
    effect.type === "answer-read" ? { type: "refuse-read", id: effect.id, leader: undefined } : effect
  );
});

fails("followers that campaign for no reason", ["V4"], (state, event, now, step) => {
  const isRestless = event.type === "message-received" && event.message.type === "append-request" &&
    state.role === "follower" && event.message.term === state.term && event.message.sequence % 11 === 0 &&
    state.leader === event.from;
  if (!isRestless) return step(event, now);
  return step({ type: "message-received", from: event.from, message: { type: "timeout-now", term: state.term } }, now);
});

fails("servers that say everything twice", ["V6"], (_state, event, now, step) => {
  const effects = step(event, now);
  return [...effects, ...effects.filter(({ type }) => type === "send")];
});
