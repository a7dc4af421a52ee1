/**
 * Receives a snapshot from the leader: into a temporary place, verified as a whole before anybody sees it.
 *
 * @module
 */
import { ProtocolError, ShutdownError } from "../errors.ts";
import type { SnapshotChunk, SnapshotRequest, SnapshotResponse } from "../message.ts";
import type { SnapshotMeta, SnapshotSink, SnapshotStore } from "../store/snapshot_store.ts";
import type { Configuration, LogIndex, ServerId } from "../types.ts";
import { encodeConfiguration } from "../wire/configuration.ts";
import type { SnapshotOrigin } from "../wire/snapshot.ts";
import { verifySnapshot } from "../wire/snapshot_reader.ts";
import { Progress, reasonOf, type SnapshotHost } from "./snapshot_host.ts";
import { Pacer } from "./waker.ts";

/** Chunks that may wait for the disk; a leader sends fewer at a time. */
const queueMax = 16;

/** One server's receiver: of one snapshot at a time. */
export class SnapshotReceiver {
  readonly #store: SnapshotStore | undefined;
  readonly #canRestore: boolean;
  readonly #host: SnapshotHost;
  #current: Reception | undefined;
  /** Who waits to hear that what it sent is durable. */
  #installing: { readonly peer: ServerId; readonly id: number; readonly index: LogIndex } | undefined;
  readonly #running = new Set<Promise<void>>();

  /** Without a store, or with a machine that can't be restored, every offer is refused. */
  constructor(store: SnapshotStore | undefined, canRestore: boolean, host: SnapshotHost) {
    this.#store = store;
    this.#canRestore = canRestore;
    this.#host = host;
  }

