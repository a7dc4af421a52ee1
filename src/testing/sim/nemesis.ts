/**
 * What breaks the world: faults as data, drawn from a seed and performed on a simulation.
 *
 * @module
 */
import type { Channel } from "../../transport/transport.ts";
import { type SimConfig, timelyRates } from "./config.ts";
import { type DiskAction, diskChoices } from "./disk/disk_actions.ts";
import { type Direction, drawPartition, type PartitionName } from "./partitions.ts";
import type { Random } from "./random.ts";
import type { CrashKind } from "./storage.ts";

/** One fault. Times in microseconds; servers by their place. */
export type Action =
  /** Frames in these directions get lost, for so long. */
  | {
    readonly type: "cut";
    readonly shape: PartitionName;
    readonly directions: readonly Direction[];
    readonly for: number;
    /** Whether connections are reset as well, which loses some of what is on its way. */
    readonly resets?: boolean;
  }
  /** Frames in this direction wait, those of both channels unless one is named. */
  | {
    readonly type: "clog";
    readonly from: number;
    readonly to: number;
    readonly for: number;
    readonly channel?: Channel;
  }
  /** Servers are clogged one after the other, and freed in another order. */
  | {
    readonly type: "swizzle";
    readonly clogs: readonly { readonly server: number; readonly from: number; readonly until: number }[];
    readonly for: number;
  }
  /** The connections of two servers end, those of both channels unless one is named. */
  | { readonly type: "reset"; readonly a: number; readonly b: number; readonly channel?: Channel }
  /** The server dies and starts again after so long. */
  | { readonly type: "crash"; readonly server: number; readonly kind: CrashKind; readonly for: number }
  /**
   * The server is shut down, which lets it hand over and say goodbye, and starts again after so long. Or it is drained first, and
   * goes on when that fails.
   */
  | { readonly type: "restart"; readonly server: number; readonly for: number; readonly drains?: true }
  /** The process does nothing, then everything at once. */
  | { readonly type: "pause"; readonly server: number; readonly for: number }
  /** The machine sleeps: nobody reaches it, and its monotonic clock stands still. */
  | { readonly type: "suspend"; readonly server: number; readonly for: number }
  /** The wall clock jumps, either way. */
  | { readonly type: "step-wall"; readonly server: number; readonly ms: number }
  /** The monotonic clock jumps ahead. */
  | { readonly type: "step-monotonic"; readonly server: number; readonly ms: number }
  | DiskAction
  /** The clocks run at another rate for so long. */
  | { readonly type: "drift"; readonly server: number; readonly rate: number; readonly for: number };

/** What a nemesis knows of the cluster. */
export interface Situation {
  /** A server that believes to lead, if there is one. */
  readonly leader: number | undefined;
}

/** One fault and how likely it is among those that the configuration allows. */
type Choice = readonly [action: Action | undefined, weight: number];

/** A disk in memory can be lost, stalled or slow, and nothing else. */
const ofMemory = ["wipe", "disk-stall", "disk-slow"] as const;

/** Draws the next fault; undefined when the configuration allows none. */
export function drawAction(random: Random, config: SimConfig, { leader }: Situation): Action | undefined {
  const { servers, faults, faultMin, faultMax } = config;
  const duration = random.spread(faultMin, faultMax);
  // The leader is what most bugs are about.
  const wantsLeader = random.chance(0.4);
  const anyone = random.below(servers);
  const server = wantsLeader && leader !== undefined ? leader : anyone;
  const has = (fault: SimConfig["faults"][number]) => faults.includes(fault);
  const choices: readonly Choice[] = [
    ...servers > 1 ? betweenServers(random, config, server, duration) : [],
    [has("kill") ? { type: "crash", server, kind: "kill", for: duration } : undefined, 2],
    [has("power") ? { type: "crash", server, kind: "power", for: duration } : undefined, 3],
    [has("restart") ? { type: "restart", server, for: duration } : undefined, 2],
    [has("pause") ? { type: "pause", server, for: duration } : undefined, 2],
    [has("suspend") ? { type: "suspend", server, for: duration } : undefined, 1],
    ...config.disk.store === "wal" ? diskChoices(random, faults, server, duration) : [],
    ...config.disk.store === "memory" && ofMemory.some(has)
      ? diskChoices(random, ofMemory.filter(has), server, duration)
      : [],
    [has("clock") ? clockFault(random, config, server, duration) : undefined, 2],
  ];
  const possible = choices.filter((choice): choice is readonly [Action, number] => choice[0] !== undefined);
  return possible.length === 0 ? undefined : random.weighted(possible);
}

/** The restart of a server that is drained first, or not. */
export function drained(random: Random, { drains = 0 }: Pick<SimConfig, "drains">, action: Action): Action {
  return action.type === "restart" && random.chance(drains) ? { ...action, drains: true } : action;
}

/** The fault on one channel alone, or on both, where there are two. */
export function onChannel(random: Random, { network }: SimConfig, action: Action): Action {
  if ((action.type !== "reset" && action.type !== "clog") || network.bulk === undefined) return action;
  const channel = random.pick([undefined, "consensus", "bulk"] as const);
  return channel === undefined ? action : { ...action, channel };
}

function betweenServers(random: Random, { servers, faults }: SimConfig, server: number, duration: number): Choice[] {
  const other = (server + random.between(1, servers - 1)) % servers;
  const partition = drawPartition(random, servers, server);
  return [
    [faults.includes("partition") ? { type: "cut", ...partition, for: duration } : undefined, 4],
    [faults.includes("clog") ? { type: "clog", from: server, to: other, for: duration } : undefined, 1],
    [faults.includes("swizzle") ? swizzle(random, servers, duration) : undefined, 1],
    [faults.includes("reset") ? { type: "reset", a: server, b: other } : undefined, 2],
  ];
}

function swizzle(random: Random, servers: number, duration: number): Action {
  const some = random.shuffle(Array.from({ length: servers }, (_, i) => i)).slice(0, random.between(1, servers));
  const freed = random.shuffle(some);
  const step = Math.floor(duration / (2 * some.length + 1));
  const clogs = some.map((server, i) => ({
    server,
    from: step * i,
    until: step * (some.length + freed.indexOf(server) + 1),
  }));
  return { type: "swizzle", clogs, for: duration };
}

function clockFault(random: Random, config: SimConfig, server: number, duration: number): Action {
  const { faults, faultMax, keepsTime } = config;
  const most = Math.max(2, Math.floor(faultMax / 1000));
  const ms = random.spread(1, most);
  if (keepsTime === true) {
    // A wall clock that is set back may hide that the machine has slept.
    const back = faults.includes("suspend") ? ms : -ms;
    return random.pick<Action>([
      { type: "step-wall", server, ms: random.chance(0.5) ? ms : back },
      { type: "drift", server, rate: random.pick(timelyRates(config)), for: duration },
    ]);
  }
  return random.pick<Action>([
    { type: "step-wall", server, ms: random.chance(0.5) ? ms : -ms },
    { type: "step-monotonic", server, ms },
    { type: "drift", server, rate: random.pick([0.5, 0.9, 1.1, 2]), for: duration },
  ]);
}
