/**
 * Virtual time: one event after the other, each with all that its promises lead to.
 *
 * @module
 */
import { nextTurn } from "../../transport/next_turn.ts";
import { EventQueue, Port, type SimEvent } from "./queue.ts";
import type { Trace } from "./trace.ts";

/** Time and what happens in it. Nothing here waits for real time. */
export class World {
  /** Microseconds of true time. */
  time = 0;
  /** Events so far. */
  events = 0;
  readonly trace: Trace;
  readonly #queue = new EventQueue();
  readonly #sequences = new Map<number, number>();
  /** Events of paused servers. */
  readonly #held = new Map<number, SimEvent[]>();
  readonly #afterEvent: () => void;

  /** Calls `afterEvent` when an event and all that it led to is over. */
  constructor(trace: Trace, afterEvent: () => void) {
    this.trace = trace;
    this.#afterEvent = afterEvent;
  }

  /** Lets something happen after `delay` microseconds. `origin` is who causes it, `server` whom it happens to. */
  schedule(
    origin: number,
    port: Port,
    delay: number,
    what: string,
    run: () => void,
    server: number = origin,
  ): SimEvent {
    const key = (origin + 1) * 8 + port;
    const sequence = (this.#sequences.get(key) ?? 0) + 1;
    this.#sequences.set(key, sequence);
    const event = { time: this.time + Math.max(0, Math.round(delay)), origin, port, sequence, server, what, run };
    this.#queue.push(event);
    return event;
  }

  /** Keeps what happens to a server back until {@linkcode World.resume}. */
  pause(server: number): void {
    if (!this.#held.has(server)) this.#held.set(server, []);
  }

  /** Lets all that was kept back happen now, in its order. */
  resume(server: number): void {
    const held = this.#held.get(server);
    this.#held.delete(server);
    for (const event of held ?? []) {
      event.time = this.time;
      this.#queue.push(event);
    }
  }

  /** Whether the server is paused. */
  isPaused(server: number): boolean {
    return this.#held.has(server);
  }

  /** Runs until `isDone` (asked after each event) or until nothing can happen any more. */
  run(isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        try {
          if (isDone() || !this.#begin()) return resolve();
        } catch (error) {
          return reject(error);
        }
        nextTurn(end);
      };
      const end = (): void => {
        try {
          this.#afterEvent();
        } catch (error) {
          return reject(error);
        }
        turn();
      };
      // What was asked for before the first event belongs to the past.
      nextTurn(turn);
    });
  }

  /** Begins the next event; false when there is none. */
  #begin(): boolean {
    for (;;) {
      const event = this.#queue.pop();
      if (event === undefined) return false;
      const held = this.#held.get(event.server);
      if (held !== undefined && event.port !== Port.nemesis && event.port !== Port.phase) {
        held.push(event);
        continue;
      }
      this.time = event.time;
      this.events++;
      this.trace.add(event.time);
      this.trace.add(((event.origin + 1) * 8 + event.port) * 2 ** 16 + event.server + 1);
      if (this.trace.keepsLines) {
        this.trace.begin(() => `${(event.time / 1000).toFixed(3)} ms #${this.events} ${event.what}`);
      }
      const { run } = event;
      // Whoever cancels it now is too late.
      event.run = undefined;
      run!();
      return true;
    }
  }
}
