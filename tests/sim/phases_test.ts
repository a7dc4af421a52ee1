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

/** Followers campaign time and again, without a reason. */
function restless(every: number): Distortion {
  return (state, event, now, step) => {
    const isRestless = event.type === "message-received" && event.message.type === "append-request" &&
      event.message.sequence % every === 0 && event.message.term === state.term && state.leader === event.from;
    if (!isRestless) return step(event, now);
    return step({ ...event, message: { type: "timeout-now", term: state.term } }, now);
  };
}

test("sim phases: V4: followers that campaign for no reason", async () => {
  const found = new Set<string | undefined>();
  for (let every = 4; every <= 10; every++) found.add((await run(restless(every))).violation?.invariant);
  assertEquals(found.has("V4"), true, [...found].join());
  assertEquals(found.has(undefined), false);
}, { timeoutMs: 60_000 });

fails("servers that say everything twice", ["V6"], (_state, event, now, step) => {
  const effects = step(event, now);
  return [...effects, ...effects.filter(({ type }) => type === "send")];
});

fails("a server that writes whenever it hears its leader", ["V6"], (state, event, now, step) => {
  const effects = step(event, now);
  const isHeard = event.type === "message-received" && event.message.type === "append-request" && state.id === "s1";
  const { voteAsked: sequence, term, votedFor } = state;
  return isHeard ? [...effects, { type: "persist-vote", sequence, term, votedFor }] : effects;
});

fails("a leader that hands over to nobody", ["V3"], (_state, event, now, step) => {
  return step(event, now).filter((effect) => effect.type !== "send" || effect.message.type !== "timeout-now");
});
