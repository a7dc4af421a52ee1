/**
 * Streams inside this process that can be cut, stalled and silenced, for everything that real sockets do too rarely.
 *
 * @module
 */
import { byteLengthOf, joinParts } from "../../src/wire/bytes.ts";
import type { Stream, StreamLayer } from "../../src/transport/stream_layer.ts";

type OnChunk = (chunk: Uint8Array | null, error?: string) => void;

/** One end of a stream. */
export class FakeStream implements Stream {
  readonly remoteAddress: string;
  readonly peerIdentity: string | undefined;
  twin: FakeStream | undefined;
  /** Nothing that is written arrives, the end neither: the line is dead and nobody knows. */
  isDead = false;
  /** The system takes nothing more. */
  isStalled = false;
  isClosed = false;
  queuedBytes = 0;
  /** How often something was written. */
  writeCount = 0;
  #onChunk: OnChunk | undefined;
  #early: (Uint8Array | null)[] = [];

  constructor(remoteAddress: string, peerIdentity?: string) {
    this.remoteAddress = remoteAddress;
    this.peerIdentity = peerIdentity;
  }

  start(onChunk: OnChunk): void {
    this.#onChunk = onChunk;
    queueMicrotask(() => {
      for (const chunk of this.#early.splice(0)) onChunk(chunk);
    });
  }

  write(parts: readonly Uint8Array[]): void {
    if (this.isClosed) return;
    this.writeCount += 1;
    if (this.isStalled) {
      this.queuedBytes += byteLengthOf(parts);
      return;
    }
    const bytes = joinParts(parts).slice();
    queueMicrotask(() => this.#deliver(bytes));
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    queueMicrotask(() => this.#deliver(null));
  }

  #deliver(chunk: Uint8Array | null): void {
    if (!this.isDead) this.twin?.receive(chunk);
  }

  receive(chunk: Uint8Array | null): void {
    if (this.isClosed) return;
    if (chunk === null) this.isClosed = true;
    if (this.#onChunk === undefined) this.#early.push(chunk);
    else this.#onChunk(chunk);
  }
}

/** A dial that has not been answered. */
interface PendingDial {
  readonly address: string;
  answer(): void;
}

/** Everyone's layer. */
export class FakeInternet {
  readonly #listeners = new Map<string, (stream: Stream) => void>();
  /** Every connected pair, dialling end first. */
  readonly pairs: [FakeStream, FakeStream][] = [];
  /** Addresses that swallow dials. */
  readonly blackHoles: Set<string> = new Set();
  /** Whether dials wait for {@linkcode FakeInternet.answerAll}. */
  isHeld = false;
  dialCount = 0;
  #held: PendingDial[] = [];

  /** The layer of a server at `address`. */
  layer(address: string, identity?: string): StreamLayer {
    return {
      listen: (onStream) => {
        if (this.#listeners.has(address)) return Promise.reject(new Error(`Cannot listen at "${address}"`));
        this.#listeners.set(address, onStream);
        return Promise.resolve({
          address,
          close: () => {
            this.#listeners.delete(address);
            return Promise.resolve();
          },
        });
      },
      dial: (to, { signal }) => this.#dial(address, to, signal, identity),
    };
  }

  /** Connects as somebody who speaks no Raft. */
  stranger(to: string, from = "stranger:1"): FakeStream {
    return this.#connect(from, to, undefined);
  }

  /** Answers the dials that wait. */
  answerAll(): void {
    for (const dial of this.#held.splice(0)) dial.answer();
  }

  #dial(from: string, to: string, signal: AbortSignal, identity: string | undefined): Promise<Stream> {
    this.dialCount += 1;
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("cancelled")));
      if (this.blackHoles.has(to)) return;
      const answer = () => {
        if (this.#listeners.has(to)) resolve(this.#connect(from, to, identity));
        else reject(new Error("connection refused"));
      };
      if (this.isHeld) this.#held.push({ address: to, answer });
      else queueMicrotask(answer);
    });
  }

  #connect(from: string, to: string, identity: string | undefined): FakeStream {
    const dialling = new FakeStream(to);
    const dialled = new FakeStream(from, identity);
    dialling.twin = dialled;
    dialled.twin = dialling;
    this.pairs.push([dialling, dialled]);
    this.#listeners.get(to)!(dialled);
    return dialling;
  }
}
