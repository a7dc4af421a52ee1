/**
 * Lets servers do now and then what is unusual, at the points of their code that are on in a run: see points.ts in `src`.
 *
 * @module
 */
import { type Buggify, type Point, POINTS } from "../../points.ts";
import type { Random } from "./random.ts";

/** How often a point is on in a run, and how often it then is what it is for. */
const pointChance = 0.25;

/** The name of the mark that a point was what it is for. */
export type PointMark = `point-${Point}`;

/** Those that are on in one run. */
export function drawPoints(random: Random): readonly Point[] {
  return POINTS.filter(() => random.chance(pointChance));
}

/** The points of one run. */
export class SimPoints {
  /** How often each was what it is for. */
  readonly hits: Record<PointMark, number>;
  readonly #on: readonly Point[];

  /** Takes those that are on. */
  constructor(on: readonly Point[] = []) {
    this.#on = on;
    this.hits = Object.fromEntries(POINTS.map((point) => [`point-${point}`, 0])) as Record<PointMark, number>;
  }

  /** What one life of a server asks; undefined where no point is on, as in production. */
  asked(random: Random, isCalm: () => boolean): Buggify | undefined {
    if (this.#on.length === 0) return undefined;
    // Each has a stream of its own: one less changes nothing at the others.
    const chances = new Map(this.#on.map((point) => [point, random.split(point)]));
    return (point) => {
      if (chances.get(point)?.chance(pointChance) !== true || isCalm()) return false;
      this.hits[`point-${point}`]++;
      return true;
    };
  }
}
