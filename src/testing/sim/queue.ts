/**
 * What is going to happen, in order.
 *
 * @module
 */

/** Where an event comes from. Events of one moment and one server happen in this order. */
export const Port = { disk: 0, timer: 1, network: 2, client: 3, nemesis: 4, phase: 5 } as const;

/** One of the numbers of {@linkcode Port}. */
export type Port = (typeof Port)[keyof typeof Port];

/** Something that is going to happen. */
export interface SimEvent {
  /** When, in microseconds of true time. */
  time: number;
  /** The server that caused it, -1 for the world around. */
  readonly origin: number;
  readonly port: Port;
  /** Counts the events of this origin and port. */
  readonly sequence: number;
  /** The server that it happens to, -1 for none: it waits while that one is paused. */
  readonly server: number;
  /** What it is, for the trace; told when somebody wants to know where it takes long to put into words. */
  readonly what: string | (() => string);
  /** Undefined when it was cancelled. */
  run: (() => void) | undefined;
}

/** Events by (time, origin, port, sequence): the order in which they were asked for within one drain does not matter. */
export class EventQueue {
  readonly #heap: SimEvent[] = [];

  /** Adds one. */
  push(event: SimEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Takes the next one that was not cancelled. */
  pop(): SimEvent | undefined {
    let event: SimEvent | undefined;
    do event = this.#popAny(); while (event !== undefined && event.run === undefined);
    return event;
  }

  #popAny(): SimEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  if (a.time !== b.time) return a.time < b.time;
  if (a.origin !== b.origin) return a.origin < b.origin;
  if (a.port !== b.port) return a.port < b.port;
  return a.sequence < b.sequence;
}
