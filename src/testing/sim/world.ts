/**
 * Virtual time: one event after the other, each with all that its promises lead to.
 *
 * @module
 */
import { nextTurn } from "../../transport/next_turn.ts";
import { EventQueue, Port, type SimEvent } from "./queue.ts";
import type { Trace } from "./trace.ts";
import { Turns } from "./turns.ts";

/** Turns that may go by until what is waited for, in no virtual time, counts as endless: a second or more. */
const ENDLESS_TURNS = 1_000_000;

/** Time and what happens in it. Nothing here waits for real time. */
export class World {
  /** Microseconds of true time. */
  time = 0;
  /** Events so far. */
  events = 0;
  readonly trace: Trace;
  readonly #queue = new EventQueue();
  readonly #turns = new Turns();
  readonly #sequences = new Map<number, number>();
  /** Events of paused servers. */
  readonly #held = new Map<number, SimEvent[]>();
  readonly #afterEvent: () => void;
  readonly #endlessTurns: number;
  /** What no time passes before the end of, and whom to tell when there is none. */
  readonly #awaited = new Set<() => void>();

  /** Calls `afterEvent` when an event and all that it led to is over. */
  constructor(trace: Trace, afterEvent: () => void, endlessTurns: number = ENDLESS_TURNS) {
    this.trace = trace;
    this.#afterEvent = afterEvent;
    this.#endlessTurns = endlessTurns;
  }

  /**
   * Lets nothing else happen before this is over. What a runtime does on a thread of its own, as when it compresses, takes
   * any number of turns: so it takes no time at all.
   *
   * @param onEndless Told when it is not over after very many turns; time then goes on.
   */
  hold<T>(work: Promise<T>, onEndless: () => void): Promise<T> {
    this.#awaited.add(onEndless);
    const release = () => void this.#awaited.delete(onEndless);
    work.then(release, release);
    return work;
  }

  /** Lets something happen after `delay` microseconds. `origin` is who causes it, `server` whom it happens to. */
  schedule(
    origin: number,
    port: Port,
    delay: number,
    what: SimEvent["what"],
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

  /** Keeps what happens to a server back until {@linkcode World.resume}; gives what tells this pause from later ones. */
  pause(server: number): object {
    const held = this.#held.get(server) ?? [];
    this.#held.set(server, held);
    return held;
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

  /** Whether the server is paused, and is since this pause where one is given. */
  isPaused(server: number, since: object | undefined = this.#held.get(server)): boolean {
    return since !== undefined && this.#held.get(server) === since;
  }

  /** Runs until `isDone` (asked after each event) or until nothing can happen any more. */
  run(isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        if (this.#awaited.size > 0) return this.#wait(turn);
        try {
          if (isDone() || !this.#begin()) return resolve();
        } catch (error) {
          return reject(error);
        }
        this.#turns.next(end);
      };
      const end = (): void => {
        if (this.#awaited.size > 0) return this.#wait(end);
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

  /** Calls back in a turn in which nothing is awaited any more. */
  #wait(then: () => void, turns = 1): void {
    nextTurn(() => {
      if (this.#awaited.size === 0) return then();
      if (turns < this.#endlessTurns) return this.#wait(then, turns + 1);
      const endless = [...this.#awaited];
      this.#awaited.clear();
      for (const tell of endless) tell();
      then();
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
        const { what } = event;
        const said = typeof what === "string" ? what : what();
        this.trace.begin(() => `${(event.time / 1000).toFixed(3)} ms #${this.events} ${said}`);
      }
      const { run } = event;
      // Whoever cancels it now is too late.
      event.run = undefined;
      run!();
      return true;
    }
  }
}
