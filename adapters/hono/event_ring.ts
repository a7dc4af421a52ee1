/**
 * The latest events of a server, for streams that come back and want to go on where they ended.
 *
 * @module
 */
import type { EventStream, RaftEvent } from "../../mod.ts";
import type { AdminTarget } from "./target.ts";

const keptMax = 1024;
const streamsMax = 64;
const keepAliveMs = 15_000;

/** Options of {@linkcode EventRing.stream}. */
export interface EventStreamOptions {
  /** Only events of these types. */
  readonly types: ReadonlySet<string> | undefined;
  /** The last event that was seen, as its id. */
  readonly after: string | undefined;
}

/** One server's: begins with the first stream, ends with the server. */
export class EventRing {
  /** Ids of another run say nothing about this one. */
  readonly #run: string = crypto.randomUUID().slice(0, 8);
  readonly #kept: RaftEvent[] = [];
  readonly #waiting = new Set<() => void>();
  /** Number of the event that is kept longest. */
  #first = 0;
  #streams = 0;
  #isOpen: boolean | undefined;

  /** A stream of events from now on, or from the given one on; undefined when there are too many. */
  stream(
    raft: Pick<AdminTarget, "events">,
    { types, after }: EventStreamOptions,
  ): ReadableStream<Uint8Array> | undefined {
    if (this.#streams >= streamsMax) return undefined;
    if (this.#isOpen === undefined) void this.#collect(raft.events({ bufferMax: keptMax }));
    const encoder = new TextEncoder();
    let next = this.#after(after);
    let isCounted = false;
    let isCancelled = false;
    let wake = () => {};
    const end = () => {
      if (isCounted && !isCancelled) this.#streams--;
      isCancelled = true;
      wake();
    };
    return new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(encoder.encode(": events\n\n")),
      pull: async (controller) => {
        // Only who reads: of an answer to HEAD nobody does, nor does anybody cancel it.
        if (!isCounted) this.#streams++;
        isCounted = true;
        while (!isCancelled) {
          const said = this.#say(next, types);
          next = said.next;
          if (said.text !== "") return controller.enqueue(encoder.encode(said.text));
          if (this.#isOpen === false) {
            end();
            return controller.close();
          }
          if (await this.#news((stop) => wake = stop)) continue;
          if (!isCancelled) return controller.enqueue(encoder.encode(": still here\n\n"));
        }
      },
      cancel: end,
    }, { highWaterMark: 0 });
  }

  async #collect(events: EventStream): Promise<void> {
    this.#isOpen = true;
    let dropped = 0;
    for await (const event of events) {
      if (events.dropped > dropped) {
        // Nobody knows where in what is kept they are missing.
        this.#first += this.#kept.length + events.dropped - dropped;
        this.#kept.length = 0;
        dropped = events.dropped;
      }
      this.#kept.push(event);
      if (this.#kept.length > keptMax) {
        this.#kept.shift();
        this.#first++;
      }
      this.#wakeAll();
    }
    this.#isOpen = false;
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Number of the first event after the one with this id. */
  #after(id: string | undefined): number {
    const end = this.#first + this.#kept.length;
    const [run, number = ""] = (id ?? "").split("-");
    if (id === undefined) return end;
    // Of another run, or of none: all that is kept is news, and what came before it is lost.
    return run === this.#run && /^\d{1,15}$/.test(number) ? Math.min(Number(number) + 1, end) : -1;
  }

  /** The next event that is wanted, from this one on; says how many are gone for ever. */
  #say(next: number, types: ReadonlySet<string> | undefined): { readonly text: string; readonly next: number } {
    if (next < this.#first || next < 0) {
      const missed = next < 0 ? null : this.#first - next;
      return { text: `event: missed\ndata: ${JSON.stringify({ count: missed })}\n\n`, next: this.#first };
    }
    for (let at = next; at < this.#first + this.#kept.length; at++) {
      const event = this.#kept[at - this.#first]!;
      if (types !== undefined && !types.has(event.type)) continue;
      return { text: `id: ${this.#run}-${at}\nevent: ${event.type}\ndata: ${jsonOf(event)}\n\n`, next: at + 1 };
    }
    return { text: "", next: this.#first + this.#kept.length };
  }

  /** Waits for an event: true when one came, false when it is time to say that the stream is alive. */
  #news(stoppable: (stop: () => void) => void): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isNews: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve(isNews);
      };
      const wake = () => end(true);
      const timer = setTimeout(() => end(false), keepAliveMs);
      this.#waiting.add(wake);
      stoppable(wake);
    });
  }
}

/** Null for what is not known, and of errors what is for everybody. */
function jsonOf(event: RaftEvent): string {
  return JSON.stringify(event, (_, value) => {
    if (value instanceof Error) return { message: value.message, code: (value as { code?: unknown }).code ?? null };
    return value === undefined ? null : value;
  });
}
