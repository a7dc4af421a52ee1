/**
 * What happens to a server, for whoever watches: bounded, never in the way of consensus.
 *
 * @module
 */
import { checkFunction, checkOptions, checkWhole } from "./checks.ts";
import type { LeaderHint } from "./errors.ts";
import type { Configuration, LogIndex, Role, Server, ServerAddress, ServerId, Term } from "./types.ts";

/** What `raft.events()` yields. */
export type RaftEvent =
  /** The server's role or term changed. */
  | { readonly type: "role"; readonly role: Role | "shutdown"; readonly term: Term; readonly reason: string }
  /** Another leader is known, or none. */
  | { readonly type: "leader"; readonly leader: LeaderHint | undefined; readonly term: Term }
  /** A peer can be talked to. */
  | { readonly type: "peer-connected"; readonly peer: ServerId; readonly address: ServerAddress }
  /** A peer can't be talked to any more. */
  | { readonly type: "peer-disconnected"; readonly peer: ServerId; readonly reason: string }
  /** A dial failed, a handshake was refused, or a peer broke the protocol. */
  | {
    readonly type: "peer-trouble";
    readonly peer: ServerId | undefined;
    readonly kind: string;
    readonly reason: string;
  }
  /** The configuration in force changed: one was appended, or taken back. */
  | { readonly type: "configuration"; readonly index: LogIndex; readonly configuration: Configuration }
  /** That configuration is known to be committed: it stays. */
  | { readonly type: "configuration-committed"; readonly index: LogIndex; readonly configuration: Configuration }
  /** A server, this one or another, is in the configuration in force as of that index, and was not before. */
  | { readonly type: "server-added"; readonly server: Server; readonly index: LogIndex }
  /** A server has another address, suffrage or priority as of that index. */
  | { readonly type: "server-updated"; readonly server: Server; readonly before: Server; readonly index: LogIndex }
  /** A server is no longer in the configuration in force as of that index. */
  | { readonly type: "server-removed"; readonly server: Server; readonly index: LogIndex }
  /** On the leader: a peer was not heard for longer than `leaseMs`. */
  | { readonly type: "heartbeat-failed"; readonly peer: ServerId; readonly lastContactMs: number }
  /** On the leader: it is heard again. */
  | { readonly type: "heartbeat-resumed"; readonly peer: ServerId; readonly lastContactMs: number }
  /** On the leader: a staging server has all that was there when this round of catching up began. */
  | {
    readonly type: "catch-up";
    readonly peer: ServerId;
    /** Up to here its log is known to equal the leader's. */
    readonly matchIndex: LogIndex;
    /** The leader's last entry. */
    readonly lastIndex: LogIndex;
    /** Rounds so far; it votes after one that took no longer than an election timeout. */
    readonly round: number;
  }
  /**
   * On the leader: a server came back with an empty disk or an older copy of its own. It counts for neither votes nor
   * commits until it has caught up and was re-admitted.
   */
  | { readonly type: "server-distrusted"; readonly server: ServerId; readonly reason: "replaced" | "older" }
  /** On the leader: it has, and counts again. */
  | { readonly type: "server-readmitted"; readonly server: ServerId }
  /** This server is no longer part of the cluster, as of the configuration at that index. */
  | { readonly type: "removed"; readonly index: LogIndex }
  /** A snapshot of this server's machine is durable. */
  | { readonly type: "snapshot-taken"; readonly index: LogIndex; readonly term: Term; readonly bytes: number }
  /** A snapshot is on its way to or from a peer: told at its beginning, about once a second, and at its end. */
  | {
    readonly type: "snapshot-progress";
    readonly direction: "sending" | "receiving";
    readonly peer: ServerId;
    /** The last entry that it includes. */
    readonly index: LogIndex;
    /** Bytes that have arrived, of so many. */
    readonly bytes: number;
    readonly total: number;
  }
  /** The machine was restored from a snapshot that the leader sent. */
  | { readonly type: "snapshot-installed"; readonly index: LogIndex; readonly term: Term; readonly bytes: number }
  /** A snapshot could not be taken, sent or received. It is tried again by itself. */
  | {
    readonly type: "snapshot-failed";
    readonly operation: "take" | "send" | "receive";
    readonly peer: ServerId | undefined;
    readonly reason: string;
  }
  /** The log begins here from now on: what was before is in a snapshot. */
  | { readonly type: "log-compacted"; readonly firstIndex: LogIndex }
  /**
   * Entries of this server's log can't be read from its disk any more. It neither leads nor acknowledges them until a
   * leader has sent them again.
   */
  | {
    readonly type: "disk-damaged";
    /** The first one, and the one after the last. */
    readonly from: LogIndex;
    readonly end: LogIndex;
    readonly file: string;
    readonly offset: number;
    readonly detail: string;
  }
  /** This server's disk has no room for entries: it neither leads nor acknowledges until there is some again. */
  | { readonly type: "disk-full"; readonly isFull: boolean }
  /** Damaged entries are whole again, or gone into a snapshot. */
  | { readonly type: "disk-repaired"; readonly from: LogIndex; readonly end: LogIndex }
  /**
   * The machine of a peer holds something else than this server's, as their hashes say: one of the two has not done what
   * its commands say. Told for the first entry at which that was seen; the machines were the same at `agreedIndex`, as far as is
   * known (0: never compared).
   */
  | {
    readonly type: "state-diverged";
    readonly peer: ServerId;
    readonly index: LogIndex;
    readonly agreedIndex: LogIndex;
  }
  /** Two machines that were not the same are again, as of that entry. */
  | { readonly type: "state-agrees"; readonly peer: ServerId; readonly index: LogIndex }
  /** The server stopped because of this. */
  | { readonly type: "fatal"; readonly error: Error };

