import { assert, assertEquals } from "@std/assert";
import { AbortedByRestoreError, LeadershipLostError, NotLeaderError, ProtocolError } from "../../../src/errors.ts";
import { checkLinearizability, type Operation } from "../../../src/testing/linearizability.ts";
import type { SimInput } from "../../../src/testing/sim/calls.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import type { Ghost } from "../../../src/testing/sim/ghost.ts";
import { allOf, bytesOfContent, contentOf, hashText, type SimResult } from "../../../src/testing/sim/machine.ts";
import { type ModelInput, simModel } from "../../../src/testing/sim/model.ts";
import { Port } from "../../../src/testing/sim/queue.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { drawRestore, type Kept, type RestoreInput, snapshotOf } from "../../../src/testing/sim/restoring.ts";
import { openSnapshot } from "../../../src/wire/snapshot_reader.ts";
import { test } from "../../harness.ts";
import { lifeOf, rule, type Scene, sceneOf } from "./clients_stage.ts";

const input: RestoreInput = {
  ...{ type: "restore", value: "v1", from: 7, isOlder: false, padding: 0, pieces: 4, gap: 0 },
};

/** What a server does with the bytes that it is given. */
type Restore = (meta: Kept["meta"], stream: ReadableStream<Uint8Array>) => Promise<unknown>;

/** Commits these bytes as the entries 1 and 2. */
function commit({ eras, applied }: Ghost, bytes: Uint8Array): void {
  eras.onCommitted(1, 1, { kind: "part", id: 1, sequence: 0, bytes }, 1);
  const era = eras.onCommitted(2, 1, { kind: "end", id: 1, sequence: 1, bytes: new Uint8Array(0) }, 1);
  applied.set(2, { term: 1, state: era!.state, result: 0 });
}

/** The machine's bytes in what a server was given. */
async function userIn(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const bytes = await allOf(stream);
  return await allOf((await openSnapshot((offset) => Promise.resolve(bytes.subarray(offset)))).user);
}

/** Asks a server for a restore, one event after the other. */
async function asked(
  { calls, world }: Scene,
  restore: Restore,
  given: Partial<RestoreInput> = {},
  { role = "leader", appliedIndex = 2, snapshots = () => Promise.resolve([] as unknown[]) } = {},
): Promise<void> {
  const life = lifeOf({ appliedIndex, restore, snapshots });
  Object.assign(life.core, { role });
  let isDone = false;
  void calls.make(life, { ...input, ...given }, "c0").then(() => isDone = true);
  // The snapshot is made in this turn, and what follows it is asked for then.
  world.schedule(-1, Port.phase, 0, "begins", () => {});
  await world.run(() => isDone);
}

rule("K3", "who is told that a state is restored finds it in the log", (scene, isBad) => {
  return asked(scene, async (_, stream) => {
    const bytes = await userIn(stream);
    if (!isBad) commit(scene.ghost, bytes);
    return { index: 2 };
  });
});

rule("K3", "the machine of the server that restores has the state when that is told", (scene, isBad) => {
  return asked(
    scene,
    async (_, stream) => {
      commit(scene.ghost, await userIn(stream));
      return { index: 2 };
    },
    {},
    { appliedIndex: isBad ? 1 : 2 },
  );
});

for (const spoil of ["flip", "cut", "meta", "break"] as const) {
  rule("K3", `bytes that are spoilt (${spoil}) are restored by nobody`, (scene, isBad) => {
    return asked(scene, async (meta, stream) => {
      let error: unknown = new ProtocolError("?");
      const bytes = await allOf(stream).catch((reason) => void (error = reason));
      if (bytes !== undefined && spoil !== "meta") assert(bytes.length < meta.bytes || spoil === "flip");
      if (!isBad) throw error;
      return { index: 2 };
    }, { spoil });
  });
}

rule("K4", "who does not lead does not touch the bytes", (scene, isBad) => {
  return asked(
    scene,
    async (_, stream) => {
      if (isBad) await allOf(stream);
      throw new NotLeaderError(undefined);
    },
    {},
    { role: "follower" },
  );
});

