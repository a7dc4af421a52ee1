import { assert, assertEquals, assertThrows } from "@std/assert";
import { LeadershipLostError, NotLeaderError, OverloadedError } from "../../../src/errors.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { encodeText, SimMachine } from "../../../src/testing/sim/machine.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { RARE_ASKS } from "../../../src/testing/sim/rare_asks.ts";
import type { Life } from "../../../src/testing/sim/server.ts";
import type { Touch } from "../../../src/testing/sim/touches.ts";
import { test } from "../../harness.ts";
import { draws, rule, type Scene, sceneOf, touched } from "./clients_stage.ts";

/** A server that lets everybody wait until they give up, and then says this. */
async function gaveUp(
  scene: Scene,
  type: Touch,
  answer: (reason: unknown) => unknown,
  core: Partial<Life["core"]> = {},
) {
  const wait = ({ signal }: { signal: AbortSignal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(answer(signal.reason))));
  const waits = { barrier: wait, readIndex: wait, verifyLeader: wait };
  const done = touched(scene, type, {
    ...waits,
    appliedIndex: 3,
    wait: (_: unknown, options: { signal: AbortSignal }) => wait(options),
    read: (_: unknown, options: { signal: AbortSignal }) => wait(options),
  }, core);
  await scene.world.run(() => false);
  assertEquals(await done, true);
}

for (
  const type of [
    "barrier-aborting",
    "read-aborting",
    "read-index-aborting",
    "verify-aborting",
    "wait-applied",
    "wait-until",
  ] as const
) {
  rule("K4", `who gives up a ${type} gets their own reason`, (scene, isBad) => {
    return gaveUp(scene, type, (reason) => isBad ? new TypeError("?") : reason);
  });
}

for (
  const [what, type, good, bad] of [
    ["applied", "wait-applied", { appliedIndex: 3, leader: "b" }, { appliedIndex: 4, leader: "b" }],
    ["followed", "wait-applied", { appliedIndex: 4, leader: undefined }, { appliedIndex: 4, leader: "b" }],
    ["asked", "wait-until", { role: "follower" }, { role: "pre-candidate" }],
  ] as const
) {
  rule("K6", `nobody waits for what is there: ${what}`, (scene, isBad) => {
    return gaveUp(scene, type, (reason) => reason, isBad ? bad : good);
  });
}

test("sim asks: who is answered before they give up got an answer", async () => {
  for (const type of ["barrier-aborting", "read-index-aborting", "verify-aborting"] as const) {
    const scene = sceneOf();
    const [yes, no] = [() => Promise.resolve(5), () => Promise.reject(new NotLeaderError(undefined))];
    for (const it of [yes, no]) {
      assertEquals(await touched(scene, type, { barrier: it, readIndex: it, verifyLeader: it }), true);
    }
    assertEquals(scene.ghost.violation, undefined);
  }
});

rule("K3", "a command comes with the bytes that it was given with", (scene, isBad) => {
  const error = isBad ? new TypeError("?") : new LeadershipLostError("?");
  return touched(scene, "apply-extended", { applyEntry: () => Promise.reject(error) });
});

rule("K4", "a command that waits for room is answered or refused by the server", (scene, isBad) => {
  const error = isBad ? new TypeError("?") : new NotLeaderError(undefined);
  return touched(scene, "apply-patient", { apply: () => Promise.reject(error) });
});

for (const type of ["apply-extended", "apply-patient"] as const) {
  rule("K5", `a ${type} that is refused never happens`, async (scene, isBad) => {
    const no = () => Promise.reject(new OverloadedError(1, 1));
    await touched(scene, type, { apply: no, applyEntry: no });
    scene.ghost.noteApplied(isBad ? "v9" : "v8", 3, 1, null);
  });
}

rule("K6", "who waits for an entry to be applied is told when it is", (scene, isBad) => {
  const wait = () => Promise.resolve({ appliedIndex: isBad ? 3 : 4, leader: "b" });
  return touched(scene, "wait-applied", { appliedIndex: 3, wait });
});

rule("K6", "who waits for a leader is told when one is known", (scene, isBad) => {
  const wait = () => Promise.resolve({ appliedIndex: 4, leader: isBad ? undefined : "b" });
  return touched(scene, "wait-applied", { appliedIndex: 3, wait });
});

rule("K6", "who waits until something is so is told when it is", (scene, isBad) => {
  return touched(scene, "wait-until", { wait: () => Promise.resolve({ role: isBad ? "follower" : "candidate" }) });
});

test("sim machine: it looks at the bytes beside a command", () => {
  const machine = new SimMachine({ onApplied: () => {}, work: () => undefined });
  const apply = (key: string, beside?: string) => {
    const context = { index: 1, term: 1, timeMs: 0, ...beside === undefined ? {} : { extensions: encodeText(beside) } };
    return machine.apply({ type: "put", key, value: "v1" }, context);
  };
  assertEquals([apply("k"), apply("extended", "v1")], [null, null]);
  for (const [key, beside] of [["k", "v1"], ["extended", "v2"], ["extended", undefined]] as const) {
    assertThrows(() => apply(key, beside), TypeError, "beside it");
  }
});

test("sim asks: the rare ones are drawn apart from all other calls, and in some seeds", () => {
  const isRare = ({ type }: { type: string }) => (RARE_ASKS as readonly string[]).includes(type);
  const [without, some] = [draws({}), draws({ rareAsks: 0.3 })];
  const others = some.filter((it) => !isRare(it));
  assert(others.length > 200 && !without.some(isRare));
  assertEquals([...new Set(some.filter(isRare).map(({ type }) => type))].sort(), [...RARE_ASKS].sort());
  assertEquals(others.slice(0, 150).map(({ type }) => type), without.slice(0, 150).map(({ type }) => type));
  const chances = Array.from({ length: 80 }, (_, seed) => drawConfig(Random.seeded(seed)).client.rareAsks);
  assertEquals([...new Set(chances)].sort(), [0, 0.01, 0.05]);
});
