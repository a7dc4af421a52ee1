import { assert, assertEquals } from "@std/assert";
import {
  NoSnapshotsError,
  NothingNewToSnapshotError,
  NotLeaderError,
  ShutdownError,
  SnapshotNotFoundError,
} from "../../../src/errors.ts";
import type { RaftStatus } from "../../../src/status.ts";
import { ASKS, readWhole, SNAPSHOT_ASKS } from "../../../src/testing/sim/asks.ts";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import type { Ghost } from "../../../src/testing/sim/ghost.ts";
import type { Life } from "../../../src/testing/sim/server.ts";
import { test } from "../../harness.ts";
import { configuration, coreOf } from "../../core/states.ts";
import { draws, lifeOf, rule, type Scene, sceneOf, touched } from "./clients_stage.ts";

rule("R1", "an index to read at is not below what was acknowledged before it was asked for", (scene, isBad) => {
  scene.ghost.readFloor = 5;
  return touched(scene, "read-index", { appliedIndex: 5, readIndex: () => Promise.resolve(isBad ? 4 : 5) });
});

rule("R1", "the machine has reached the index that it may be read at", (scene, isBad) => {
  return touched(scene, "read-index", { appliedIndex: isBad ? 4 : 5, readIndex: () => Promise.resolve(5) });
});

rule("R1", "what was read at is acknowledged", async (scene, isBad) => {
  await touched(scene, "read-index", { appliedIndex: 5, readIndex: () => Promise.resolve(5) });
  await touched(scene, "read-index", { appliedIndex: 6, readIndex: () => Promise.resolve(isBad ? 4 : 6) });
});

/** Whoever leads these terms. */
function led(ghost: Ghost, leaders: Readonly<Record<number, string>>): void {
  for (const [term, leader] of Object.entries(leaders)) {
    ghost.leaders.set(Number(term), { leader, log: new ChainLog() });
  }
}

const yes = { verifyLeader: () => Promise.resolve() };

rule("R2", "only who leads the latest term is said to lead", (scene, isBad) => {
  led(scene.ghost, isBad ? { 1: "a", 2: "b" } : { 1: "b", 2: "a" });
  return touched(scene, "verify-leader", yes, { role: "leader" });
});

rule("R2", "who led the latest term and leads no more is not said to", (scene, isBad) => {
  led(scene.ghost, { 1: "b", 2: "a" });
  return touched(scene, "verify-leader", yes, { role: isBad ? "follower" : "leader" });
});

rule("R2", "who begins to lead while it is asked may be said to lead", (scene, isBad) => {
  led(scene.ghost, { 1: "b" });
  const verifyLeader = () => {
    led(scene.ghost, { 2: isBad ? "b" : "a" });
    return Promise.resolve();
  };
  return touched(scene, "verify-leader", { verifyLeader });
});

for (const type of ["read-index", "verify-leader", "snapshot", "snapshots"] as const) {
  rule("K4", `a server answers a ${type} with a result or an error of its own`, (scene, isBad) => {
    const no = () => Promise.reject(isBad ? new TypeError("?") : new NotLeaderError(undefined));
    return touched(scene, type, { appliedIndex: 0, readIndex: no, verifyLeader: no, snapshot: no, snapshots: no });
  });
}

/** What somebody waits for. */
const found = (commitIndex: number, term = 1) => Promise.resolve({ commitIndex, term });

rule("K6", "who waits for an entry is told when it is committed", (scene, isBad) => {
  return touched(scene, "wait", { commitIndex: 3, currentTerm: 1, wait: () => found(isBad ? 3 : 4) });
});

rule("K6", "who waits for a term is told when it is there", (scene, isBad) => {
  return touched(scene, "wait", { commitIndex: 3, currentTerm: 2, wait: () => found(4, isBad ? 1 : 2) });
});

/** A server that lets everybody wait until they give up, and answers with this. */
async function waited(scene: Scene, answer: (reason: unknown) => unknown, commitIndex: number): Promise<void> {
  const wait = (_: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(answer(signal.reason))));
  const done = touched(scene, "wait", { commitIndex: 3, currentTerm: 1, wait }, { commitIndex });
  await scene.world.run(() => false);
  await done;
}

rule("K6", "nobody waits for what is there", (scene, isBad) => waited(scene, (it) => it, isBad ? 4 : 3));

rule("K4", "who gives up waiting gets their own reason", (scene, isBad) => {
  return waited(scene, (it) => isBad ? new TypeError("?") : it, 3);
});

/** A server that is told to drain by somebody who has given up. */
const drained = (scene: Scene, reads: unknown, answer: (signal: AbortSignal) => Promise<void>) => {
  const drain = ({ signal }: { signal: AbortSignal }) => answer(signal);
  return touched(scene, "drain-aborted", { state: "follower", drain, read: () => reads });
};