rule("K4", "who does not lead says so", (scene, isBad) => {
  const error = isBad ? new LeadershipLostError("?", { outcome: "not-applied" }) : new NotLeaderError(undefined);
  return asked(scene, () => Promise.reject(error), {}, { role: "follower" });
});

rule("K4", "a restore is answered with an error of the server's own", (scene, isBad) => {
  const error = isBad ? new TypeError("?") : new LeadershipLostError("?");
  return asked(scene, () => Promise.reject(error));
});

/** Asks for a restore of an older snapshot, for which the newest one of the server is copied. */
async function copied(scene: Scene, snapshots: () => Promise<unknown[]>): Promise<void> {
  await asked(scene, () => Promise.reject(new LeadershipLostError("?")), { isOlder: true }, { snapshots });
  for (let turn = 0; turn < 20; turn++) {
    scene.world.schedule(-1, Port.phase, 1, "goes on", () => {});
    await scene.world.run(() => false);
  }
}

rule("S1", "whoever copies a snapshot finds the state after its last entry", async (scene, isBad) => {
  const { meta, bytes, state } = await snapshotOf({ hash: 5, states: new Map() });
  scene.ghost.applied.set(7, { term: 3, state: isBad ? state + 1 : state, result: 0 });
  const open = () => new Response(bytes as Uint8Array<ArrayBuffer>).body!;
  await copied(scene, () => Promise.resolve([{ meta, open }]));
});

rule("K4", "who can't copy a snapshot is told why by the library", (scene, isBad) => {
  return copied(scene, () => Promise.reject(isBad ? new TypeError("?") : new NotLeaderError(undefined)));
});

rule("K5", "what is said to be not restored never is", (scene, isBad) => {
  return asked(scene, async (_, stream) => {
    commit(scene.ghost, await userIn(stream));
    const outcome = isBad ? "not-applied" : "unknown";
    throw new AbortedByRestoreError("?", { outcome, index: 2, term: 1 });
  });
});

rule("O3", "nobody sees what a restore has undone", async (scene, isBad) => {
  const { ghost, oracle } = scene;
  oracle.ask("k");
  oracle.ask("k");
  oracle.read("k", 0, "2:v2", 1);
  const kept = await snapshotOf({ hash: 5, states: new Map([["k", "1:v1"]]) });
  ghost.eras.give(5, 1);
  commit(ghost, await userIn(streamOf(kept.bytes)));
  oracle.read("k", oracle.floor("k"), "1:v1", 2);
  oracle.read("k", oracle.floor("k"), isBad ? "2:v2" : "1:v1", isBad ? 1 : 3);
});

rule("O1", "after a restore writes are counted from what it brought", async (scene, isBad) => {
  const { ghost, oracle } = scene;
  oracle.ask("k");
  ghost.eras.give(5, 1);
  commit(ghost, bytesOfContent({ hash: 5, states: new Map([["k", "40:v"]]) }));
  await undefined;
  oracle.see("k", isBad ? "42:w" : "41:w", 3);
});

rule("O2", "what a restore has brought is what is seen", (scene, isBad) => {
  scene.ghost.eras.give(5, 1);
  commit(scene.ghost, bytesOfContent({ hash: 5, states: new Map([["k", "40:v"]]) }));
  scene.oracle.see("k", isBad ? "40:w" : "40:v", 3);
});

rule("K1", "a command with a key may be applied once more after a restore, and no more", ({ ghost }, isBad) => {
  ghost.keyed.add("v1");
  ghost.eras.give(5, 1);
  commit(ghost, bytesOfContent({ hash: 5, states: new Map() }));
  ghost.noteApplied("v1", 1, 1, null);
  ghost.noteApplied("v1", 3, 2, null);
  if (isBad) ghost.noteApplied("v1", 4, 3, null);
});

rule("K1", "a command without one is not applied again, whatever comes between", ({ ghost }, isBad) => {
  ghost.eras.give(5, 1);
  commit(ghost, bytesOfContent({ hash: 5, states: new Map() }));
  ghost.noteApplied("v1", 1, 1, null);
  ghost.noteApplied(isBad ? "v1" : "v2", 3, 2, null);
});

