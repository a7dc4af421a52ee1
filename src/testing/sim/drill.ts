/**
 * What operators ask of a cluster that is well: V3.
 *
 * @module
 */
import { NEVER_BYTES } from "./check/due.ts";
import { move } from "./moves.ts";
import type { Patience } from "./patience.ts";
import type { Random } from "./random.ts";
import { reload, type ReloadInput, restoreSettings } from "./reloading.ts";
import type { SimServer } from "./server.ts";
import type { Simulation } from "./simulation.ts";
import { leaderOf } from "./standing.ts";
import { touch } from "./touches.ts";

/** A cluster in which everybody who belongs to it is well, and those. */
export interface DrillParts {
  readonly simulation: Simulation;
  readonly members: readonly SimServer[];
  readonly patience: Patience;
  readonly random: Random;
}

/** Whether there is somebody to hand over to, who would keep it: one that is preferred would get it back at any moment. */
function canFollow(members: readonly SimServer[]): boolean {
  const leader = leaderOf(members)!;
  const { servers } = leader.core.configurations.at(-1)!.configuration;
  const able = servers.filter(({ suffrage, priority }) => suffrage === "voter" && priority !== 0);
  const isLevel = able.every(({ priority }) => (priority ?? 1) === 1);
  return isLevel && able.some(({ id }) => id !== leader.id && members.some((member) => member.id === id));
}

/** Its leader hands over when any server is asked for that, where there is somebody to hand over to. */
export async function handOver({ simulation, members, patience, random }: DrillParts): Promise<void> {
  if (!canFollow(members)) return;
  const { ghost, config: { disk, moving, settings } } = simulation;
  const { id, core: { term } } = leaderOf(members)!;
  const asked = random.pick(members);
  let why: unknown;
  const answer = move(ghost, asked.life!, { type: "transfer", value: "after" }).catch((error) => {
    why = error;
    return false;
  });
  const isDone = await patience.answer("V3", `answer a transfer on ${asked.id}`, answer);
  // Whoever is to lead has to write its vote first, and who was removed and does not ask before it campaigns is in the way.
  const isExcused = disk.stallChance > 0 || (moving !== undefined && settings.preVote !== true);
  ghost.must(isDone || isExcused, "V3", () => `"${asked.id}" refuses to let "${id}" hand over: ${why}`);
  const others = [...ghost.leaders].some(([later, { leader }]) => later > term && leader !== id);
  ghost.must(!isDone || others, "V3", () => {
    return `"${asked.id}" says that "${id}" has handed over, and nobody leads a later term than ${term}`;
  });
  patience.judge();
}

/** Every server takes a snapshot, where there are any: by then it has all that is applied. */
export async function takeSnapshots({ simulation, members, patience }: Omit<DrillParts, "random">): Promise<void> {
  const { world, ghost, workload } = simulation;
  if (!workload.takesSnapshots) return;
  for (const { id, life } of members) {
    const { installs } = life!;
    const answer = touch(world, ghost, life!, { type: "snapshot", value: "after", after: 0 });
    const isDone = await patience.answer("V3", `answer a snapshot on ${id}`, answer);
    // One of a leader's that comes in between has more.
    ghost.must(isDone || life!.installs > installs, "V3", () => `"${id}" takes no snapshot in a healthy cluster`);
    patience.judge();
  }
}

/** K6: one of them takes a snapshot of itself as soon as settings let it, and none while they do not. */
export async function changeThresholds({ simulation, members, patience, random }: DrillParts): Promise<void> {
  const { ghost, workload, config: { settings } } = simulation;
  if (!workload.takesSnapshots) return;
  const server = random.pick(members);
  const life = server.life!;
  const write = async (): Promise<void> => {
    for (const [what, answer] of workload.probes(server, random)) {
      await patience.answer("V3", `answer ${what} on ${server.id}`, answer);
    }
  };
  const change = (changes: ReloadInput["changes"]): void => {
    reload(ghost, life, { type: "reload-other", value: "after", changes });
  };
  change({ snapshotThreshold: 1, snapshotIntervalMs: settings.heartbeatMs! });
  await write();
  const { appliedIndex } = life.raft!;
  await patience.within("K6", `take a snapshot of itself on ${server.id} after one entry`, () => {
    return life.core.snapshot.index >= appliedIndex;
  });
  change({ snapshotThreshold: 2 ** 30, snapshotThresholdBytes: NEVER_BYTES });
  await write();
  await patience.pass(settings.heartbeatMs! * 4000);
  restoreSettings(ghost, [life]);
  patience.judge();
}