rule("K4", "who has given up a drain is told so", (scene, isBad) => {
  return drained(scene, 0, ({ reason }) => isBad ? Promise.resolve() : Promise.reject(reason));
});

rule("V8", "a server that was not drained after all goes on", (scene, isBad) => {
  const reads = isBad ? Promise.reject(new ShutdownError()) : Promise.resolve(0);
  return drained(scene, reads, ({ reason }) => Promise.reject(reason));
});

/** Three committed entries, the first of which are the servers. */
function committed(ghost: Ghost): void {
  const servers = configuration("a b c");
  for (const term of [1, 1, 2]) {
    const first = ghost.commits.count === 0 ? { configuration: servers } : {};
    ghost.commits.push({ term, hash: 1, committedIn: term, sets: [], ...first });
  }
}

/** A snapshot, and the bytes that it is given as. */
function snapshot(meta: { index: number; term: number; configurationIndex?: number }, given = 8) {
  const open = () => new Blob([new Uint8Array(given)]).stream();
  return { meta: { bytes: 8, configurationIndex: 1, ...meta }, open };
}

function taken(scene: Scene, it: ReturnType<typeof snapshot>, before = 2): Promise<boolean> {
  committed(scene.ghost);
  const raft = { appliedIndex: before, snapshot: () => (raft.appliedIndex = 3, Promise.resolve(it)) };
  return touched(scene, "snapshot", raft);
}

rule("S1", "a snapshot has all that was applied when it was asked for", (scene, isBad) => {
  return taken(scene, snapshot({ index: isBad ? 1 : 2, term: 1 }));
});

rule("S1", "a snapshot has nothing that is not applied", (scene, isBad) => {
  committed(scene.ghost);
  const raft = { appliedIndex: 2, snapshot: () => Promise.resolve(snapshot(isBad ? last : { index: 2, term: 1 })) };
  return touched(scene, "snapshot", raft);
});

const last = { index: 3, term: 2 };

rule("S1", "a snapshot ends with the entry that is committed there", (scene, isBad) => {
  return taken(scene, snapshot({ index: 3, term: isBad ? 1 : 2 }));
});

rule("S1", "a snapshot has the servers of the log up to its end", (scene, isBad) => {
  return taken(scene, snapshot({ ...last, configurationIndex: isBad ? 2 : 1 }));
});

rule("S1", "there is nothing new to take where the last snapshot has all", async (scene, isBad) => {
  const raft = {
    appliedIndex: 3,
    snapshot: () => Promise.reject(new NothingNewToSnapshotError(3)),
    snapshots: () => Promise.resolve([]),
  };
  const given = { snapshot: { ...coreOf().state.snapshot, index: isBad ? 2 : 3 } };
  assertEquals(await touched(scene, "snapshot", raft, given), true);
});

rule("S1", "… which the core may not have heard of yet", async (scene, isBad) => {
  const raft = {
    appliedIndex: 3,
    snapshot: () => Promise.reject(new NothingNewToSnapshotError(3)),
    snapshots: () => Promise.resolve([{ meta: { index: isBad ? 2 : 3 } }]),
  };
  const given = { snapshot: { ...coreOf().state.snapshot, index: 2 } };
  assertEquals(await touched(scene, "snapshot", raft, given), true);
});

test("sim asks: no snapshot is no answer", async () => {
  const scene = sceneOf();
  const no = () => Promise.reject(new NoSnapshotsError("a restore is under way"));
  assertEquals(await touched(scene, "snapshot", { appliedIndex: 3, snapshot: no }), false);
  assertEquals(scene.ghost.violation, undefined);
});

function listed(scene: Scene, ...found: readonly ReturnType<typeof snapshot>[]): Promise<boolean> {
  committed(scene.ghost);
  return touched(scene, "snapshots", { snapshots: () => Promise.resolve(found) });
}

rule("S1", "snapshots are listed the newest first", (scene, isBad) => {
  const [newer, older] = [snapshot(last), snapshot({ index: 2, term: 1 })];
  return isBad ? listed(scene, older, newer) : listed(scene, newer, older);
});

rule("S1", "every snapshot that is listed ends with what is committed there", (scene, isBad) => {
  return listed(scene, snapshot(last), snapshot({ index: 2, term: isBad ? 2 : 1 }));
});

/** Reads all of it, one event after the other. */
async function read({ world, ghost }: Scene, life: Life, snapshot: Parameters<typeof readWhole>[3]): Promise<void> {
  let isDone = false;
  const reading = readWhole(world, ghost, life, snapshot).then(() => isDone = true);
  await world.run(() => isDone);
  await reading;
}

