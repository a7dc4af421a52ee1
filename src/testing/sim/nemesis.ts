/**
 * What breaks the world: faults as data, drawn from a seed and performed on a simulation.
 *
 * @module
 */
import type { SimConfig } from "./config.ts";
import type { Random } from "./random.ts";
import type { CrashKind } from "./storage.ts";

/** One fault. Times in microseconds; servers by their place. */
export type Action =
  /** Frames in these directions get lost, for so long. */
  | {
    readonly type: "cut";
    readonly directions: readonly (readonly [from: number, to: number])[];
    readonly for: number;
  }
  /** Frames in this direction wait. */
  | { readonly type: "clog"; readonly from: number; readonly to: number; readonly for: number }
  /** The connection of two servers ends. */
  | { readonly type: "reset"; readonly a: number; readonly b: number }
  /** The server dies and starts again after so long. */
  | { readonly type: "crash"; readonly server: number; readonly kind: CrashKind; readonly for: number }
  /** The process does nothing, then everything at once. */
  | { readonly type: "pause"; readonly server: number; readonly for: number }
  /** The wall clock jumps. */
  | { readonly type: "step-clock"; readonly server: number; readonly ms: number };

/** What a nemesis knows of the cluster. */
export interface Situation {
  /** A server that believes to lead, if there is one. */
  readonly leader: number | undefined;
}

/** Draws the next fault; undefined when the configuration allows none. */
export function drawAction(random: Random, config: SimConfig, { leader }: Situation): Action | undefined {
  const { servers, faults, faultMax, network } = config;
  const duration = random.spread(Math.max(1, network.delayMax), faultMax);
  // The leader is what most bugs are about.
  const wantsLeader = random.chance(0.4);
  const anyone = random.below(servers);
  const server = wantsLeader && leader !== undefined ? leader : anyone;
  const other = (server + random.between(1, Math.max(1, servers - 1))) % servers;
  const all: readonly (readonly [Action | undefined, number])[] = [
    [faults.includes("partition") && servers > 1 ? partition(random, servers, server, duration) : undefined, 4],
    [faults.includes("clog") && servers > 1 ? { type: "clog", from: server, to: other, for: duration } : undefined, 1],
    [faults.includes("reset") && servers > 1 ? { type: "reset", a: server, b: other } : undefined, 2],
    [faults.includes("kill") ? { type: "crash", server, kind: "kill", for: duration } : undefined, 2],
    [faults.includes("power") ? { type: "crash", server, kind: "power", for: duration } : undefined, 3],
    [faults.includes("pause") ? { type: "pause", server, for: duration } : undefined, 2],
    [faults.includes("clock") ? { type: "step-clock", server, ms: random.between(-10_000, 10_000) } : undefined, 1],
  ];
  const possible = all.filter((entry): entry is readonly [Action, number] => entry[0] !== undefined);
  return possible.length === 0 ? undefined : random.weighted(possible);
}

/** A partition of a random shape around one server (§4.3 of the plan: isolation is what finds most). */
function partition(random: Random, servers: number, around: number, duration: number): Action {
  const order = [around, ...random.shuffle(range(servers).filter((server) => server !== around))];
  const directions = random.weighted<() => [number, number][]>([
    [() => between([around], order.slice(1)), 5],
    [() => halves(order, random.between(1, Math.max(1, servers - 1))), 3],
    [() => oneWay([around], order.slice(1)), 1],
    [() => oneWay(order.slice(1), [around]), 1],
    // Two halves that both see one server.
    [() => halves(order.slice(1), (servers - 1) >> 1), 1],
    // A ring in which each sees its two neighbours only.
    [
      () => order.flatMap((a, i) => order.flatMap((b, j) => isNear(i, j, servers) ? [] : [[a, b] as [number, number]])),
      1,
    ],
    [() => between([around], order.slice(1, 2)), 2],
  ])();
  return { type: "cut", directions, for: duration };
}

function halves(order: readonly number[], at: number): [number, number][] {
  return between(order.slice(0, at), order.slice(at));
}

function between(some: readonly number[], others: readonly number[]): [number, number][] {
  return [...oneWay(some, others), ...oneWay(others, some)];
}

function oneWay(from: readonly number[], to: readonly number[]): [number, number][] {
  return from.flatMap((a) => to.map((b) => [a, b] as [number, number]));
}

function isNear(i: number, j: number, count: number): boolean {
  const distance = Math.abs(i - j);
  return distance <= 1 || distance === count - 1;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
