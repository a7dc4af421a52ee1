import { assertEquals } from "@std/assert";
import { NoSnapshotsError, NothingNewToSnapshotError, TransferFailedError } from "../../../src/errors.ts";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { captured } from "../../../src/testing/sim/check/due.ts";
import type { SimConfig } from "../../../src/testing/sim/config.ts";
import { changeThresholds, type DrillParts, handOver, takeSnapshots } from "../../../src/testing/sim/drill.ts";
import { Patience } from "../../../src/testing/sim/patience.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { Life, SimServer } from "../../../src/testing/sim/server.ts";
import type { Simulation } from "../../../src/testing/sim/simulation.ts";
import { test } from "../../harness.ts";
import { leaderOf } from "../../core/states.ts";
import { lifeOf, rule, type Scene, sceneOf } from "./clients_stage.ts";

/** Which servers there are, what each answers, and what else a run has. */
interface Given {
  readonly servers?: string;
  readonly raft?: Record<string, unknown>;
  readonly config?: Partial<Pick<SimConfig, "moving">>;
  readonly preVote?: boolean;
  readonly stallChance?: number;
  readonly takesSnapshots?: boolean;
}

/** A cluster in which "a" leads term 2, and whatever is asked is asked of it. */
function clusterOf({ ghost, world }: Scene, given: Given): DrillParts & { readonly life: Life } {
  const { servers = "a b c", raft = {}, config = {}, preVote = true, stallChance = 0, takesSnapshots = true } = given;
  ghost.leaders.set(2, { leader: "a", log: new ChainLog() });
  const life = lifeOf(raft);
  Object.assign(life, { core: leaderOf({ servers, term: 2 }).state, installs: 0 });
  const run = async (until: () => boolean): Promise<void> => {
    for (let turn = 0; turn < 100 && !until(); turn++) await undefined;
  };
  const settings = { electionMaxMs: 1, preVote };
  const simulation = {
    ...{ ghost, world, run, servers: [], workload: { open: 0, takesSnapshots } },
    config: { ...config, disk: { stallChance }, settings },
  } as unknown as Simulation;
  const others = ["b", "c"].map((id) => ({ id, life: undefined }));
  const members = [{ id: "a", life }, ...others] as unknown as readonly SimServer[];
  const random = Object.assign(Random.seeded(1), { pick: () => members[0] }) as Random;
  return { simulation, members, patience: new Patience(simulation), random, life };
}

/** A leader is asked to hand over. */
function asked(scene: Scene, transferLeadership: () => unknown, given: Given = {}): Promise<void> {
  return handOver(clusterOf(scene, { ...given, raft: { transferLeadership } })).catch(() => {});
}

/** Another one leads, and that is said. */
function others({ ghost }: Scene, leader = "b", term = 3): Promise<{ id: string }> {
  ghost.leaders.set(term, { leader, log: new ChainLog() });
  return Promise.resolve({ id: leader });
}

const no = () => Promise.reject(new TransferFailedError("timeout", undefined));

rule("V3", "a healthy cluster hands over when it is asked to", (scene, isBad) => {
  return asked(scene, isBad ? no : () => others(scene));
});

rule("V3", "who is asked to hand over answers", (scene, isBad) => {
  return asked(scene, () => isBad ? new Promise(() => {}) : others(scene));
});

rule("V3", "another server leads when a transfer is said to be done", (scene, isBad) => {
  return asked(scene, () => isBad ? Promise.resolve({ id: "a" }) : others(scene));
});

rule("V3", "a disk that stalls may keep the next leader from its vote", (scene, isBad) => {
  return asked(scene, no, { stallChance: isBad ? 0 : 0.1 });
});

rule("V3", "who was removed may be in the way where nobody asks before campaigning", (scene, isBad) => {
  return asked(scene, no, {
    preVote: false,
    config: isBad ? {} : { moving: { voters: 3, chance: 0.1, idlers: false } },
  });
});