rule("K3", "a key is forgotten with what it did", async ({ ghost, calls }, isBad) => {
  const keyed: SimInput = { type: "keyed", command: { type: "put", key: "k", value: "v1" }, after: 1000 };
  ghost.eras.give(5, 1);
  commit(ghost, bytesOfContent({ hash: 5, states: new Map() }));
  const life = lifeOf({ applyEntry: () => Promise.resolve({ index: 4, term: 1, result: null }) });
  for (const index of isBad ? [1] : [1, 4]) {
    ghost.keyed.add("v1");
    ghost.noteApplied("v1", index, 1, null);
    ghost.applied.set(index, { term: 1, state: 1, result: hashText("null", 0) });
  }
  await calls.make(life, keyed, "c0");
});

test("sim restores: a command with a key is in the history as often as it was applied", async () => {
  const { ghost, calls } = sceneOf();
  const keyed: SimInput = { type: "keyed", command: { type: "put", key: "k", value: "v1" }, after: 1000 };
  ghost.eras.give(5, 1);
  commit(ghost, bytesOfContent({ hash: 5, states: new Map() }));
  const raft = { applyEntry: () => Promise.reject(new LeadershipLostError("?")) };
  await calls.make(lifeOf(raft), keyed, "c0");
  ghost.noteApplied("v1", 1, 3, null);
  ghost.noteApplied("v1", 4, 6, "2:x");
  Object.assign(raft, { applyEntry: () => Promise.resolve({ index: 5, term: 1, result: "2:x" }) });
  await calls.make(lifeOf(raft), keyed, "c1");
  const told = [...calls.history, ...calls.unanswered()].map(({ outcome, output }) => [outcome, output]);
  assertEquals(told, [["ok", "2:x"], ["ok", null]]);
});

test("sim restores: in the history of a key one is a write that nobody need have asked for", () => {
  const put = (value: string, output: SimResult, called: number): Operation<ModelInput, SimResult> => {
    const input = { type: "put", key: "k", value } as const;
    return { key: "k", input, outcome: "ok", output, called, returned: called + 1, client: "c" };
  };
  const restore: Operation<ModelInput, SimResult> = {
    ...{ key: "k", input: { type: "restore", key: "k", state: "7:r" }, outcome: "ok", client: "as of 3" },
    ...{ called: 2, returned: 9 },
  };
  const verdicts = [["7:r", [restore]], ["1:v1", [restore]], ["7:r", []], ["1:v1", []], [null, [restore]]] as const;
  assertEquals(
    verdicts.map(([seen, restores]) => {
      return checkLinearizability(simModel, [put("v1", null, 1), put("v2", seen, 5), ...restores]).verdict;
    }),
    ["linearizable", "linearizable", "violation", "linearizable", "violation"],
  );
});

test("sim restores: a snapshot that is made is one, and holds its state, of which what makes it longer is a part", async () => {
  for (const padding of [0, 9000]) {
    const content = { hash: -5, states: new Map([["k", "1:v"]]) };
    const { bytes, meta, state } = await snapshotOf(content, padding);
    const user = await userIn(streamOf(bytes));
    assertEquals([contentOf(user), bytes.length], [{ ...content, hash: state }, meta.bytes]);
    assert(user.length >= padding && (state === -5) === (padding === 0));
  }
});

test("sim restores: each kind is drawn, from a stream of their own, and where they are asked for", () => {
  const random = Random.seeded(3);
  const drawn = Array.from({ length: 300 }, (_, i) => drawRestore(random, `v${i}`, 100_000));
  for (const spoil of ["flip", "cut", "meta", "break", undefined]) assert(drawn.some((it) => it.spoil === spoil));
  for (const isOlder of [true, false]) assert(drawn.some((it) => it.isOlder === isOlder && it.gap > 0));
  const chances = (restores?: number) => {
    const client = restores === undefined ? {} : { restores };
    return new Set(
      Array.from({ length: 60 }, (_, seed) => drawConfig(Random.seeded(seed), { client }).client.restores),
    );
  };
  assertEquals([chances().size, [...chances(0.5)]], [2, [0.5]]);
});

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}
