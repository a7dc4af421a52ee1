import { assert, assertEquals } from "@std/assert";
import { NotLeaderError, ShutdownError } from "../../../src/errors.ts";
import { validateOptions } from "../../../src/options_check.ts";
import { type ReloadableSettings, reloaded } from "../../../src/reload.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { drawReload, goesBy, type ReloadInput, restoreSettings } from "../../../src/testing/sim/reloading.ts";
import { runScript, runSeed } from "../../../src/testing/sim/run.ts";
import { type Distortion, isCall, type Script } from "../../../src/testing/sim/script.ts";
import type { Life } from "../../../src/testing/sim/server.ts";
import { test } from "../../harness.ts";
import { draws, lifeOf, rule, type Scene, sceneOf } from "./clients_stage.ts";

const input: ReloadInput = { type: "reload-other", value: "v1", changes: { heartbeatMs: 20 } };

const wrong: ReloadInput = { ...input, changes: { heartbeatMs: 0 }, isWrong: true };

/** A server whose core goes by what it is given, or by something else. */
function server(take: (life: Life, changes: Partial<ReloadableSettings>) => void): Life {
  const life: Life = lifeOf({ reloadConfig: (changes: Partial<ReloadableSettings>) => take(life, changes) });
  Object.assign(life.core, { settings: life.configured });
  return life;
}

/** As a server does that takes settings. */
function takes(life: Life, changes: Partial<ReloadableSettings>): void {
  Object.assign(life.core, { settings: reloaded(validateOptions(life.core.settings), changes) });
}

function asked({ calls }: Scene, life: Life, input: ReloadInput): Promise<boolean> {
  return calls.make(life, input, "c0");
}

rule("K6", "a server goes by the settings that it is given", async (scene, isBad) => {
  assertEquals(await asked(scene, server(isBad ? () => {} : takes), input), true);
});

rule("K6", "a server goes by all others as before", (scene, isBad) => {
  return asked(
    scene,
    server((life, changes) => takes(life, { ...changes, ...isBad ? { trailingLogs: 1 } : {} })),
    input,
  );
});

rule("K6", "a server knows each setting that it is given", (scene, isBad) => {
  return asked(
    scene,
    server((life, changes) => {
      takes(life, changes);
      const { heartbeatMs, trailingLogs, ...others } = life.core.settings;
      // Of those that it is not given it need not know all.
      Object.assign(life.core, { settings: { ...others, ...isBad ? { trailingLogs } : { heartbeatMs } } });
    }),
    input,
  );
});

/** A server that has so many commands of so many bytes in flight when it is given less room, and later. */
async function filled(
  scene: Scene,
  room: Partial<ReloadableSettings>,
  inFlight: readonly (readonly [count: number, bytes: number])[],
): Promise<void> {
  const life = server(takes);
  let [proposalsPending, proposalsPendingBytes] = [0, 0];
  const applyEntry = () => Promise.reject(new NotLeaderError(undefined));
  Object.assign(life.raft!, { metrics: () => ({ proposalsPending, proposalsPendingBytes }), applyEntry });
  for (const [i, now] of inFlight.entries()) {
    [proposalsPending, proposalsPendingBytes] = now;
    if (i === 0) await asked(scene, life, { ...input, changes: room });
    else await scene.calls.make(life, { type: "put", key: "k", value: `v${i}` }, "c0");
  }
}

const [two, bytes] = [{ inFlightCountMax: 2 }, { inFlightBytesMax: 100 }];

rule("K6", "no more is in flight than there is room for", (scene, isBad) => {
  return filled(scene, two, [[0, 0], [isBad ? 3 : 2, 30]]);
});

rule("K6", "what was in flight before there was less room goes on, and nothing is added to it", (scene, isBad) => {
  return filled(scene, two, [[5, 50], [5, 50], [3, 30], [isBad ? 4 : 3, 30]]);
});

rule("K6", "no more bytes are in flight than there is room for, unless it is one command", (scene, isBad) => {
  return filled(scene, bytes, [[0, 0], [1, 300], [0, 0], [2, isBad ? 101 : 100]]);
});

rule("K6", "the bytes that were in flight before there was less room go on", (scene, isBad) => {
  return filled(scene, bytes, [[3, 500], [2, 400], [2, isBad ? 401 : 400]]);
});

rule("K6", "room is judged by what was in force once more before it changes", async (scene, isBad) => {
  const life = server(takes);
  let proposalsPending = 0;
  Object.assign(life.raft!, { metrics: () => ({ proposalsPending, proposalsPendingBytes: 0 }) });
  await asked(scene, life, { ...input, changes: two });
  proposalsPending = isBad ? 3 : 2;
  await asked(scene, life, { ...input, changes: { inFlightCountMax: 9 } });
});

rule("K6", "settings that are refused leave all as it was", async (scene, isBad) => {
  const life = server((life) => {
    if (isBad) takes(life, { trailingLogs: 1 });
    throw new RangeError("?");
  });
  assertEquals(await asked(scene, life, wrong), true);
});

rule("K6", "a new life begins with the settings that are configured", ({ ghost }, isBad) => {
  const life = server(takes);
  if (isBad) takes(life, { heartbeatMs: 20 });
  goesBy(ghost, life);
});

rule("K4", "settings out of bounds are refused", (scene, isBad) => {
  return asked(scene, server(isBad ? () => {} : takes), wrong);
});

