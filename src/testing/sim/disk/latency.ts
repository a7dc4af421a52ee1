/**
 * How long a disk takes, and in what order it is done.
 *
 * @module
 */
import type { ServerId } from "../../../types.ts";
import { Port } from "../queue.ts";
import type { Random } from "../random.ts";
import type { DiskBehaviour, DiskPoint, Operations } from "../storage.ts";
import type { World } from "../world.ts";

/** How often a point is unkind where it is on. */
const pointChance = 0.25;

/** What has begun on a file. */
interface FileTimes {
  /** When the last operation is done that has begun. */
  last: number;
  /** No operation that begins later is done before this. */
  barrier: number;
}

/** Lets every operation take as long as chance says. They overtake one another, but none overtakes a sync of its file. */
export class Latency implements Operations {
  readonly #world: World;
  readonly #random: Random;
  readonly #server: number;
  readonly #id: ServerId;
  readonly #behaviour: DiskBehaviour;
  readonly #files = new Map<string, FileTimes>();
  /** What begins when the disk is not stalled any more; undefined while it is not. */
  #waiting: (() => void)[] | undefined;
  #slowBy = 0;
  #isKind = false;
  #life = 0;
  count = 0;

  /** Takes whose disk it is and how it behaves. */
  constructor(world: World, random: Random, server: number, id: ServerId, behaviour: DiskBehaviour) {
    this.#world = world;
    this.#random = random;
    this.#server = server;
    this.#id = id;
    this.#behaviour = behaviour;
  }

  later(what: string, file = ""): Promise<void> {
    return this.#later(what, file, 0);
  }

  laterAt(point: DiskPoint, what: string): Promise<void> {
    const { points, stallMax } = this.#behaviour;
    const isUnkind = points?.includes(point) === true && this.#random.chance(pointChance) && !this.#isKind;
    return this.#later(what, "", isUnkind ? this.#random.spread(1, stallMax) : 0);
  }

  #later(what: string, file: string, extra: number): Promise<void> {
    this.count++;
    const waiting = this.#waiting;
    if (waiting === undefined) return this.#begin(what, file, extra);
    return new Promise<void>((resolve) => waiting.push(() => this.#begin(what, file, extra).then(resolve)));
  }

  slow(by: number): void {
    this.#slowBy = by;
  }

  heal(): void {
    this.stall(false);
    this.slow(0);
    this.#isKind = true;
  }

  stall(isStalled: boolean): void {
    const waiting = this.#waiting;
    if (!isStalled) this.#waiting = undefined;
    else this.#waiting ??= [];
    if (!isStalled) { for (const begin of waiting ?? []) begin(); }
  }

  #begin(what: string, file: string, extra: number): Promise<void> {
    const times = this.#timesOf(file);
    const { time } = this.#world;
    let end = Math.max(time + this.#draw() + this.#slowBy + extra, times.barrier);
    if (what === "sync" || what === "sync-directory") end = times.barrier = Math.max(end, times.last);
    times.last = Math.max(times.last, end);
    // What a dead process waits for never comes: its code must not go on beside that of the next life.
    const mine = this.#life;
    return new Promise<void>((resolve) => {
      this.#world.schedule(this.#server, Port.disk, end - time, `${this.#id} ${what}`, () => {
        if (mine === this.#life) resolve();
      });
    });
  }

  end(): void {
    this.#life++;
    this.#files.clear();
    if (this.#waiting !== undefined) this.#waiting = [];
  }

  #timesOf(file: string): FileTimes {
    const known = this.#files.get(file);
    if (known !== undefined) return known;
    const times = { last: 0, barrier: 0 };
    this.#files.set(file, times);
    return times;
  }

  #draw(): number {
    const random = this.#random;
    const { latencyMin, latencyMax, stallChance, stallMax } = this.#behaviour;
    return random.chance(stallChance)
      ? random.spread(latencyMin + 1, stallMax)
      : random.between(latencyMin, latencyMax);
  }
}