test("sim drill: nobody is asked to hand over who has nobody to hand over to", async () => {
  for (const [servers, isAsked] of [["a", 0], ["a b!", 0], ["a ~b", 0], ["a d", 0], ["a b", 1]] as const) {
    let count = 0;
    await asked(sceneOf(), () => (count++, no()), { servers });
    assertEquals([servers, count], [servers, isAsked]);
  }
});

test("sim drill: nobody is asked to hand over where one that is preferred would get it back", async () => {
  for (const priority of [1, 2]) {
    let count = 0;
    const cluster = clusterOf(sceneOf(), { raft: { transferLeadership: () => (count++, no()) } });
    const [known] = cluster.life.core.configurations;
    const servers = known!.configuration.servers.map((server) => server.id === "a" ? { ...server, priority } : server);
    Object.assign(cluster.life.core, { configurations: [{ index: 1, configuration: { servers } }] });
    await handOver(cluster).catch(() => {});
    assertEquals([priority, count], [priority, priority === 1 ? 1 : 0]);
  }
});

/** Only "a" is asked for a snapshot. */
function taken(scene: Scene, snapshot: (life: Life) => Promise<unknown>, takesSnapshots = true): Promise<void> {
  const cluster = clusterOf(scene, {
    takesSnapshots,
    raft: { appliedIndex: 0, snapshot: () => snapshot(cluster.life) },
  });
  return takeSnapshots({ ...cluster, members: cluster.members.slice(0, 1) }).catch(() => {});
}

const none = () => Promise.reject(new NoSnapshotsError("?"));

rule("V3", "a healthy server takes a snapshot, or has one of all", (scene, isBad) => {
  return taken(scene, isBad ? none : () => Promise.reject(new NothingNewToSnapshotError(0)));
});

rule("V3", "who is asked for a snapshot answers", (scene, isBad) => {
  return taken(scene, isBad ? () => new Promise(() => {}) : () => Promise.reject(new NothingNewToSnapshotError(0)));
});

rule("V3", "a leader's snapshot may come in between", (scene, isBad) => {
  return taken(scene, (life) => {
    if (!isBad) life.installs++;
    return none();
  });
});

rule("V3", "there is no snapshot where none are kept", (scene, isBad) => taken(scene, none, isBad));

/** Only "a" is given other settings, and written to: after each write it takes a snapshot, or does not. */
function changed(scene: Scene, takes: (threshold: number) => boolean, takesSnapshots = true): Promise<void> {
  const settings: Record<string, number> = {};
  const raft = {
    appliedIndex: 10,
    metrics: () => ({}),
    reloadConfig: (changes: Record<string, number>) => void Object.assign(settings, changes),
  };
  const cluster = clusterOf(scene, { takesSnapshots, raft });
  const { simulation, life } = cluster;
  Object.assign(simulation.config.settings, { heartbeatMs: 10 });
  Object.assign(life.core, { snapshot: { index: 10, term: 2 } });
  const probes = function* (): Iterable<readonly [string, Promise<boolean>]> {
    raft.appliedIndex++;
    if (takes(settings["snapshotThreshold"]!)) {
      captured(scene.ghost, life);
      Object.assign(life.core, { snapshot: { index: raft.appliedIndex, term: 2 } });
    }
    yield ["a put", Promise.resolve(true)];
  };
  Object.assign(simulation.workload, { probes });
  return changeThresholds(cluster).catch(() => {}).finally(() => scene.ghost.later.splice(0));
}

rule("K6", "a healthy server takes a snapshot as soon as it may", (scene, isBad) => {
  return changed(scene, (threshold) => threshold === 1 && !isBad);
});

rule("K6", "a healthy server takes no snapshot as long as it may not", (scene, isBad) => {
  return changed(scene, (threshold) => threshold === 1 || isBad);
});

rule("K6", "nothing is due where no snapshots are kept", (scene, isBad) => changed(scene, () => false, isBad));
