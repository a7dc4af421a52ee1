/**
 * The lines between servers, one per direction: cut, clogged, slow or narrow.
 *
 * @module
 */
import { type DelayShape, drawDelay } from "./delays.ts";
import type { Random } from "./random.ts";

/** How the network behaves in one run; chances in `[0, 1]`, times in microseconds. */
export interface NetworkBehaviour {
  readonly delayShape: DelayShape;
  readonly delayMin: number;
  readonly delayMax: number;
  /** A frame that takes up to `tailMax` instead. */
  readonly tailChance: number;
  readonly tailMax: number;
  /** An answer that takes up to `lateMax` instead: whoever waited for it has long given up. */
  readonly late: number;
  readonly lateMax: number;
  readonly loss: number;
  readonly duplicate: number;
  /**
   * An old frame of the line, of this life or an earlier one, is sent again beside a new one. Where it is not 0, a question
   * may also get an old answer to another one of its number.
   */
  readonly replay: number;
  /** A frame is followed by one that no honest server sends, see hostile.ts; undefined for none. */
  readonly hostile?: number;
  /** Frames overtake one another. */
  readonly reorder: boolean;
  /** The queue to the peer is full: a frame is not taken. */
  readonly refuse: number;
  /** Nobody answers a dial. */
  readonly refuseDial: number;
  /** A line takes this many bytes in a millisecond; 0 for as many as there are. */
  readonly bytesPerMs: number;
  /** Bytes that wait for a narrow line; a frame beyond it is not taken. */
  readonly queueBytesMax: number;
  /** A connection whose other end is unreachable ends after this long. */
  readonly silence: number;
  /** Servers whose connections speak the oldest protocol; none by default. */
  readonly oldServers?: readonly number[];
  /**
   * What is different on a second connection for what is long, as production has one; undefined where that travels with
   * everything else.
   */
  readonly bulk?: BulkBehaviour;
}

/** Faults of bulk connections, instead of those of the others. */
export type BulkBehaviour = Pick<NetworkBehaviour, "refuse" | "refuseDial" | "bytesPerMs">;

/** The same without faults. */
export function calm(behaviour: NetworkBehaviour): NetworkBehaviour {
  const none = {
    tailChance: 0,
    late: 0,
    loss: 0,
    duplicate: 0,
    replay: 0,
    hostile: 0,
    refuse: 0,
    refuseDial: 0,
    bytesPerMs: 0,
  };
  const bulk = behaviour.bulk === undefined ? {} : { bulk: { refuse: 0, refuseDial: 0, bytesPerMs: 0 } };
  return { ...behaviour, ...none, ...bulk, delayShape: "uniform" };
}

/** All directions of one channel, by `from * count + to`. */
export class Lines {
  behaviour: NetworkBehaviour;
  readonly #count: number;
  /** How many partitions cut a direction. */
  readonly #cuts: Uint8Array;
  /** Until when frames are held up. */
  readonly #clogs: Float64Array;
  /** When a narrow line has let through all that waits for it. */
  readonly #busyUntil: Float64Array;

  /** Lines between so many servers. Others that are cut with them bring their cuts. */
  constructor(count: number, behaviour: NetworkBehaviour, cuts: Uint8Array = new Uint8Array(count * count)) {
    this.behaviour = behaviour;
    this.#count = count;
    this.#cuts = cuts;
    this.#clogs = new Float64Array(count * count);
    this.#busyUntil = new Float64Array(count * count);
  }

  /** Those of bulk connections, which are cut with these, and clogged and narrow by themselves. */
  besides(): Lines {
    return new Lines(this.#count, { ...this.behaviour, ...this.behaviour.bulk }, this.#cuts);
  }

  /** The place of a direction. */
  at(from: number, to: number): number {
    return from * this.#count + to;
  }

  /** Cuts one direction; every cut needs its {@linkcode Lines.mend}. */
  cut(from: number, to: number): void {
    this.#cuts[this.at(from, to)]!++;
  }

  /** Undoes one cut. */
  mend(from: number, to: number): void {
    const at = this.at(from, to);
    if (this.#cuts[at]! > 0) this.#cuts[at]!--;
  }

  /** Whether frames in this direction get lost. */
  isCut(from: number, to: number): boolean {
    return this.#cuts[this.at(from, to)]! > 0;
  }

  /** Holds frames of one direction up until then. */
  clog(from: number, to: number, until: number): void {
    const at = this.at(from, to);
    this.#clogs[at] = Math.max(this.#clogs[at]!, until);
  }

  /** Whether frames of this direction are held up. */
  isClogged(from: number, to: number, now: number): boolean {
    return this.#clogs[this.at(from, to)]! > now;
  }

  /** Undoes all cuts among these servers, and all clogs. */
  mendAmong(servers: readonly number[]): void {
    for (const from of servers) for (const to of servers) this.#cuts[this.at(from, to)] = 0;
    this.#clogs.fill(0);
    this.#busyUntil.fill(0);
  }

  /** Whether a narrow line has room for one more frame in its queue. */
  hasRoom(from: number, to: number, now: number): boolean {
    const { bytesPerMs, queueBytesMax } = this.behaviour;
    if (bytesPerMs === 0) return true;
    return (this.#busyUntil[this.at(from, to)]! - now) / 1000 * bytesPerMs < queueBytesMax;
  }

  /** How long a frame takes that is sent now. */
  delayOf(random: Random, from: number, to: number, now: number, bytes: number, isAnswer: boolean): number {
    const { delayShape, delayMin, delayMax, tailChance, tailMax, late, lateMax, bytesPerMs } = this.behaviour;
    const at = this.at(from, to);
    let delay = drawDelay(random, delayShape, delayMin, delayMax);
    if (random.chance(tailChance)) delay = random.spread(delayMin + 1, tailMax);
    if (isAnswer && random.chance(late)) delay = random.spread(delayMax + 1, lateMax);
    if (bytesPerMs > 0) {
      this.#busyUntil[at] = Math.max(now, this.#busyUntil[at]!) + Math.ceil(bytes * 1000 / bytesPerMs);
      delay += this.#busyUntil[at]! - now;
    }
    return Math.max(delay, this.#clogs[at]! - now);
  }

  /** What waited for the line is gone with its connection. */
  drain(from: number, to: number): void {
    this.#busyUntil[this.at(from, to)] = 0;
  }
}
