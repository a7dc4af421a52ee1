import { askedFor, captured, due } from "../../../src/testing/sim/check/due.ts";
import { reload } from "../../../src/testing/sim/reloading.ts";
import type { ReloadableSettings } from "../../../src/reload.ts";
import type { Life } from "../../../src/testing/sim/server.ts";
import { test } from "../../harness.ts";
import { lifeOf, rule, type Scene } from "./clients_stage.ts";
import { assertEquals } from "@std/assert";

/** A server that is to take a snapshot after ten entries, and has its last one up to entry 100. */
function server(appliedIndex: number): Life {
  const raft = { appliedIndex, metrics: () => ({}), reloadConfig: () => {} };
  const life = lifeOf(raft);
  Object.assign(life, { configured: { ...life.configured, snapshotThreshold: 10 } });
  Object.assign(life.core, { snapshot: { index: 100, term: 1 }, settings: {} });
  return life;
}

/** It goes by what it is given, as far as this is about it. */
function given({ ghost }: Scene, life: Life, changes: Partial<ReloadableSettings>): void {
  reload(ghost, life, { type: "reload-other", value: "v", changes });
  ghost.later.splice(0);
}

function applies(life: Life, appliedIndex: number): Life {
  return Object.assign(life, { raft: { ...life.raft, appliedIndex } });
}

rule("K6", "a server takes a snapshot of itself after as many entries as it is to", ({ ghost }, isBad) => {
  captured(ghost, server(isBad ? 109 : 110));
});

rule("K6", "… also when that is said while it runs", (scene, isBad) => {
  const life = server(100);
  given(scene, life, { snapshotThreshold: 5 });
  captured(scene.ghost, applies(life, isBad ? 104 : 105));
});

rule("K6", "what was due by the settings before may be taken yet", (scene, isBad) => {
  const life = server(110);
  given(scene, life, { snapshotThreshold: 20 });
  captured(scene.ghost, applies(life, isBad ? 109 : 110));
});

rule("K6", "… but nothing was due where there was nothing new", (scene, isBad) => {
  const life = server(100);
  given(scene, life, { snapshotThreshold: 20 });
  captured(scene.ghost, applies(life, isBad ? 119 : 120));
});

rule("K6", "… and what comes later is due by those in force", (scene, isBad) => {
  const life = server(105);
  for (const snapshotThreshold of [5, 20]) given(scene, life, { snapshotThreshold });
  captured(scene.ghost, life);
  captured(scene.ghost, applies(life, isBad ? 119 : 120));
});

rule("K6", "bytes may be enough where there may be as many", (scene, isBad) => {
  const life = server(100);
  given(scene, life, { snapshotThresholdBytes: isBad ? 2 ** 26 : 500 });
  captured(scene.ghost, applies(life, 101));
});

rule("K6", "a snapshot that is asked for is taken, due or not, and no other one is", async ({ ghost }, isBad) => {
  const life = server(101);
  const { promise, resolve } = Promise.withResolvers<void>();
  const answered = askedFor(ghost, life, promise);
  if (isBad) resolve();
  if (isBad) await answered;
  captured(ghost, life);
});

rule("K6", "a leader takes one for another server, until that is sent", ({ ghost }, isBad) => {
  const life = server(101);
  const effects = [{ type: "send-snapshot", to: "b", term: 1 }] as const;
  const step = { before: {} as never, effects: [], now: 0 };
  due.onStep!(ghost, life, { ...step, event: { type: "drained" }, effects });
  if (isBad) due.onStep!(ghost, life, { ...step, event: { type: "snapshot-failed", to: "b", term: 1 } });
  captured(ghost, life);
});

rule("K6", "a leader's snapshot may have come in between", ({ ghost }, isBad) => {
  const life = server(101);
  const event = { type: "snapshot-received", index: 100, term: 1 } as never;
  due.onStep!(ghost, life, { before: {} as never, now: 0, event, effects: [] });
  captured(ghost, life);
  // Once: the next one counts from there.
  captured(ghost, applies(life, isBad ? 109 : 110));
});

test("sim due: who asks for a snapshot is told how that ended", async () => {
  const [ghost, life] = [{ snapshotsAsked: new WeakMap() } as never, server(101)];
  assertEquals(await askedFor(ghost, life, Promise.resolve(7)), 7);
  assertEquals(await askedFor(ghost, life, Promise.reject(new Error("?"))).catch(({ message }) => message), "?");
});

test("sim due: nobody can say how many entries a server has applied that is starting", () => {
  const violations: string[] = [];
  const must = (holds: boolean, name: string) => void (holds || violations.push(name));
  const ghost = { snapshotsAsked: new WeakMap(), due: new WeakMap(), must } as never;
  captured(ghost, Object.assign(server(101), { raft: undefined }));
  captured(ghost, server(101));
  assertEquals(violations, ["K6"]);
});
