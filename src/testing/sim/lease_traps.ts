/**
 * Faults around a leader that has just let a read go by its lease: another one is elected as soon as promises allow, and
 * that must not be before the lease is over. Faults at random times hardly ever come that close.
 *
 * @module
 */
import { LEASE_SHARE, type SimConfig, timelyRates } from "./config.ts";
import type { Action } from "./nemesis.ts";
import type { Direction } from "./partitions.ts";
import type { Random } from "./random.ts";
import type { NodeView, StepView } from "./view.ts";

/** What befalls a cluster at once, and what so many microseconds after that. */
export interface LeaseTrap {
  readonly first: readonly Action[];
  readonly after: number;
  readonly then: readonly Action[];
}

/** Draws such faults for the moment after a step; undefined for none. */
export function drawLeaseTrap(
  random: Random,
  config: SimConfig,
  node: NodeView,
  { event, effects }: StepView,
): LeaseTrap | undefined {
  if (
    event.type !== "read-requested" || event.isLease !== true || !effects.some(({ type }) => type === "answer-read")
  ) {
    return undefined;
  }
  if (!config.faults.includes("partition") || !random.chance(chanceOf(config))) return undefined;
  const peers = random.shuffle(peersOf(node));
  // Nobody else could be elected.
  if (peers.length < 2) return undefined;
  return random.chance(0.5) ? outrun(random, config, node.index, peers) : startAnew(random, config, node.index, peers);
}

/** As many where many read as where few do. */
function chanceOf({ ambush, client, settings }: SimConfig): number {
  const calls = client.clients * settings.electionMinMs! * 1000 / client.thinkTime;
  const reads = calls * (client.leaseShare ?? LEASE_SHARE);
  return ambush * Math.min(2, 1 / (4 * reads));
}

/** The other voters, by their place. */
function peersOf({ index, core }: NodeView): number[] {
  const servers = core.configurations.at(-1)?.configuration.servers ?? [];
  return servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => Number(id.slice(1)))
    .filter((other) => other !== index);
}

/** The leader is cut off, and from then on its clock is as slow as is allowed for, and all others are as fast. */
function outrun(random: Random, config: SimConfig, leader: number, peers: readonly number[]): LeaseTrap {
  const duration = lasting(random, config);
  const [slowest, fastest] = timelyRates(config);
  const drift = (server: number): Action => ({
    type: "drift",
    server,
    rate: server === leader ? slowest : fastest,
    for: duration,
  });
  const drifts = config.faults.includes("clock") ? [leader, ...peers].map(drift) : [];
  return { first: [cutOff(random, config, leader, peers, duration), ...drifts], after: 0, then: [] };
}

/**
 * The leader loses those that it can spare, and a while later the others, which are started anew in that moment: when they
 * are back they are asked for their votes by those that have heard nobody for long.
 */
function startAnew(random: Random, config: SimConfig, leader: number, peers: readonly number[]): LeaseTrap {
  const kinds = (["kill", "power"] as const).filter((kind) => config.faults.includes(kind));
  if (kinds.length === 0) return outrun(random, config, leader, peers);
  const { electionMinMs, heartbeatMs } = config.settings;
  const spared = (peers.length + 1) >> 1;
  const [kept, lost] = [peers.slice(0, spared), peers.slice(spared)];
  const [after, duration] = [random.between(electionMinMs! * 1000, electionMinMs! * 2000), lasting(random, config)];
  const crashes = kept.map((server): Action => ({
    type: "crash",
    server,
    kind: random.pick(kinds),
    for: random.spread(1, heartbeatMs! * 1000),
  }));
  return {
    first: [cutOff(random, config, leader, lost, after + duration)],
    after,
    then: [cutOff(random, config, leader, kept, duration), ...crashes],
  };
}

/** Long enough for the others to go on without the leader. */
function lasting(random: Random, { settings, faultMin, faultMax }: SimConfig): number {
  return settings.electionMaxMs! * 3000 + random.spread(faultMin, faultMax);
}

function cutOff(
  random: Random,
  { faults }: SimConfig,
  leader: number,
  peers: readonly number[],
  duration: number,
): Action {
  const directions = peers.flatMap((peer): Direction[] => [[leader, peer], [peer, leader]]);
  // Whoever learns that a connection has ended waits for its leader no longer than it has promised.
  const resets = faults.includes("reset") && random.chance(0.75);
  return { type: "cut", shape: "isolate", directions, for: duration, ...resets ? { resets } : {} };
}