/** Options of `raft.events()`. */
export interface EventsOptions {
  /** Only events for which this is true. It must not throw. */
  readonly filter?: (event: RaftEvent) => boolean;
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
  /**
   * Events kept for a slow reader; beyond that the oldest are dropped and counted.
   *
   * @default {1024}
   */
  readonly bufferMax?: number;
}

/** Events as they come; leaving the loop deregisters. */
export interface EventStream extends AsyncIterableIterator<RaftEvent> {
  /** How many events were dropped because the reader was too slow. */
  readonly dropped: number;
}

/** Hands every event to every subscriber, each with a bounded queue of its own. */
export class EventHub {
  readonly #subscribers = new Set<Subscriber>();
  readonly #tap: ((event: RaftEvent) => void) | undefined;
  #closed = false;

  /** Shows every event to `tap` first, at once. It must not throw. */
  constructor(tap?: (event: RaftEvent) => void) {
    this.#tap = tap;
  }

  /** Tells everybody. Never throws, never waits. */
  emit(event: RaftEvent): void {
    this.#tap?.(event);
    for (const subscriber of this.#subscribers) subscriber.push(event);
  }

  /** A new subscriber, from now on. */
  subscribe(options: EventsOptions = {}): EventStream {
    checkOptions("subscribe", options);
    checkFunction("subscribe", "filter", options.filter);
    const { bufferMax = 1024 } = options;
    checkWhole("subscribe", "bufferMax", bufferMax, 1);
    const { signal } = options;
    const onAbort = () => subscriber.end();
    const subscriber = new Subscriber(bufferMax, options.filter, () => {
      this.#subscribers.delete(subscriber);
      signal?.removeEventListener("abort", onAbort);
    });
    if (this.#closed || signal?.aborted === true) {
      subscriber.end();
      return subscriber;
    }
    this.#subscribers.add(subscriber);
    signal?.addEventListener("abort", onAbort, { once: true });
    return subscriber;
  }

  /** Ends every iteration once its queue is read. */
  close(): void {
    this.#closed = true;
    for (const subscriber of [...this.#subscribers]) subscriber.end();
  }
}

class Subscriber implements EventStream {
  readonly #queue: RaftEvent[] = [];
  readonly #bufferMax: number;
  readonly #filter: ((event: RaftEvent) => boolean) | undefined;
  readonly #onEnd: () => void;
  readonly #waiting: ((result: IteratorResult<RaftEvent>) => void)[] = [];
  #ended = false;
  #dropped = 0;

  constructor(bufferMax: number, filter: ((event: RaftEvent) => boolean) | undefined, onEnd: () => void) {
    this.#bufferMax = bufferMax;
    this.#filter = filter;
    this.#onEnd = onEnd;
  }

  get dropped(): number {
    return this.#dropped;
  }

  push(event: RaftEvent): void {
    if (this.#ended || !this.#passes(event)) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return waiting({ done: false, value: event });
    if (this.#queue.length === this.#bufferMax) {
      this.#queue.shift();
      this.#dropped++;
    }
    this.#queue.push(event);
  }

  /** A filter that throws is the subscriber's fault and ends its subscription, nobody else's. */
  #passes(event: RaftEvent): boolean {
    try {
      return this.#filter === undefined || this.#filter(event);
    } catch {
      this.end();
      return false;
    }
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<RaftEvent>> {
    const event = this.#queue.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<RaftEvent>> {
    this.#queue.length = 0;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