  /** The core wants this snapshot: begins with it, or says how far it has come. */
  offer(from: ServerId, request: SnapshotRequest): void {
    const current = this.#current;
    if (current !== undefined && current.takes(request)) {
      // The same bytes, maybe of another leader: goes on where it is.
      current.peer = from;
      current.id = request.id;
      return this.#answer(from, request.id, current.isWhole ? "installing" : "receiving", current.written);
    }
    if (current?.isWhole) return this.#answer(from, request.id, "installing", 0);
    const problem = this.#store === undefined
      ? "this server keeps no snapshots"
      : this.#canRestore
      ? undefined
      : "the machine has no restore()";
    if (this.#store === undefined || problem !== undefined) {
      this.#tell(from, problem!);
      return this.#answer(from, request.id, "refused", 0);
    }
    current?.abort();
    const reception = new Reception(this.#store, this.#host, from, request);
    this.#current = reception;
    const running: Promise<void> = this.#receive(reception).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /**
   * Bytes came.
   *
   * @throws {ProtocolError} When they go beyond the snapshot.
   */
  onChunk(from: ServerId, { id, offset }: SnapshotChunk, bytes: Uint8Array): void {
    const current = this.#current;
    if (current === undefined || current.peer !== from || current.id !== id) return;
    current.push(offset, bytes);
  }

  /** The log is durable up to here: whoever sent a snapshot that ends there need not wait to be asked. */
  onDurable(index: LogIndex): void {
    const installing = this.#installing;
    if (installing === undefined || installing.index > index) return;
    this.#installing = undefined;
    this.#answer(installing.peer, installing.id, "done", 0);
  }

  /** Gives up what is being received; done when that is. */
  async close(): Promise<void> {
    this.#current?.abort();
    await Promise.all(this.#running);
  }

  async #receive(reception: Reception): Promise<void> {
    const { request } = reception;
    try {
      const meta = await reception.run((offset) => this.#answer(reception.peer, reception.id, "receiving", offset));
      const { index, term, configuration, configurationIndex } = meta;
      this.#installing = { peer: reception.peer, id: reception.id, index };
      this.#host.enqueue({ type: "snapshot-received", index, term, configuration, configurationIndex }, meta);
    } catch (error) {
      if (!reception.isAborted) {
        this.#tell(reception.peer, reasonOf(error));
        this.#answer(reception.peer, reception.id, "refused", 0);
      }
    }
    if (this.#current?.request === request) this.#current = undefined;
  }

  #tell(peer: ServerId, reason: string): void {
    this.#host.warn(`Cannot receive a snapshot from "${peer}": ${reason}`);
    this.#host.emit({ type: "snapshot-failed", operation: "receive", peer, reason });
  }

  #answer(to: ServerId, id: number, status: SnapshotResponse["status"], offset: number): void {
    this.#host.peers.send(to, { type: "snapshot-response", term: this.#host.durableTerm(), id, status, offset });
  }
}

/** One snapshot that comes in. */
class Reception {
  readonly request: SnapshotRequest;
  /** Who sends it now, and under which number. */
  peer: ServerId;
  id: number;
  /** Bytes that the sink has taken. */
  written = 0;
  isAborted = false;
  readonly #store: SnapshotStore;
  readonly #host: SnapshotHost;
  readonly #feed = new Feed();
  readonly #pacer: Pacer;
  readonly #queue: Uint8Array[] = [];
  /** Bytes that were taken into the queue. */
  #taken = 0;
  #wake: (() => void) | undefined;

  constructor(store: SnapshotStore, host: SnapshotHost, peer: ServerId, request: SnapshotRequest) {
    this.#store = store;
    this.#host = host;
    this.peer = peer;
    this.id = request.id;
    this.request = request;
    this.#pacer = new Pacer(host.environment);
  }

  /** All bytes are here. */
  get isWhole(): boolean {
    return this.written === this.request.bytes;
  }

  /** Whether these are the same bytes. */
  takes({ index, lastTerm, bytes, checksum }: SnapshotRequest): boolean {
    const ours = this.request;
    return !this.isAborted && ours.index === index && ours.lastTerm === lastTerm && ours.bytes === bytes &&
      ours.checksum === checksum;
  }

  push(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.request.bytes) {
      throw new ProtocolError(
        `Cannot take bytes up to ${offset + bytes.length} of a snapshot of ${this.request.bytes}`,
      );
    }
    // Doubled, or after a gap: the leader will ask how far it is.
    if (offset !== this.#taken || this.#queue.length === queueMax || this.isAborted) return;
    this.#queue.push(bytes);
    this.#taken += bytes.length;
    this.#wake?.();
  }

  abort(): void {
    this.isAborted = true;
    this.#pacer.close();
    this.#wake?.();
  }

  /** Done when it is durable, and exactly what was announced. */
  async run(answer: (offset: number) => void): Promise<SnapshotMeta> {
    const { index, lastTerm: term, configuration, configurationIndex, timeMs } = this.request;
    const sink = await this.#store.create({ index, term, configuration, configurationIndex, timeMs });
    const verifying = verifySnapshot((offset, bytesMax) => this.#feed.read(offset, bytesMax));
    verifying.catch(() => {}); // It is awaited, but maybe later than it fails.
    try {
      answer(0);
      await this.#write(sink, answer);
      this.#feed.end();
      this.#check((await verifying).origin);
      if (this.isAborted) throw new ShutdownError();
      return await sink.close(this.request);
    } catch (error) {
      this.#feed.end();
      await sink.abort().catch(() => {});
      throw error;
    }
  }

  async #write(sink: SnapshotSink, answer: (offset: number) => void): Promise<void> {
    const progress = new Progress(
      this.#host,
      { direction: "receiving", peer: this.peer, index: this.request.index },
      this.request.bytes,
    );
    progress.tell(0);
    while (!this.isWhole) {
      if (this.isAborted) throw new ShutdownError();
      const bytes = this.#queue.shift();
      if (bytes === undefined) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = undefined;
        continue;
      }
      await sink.write(bytes);
      this.#feed.push(bytes);
      this.written += bytes.length;
      progress.tell(this.written);
      if (!this.isWhole) answer(this.written);
      await this.#pacer.pause();
    }
  }

  /** What is inside must be what was offered: the log will be set by it. */
  #check(origin: SnapshotOrigin): void {
    const { index, lastTerm, configuration, configurationIndex, timeMs } = this.request;
    const isSame = origin.index === index && origin.term === lastTerm && origin.timeMs === timeMs &&
      origin.configurationIndex === configurationIndex && isSameConfiguration(origin.configuration, configuration);
    if (!isSame) throw new ProtocolError("Cannot take the snapshot as it is not the one that was offered");
  }
}

function isSameConfiguration(a: Configuration, b: Configuration): boolean {
  return String(encodeConfiguration(a)) === String(encodeConfiguration(b));
}

/** Bytes on their way to whoever verifies them. */
class Feed {
  #pieces: Uint8Array[] = [];
  #isOver = false;
  #wake: (() => void) | undefined;

  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  /** The next bytes, whatever the offset: they are asked for in order. */
  async read(_offset: number, bytesMax: number): Promise<Uint8Array> {
    while (this.#pieces.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
    const piece = this.#pieces.shift();
    if (piece === undefined) return new Uint8Array(0);
    if (piece.length > bytesMax) this.#pieces.unshift(piece.subarray(bytesMax));
    return piece.subarray(0, bytesMax);
  }
}
