/**
 * A server's clocks: they drift, they jump, and the monotonic one may stand still while the machine sleeps.
 *
 * @module
 */
import { Port, type SimEvent } from "./queue.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** How fast a server's clock runs, where it begins, and how late its timers fire. */
export interface ClockBehaviour {
  /** Local milliseconds per true millisecond. */
  readonly rate: number;
  /** What the monotonic clock shows at first, milliseconds: timers of 2^31 and more have broken others (BC15). */
  readonly start: number;
  /** Microseconds by which a timer may be late. */
  readonly timerLateMax: number;
}

/** A timer that has not fired. */
export interface SimTimer {
  /** When it is due, on the monotonic clock. */
  readonly due: number;
  readonly callback: () => void;
  event: SimEvent;
}

/** What a server's wall clock shows at first. */
const wallStart = 1_700_000_000_000;

/** The clocks of one server through all its lives; its timers end with each. */
export class SimClock {
  readonly #world: World;
  readonly #server: number;
  readonly #random: Random;
  readonly #timerLateMax: number;
  readonly #timers = new Set<SimTimer>();
  /** The monotonic clock showed `#base` at the true time `#since` and runs at this rate from there. */
  #base: number;
  #since = 0;
  #rate: number;
  #wallOffset = 0;
  /** For how long the monotonic clock has stood still in all, milliseconds. */
  stoppedMs = 0;
  /** By how much the wall clock has run ahead of it in all, milliseconds: what it was set back takes nothing away. */
  gainedMs = 0;

  /** Clocks of a server that is up from the beginning of time. */
  constructor(world: World, server: number, behaviour: ClockBehaviour, random: Random) {
    this.#world = world;
    this.#server = server;
    this.#random = random;
    this.#base = behaviour.start;
    this.#rate = behaviour.rate;
    this.#timerLateMax = behaviour.timerLateMax;
  }

  /** The monotonic clock, milliseconds. */
  now(): number {
    return this.#base + (this.#world.time - this.#since) * this.#rate / 1000;
  }

  /** The wall clock, milliseconds since 1970. */
  wallNow(): number {
    return wallStart + Math.floor(this.now()) + this.#wallOffset;
  }

  /** Calls back no earlier than after so many local milliseconds. */
  setTimeout(callback: () => void, ms: number): SimTimer {
    const timer: SimTimer = { due: this.now() + Math.max(0, ms), callback, event: undefined as unknown as SimEvent };
    this.#timers.add(timer);
    this.#arm(timer);
    return timer;
  }

  /** Forgets a timer. */
  clearTimeout(timer: SimTimer): void {
    this.#timers.delete(timer);
    timer.event.run = undefined;
  }

  /** The process is gone, and its timers with it. */
  clear(): void {
    for (const timer of this.#timers) timer.event.run = undefined;
    this.#timers.clear();
  }

  /** The wall clock jumps by so many milliseconds. */
  stepWall(ms: number): void {
    this.#wallOffset += ms;
    this.gainedMs += Math.max(0, ms);
  }

  /** The monotonic clock jumps ahead, as after a sleep that it counts: timers are due at once. The wall clock with it. */
  stepMonotonic(ms: number): void {
    this.#rebase(this.now() + Math.max(0, ms), this.#rate);
  }

  /**
   * The machine slept for so many milliseconds and its monotonic clock has not noticed; the wall clock has.
   *
   * @param shown What the monotonic clock showed when it fell asleep: its rate may have changed since, and it never goes back.
   */
  stopMonotonic(ms: number, shown: number): void {
    this.stoppedMs += ms;
    this.gainedMs += ms;
    this.#rebase(shown, this.#rate);
    this.#wallOffset += ms;
  }

  /** The clocks run at this many local milliseconds per true one from now on. */
  setRate(rate: number): void {
    this.#rebase(this.now(), rate);
  }

  #rebase(base: number, rate: number): void {
    this.#base = base;
    this.#since = this.#world.time;
    this.#rate = rate;
    for (const timer of this.#timers) {
      timer.event.run = undefined;
      this.#arm(timer);
    }
  }

  #arm(timer: SimTimer): void {
    const delay = Math.ceil(Math.max(0, timer.due - this.now()) * 1000 / this.#rate);
    const late = this.#random.below(this.#timerLateMax + 1);
    timer.event = this.#world.schedule(this.#server, Port.timer, delay + late, `s${this.#server} timer`, () => {
      this.#timers.delete(timer);
      timer.callback();
    });
  }
}
