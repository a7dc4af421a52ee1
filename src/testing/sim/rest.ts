/**
 * What a cluster does that has nothing to do: V6.
 *
 * @module
 */
import type { ServerId } from "../../types.ts";
import type { Patience } from "./patience.ts";
import type { Life, SimServer } from "./server.ts";
import type { Simulation } from "./simulation.ts";

/** How long it is watched, in heartbeats. */
const beats = 20;

/** Microseconds after its last write until a disk has what follows on it: a mark, and the end of a compaction. */
const tidyMax = 500_000;

/** Operations of one disk meanwhile. */
const operationsMax = 10;

/** How often a disk is watched at most: a long log that was compacted goes one segment after the other. */
const watchesMax = 10;

/** V6: servers say little more than that they are there, write nothing, and nothing is in the air for ever. */
export async function rest(simulation: Simulation, members: readonly SimServer[], patience: Patience): Promise<void> {
  const { config, ghost } = simulation;
  const period = config.settings.heartbeatMs! * 1000;
  // Who asks a server that was removed for a session is answered when they give up, and it asks for them until then.
  await patience.within("K4", "answer everybody", () => simulation.workload.open === 0);
  const { stallChance, stallMax } = config.disk;
  // What was on its way arrives, and a disk that nothing was written to for a while is marked and tidied up.
  await patience.pass(Math.max(period * 4, tidyMax, stallChance > 0 ? stallMax : 0));
  const { sent } = simulation;
  let before = members.map(({ storage }) => storage.operations);
  await patience.pass(period * beats);
  const most = messagesMax(simulation, members);
  ghost.must(simulation.sent - sent <= most, "V6", () => {
    return `an idle cluster sends ${simulation.sent - sent} messages in ${beats} heartbeats, not ${most}`;
  });
  const isBusy = ({ storage }: SimServer, i: number) => storage.operations - before[i]! > operationsMax;
  for (let watches = 1; watches < watchesMax && members.some(isBusy); watches++) {
    before = members.map(({ storage }) => storage.operations);
    await patience.pass(period * beats);
  }
  for (const [i, { id, storage }] of members.entries()) {
    const count = storage.operations - before[i]!;
    ghost.must(count <= operationsMax, "V6", () => {
      return `"${id}" rests and asks its disk for ${count} operations in ${beats} heartbeats, not ${operationsMax}`;
    });
  }
  // Whoever forwarded a command, and got no answer, counts it until that can't come any more, also when its caller has left.
  // One that a leader had no room for waits for that, then for a leader, and then for its answer.
  const slowest = Math.min(...config.clocks.map(({ rate }) => rate));
  const lives = simulation.lives.filter((life) => !isStuck(life, members));
  const isCounting = () => lives.some((life) => life.raft!.metrics().proposalsPending > 0);
  for (let waits = 0; waits < 3 && isCounting(); waits++) {
    await patience.pass(config.settings.leaderWaitMs! * 1000 / slowest);
  }
  for (const life of lives) isIdle(simulation, life, members);
  patience.judge();
}

function messagesMax({ config, servers }: Simulation, members: readonly SimServer[]): number {
  const isFaulty = config.faults.includes("clock");
  const usual = 2 * (servers.length - 1) * (beats * (isFaulty ? 1.5 : 1) + 3);
  // Who was away when it was removed, and does not ask before it campaigns, is of a later term than who could tell it.
  const strangers = config.settings.preVote === true ? 0 : servers.length - members.length;
  return usual + strangers * servers.length * beats;
}

/** Whether a server was removed and can't apply what it has lost: nobody is left who would give it that again. */
export function isStuck({ id, core }: Life, members: readonly { readonly id: ServerId }[]): boolean {
  return core.damaged.length + core.repairing.length > 0 && !members.some((member) => member.id === id);
}

function isIdle({ ghost }: Simulation, life: Life, members: readonly SimServer[]): void {
  const { proposalsPending, proposalsPendingBytes } = life.raft!.metrics();
  ghost.must(proposalsPending === 0 && proposalsPendingBytes === 0, "V6", () => {
    return `"${life.id}" rests and counts ${proposalsPending} calls of ${proposalsPendingBytes} bytes`;
  });
  for (const [peer, progress] of life.core.leading?.progress ?? []) {
    // Who was removed a moment ago gets what says so, for a while.
    if (!members.some(({ id }) => id === peer)) continue;
    const { inFlight, inFlightBytes, probe, state } = progress;
    const isQuiet = inFlight.length === 0 && inFlightBytes === 0 && probe === undefined && state === "replicate";
    ghost.must(isQuiet, "V6", () => {
      return `leader "${life.id}" rests and has ${inFlight.length} appends on their way to "${peer}", as it ${state}s`;
    });
  }
}