rule("S1", "a snapshot is given with all its bytes", (scene, isBad) => {
  return read(scene, lifeOf({}), snapshot(last, isBad ? 7 : 8));
});

rule(
  "K4",
  "a snapshot that can't be read ends with an error of this library, unless its server has ended",
  async (scene, isBad) => {
    const broken = (error: Error) => ({
      ...snapshot(last),
      open: () => new ReadableStream({ pull: (controller) => controller.error(error) }),
    });
    await read(scene, { ...lifeOf({}), isOver: true }, broken(new Error("gone")));
    await read(scene, lifeOf({}), broken(isBad ? new Error("gone") : new SnapshotNotFoundError("x")));
  },
);

/** A server that says of itself what its core knows, but for this. */
function inspected(scene: Scene, wrong: Record<string, unknown>): Promise<boolean> {
  const { state: core } = coreOf();
  const { term, votedFor, commitIndex, configurations } = core;
  const [{ index, configuration: { servers } }] = configurations as [typeof configurations[number]];
  const status: Partial<RaftStatus> = {
    ...{ term, votedFor, commitIndex, lastIndex: 1, appliedIndex: 0, durableIndex: 1, role: "follower" },
    ...{ servers: servers.map((server) => ({ ...server, connected: true })), isRemoved: false, damaged: [] },
    lastContactMs: undefined,
  };
  const stats = {
    ...{ term: `${term}`, last_log_index: "1", commit_index: "0", applied_index: "0", fsm_pending: "0" },
    ...{ last_snapshot_index: "0", latest_configuration_index: "1" },
  };
  const raft = {
    state: "follower",
    status,
    metrics: () => ({ term: 1, proposalsPending: 0, proposalsPendingBytes: 0 }),
    ...{ currentTerm: term, commitIndex, lastIndex: 1, leader: undefined, lastContact: undefined },
    configuration: { index, servers, committed: false },
    stats: () => stats,
    doctor: () => ({ healthy: false, findings: [{ code: "no-leader", severity: "critical" }] }),
    toString: () => "Raft a [follower]",
  };
  return touched(scene, "inspect", { ...raft, ...wrong, status: { ...status, ...wrong["status"] ?? {} } });
}

const lies: Readonly<Record<string, Record<string, unknown>>> = {
  "its term": { status: { term: 2 } },
  "the servers in force": { configuration: { index: 2, servers: [], committed: false } },
  "whether they are committed": { configuration: { index: 1, servers: [1, 2, 3], committed: true } },
  "whom it follows": { leader: { id: "b" } },
  "when it heard its leader": { lastContact: 5 },
  "its numbers": { stats: () => ({}) },
  "that it follows nobody": { doctor: () => ({ healthy: true, findings: [] }) },
  "that it is healthy": { doctor: () => ({ healthy: true, findings: [{ code: "no-leader", severity: "critical" }] }) },
  "that its disk is damaged": {
    doctor: () => ({
      healthy: false,
      findings: [{ code: "no-leader", severity: "critical" }, { code: "disk-damaged", severity: "warning" }],
    }),
  },
};

for (const [what, lie] of Object.entries(lies)) {
  rule("K6", `a server says of itself what it knows: ${what}`, (scene, isBad) => inspected(scene, isBad ? lie : {}));
}

rule("A1", "a server says to have applied no more than is committed", (scene, isBad) => {
  return inspected(scene, { status: { appliedIndex: isBad ? 1 : 0 } });
});

rule("V6", "a server counts no fewer than no calls", (scene, isBad) => {
  const metrics = () => ({ term: 1, proposalsPending: isBad ? -1 : 0, proposalsPendingBytes: 0 });
  return inspected(scene, { metrics });
});

test("sim asks: they are drawn apart from all other calls, those of snapshots only where there are any", () => {
  const typeOf = (it: unknown) => (it as { type: string }).type;
  const types: readonly string[] = [...ASKS, ...SNAPSHOT_ASKS];
  const isAsk = (it: unknown) => types.includes(typeOf(it));
  for (const keepsSnapshots of [false, true]) {
    const [without, some] = [draws({ asks: 0 }, keepsSnapshots), draws({ asks: 0.3 }, keepsSnapshots)];
    const others = some.filter((it) => !isAsk(it));
    const asked = new Set(some.filter(isAsk).map(typeOf));
    assertEquals([...asked].sort(), [...keepsSnapshots ? types : ASKS].sort());
    assert(others.length > 200 && !without.some(isAsk));
    assertEquals(
      others.filter((it) => typeOf(it) !== "install-snapshot").slice(0, 150),
      without.filter((it) => typeOf(it) !== "install-snapshot").slice(0, 150),
    );
  }
});
