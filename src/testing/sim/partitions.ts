/**
 * Shapes of partitions: which directions are cut.
 *
 * @module
 */
import type { Random } from "./random.ts";

/** One direction. */
export type Direction = readonly [from: number, to: number];

/** Draws the cut directions among servers in this order: the first is the one it is about, mostly the leader. */
export type Shape = (order: readonly number[], random: Random) => Direction[];

/** A shape's name. */
export type PartitionName =
  | "isolate"
  | "halves"
  | "leader and minority"
  | "deaf"
  | "mute"
  | "bridge"
  | "majorities ring"
  | "chain"
  | "cloudflare"
  | "alone"
  | "pair"
  | "client and leader";

/** Every shape, by name. */
export const PARTITIONS: Readonly<Record<PartitionName, Shape>> = {
  /** One server reaches nobody (most bugs need no more: BV15). */
  isolate: ([one, ...rest]) => between([one!], rest),
  halves: (order, random) => split(order, random.between(1, Math.max(1, order.length - 1))),
  /** The leader keeps a minority: it goes on for a while and commits nothing. */
  "leader and minority": (order) => split(order, Math.max(1, (order.length - 1) >> 1)),
  /** The leader hears nobody, and all hear it (BV02). */
  deaf: ([one, ...rest]) => oneWay(rest, [one!]),
  /** Nobody hears the leader. */
  mute: ([one, ...rest]) => oneWay([one!], rest),
  /** Two halves that both reach one server. */
  bridge: ([, ...rest]) => split(rest, rest.length >> 1),
  /** Each reaches a majority, and no two of them the same one. */
  "majorities ring": (order) =>
    unless(order, (i, j) => ringDistance(i, j, order.length) <= ((order.length >> 1) + 1) >> 1),
  /** Each reaches the one before it and the one after it. */
  chain: (order) => unless(order, (i, j) => Math.abs(i - j) === 1),
  /** What kept a cluster without a leader for six hours in November 2020 (BV01). */
  cloudflare: (order) => unless(order, (i, j) => hasEdge(cloudflare, i, j) || Math.max(i, j) > 4),
  /** Everybody sees nobody but clients. */
  alone: (order) => unless(order, () => false),
  /** Two servers lose one another, and nobody else notices. */
  pair: ([one, other]) => other === undefined ? [] : between([one!], [other]),
  /** The leader and a server that clients call: what it forwards gets lost, or the answers do, and nobody else notices. */
  "client and leader": ([leader, called], random) => {
    if (called === undefined) return [];
    const [there, back] = [oneWay([called], [leader!]), oneWay([leader!], [called])];
    return random.pick([there, back, [...there, ...back]]);
  },
};

/**
 * The leader 0 is left with 1 alone, which does not see 4; both 1 and 4 reach a majority, so that without a question
 * before elections each deposes the other for ever.
 */
const cloudflare: readonly Direction[] = [[0, 1], [1, 2], [1, 3], [4, 2], [4, 3]];

/** Half of all partitions isolate one server. Where clients and a leader lose one another is drawn as they call, see ambush.ts. */
const weights: readonly (readonly [PartitionName, number])[] = [
  ["isolate", 10],
  ["halves", 2],
  ["leader and minority", 2],
  ["deaf", 1],
  ["mute", 1],
  ["bridge", 1],
  ["majorities ring", 1],
  ["chain", 1],
  ["cloudflare", 1],
  ["alone", 1],
  ["pair", 2],
];

/** A random shape around one server, among so many. */
export function drawPartition(
  random: Random,
  servers: number,
  around: number,
): { readonly shape: PartitionName; readonly directions: Direction[] } {
  const others = Array.from({ length: servers }, (_, server) => server).filter((server) => server !== around);
  const order = [around, ...random.shuffle(others)];
  const shape = random.weighted(weights);
  return { shape, directions: PARTITIONS[shape](order, random) };
}

function split(order: readonly number[], at: number): Direction[] {
  return between(order.slice(0, at), order.slice(at));
}

function between(some: readonly number[], others: readonly number[]): Direction[] {
  return [...oneWay(some, others), ...oneWay(others, some)];
}

function oneWay(from: readonly number[], to: readonly number[]): Direction[] {
  return from.flatMap((a) => to.map((b): Direction => [a, b]));
}

/** All directions but those between places for which this holds. */
function unless(order: readonly number[], isOpen: (i: number, j: number) => boolean): Direction[] {
  return order.flatMap((a, i) => order.flatMap((b, j): Direction[] => i === j || isOpen(i, j) ? [] : [[a, b]]));
}

function ringDistance(i: number, j: number, count: number): number {
  const distance = Math.abs(i - j);
  return Math.min(distance, count - distance);
}

function hasEdge(edges: readonly Direction[], i: number, j: number): boolean {
  return edges.some(([a, b]) => (a === i && b === j) || (a === j && b === i));
}