rule("K4", "settings in bounds are taken, unless the server is shut down", (scene, isBad) => {
  const error = isBad ? new RangeError("?") : new ShutdownError();
  return asked(
    scene,
    server(() => {
      throw error;
    }),
    input,
  );
});

rule("K4", "settings are refused with an error that fits", (scene, isBad) => {
  const error = isBad ? new NotLeaderError(undefined) : new RangeError("?");
  return asked(
    scene,
    server(() => {
      throw error;
    }),
    wrong,
  );
});

test("sim reload: what was changed is what it was again at the end, and nobody else is asked", async () => {
  const scene = sceneOf();
  let count = 0;
  const [changed, untouched] = [1, 2].map(() => server((life, changes) => (count++, takes(life, changes))));
  await asked(scene, changed!, input);
  await asked(scene, changed!, { ...input, changes: { trailingLogs: 3 } });
  const { heartbeatMs, trailingLogs } = changed!.core.settings;
  assertEquals([heartbeatMs, trailingLogs, count], [20, 3, 2]);
  for (let i = 0; i < 2; i++) restoreSettings(scene.ghost, [changed!, untouched!]);
  assertEquals([changed!.core.settings, count], [changed!.configured, 3]);
  for (const check of scene.ghost.later.splice(0)) check();
  assertEquals(scene.ghost.violation, undefined);
});

test("sim reload: whatever is drawn can be changed one after the other, and what is wrong can't", () => {
  const seen = new Set<string>();
  const waits = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const config = drawConfig(Random.seeded(seed).split("config"));
    const random = Random.seeded(seed);
    const configured = validateOptions(config.settings);
    let settings = configured;
    let [leaseMax, electionMin] = [configured.leaseMs, configured.electionMinMs];
    for (let i = 0; i < 60; i++) {
      const { changes, isWrong } = drawReload(random, `v${i}`, config);
      let error: unknown;
      try {
        settings = reloaded(settings, changes);
      } catch (reason) {
        error = reason;
      }
      assertEquals(error instanceof RangeError, isWrong === true, `${seed} ${JSON.stringify(changes)}: ${error}`);
      for (const name of Object.keys(changes)) seen.add(name);
      leaseMax = Math.max(leaseMax, settings.leaseMs);
      electionMin = Math.min(electionMin, settings.electionMinMs);
      waits.add(Math.sign(settings.electionMinMs - configured.electionMinMs).toString());
      assert(settings.heartbeatMs * 3 <= settings.leaseMs, "a leader is heard within its lease");
    }
    // Whatever others have, and whoever began anew with what it is configured to have.
    assert(leaseMax <= electionMin, "a lease is worth something only as long as votes are promised for it");
  }
  assertEquals([...seen].sort(), Object.keys(reloadable).sort());
  assertEquals([...waits].sort(), ["-1", "0", "1"]);
});

/** All that may be changed. */
const reloadable: Readonly<Record<keyof ReloadableSettings, true>> = {
  ...{ heartbeatMs: true, electionMinMs: true, electionMaxMs: true, leaseMs: true, reconnectWaitMs: true },
  ...{ trailingLogs: true, snapshotIntervalMs: true, snapshotThreshold: true, snapshotThresholdBytes: true },
  ...{ windowBytesMax: true, windowAppendsMax: true, inFlightCountMax: true, inFlightBytesMax: true },
  ...{ enqueueTimeoutMs: true, diskStallMs: true, shutdownTransferMs: true },
  ...{ sessionTtlMs: true, sessionsMax: true, sessionsBytesMax: true },
};

test("sim reload: settings are changed apart from all other calls, and in some seeds", () => {
  const isReload = ({ type }: { type: string }) => type === "reload-other";
  const [without, some] = [draws({ reloads: 0 }), draws({ reloads: 0.3 })];
  const others = some.filter((it) => !isReload(it));
  assert(others.length > 200 && others.length < 350 && !without.some(isReload));
  assertEquals(others.slice(0, 150).map(({ type }) => type), without.slice(0, 150).map(({ type }) => type));
  const chances = Array.from({ length: 80 }, (_, seed) => drawConfig(Random.seeded(seed)).client.reloads);
  assertEquals([...new Set(chances)].sort(), [0, 0.005, 0.05]);
});

test(
  "sim: settings are changed and bounded reads made on servers in every role, and a script does the same once more",
  async () => {
    const roles = new Set<string>();
    const client = { bounded: 0.3, reloads: 0.1, thinkTime: 20_000 };
    const distort: Distortion = (state, event, now, step) => {
      if (event.type === "settings-changed") roles.add(state.role);
      return step(event, now);
    };
    const request = { steps: 3000, servers: 3, moving: false, faults: ["kill", "partition"], client, distort } as const;
    let refused = 0;
    for (let seed = 1; seed <= 3; seed++) {
      const report = await runSeed(seed, request);
      if (report.violation !== undefined) throw report.violation;
      const types = new Set(report.script.decisions.map((it) => isCall(it) ? it.input.type : undefined));
      for (const type of ["read-from", "read-within", "reload-other"] as const) assert(types.has(type), type);
      refused += Math.min(report.marks["stale-read-refused"]!, report.marks["read-awaited-in-vain"]!);
      const script: Script = JSON.parse(JSON.stringify(report.script));
      const again = await runScript(script, request);
      assertEquals([again.violation, again.script.decisions], [undefined, script.decisions]);
    }
    assert(refused > 0);
    assert(roles.has("leader") && roles.has("follower") && roles.size > 2, [...roles].join());
  },
  { timeoutMs: 60_000 },
);
