/**
 * Sends snapshots to peers that need one, over the bulk channel: one at a time to each.
 *
 * @module
 */
import { NothingNewToSnapshotError, ShutdownError, SnapshotNotFoundError } from "../errors.ts";
import type { SnapshotResponse } from "../message.ts";
import type { SnapshotMeta, SnapshotStore } from "../store/snapshot_store.ts";
import { byteLengthOf } from "../wire/bytes.ts";
import type { LogIndex, ServerId, Term } from "../types.ts";
import { encodeConfiguration } from "../wire/configuration.ts";
import { crc32c } from "../wire/crc32c.ts";
import { encodeMessage } from "../wire/message_codec.ts";
import { SNAPSHOT_CHUNK_BYTES_MAX } from "../wire/snapshot.ts";
import { Progress, reasonOf, type SnapshotHost } from "./snapshot_host.ts";
import { Waker } from "./waker.ts";

/** How much of a snapshot travels at once, in chunks. */
const windowChunks = 4;
/** A receiver that says nothing new for this long is asked how far it is, milliseconds. */
const askMs = 500;
/** One that says nothing at all for this long has gone away. */
const silenceMs = 10_000;
/** Wait for a connection, between two looks. */
const dialMs = 100;

const retryMinMs = 100;
const retryMaxMs = 10_000;

/** All transfers of one leader. */
export class SnapshotSender {
  readonly #store: SnapshotStore | undefined;
  readonly #host: SnapshotHost;
  readonly #bytesPerSecondMax: number;
  /** Takes a new snapshot, when those there are do not reach far enough. */
  readonly #take: () => Promise<SnapshotMeta>;
  readonly #transfers = new Map<ServerId, Transfer>();
  readonly #running = new Set<Promise<void>>();
  /** How long to wait after the next failure, by peer. */
  readonly #retryMs = new Map<ServerId, number>();
  /** Begins anywhere, so that what is said to a server's last start is not taken for an answer to this one (BR03). */
  #nextId: number | undefined;

  /** Without a store every transfer fails. */
  constructor(
    store: SnapshotStore | undefined,
    host: SnapshotHost,
    bytesPerSecondMax: number,
    take: () => Promise<SnapshotMeta>,
  ) {
    this.#store = store;
    this.#host = host;
    this.#bytesPerSecondMax = bytesPerSecondMax;
    this.#take = take;
  }

