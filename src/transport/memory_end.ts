/**
 * The two ends of a connection of the in-memory network.
 *
 * @module
 */
import type { ServerAddress } from "../types.ts";
import { byteLengthOf } from "../wire/bytes.ts";
import type { MutableCounters } from "./counters.ts";
import type { Link } from "./link.ts";
import type { Line } from "./memory_line.ts";
import type { Connection } from "./peer.ts";
import type { Channel, RemoteServer } from "./transport.ts";

/** The transport at which an end lives. */
export interface EndHost {
  readonly address: ServerAddress;
  readonly counters: MutableCounters;
  track(end: MemoryEnd, isOpen: boolean): void;
  deliver(end: MemoryEnd, link: Link, parts: readonly Uint8Array[]): void;
}

/** Whose end it is. */
export interface EndOwner {
  readonly host: EndHost;
  readonly link: Link;
  /** Who is at the other end. */
  readonly peer: RemoteServer;
  readonly dialledByUs: boolean;
}

/** What both ends share. */
export interface PairOptions {
  readonly channel: Channel;
  readonly nonce: number;
  readonly queueBytesMax: number;
  lineBetween(from: ServerAddress, to: ServerAddress): Line;
}

/** Connects two links. */
export function pairOfEnds(a: EndOwner, b: EndOwner, options: PairOptions): readonly [MemoryEnd, MemoryEnd] {
  const ends = [new MemoryEnd(a, options), new MemoryEnd(b, options)] as const;
  ends[0].pair(ends[1], options.lineBetween(a.host.address, b.host.address));
  ends[1].pair(ends[0], options.lineBetween(b.host.address, a.host.address));
  return ends;
}

/** One end. */
export class MemoryEnd implements Connection {
  readonly peer: RemoteServer;
  readonly channel: Channel;
  readonly nonce: number;
  readonly dialledByUs: boolean;
  readonly #owner: EndOwner;
  readonly #queueBytesMax: number;
  #twin: MemoryEnd | undefined;
  /** The way to the other end. */
  #line: Line | undefined;
  #queuedBytes = 0;
  #open = true;

  constructor(owner: EndOwner, { channel, nonce, queueBytesMax }: PairOptions) {
    this.peer = owner.peer;
    this.dialledByUs = owner.dialledByUs;
    this.channel = channel;
    this.nonce = nonce;
    this.#owner = owner;
    this.#queueBytesMax = queueBytesMax;
    owner.host.track(this, true);
  }

  pair(twin: MemoryEnd, line: Line): void {
    this.#twin = twin;
    this.#line = line;
  }

  get twin(): MemoryEnd {
    return this.#twin!;
  }

  get address(): ServerAddress {
    return this.#owner.host.address;
  }

  send(parts: readonly Uint8Array[]): boolean {
    if (!this.#open) return false;
    const length = byteLengthOf(parts);
    if (this.#queuedBytes > 0 && this.#queuedBytes + length > this.#queueBytesMax) return false;
    this.#queuedBytes += length;
    this.#owner.host.counters.bytesSent += length;
    this.#line?.later(() => {
      this.#queuedBytes -= length;
      this.twin.#receive(parts);
    });
    return true;
  }

  /** What was sent before still arrives, and then the end. */
  close(): void {
    if (!this.#open) return;
    this.#end();
    if (this.twin.#open) this.#line?.later(() => this.twin.#lose("closed by peer"));
  }

  /** Ends it as a peer that broke the protocol. */
  fail(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#owner.link.lost(this, reason);
  }

  /** Cuts it: what is under way is lost, and both links learn of it soon. */
  sever(reason: string): void {
    const ends = [this, this.twin].filter((end) => end.#open);
    for (const end of ends) end.#end();
    for (const end of ends) end.#line?.later(() => end.#owner.link.lost(end, reason));
  }

  #receive(parts: readonly Uint8Array[]): void {
    if (this.#open) this.#owner.host.deliver(this, this.#owner.link, parts);
  }

  #lose(reason: string): void {
    if (!this.#open) return;
    this.#end();
    this.#owner.link.lost(this, reason, true);
  }

  #end(): void {
    this.#open = false;
    // Nothing can arrive here any more.
    this.twin.#line?.drop();
    this.#owner.host.track(this, false);
  }
}