  /**
   * Sees to it that the peer gets a snapshot, and tells the core how it went; the peer too, when it asked for one that goes
   * beyond an entry.
   */
  send(to: ServerId, term: Term, beyond?: LogIndex): void {
    const before = this.#transfers.get(to);
    if (before?.term === term) return;
    before?.cancel();
    const id = this.#nextId ?? 1 + this.#host.environment.randomSeed() % 2 ** 31;
    this.#nextId = id + 1;
    const transfer = new Transfer({ id, to, term, beyond }, this.#host, this.#bytesPerSecondMax);
    this.#transfers.set(to, transfer);
    const running: Promise<void> = this.#run(transfer).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** The peer answered. */
  onResponse(from: ServerId, response: SnapshotResponse): void {
    this.#transfers.get(from)?.onResponse(response);
  }

  /** The bulk channel to that peer came up, or went down with what was on it. */
  onChannel(peer: ServerId): void {
    this.#transfers.get(peer)?.resume();
  }

  /** Ends all transfers; done when none reads any more. */
  async close(): Promise<void> {
    for (const transfer of this.#transfers.values()) transfer.cancel();
    await Promise.all(this.#running);
  }

  async #run(transfer: Transfer): Promise<void> {
    const { to, term } = transfer;
    let release = () => {};
    let sent: LogIndex | undefined;
    try {
      if (this.#store === undefined) throw new Error("this server keeps no snapshots");
      await this.#untilApplied(transfer);
      const { meta, release: unhold } = await this.#choose(this.#store, transfer.beyond);
      release = unhold;
      this.#host.enqueue({ type: "snapshot-sending", to, term, index: meta.index });
      if (await transfer.run(this.#store, meta)) sent = meta.index;
      else await this.#onFailure(transfer, new Error("it was refused"));
    } catch (error) {
      await this.#onFailure(transfer, error);
    }
    release();
    if (this.#transfers.get(to) === transfer) this.#transfers.delete(to);
    if (sent === undefined) return this.#host.enqueue({ type: "snapshot-failed", to, term });
    this.#retryMs.delete(to);
    this.#host.enqueue({ type: "snapshot-sent", to, term, index: sent });
  }

  /** Tells of it, and waits before the core may ask again. */
  async #onFailure(transfer: Transfer, error: unknown): Promise<void> {
    if (transfer.isOver) return;
    const { to } = transfer;
    const reason = reasonOf(error);
    this.#host.warn(`Cannot send a snapshot to "${to}": ${reason}`);
    this.#host.emit({ type: "snapshot-failed", operation: "send", peer: to, reason });
    if (transfer.beyond !== undefined) {
      this.#host.peers.send(to, { type: "snapshot-unavailable", term: this.#host.durableTerm(), reason: "failed" });
    }
    const retryMs = this.#retryMs.get(to) ?? retryMinMs;
    this.#retryMs.set(to, Math.min(retryMs * 2, retryMaxMs));
    await transfer.backOff(retryMs);
  }

  /** What the peer's machine must not have applied, ours must. */
  async #untilApplied(transfer: Transfer): Promise<void> {
    const { environment, state } = this.#host;
    const { beyond = -1 } = transfer;
    const until = environment.now() + silenceMs;
    while (state.appliedIndex <= beyond) {
      if (transfer.isOver) throw new ShutdownError();
      if (environment.now() >= until) throw new Error(`entry ${beyond + 1} was not applied within ${silenceMs} ms`);
      await transfer.backOff(dialMs);
    }
  }

  /** The newest good snapshot, held; it must reach to where the log begins, or the peer would need another one (P10). */
  async #choose(
    store: SnapshotStore,
    beyond = -1,
  ): Promise<{ readonly meta: SnapshotMeta; readonly release: () => void }> {
    for (let attempts = 0; attempts < 2; attempts++) {
      for (const meta of await store.list()) {
        if (meta.index < this.#host.state.log.firstIndex - 1 || meta.index <= beyond) break;
        const held = await this.#hold(store, meta);
        if (held !== undefined) return { meta, release: held };
      }
      if (attempts === 0) await this.#takeNew();
    }
    throw new Error("no snapshot reaches to where the log begins");
  }

  /** Takes another one; one that was just being taken is as good. */
  async #takeNew(): Promise<void> {
    try {
      await this.#take();
    } catch (error) {
      if (!(error instanceof NothingNewToSnapshotError)) throw error;
    }
  }

  async #hold(store: SnapshotStore, { id }: SnapshotMeta): Promise<(() => void) | undefined> {
    let release = () => {};
    try {
      release = store.hold(id);
      if (await store.verify(id)) return release;
    } catch (error) {
      release();
      // A newer one came between.
      if (!(error instanceof SnapshotNotFoundError)) throw error;
      return undefined;
    }
    release();
    return undefined;
  }
}

/** What a transfer is about. */
interface Errand {
  readonly id: number;
  readonly to: ServerId;
  readonly term: Term;
  /** It must include more than this entry; undefined when the log says what is enough. */
  readonly beyond: LogIndex | undefined;
}

/** One snapshot on its way to one peer. */
class Transfer implements Errand {
  readonly id: number;
  readonly to: ServerId;
  readonly term: Term;
  readonly beyond: LogIndex | undefined;
  readonly #host: SnapshotHost;
  readonly #bytesPerSecondMax: number;
  readonly #waker: Waker;
  #isCancelled = false;
  #status: SnapshotResponse["status"] | undefined;
  /** The peer has taken all before this. */
  #acknowledged = 0;
  /** Sent up to here. */
  #next = 0;
  /** The next answer says where to go on. */
  #isResyncing = true;
  #askedAt = -Infinity;
  #heardAt = 0;
  /** When the limit of bandwidth allows the next chunk. */
  #allowedAt = -Infinity;

  constructor({ id, to, term, beyond }: Errand, host: SnapshotHost, bytesPerSecondMax: number) {
    this.id = id;
    this.to = to;
    this.term = term;
    this.beyond = beyond;
    this.#host = host;
    this.#bytesPerSecondMax = bytesPerSecondMax;
    this.#waker = new Waker(host.environment);
  }

  /** Whether nobody waits for it: it was cancelled, or its leadership ended. */
  get isOver(): boolean {
    const { role, term } = this.#host.state;
    return this.#isCancelled || role !== "leader" || term !== this.term;
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#waker.close();
  }

  async backOff(ms: number): Promise<void> {
    const until = this.#host.environment.now() + ms;
    while (!this.isOver && this.#host.environment.now() < until) {
      await this.#waker.wait(until - this.#host.environment.now());
    }
  }

  onResponse({ id, status, offset }: SnapshotResponse): void {
    if (id !== this.id) return;
    this.#heardAt = this.#host.environment.now();
    this.#status = status;
    if (status === "receiving") {
      if (this.#isResyncing) this.#next = offset;
      this.#isResyncing = false;
      this.#acknowledged = Math.min(offset, this.#next);
    }
    this.#waker.wake();
  }

  /** What was on its way is lost, or there is a way again: asks how far the peer has come. */
  resume(): void {
    this.#isResyncing = true;
    this.#askedAt = -Infinity;
    this.#waker.wake();
  }

  /** True when the peer has it, false when it won't. */
  async run(store: SnapshotStore, meta: SnapshotMeta): Promise<boolean> {
    const { environment } = this.#host;
    const progress = new Progress(this.#host, { direction: "sending", peer: this.to, index: meta.index }, meta.bytes);
    this.#heardAt = environment.now();
    for (;;) {
      // Each wait is a place where the leadership may have ended.
      if (this.isOver) throw new ShutdownError();
      if (this.#status === "done") {
        progress.tell(meta.bytes);
        return true;
      }
      if (this.#status === "refused") return false;
      const now = environment.now();
      if (now - this.#heardAt >= silenceMs) throw new Error(`there was no answer for ${silenceMs} ms`);
      if (this.#status === "receiving") progress.tell(this.#acknowledged);
      const waitMs = await this.#advance(store, meta, now);
      if (waitMs > 0) await this.#waker.wait(waitMs);
    }
  }

  /** Sends what may be sent now; says how long there is nothing to send, at most. */
  async #advance(store: SnapshotStore, meta: SnapshotMeta, now: number): Promise<number> {
    const isQuiet = now - Math.max(this.#askedAt, this.#heardAt) >= askMs;
    if ((this.#isResyncing && this.#askedAt === -Infinity) || isQuiet) return this.#ask(meta, now);
    const isOpen = this.#status === "receiving" && !this.#isResyncing && this.#next < meta.bytes &&
      this.#next - this.#acknowledged < windowChunks * SNAPSHOT_CHUNK_BYTES_MAX;
    if (!isOpen) return askMs;
    if (now < this.#allowedAt) return Math.min(askMs, Math.ceil(this.#allowedAt - now));
    const offset = this.#next;
    const chunk = await store.read(meta.id, offset, SNAPSHOT_CHUNK_BYTES_MAX);
    // The peer may have been heard meanwhile, and want something else.
    if (this.isOver || this.#isResyncing || this.#next !== offset) return 0;
    return this.#sendChunk(offset, chunk) ? 0 : dialMs;
  }

  #ask(meta: SnapshotMeta, now: number): number {
    const { index, term: lastTerm, configuration, configurationIndex, timeMs, bytes, checksum } = meta;
    const message = {
      ...{ type: "snapshot-request", term: this.term, id: this.id, index, lastTerm } as const,
      ...{ configuration, configurationIndex, timeMs, bytes, checksum },
    };
    const frame = encodeMessage(message, [encodeConfiguration(configuration)]);
    if (!this.#host.peers.transmitBulk(this.to, frame)) return dialMs;
    this.#askedAt = now;
    this.#isResyncing = true;
    return askMs;
  }

  #sendChunk(offset: number, chunk: Uint8Array): boolean {
    const { term, id } = this;
    const head = encodeMessage({ type: "snapshot-chunk", term, id, offset, checksum: crc32c(chunk) });
    // The chunk has a checksum of its own.
    if (!this.#host.peers.transmitBulk(this.to, [...head, chunk], byteLengthOf(head))) return false;
    this.#next = offset + chunk.length;
    const now = this.#host.environment.now();
    if (this.#bytesPerSecondMax > 0) {
      this.#allowedAt = Math.max(now, this.#allowedAt) + chunk.length / this.#bytesPerSecondMax * 1000;
    }
    return true;
  }
}
